"""SQLite files that hold what must not be lost: opened for their owner alone, and brought from version to version."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import quote

Migrations = Sequence[Sequence[str | Callable[[sqlite3.Connection], None]]]
"""The statements that bring a file from version i to i + 1, and functions that do what no statement can."""


def connect_writable(path: Path, busy_s: float) -> sqlite3.Connection:
    """A connection that commits by itself, to a file that is made when it is not there."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # SQLite alone would let the group read it
    return sqlite3.connect(path, timeout=busy_s, isolation_level=None, check_same_thread=False)


def connect_readable(path: Path, busy_s: float) -> sqlite3.Connection:
    """To a disk that cannot be written. A journal left there holds changes, so then it must be read too."""
    journal = path.with_name(path.name + "-wal")
    mode = "mode=ro" if journal.exists() and journal.stat().st_size else "mode=ro&immutable=1"
    address = f"file:{quote(str(path.absolute()))}?{mode}"
    return sqlite3.connect(address, uri=True, timeout=busy_s, isolation_level=None, check_same_thread=False)


def version(connection: sqlite3.Connection, migrations: Migrations, oldest: int = 0) -> int:
    """The version of a file's schema. Raises sqlite3.NotSupportedError for one that this program does not read."""
    found = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if not oldest <= found <= len(migrations):
        raise sqlite3.NotSupportedError(
            f"its schema has version {found}, this program reads {oldest} to {len(migrations)}"
        )
    return found


def migrate(connection: sqlite3.Connection, migrations: Migrations, application: int) -> None:
    """Bring a file to the newest schema, in one transaction, and write into its header whose it is."""
    if version(connection, migrations) == len(migrations):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        # The version is asked again: another may have been first.
        for number in range(version(connection, migrations), len(migrations)):
            for statement in migrations[number]:
                if callable(statement):
                    statement(connection)
                else:
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number + 1}")
        connection.execute(f"PRAGMA application_id = {application}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
