"""Bars beside each other, with intervals where there are some."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

_COLOURS = ("#2f6db3", "#c8702a", "#4b9560", "#8a5aa5", "#a03c3c", "#5c6b75", "#b59a2c", "#000000")
_WIDTH, _ROW, _LEFT, _RIGHT, _TOP = 900, 20, 250, 110, 64

Bar = float | tuple[float, float, float]
"""A value, or (value, low, high)."""


def draw_bars(path: Path, title: str, groups: Mapping[str, Mapping[str, Bar]], whole: float = 0.0) -> None:
    """Writes a PNG: for each group one horizontal bar a series. whole: the full length; 0 takes the longest bar."""
    series = list(dict.fromkeys(name for bars in groups.values() for name in bars))
    rows = sum(len(bars) for bars in groups.values())
    height = _TOP + rows * _ROW + len(groups) * 12 + 20
    picture = Image.new("RGB", (_WIDTH, height), "white")
    draw = ImageDraw.Draw(picture)
    large, small = ImageFont.load_default(17), ImageFont.load_default(12)
    draw.text((16, 12), title, "black", large)
    x = 16.0
    for i, name in enumerate(series):
        draw.rectangle((x, 42, x + 10, 52), fill=_COLOURS[i % len(_COLOURS)])
        draw.text((x + 15, 40), name, "black", small)
        x += 30 + small.getlength(name)
    values = [bar if isinstance(bar, float) else bar[0] for bars in groups.values() for bar in bars.values()]
    full = whole or max([*values, 1e-9])
    span, y = _WIDTH - _LEFT - _RIGHT, _TOP
    for label, bars in groups.items():
        draw.text((_LEFT - 8, y + _ROW * len(bars) / 2), label, "black", small, anchor="rm")
        for name, bar in bars.items():
            value, low, high = bar if isinstance(bar, tuple) else (bar, bar, bar)
            colour = _COLOURS[series.index(name) % len(_COLOURS)]
            end = _LEFT + span * min(max(value / full, 0), 1)
            draw.rectangle((_LEFT, y + 2, max(end, _LEFT + 1), y + _ROW - 3), fill=colour)
            if high > low:
                ends = [_LEFT + span * min(max(v / full, 0), 1) for v in (low, high)]
                middle = y + _ROW / 2
                draw.line((ends[0], middle, ends[1], middle), "black", 1)
                for at in ends:
                    draw.line((at, middle - 4, at, middle + 4), "black", 1)
            draw.text((_LEFT + span + 8, y + _ROW / 2), f"{value:.4g}", "#333333", small, anchor="lm")
            y += _ROW
        y += 12
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)
