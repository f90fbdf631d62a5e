"""Who looks like this: exact search over every embedding in the archive, decrypted once and then kept up to date."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from stream.archive.database import ArchiveError
from stream.archive.sighting_table import COLUMNS, SightingTable, bound_embedding
from stream.archive.sightings import Query, Sighting

_AT_ONCE = 5000
_WITHOUT_CONDITIONS = Query()


class _Faces:
    """The embeddings of one space in memory: float32 [N, D] of unit length, and whose they are."""

    def __init__(self, erasures: int) -> None:
        self.erasures, self.revision, self.count = erasures, 0, 0
        self.ids = np.zeros(0, np.int64)
        self.matrix = np.zeros((0, 0), np.float32)
        self._place: dict[int, int] = {}

    def take(self, sightings: list[int], embeddings: NDArray[np.float32]) -> None:
        """Rows that are new, or newer than those kept of the same sightings. embeddings: [n, D], D as before."""
        places = []
        for sighting in sightings:
            place = self._place.setdefault(sighting, self.count)
            self.count += place == self.count
            places.append(place)
        if self.count > len(self.ids):
            room = max(self.count, 2 * len(self.ids))
            self.ids = np.resize(self.ids, room) if len(self.ids) else np.zeros(room, np.int64)
            grown = np.zeros((room, embeddings.shape[1]), np.float32)
            if len(self.matrix):
                grown[: len(self.matrix)] = self.matrix
            self.matrix = grown
        self.ids[places] = sightings
        lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
        self.matrix[places] = embeddings / np.maximum(lengths, 1e-12)


class Resemblance(SightingTable):
    """Search by a face."""

    @cached_property
    def _known_faces(self) -> dict[str, _Faces]:
        """By space; filled as they are asked for."""
        return {}

    def _like(
        self, embedding: NDArray[np.float32], space: str, query: Query, limit: int
    ) -> list[tuple[Sighting, float]]:
        """The sightings that meet the query and look most like a face, with their cosine similarity, -1 to 1."""
        wanted = np.asarray(embedding, np.float32)
        length = float(np.linalg.norm(wanted))
        if wanted.ndim != 1 or not np.isfinite(wanted).all() or length < 1e-6:
            raise ArchiveError(
                f"embedding: must be a finite vector that is not 0, found {list(wanted.shape)}"
            )
        with self._lock:
            faces = self._faces(space)
            if not faces.count:
                return []
            if faces.matrix.shape[1] != len(wanted):
                raise ArchiveError(
                    f"embedding: must have {faces.matrix.shape[1]} dimensions, as those of its space in the archive, "
                    f"found {len(wanted)}"
                )
            similar = faces.matrix[: faces.count] @ (wanted / length)
            ids = faces.ids[: faces.count]
            if _open(query):
                where, values = self._conditions(query)
                found = self._rows(f"SELECT id FROM sightings WHERE {where}", values)
                met = np.isin(ids, np.fromiter((row[0] for row in found), np.int64, len(found)))
                similar, ids = similar[met], ids[met]
            return self._best(ids, similar, limit)

    def _best(
        self, ids: NDArray[np.int64], similar: NDArray[np.float32], limit: int
    ) -> list[tuple[Sighting, float]]:
        """The nearest that are still in the archive."""
        best: list[tuple[Sighting, float]] = []
        many = min(len(ids), max(2 * limit, 16))
        while len(best) < limit and many:
            order = np.argpartition(-similar, many - 1)[:many]
            order = order[np.argsort(-similar[order], kind="stable")]
            rows = self._rows(
                f"SELECT {COLUMNS} FROM sightings WHERE id IN ({', '.join('?' * many)})", ids[order].tolist()
            )
            there = {row[0]: row for row in rows}
            best = [
                (self._sighting(there[identity]), score)
                for identity, score in zip(ids[order].tolist(), similar[order].tolist(), strict=True)
                if identity in there
            ][:limit]
            if many == len(ids):
                break
            many = min(len(ids), 4 * many)
        return best

    def _faces(self, space: str) -> _Faces:
        """Brought up to date: only what was added or changed since is decrypted; anew after an erasure."""
        erasures = int(self._meta("erasures") or 0)
        faces = self._known_faces.get(space)
        if faces is None or faces.erasures != erasures:
            faces = self._known_faces[space] = _Faces(erasures)
        while rows := self._rows(
            "SELECT sighting, revision, sealed FROM embeddings WHERE revision > ? AND space = ?"
            f" ORDER BY revision LIMIT {_AT_ONCE}",
            (faces.revision, space),
        ):
            data = [self._unseal(sealed, bound_embedding(i, space)) for i, _, sealed in rows]
            sizes = {len(each) // 4 for each in data} | ({faces.matrix.shape[1]} if faces.count else set())
            if len(sizes) > 1:
                raise ArchiveError(
                    f"embeddings of {space[:24]}: must all have the same number of dimensions, found "
                    f"{' and '.join(map(str, sorted(sizes)))}"
                )
            faces.take([row[0] for row in rows], np.frombuffer(b"".join(data), "<f4").reshape(len(rows), -1))
            faces.revision = rows[-1][1]
        return faces


def _open(query: Query) -> bool:
    """Whether a query demands anything."""
    return any(
        getattr(query, field) != getattr(_WITHOUT_CONDITIONS, field)
        for field in ("from_ns", "to_ns", "cameras", "person", "decision", "masks")
    )
