"""People to learn from and to test on: a folder for each, or a CSV that says whose picture is whose."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.alignment import RECOGNITION_SIZE, recognition_transform, warp
from engines.masks.synthesis import draw_mask
from tools.attributes.views import view
from tools.learning.faces import read_picture

_POINTS = ("rex", "rey", "lex", "ley", "nx", "ny", "rmx", "rmy", "lmx", "lmy")
_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
Find = Callable[[NDArray[np.uint8]], NDArray[np.float32] | None]
"""The landmarks [5, 2] of the face in a picture, None where none is found."""


@dataclass(frozen=True, slots=True, eq=False)
class Listed:
    """One picture of a list. landmarks: float32 [5, 2], or None where the list has none."""

    path: Path
    person: str
    landmarks: NDArray[np.float32] | None


@dataclass(frozen=True, slots=True, eq=False)
class People:
    """Faces with owners. crops: uint8 RGB [N, 112, 112, 3] in the recognition frame; points: float32 [N, 5, 2] in them.

    person: int [N], 0 upwards. names: of the people.
    """

    crops: NDArray[np.uint8]
    points: NDArray[np.float32]
    person: NDArray[np.intp]
    names: tuple[str, ...]

    def rows(self, which: NDArray[np.intp]) -> People:
        """Some of the faces; the people keep their numbers."""
        return People(self.crops[which], self.points[which], self.person[which], self.names)

    def masked(self, seed: int = 3) -> NDArray[np.uint8]:
        """The faces with a mask drawn on each, the same ones every time: uint8 RGB [N, 112, 112, 3]."""
        rng = np.random.default_rng(seed)
        drawn = [
            draw_mask(crop, points, rng)[0] for crop, points in zip(self.crops, self.points, strict=True)
        ]
        return np.stack(drawn)


def list_folder(root: Path) -> list[Listed]:
    """The pictures of a folder that has a folder for each person."""
    return [
        Listed(path, path.parent.name, None)
        for path in sorted(root.glob("*/*"))
        if path.suffix.lower() in _SUFFIXES
    ]


def list_index(index: Path, root: Path, folder: str = "") -> list[Listed]:
    """The pictures of a CSV with the columns file and identity (or person), perhaps with landmarks as
    tools/learning/faces.py has them. Rows without an identity, of another folder or without a file are passed over.

    Raises ValueError.
    """
    found = []
    with index.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        columns = set(reader.fieldnames or ())
        if "file" not in columns or not columns & {"identity", "person"}:
            raise ValueError(
                f"{index}: must have the columns file and identity, found {', '.join(sorted(columns))}"
            )
        for row in reader:
            person, path = row.get("identity") or row.get("person") or "", root / row["file"]
            if person and row["file"].startswith(folder) and path.is_file():
                known = set(_POINTS) <= columns and all(row[name] for name in _POINTS)
                points = np.array([float(row[name]) for name in _POINTS], np.float32) if known else None
                found.append(Listed(path, person, None if points is None else points.reshape(5, 2)))
    return found


def read_people(
    listed: Sequence[Listed], find: Find, fewest: int, progress: Callable[[float], None]
) -> People:
    """The faces of those who have at least `fewest` with a face in them. Raises ValueError for fewer than 2 people."""
    crops, points, names = [], [], []
    for number, each in enumerate(listed):
        picture = read_picture(each.path)
        landmarks = each.landmarks if each.landmarks is not None else find(picture)
        if landmarks is not None:
            transform = recognition_transform(landmarks)
            crops.append(warp(picture, transform, RECOGNITION_SIZE))
            points.append((landmarks @ transform[:, :2].T + transform[:, 2]).astype(np.float32))
            names.append(each.person)
        progress((number + 1) / len(listed))
    count = Counter(names)
    kept = [i for i, name in enumerate(names) if count[name] >= fewest]
    people = {name: i for i, name in enumerate(sorted({names[i] for i in kept}))}
    if len(people) < 2:
        raise ValueError(
            f"pictures: must be of at least 2 people with {fewest} faces each, found {len(people)}"
        )
    return People(
        np.stack([crops[i] for i in kept]),
        np.stack([points[i] for i in kept]),
        np.array([people[names[i]] for i in kept], np.intp),
        tuple(people),
    )


def folds_of(people: People, count: int, seed: int) -> list[NDArray[np.intp]]:
    """The rows of each fold; nobody is in two."""
    fold = np.random.default_rng(seed).permutation(len(people.names)) % count
    return [np.flatnonzero(fold[people.person] == f) for f in range(count)]


def draw_batch(
    people: People, crowd: int, each: int, masked: float, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.intp]]:
    """`each` looks at each of `crowd` people: uint8 RGB [crowd * each, 112, 112, 3] and int64 [crowd * each].

    Looks are of different pictures as far as there are so many; masked: the share with a mask drawn on it.
    """
    present = np.unique(people.person)
    chosen = rng.choice(present, min(crowd, len(present)), replace=False)
    rows: list[int] = []
    for person in chosen:
        mine = rng.permutation(np.flatnonzero(people.person == person))
        rows += np.resize(mine, each).tolist()
    looks = [view(people.crops[i], people.points[i], rng, RECOGNITION_SIZE, None, masked) for i in rows]
    mirrored = [look[:, ::-1] if rng.random() < 0.5 else look for look in looks]
    return np.stack(mirrored), people.person[rows]
