"""Whether a face is worth recognising, and how much it counts in the mean over a track."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.alignment import RECOGNITION_SIZE, recognition_transform, warp

_NOSE_DEPTH = 0.5
"""How far the tip of the nose stands before the eyes, in distances between the eyes; about 30 mm of 63 mm."""

_DARK, _BRIGHT, _FLAT = 28.0, 232.0, 7.0
"""Grey levels: mean of the face below and above which it is unusable, and least standard deviation."""

_ROUNDING = 20 / 12
"""Variance that rounding to whole grey levels (1/12) leaves in the Laplacian (squared weights: 4 x 1 + 16)."""


class Limits(Protocol):
    """Below these a face is not recognised. stream.config.Quality is one."""

    @property
    def min_eye_distance(self) -> float:
        """Pixels."""

    @property
    def max_yaw_degrees(self) -> float:
        """To either side."""

    @property
    def min_sharpness(self) -> float:
        """As Quality.sharpness."""


@dataclass(frozen=True, slots=True)
class Quality:
    """What was measured of one face.

    eye_distance: between the eyes as the picture shows them, pixels.
    yaw: degrees the face is turned to the side, from eyes and nose, without sign.
    sharpness: variance of the Laplacian of the grey 112 x 112 crop, in squared grey levels per pixel,
    for a crop brought to a standard deviation of 50; what the lens, the codec or the enlargement has blurred
    away lowers it.
    brightness, contrast: mean and standard deviation of the middle of the crop, grey levels.
    """

    eye_distance: float
    yaw: float
    sharpness: float
    brightness: float
    contrast: float

    def unfit(self, limits: Limits) -> str | None:
        """Why this face is not worth recognising, or None when it is."""
        if self.eye_distance < limits.min_eye_distance:
            return "too small"
        if self.yaw > limits.max_yaw_degrees:
            return "turned away"
        if self.brightness < _DARK:
            return "too dark"
        if self.brightness > _BRIGHT:
            return "too bright"
        if self.contrast < _FLAT:
            return "no contrast"
        if self.sharpness < limits.min_sharpness:
            return "blurred"
        return None

    @property
    def weight(self) -> float:
        """What this look counts beside others of the same face: 0.05 to 1."""
        size = _ramp(
            self.eye_distance, 6, 34
        )  # as the square of the gap between same and other people's cosines
        pose = _ramp(np.cos(np.radians(min(self.yaw, 90.0))), 0.5, 0.95)
        sharp = _ramp(np.log10(self.sharpness + 1), 1.0, 2.8)
        light = min(_ramp(self.brightness, _DARK / 2, 70), _ramp(255 - self.brightness, 10, 60))
        return max(0.05, size * pose * sharp * light)


def measure(
    picture: NDArray[np.uint8], landmarks: NDArray[np.float32], crop: NDArray[np.uint8] | None = None
) -> Quality:
    """The quality of a face. picture: uint8 RGB [H, W, 3]; landmarks: [5, 2] in its pixels; crop: the face in
    the recognition frame, uint8 RGB [112, 112, 3], when the caller has it already.

    Landmarks that fall together give the quality of no face (eye distance 0), not an error.
    """
    eyes = float(np.hypot(*(landmarks[1] - landmarks[0])))
    if not np.isfinite(landmarks).all() or eyes < 1:
        return Quality(0.0, 90.0, 0.0, 0.0, 0.0)
    if crop is None:
        crop = warp(picture, recognition_transform(landmarks, masked=True), RECOGNITION_SIZE)
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    middle = grey[32:96, 24:88]  # eyes to mouth, free of hair and background
    contrast = float(middle.std())
    edges = cv2.Laplacian(grey, cv2.CV_32F)[32:96, 24:88]
    return Quality(
        eye_distance=eyes,
        yaw=yaw_degrees(landmarks),
        sharpness=max(0.0, float(edges.var()) - _ROUNDING) * (50.0 / max(contrast, 10.0)) ** 2,
        brightness=float(middle.mean()),
        contrast=contrast,
    )


def yaw_degrees(landmarks: NDArray[np.float32]) -> float:
    """How far a face is turned to the side, 0 to 90 degrees, from eyes and nose [>=3, 2].

    With the nose's tip h eye distances before the eyes, turning by a shifts it by h tan(a) of the distance that
    is seen between them, along the line of the eyes. The mouth is left out: under a mask it is invented.
    """
    left, right, nose = (np.asarray(point, np.float64) for point in landmarks[:3])
    line = right - left
    shift = float((nose - (left + right) / 2) @ line) / max(float(line @ line), 1e-9)
    return float(np.degrees(np.arctan(abs(shift) / _NOSE_DEPTH)))


def _ramp(value: float, zero: float, one: float) -> float:
    return float(np.clip((value - zero) / (one - zero), 0.0, 1.0))
