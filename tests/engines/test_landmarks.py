"""Landmarks laid right: better than the detector's under masks, on pictures that no network here learnt from."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engines.alignment import similarity
from engines.backends import Engine, open_engine
from engines.detection.landmarks import CROP_POINTS, CROP_SIZE, LandmarkRefiner, crop_transform
from engines.detection.mtcnn import MTCNN
from engines.faces import Faces
from engines.masks.synthesis import draw_mask
from engines.models import prepare
from stream.config import Settings

PICTURES = Path(__file__).parents[2] / "tools" / "demo" / "pictures"


@cache
def engine(name: str) -> Engine:
    cache_folder = Settings().engines.cache
    return open_engine(prepare(cache_folder, [name])[name], threads=1, cache=cache_folder)


@cache
def detector() -> MTCNN:
    return MTCNN({name: engine(name) for name in ("pnet", "rnet", "onet")}, 80)


def refiner() -> LandmarkRefiner:
    return LandmarkRefiner(engine("landmarks"))


@cache
def face(name: str) -> tuple[NDArray[np.uint8], Faces]:
    picture = cv2.cvtColor(cv2.imread(str(PICTURES / name)), cv2.COLOR_BGR2RGB)
    scale = 500 / max(picture.shape[:2])
    small = np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    found = detector().detect([small])[0]
    return small, found[:1]


def off_by(landmarks: NDArray[np.float32], truth: NDArray[np.float32]) -> float:
    """Mean distance, as a share of the distance between the eyes."""
    return float(np.hypot(*(landmarks - truth).T).mean() / np.hypot(*(truth[1] - truth[0])))


def test_under_masks_they_lie_nearer_to_where_they_are_without_than_the_detectors_do() -> None:
    ours, theirs = [], []
    for name in ("obama.jpg", "biden.jpg", "obama3.jpg", "astronaut.png"):
        picture, bare = face(name)
        truth = refiner().refine(picture, bare.landmarks)[0]
        for seed in range(6):
            masked = draw_mask(picture, truth, np.random.default_rng(seed))[0]
            found = detector().refine([masked], [bare.boxes])[0]
            theirs.append(off_by(found.landmarks[0], truth))
            ours.append(off_by(refiner().refine(masked, found.landmarks)[0], truth))
    assert np.mean(ours) < 0.75 * np.mean(theirs), (np.mean(ours), np.mean(theirs))


def test_it_brings_back_landmarks_that_were_moved_turned_and_enlarged() -> None:
    picture, bare = face("obama.jpg")
    truth = refiner().refine(picture, bare.landmarks)[0]
    middle, eyes = truth.mean(0), np.hypot(*(truth[1] - truth[0]))
    turn = np.radians(8)
    spin = 1.12 * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    moved = ((truth - middle) @ spin.T + middle + 0.15 * eyes).astype(np.float32)
    assert off_by(moved, truth) > 0.15
    assert off_by(refiner().refine(picture, moved[None])[0], truth) < 0.5 * off_by(moved, truth)


def test_several_faces_are_refined_as_each_alone() -> None:
    picture, bare = face("obama.jpg")
    both = np.stack([bare.landmarks[0], bare.landmarks[0] + 3])
    together = refiner().refine(picture, both)
    for points, alone in zip(together, both, strict=True):
        assert np.allclose(points, refiner().refine(picture, alone[None])[0], atol=0.05)


def test_no_face_and_points_that_fall_together_are_no_error() -> None:
    picture, _ = face("obama.jpg")
    assert refiner().refine(picture, np.zeros((0, 5, 2), np.float32)).shape == (0, 5, 2)
    one_point = np.full((1, 5, 2), 40, np.float32)
    assert np.array_equal(refiner().refine(picture, one_point), one_point)


@pytest.mark.parametrize("scale", [0.2, 1.0, 5.0])
def test_the_crop_holds_the_face_at_one_size(scale: float) -> None:
    transform = crop_transform(CROP_POINTS * np.float32(scale) + 7)
    assert np.allclose(similarity(CROP_POINTS * np.float32(scale) + 7, CROP_POINTS), transform)
    assert float(np.hypot(transform[0, 0], transform[1, 0])) == pytest.approx(1 / scale, rel=1e-4)
    assert CROP_POINTS.min() > 25
    assert CROP_POINTS.max() < CROP_SIZE - 25
