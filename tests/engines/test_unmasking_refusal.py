"""Faces that cannot be reconstructed honestly are refused, with the reason, and others are not."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from recognition_networks import PICTURES, detector

from engines.alignment import FACE_POINTS, FACE_SIZE, face_transform, warp
from engines.unmasking.refusal import refusal
from stream.config import Quality as Limits

Pixels = NDArray[np.uint8]
NAMES = "obama.jpg", "obama3.jpg", "biden.jpg", "astronaut.png"
MASKS = {"white": (240, 240, 240), "blue": (120, 170, 210), "black": (12, 12, 14)}
LANDMARKS = FACE_POINTS.copy()


@lru_cache
def face(name: str) -> Pixels:
    """A photographed face in the face frame."""
    picture = cv2.cvtColor(cv2.imread(str(PICTURES / name)), cv2.COLOR_BGR2RGB)
    scale = 640 / max(picture.shape[:2])
    picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return warp(picture, face_transform(detector().detect([picture])[0].landmarks[0]), FACE_SIZE)


def masked(crop: Pixels, mask: str) -> Pixels:
    worn = crop.copy()
    cv2.ellipse(worn, (64, 98), (46, 38), 0, 0, 360, MASKS[mask], -1, cv2.LINE_AA)
    return worn


def with_sunglasses(crop: Pixels, eyes: tuple[int, ...] = (42, 86), glint: int = 90) -> Pixels:
    """Dark lenses with the reflection of a window and a thin frame."""
    worn = crop.copy()
    for x in eyes:
        cv2.ellipse(worn, (x, 43), (18, 14), 0, 0, 360, (24, 22, 26), -1, cv2.LINE_AA)
        cv2.line(worn, (x - 8, 36), (x - 3, 46), (glint, glint, glint), 3, cv2.LINE_AA)
    cv2.line(worn, (58, 40), (70, 40), (24, 22, 26), 3, cv2.LINE_AA)
    return worn


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("name", NAMES)
def test_an_ordinary_masked_face_is_not_refused(name: str, mask: str) -> None:
    assert refusal(masked(face(name), mask), LANDMARKS, Limits()) is None


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("name", NAMES)
def test_sunglasses_over_a_mask_are_refused(name: str, mask: str) -> None:
    assert refusal(with_sunglasses(masked(face(name), mask)), LANDMARKS, Limits()) == "eyes are covered"


@pytest.mark.parametrize("light", [0.45, 0.7, 1.25])
def test_neither_dark_skin_nor_poor_light_is_taken_for_sunglasses(light: float) -> None:
    for name in NAMES:
        crop = np.clip(masked(face(name), "blue") * light, 0, 255).astype(np.uint8)
        assert refusal(crop, LANDMARKS, Limits()) is None
        assert refusal(with_sunglasses(crop, glint=60), LANDMARKS, Limits()) == "eyes are covered"


def test_one_eye_that_is_seen_is_enough() -> None:
    crop = masked(face("obama.jpg"), "blue")
    assert refusal(with_sunglasses(crop, eyes=(42,)), LANDMARKS, Limits()) is None
    assert refusal(with_sunglasses(crop, eyes=(86,)), LANDMARKS, Limits()) is None


def test_a_light_hat_or_dark_hair_over_the_forehead_covers_no_eyes() -> None:
    for colour in ((250, 250, 245), (15, 12, 10)):
        crop = masked(face("astronaut.png"), "blue")
        crop[:22] = colour
        assert refusal(crop, LANDMARKS, Limits()) is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda p: (p * 0.05).astype(np.uint8), "too dark"),
        (lambda p: (248 + p * 0.02).astype(np.uint8), "too bright"),
        (lambda p: (120 + p * 0.05).astype(np.uint8), "no contrast"),
    ],
)
def test_bad_light_on_the_upper_face_is_named_whatever_the_mask(change, reason: str) -> None:  # type: ignore[no-untyped-def]
    for mask in MASKS:
        assert refusal(masked(change(face("obama.jpg")), mask), LANDMARKS, Limits()) == reason


def test_a_face_that_is_too_small_or_turned_away_is_refused_at_the_limits_of_the_settings() -> None:
    crop, eyes = masked(face("obama.jpg"), "blue"), float(np.hypot(*(LANDMARKS[1] - LANDMARKS[0])))
    small = LANDMARKS * np.float32(17 / eyes)
    assert refusal(crop, small, Limits()) == "too small"
    assert refusal(crop, small, Limits(min_eye_distance=16)) is None
    turned = LANDMARKS.copy()
    turned[2, 0] += 0.5 * eyes  # by 45 degrees, with the tip of the nose half an eye distance before the eyes
    assert refusal(crop, turned, Limits()) == "turned away"
    assert refusal(crop, turned, Limits(max_yaw_degrees=50)) is None


@pytest.mark.parametrize("crop", [np.zeros((64, 64, 3), np.uint8), np.zeros((128, 128, 3), np.float32)])
def test_a_wrong_crop_is_named(crop: NDArray[np.generic]) -> None:
    with pytest.raises(ValueError, match="crop: must be uint8"):
        refusal(crop, LANDMARKS, Limits())  # type: ignore[arg-type]
