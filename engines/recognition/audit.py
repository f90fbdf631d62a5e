"""Who enrolled, removed or searched for whom, and when: a log that cannot be altered unnoticed.

Every entry carries a mark over itself and the mark before it (Schneier and Kelsey, "Secure Audit Logs to
Support Computer Forensics", 1999, without their key evolution). Without the gallery's key nobody can make a
mark, so an entry changed, left out or added shows. A whole log put back to an older state fits together again;
a receipt holds the newest mark of its time, and `verify` with it finds that too.

People are in it by their random id only, so that it may stay when a person is erased.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from engines.recognition.vault import Vault

SCHEMA = (
    """CREATE TABLE audit (
        sequence INTEGER PRIMARY KEY, wall_ns INTEGER NOT NULL, action TEXT NOT NULL, person TEXT NOT NULL,
        actor TEXT NOT NULL, detail TEXT NOT NULL, mark BLOB NOT NULL) STRICT""",
    "CREATE TRIGGER audit_stays BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END",
    "CREATE TRIGGER audit_holds BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END",
)
_START = bytes(32)


class Action(StrEnum):
    """What was done."""

    ENROLLED = "enrolled"
    PICTURE_ADDED = "picture added"
    PICTURE_REMOVED = "picture removed"
    RENAMED = "renamed"
    MERGED = "merged"
    SPLIT = "split"
    REVOKED = "revoked"
    RESTORED = "restored"
    REFUTED = "refuted"
    REFUTATION_UNDONE = "refutation undone"
    RENEWED = "templates renewed"
    REMOVED = "removed"
    SEARCHED = "searched"
    VIEWED = "viewed"
    EXPORTED = "exported"
    BUNDLED = "bundled"
    PROTECTED = "protected"
    RELEASED = "released"
    CONFIRMED = "confirmed"
    REFUSED = "refused"
    ERASED = "erased"
    ESTIMATING = "attributes estimated"


class AuditError(RuntimeError):
    """The log was altered; the text says where."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the log. mark: 32 bytes; wall_ns: UTC since 1970."""

    sequence: int
    wall_ns: int
    action: str
    person: str
    actor: str
    detail: str
    mark: bytes


class Audit:
    """The log in a gallery's database."""

    def __init__(self, connection: sqlite3.Connection, vault: Vault, clock_ns: Callable[[], int]) -> None:
        self._connection, self._vault, self._clock_ns = connection, vault, clock_ns

    def append(self, action: str, person: str, actor: str, detail: str = "") -> Entry:
        """Write one line; action: an Action, or another verb. Call it inside the transaction that does what it says."""
        last = self._connection.execute(
            "SELECT sequence, mark FROM audit ORDER BY sequence DESC LIMIT 1"
        ).fetchone()
        sequence, before = (last[0] + 1, last[1]) if last else (1, _START)
        fields = (sequence, self._clock_ns(), str(action), person, actor, detail)
        entry = Entry(*fields, self._mark(before, fields))
        self._connection.execute("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?)", (*fields, entry.mark))
        self._connection.execute(
            "INSERT OR REPLACE INTO meta VALUES ('audit_head', ?)", (self._head(sequence, entry.mark),)
        )
        return entry

    def entries(self) -> Iterator[Entry]:
        """All lines, oldest first."""
        for row in self._connection.execute("SELECT * FROM audit ORDER BY sequence").fetchall():
            yield Entry(*row)

    def verify(self, known_mark: bytes | None = None) -> int:
        """How many lines there are, when none was altered, left out or added. Raises AuditError.

        known_mark: the mark of a receipt; the line that it was given for must still be there.
        """
        with self._one_moment():
            entries = list(self.entries())
            head = self._connection.execute("SELECT value FROM meta WHERE key = 'audit_head'").fetchone()
        before, count, met = _START, 0, known_mark is None
        for entry in entries:
            fields = (entry.sequence, entry.wall_ns, entry.action, entry.person, entry.actor, entry.detail)
            if entry.sequence != count + 1:
                raise AuditError(f"audit log: line {count + 1} is missing, found line {entry.sequence}")
            if entry.mark != self._mark(before, fields):
                raise AuditError(f"audit log: line {entry.sequence} or the one before it was altered")
            before, count = entry.mark, entry.sequence
            met = met or entry.mark == known_mark
        if (head[0] if head else None) != (self._head(count, before) if count else None):
            raise AuditError(f"audit log: lines are missing after line {count}")
        if not met:
            raise AuditError(
                "audit log: the receipt's line is missing; the log was put back to an older state"
            )
        return count

    @contextmanager
    def _one_moment(self) -> Iterator[None]:
        """What is read inside is of one state, also while others append."""
        if self._connection.in_transaction:
            yield
            return
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("ROLLBACK")

    def _mark(self, before: bytes, fields: tuple[int | str, ...]) -> bytes:
        return self._vault.mark(before + json.dumps(fields).encode(), "audit")

    def _head(self, sequence: int, mark: bytes) -> bytes:
        return self._vault.mark(sequence.to_bytes(8, "big") + mark, "audit head")
