"""What a cheap camera in poor light does to a face: tone, sharpness, noise and compression.

Tone and sharpness are kept apart from noise and compression, so that a training target can share the
first two with its input and be free of the others.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Degradation:
    """One camera's faults, drawn once for a face."""

    gain: float
    """Exposure: 1 leaves the picture as it is."""
    gamma: float
    tint: tuple[float, float, float]
    infrared: bool
    width: int
    """Pixels across the crop that the camera really resolved; 0 leaves it sharp."""
    blur: float
    """Sigma of the lens blur in pixels of the crop."""
    motion: tuple[float, float]
    """Camera or head movement during exposure, in pixels of the crop."""
    noise: float
    """Sensor noise in grey levels."""
    jpeg: int
    """JPEG quality; 0 leaves the picture uncompressed."""

    def expose(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Tone and sharpness. uint8 RGB [H, W, 3] in and out."""
        level = np.arange(256, dtype=np.float32) / 255
        curve = 255 * np.clip(self.gain * level**self.gamma, 0, 1)
        table = np.clip(curve[:, None] * np.array(self.tint, np.float32), 0, 255).astype(np.uint8)
        out = cv2.LUT(picture, table[None])
        if self.infrared:
            out = cv2.cvtColor(cv2.cvtColor(out, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        return self.soften(np.asarray(out, np.uint8))

    def soften(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Sharpness alone: blur, motion and resolution. uint8 [H, W] or [H, W, 3] in and out."""
        out = picture
        height, width = out.shape[:2]
        if self.blur > 0.3:
            out = cv2.GaussianBlur(out, (0, 0), self.blur)
        if np.hypot(*self.motion) > 1.5:
            out = cv2.filter2D(out, -1, _streak(self.motion))
        if self.width and self.width < width:
            small = (self.width, max(1, round(self.width * height / width)))
            out = cv2.resize(out, small, interpolation=cv2.INTER_AREA)
            out = cv2.resize(out, (width, height), interpolation=cv2.INTER_LINEAR)
        return np.asarray(out, np.uint8)

    def spoil(self, picture: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        """Sensor noise and compression, on the pixels that the camera resolved. uint8 RGB in and out."""
        height, width = picture.shape[:2]
        out = picture
        small = self.width and self.width < width
        if small:
            out = cv2.resize(
                out, (self.width, max(1, round(self.width * height / width))), interpolation=cv2.INTER_AREA
            )
        if self.noise > 0.5:
            grain = rng.standard_normal(out.shape, np.float32) * np.float32(self.noise)
            if self.infrared:
                grain[:] = grain[..., :1]
            out = np.clip(out + grain, 0, 255).astype(np.uint8)
        if self.jpeg:
            ok, data = cv2.imencode(".jpg", out, [cv2.IMWRITE_JPEG_QUALITY, self.jpeg])
            out = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8) if ok else out
        if small:
            out = cv2.resize(out, (width, height), interpolation=cv2.INTER_LINEAR)
        return np.asarray(out, np.uint8)


def choose_degradation(rng: np.random.Generator, *, smallest: int = 30, clean: float = 0.3) -> Degradation:
    """Draws a camera's faults.

    smallest: least number of pixels across the crop. clean: share of pictures with light faults only.
    """
    if rng.random() < clean:
        return Degradation(
            float(rng.uniform(0.9, 1.1)),
            1.0,
            (1.0, 1.0, 1.0),
            False,
            0,
            0.0,
            (0.0, 0.0),
            1.0,
            int(rng.integers(80, 98)),
        )
    dark = rng.random() < 0.2
    infrared = rng.random() < 0.1
    direction, length = float(rng.uniform(0, np.pi)), float(rng.uniform(2, 6)) * (rng.random() < 0.15)
    tint = 1 + rng.normal(0, 0.05, 3)
    return Degradation(
        float(rng.uniform(0.25, 0.6) if dark else rng.uniform(0.7, 1.25)),
        float(rng.uniform(0.8, 1.3)),
        (float(tint[0]), float(tint[1]), float(tint[2])),
        bool(infrared),
        int(rng.integers(smallest, 90)) if rng.random() < 0.6 else 0,
        float(rng.uniform(0.4, 1.8)) if rng.random() < 0.4 else 0.0,
        (float(np.cos(direction) * length), float(np.sin(direction) * length)),
        float(rng.uniform(4, 14) if dark else rng.uniform(0, 7)),
        int(rng.integers(25, 95)) if rng.random() < 0.75 else 0,
    )


def _streak(motion: tuple[float, float]) -> NDArray[np.float32]:
    size = int(np.ceil(np.hypot(*motion))) | 1
    kernel = np.zeros((size + 2, size + 2), np.uint8)
    middle = np.array([size + 1, size + 1]) / 2
    half = np.asarray(motion) / 2
    ends = [tuple(int(v * 16) for v in middle + sign * half) for sign in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 255, 1, cv2.LINE_AA, 4)
    total = float(kernel.sum())
    return np.asarray(kernel / total if total else [[1.0]], np.float32)
