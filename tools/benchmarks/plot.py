"""Horizontal bars on a logarithmic axis: times that differ a thousandfold stay readable side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

_COLOURS = ("#2f6db3", "#c8702a", "#4b9560", "#8a5aa5", "#a03c3c", "#5c6b75")
_WIDTH, _ROW, _EDGE, _PLOT = 1200, 24, 20, 560
_TOP, _BOTTOM = 56, 58


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar. value: its length; reach: where the thin line behind it ends; group: sets colour and gap."""

    label: str
    value: float
    reach: float
    group: str = ""


def draw_bars(path: Path, title: str, bars: Sequence[Bar], unit: str) -> None:
    """Writes a PNG. Raises ValueError without any bar, or for a value that is not above 0."""
    if not bars or min(bar.value for bar in bars) <= 0:
        raise ValueError(f"{path}: a plot must have bars, all longer than 0")
    groups = list(dict.fromkeys(bar.group for bar in bars))
    headed = len(groups) > 1
    height = _TOP + _BOTTOM + _ROW * (len(bars) + (len(groups) if headed else 0))
    picture = Image.new("RGB", (_WIDTH, height), "white")
    draw = ImageDraw.Draw(picture)
    large, small = ImageFont.load_default(18), ImageFont.load_default(14)
    draw.text((_EDGE, 14), title, "black", large)
    low = math.floor(math.log10(min(bar.value for bar in bars)))
    high = max(math.log10(max(bar.reach for bar in bars)), low + 1)
    left = _WIDTH - _PLOT - 90

    def x(value: float) -> float:
        return left + (math.log10(value) - low) / (high - low) * _PLOT

    bottom = height - _BOTTOM
    for exponent in range(low, math.floor(high) + 1):
        for step in (1, 2, 5):
            value = step * 10.0**exponent
            if math.log10(value) <= high:
                draw.line((x(value), _TOP, x(value), bottom), "#d0d0d0" if step == 1 else "#eeeeee")
                draw.text((x(value), bottom + 4), f"{value:g}", "#444444", small, anchor="ma")
    draw.text((left, bottom + 26), unit, "#444444", small)
    y, last = _TOP, None
    for bar in bars:
        if headed and bar.group != last:
            draw.text((_EDGE, y + 5), bar.group, "black", small)
            y, last = y + _ROW, bar.group
        colour = _COLOURS[groups.index(bar.group) % len(_COLOURS)]
        draw.text((left - 8, y + _ROW // 2), bar.label, "black", small, anchor="rm")
        draw.line((x(bar.value), y + _ROW // 2, x(bar.reach), y + _ROW // 2), colour, 2)
        draw.rectangle((left, y + 4, max(x(bar.value), left + 1), y + _ROW - 4), colour)
        draw.text((x(bar.reach) + 6, y + _ROW // 2), f"{bar.value:.3g}", "black", small, anchor="lm")
        y += _ROW
    picture.save(path, format="PNG")
