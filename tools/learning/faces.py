"""Faces with five landmarks, from a folder with an index.

The index is a CSV with the columns file, split, and rex, rey, lex, ley, nx, ny, rmx, rmy, lmx, lmy in pixels:
the person's right eye, left eye, nose, right and left mouth corner, which is the order of
engines.faces.LANDMARK_NAMES in an upright picture. `file` is relative to the folder of the index.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.alignment import FACE_SIZE, face_transform, warp

_POINTS = ("rex", "rey", "lex", "ley", "nx", "ny", "rmx", "rmy", "lmx", "lmy")


@dataclass(frozen=True, slots=True, eq=False)
class LabelledFace:
    """One picture of one face. landmarks: float32 [5, 2], pixels. group: whatever the index says of people."""

    path: Path
    landmarks: NDArray[np.float32]
    group: dict[str, str]

    def read(self) -> NDArray[np.uint8]:
        """The picture, uint8 RGB [H, W, 3]. Raises ValueError when it is no picture."""
        return read_picture(self.path)


def read_picture(path: Path) -> NDArray[np.uint8]:
    """A picture file as uint8 RGB [H, W, 3]. Raises ValueError that names the file when it is no picture."""
    found = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if found is None:
        raise ValueError(f"{path}: must be a picture, found something that cannot be decoded")
    return np.asarray(cv2.cvtColor(found, cv2.COLOR_BGR2RGB), np.uint8)


def read_index(index: Path, folder: str = "") -> list[LabelledFace]:
    """The faces of an index whose file names begin with `folder` and exist, in the order of the index.

    Raises ValueError when a column is missing or nothing is left.
    """
    with index.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        missing = {"file", *_POINTS} - set(reader.fieldnames or ())
        if missing:
            raise ValueError(f"{index}: must have the columns {', '.join(sorted(missing))}; they are missing")
        faces = []
        for row in reader:
            path = index.parent / row["file"]
            if not row["file"].startswith(folder) or not path.is_file():
                continue
            points = np.array([float(row[name]) for name in _POINTS], np.float32).reshape(5, 2)
            group = {name: row.get(name, "") for name in ("identity", "gender", "age", "race")}
            faces.append(LabelledFace(path, points, group))
    if not faces:
        raise ValueError(f"{index}: must list pictures under {folder or 'its folder'!r}, found none")
    return faces


def mean_face(faces: Sequence[LabelledFace]) -> NDArray[np.uint8]:
    """The average of aligned faces, uint8 RGB [128, 128, 3] in the face frame: what everybody looks like."""
    total = np.zeros((FACE_SIZE, FACE_SIZE, 3))
    for face in faces:
        total += warp(face.read(), face_transform(face.landmarks), FACE_SIZE)
    return np.rint(total / max(len(faces), 1)).astype(np.uint8)
