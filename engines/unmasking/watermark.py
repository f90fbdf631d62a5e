"""A pattern in the pixels that says "reconstruction" after the caption has been cut off.

Eight weak waves of fixed frequencies are added to the brightness. Their peaks in the spectrum stay where
they are when the picture is shifted or cropped, move together when it is scaled, and outlive JPEG and H.264
because they lie in the middle frequencies and each is just strong enough not to be rounded away. After Cox
et al., "Secure Spread Spectrum Watermarking for Multimedia", 1997, and Pereira and Pun, "Robust Template
Matching for Affine Resistant Image Watermarks", 2000. The pattern is public: it labels honest use, it does
not stop someone who wants to remove it.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

_ANGLES = np.radians([4, 21, 52, 79, 97, 128, 159, 172])
_RADII = np.array([0.151, 0.118, 0.134, 0.112, 0.143, 0.124, 0.136, 0.197])
WAVES = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], -1) * _RADII[:, None]
"""Cycles per pixel along x and y, [8, 2], at the size at which the mark is made."""
_PHASES = np.array([0.3, 2.1, 1.2, 3.3, 0.9, 5.0, 3.9, 6.0])
STRENGTH = 2.1
"""Amplitude of each wave in grey levels where the picture is smooth; all eight together then have an RMS of 4.2.
It doubles with the picture's own texture, which hides the waves from the eye, and from an encoder's rounding less."""
_FULL_TEXTURE = 20.0
"""Standard deviation of the grey levels around a pixel at which the amplitude has doubled."""

_SPECTRUM = 512
_WINDOW = 256
_SCALES = np.exp(np.arange(np.log(0.45), np.log(1.7), 0.006))
THRESHOLD = 0.95
"""Score above which a picture counts as marked; `python -m tools.evaluate_mark` measures both error rates."""


def embed(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A copy of a uint8 RGB picture [H, W, 3] that carries the pattern."""
    pattern = _pattern(*picture.shape[:2])
    low, high = np.float32(8), np.float32(247)  # room for the waves in black and white areas
    base = np.clip(picture.astype(np.float32), low, high)
    amplitude = STRENGTH * (1 + np.clip(_texture(picture) / _FULL_TEXTURE, 0, 1))
    return np.clip(np.rint(base + (amplitude * pattern)[..., None]), 0, 255).astype(np.uint8)


def _texture(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Standard deviation of the grey levels around each pixel, float32 [H, W]."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    mean, square = (cv2.GaussianBlur(part, (0, 0), 4) for part in (grey, grey * grey))
    return np.asarray(np.sqrt(np.maximum(square - mean * mean, 0)), np.float32)


@lru_cache(maxsize=4)
def _pattern(height: int, width: int) -> NDArray[np.float32]:
    """The sum of the waves, float32 [H, W]."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    pattern = np.zeros((height, width), np.float32)
    for (fx, fy), phase in zip(WAVES, _PHASES, strict=True):
        pattern += np.cos(
            np.float32(2 * np.pi) * (np.float32(fx) * x + np.float32(fy) * y) + np.float32(phase)
        )
    return pattern


def score(picture: NDArray[np.uint8]) -> float:
    """How clearly the pattern is in a uint8 RGB picture [H, W, 3], at any scale of 0.45 to 1.7.

    The mean over the waves of log10(power at the wave / median power around it), best of all scales and,
    in large pictures, of all windows; 0 for pictures under 48 pixels.
    """
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    height, width = grey.shape
    if min(height, width) < 48:
        return 0.0
    best = 0.0
    for top in _starts(height):
        for left in _starts(width):
            best = max(best, _window_score(grey[top : top + _WINDOW, left : left + _WINDOW]))
    return best


def _starts(length: int) -> list[int]:
    if length <= _WINDOW:
        return [0]
    steps = int(np.ceil((length - _WINDOW) / (_WINDOW // 2)))
    return [round(i * (length - _WINDOW) / steps) for i in range(steps + 1)]


def _window_score(grey: NDArray[np.float32]) -> float:
    high = grey - cv2.GaussianBlur(grey, (0, 0), 2.5)
    high = np.clip(high, -24, 24)  # hard edges must not drown the waves
    window = np.outer(np.hanning(grey.shape[0]), np.hanning(grey.shape[1])).astype(np.float32)
    power = np.abs(np.fft.fft2(high * window, (_SPECTRUM, _SPECTRUM))).astype(np.float32) ** 2
    power = np.roll(power, (_SPECTRUM // 2, _SPECTRUM // 2), (0, 1))
    around = cv2.blur(np.log10(power + 1e-3), (25, 25))
    clear = np.log10(power + 1e-3) - around
    peak = cv2.dilate(clear, np.ones((3, 3), np.uint8))
    at = WAVES[None] / _SCALES[:, None, None] * _SPECTRUM + _SPECTRUM // 2
    inside = np.abs(WAVES[None] / _SCALES[:, None, None]).max(2) < 0.49
    index = np.clip(np.rint(at), 0, _SPECTRUM - 1).astype(int)
    found = np.where(inside, np.clip(peak[index[..., 1], index[..., 0]], -1, 2.5), 0)
    usable = inside.sum(1) >= 6
    totals = found.sum(1) / np.maximum(inside.sum(1), 1)
    return float(totals[usable].max(initial=0.0))
