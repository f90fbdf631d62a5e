"""The detector's parts, and what it does with several pictures, given boxes and bad input."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engines.backends import open_engine
from engines.detection import boxes as geometry
from engines.detection.area import AreaSampler, few_crops
from engines.detection.mtcnn import MTCNN, NETWORKS
from engines.models import prepare

PICTURES = Path(__file__).resolve().parents[2] / "tools" / "demo" / "pictures"


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> MTCNN:
    models = prepare(tmp_path_factory.mktemp("engines"), NETWORKS)
    return MTCNN({name: open_engine(model, "openvino") for name, model in models.items()})


@pytest.fixture(scope="module")
def astronaut() -> NDArray[np.uint8]:
    picture = cv2.cvtColor(cv2.imread(str(PICTURES / "astronaut.png")), cv2.COLOR_BGR2RGB)
    return np.asarray(picture, np.uint8)


def _area(picture: NDArray[np.uint8], height: int, width: int) -> NDArray[np.float32]:
    tensor = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float()
    return np.asarray(torch.nn.functional.interpolate(tensor, (height, width), mode="area")[0], np.float32)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 90), st.integers(1, 90), st.integers(1, 60), st.integers(1, 60), st.integers(0, 2**32 - 1)
)
def test_levels_are_torch_area_resampling(h: int, w: int, height: int, width: int, seed: int) -> None:
    picture = np.random.default_rng(seed).integers(0, 256, (h, w, 3), np.uint8)
    found = AreaSampler(picture).level(height, width)
    np.testing.assert_allclose(found, _area(picture, height, width), rtol=1e-6, atol=1e-4)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_crops_are_torch_area_resampling_of_each_window(data: st.DataObject) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (70, 110, 3), np.uint8)
    windows = []
    for _ in range(data.draw(st.integers(1, 6))):
        x1, y1 = data.draw(st.integers(0, 109)), data.draw(st.integers(0, 69))
        windows.append((x1, y1, data.draw(st.integers(x1 + 1, 110)), data.draw(st.integers(y1 + 1, 70))))
    size = data.draw(st.sampled_from([24, 48]))
    found = AreaSampler(picture).crops(np.array(windows), size)
    for crop, (x1, y1, x2, y2) in zip(found, windows, strict=True):
        np.testing.assert_allclose(crop, _area(picture[y1:y2, x1:x2], size, size), rtol=1e-6, atol=1e-4)
    np.testing.assert_array_equal(few_crops(picture, np.array(windows), size), found)


def test_the_table_of_sums_may_wrap_in_a_large_bright_picture() -> None:
    picture = np.full((3000, 3000, 3), 255, np.uint8)
    assert (AreaSampler(picture).level(40, 50) == 255).all()


def test_a_box_at_exactly_the_limit_stays() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 5], [0, 0, 10, 6], [0, 0, 10, 10]], np.float32)
    scores = np.array([0.9, 0.8, 0.7, 0.95], np.float32)
    groups = np.array([0, 0, 0, 1])
    assert geometry.suppress(boxes, scores, groups, 0.5).tolist() == [3, 0, 1]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_suppression_of_contained_boxes_is_the_greedy_one(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    corner, size = rng.uniform(0, 60, (count, 2)), rng.uniform(5, 40, (count, 2))
    boxes = np.hstack([corner, corner + size]).astype(np.float32)
    scores, groups = rng.permutation(count).astype(np.float32), rng.integers(0, 2, count)
    kept: list[int] = []
    for i in np.argsort(-scores):
        if all(groups[i] != groups[k] or _over_smaller(boxes[i], boxes[k]) <= 0.7 for k in kept):
            kept.append(int(i))
    assert geometry.suppress_contained(boxes, scores, groups, 0.7).tolist() == kept


def _over_smaller(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    size = np.maximum(0, np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]) + 1)
    return float(size.prod() / min((a[2:] - a[:2] + 1).prod(), (b[2:] - b[:2] + 1).prod()))


def test_pictures_of_different_sizes_in_one_call_give_what_each_gives_alone(
    detector: MTCNN, astronaut: NDArray[np.uint8]
) -> None:
    empty = np.full((90, 120, 3), 128, np.uint8)
    pictures = [astronaut, empty, astronaut[:300, 50:400], astronaut[:, ::-1]]
    together = detector.detect(pictures)
    assert [len(faces) for faces in together] == [1, 0, 1, 1]
    for picture, faces in zip(pictures, together, strict=True):
        (alone,) = detector.detect([picture])
        np.testing.assert_allclose(faces.boxes, alone.boxes, atol=1e-2)
        np.testing.assert_allclose(faces.landmarks, alone.landmarks, atol=1e-2)


def test_landmarks_come_as_eyes_nose_mouth_from_left_to_right(
    detector: MTCNN, astronaut: NDArray[np.uint8]
) -> None:
    (faces,) = detector.detect([astronaut])
    left_eye, right_eye, nose, left_mouth, right_mouth = faces.landmarks[0]
    assert left_eye[0] < nose[0] < right_eye[0] and left_mouth[0] < right_mouth[0]
    assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])
    x1, y1, x2, y2 = faces.boxes[0]
    assert ((faces.landmarks[0] > (x1, y1)) & (faces.landmarks[0] < (x2, y2))).all()


def test_refining_finds_a_face_that_has_moved(detector: MTCNN, astronaut: NDArray[np.uint8]) -> None:
    (faces,) = detector.detect([astronaut])
    shifted = faces.boxes + np.array([9, -7, 9, -7], np.float32)
    nowhere = np.array([[20, 330, 100, 410]], np.float32)
    (refined,) = detector.refine([astronaut], [np.vstack([nowhere, shifted])])
    assert refined.scores[0] < 0.3 < 0.95 < refined.scores[1]
    side = faces.boxes[0, 2] - faces.boxes[0, 0]
    assert np.abs(refined.boxes[1] - faces.boxes[0]).max() < 0.1 * side
    assert np.abs(refined.landmarks[1] - faces.landmarks[0]).max() < 0.05 * side


def test_refining_keeps_the_order_of_pictures_and_boxes(
    detector: MTCNN, astronaut: NDArray[np.uint8]
) -> None:
    box = detector.detect([astronaut])[0].boxes
    outside = np.array([[-90, -90, -40, -20]], np.float32)
    none = np.zeros((0, 4), np.float32)
    first, second, third = detector.refine([astronaut] * 3, [np.vstack([outside, box]), none, box])
    assert (len(first), len(second), len(third)) == (2, 0, 1)
    assert first.scores[0] == 0 and (first.boxes[0] == outside[0]).all()
    assert (first.landmarks[0] == (-65, -55)).all()
    np.testing.assert_allclose(first.boxes[1], third.boxes[0], atol=1e-3)
    assert third.scores[0] > 0.95


def test_a_street_without_people_and_no_picture_at_all(detector: MTCNN) -> None:
    assert detector.detect([]) == []
    assert [len(f) for f in detector.detect([np.zeros((20, 20, 3), np.uint8)])] == [0]
    assert detector.refine([], []) == []


def test_a_picture_of_the_wrong_kind_is_refused(detector: MTCNN) -> None:
    with pytest.raises(ValueError) as error:
        detector.detect([np.zeros((48, 64), np.uint8)])
    assert str(error.value) == "picture: must be uint8 [H, W, 3] and not empty, found uint8 [48, 64]"
    with pytest.raises(ValueError, match=r"boxes: the shape must be \[K, 4\], found \[4\]"):
        detector.refine([np.zeros((48, 64, 3), np.uint8)], [np.zeros(4)])
    with pytest.raises(ValueError, match="boxes: one array a picture is needed, found 0 for 1"):
        detector.refine([np.zeros((48, 64, 3), np.uint8)], [])


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="min_face: must be at least 12 pixels, found 5"):
        MTCNN({}, min_face=5)
    with pytest.raises(ValueError, match="thresholds: must be three numbers from 0 to 1, found"):
        MTCNN({}, thresholds=(0.6, 0.7, 1.7))
    with pytest.raises(ValueError, match=r"factor: must lie between 0 and 1, found 1\.0"):
        MTCNN({}, factor=1.0)
