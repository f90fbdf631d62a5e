"""Curves as pictures: errors against each other, and what was said against what was true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

_COLOURS = ("#000000", "#2f6db3", "#c8702a", "#4b9560", "#8a5aa5", "#a03c3c", "#5c6b75", "#b59a2c")
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 900, 620, 76, 24, 66, 64


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """One line of a plot: float64 x [N] and y [N]; points whose y is NaN are left out. marked: with a dot each."""

    label: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    marked: bool = False


@dataclass(frozen=True, slots=True)
class Axis:
    """What an axis says, and its ends. logarithmic: by powers of ten, both ends above 0."""

    title: str
    low: float
    high: float
    logarithmic: bool = False

    def share(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Where values lie between the two ends, 0 to 1."""
        if self.logarithmic:
            low, high = np.log10(self.low), np.log10(self.high)
            return np.clip((np.log10(np.maximum(values, 1e-300)) - low) / (high - low), 0, 1)
        return np.clip((values - self.low) / (self.high - self.low), 0, 1)

    def ticks(self) -> list[float]:
        """Where lines are drawn across."""
        if self.logarithmic:
            return [10.0**e for e in range(round(np.log10(self.low)), round(np.log10(self.high)) + 1)]
        span = self.high - self.low
        step = next(s for s in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 100, 1000) if span / s <= 11)
        return [
            float(v) for v in np.arange(np.ceil(self.low / step - 1e-9) * step, self.high + step / 1e3, step)
        ]


def draw_lines(
    path: Path, title: str, x: Axis, y: Axis, lines: Sequence[Line], diagonal: bool = False
) -> None:
    """Writes a PNG. diagonal: a grey line from corner to corner, where what is said is true."""
    picture = Image.new("RGB", (_WIDTH, _HEIGHT), "white")
    draw = ImageDraw.Draw(picture)
    large, small = ImageFont.load_default(17), ImageFont.load_default(13)
    across, down = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def place(axis: Axis, values: NDArray[np.float64]) -> NDArray[np.float64]:
        share = axis.share(values)
        return _LEFT + share * across if axis is x else _TOP + (1 - share) * down

    draw.text((_LEFT, 14), title, "black", large)
    for value in x.ticks():
        at = float(place(x, np.array([value]))[0])
        draw.line((at, _TOP, at, _TOP + down), "#dddddd")
        draw.text((at, _TOP + down + 6), f"{value:g}", "#444444", small, anchor="ma")
    for value in y.ticks():
        at = float(place(y, np.array([value]))[0])
        draw.line((_LEFT, at, _LEFT + across, at), "#dddddd")
        draw.text((_LEFT - 6, at), f"{value:.3g}", "#444444", small, anchor="rm")
    draw.text((_LEFT + across / 2, _HEIGHT - 30), x.title, "black", small, anchor="ma")
    draw.text((_LEFT, 42), y.title, "black", small)
    if diagonal:
        draw.line((_LEFT, _TOP + down, _LEFT + across, _TOP), "#999999", 1)
    draw.rectangle((_LEFT, _TOP, _LEFT + across, _TOP + down), outline="#888888")
    for i, line in enumerate(lines):
        colour, there = _COLOURS[i % len(_COLOURS)], np.isfinite(line.y)
        points = list(zip(place(x, line.x[there]).tolist(), place(y, line.y[there]).tolist(), strict=True))
        if len(points) > 1:
            draw.line(points, colour, 2 if i else 3, joint="curve")
        if line.marked:
            for px, py in points:
                draw.ellipse((px - 4, py - 4, px + 4, py + 4), fill=colour)
        draw.text(
            (_LEFT + across - 190, _TOP + down - 22 - 18 * (len(lines) - 1 - i)), line.label, colour, small
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)
