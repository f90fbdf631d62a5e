"""A picture of how losses fell."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

_COLOURS = ((200, 90, 30), (40, 40, 200), (60, 150, 60), (170, 60, 170))
_WIDTH, _HEIGHT, _EDGE = 960, 480, 56


def draw_curve(path: Path, rows: Sequence[tuple[float, ...]], names: Sequence[str]) -> None:
    """Writes a PNG. rows: (x, one value for each name); smoothed over 2 % of the rows, y logarithmic."""
    if len(rows) < 10:
        return
    table = np.asarray(rows, np.float64)
    width = max(1, len(table) // 50)
    smooth = np.stack(
        [np.convolve(table[:, i], np.ones(width) / width, "valid") for i in range(table.shape[1])], 1
    )
    values = np.log10(np.maximum(smooth[:, 1:], 1e-4))
    low, high = float(values.min()) - 0.02, float(values.max()) + 0.02
    last = float(table[-1, 0])
    picture = np.full((_HEIGHT, _WIDTH, 3), 255, np.uint8)
    for share in np.linspace(0, 1, 6):
        y = int(_HEIGHT - _EDGE - share * (_HEIGHT - 2 * _EDGE))
        x = int(_EDGE + share * (_WIDTH - 2 * _EDGE))
        cv2.line(picture, (_EDGE, y), (_WIDTH - _EDGE, y), (225, 225, 225), 1)
        text = f"{10 ** (low + share * (high - low)):.3f}"
        cv2.putText(picture, text, (4, y + 4), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
        cv2.putText(
            picture,
            f"{share * last:.1f} min",
            (x - 20, _HEIGHT - 30),
            cv2.FONT_HERSHEY_SIMPLEX,
            0.42,
            (0, 0, 0),
            1,
            cv2.LINE_AA,
        )
    for i, name in enumerate(names):
        xs = _EDGE + smooth[:, 0] / max(last, 1e-9) * (_WIDTH - 2 * _EDGE)
        ys = _HEIGHT - _EDGE - (values[:, i] - low) / (high - low) * (_HEIGHT - 2 * _EDGE)
        points = np.stack([xs, ys], 1).astype(np.int32)
        cv2.polylines(picture, [points], False, _COLOURS[i % len(_COLOURS)], 2, cv2.LINE_AA)
        cv2.putText(
            picture,
            name,
            (_EDGE + 10 + (_WIDTH - 2 * _EDGE) // max(3, len(names)) * i, 30),
            cv2.FONT_HERSHEY_SIMPLEX,
            0.55,
            _COLOURS[i % len(_COLOURS)],
            1,
            cv2.LINE_AA,
        )
    cv2.imwrite(str(path), picture)
