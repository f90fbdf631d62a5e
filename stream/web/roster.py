"""The gallery as the pages see it: opened once, everyone in it by name in memory, and compared with new pictures.

Opening a gallery checks the whole file, which takes seconds with tens of thousands of pictures; a page must not.
"""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

import numpy as np

from engines.recognition.enrolled import GallerySnapshot, Listed, Person
from engines.recognition.evidence import Vector
from engines.recognition.gallery import Gallery, GalleryError

Show = Literal["all", "active", "revoked"]
Sort = Literal["name", "newest"]


class Roster:
    """Threads take turns. All methods raise GalleryError."""

    def __init__(self, path: Path) -> None:
        """path: of the gallery, which is made when it is first asked for."""
        self._path = path
        self._lock = threading.RLock()
        self._opened: Gallery | None = None
        self._file: tuple[int, int] | None = None
        self._version, self._space = -1, ""
        self._sorted: list[tuple[str, Listed]] = []
        self._vectors: dict[str, Vector] = {}
        self._faces: GallerySnapshot | None = None

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            if self._opened:
                self._opened.close()
            self._opened = None
            self._version, self._space, self._sorted, self._vectors = -1, "", [], {}
            self._faces = None

    def read_ahead(self) -> None:
        """Open the gallery, where there is one, so that the first page does not wait for it."""
        if self._path.exists():
            with suppress(GalleryError):  # whoever asks is told what is wrong with it
                self.counts()

    @contextmanager
    def gallery(self) -> Iterator[Gallery]:
        """The open gallery, for this thread alone meanwhile. Another file in its place is opened anew."""
        with self._lock:
            if self._opened is None or self._file != _identity(self._path):
                self.close()
                self._opened = Gallery(self._path)
                self._file = _identity(self._path)
            yield self._opened

    def page(
        self, text: str = "", show: Show = "all", sort: Sort = "name", first: int = 0, count: int = 60
    ) -> tuple[list[Person], int]:
        """Some of the people whose name holds a text, without regard to case and accents, and how many these are."""
        wanted = _folded(text)
        with self.gallery() as gallery:
            found = [
                each
                for folded, each in self._everyone(gallery)
                if wanted in folded
                and (show == "all" or (each.revoked_wall_ns is not None) == (show == "revoked"))
            ]
            if sort == "newest":
                found.sort(key=lambda each: -each.since_wall_ns)
            people = (gallery.person(each.id) for each in found[first : first + count])
            return [person for person in people if person], len(found)

    def counts(self) -> tuple[int, int]:
        """How many are enrolled, and how many of these are revoked."""
        with self.gallery() as gallery:
            everyone = self._everyone(gallery)
            return len(everyone), sum(each.revoked_wall_ns is not None for _, each in everyone)

    def faces(self) -> GallerySnapshot:
        """The whole faces of everyone, of those who are revoked too, to compare new pictures with."""
        with self.gallery() as gallery:
            if self._faces and self._faces.version == gallery.version:
                return self._faces
            everyone = {each.id: each for _, each in self._everyone(gallery)}
            owners, space = gallery.owners(), gallery.space
            if space != self._space:
                self._vectors, self._space = {}, space
            self._vectors = {t: vector for t, vector in self._vectors.items() if t in owners}
            self._vectors |= gallery.embeddings([t for t in owners if t not in self._vectors])
            ids = tuple(everyone)
            place = {person: i for i, person in enumerate(ids)}
            kept = sorted(
                (t for t in owners if owners[t] in place and t in self._vectors),
                key=lambda t: place[owners[t]],
            )
            matrix = np.array([self._vectors[t] for t in kept], np.float32).reshape(
                len(kept), -1 if kept else 0
            )
            names = tuple(everyone[i].name for i in ids)
            owner = np.array([place[owners[t]] for t in kept], np.intp)
            self._faces = GallerySnapshot.of(gallery.version, space, ids, names, matrix, owner)
            return self._faces

    def _everyone(self, gallery: Gallery) -> list[tuple[str, Listed]]:
        """By name; read again when anybody has changed the gallery."""
        version = gallery.version
        if version != self._version:
            known = {each.name: folded for folded, each in self._sorted}
            listed = [(known.get(each.name) or _folded(each.name), each) for each in gallery.listed()]
            self._sorted = sorted(listed, key=lambda pair: (pair[0], pair[1].id))
            self._version = version
        return self._sorted


def _folded(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text.strip())
    return "".join(c for c in plain if not unicodedata.combining(c)).casefold()


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
