"""The archive's database: its transactions, its sealed and marked fields, and its errors as sentences.

One process writes, any number read beside it and never wait. A transaction is on the disk when it ends.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from engines.recognition.names import same_name
from engines.recognition.vault import Vault, VaultError

FILE, KEY, SUSPECT = "archive.sqlite3", "archive.key", "archive.suspect"
BUSY_S = 10.0
_MARK_BYTES = 16


class ArchiveError(RuntimeError):
    """The archive cannot do what was asked; the text says why, and what became of the data."""


class ArchiveDamaged(ArchiveError):
    """The database is damaged. `Archive.open(folder, write=True)` sets it aside and reads the footage in again."""


class NotInArchive(ArchiveError):
    """What was asked for is not there: it never was, or has expired."""


class Database:
    """The connection, the vault and the transactions that the tables share. Threads take turns."""

    def __init__(
        self,
        folder: Path,
        connection: sqlite3.Connection,
        vault: Vault,
        read_only: bool,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.folder, self.read_only = folder, read_only
        self._connection, self._vault, self._clock_ns = connection, vault, clock_ns
        self._lock = threading.RLock()
        self._depth = 0
        self._marks: dict[str, bytes] = {}

    def close(self) -> None:
        """Done with it."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is written inside is on the disk afterwards, or, after an error, none of it. May be nested.

        Raises ArchiveError, also when the disk is full or cannot be written.
        """
        with self._lock, guarded(self.folder / FILE):
            if self.read_only:
                raise ArchiveError(
                    f"{self.folder}: cannot be written here (read-only), so nothing was changed"
                )
            if self._depth:
                yield
                return
            self._connection.execute("BEGIN IMMEDIATE")
            self._depth = 1
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
            finally:
                self._depth = 0

    def _lately_erased(self) -> set[bytes]:
        """Marks of people who were just erased, and whom a running pipeline may not have forgotten yet."""
        rows = self._rows("SELECT mark FROM erased WHERE until_ns > ?", (self._clock_ns(),))
        return {mark for (mark,) in rows}

    def _cameras_of(self, table: str) -> list[str]:
        """The cameras in a table, from one to the next by its index and not over all rows."""
        found = list[str]()
        name = self._value(f"SELECT min(camera) FROM {table}")
        while name is not None:
            found.append(name)
            name = self._value(f"SELECT min(camera) FROM {table} WHERE camera > ?", (name,))
        return found

    def _rows(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._lock, guarded(self.folder / FILE):
            return self._connection.execute(statement, values).fetchall()

    def _value(self, statement: str, values: Sequence[Any] = ()) -> Any:
        rows = self._rows(statement, values)
        return rows[0][0] if rows else None

    def _write(self, statement: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Inside a transaction only."""
        return self._connection.execute(statement, values)

    def _meta(self, key: str) -> Any:
        return self._value("SELECT value FROM meta WHERE key = ?", (key,))

    def _set(self, key: str, value: int | str | bytes) -> None:
        self._write("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def _mark(self, name: str) -> bytes:
        """What stands for a person in the tables."""
        mark = self._marks.get(name)
        if mark is None:
            mark = self._marks[name] = self._vault.mark(_comparable(name).encode(), "person")[:_MARK_BYTES]
        return mark

    def _marks_of(self, names: Sequence[str] | set[str]) -> bytes:
        """The marks of several people, one after the other, in an order that says nothing."""
        return b"".join(sorted({self._mark(name) for name in names}))

    def _unseal(self, sealed: bytes, bound_to: str) -> bytes:
        try:
            return self._vault.unseal(sealed, bound_to)
        except VaultError as error:
            raise ArchiveError(f"{self.folder / FILE}: {error}; the rest can still be read") from None


@contextmanager
def guarded(path: Path) -> Iterator[None]:
    """Turns SQLite's errors into sentences."""
    try:
        yield
    except sqlite3.Error as error:
        text = str(error)
        damaged = isinstance(error, sqlite3.DatabaseError) and any(
            sign in text for sign in ("malformed", "not a database", "not an archive")
        )
        if damaged:
            with suppress(OSError):  # so that the next to open it for writing looks closely
                path.with_name(SUSPECT).touch()
        raise (ArchiveDamaged if damaged else ArchiveError)(f"{path}: {_sentence(error)}") from error


def _comparable(name: str) -> str:
    """The name in the form in which spellings are equal. A gallery's names are clean; others stand for themselves."""
    try:
        return same_name(name)
    except ValueError:
        return name


def _sentence(error: sqlite3.Error) -> str:
    text = str(error)
    if isinstance(error, sqlite3.NotSupportedError):
        return f"{text}; it was left as it is"
    if "locked" in text:
        return f"another command has held it for {BUSY_S:.0f} s, so nothing was changed; try again"
    if "full" in text:
        return f"no room left on the disk ({text}), so this was not written; what was written before is safe"
    if "readonly" in text or "unable to open" in text:
        return f"cannot be written here ({text}), so nothing was changed"
    if "I/O" in text:
        return f"the disk does not answer ({text}), so this was not written; what was written before is safe"
    if isinstance(error, sqlite3.OperationalError) and "malformed" not in text:
        return f"SQLite says: {text}; nothing was changed"
    return f"is damaged or not an archive ({text}); it was left as it is"
