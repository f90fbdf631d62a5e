"""The gallery's SQLite file: opened with care, brought to the newest schema, never written when in doubt."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from engines.recognition import audit
from engines.recognition.gallery_sealing import OWN_KEYS, reseal_person
from engines.recognition.keyring import KeyRing
from engines.recognition.vault import Vault, VaultError
from engines.sqlite_file import Migrations, connect_readable, connect_writable, migrate, version

_APPLICATION = 0x554E565A  # "UNVZ", in the file's header
_BUSY_S = 10.0
_SCRUB_S = 5.0
_KEY_CHECK = "key check"

_MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE meta (key TEXT PRIMARY KEY, value ANY) STRICT",
        """CREATE TABLE person (
            id TEXT PRIMARY KEY, name BLOB NOT NULL, name_mark BLOB NOT NULL UNIQUE,
            since_wall_ns INTEGER NOT NULL) STRICT""",
        """CREATE TABLE template (
            id TEXT PRIMARY KEY, person TEXT NOT NULL REFERENCES person, sealed BLOB NOT NULL, ground BLOB NOT NULL,
            picture_mark BLOB NOT NULL UNIQUE, quality REAL NOT NULL, added_wall_ns INTEGER NOT NULL) STRICT""",
        "CREATE INDEX template_of ON template (person)",
        *audit.SCHEMA,
    ),
    (
        "ALTER TABLE template ADD COLUMN views BLOB",
        "ALTER TABLE template ADD COLUMN picture BLOB",
    ),
    (
        "ALTER TABLE person ADD COLUMN revoked_wall_ns INTEGER",
        """CREATE TABLE former_name (
            person TEXT NOT NULL REFERENCES person, name BLOB NOT NULL, name_mark BLOB NOT NULL,
            UNIQUE (person, name_mark)) STRICT""",
        """CREATE TABLE refutation (
            id TEXT PRIMARY KEY, person TEXT NOT NULL REFERENCES person, mark BLOB NOT NULL UNIQUE,
            sighting BLOB NOT NULL, space TEXT NOT NULL, sealed BLOB NOT NULL, said_wall_ns INTEGER NOT NULL) STRICT""",
        "CREATE INDEX refutation_of ON refutation (person)",
    ),
    OWN_KEYS,  # and what `_give_own_keys` does
)
"""What brings the file from version i to i + 1. Never change one that was released: add the next."""


class GalleryError(RuntimeError):
    """The gallery cannot do what was asked; the text says why, and that nothing was lost."""


class GalleryConflict(GalleryError):
    """It cannot because of what is in it: somebody is gone, is there already, or is revoked."""


def open_file(path: Path, key: Path) -> tuple[sqlite3.Connection, bool]:
    """(connection, read_only) of a gallery, which is made when it is not there. Raises GalleryError."""
    if path.is_dir():
        raise GalleryError(f"{path}: must be a file, found a folder")
    if key.exists() and path.exists() and path.stat().st_size == 0:  # the key is made after the first page
        raise GalleryError(f"{path}: is empty although its key {key.name} is there; restore it from a copy")
    deadline = time.monotonic() + _BUSY_S
    with guarded(path):
        while True:
            try:
                return _open_writable(path, key), False
            except (PermissionError, sqlite3.OperationalError) as error:
                if _busy(error) and time.monotonic() < deadline:
                    time.sleep(0.02)  # switching a new file to WAL does not wait by itself
                elif _busy(error) or not path.is_file():
                    raise
                else:
                    return _open_readable(path), True


def open_vault(connection: sqlite3.Connection, path: Path, key: Path, read_only: bool) -> Vault:
    """The vault that this file was sealed with. Raises GalleryError for a missing or wrong key."""
    try:
        with guarded(path):
            row = connection.execute("SELECT value FROM meta WHERE key = 'key_check'").fetchone()
            if row is None:  # a new file
                if read_only:
                    raise GalleryError(f"{path}: holds nothing yet and cannot be written here (read-only)")
                vault = Vault.create(key)
                sealed = vault.seal(b"", _KEY_CHECK)
                connection.execute("INSERT OR IGNORE INTO meta VALUES ('key_check', ?)", (sealed,))
                row = connection.execute("SELECT value FROM meta WHERE key = 'key_check'").fetchone()
            vault = Vault.open(key)
    except VaultError as error:
        raise GalleryError(str(error)) from None
    try:
        vault.unseal(row[0], _KEY_CHECK)
    except VaultError:
        raise GalleryError(f"{key}: is not the key of {path}; nothing was changed") from None
    return vault


def keyring_of(key: Path) -> Path:
    """Where the people's own keys are: beside the key that seals them."""
    return key.with_suffix(".keyring")


def empty_journal(connection: sqlite3.Connection) -> bool:
    """Write the journal into the file and cut it to nothing; False when readers stood in the way too long."""
    deadline = time.monotonic() + _SCRUB_S
    while connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] != 0:
        if time.monotonic() > deadline:
            return False
    return True


@contextmanager
def guarded(path: Path) -> Iterator[None]:
    """Turns SQLite's and the system's errors into sentences."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise GalleryError(f"{path}: {_sentence(error)}") from None


def _open_writable(path: Path, key: Path) -> sqlite3.Connection:
    connection = connect_writable(path, _BUSY_S)
    try:
        _recognise(connection)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA temp_store = MEMORY")
        own_keys = partial(_give_own_keys, path=path, key=key)
        migrations: Migrations = (*_MIGRATIONS[:3], (*_MIGRATIONS[3], own_keys))
        migrate(connection, migrations, _APPLICATION)
    except BaseException:
        connection.close()
        raise
    return connection


def _give_own_keys(connection: sqlite3.Connection, path: Path, key: Path) -> None:
    """Seal everyone, who was sealed with the vault's key, with a key of their own. Keys that a killed attempt left in
    the ring have sealed nothing.
    """
    people = [row[0] for row in connection.execute("SELECT id FROM person").fetchall()]
    if not people:
        return
    vault = open_vault(connection, path, key, False)
    ring = KeyRing(keyring_of(key), vault)
    try:
        for person, (own, cipher) in zip(people, ring.add(len(people)), strict=True):
            reseal_person(connection, person, vault, cipher)
            connection.execute("UPDATE person SET key = ? WHERE id = ?", (own, person))
    except VaultError as error:
        raise GalleryError(f"{path}: {error}; it was left as it is, of its older version") from None
    connection.execute("INSERT OR REPLACE INTO meta VALUES ('scrub', 1)")


def _open_readable(path: Path) -> sqlite3.Connection:
    connection = connect_readable(path, _BUSY_S)
    try:
        _recognise(connection)
        version(connection, _MIGRATIONS, len(_MIGRATIONS))
    except BaseException:
        connection.close()
        raise
    return connection


def _recognise(connection: sqlite3.Connection) -> None:
    """Raises unless this is a sound gallery, or nothing yet."""
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    application = connection.execute("PRAGMA application_id").fetchone()[
        0
    ]  # comes with the tables, so read after
    if tables and application != _APPLICATION:
        raise sqlite3.DatabaseError("not a gallery")
    found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise sqlite3.DatabaseError(str(found))


def _busy(error: Exception) -> bool:
    return "locked" in str(error)


def _sentence(error: OSError | sqlite3.Error) -> str:
    text = str(error)
    if isinstance(error, sqlite3.NotSupportedError):
        return f"{text}; it was left as it is"
    if isinstance(error, OSError):
        return f"cannot be opened: {error.strerror}"
    if _busy(error):
        return f"another command has held it for {_BUSY_S:.0f} s; try again"
    if "readonly" in text or "unable to open" in text:
        return f"cannot be written here ({text}), so nothing was changed"
    if "full" in text:
        return f"no room left on the disk ({text}), so nothing was changed"
    if isinstance(error, sqlite3.OperationalError) and "malformed" not in text:
        return f"SQLite says: {text}; nothing was changed"
    return f"is damaged or not a gallery ({text}); it was left as it is: restore it from a copy, or name another file"
