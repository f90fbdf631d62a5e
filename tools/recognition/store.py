"""What was seen in each picture, kept on disk, so that a second evaluation does not look again."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

_APPLICATION = 0x756E7673  # "unvs"
_COMMIT_EVERY = 200


class Sight(msgspec.Struct, frozen=True):
    """What the product made of one face in one picture.

    failure: why it made nothing, else empty. vectors: float32 little endian, unit length, by kind. masked: whether the
    product took the face for a masked one. unfit: why the quality gate would have turned it away, else empty.
    """

    failure: str = ""
    vectors: dict[str, bytes] = {}
    masked: bool = False
    unfit: str = ""

    def vector(self, kind: str) -> NDArray[np.float32]:
        """float32 [D]; raises KeyError when there is no such kind."""
        return np.frombuffer(self.vectors[kind], "<f4").astype(np.float32)


class Store:
    """Sights by key, in one SQLite file; None as its path keeps nothing."""

    def __init__(self, path: Path | None) -> None:
        """Raises ValueError when the file is there and holds something else."""
        self._connection: sqlite3.Connection | None = None
        self._waiting = 0
        if path is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, timeout=30)
        try:
            found = connection.execute("PRAGMA application_id").fetchone()[0]
            tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if found != _APPLICATION and tables:
                raise ValueError(
                    f"{path}: must be a file of this command or a new one, found another database"
                )
            connection.execute(f"PRAGMA application_id = {_APPLICATION}")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS sight (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID"
            )
        except (sqlite3.DatabaseError, ValueError) as error:
            connection.close()
            if isinstance(error, ValueError):
                raise
            raise ValueError(f"{path}: cannot be used to keep what was seen: {error}") from None
        self._connection = connection

    def get(self, key: bytes) -> Sight | None:
        """What was put under a key; None where it is not there or cannot be read."""
        if self._connection is None:
            return None
        row = self._connection.execute("SELECT value FROM sight WHERE key = ?", (key,)).fetchone()
        try:
            return msgspec.msgpack.decode(row[0], type=Sight) if row else None
        except msgspec.DecodeError:
            return None

    def put(self, key: bytes, sight: Sight) -> None:
        """Keep a sight."""
        if self._connection is None:
            return
        self._connection.execute(
            "INSERT OR REPLACE INTO sight VALUES (?, ?)", (key, msgspec.msgpack.encode(sight))
        )
        self._waiting += 1
        if self._waiting >= _COMMIT_EVERY:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        if self._connection is not None:
            self._connection.commit()
            self._waiting = 0

    def close(self) -> None:
        """Write what waits, and let go of the file."""
        self.flush()
        if self._connection is not None:
            self._connection.close()
