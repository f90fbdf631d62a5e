"""The people enrolled, on disk: one SQLite file with sealed templates and names, and its key beside it.

Several processes may have it open: writers take turns, readers never wait. Without the key file the database
tells how many people and pictures there are and when they came, and no more. `remove` leaves no byte of a person in
the files; copies made of them elsewhere (backups, the free blocks of a disk) are beyond its reach, so keep the
key apart from the backups.
"""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.recognition import audit, gallery_file
from engines.recognition.embedder import DIMENSIONS
from engines.recognition.gallery_file import GalleryError
from engines.recognition.names import clean_ground, clean_name, same_name
from engines.recognition.vault import VaultError

__all__ = ["Gallery", "GalleryError", "GallerySnapshot", "Person", "Receipt", "Template"]


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """One picture of a person, as the gallery keeps it.

    embedding: float32 [128], unit length, in the named space. quality: 0 to 1. digest: of the picture's pixels,
    so that the same photograph is known again; only a keyed mark of it is stored.
    """

    embedding: NDArray[np.float32]
    space: str
    quality: float
    digest: bytes


@dataclass(frozen=True, slots=True)
class Person:
    """An enrolled person. since_wall_ns: UTC since 1970 of the first picture."""

    id: str
    name: str
    pictures: int
    since_wall_ns: int
    ground: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof of an erasure: line `sequence` of the audit log carries this mark.

    scrubbed: the bytes are gone from the files now; False when another process was reading all the while, and
    then the next command that opens the gallery overwrites them.
    """

    person: str
    name: str
    pictures: int
    wall_ns: int
    sequence: int
    mark: bytes
    scrubbed: bool


@dataclass(frozen=True, slots=True, eq=False)
class GallerySnapshot:
    """All templates at one moment, in memory, for exact search.

    ids, names: of the people, [P]. matrix: float32 [T, 128], rows of one person side by side. owner: intp [T],
    each row's index into ids, rising. space: of the embeddings, empty while nobody is enrolled.
    """

    version: int
    space: str
    ids: tuple[str, ...]
    names: tuple[str, ...]
    matrix: NDArray[np.float32]
    owner: NDArray[np.intp]

    @classmethod
    def empty(cls) -> GallerySnapshot:
        """Nobody enrolled."""
        return cls(0, "", (), (), np.zeros((0, DIMENSIONS), np.float32), np.zeros(0, np.intp))


class Gallery:
    """An open gallery; a context manager. One thread at a time may use it. All methods raise GalleryError."""

    def __init__(
        self, path: Path, key: Path | None = None, clock_ns: Callable[[], int] = time.time_ns
    ) -> None:
        """path: the database, made when it is not there. key: its key file, by default beside it as *.key."""
        self.path, self.key = path, key or path.with_suffix(".key")
        self._clock_ns = clock_ns
        self._connection, self.read_only = gallery_file.open_file(path, self.key)
        try:
            self._vault = gallery_file.open_vault(self._connection, path, self.key, self.read_only)
            self.audit = audit.Audit(self._connection, self._vault, clock_ns)
            with gallery_file.guarded(path):
                if not self.read_only and self._meta("scrub"):
                    self._scrub()
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> Gallery:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Done with it."""
        self._connection.close()

    @property
    def version(self) -> int:
        """Rises with every change made by any process; cheap enough to ask for each second."""
        with gallery_file.guarded(self.path):
            return int(self._meta("version") or 0)

    def people(self) -> tuple[Person, ...]:
        """Everyone enrolled, by name."""
        with gallery_file.guarded(self.path), self._vault_errors():
            rows = self._connection.execute(
                "SELECT person.id, name, since_wall_ns, template.id, ground FROM person"
                " JOIN template ON person = person.id ORDER BY template.added_wall_ns"
            ).fetchall()
            found: dict[str, Person] = {}
            for person, name, since, template, ground in rows:
                ground = self._vault.unseal(ground, f"ground of {template} of {person}").decode()
                if old := found.get(person):
                    grounds = old.ground if ground in old.ground.split("; ") else f"{old.ground}; {ground}"
                    found[person] = Person(person, old.name, old.pictures + 1, since, grounds)
                else:
                    found[person] = Person(person, self._unseal_name(person, name), 1, since, ground)
        return tuple(sorted(found.values(), key=lambda p: (p.name.casefold(), p.id)))

    def find(self, name: str) -> Person | None:
        """The person of this name, in any spelling that counts as the same, or None. Raises ValueError too."""
        wanted = same_name(name)
        return next((p for p in self.people() if same_name(p.name) == wanted), None)

    def owner_of_picture(self, digest: bytes) -> str | None:
        """The name of the person for whom the very same picture is enrolled already."""
        with gallery_file.guarded(self.path), self._vault_errors():
            row = self._connection.execute(
                "SELECT person.id, name FROM template JOIN person ON person = person.id WHERE picture_mark = ?",
                (self._vault.mark(digest, "picture"),),
            ).fetchone()
            return self._unseal_name(*row) if row else None

    def add(self, name: str, template: Template, ground: str, actor: str) -> Person:
        """Enrol a picture: of a new person, or one more of the person of this name.

        ground: why this may be done ("consent", …), stored with it. actor: who does it, for the log.
        Raises ValueError for a name, ground or template that cannot be used; GalleryError when the picture is
        enrolled already or the gallery lives in another space.
        """
        name, ground, mark = (
            clean_name(name),
            clean_ground(ground),
            self._vault.mark(template.digest, "picture"),
        )
        _check(template)
        with gallery_file.guarded(self.path), self._writing():
            space = self._meta("space")
            if space and space != template.space and self._count("template"):
                raise _foreign(self.path, str(space), template.space)
            if owner := self.owner_of_picture(template.digest):
                raise GalleryError(f"the very same photograph is already enrolled as {owner}")
            now, name_mark = self._clock_ns(), self._vault.mark(same_name(name).encode(), "name")
            row = self._connection.execute(
                "SELECT id FROM person WHERE name_mark = ?", (name_mark,)
            ).fetchone()
            person = row[0] if row else secrets.token_hex(16)
            if not row:
                sealed = self._vault.seal(name.encode(), f"name of {person}")
                self._connection.execute(
                    "INSERT INTO person VALUES (?, ?, ?, ?)", (person, sealed, name_mark, now)
                )
            identity = secrets.token_hex(16)
            self._connection.execute(
                "INSERT INTO template VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    identity,
                    person,
                    self._vault.seal(
                        template.embedding.astype("<f4").tobytes(), _binding(identity, person, template.space)
                    ),
                    self._vault.seal(ground.encode(), f"ground of {identity} of {person}"),
                    mark,
                    template.quality,
                    now,
                ),
            )
            self._set("space", template.space)
            self._changed()
            action = audit.Action.PICTURE_ADDED if row else audit.Action.ENROLLED
            self.audit.append(action, person, actor)
        return next(p for p in self.people() if p.id == person)

    def remove(self, name: str, actor: str) -> Receipt:
        """Erase a person: templates, name, ground, all of it, also from the free pages and the journal.

        The audit log keeps the random id. Raises ValueError for what is no name, GalleryError for an unknown one.
        """
        person = self.find(name)
        if person is None:
            raise GalleryError(f"{clean_name(name)}: nobody of this name is enrolled")
        with gallery_file.guarded(self.path), self._writing():
            pictures = self._connection.execute(
                "DELETE FROM template WHERE person = ?", (person.id,)
            ).rowcount
            if not self._connection.execute("DELETE FROM person WHERE id = ?", (person.id,)).rowcount:
                raise GalleryError(f"{person.name}: was removed by another command just now")
            self._set("scrub", 1)
            self._changed()
            entry = self.audit.append(audit.Action.REMOVED, person.id, actor, f"{pictures} pictures")
        scrubbed = self._scrub()
        return Receipt(person.id, person.name, pictures, entry.wall_ns, entry.sequence, entry.mark, scrubbed)

    def load(self, space: str | None = None) -> GallerySnapshot:
        """Everything needed to search. space: the embedder's; GalleryError when the gallery lives in another."""
        with gallery_file.guarded(self.path), self._vault_errors():
            self._connection.execute("BEGIN")
            try:
                version, stored = int(self._meta("version") or 0), str(self._meta("space") or "")
                people = self._connection.execute(
                    "SELECT id, name FROM person ORDER BY since_wall_ns, id"
                ).fetchall()
                rows = self._connection.execute(
                    "SELECT person, id, sealed FROM template ORDER BY added_wall_ns, id"
                ).fetchall()
            finally:
                self._connection.execute("COMMIT")
            if not rows:
                return GallerySnapshot(version, "", (), (), *_no_rows())
            if space is not None and space != stored:
                raise _foreign(self.path, stored, space)
            place = {person: i for i, (person, _) in enumerate(people)}
            rows.sort(key=lambda row: place[row[0]])
            data = b"".join(self._vault.unseal(sealed, _binding(t, p, stored)) for p, t, sealed in rows)
            names = tuple(self._unseal_name(*person) for person in people)
        matrix = np.frombuffer(data, "<f4").reshape(len(rows), DIMENSIONS).astype(np.float32)
        owner = np.array([place[row[0]] for row in rows], np.intp)
        return GallerySnapshot(version, stored, tuple(p for p, _ in people), names, matrix, owner)

    # inside

    def _unseal_name(self, person: str, sealed: bytes) -> str:
        return self._vault.unseal(sealed, f"name of {person}").decode()

    def _meta(self, key: str) -> int | str | bytes | None:
        row = self._connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    def _set(self, key: str, value: int | str) -> None:
        self._connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def _changed(self) -> None:
        self._set("version", int(self._meta("version") or 0) + 1)

    def _count(self, table: str) -> int:
        return int(self._connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One transaction: all of it or nothing."""
        if self.read_only:
            raise GalleryError(f"{self.path}: cannot be written here (read-only), so nothing was changed")
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    @contextmanager
    def _vault_errors(self) -> Iterator[None]:
        try:
            yield
        except VaultError as error:
            raise GalleryError(
                f"{self.path}: {error}; it was left as it is: restore the file and its key from one copy"
            ) from None

    def _scrub(self) -> bool:
        """Overwrite what was erased. False when another process keeps on reading; the mark then stays set."""
        try:
            self._connection.execute("VACUUM")
            if not gallery_file.empty_journal(self._connection):
                return False
            self._connection.execute("DELETE FROM meta WHERE key = 'scrub'")
            return True
        except sqlite3.OperationalError:
            return False


def _binding(template: str, person: str, space: str) -> str:
    return f"template {template} of {person} in {space}"


def _no_rows() -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    return np.zeros((0, DIMENSIONS), np.float32), np.zeros(0, np.intp)


def _check(template: Template) -> None:
    vector = template.embedding
    if (
        vector.shape != (DIMENSIONS,)
        or not np.isfinite(vector).all()
        or abs(float(np.linalg.norm(vector)) - 1) > 1e-3
    ):
        raise ValueError(
            f"template: must be a finite vector [{DIMENSIONS}] of length 1, found {list(vector.shape)}"
        )


def _foreign(path: Path, stored: str, found: str) -> GalleryError:
    return GalleryError(
        f"{path}: its people were enrolled with the embedder {stored[:24]}, this one is {found[:24]}; their templates "
        "cannot be compared: enrol them again from photographs in another gallery, or go back to that embedder"
    )
