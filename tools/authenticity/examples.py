"""Examples in a folder: photographed faces and painted ones, side by side, cut the same way from the same pictures.

Every photograph is used in both classes. Whatever the two classes differ in is therefore what painting did, and neither
the collection, nor its compression, nor how its faces are cut. Both classes hold faces with and without masks.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress

from engines.alignment import FACE_SIZE, face_transform, warp
from tools.authenticity.families import Family, visible
from tools.authenticity.sources import Source

VIEW_SIZE = 144
MARGIN = 1.15
"""Examples are kept with a rim around the face frame, so that augmentation can shift and turn them."""
PHOTOGRAPHED = "photograph"
_PICTURES, _TABLE = "examples.npy", "examples.json"
_FRAMED = 0.35  # share that is seen in the face frame alone, as reconstructions are handed out
_LARGEST = 320  # pixels: a larger picture is made smaller first, so that painting takes no longer

Picture = NDArray[np.uint8]
Points = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Example:
    """What is known of an example. family: PHOTOGRAPHED, or the name of the family that painted it."""

    family: str
    masked: bool
    part: str
    collection: str
    source: str
    group: dict[str, str]

    @property
    def painted(self) -> bool:
        """The label."""
        return self.family != PHOTOGRAPHED


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """pictures: uint8 RGB [N, 144, 144, 3], mapped from the disk. rows: what is known of each."""

    pictures: Picture
    rows: tuple[Example, ...]
    made_of: dict[str, object]

    @property
    def labels(self) -> NDArray[np.float32]:
        """1 painted, 0 photographed: float32 [N]."""
        return np.array([row.painted for row in self.rows], np.float32)

    def part(self, name: str) -> NDArray[np.intp]:
        """The numbers of a part's examples."""
        return np.array([i for i, row in enumerate(self.rows) if row.part == name], np.intp)


def view(picture: Picture, points: Points) -> Picture:
    """The face frame with its rim, uint8 RGB [144, 144, 3]."""
    scale = VIEW_SIZE / (FACE_SIZE * MARGIN)
    transform = face_transform(points) * np.float32(scale)
    transform[:, 2] += VIEW_SIZE / 2 - scale * FACE_SIZE / 2
    return warp(picture, transform, VIEW_SIZE)


def prepared(picture: Picture, points: Points, rng: np.random.Generator) -> tuple[Picture, Points]:
    """What both classes go through before any painting: a size that can be handled, or the face frame alone."""
    if rng.random() < _FRAMED:
        transform = face_transform(points)
        framed = warp(picture, transform, FACE_SIZE)
        return framed, np.asarray(points @ transform[:, :2].T + transform[:, 2], np.float32)
    scale = min(1.0, _LARGEST / max(picture.shape[:2])) * float(rng.uniform(0.6, 1.0))
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8), np.asarray(points * scale, np.float32)


def make_one(source: Source, family: Family | None, rng: np.random.Generator) -> Picture | None:
    """One example's view, or None where the face lies too near to the edge to be painted on."""
    picture, points = prepared(source.face.read(), source.face.landmarks, rng)
    if family is not None:
        if not visible(points, picture.shape):
            return None
        picture = family.paint(picture, points, source.masked, rng)
    return view(picture, points)


def build(
    folder: Path,
    sources: Sequence[Source],
    families: Sequence[Family],
    variants: int,
    seed: int,
    made_of: dict[str, object],
    progress: Progress,
) -> Examples:
    """One photographed and `variants` painted examples of each source, families in turn. Replaces the folder's.

    Raises ValueError when there is nothing to make examples of.
    """
    if not sources or not families:
        raise ValueError(f"examples: need sources and families, found {len(sources)} and {len(families)}")
    folder.mkdir(parents=True, exist_ok=True)
    most = len(sources) * (1 + variants)
    drafts = np.lib.format.open_memmap(folder / "draft.npy", "w+", np.uint8, (most, VIEW_SIZE, VIEW_SIZE, 3))
    rows: list[Example] = []
    bar = progress.add_task("examples", total=len(sources))
    for number, source in enumerate(sources):
        rng = np.random.default_rng([seed, number])
        start = number * variants
        for family in (None, *(families[(start + v) % len(families)] for v in range(variants))):
            made = make_one(source, family, rng)
            if made is None:
                continue
            drafts[len(rows)] = made
            rows.append(
                Example(
                    family.name if family else PHOTOGRAPHED,
                    family.masks if family else source.masked,
                    source.part,
                    source.collection,
                    source.face.path.name,
                    source.face.group,
                )
            )
        progress.advance(bar)
    drafts.flush()
    np.save(folder / _PICTURES, drafts[: len(rows)])
    del drafts
    (folder / "draft.npy").unlink()
    table = {"made_of": made_of, "rows": [asdict(row) for row in rows]}
    (folder / _TABLE).write_text(json.dumps(table), encoding="utf-8")
    return load(folder)


def load(folder: Path) -> Examples:
    """What `build` made. Raises ValueError when the folder holds none, or damaged ones."""
    try:
        table = json.loads((folder / _TABLE).read_text(encoding="utf-8"))
        pictures = np.load(folder / _PICTURES, mmap_mode="r", allow_pickle=False)
        rows = tuple(Example(**row) for row in table["rows"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{folder}: must hold examples, found none that can be read ({error})") from None
    if pictures.shape != (len(rows), VIEW_SIZE, VIEW_SIZE, 3):
        raise ValueError(f"{folder}: must hold {len(rows)} pictures, found an array {pictures.shape}")
    return Examples(pictures, rows, table["made_of"])


def balanced(rows: Sequence[Example], which: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.intp]:
    """As many numbers as `which`, drawn so that the four cells (painted?, masked?) that exist are equally frequent.

    Inside the painted cells, families are equally frequent too. Otherwise "masked" would say "painted".
    """
    cells: dict[tuple[bool, bool], dict[str, list[int]]] = {}
    for i in which.tolist():
        row = rows[i]
        cells.setdefault((row.painted, row.masked), {}).setdefault(row.family, []).append(i)
    drawn: list[int] = []
    for families in cells.values():
        share = len(which) / len(cells) / len(families)
        for members in families.values():
            rounds = int(np.ceil(share / len(members)))
            shuffled = np.concatenate([rng.permutation(members) for _ in range(rounds)])
            drawn += shuffled[: max(1, round(share))].tolist()
    return np.asarray(rng.permutation(drawn), np.intp)
