"""A sharp photograph made to look as a camera on a wall would have seen it, for fitting and measuring.

One `Look` is what stays the same while a person walks through the picture (distance, lens, light, codec); each
frame then draws its own noise and motion.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Look:
    """How one camera sees one person.

    eye_distance: pixels between the eyes. blur, sharpen: sigma in pixels and strength of the camera's own
    sharpening. gain, gamma, cast: light, its curve and its colour (factor by channel). noise: sigma in grey
    levels. quality: of the codec, 0..100. turn: width the face keeps when turned a little. roll: degrees.
    bias: error that the detector makes on all frames alike, in eye distances [5, 2].
    """

    eye_distance: float
    blur: float
    sharpen: float
    gain: float
    gamma: float
    cast: tuple[float, float, float]
    grey: bool
    noise: float
    quality: int
    turn: float
    roll: float

    @classmethod
    def draw(cls, rng: np.random.Generator, smallest: float = 12.0, largest: float = 56.0) -> Look:
        """One at random; eye distances log-uniform between the two bounds, in pixels."""
        cast = np.clip(rng.normal(1.0, 0.06, 3), 0.8, 1.2)
        return cls(
            eye_distance=float(np.exp(rng.uniform(np.log(smallest), np.log(largest)))),
            blur=float(abs(rng.normal(0, 0.7))),
            sharpen=float(max(0.0, rng.normal(0.2, 0.4))),
            gain=float(np.exp(rng.normal(0, 0.25))),
            gamma=float(np.exp(rng.normal(0, 0.25))),
            cast=(float(cast[0]), float(cast[1]), float(cast[2])),
            grey=bool(rng.random() < 0.12),
            noise=float(rng.gamma(1.5, 3.0)),
            quality=int(rng.integers(18, 85)),
            turn=float(rng.uniform(0.82, 1.0)),
            roll=float(rng.normal(0, 7)),
        )

    def see(
        self, picture: NDArray[np.uint8], landmarks: NDArray[np.float32], rng: np.random.Generator
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """One frame: a small square uint8 RGB picture around the face, and the affine transform float32 [2, 3] that
        takes points of the photograph there. landmarks: [5, 2] in the photograph.
        """
        scale = self.eye_distance * np.exp(rng.normal(0, 0.04)) / np.hypot(*(landmarks[1] - landmarks[0]))
        side = int(np.ceil(self.eye_distance * 4.6))
        angle = np.radians(self.roll + rng.normal(0, 2))
        rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        linear = rotation @ np.diag([self.turn, 1.0]) * scale
        shift = side / 2 + rng.uniform(-0.5, 0.5, 2) - linear @ landmarks[:3].mean(0)
        seen: NDArray[np.floating] = self._expose(self._shrink(picture, linear, shift, side))
        if self.blur > 0.2:
            seen = cv2.GaussianBlur(seen, (0, 0), self.blur)
        if (motion := int(abs(rng.normal(0, 0.8)))) >= 1:
            seen = cv2.blur(seen, (2 * motion + 1, 1))
        seen = (
            seen + rng.normal(0, self.noise, (side, side, 1)) + rng.normal(0, self.noise / 2, (side, side, 3))
        )
        if self.sharpen > 0.1:
            seen = seen + self.sharpen * (seen - cv2.GaussianBlur(seen, (0, 0), 1.0))
        if self.grey:
            seen = np.repeat(seen.mean(2, keepdims=True), 3, 2)
        coded = self._encode(np.clip(seen, 0, 255).astype(np.uint8), rng)
        return coded, np.hstack([linear, shift[:, None]]).astype(np.float32)

    @staticmethod
    def _shrink(
        picture: NDArray[np.uint8], linear: NDArray[np.float64], shift: NDArray[np.float64], side: int
    ) -> NDArray[np.float32]:
        factor = max(1, int(np.ceil(1 / max(np.hypot(*linear[:, 1]), 1e-3))))  # averaged down, not picked
        matrix = np.hstack([linear * factor, (shift * factor + (factor - 1) / 2)[:, None]])
        large = cv2.warpAffine(
            picture, matrix, (side * factor, side * factor), borderMode=cv2.BORDER_REFLECT_101
        )
        return cv2.resize(large, (side, side), interpolation=cv2.INTER_AREA).astype(np.float32)

    def _expose(self, seen: NDArray[np.float32]) -> NDArray[np.float32]:
        light = np.clip(seen / 255 * self.gain, 0, 1) ** self.gamma
        return (light * 255 * np.asarray(self.cast, np.float32)).astype(np.float32)

    def _encode(self, seen: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        """Block coding with subsampled colour; JPEG stands in for the codec's intra frames."""
        quality = int(np.clip(self.quality + rng.integers(-4, 5), 10, 95))
        _, data = cv2.imencode(".jpg", seen[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        decoded = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
        return np.ascontiguousarray(decoded[:, :, ::-1])
