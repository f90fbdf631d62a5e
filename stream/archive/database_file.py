"""The archive's SQLite file: opened with care, looked over, brought to the newest schema, never made anew in error."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from engines.recognition.vault import Vault, VaultError
from engines.sqlite_file import connect_readable, connect_writable, migrate, version
from stream.archive.database import BUSY_S, FILE, KEY, SUSPECT, ArchiveError, NotInArchive, guarded
from stream.archive.schema import APPLICATION, MIGRATIONS

_KEY_CHECK = "archive key check"
_LONGEST_JOURNAL = 64 << 20
_CHECKED_WHOLE_UP_TO = 64 << 20


def open_connection(folder: Path, write: bool) -> tuple[sqlite3.Connection, bool]:
    """(connection, read_only). write: make the archive when it is not there. Raises ArchiveError, ArchiveDamaged."""
    path = folder / FILE
    if not write and not path.is_file():
        raise NotInArchive(f"{folder}: there is no archive here ({FILE} is missing)")
    deadline = time.monotonic() + BUSY_S
    with _opening(path):
        while True:
            try:
                return _open_writable(path), False
            except (PermissionError, sqlite3.OperationalError, OSError) as error:
                if "locked" in str(error) and time.monotonic() < deadline:
                    time.sleep(0.02)  # switching a new file to WAL does not wait by itself
                elif write or "locked" in str(error):
                    raise
                else:
                    return _open_readable(path), True


def check(connection: sqlite3.Connection, folder: Path) -> None:
    """Raises ArchiveDamaged. A large file that nobody has found fault with is looked at in a few places only."""
    path = folder / FILE
    with _opening(path):
        if (folder / SUSPECT).exists() or path.stat().st_size <= _CHECKED_WHOLE_UP_TO:
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if found != "ok":
                raise sqlite3.DatabaseError(f"malformed: {found}")
            (folder / SUSPECT).unlink(missing_ok=True)
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            connection.execute(f"SELECT * FROM {table} ORDER BY rowid DESC LIMIT 1").fetchone()


def open_vault(connection: sqlite3.Connection, folder: Path, read_only: bool) -> Vault:
    """The vault that this archive was sealed with. Raises ArchiveError for a missing or wrong key."""
    path, key = folder / FILE, folder / KEY
    try:
        with _opening(path):
            row = connection.execute("SELECT value FROM meta WHERE key = 'key_check'").fetchone()
            if row is None and not read_only:
                sealed = Vault.create(key).seal(b"", _KEY_CHECK)
                connection.execute("INSERT OR IGNORE INTO meta VALUES ('key_check', ?)", (sealed,))
                row = connection.execute("SELECT value FROM meta WHERE key = 'key_check'").fetchone()
        if not key.exists():
            raise ArchiveError(
                f"{key}: the archive's key is missing; without it nobody in it can be read. Put it back from a copy"
            )
        vault = Vault.open(key)
        vault.unseal(row[0] if row else b"", _KEY_CHECK)
    except VaultError as error:
        if _KEY_CHECK in str(error):
            raise ArchiveError(f"{key}: is not the key of {path}; nothing was changed") from None
        raise ArchiveError(str(error)) from None
    return vault


@contextmanager
def _opening(path: Path) -> Iterator[None]:
    """The same, and the system's errors too."""
    try:
        with guarded(path):
            yield
    except OSError as error:
        raise ArchiveError(f"{path}: cannot be opened: {error.strerror}") from error


def _open_writable(path: Path) -> sqlite3.Connection:
    return _prepared(connect_writable(path, BUSY_S), _set_up)


def _open_readable(path: Path) -> sqlite3.Connection:
    return _prepared(
        connect_readable(path, BUSY_S), lambda connection: version(connection, MIGRATIONS, len(MIGRATIONS))
    )


def _prepared(
    connection: sqlite3.Connection, prepare: Callable[[sqlite3.Connection], object]
) -> sqlite3.Connection:
    try:
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if tables and connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION:
            raise sqlite3.DatabaseError("not an archive")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("PRAGMA cache_size = -32000")
        prepare(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _set_up(connection: sqlite3.Connection) -> None:
    if not version(
        connection, MIGRATIONS
    ):  # a new file: room that is freed in it can be given back to the disk
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA journal_size_limit = {_LONGEST_JOURNAL}")
    migrate(connection, MIGRATIONS, APPLICATION)
