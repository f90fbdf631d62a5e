"""Quality of a face, and the embedder's frame, on the committed pictures."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from recognition_networks import PICTURES, detector, embedder, engine

from engines.alignment import FACE_SIZE, RECOGNITION_SIZE, face_transform, recognition_transform, warp
from engines.recognition.embedder import SFace, embedding_space, laid, unit, unmasked_crop
from engines.recognition.quality import measure, yaw_degrees
from stream.config import Quality as Limits

Picture = NDArray[np.uint8]


def read(name: str) -> tuple[Picture, NDArray[np.float32]]:
    picture = cv2.cvtColor(cv2.imread(str(PICTURES / name)), cv2.COLOR_BGR2RGB)
    scale = 640 / max(picture.shape[:2])
    picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return picture, detector().detect([picture])[0].landmarks[0]


@pytest.fixture(scope="module")
def obama() -> tuple[Picture, NDArray[np.float32]]:
    return read("obama.jpg")


@pytest.mark.parametrize("name", ["obama.jpg", "obama3.jpg", "biden.jpg", "astronaut.png"])
def test_a_good_photograph_is_fit(name: str) -> None:
    quality = measure(*read(name))
    assert quality.unfit(Limits()) is None and quality.weight > 0.5


def test_a_small_face_is_too_small_and_its_eye_distance_is_right(
    obama: tuple[Picture, NDArray[np.float32]],
) -> None:
    picture, landmarks = obama
    factor = 12 / np.hypot(*(landmarks[1] - landmarks[0]))
    small = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    quality = measure(small, landmarks * np.float32(factor))
    assert quality.eye_distance == pytest.approx(12, abs=0.01) and quality.unfit(Limits()) == "too small"


def test_more_blur_is_always_less_sharp_and_at_last_unfit(obama: tuple[Picture, NDArray[np.float32]]) -> None:
    picture, landmarks = obama
    eyes = float(np.hypot(*(landmarks[1] - landmarks[0])))
    found = [measure(picture, landmarks)] + [
        measure(cv2.GaussianBlur(picture, (0, 0), eyes * share), landmarks)
        for share in (0.02, 0.05, 0.1, 0.2)
    ]
    sharpness, weight = [q.sharpness for q in found], [q.weight for q in found]
    assert sharpness == sorted(sharpness, reverse=True) and weight == sorted(weight, reverse=True)
    assert found[0].unfit(Limits()) is None and found[-1].unfit(Limits()) == "blurred"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda p: (p * 0.05).astype(np.uint8), "too dark"),
        (lambda p: (250 + p * 0.02).astype(np.uint8), "too bright"),
        (lambda p: (120 + p * 0.05).astype(np.uint8), "no contrast"),
    ],
)
def test_bad_light_is_named(obama: tuple[Picture, NDArray[np.float32]], change, reason: str) -> None:  # type: ignore[no-untyped-def]
    assert measure(change(obama[0]), obama[1]).unfit(Limits()) == reason


@pytest.mark.parametrize("degrees", [0, 10, 25, 40, 60])
@pytest.mark.parametrize("roll", [-30, 0, 45])
def test_the_yaw_of_a_turned_head_is_found_whatever_its_roll(degrees: float, roll: float) -> None:
    head = np.array([[-0.5, 0, 0], [0.5, 0, 0], [0, 0.6, 0.5]])  # eyes and tip of the nose, in eye distances
    turn, tilt = np.radians(degrees), np.radians(roll)
    seen = head @ np.array([[np.cos(turn), 0, -np.sin(turn)], [0, 1, 0], [np.sin(turn), 0, np.cos(turn)]])
    points = seen[:, :2] @ np.array([[np.cos(tilt), np.sin(tilt)], [-np.sin(tilt), np.cos(tilt)]]) * 40 + 100
    assert yaw_degrees(points.astype(np.float32)) == pytest.approx(degrees, abs=0.1)


def test_a_head_turned_beyond_the_limit_is_turned_away(obama: tuple[Picture, NDArray[np.float32]]) -> None:
    picture, landmarks = obama
    turned = landmarks.copy()
    turned[2] = turned[1]  # the nose before the far eye
    assert measure(picture, turned).unfit(Limits()) == "turned away"


@pytest.mark.parametrize("landmarks", [np.zeros((5, 2)), np.full((5, 2), np.nan)])
def test_landmarks_that_are_none_are_no_face_and_no_error(landmarks: NDArray[np.float64]) -> None:
    quality = measure(np.zeros((50, 50, 3), np.uint8), landmarks.astype(np.float32))
    assert quality.unfit(Limits()) == "too small" and quality.weight == 0.05


# the embedder


def test_one_person_is_nearer_to_himself_than_to_others() -> None:
    names = ["obama.jpg", "obama3.jpg", "biden.jpg", "astronaut.png"]
    crops = np.stack([warp(p, recognition_transform(lm), RECOGNITION_SIZE) for p, lm in map(read, names)])
    embeddings = embedder().embed(crops)
    assert embeddings.dtype == np.float32 and np.allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)
    alike = embeddings @ embeddings.T
    assert alike[0, 1] > 0.6 and alike[0, 2:].max() < 0.3 and alike[1, 2:].max() < 0.3
    assert np.allclose(
        embeddings[:1], embedder().embed(crops[:1]), atol=1e-4
    )  # whatever else is in the batch


@pytest.mark.parametrize(
    "crops",
    [
        np.zeros((1, 112, 112, 3), np.float32),
        np.zeros((1, 3, 112, 112), np.uint8),
        np.zeros((0, 112, 112, 3), np.uint8),
    ],
)
def test_crops_of_another_shape_or_type_are_refused(crops: NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match=r"crops: must be uint8 \[N, 112, 112, 3\], found"):
        embedder().embed(crops)


def test_vectors_without_direction_become_zero_and_not_nan() -> None:
    vectors = unit(np.array([[3.0, 4.0], [0.0, 0.0], [np.nan, 1.0], [np.inf, 1.0]]))
    assert np.allclose(vectors, [[0.6, 0.8], [0, 0], [0, 0], [0, 0]])


def test_the_space_is_named_by_the_weights_and_not_by_the_file_around_them() -> None:
    assert SFace(engine("sface")).space == embedding_space("sface", "another file with the same weights")
    assert embedding_space("student", "a" * 64) == "student:" + "a" * 64


@pytest.mark.parametrize("masked", [True, False])
def test_a_reconstruction_is_put_exactly_where_it_came_from(
    obama: tuple[Picture, NDArray[np.float32]], masked: bool
) -> None:
    picture, landmarks = obama
    raw = warp(picture, recognition_transform(landmarks, masked), RECOGNITION_SIZE)
    untouched = warp(picture, face_transform(landmarks), FACE_SIZE)
    joined = unmasked_crop(raw, laid(untouched, landmarks, masked))
    assert np.abs(joined.astype(int) - raw).mean() < 2.5
    shifted = unmasked_crop(raw, laid(np.roll(untouched, 3, axis=1), landmarks, masked))
    assert np.abs(shifted.astype(int) - raw).mean() > 2 * np.abs(joined.astype(int) - raw).mean()
    assert embedder().embed(np.stack([raw, joined])).prod(0).sum() > 0.97
