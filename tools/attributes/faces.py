"""The faces of an evaluation: any CSV of pictures with a gender, and where in them the face is."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.alignment import RECOGNITION_SIZE, recognition_transform, warp
from engines.attributes.gender import GENDERS
from tools.learning.faces import read_index, read_picture
from tools.recognition.masks import Masks

Landmarks = NDArray[np.float32]
Find = Callable[[NDArray[np.uint8]], Landmarks | None]
"""The landmarks [5, 2] of the face in a picture, None where none is found."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """One picture. gender: a place in GENDERS. person: whose, or the file's name where nobody says."""

    path: Path
    gender: int
    person: str
    groups: dict[str, str]


def read_labels(path: Path, root: Path, folder: str = "") -> list[Labelled]:
    """The rows of a CSV (file, gender, and perhaps identity or person, race, age) whose pictures lie under `root`.

    Rows without a gender, or whose name does not begin with `folder`, are passed over. Raises ValueError.
    """
    found = []
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        missing = {"file", "gender"} - set(reader.fieldnames or ())
        if missing:
            raise ValueError(
                f"{path}: must have the columns file, gender; found no {', '.join(sorted(missing))}"
            )
        for number, row in enumerate(reader, 2):
            if not row["gender"] or not row["file"].startswith(folder) or not (root / row["file"]).is_file():
                continue
            if row["gender"] not in GENDERS:
                raise ValueError(
                    f"{path}: line {number}: gender must be {' or '.join(GENDERS)}, found {row['gender']!r}"
                )
            person = row.get("identity") or row.get("person") or row["file"]
            groups = {name: row.get(name) or "" for name in ("race", "age")}
            gender = [str(each) for each in GENDERS].index(row["gender"])
            found.append(Labelled(root / row["file"], gender, person, groups))
    if not found:
        raise ValueError(f"{path}: its pictures must lie under {root}, found none of them")
    return found


def known_landmarks(index: Path) -> dict[str, Landmarks]:
    """Landmarks by absolute path, of an index as tools/learning/faces.py reads it."""
    return {str(face.path.absolute()): face.landmarks for face in read_index(index)}


def crops_of(
    pictures: Sequence[Labelled],
    known: dict[str, Landmarks],
    find: Find | None,
    masks: Masks | None,
    progress: Callable[[float], None],
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """(faces in the recognition frame, uint8 RGB [found, 112, 112, 3]; which pictures have one, bool [N]).

    known: landmarks by absolute path; others are asked of `find`. masks: put on each face; it is then aligned as a
    masked one.
    """
    crops, has = [], np.zeros(len(pictures), bool)
    rng = np.random.default_rng(7)
    for number, each in enumerate(pictures):
        picture = read_picture(each.path)
        landmarks = known.get(str(each.path.absolute()))
        if landmarks is None and find is not None:
            landmarks = find(picture)
        if landmarks is not None:
            if masks:
                picture, _ = masks.draw(picture, landmarks, rng)
            transform = recognition_transform(landmarks, masks is not None)
            crops.append(warp(picture, transform, RECOGNITION_SIZE))
            has[number] = True
        progress((number + 1) / len(pictures))
    shape = (0, RECOGNITION_SIZE, RECOGNITION_SIZE, 3)
    return (np.stack(crops) if crops else np.zeros(shape, np.uint8)), has
