"""Faces over time, on made-up walks."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.faces import Faces
from stream.tracking import Tracker, iou

FRAME_NS = 40_000_000


def faces(*boxes: tuple[float, float, float, float], score: float = 0.99) -> Faces:
    array = np.array(boxes, np.float32).reshape(-1, 4)
    centres = (array[:, :2] + array[:, 2:]) / 2
    landmarks = np.repeat(centres[:, None], 5, axis=1)
    return Faces(array, np.full(len(array), score, np.float32), landmarks)


def at(x: float, y: float = 100, size: float = 60) -> tuple[float, float, float, float]:
    return (x, y, x + size, y + size)


def tracker() -> Tracker:
    return Tracker(lost_after_ms=400, min_score=0.6)


def walk(followed: Tracker, x: float, frame: int) -> None:
    now = frame * FRAME_NS
    if frame % 6 == 0:
        followed.search(faces(at(x)), now)
    else:
        followed.follow(faces(at(x)), now)


def test_a_walking_face_keeps_its_number_and_is_expected_where_it_goes() -> None:
    followed = tracker()
    for frame in range(20):
        walk(followed, 100 + 8 * frame, frame)
    assert [track.id for track in followed.tracks] == [1]
    expected = followed.expected(20 * FRAME_NS)[0]
    assert expected[0] == pytest.approx(100 + 8 * 20, abs=2)


def test_a_face_that_is_not_seen_coasts_and_then_is_forgotten() -> None:
    followed = tracker()
    for frame in range(12):
        walk(followed, 100 + 5 * frame, frame)
    unseen = faces(at(0), score=0.1)
    followed.follow(unseen, 12 * FRAME_NS)
    assert not followed.tracks[0].visible
    assert followed.tracks[0].box[0] > 100 + 5 * 11
    for frame in range(13, 23):
        followed.follow(faces(*[at(0)] * len(followed.tracks), score=0.1), frame * FRAME_NS)
    assert followed.tracks == []


def test_a_face_found_again_after_coasting_continues_its_track() -> None:
    followed = tracker()
    for frame in range(12):
        walk(followed, 100 + 5 * frame, frame)
    for frame in range(12, 18):
        followed.follow(faces(at(0), score=0.1), frame * FRAME_NS)
    followed.search(faces(at(100 + 5 * 18)), 18 * FRAME_NS)
    assert [(track.id, track.visible) for track in followed.tracks] == [(1, True)]


def test_when_one_walks_before_another_the_hidden_track_coasts_and_comes_back() -> None:
    followed = tracker()
    near, far = (lambda n: 100 + 10.0 * n), (lambda n: 300 - 10.0 * n)
    followed.search(faces(at(near(0)), at(far(0))), 0)
    for n in range(1, 18):
        hidden = 7 <= n <= 13
        followed.follow(faces(at(near(n)), at(near(n) if hidden else far(n))), n * FRAME_NS)
        assert [track.visible for track in followed.tracks] == [True, not hidden], n
    assert [track.box[0] for track in followed.tracks] == [near(17), far(17)]


def test_a_new_face_gets_a_new_number_and_numbers_are_never_used_twice() -> None:
    followed = tracker()
    followed.search(faces(at(100)), 0)
    followed.search(faces(at(100), at(400)), FRAME_NS)
    assert [track.id for track in followed.tracks] == [1, 2]
    followed.search(Faces.none(), 20 * FRAME_NS)
    followed.search(faces(at(100)), 21 * FRAME_NS)
    assert [track.id for track in followed.tracks] == [3]


def test_after_a_gap_in_which_nobody_looked_whoever_stands_there_is_somebody_new() -> None:
    followed = tracker()
    followed.search(faces(at(100)), 0)
    followed.forget(401_000_000)
    followed.search(faces(at(100)), 401_000_000)
    assert [track.id for track in followed.tracks] == [2]
    followed.forget(801_000_000)
    assert [track.id for track in followed.tracks] == [2], "unseen for no longer than a face may be"


def test_a_doubtful_find_on_a_certain_face_is_not_a_face_of_its_own_until_that_one_walks_away() -> None:
    followed = tracker()
    face_, collar = at(100, 100), at(105, 130, 50)
    both = faces(face_, collar)
    followed.search(Faces(both.boxes, np.array([0.99, 0.75], np.float32), both.landmarks), 0)
    assert [track.id for track in followed.clear()] == [1]
    apart = faces(at(160, 100), collar)
    followed.follow(Faces(apart.boxes, np.array([0.99, 0.75], np.float32), apart.landmarks), FRAME_NS)
    followed.search(Faces(apart.boxes, np.array([0.99, 0.75], np.float32), apart.landmarks), 2 * FRAME_NS)
    assert 2 in {track.id for track in followed.clear()}


def test_two_certain_faces_that_overlap_are_both_faces() -> None:
    followed = tracker()
    followed.search(faces(at(100), at(130)), 0)
    assert len(followed.clear()) == 2


def test_overlap_of_boxes_is_their_intersection_over_their_union() -> None:
    a: NDArray[np.float32] = np.array([[0, 0, 10, 10]], np.float32)
    b: NDArray[np.float32] = np.array([[5, 0, 15, 10], [20, 20, 30, 30], [0, 0, 10, 10]], np.float32)
    assert iou(a, b)[0] == pytest.approx([1 / 3, 0, 1])


def test_faces_that_touch_are_told_and_a_track_that_passed_to_another_face_gets_a_new_number() -> None:
    followed = tracker()
    followed.search(faces(at(100), at(140), at(400)), 0)
    left, right, _ = (track.id for track in followed.tracks)
    assert followed.touching() == {left, right}
    for frame, apart in enumerate((10, 20, 30), 1):
        followed.follow(faces(at(100 - apart), at(140 + apart), at(400)), frame * FRAME_NS)
    assert followed.touching() == set()
    last = followed.tracks[2]
    followed.renumber(last)
    assert last.id == followed.next_id - 1 and last.id not in (left, right)
    followed.search(faces(at(60), at(180), at(400), at(600)), 4 * FRAME_NS)
    assert [track.id for track in followed.tracks] == [left, right, last.id, last.id + 1]
