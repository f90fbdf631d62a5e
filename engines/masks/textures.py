"""What a drawn mask is made of: its colour, its print, its folds and seams."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import cv2
import numpy as np
from numpy.typing import NDArray


class Style(StrEnum):
    """The look of the cloth."""

    PLAIN = "plain"
    STRIPES = "stripes"
    CHECKS = "checks"
    DOTS = "dots"
    PRINT = "print"
    LOGO = "logo"
    TWO_TONE = "two_tone"


@dataclass(frozen=True, slots=True)
class Cloth:
    """Colours are RGB 0 to 255 as under full light."""

    style: Style
    colour: tuple[float, float, float]
    second: tuple[float, float, float]
    loop: tuple[float, float, float]
    roughness: float
    """Strength of the weave's grain, in grey levels."""
    wrinkles: float
    """Strength of folds, as a share of brightness."""


_MEDICAL = (
    (148, 190, 216),
    (176, 210, 226),
    (226, 230, 232),
    (150, 200, 190),
    (120, 170, 205),
    (238, 238, 236),
)
_SKIN = ((232, 196, 170), (205, 160, 130), (170, 122, 92), (120, 82, 60), (90, 60, 45))
_DARK = ((24, 24, 28), (40, 42, 50), (30, 36, 60), (58, 40, 40), (70, 70, 74))


def choose_cloth(rng: np.random.Generator, style: Style | None, pleated: bool) -> Cloth:
    """Draws a cloth. Pleated (surgical) masks are mostly plain and of medical colours."""
    if style is None:
        share = (
            [0.9, 0.02, 0.01, 0.01, 0.03, 0.03, 0] if pleated else [0.5, 0.1, 0.07, 0.08, 0.11, 0.09, 0.05]
        )
        style = tuple(Style)[int(rng.choice(len(Style), p=share))]
    colour = _colour(rng, pleated)
    bright = sum(colour) / 3 > 120
    loop = (235.0, 235.0, 232.0) if rng.random() < (0.85 if bright else 0.3) else (32.0, 32.0, 34.0)
    return Cloth(
        style, colour, _colour(rng, False), loop, float(rng.uniform(1, 6)), float(rng.uniform(0.03, 0.14))
    )


def _colour(rng: np.random.Generator, pleated: bool) -> tuple[float, float, float]:
    group = rng.choice(5, p=[0.72, 0.16, 0.03, 0.05, 0.04] if pleated else [0.1, 0.27, 0.13, 0.2, 0.3])
    if group == 3:
        grey = float(rng.uniform(190, 250))
        base = np.array([grey, grey, grey + rng.uniform(-8, 8)])
    elif group == 4:
        hue, saturation, value = rng.integers(0, 180), rng.integers(60, 230), rng.integers(60, 240)
        base = cv2.cvtColor(np.array([[[hue, saturation, value]]], np.uint8), cv2.COLOR_HSV2RGB)[0, 0].astype(
            float
        )
    else:
        table = (_MEDICAL, _DARK, _SKIN)[int(group)]
        base = np.array(table[int(rng.integers(len(table)))], float) + rng.normal(0, 9, 3)
    r, g, b = np.clip(base, 6, 252)
    return float(r), float(g), float(b)


def paint(
    cloth: Cloth,
    angle: NDArray[np.float32],
    height: NDArray[np.float32],
    edge: NDArray[np.float32],
    yaw: float,
    kind: str,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """The cloth, unlit: float32 RGB [h, w, 3], about 0 to 255.

    angle: radians around the head. height: 0 at the upper, 1 at the lower edge. edge: distance to the
    nearest edge in local units. kind: the shape (synthesis.Kind), which decides on pleats and seams.
    """
    first, second = np.array(cloth.colour, np.float32), np.array(cloth.second, np.float32)
    share = _pattern(cloth.style, angle, height, rng)[..., None]
    colour = first * (1 - share) + second * share
    light = float(rng.uniform(-0.6, 0.6))
    shade = 0.72 + 0.3 * np.cos(np.clip(angle + np.float32(yaw) - light, -1.5, 1.5))
    shade = shade * (1.05 - 0.16 * height)
    shade = shade * _relief(kind, angle, height, edge, rng)
    shade = shade * (1 + cloth.wrinkles * _noise(angle.shape, (7, 9), rng))
    shade = shade * (1 + 0.6 * cloth.wrinkles * _noise(angle.shape, (22, 14), rng))
    grain = rng.standard_normal(angle.shape, np.float32) * np.float32(cloth.roughness)
    return np.asarray(colour * shade[..., None] + grain[..., None], np.float32)


def _relief(
    kind: str,
    angle: NDArray[np.float32],
    height: NDArray[np.float32],
    edge: NDArray[np.float32],
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Pleats, seams, hems and the bulge over nose and chin: brightness factors around 1."""
    relief = np.ones_like(angle)
    if kind == "surgical":
        for middle in np.linspace(0.3, 0.72, int(rng.integers(2, 5))) + rng.normal(0, 0.02):
            at = (height - np.float32(middle) - 0.03 * np.cos(angle * 1.4)) / np.float32(
                rng.uniform(0.012, 0.022)
            )
            relief -= np.float32(rng.uniform(0.1, 0.3)) * np.exp(-(at**2)) - 0.07 * np.exp(-((at + 2) ** 2))
        if rng.random() < 0.7:  # the nose wire
            relief += 0.06 * np.exp(-(((height - 0.05) / 0.02) ** 2)) * (np.abs(angle) < 0.5)
    elif kind in ("kn95", "cloth") and (kind == "kn95" or rng.random() < 0.55):
        depth = float(rng.uniform(0.1, 0.28))
        relief -= depth * np.exp(-((angle / 0.03) ** 2)) - 0.08 * np.exp(
            -(((np.abs(angle) - 0.09) / 0.06) ** 2)
        )
        relief *= 1.04 - 0.1 * np.clip(np.abs(angle), 0, 1)
    elif kind == "cup":
        relief *= 1.1 - 0.25 * np.clip((height - 0.45) ** 2 * 2 + (angle**2) * 0.5, 0, 1)
        for ring in (3.0, 5.0):
            relief -= 0.12 * np.exp(-(((edge - ring) / 0.5) ** 2))
        if rng.random() < 0.5:  # the valve
            at = np.hypot(angle / 0.22, (height - 0.62) / 0.16)
            relief = np.where(at < 1, relief * (0.8 + 0.15 * np.cos(at * 9)), relief)
    hem = float(rng.uniform(1.2, 2.6))
    relief -= float(rng.uniform(0.03, 0.16)) * np.exp(-(((edge - hem) / 0.35) ** 2))
    relief -= 0.12 * np.exp(-np.maximum(edge, 0) / 0.6)
    return relief


def _pattern(
    style: Style, angle: NDArray[np.float32], height: NDArray[np.float32], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Where the second colour shows, 0 to 1."""
    across, down = angle * 30, height * 60  # about local units
    turn = float(rng.uniform(0, np.pi))
    a = across * np.cos(turn) + down * np.sin(turn)
    b = down * np.cos(turn) - across * np.sin(turn)
    period = float(rng.uniform(5, 16))
    if style is Style.STRIPES:
        return _step(np.sin(2 * np.pi * a / period) + rng.uniform(-0.5, 0.5))
    if style is Style.CHECKS:
        return 0.5 * _step(np.sin(2 * np.pi * a / period)) + 0.5 * _step(np.sin(2 * np.pi * b / period))
    if style is Style.DOTS:
        at = np.cos(2 * np.pi * a / period) + np.cos(2 * np.pi * b / period)
        return _step(at - float(rng.uniform(0.6, 1.4)))
    if style is Style.PRINT:
        return _step(3 * _noise(angle.shape, (int(rng.integers(6, 16)),) * 2, rng))
    if style is Style.TWO_TONE:
        return _step((down - float(rng.uniform(20, 40))) * (1 if rng.random() < 0.5 else -1))
    if style is Style.LOGO:
        return _logo(angle, height, rng)
    return np.zeros_like(angle)


def _step(value: NDArray[np.floating]) -> NDArray[np.float32]:
    return np.clip(value * 2.5 + 0.5, 0, 1).astype(np.float32)


def _logo(
    angle: NDArray[np.float32], height: NDArray[np.float32], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Lettering or an emblem somewhere on the cloth."""
    stamp = np.zeros((64, 128), np.uint8)
    if rng.random() < 0.6:
        letters = "".join(chr(int(c)) for c in rng.integers(65, 91, int(rng.integers(2, 6))))
        cv2.putText(stamp, letters, (8, 44), cv2.FONT_HERSHEY_DUPLEX, 1.1, 255, 3, cv2.LINE_AA)
    else:
        points = rng.integers([34, 4], [94, 60], (int(rng.integers(3, 8)), 2)).astype(np.int32)
        cv2.fillPoly(stamp, [cv2.convexHull(points)], 255, cv2.LINE_AA)
    size = float(rng.uniform(0.25, 0.8))
    u = (angle - float(rng.uniform(-0.5, 0.5))) / size * 64 + 64
    v = (height - float(rng.uniform(0.3, 0.7))) * 2 / size * 32 + 32
    found = cv2.remap(stamp, u.astype(np.float32), v.astype(np.float32), cv2.INTER_LINEAR)
    return found.astype(np.float32) / 255


def _noise(shape: tuple[int, ...], grid: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float32]:
    """Smooth noise of about unit variance over a window, `grid` bumps high and wide."""
    coarse = rng.standard_normal(grid, np.float32)
    return np.asarray(cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC), np.float32)
