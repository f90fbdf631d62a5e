"""Faces on photographs, which may be far larger than a camera's pictures."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.detection.detectors import Detector
from engines.faces import Faces

SMALLEST_FACE = 24
"""Pixels, for detectors: looked for smaller than is needed, so that it can be said of a face that it is too small."""
_LONGEST_SIDE = 1280


def find_faces(detector: Detector, pixels: NDArray[np.uint8]) -> Faces:
    """The faces on a photograph, uint8 RGB [H, W, 3], most certain first, in its own pixels."""
    small = reduced(pixels)
    found = detector.detect([small])[0]
    factor = np.array([pixels.shape[1] / small.shape[1], pixels.shape[0] / small.shape[0]], np.float32)
    return Faces(found.boxes * np.tile(factor, 2), found.scores, found.landmarks * factor)


def reduced(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The same picture, uint8 RGB [H, W, 3], of a size that is quickly searched."""
    scale = _LONGEST_SIDE / max(pixels.shape[:2])
    if scale >= 1:
        return pixels
    size = max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
