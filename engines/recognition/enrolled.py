"""What a gallery holds: templates of people, and all of them at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engines.recognition.evidence import VIEWS, WHOLE, Vector


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """One picture of a person, as the gallery keeps it.

    views: unit float32 [D] by the names in engines.recognition.evidence.VIEWS; WHOLE at least. space: of WHOLE.
    views_space: of the others. picture: the face as a PNG file in the recognition frame at twice its size, from which
    another embedder can make its own template; empty when it is not to be kept. quality: 0 to 1. digest: of the
    photograph's pixels, so that it is known again; only a keyed mark of it is stored.
    """

    views: Mapping[str, Vector]
    space: str
    quality: float
    digest: bytes
    views_space: str = ""
    picture: bytes = b""

    @property
    def embedding(self) -> Vector:
        """Of the whole face."""
        return self.views[WHOLE]


@dataclass(frozen=True, slots=True)
class Person:
    """An enrolled person. since_wall_ns: UTC since 1970 of the first picture. revoked_wall_ns: since when the person is
    kept but not recognised; None when nobody said so.
    """

    id: str
    name: str
    pictures: int
    since_wall_ns: int
    ground: str
    revoked_wall_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """The same without the ground."""

    id: str
    name: str
    pictures: int
    since_wall_ns: int
    revoked_wall_ns: int | None


@dataclass(frozen=True, slots=True)
class SightingName:
    """What names a sighting in the archive of the recordings (stream.archive.sightings.Sighting)."""

    run: int
    epoch: int
    camera: str
    track: int


@dataclass(frozen=True, slots=True)
class Refutation:
    """Somebody said of a sighting that it is not this person. person: the id. said_wall_ns: when."""

    id: str
    person: str
    sighting: SightingName
    said_wall_ns: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof of an erasure: line `sequence` of the audit log carries this mark.

    scrubbed: the bytes are gone from the files now; False when another process was reading all the while, and
    then the next command that opens the gallery overwrites them.
    keys_destroyed: how many keys that the person was ever sealed with were overwritten; without them copies of
    the gallery that were sealed with them cannot be read for the person.
    former_names: of the person, under which recordings may still name them.
    """

    person: str
    name: str
    pictures: int
    wall_ns: int
    sequence: int
    mark: bytes
    scrubbed: bool
    keys_destroyed: int
    former_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class GallerySnapshot:
    """All templates at one moment, in memory, for exact search.

    ids, names: of the people, [P]. views: float32 [T, D] by the names in VIEWS, rows of one person side by side.
    owner: intp [T], each row's index into ids, rising. space: of the embeddings, empty while nobody is enrolled, and D
    is 0 then. complete: whether all views are of the embedders in use; where one is missing the whole face stands in
    for it. refuted: float32 [R, D], faces of which somebody said that they are not those of the people refuted_owner,
    intp [R], indices into ids.
    """

    version: int
    space: str
    ids: tuple[str, ...]
    names: tuple[str, ...]
    views: Mapping[str, NDArray[np.float32]]
    owner: NDArray[np.intp]
    complete: bool = True
    refuted: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    refuted_owner: NDArray[np.intp] = field(default_factory=lambda: np.zeros(0, np.intp))

    @property
    def matrix(self) -> NDArray[np.float32]:
        """Of the whole faces, float32 [T, D]."""
        return self.views[WHOLE]

    @classmethod
    def empty(cls) -> GallerySnapshot:
        """Nobody enrolled."""
        return cls.of(0, "", (), (), np.zeros((0, 0), np.float32), np.zeros(0, np.intp))

    @classmethod
    def of(
        cls,
        version: int,
        space: str,
        ids: tuple[str, ...],
        names: tuple[str, ...],
        whole: NDArray[np.float32],
        owner: NDArray[np.intp],
    ) -> GallerySnapshot:
        """One whose whole faces stand in for all views."""
        return cls(version, space, ids, names, dict.fromkeys(VIEWS, whole), owner)


def check(template: Template) -> None:
    """Raises ValueError for a template that cannot be compared with others."""
    wanted = template.embedding.shape
    for view, vector in template.views.items():
        if vector.shape != wanted or not is_direction(vector):
            raise ValueError(
                f"template: {view} must be a finite vector of length 1, of as many numbers as {WHOLE} "
                f"{list(wanted)}, found {list(vector.shape)}"
            )


def is_direction(vector: Vector) -> bool:
    """Whether it is float32 [D], finite and of length 1."""
    return vector.ndim == 1 and bool(
        np.isfinite(vector).all() and abs(float(np.linalg.norm(vector)) - 1) < 1e-3
    )
