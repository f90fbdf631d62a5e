"""Is a mask worn, worn wrongly, or not there? A small network over the detector's boxes."""

from __future__ import annotations

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from engines.alignment import warp
from engines.unmasking.generator import Run

CROP_SIZE = 80
MARGIN = 1.3
"""Side of the crop over the longer side of the box: some hair and neck tell a chin mask from a collar."""


class MaskState(StrEnum):
    """In the order of the network's output."""

    NONE = "none"
    WORN = "worn"
    WORN_WRONGLY = "worn_wrongly"


STATES = tuple(MaskState)


def crop(picture: NDArray[np.uint8], box: NDArray[np.floating]) -> NDArray[np.uint8]:
    """The classifier's view of a face: uint8 RGB [80, 80, 3].

    picture: uint8 RGB [H, W, 3]. box: (x1, y1, x2, y2) in pixels; the crop is a square around its middle,
    mirrored beyond the picture's edge. Raises ValueError when the box is empty.
    """
    return warp(picture, crop_transform(box), CROP_SIZE)


def crop_transform(box: NDArray[np.floating]) -> NDArray[np.float32]:
    """Float32 [2, 3], from the pixels of a picture to those of `crop`. Raises ValueError when the box is empty."""
    x1, y1, x2, y2 = (float(v) for v in box[:4])
    side = MARGIN * max(x2 - x1, y2 - y1)
    if not side > 0:
        raise ValueError(f"box: must have a width and a height, found {x1:.1f}, {y1:.1f}, {x2:.1f}, {y2:.1f}")
    scale = CROP_SIZE / side
    shift = CROP_SIZE / 2 - 0.5 - scale * (np.array([x1 + x2, y1 + y2]) / 2 - 0.5)
    return np.array([[scale, 0, shift[0]], [0, scale, shift[1]]], np.float32)


class MaskStateClassifier:
    """Runs the network `maskstate` over crops."""

    def __init__(self, engine: Run) -> None:
        self._engine = engine

    def classify(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Calibrated probabilities float32 [N, 3] in the order of STATES; rows sum to 1.

        crops: uint8 RGB [N, 80, 80, 3] from `crop`; N may be 0. Raises ValueError on another shape or dtype.
        """
        if crops.ndim != 4 or crops.shape[1:] != (CROP_SIZE, CROP_SIZE, 3) or crops.dtype != np.uint8:
            raise ValueError(f"crops: must be uint8 [N, 80, 80, 3], found {crops.dtype} {crops.shape}")
        if not len(crops):
            return np.zeros((0, len(STATES)), np.float32)
        return self._engine(np.ascontiguousarray(crops.transpose(0, 3, 1, 2), np.float32))[0]
