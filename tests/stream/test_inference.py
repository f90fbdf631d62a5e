"""The steps of inference on frames of the demo clip, with the real networks."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from frames import announced
from numpy.typing import NDArray

from engines.masks.state import MaskState
from engines.recognition.calibration import Calibration
from engines.recognition.enrolled import GallerySnapshot
from engines.recognition.evidence import crops_of
from engines.recognition.matcher import Matcher
from engines.unmasking.mark import CAPTION, is_reconstruction
from stream.config import Settings, parse
from stream.inference import Inference
from stream.messages import FaceCard, FaceLook, FrameResult
from stream.networks import Networks, load_networks
from stream.tracking import iou
from tools.demo.clip import cached_clip, read_truth

FRAMES = 60


@pytest.fixture(scope="module")
def networks() -> Networks:
    return load_networks(Settings(), lambda name, share: None)


@pytest.fixture(scope="module")
def clip() -> Path:
    return cached_clip()


@pytest.fixture(scope="module")
def pictures(clip: Path) -> list[NDArray[np.uint8]]:
    with av.open(str(clip)) as container:
        return [
            frame.to_ndarray(format="rgb24")
            for _, frame in zip(range(FRAMES), container.decode(video=0), strict=False)
        ]


def watched(
    networks: Networks, matcher: Matcher, pictures: list[NDArray[np.uint8]]
) -> tuple[list[FrameResult], list[FaceCard]]:
    inference = Inference(Settings(), networks, matcher, clock_ns=lambda: 0)
    results, cards = [], []
    for number, rgb in enumerate(pictures):
        of_frame, new_cards, _ = inference.step([announced(number, rgb)])
        results += of_frame
        cards += new_cards
    return results, cards


@pytest.fixture(scope="module")
def seen(
    networks: Networks, matcher: Matcher, pictures: list[NDArray[np.uint8]]
) -> tuple[list[FrameResult], list[FaceCard]]:
    return watched(networks, matcher, pictures)


def test_the_same_frames_give_the_same_annotations_and_cards(
    networks: Networks,
    matcher: Matcher,
    pictures: list[NDArray[np.uint8]],
    seen: tuple[list[FrameResult], list[FaceCard]],
) -> None:
    assert watched(networks, matcher, pictures) == seen


def test_clear_faces_are_followed_on_every_frame_and_named_right(
    clip: Path, seen: tuple[list[FrameResult], list[FaceCard]]
) -> None:
    results, _ = seen
    clear = found = 0
    for result, truth in zip(results[1:], read_truth(clip)[1:FRAMES], strict=True):
        boxes = np.array([face.box for face in result.faces], np.float32).reshape(-1, 4)
        for face in truth:
            if face.visible < 0.95 or face.masked:
                continue
            clear += 1
            overlap = iou(np.array([face.box], np.float32), boxes)[0]
            found += bool(len(boxes)) and overlap.max() > 0.5
            if len(boxes) and overlap.max() > 0.5 and (name := result.faces[int(overlap.argmax())].person):
                assert name.split()[-1].lower() in face.person.lower(), f"frame {result.frame.sequence}"
    assert clear > FRAMES
    assert found / clear > 0.95


def test_masked_faces_and_only_those_get_cards_and_every_reconstruction_is_marked(
    seen: tuple[list[FrameResult], list[FaceCard]],
) -> None:
    results, cards = seen
    assert cards
    masks = {(r.frame.sequence, face.track): face.mask for r in results for face in r.faces}
    for card in cards:
        assert masks[card.sequence, card.track] in (MaskState.WORN, MaskState.WORN_WRONGLY)
        data = np.frombuffer(card.reconstruction_png, np.uint8)
        assert is_reconstruction(cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB))
        assert CAPTION.encode() in card.reconstruction_png
        assert 0 < card.painted < 1


def test_a_picture_of_another_size_begins_new_tracks_with_new_numbers(
    networks: Networks, matcher: Matcher, pictures: list[NDArray[np.uint8]]
) -> None:
    inference = Inference(Settings(), networks, matcher)
    (large,), _, _ = inference.step([announced(0, pictures[0])])
    half = cv2.resize(pictures[1], None, fx=0.75, fy=0.75, interpolation=cv2.INTER_AREA)
    (small,), _, _ = inference.step([announced(1, np.asarray(half, np.uint8))])
    assert large.faces
    assert small.faces
    assert not {face.track for face in large.faces} & {face.track for face in small.faces}


def test_after_a_gap_between_frames_no_track_goes_on_and_no_name_passes_to_whoever_stands_there(
    networks: Networks, matcher: Matcher, pictures: list[NDArray[np.uint8]]
) -> None:
    inference, number = Inference(Settings(), networks, matcher), 0
    for number, rgb in enumerate(pictures[:40]):
        ((before,), _, _) = inference.step([announced(number, rgb)])
    assert any(face.person for face in before.faces)
    (again,), _, _ = inference.step([announced(number + 8, pictures[40])])
    assert {face.track for face in again.faces} & {face.track for face in before.faces}, "a short one"
    (after,), _, _ = inference.step([announced(number + 30, pictures[41])])
    assert after.faces
    assert not {face.track for face in after.faces} & {face.track for face in again.faces}
    assert not any(face.person for face in after.faces)


def test_cameras_of_one_step_do_not_mix(
    networks: Networks, matcher: Matcher, pictures: list[NDArray[np.uint8]]
) -> None:
    inference = Inference(Settings(), networks, matcher)
    empty = np.full_like(pictures[0], 90)
    for number in range(12):
        results, cards, _ = inference.step(
            [announced(number, pictures[number], "street"), announced(number, empty, "yard")]
        )
        assert [result.frame.camera for result in results] == ["street", "yard"]
        assert results[1].faces == ()
        assert all(card.camera == "street" for card in cards)
    assert results[0].faces


class Counted:
    """Stands before a part of Networks and counts what each call of some of its methods is given."""

    def __init__(self, part: Any, method: str, of: Callable[[Any], int]) -> None:
        self._part, self._method, self._of = part, method, of
        self.calls: list[int] = []

    def __getattr__(self, name: str) -> Any:
        whole = getattr(self._part, name)
        if name != self._method:
            return whole

        def counted(given: Any, *more: Any) -> Any:
            self.calls.append(self._of(given))
            return whole(given, *more)

        return counted


def counted(networks: Networks) -> tuple[Networks, Counted, Counted]:
    detector: Any = Counted(networks.detector, "detect", len)
    evidence: Any = Counted(
        networks.evidence,
        "looks",
        lambda faces: sum(crops_of(face.masked, face.reconstruction is not None) for face in faces),
    )
    return replace(networks, detector=detector, evidence=evidence), detector, evidence


def test_a_step_that_searches_recognises_nobody_and_no_step_recognises_too_much(
    networks: Networks, matcher: Matcher, pictures: list[NDArray[np.uint8]]
) -> None:
    watching, detector, evidence = counted(networks)
    inference = Inference(Settings(), watching, matcher)
    searches = looks = 0
    for number, rgb in enumerate(pictures):
        inference.step([announced(number, rgb)])
        assert not (detector.calls and evidence.calls), f"frame {number}"
        assert sum(evidence.calls) <= 4
        searches, looks = searches + len(detector.calls), looks + len(evidence.calls)
        detector.calls.clear()
        evidence.calls.clear()
    assert searches == FRAMES // 6
    assert looks >= 6


@pytest.mark.parametrize(("cameras", "searched"), [(1, 1), (4, 1), (16, 3)])
def test_of_many_cameras_few_are_searched_in_one_step_and_each_in_turn(
    networks: Networks, matcher: Matcher, cameras: int, searched: int
) -> None:
    watching, detector, _ = counted(networks)
    inference = Inference(Settings(), watching, matcher)
    empty = np.full((120, 160, 3), 90, np.uint8)
    turns = -(-cameras // searched)
    for turn in range(turns):
        inference.step([announced(turn * 50, empty, f"street{n}") for n in range(cameras)])
    assert detector.calls == [searched] * turns


def test_looks_for_the_archive_get_better_and_change_nothing_of_what_is_decided(
    networks: Networks, matcher: Matcher, pictures: list[NDArray[np.uint8]]
) -> None:
    camera = {"name": "street", "url": "rtsp://camera/1"}
    recorded = parse({"cameras": [camera], "recording": {"mode": "continuous"}}, "test")
    for people in (matcher, Matcher(GallerySnapshot.empty(), Calibration.load(), 0.5)):
        plain, kept = (
            Inference(settings, networks, people, lambda: 0, epoch=5) for settings in (Settings(), recorded)
        )
        looks: dict[int, list[FaceLook]] = {}
        for number, rgb in enumerate(pictures):
            results, cards, none = plain.step([announced(number, rgb)])
            same_results, same_cards, found = kept.step([announced(number, rgb)])
            assert (same_results, same_cards, none) == (results, cards, [])
            assert {(result.epoch, result.step) for result in results} == {(5, number + 1)}
            assert results[0].gallery == people.snapshot.version
            for look in found:
                assert look.sequence == number + 1
                assert look.track in {face.track for face in results[0].faces}
                looks.setdefault(look.track, []).append(look)
        assert len(looks) >= 2
        for of_track in looks.values():
            qualities = [look.quality for look in of_track]
            assert all(after > 1.1 * before for before, after in itertools.pairwise(qualities))
            for look in of_track:
                jpeg = cv2.imdecode(np.frombuffer(look.picture_jpeg, np.uint8), cv2.IMREAD_COLOR)
                assert 20 < max(jpeg.shape) <= 320
                assert len(look.embedding) == (512 if look.quality else 0)
                assert look.space == (networks.evidence.space if look.embedding else "")
        assert any(look.embedding for of_track in looks.values() for look in of_track)
