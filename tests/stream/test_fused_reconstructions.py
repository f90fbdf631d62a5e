"""What inference shows of a masked face: one guess fused from its looks, or why there is none."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engines.masks.state import MaskState
from engines.recognition.calibration import Calibration
from engines.recognition.enrolled import GallerySnapshot
from engines.recognition.matcher import Matcher
from engines.recognition.track import TrackIdentity
from engines.unmasking.generator import Reconstructions
from engines.unmasking.mark import CAPTION, STRIP, is_reconstruction
from stream.config import Settings, parse
from stream.inference import Inference
from stream.messages import FaceCard, FrameReady, TrackedFace
from stream.networks import Networks, load_networks
from stream.person import Person
from stream.watching import Picture
from tools.demo.clip import cached_clip

Pixels = NDArray[np.uint8]
FRAMES = 110
WORN, BARE = (np.array(belief, np.float32) for belief in ([0, 1, 0], [1, 0, 0]))
MASK = np.zeros((128, 128), np.float32)
MASK[64:120, 20:108] = 1


@pytest.fixture(scope="module")
def networks() -> Networks:
    return load_networks(Settings(), lambda name, share: None)


@pytest.fixture(scope="module")
def frames() -> list[Pixels]:
    with av.open(str(cached_clip())) as container:
        return [
            frame.to_ndarray(format="rgb24")
            for _, frame in zip(range(FRAMES), container.decode(video=0), strict=False)
        ]


class Generator:
    """The generator, with a memory of what it was given and gave."""

    def __init__(self, generator: Any) -> None:
        self._generator = generator
        self.crops: list[Pixels] = []
        self.pictures: list[Pixels] = []

    def unmask(self, crops: Pixels) -> Reconstructions:
        made: Reconstructions = self._generator.unmask(crops)
        self.crops += list(crops)
        self.pictures += list(made.pictures)
        return made


def watched(
    networks: Networks, frames: Sequence[Pixels], settings: dict[str, Any]
) -> tuple[list[FaceCard], dict[tuple[int, int], TrackedFace], Generator]:
    """The cards, each frame's faces by (sequence, track), and what the generator saw."""
    generator: Any = Generator(networks.unmasker)
    inference = Inference(
        parse(settings, "test"),
        replace(networks, unmasker=generator),
        Matcher(GallerySnapshot.empty(), Calibration.load(), 0.5),
        clock_ns=lambda: 0,
    )
    cards: list[FaceCard] = []
    faces: dict[tuple[int, int], TrackedFace] = {}
    for number, rgb in enumerate(frames):
        height, width = rgb.shape[:2]
        frame = FrameReady("street", number + 1, "ring", 0, 2, width, height, number * 40_000_000, 0, 0, 0)
        (result,), made, _ = inference.step([Picture(frame, rgb, {})])
        cards += made
        faces |= {(number + 1, face.track): face for face in result.faces}
    return cards, faces, generator


def opened(png: bytes) -> Pixels:
    return np.asarray(
        cv2.cvtColor(cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB),
        np.uint8,
    )


def test_what_is_shown_is_marked_rests_on_more_and_more_looks_and_is_steadier_than_they_are(
    networks: Networks, frames: list[Pixels]
) -> None:
    cards, faces, generator = watched(networks, frames, {"unmasking": {"every_ms": 200}})
    tracks = {card.track: [c for c in cards if c.track == card.track] for card in cards}
    longest = max(tracks.values(), key=len)
    assert len(longest) >= 6
    assert [card.looks for card in longest[:3]] == [1, 2, 3] and max(card.looks for card in longest) >= 5
    known = {crop.tobytes(): i for i, crop in enumerate(generator.crops)}
    single, shown = [], []
    for card in longest:
        crop = opened(card.original_png)
        single.append(generator.pictures[known[crop.tobytes()]])
        marked = opened(card.reconstruction_png)
        assert is_reconstruction(marked) and CAPTION.encode() in card.reconstruction_png
        assert marked.shape[0] == 256 + STRIP
        shown.append(cv2.resize(marked[:256], (128, 128), interpolation=cv2.INTER_AREA))
        assert faces[card.sequence, card.track].no_reconstruction is None
    mouth = np.s_[80:104, 48:80]
    steps = [
        np.mean([np.abs(a[mouth].astype(float) - b[mouth]).mean() for a, b in itertools.pairwise(p[2:])])
        for p in (single, shown)
    ]
    assert steps[1] < 0.8 * steps[0]


def test_a_face_that_cannot_be_reconstructed_honestly_is_not_and_says_why_once(
    networks: Networks, frames: list[Pixels]
) -> None:
    cards, faces, generator = watched(
        networks, frames[:60], {"quality": {"min_eye_distance": 300}, "unmasking": {"every_ms": 200}}
    )
    assert cards and not generator.pictures
    assert len({card.track for card in cards}) == len(cards)
    for card in cards:
        assert (card.reconstruction_png, card.looks, card.no_reconstruction) == (b"", 0, "too small")
        assert opened(card.original_png).shape == (128, 128, 3)
        assert faces[card.sequence, card.track].no_reconstruction == "too small"
    bare = [face for face in faces.values() if face.mask is MaskState.NONE]
    assert bare and all(face.no_reconstruction is None for face in bare)


def test_recognition_is_given_each_look_by_itself_and_not_what_they_come_to(
    networks: Networks, frames: list[Pixels]
) -> None:
    generator: Any = Generator(networks.unmasker)
    inference = Inference(
        parse({"unmasking": {"every_ms": 200}}, "test"),
        replace(networks, unmasker=generator),
        Matcher(GallerySnapshot.empty(), Calibration.load(), 0.5),
    )
    looks = 0
    for number, rgb in enumerate(frames):
        frame = FrameReady("street", number + 1, "ring", 0, 2, 1280, 720, number * 40_000_000, 0, 0, 0)
        inference.step([Picture(frame, rgb, {})])
        for person in inference._watching.people():
            if person.reconstructed_ns == frame.media_ns and person.reconstruction is not None:
                assert np.array_equal(person.reconstruction, generator.pictures[-1])
                looks += 1
    assert looks >= 4


def person() -> Person:
    return Person(TrackIdentity(Matcher(GallerySnapshot.empty(), Calibration.load(), 0.5), 0.9))


def look(seed: int) -> Pixels:
    rng = np.random.default_rng(seed)
    picture = cv2.resize(
        rng.integers(60, 200, (16, 16, 3), np.uint8), (128, 128), interpolation=cv2.INTER_CUBIC
    )
    picture[64:] = rng.integers(90, 160, 3)
    return np.asarray(picture, np.uint8)


@pytest.mark.parametrize("how", ["the mask came off and on", "it was not seen", "nobody watched"])
def test_the_fusion_begins_anew_when_the_face_may_be_another(how: str) -> None:
    it = person()
    it.see(True, 0)
    it.believe(WORN, 0)
    for _ in range(3):
        made = it.fusion.add(look(1), MASK, 0.7)
    assert made is not None and made.looks == 3
    assert it.refuse("turned away") is False, "there is a guess already"
    if how == "the mask came off and on":
        for belief in [BARE] * 4 + [WORN] * 6:
            it.believe(belief, 1)
        assert it.masked
    elif how == "it was not seen":
        it.see(False, 1)
        it.see(True, 2)
    else:
        it.see(True, 1, blind=True)
    assert not it.fusion.begun
    assert [it.refuse("too small"), it.refuse("too small"), it.refuse("turned away")] == [True, False, True]
    other = it.fusion.add(look(2), MASK, 0.7)
    assert other is not None and other.looks == 1 and np.array_equal(other.picture, look(2))
