"""What is to be compared: lists of pairs, lists of searches, and what is known of the pictures in them."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.intp]
ROLES = ("gallery", "probe", "nonmate")
_YES, _NO = ("1", "true", "yes", "same"), ("0", "false", "no", "different")
_KNOWN = ("file", "identity", "person")


@dataclass(frozen=True, slots=True, eq=False)
class PairList:
    """Pairs of pictures. files: each once, relative to the root. first, second: int [R], places in `files`.

    same: bool [R]. fold: int [R], or None. person: int [files], whose picture each is; where no list says so,
    pictures joined by pairs of one person are one person. named: whether a list says so. labels: further
    columns by name, a text for each pair.
    """

    files: tuple[str, ...]
    first: Ints
    second: Ints
    same: NDArray[np.bool_]
    fold: Ints | None
    person: Ints
    named: bool
    labels: dict[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True, eq=False)
class SearchList:
    """Pictures of a gallery and of searches. person: int [files]. role: one of ROLES for each file, empty for one that
    has no part. condition: a text for each file, empty where the list has none.
    """

    files: tuple[str, ...]
    person: Ints
    role: tuple[str, ...]
    condition: tuple[str, ...]

    def places(self, role: str) -> Ints:
        """Where in the list the files of a role are."""
        return np.flatnonzero(np.array(self.role) == role)


@dataclass(frozen=True, slots=True)
class Index:
    """What is known of pictures: columns of text by the picture's absolute path. files: as the CSV names them."""

    columns: tuple[str, ...]
    rows: dict[str, dict[str, str]]
    files: tuple[str, ...]

    def of(self, root: Path, files: Sequence[str], column: str) -> tuple[str, ...]:
        """A column of some files, empty where nothing is known."""
        return tuple(self.rows.get(_absolute(root / file), {}).get(column, "") for file in files)


def read_index(path: Path, root: Path) -> Index:
    """A CSV with the column file (relative to the root or to the CSV's folder), identity (or person) and others.

    Raises ValueError when there is no such column.
    """
    rows, columns = _read_csv(path, ("file",))
    found: dict[str, dict[str, str]] = {}
    for row in rows:
        values = {name: value or "" for name, value in row.items() if name and name != "file"}
        values.setdefault("identity", values.get("person", ""))
        for base in (path.parent, root):
            found[_absolute(base / row["file"])] = values
    return Index(
        tuple(name for name in columns if name not in _KNOWN), found, tuple(row["file"] for row in rows)
    )


def read_pairs(path: Path, root: Path, index: Index | None = None) -> PairList:
    """Pairs from a CSV (file_a, file_b, same, perhaps fold, identity_a, identity_b and others), or LFW's text file.

    An index may tell whose pictures they are. Raises ValueError that names the file, line and rule.
    """
    rows = _csv_pairs(path) if path.suffix.lower() == ".csv" else _lfw_pairs(path)
    if not rows:
        raise ValueError(f"{path}: must list at least one pair, found none")
    place: dict[str, int] = {}
    first, second = (
        np.array([place.setdefault(row[side], len(place)) for row in rows]) for side in ("file_a", "file_b")
    )
    same, files = np.array([row["same"] == "1" for row in rows]), tuple(place)
    names = [""] * len(files)
    for row in rows:
        for side in "ab":
            names[place[row[f"file_{side}"]]] = row.get(f"identity_{side}", "")
    if index and not all(names):
        names = list(index.of(root, files, "identity"))
    if all(names):
        person = _numbered(names)
        wrong = np.flatnonzero((person[first] == person[second]) != same)
        if len(wrong):
            a, b = rows[wrong[0]]["file_a"], rows[wrong[0]]["file_b"]
            raise ValueError(f"{path}: same must agree with the identities, found another for {a} and {b}")
    else:
        person = _joined(len(files), first[same], second[same])
    _some_exist(path, root, files)
    folds = [row.get("fold", "") for row in rows]
    further = set(rows[0]) - {"file_a", "file_b", "same", "fold", "identity_a", "identity_b"}
    return PairList(
        files,
        first,
        second,
        same,
        _numbered(folds) if all(folds) else None,
        person,
        all(names),
        {name: tuple(row.get(name) or "" for row in rows) for name in sorted(further)},
    )


def read_searches(path: Path, root: Path) -> SearchList:
    """A CSV with the columns file, identity, role and perhaps condition. Raises ValueError."""
    rows, columns = _read_csv(path, ("file", "identity", "role"))
    for number, row in enumerate(rows, 2):
        if row["role"] not in ROLES:
            raise ValueError(
                f"{path}: line {number}: role must be one of {', '.join(ROLES)}, found {row['role']!r}"
            )
        if not row["identity"] and row["role"] != "nonmate":
            raise ValueError(f"{path}: line {number}: identity must not be empty for a {row['role']}")
    files, role = tuple(row["file"] for row in rows), tuple(row["role"] for row in rows)
    names = [row["identity"] or f"\0{row['file']}" for row in rows]
    enrolled = {name for name, r in zip(names, role, strict=True) if r == "gallery"}
    if not enrolled:
        raise ValueError(f"{path}: role must be gallery for at least one picture, found none")
    for number, (name, r) in enumerate(zip(names, role, strict=True), 2):
        if r != "gallery" and (r == "probe") != (name in enrolled):
            rule = "must be in the gallery for a probe" if r == "probe" else "must not be in it for a nonmate"
            raise ValueError(f"{path}: line {number}: identity {rule}, found {name!r}")
    _some_exist(path, root, files)
    condition = (
        tuple(row.get("condition") or "" for row in rows) if "condition" in columns else ("",) * len(rows)
    )
    return SearchList(files, _numbered(names), role, condition)


def draw_searches(
    files: Sequence[str], names: Sequence[str], size: int, count: int, rng: np.random.Generator
) -> list[SearchList]:
    """Galleries of `size` people drawn from those with two pictures or more: one picture is enrolled and one searched
    for; of everybody else one picture is searched for. Raises ValueError when there are too few people.
    """
    person = _numbered(names)
    order = rng.permutation(len(files))
    of = [[int(i) for i in order[person[order] == p]] for p in range(int(person.max()) + 1)]
    several = [p for p, pictures in enumerate(of) if len(pictures) > 1]
    if not 1 <= size <= len(several) or size == len(of):
        raise ValueError(
            f"gallery: must be 1 to {len(several)} people, who have two pictures, and leave some out; found {size}"
        )
    lists = []
    for _ in range(count):
        role = [""] * len(files)
        enrolled = set(rng.choice(several, size, replace=False).tolist())
        for p, pictures in enumerate(of):
            role[pictures[0]] = "gallery" if p in enrolled else "nonmate"
            if p in enrolled:
                role[pictures[1]] = "probe"
        lists.append(SearchList(tuple(files), person, tuple(role), ("",) * len(files)))
    return lists


def _csv_pairs(path: Path) -> list[dict[str, str]]:
    rows, _ = _read_csv(path, ("file_a", "file_b", "same"))
    for number, row in enumerate(rows, 2):
        word = row["same"].strip().lower()
        if word not in _YES + _NO:
            raise ValueError(f"{path}: line {number}: same must be 1 or 0, found {row['same']!r}")
        row["same"] = "1" if word in _YES else "0"
    return rows


def _lfw_pairs(path: Path) -> list[dict[str, str]]:
    """LFW's pairs.txt: a line of three words for one person's two pictures, of four for two people's.

    A first line of "10 300" says that each of ten folds has 300 pairs of one person, then 300 of two.
    """
    header, *lines = path.read_text(encoding="utf-8").splitlines() or [""]
    sizes = header.split()
    if not sizes or not all(word.isdigit() for word in sizes):
        raise ValueError(f"{path}: must begin with the number of pairs, or be a .csv; found {header!r}")
    rows: list[dict[str, str]] = []
    for line in lines:
        words = line.split()
        if not words:
            continue
        numbers = (words[1], words[-1])
        if len(words) not in (3, 4) or not all(number.isdigit() for number in numbers):
            raise ValueError(f"{path}: a line must have 3 or 4 words, found {line!r}")
        names = (words[0], words[2] if len(words) == 4 else words[0])
        a, b = (f"{n}/{n}_{int(i):04d}.jpg" for n, i in zip(names, numbers, strict=True))
        row = {"file_a": a, "file_b": b, "same": "1" if len(words) == 3 else "0"}
        row |= {"identity_a": names[0], "identity_b": names[1]}
        if len(sizes) == 2:
            row["fold"] = str(len(rows) // (2 * int(sizes[1])))
        rows.append(row)
    return rows


def _read_csv(path: Path, needed: tuple[str, ...]) -> tuple[list[dict[str, str]], tuple[str, ...]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns = tuple(reader.fieldnames or ())
            missing = [name for name in needed if name not in columns]
            if missing:
                raise ValueError(
                    f"{path}: must have the columns {', '.join(needed)}, found no {', '.join(missing)}"
                )
            rows = list(reader)
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: cannot be read: {error}") from None
    for number, row in enumerate(rows, 2):
        if any(row[name] is None for name in needed) or None in row:
            raise ValueError(f"{path}: line {number}: must have {len(columns)} fields, found another number")
    return rows, columns


def _some_exist(path: Path, root: Path, files: Sequence[str]) -> None:
    if not any((root / file).is_file() for file in files):
        raise ValueError(f"{path}: its files must lie under {root}, found none of them, not even {files[0]}")


def _absolute(path: Path) -> str:
    return os.path.abspath(path)


def _numbered(names: Iterable[str]) -> Ints:
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in names], np.intp)


def _joined(count: int, a: Ints, b: Ints) -> Ints:
    """Numbers of the groups that links between `count` things make of them."""
    parent = list(range(count))

    def top(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for i, j in zip(a.tolist(), b.tolist(), strict=True):
        parent[top(i)] = top(j)
    return np.unique([top(i) for i in range(count)], return_inverse=True)[1].astype(np.intp)
