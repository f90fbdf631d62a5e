"""Which masked faces cannot be reconstructed honestly, and why: too little of them is seen to guess from."""

from __future__ import annotations

from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.alignment import FACE_SIZE
from engines.recognition.quality import yaw_degrees

_DARK, _BRIGHT, _FLAT = 28.0, 232.0, 7.0
"""Grey levels of the upper face: mean below and above which it is unusable, and least standard deviation."""

_COVERED = 0.68
"""How bright the bright part of both eye regions is at most, in shares of the skin, when something dark covers them.
Open eyes have lids and skin below them, which are as bright as the rest also where the skin is dark or in shade.
"""

_UPPER = np.s_[8:56, 24:104]  # of the face frame: eyes and forehead
_FOREHEAD, _NOSE = np.s_[2:18, 44:84], np.s_[44:62, 56:72]
_EYES = np.s_[34:54, 30:54], np.s_[34:54, 74:98]


class Limits(Protocol):
    """Beyond these a face is not reconstructed. stream.config.Quality is one."""

    @property
    def min_eye_distance(self) -> float:
        """Pixels."""

    @property
    def max_yaw_degrees(self) -> float:
        """To either side."""


def refusal(crop: NDArray[np.uint8], landmarks: NDArray[np.float32], limits: Limits) -> str | None:
    """Why a masked face is not to be reconstructed, or None when it may be.

    crop: uint8 RGB [128, 128, 3] in the face frame. landmarks: the detector's [5, 2] in pixels of the picture; those
    refined under a mask look straight ahead, also where the face does not. Raises ValueError on another crop.
    """
    if crop.shape != (FACE_SIZE, FACE_SIZE, 3) or crop.dtype != np.uint8:
        raise ValueError(f"crop: must be uint8 [128, 128, 3], found {crop.dtype} {crop.shape}")
    if float(np.hypot(*(landmarks[1] - landmarks[0]))) < limits.min_eye_distance:
        return "too small"
    if yaw_degrees(landmarks) > limits.max_yaw_degrees:
        return "turned away"
    grey = cv2.GaussianBlur(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), (7, 7), 1.2)
    upper = grey[_UPPER]
    brightness = float(upper.mean())
    if brightness < _DARK:
        return "too dark"
    if brightness > _BRIGHT:
        return "too bright"
    if float(upper.std()) < _FLAT:
        return "no contrast"
    return "eyes are covered" if eye_brightness(grey) < _COVERED else None


def eye_brightness(grey: NDArray[np.uint8]) -> float:
    """How bright the brighter of both eye regions is, in shares of the skin: about 1, and far less under sunglasses.

    grey: uint8 [128, 128] in the face frame. Skin is the darker of forehead and nose, for a hat, a fringe or a mask may
    be in the place of either.
    """
    skin = min(float(np.median(grey[_FOREHEAD])), float(np.percentile(grey[_NOSE], 90)))
    return max(float(np.percentile(grey[eye], 80)) for eye in _EYES) / max(skin, 1.0)
