"""The camera of the demo clip and the air it looks through: perspective, haze, smooth noise.

Metres: x to the right, y up from the ground, z away from the camera.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Field = NDArray[np.float32]
Colour = tuple[int, int, int]

HAZE: Final = np.array([223.0, 222.0, 216.0], np.float32)
_CLEAR_TO: Final = 6.0
_REACH: Final = 95.0


@dataclass(frozen=True, slots=True)
class View:
    """A pinhole camera that looks along z, with its picture plane shifted instead of tilted: verticals stay so."""

    width: int
    height: int

    @property
    def focal(self) -> float:
        """Pixels a metre at one metre."""
        return 1400.0 * self.height / 720

    @property
    def centre(self) -> float:
        """x of the vanishing point, pixels."""
        return 0.53 * self.width

    @property
    def horizon(self) -> float:
        """y of the horizon, pixels."""
        return 0.36 * self.height

    @property
    def eye(self) -> float:
        """Height of the camera, metres."""
        return 1.75

    def project(self, x: float, y: float, z: float) -> tuple[float, float]:
        """Metres to pixels."""
        return self.centre + self.focal * x / z, self.horizon + self.focal * (self.eye - y) / z


def haziness(z: float) -> float:
    """How much of a colour is lost at a distance, 0 to 1."""
    return 1 - float(np.exp(-max(z - _CLEAR_TO, 0) / _REACH))


def hazy(colour: tuple[float, ...] | Field, z: float) -> list[float]:
    """A colour, RGB, as it is seen at a distance, for OpenCV's drawing functions."""
    share = haziness(z)
    seen: list[float] = (np.asarray(colour) * (1 - share) + HAZE * share).tolist()
    return seen


def fade(colours: Field, z: Field) -> Field:
    """Colours [..., 3] as they are seen at the distances z [...]."""
    share = (1 - np.exp(-np.maximum(z - _CLEAR_TO, 0) / _REACH)).astype(np.float32)[..., None]
    return colours * (1 - share) + HAZE * share


def waves(length: int, rng: np.random.Generator, wavelength: float) -> Field:
    """Smooth noise around 0, float32 [length], about -2 to 2."""
    knots = rng.normal(0, 1, (1, max(4, int(length / wavelength) + 3))).astype(np.float32)
    return cv2.resize(knots, (length, 1), interpolation=cv2.INTER_CUBIC)[0]


def clouds(shape: tuple[int, int], rng: np.random.Generator, octaves: int, cells: int) -> Field:
    """Fractal noise around 0, float32 of that shape."""
    total = np.zeros(shape, np.float32)
    for octave in range(octaves):
        n = cells * 2**octave
        grid = rng.normal(0, 1, (max(2, n * shape[0] // shape[1] + 2), n + 2)).astype(np.float32)
        total += cv2.resize(grid, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC) / 2**octave
    return total


def fixed_point(points: NDArray[np.float64] | list[tuple[float, float]]) -> NDArray[np.int32]:
    """Points [N, 2] as OpenCV's drawing functions take them with `shift` 3: eighths of a pixel."""
    return (np.asarray(points) * 8).astype(np.int32)
