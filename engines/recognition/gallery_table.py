"""The gallery's tables: opened, written in transactions, sealed, overwritten."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from engines.recognition import audit, gallery_file
from engines.recognition.enrolled import Template
from engines.recognition.evidence import VIEWS, WHOLE, Vector
from engines.recognition.gallery_file import GalleryConflict, GalleryError
from engines.recognition.gallery_sealing import (
    template_binding,
)
from engines.recognition.keyring import KeyRing
from engines.recognition.names import same_name
from engines.recognition.vault import SEALED_BYTES, Cipher, VaultError

_FINISHING = "finishing an erasure"
_VACUUMED_UP_TO = 1 << 28
"""Bytes. A larger file is not written anew: what is erased is overwritten where it lay (secure_delete)."""


class GalleryTable:
    """An open gallery. One thread at a time may use it. All methods raise GalleryError."""

    def __init__(
        self, path: Path, key: Path | None = None, clock_ns: Callable[[], int] = time.time_ns
    ) -> None:
        """path: the database, made when it is not there. key: its key file, by default beside it as *.key."""
        self.path, self.key = path, key or path.with_suffix(".key")
        self._clock_ns = clock_ns
        self._known_names: dict[str, tuple[bytes, str]] = {}
        self._connection, self.read_only = gallery_file.open_file(path, self.key)
        try:
            self._vault = gallery_file.open_vault(self._connection, path, self.key, self.read_only)
            self.audit = audit.Audit(self._connection, self._vault, clock_ns)
            self._ring = KeyRing(gallery_file.keyring_of(self.key), self._vault)
            with gallery_file.guarded(path), self._vault_errors():
                if self._count("person") and not self._ring.path.exists():
                    raise GalleryError(
                        f"{self._ring.path}: the keys of the people are missing; without them nobody in the gallery "
                        "can be read"
                    )
                if not self.read_only and self._half_erased():
                    with self._writing():
                        pass  # which finishes them
                if not self.read_only and self._meta("scrub"):
                    self._scrub()
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Done with it."""
        self._connection.close()

    @property
    def version(self) -> int:
        """Rises with every change made by any process; cheap enough to ask for each second."""
        with gallery_file.guarded(self.path):
            return int(self._meta("version") or 0)

    @property
    def space(self) -> str:
        """Of the embeddings of whole faces; empty while nobody was ever enrolled."""
        with gallery_file.guarded(self.path):
            return str(self._meta("space") or "")

    def log(self, action: audit.Action, actor: str, detail: str) -> None:
        """Write down in the log what is done to everybody who is seen."""
        with gallery_file.guarded(self.path), self._writing():
            self.audit.append(action, "everyone", actor, detail)

    # inside

    def _cipher(self, person: str) -> Cipher:
        """What seals for somebody who is there. Raises GalleryConflict for who is not, or is being erased."""
        row = self._connection.execute("SELECT key FROM person WHERE id = ?", (person,)).fetchone()
        cipher = self._ring.ciphers({person: row[0]}).get(person) if row else None
        if cipher is None:
            raise GalleryConflict("nobody of this id is enrolled; they may have been erased just now")
        return cipher

    def _half_erased(self) -> list[str]:
        """Of whom the key was destroyed and no more: a command was killed, or the file is an older copy."""
        return [
            row[0]
            for key in self._ring.destroyed()
            for row in self._connection.execute("SELECT id FROM person WHERE key = ?", (key,)).fetchall()
        ]

    def _finish_erasures(self) -> None:
        for person in self._half_erased():
            self._ring.destroy(self._all_keys(person))
            pictures = self._delete(person)
            self._set("scrub", 1)
            self.audit.append(audit.Action.REMOVED, person, _FINISHING, f"{pictures} pictures")

    def _all_keys(self, person: str) -> list[str]:
        """The ids of all keys under which any copy of the file holds a person."""
        query = "SELECT key FROM person WHERE id = ? UNION SELECT key FROM former_key WHERE person = ?"
        return [row[0] for row in self._connection.execute(query, (person, person)).fetchall()]

    def _delete(self, person: str) -> int:
        """All rows of a person; how many pictures these were."""
        for table in ("refutation", "former_name", "former_key"):
            self._connection.execute(f"DELETE FROM {table} WHERE person = ?", (person,))
        pictures = self._connection.execute("DELETE FROM template WHERE person = ?", (person,)).rowcount
        self._connection.execute("DELETE FROM person WHERE id = ?", (person,))
        self._known_names.pop(person, None)
        self._changed()
        return pictures

    def _sealed_whole(self, template: Template, identity: str, person: str) -> bytes:
        plain = template.embedding.astype("<f4").tobytes()
        return self._cipher(person).seal(plain, template_binding(identity, person, template.space))

    def _sealed_views(self, template: Template, identity: str, person: str) -> bytes | None:
        others = [template.views.get(view) for view in VIEWS if view != WHOLE]
        if template.views_space != self._meta("views_space") or any(vector is None for vector in others):
            return None
        plain = b"".join(vector.astype("<f4").tobytes() for vector in others if vector is not None)
        return self._cipher(person).seal(plain, template_binding(identity, person, template.views_space))

    def _check_dimensions(self, what: str, vector: Vector) -> None:
        """Raises ValueError for a vector of another number of dimensions than the templates have."""
        row = self._connection.execute("SELECT length(sealed) FROM template LIMIT 1").fetchone()
        if row and (there := (row[0] - SEALED_BYTES) // 4) != len(vector):
            raise ValueError(
                f"{what}: must have {there} dimensions, as the others of its space, found {len(vector)}"
            )

    def _name_mark(self, name: str) -> bytes:
        return self._vault.mark(same_name(name).encode(), "name")

    def _meta(self, key: str) -> int | float | str | bytes | None:
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
        """One transaction: all of it or nothing. It begins with ending what a killed command began to erase."""
        if self.read_only:
            raise GalleryError(f"{self.path}: cannot be written here (read-only), so nothing was changed")
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            with self._vault_errors():
                self._finish_erasures()
            yield
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    @contextmanager
    def _moment(self) -> Iterator[None]:
        """What is read inside is of one state, also while others write."""
        if self._connection.in_transaction:
            yield
            return
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("ROLLBACK")

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
            pages, size = (
                self._connection.execute(f"PRAGMA {what}").fetchone()[0]
                for what in ("page_count", "page_size")
            )
            if pages * size <= _VACUUMED_UP_TO:
                self._connection.execute("VACUUM")
            if not gallery_file.empty_journal(self._connection):
                return False
            self._connection.execute("DELETE FROM meta WHERE key = 'scrub'")
            return True
        except sqlite3.OperationalError:
            return False
