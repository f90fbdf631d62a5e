"""Accounts, sessions, keys and the journal on disk: one SQLite file, and the key of the journal's marks beside it."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from engines.recognition import audit
from engines.recognition.vault import Vault, VaultError
from engines.sqlite_file import connect_writable, migrate

_APPLICATION = 0x554E5641  # "UNVA", in the file's header
_BUSY_S = 10.0
_KEY_CHECK = "accounts key check"

_MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE meta (key TEXT PRIMARY KEY, value ANY) STRICT",
        """CREATE TABLE account (
            id TEXT PRIMARY KEY, same_name TEXT NOT NULL UNIQUE, name TEXT NOT NULL, role TEXT NOT NULL, cameras TEXT,
            password TEXT NOT NULL, generated INTEGER NOT NULL, since_wall_ns INTEGER NOT NULL) STRICT""",
        """CREATE TABLE session (
            token_hash BLOB PRIMARY KEY, account TEXT NOT NULL REFERENCES account ON DELETE CASCADE,
            since_wall_ns INTEGER NOT NULL, seen_wall_ns INTEGER NOT NULL, peer TEXT NOT NULL) STRICT""",
        "CREATE INDEX session_of ON session (account)",
        """CREATE TABLE once (
            token_hash BLOB PRIMARY KEY, account TEXT NOT NULL REFERENCES account ON DELETE CASCADE,
            until_wall_ns INTEGER NOT NULL) STRICT""",
        """CREATE TABLE api_key (
            id TEXT PRIMARY KEY, token_hash BLOB NOT NULL UNIQUE, label TEXT NOT NULL,
            account TEXT NOT NULL REFERENCES account ON DELETE CASCADE, role TEXT NOT NULL, cameras TEXT,
            since_wall_ns INTEGER NOT NULL, used_wall_ns INTEGER) STRICT""",
        "CREATE UNIQUE INDEX api_key_label ON api_key (account, label)",
        *audit.SCHEMA,
        "CREATE INDEX audit_actor ON audit (actor)",
        "CREATE INDEX audit_action ON audit (action)",
    ),
    (
        "ALTER TABLE account ADD COLUMN must_change INTEGER NOT NULL DEFAULT 0",
        "UPDATE account SET must_change = generated",
        "ALTER TABLE session ADD COLUMN by_link INTEGER NOT NULL DEFAULT 0",
    ),
)
"""What brings the file from version i to i + 1. Never change one that was released: add the next."""


class StoreError(RuntimeError):
    """The store cannot do what was asked; the text says why. Nothing was changed."""


class Store:
    """An open store; a context manager. Writers take turns, readers never wait, not even for a disk; other processes
    may have it open too. All methods raise StoreError.
    """

    def __init__(self, path: Path, clock_ns: Callable[[], int] = time.time_ns) -> None:
        """path: the database, made when it is not there, with its key beside it as *.key. clock_ns: UTC."""
        self.path, self.clock_ns = path, clock_ns
        self._lock, self._writer = threading.RLock(), 0
        self._idle: list[sqlite3.Connection] = []  # for readers
        with self._guarded():
            key = path.with_suffix(".key")
            if key.exists() and (not path.exists() or path.stat().st_size == 0):
                raise StoreError(
                    f"{path}: is missing or empty although its key {key.name} is there; restore it from a copy, or "
                    "move the key away to begin without accounts"
                )
            self._connection = connect_writable(path, _BUSY_S)
            try:
                self._prepare(path)
                self._vault = self._open_vault(key)
            except BaseException:
                self._connection.close()
                raise

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Done with it."""
        with self._lock:
            self._connection.close()
            while self._idle:
                self._idle.pop().close()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection that sees one moment's state, for questions; inside `writing`, what is being written."""
        with self._guarded():
            if self._writer == threading.get_ident():
                yield self._connection
                return
            try:
                connection = self._idle.pop()
            except IndexError:
                connection = connect_writable(self.path, _BUSY_S)
                connection.execute("PRAGMA query_only = ON")
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.execute("ROLLBACK")
                self._idle.append(connection)

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """The connection in one transaction: all of it is on the disk afterwards, or nothing. May be nested."""
        with self._lock, self._guarded():
            if self._writer:
                yield self._connection
                return
            self._connection.execute("BEGIN IMMEDIATE")
            self._writer = threading.get_ident()
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
            finally:
                self._writer = 0

    def audit(self, connection: sqlite3.Connection) -> audit.Audit:
        """The log as a connection of `reading` or `writing` sees it."""
        return audit.Audit(connection, self._vault, self.clock_ns)

    def _prepare(self, path: Path) -> None:
        found = self._connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        tables = self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if tables and self._connection.execute("PRAGMA application_id").fetchone()[0] != _APPLICATION:
            raise sqlite3.DatabaseError("not a file of accounts")
        if found != "ok":
            raise sqlite3.DatabaseError(found)
        self._to_wal()
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("PRAGMA secure_delete = ON")
        self._connection.execute("PRAGMA foreign_keys = ON")
        self._connection.execute("PRAGMA temp_store = MEMORY")
        migrate(self._connection, _MIGRATIONS, _APPLICATION)

    def _to_wal(self) -> None:
        """Switching a new file to WAL does not wait for others by itself."""
        deadline = time.monotonic() + _BUSY_S
        while True:
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def _open_vault(self, key: Path) -> Vault:
        question = "SELECT value FROM meta WHERE key = 'key_check'"
        row = self._connection.execute(question).fetchone()
        if row is None:
            sealed = Vault.create(key).seal(b"", _KEY_CHECK)
            self._connection.execute("INSERT OR IGNORE INTO meta VALUES ('key_check', ?)", (sealed,))
            row = self._connection.execute(question).fetchone()
        if not key.exists():
            raise StoreError(
                f"{key}: is missing; without it the log cannot be checked or go on: restore it from a copy"
            )
        try:
            vault = Vault.open(key)
            vault.unseal(row[0], _KEY_CHECK)
        except VaultError as error:
            if _KEY_CHECK in str(error):
                raise StoreError(f"{key}: is not the key of {self.path}; nothing was changed") from None
            raise
        return vault

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Turns SQLite's and the system's errors into sentences."""
        try:
            yield
        except VaultError as error:
            raise StoreError(str(error)) from None
        except OSError as error:
            raise StoreError(f"{self.path}: cannot be opened: {error.strerror}") from None
        except sqlite3.OperationalError as error:
            raise StoreError(f"{self.path}: SQLite says: {error}; nothing was changed") from None
        except sqlite3.DatabaseError as error:
            raise StoreError(
                f"{self.path}: is damaged or not a file of accounts ({error}); it was left as it is"
            ) from None
