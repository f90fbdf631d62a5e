"""Pictures whose faces are known: their boxes, and how each wears a mask."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_CORNERS = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """One picture. boxes: float32 [N, 4], (x1, y1, x2, y2) in pixels. states: N words, such as with_mask."""

    path: Path
    boxes: NDArray[np.float32]
    states: tuple[str, ...]

    @property
    def sides(self) -> NDArray[np.float32]:
        """The longer side of each box, float32 [N], pixels."""
        return np.asarray((self.boxes[:, 2:] - self.boxes[:, :2]).max(1, initial=0), np.float32)


def read_scenes(boxes: Path, root: Path) -> list[Scene]:
    """The pictures of a CSV with the columns file, class, xmin, ymin, xmax, ymax, a line for each face.

    file is relative to root; class says how the face wears a mask. Raises ValueError, naming the line, for a column
    that is missing, a box that is none, or a picture that is not there.
    """
    try:
        with boxes.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            missing = {"file", "class", *_CORNERS} - set(reader.fieldnames or ())
            if missing:
                raise ValueError(
                    f"{boxes}: must have the columns {', '.join(sorted(missing))}; they are missing"
                )
            faces: dict[str, list[tuple[str, list[float]]]] = {}
            for number, row in enumerate(reader, 2):
                box = [_number(row[name]) for name in _CORNERS]
                if not (box[2] > box[0] and box[3] > box[1]):
                    found = ", ".join(str(row[name]) for name in _CORNERS)
                    raise ValueError(
                        f"{boxes}, line {number}: xmin, ymin, xmax, ymax must be a box, found {found}"
                    )
                if not (root / row["file"]).is_file():
                    raise ValueError(
                        f"{boxes}, line {number}: file must lie in {root}, found no {row['file']!r}"
                    )
                faces.setdefault(row["file"], []).append((row["class"], box))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{boxes}: cannot be read: {error}") from None
    if not faces:
        raise ValueError(f"{boxes}: must list faces, found none")
    return [
        Scene(root / name, np.array([box for _, box in of], np.float32), tuple(state for state, _ in of))
        for name, of in sorted(faces.items())
    ]


def _number(text: str | None) -> float:
    try:
        return float(text or "")
    except ValueError:
        return math.nan
