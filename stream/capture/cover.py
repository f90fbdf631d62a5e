"""Privacy zones: parts of a camera's picture that are black before anything but the decoder has seen them."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from stream.config import Settings

_BLACK = 16  # luma of limited range
_GREY = 128  # chroma of no colour

Point = tuple[float, float]


class Cover:
    """The privacy zones of one camera. zones: corners as shares of width and height."""

    def __init__(self, zones: Sequence[Sequence[Point]]) -> None:
        self._zones = [np.array(zone, np.float64) for zone in zones]

    @classmethod
    def of(cls, settings: Settings, camera: str) -> Cover | None:
        """The cover of a camera; None when it has no zones."""
        zones = [zone.points for zone in settings.privacy.zones if zone.camera == camera]
        return cls(zones) if zones else None

    def over(self, i420: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A copy of a picture, uint8 I420 [H * 3 / 2, W], with the zones black, their edges too."""
        covered = np.array(i420, np.uint8, order="C")
        rows, width = covered.shape
        height = rows * 2 // 3
        luma, chroma = covered[:height], covered[height:].reshape(2, height // 2, width // 2)
        for zone in self._zones:
            _fill(luma, zone, _BLACK)
            for plane in chroma:
                _fill(plane, zone, _GREY)
        return covered


def _fill(plane: NDArray[np.uint8], zone: NDArray[np.float64], value: int) -> None:
    height, width = plane.shape
    corners = np.rint(zone * (width - 1, height - 1)).astype(np.int32)
    cv2.fillPoly(plane, [corners], value)
    cv2.polylines(plane, [corners], True, value, 2)  # a pixel that a zone touches belongs to it
