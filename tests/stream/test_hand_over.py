"""A track that passes from one face to another: what was seen of the first must not be shown as the second's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from frames import announced
from numpy.typing import NDArray

from engines.alignment import similarity
from engines.masks.synthesis import draw_mask
from engines.recognition.evidence import EvidenceMaker, SeenFace, Vector
from engines.recognition.matcher import Matcher
from stream.config import Settings, parse
from stream.inference import Inference
from stream.messages import FaceCard, FaceLook, FrameResult
from stream.networks import Networks, load_networks

PICTURES = Path(__file__).parents[2] / "tools" / "demo" / "pictures"
PLACE = np.array([[280, 200], [340, 200], [310, 235], [285, 268], [335, 268]], np.float32)
FIRST, SECOND = 75, 125  # frames that each of the two stands there


@pytest.fixture(scope="module")
def networks() -> Networks:
    return load_networks(Settings(), lambda name, share: None)


def standing(networks: Networks, name: str, masked: bool) -> NDArray[np.uint8]:
    """Somebody at PLACE in a picture of 640 x 480, uint8 RGB."""
    photo = cv2.cvtColor(cv2.imread(str(PICTURES / name)), cv2.COLOR_BGR2RGB)
    face = networks.detector.detect([photo])[0]
    landmarks = face.landmarks[int(face.scores.argmax())]
    if masked:
        photo = draw_mask(photo, landmarks, np.random.default_rng(4))[0]
    grey = np.full((480, 640, 3), 90, np.uint8)
    placed = cv2.warpAffine(photo, similarity(landmarks, PLACE), (640, 480), flags=cv2.INTER_AREA)
    inside = cv2.warpAffine(np.full(photo.shape[:2], 255, np.uint8), similarity(landmarks, PLACE), (640, 480))
    return np.where(inside[..., None] > 0, placed, grey)


@pytest.mark.parametrize("masked", [False, True])
def test_who_takes_somebody_s_place_becomes_another_track_and_shares_no_picture_with_the_one_before(
    networks: Networks, matcher: Matcher, masked: bool
) -> None:
    camera = {"name": "door", "url": "rtsp://camera/1"}
    settings = parse({"cameras": [camera], "recording": {"mode": "continuous"}}, "test")
    inference = Inference(settings, networks, matcher, lambda: 0)
    people = [standing(networks, name, masked) for name in ("obama3.jpg", "biden.jpg")]
    rng = np.random.default_rng(1)
    results: list[FrameResult] = []
    shown: list[FaceCard | FaceLook] = []
    for number in range(FIRST + SECOND):
        noisy = people[number >= FIRST] + rng.normal(0, 2, (480, 640, 1))
        of_frame, cards, looks = inference.step(
            [announced(number, np.clip(noisy, 0, 255).astype(np.uint8), "door")]
        )
        results += of_frame
        shown += [*cards, *looks]

    before = {face.track for result in results[:FIRST] for face in result.faces}
    after = results[-1].faces
    assert len(before) == 1 and len(after) == 1, "somebody stands there, alone"
    assert after[0].track not in before
    assert results[FIRST - 1].faces[0].person == "Barack Obama" and after[0].person == "Joe Biden"
    named = {face.person for result in results for face in result.faces if face.track in before}
    assert named <= {None, "Barack Obama"}
    changed = next(i for i, result in enumerate(results) if after[0].track in {f.track for f in result.faces})
    assert changed - FIRST <= 90, (
        "one who has long been sure is looked at rarely, and nothing moved that would tell"
    )
    of_first = [each.sequence for each in shown if each.track in before]
    of_second = [each.sequence for each in shown if each.track == after[0].track]
    assert of_first and max(of_first) <= FIRST
    assert of_second and min(of_second) > FIRST
    assert any(isinstance(each, FaceCard) for each in shown if each.track == after[0].track) is masked


class Counted:
    """Counts the looks of evidence."""

    def __init__(self, evidence: EvidenceMaker) -> None:
        self._evidence, self.space, self.looked = evidence, evidence.space, 0

    def looks(self, faces: Sequence[SeenFace]) -> list[dict[str, Vector]]:
        self.looked += len(faces)
        return self._evidence.looks(faces)


def test_while_another_face_touches_it_even_one_that_is_sure_is_looked_at_often(
    networks: Networks, matcher: Matcher
) -> None:
    looked = {}
    for away in (240, 112):
        counted = Counted(networks.evidence)
        inference = Inference(
            Settings(),
            replace(networks, evidence=counted),  # type: ignore[arg-type]
            matcher,
            lambda: 0,
        )
        alone = np.roll(standing(networks, "obama3.jpg", False), -120, axis=1)
        both, middle = alone.copy(), 190 + away // 2
        both[:, middle:] = np.roll(alone, away, axis=1)[:, middle:]
        for number in range(150):
            if number == 75:
                counted.looked = 0
            results, _, _ = inference.step([announced(number, both, "door")])
        assert len(results[0].faces) == 2
        looked[away] = counted.looked
    assert looked[112] > 2 * looked[240]


def test_the_picture_of_who_was_seen_once_gives_way_to_one_of_who_is_named(
    networks: Networks, matcher: Matcher
) -> None:
    camera = {"name": "door", "url": "rtsp://camera/1"}
    settings = parse({"cameras": [camera], "recording": {"mode": "continuous"}}, "test")
    inference = Inference(settings, networks, matcher, lambda: 0)
    first, second = (standing(networks, name, False) for name in ("obama3.jpg", "biden.jpg"))
    second = cv2.GaussianBlur(second, (0, 0), 1.2)  # a worse picture than the one before
    shown: list[FaceLook] = []
    seen_once = 0
    for number in range(140):
        results, _, looks = inference.step([announced(number, second if seen_once else first, "door")])
        shown += looks
        if looks and looks[-1].quality and not seen_once:
            seen_once = number + 1
    track = results[0].faces[0].track
    assert results[0].faces[0].person == "Joe Biden"
    of_track = [look for look in shown if look.track == track]
    assert of_track and of_track[-1].sequence > seen_once, "its newest picture is of who stands there now"
    assert of_track[-1].quality < shown[0].quality or of_track[0].sequence > seen_once
