"""A contact sheet: one column a face, one row a generator or control."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.unmasking.cases import Case

_COLUMNS = 14
_NAME_WIDTH = 150


def draw_sheet(path: Path, cases: Sequence[Case], guesses: Mapping[str, NDArray[np.uint8]]) -> None:
    """Writes faces spread evenly over the cases: masked, every guess by name, truth. guesses: uint8 RGB [N, ...]."""
    picked = np.linspace(0, len(cases) - 1, min(_COLUMNS, len(cases))).astype(int)
    rows = {"masked": [cases[i].masked for i in picked]}
    rows |= {name: [pictures[i] for i in picked] for name, pictures in guesses.items()}
    rows["truth"] = [cases[i].truth for i in picked]
    sheet = np.vstack([np.hstack([_name(name, row[0].shape[0]), *row]) for name, row in rows.items()])
    cv2.imwrite(str(path), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))


def _name(text: str, height: int) -> NDArray[np.uint8]:
    label = np.full((height, _NAME_WIDTH, 3), 24, np.uint8)
    for line, word in enumerate(text.split(" ")):
        at = (8, 24 + 20 * line)
        cv2.putText(label, word, at, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (235, 235, 235), 1, cv2.LINE_AA)
    return label
