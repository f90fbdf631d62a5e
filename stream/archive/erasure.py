"""Erases a person from the archive: from sightings, frames, events and settings, and from the bytes of the file.

What stays: that somebody was seen there and then, undecided; and the footage itself, whose pictures may show the
person until they expire.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from typing import Any

from engines.recognition.audit import Action, Audit
from engines.recognition.names import clean_name, same_name
from stream.archive.annotation_table import CHUNK, AnnotationTable
from stream.archive.annotations import frame_without, people_on
from stream.archive.database import FILE, ArchiveError
from stream.archive.footage_table import FootageTable
from stream.archive.incident_table import IncidentTable
from stream.archive.sighting_table import COLUMNS, SightingTable, bound, pack_who, sighting_without

_FORGETTING_NS = 60_000_000_000
"""For so long nothing is written of somebody who was just erased: a running pipeline may still say the name."""
_AT_ONCE = 200
_SCRUB_MS = 5000
_VACUUMED_UP_TO = 1 << 29
"""A larger file is not written anew, which would hold up the recorder for minutes: erased bytes are overwritten where
they lay (secure_delete)."""
_ERASED = "erased"
_SHORTEST_WORD = 3


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof of an erasure: line `sequence` of the archive's log carries this mark.

    person: what stands for the name in the log. sightings: that named the person, as decision or as candidate; frames,
    events: the same. copies: damaged databases that had been set aside and were removed. scrubbed: the bytes are gone
    from the files now; False when another process was reading all the while, or there was no room: then they are
    overwritten when the archive is next opened.
    """

    person: str
    name: str
    sightings: int
    frames: int
    events: int
    copies: int
    wall_ns: int
    sequence: int
    mark: bytes
    scrubbed: bool


class Erasure(FootageTable, AnnotationTable, SightingTable, IncidentTable):
    """Taking somebody out."""

    actor: str
    audit: Audit

    def erase_person(self, name: str, actor: str | None = None) -> Receipt:
        """Erase a name, and candidates, embeddings and pictures of the sightings that were decided to be that person.

        The recorder goes on meanwhile: it is done in many small transactions, and can be done again if it is cut off.
        Raises ValueError for what is no name; ArchiveError.
        """
        name = clean_name(name)
        mark = self._mark(name)
        with self.transaction():
            until = self._clock_ns() + _FORGETTING_NS
            self._write("DELETE FROM erased WHERE until_ns <= ?", (self._clock_ns(),))
            self._write("INSERT OR REPLACE INTO erased VALUES (?, ?)", (mark, until))
            self._set("scrub", 1)
            self._write("DELETE FROM verdicts WHERE person_mark = ?", (mark,))
            self._erase_from_settings(mark)
        sightings = self._in_slices("sightings", COLUMNS, mark, self._erase_from_sightings)
        frames = self._in_slices("chunks", CHUNK, mark, self._erase_from_chunks)
        events = self._erase_from_events(name, mark)
        with self.transaction():
            self._set("erasures", int(self._meta("erasures") or 0) + 1)
            entry = self.audit.append(
                Action.ERASED,
                mark.hex(),
                actor or self.actor,
                f"{sightings} sightings, {frames} frames, {events} events",
            )
        copies = self._remove_copies()
        return Receipt(
            mark.hex(),
            name,
            sightings,
            frames,
            events,
            copies,
            entry.wall_ns,
            entry.sequence,
            entry.mark,
            self._scrub(),
        )

    def _in_slices(self, table: str, columns: str, mark: bytes, erase: Any) -> int:
        """How many were changed. A slice is a transaction, so that the recorder never waits for long."""
        named = self._rows(f"SELECT id FROM {table} WHERE people != x'' AND instr(people, ?)", (mark,))
        count = 0
        for start in range(0, len(named), _AT_ONCE):
            slice_ = [identity for (identity,) in named[start : start + _AT_ONCE]]
            with self.transaction():
                rows = self._rows(
                    f"SELECT {columns} FROM {table} WHERE id IN ({', '.join('?' * len(slice_))})", slice_
                )
                count += sum(erase(row, mark) for row in rows)
        return count

    def _erase_from_sightings(self, row: tuple[Any, ...], mark: bytes) -> int:
        seen = self._sighting(row)
        left = sighting_without(seen, lambda name: self._mark(name) == mark)
        key = (seen.run, seen.epoch, seen.camera, seen.track)
        self._write(
            "UPDATE sightings SET decision = ?, person_mark = ?, probability = ?, revision = ?, people = ?, sealed = ?"
            " WHERE id = ?",
            (
                left.decision,
                None if left.person is None else self._mark(left.person),
                left.probability,
                self._next_revision(),
                self._marks_of(left.names),
                self._vault.seal(pack_who(left), bound(*key, "who")),
                seen.id,
            ),
        )
        if left.person != seen.person:
            self._write("DELETE FROM pictures WHERE sighting = ?", (seen.id,))
            self._write("DELETE FROM embeddings WHERE sighting = ?", (seen.id,))
            self._write("UPDATE events SET people = people || ? WHERE sighting = ?", (mark, seen.id))
        return 1

    def _erase_from_chunks(self, row: tuple[Any, ...], mark: bytes) -> int:
        identity, camera, run, began, _ = row
        before = self.open_chunk(row)
        after = [frame_without(frame, lambda name: self._mark(name) == mark) for frame in before]
        self._write(
            "UPDATE chunks SET people = ?, data = ? WHERE id = ?",
            (
                self._marks_of(people_on(after)),
                self.seal_chunk(camera, run, began, after),
                identity,
            ),
        )
        return sum(old is not new for old, new in zip(before, after, strict=True))

    def _erase_from_events(self, name: str, mark: bytes) -> int:
        """Their data goes whole, and what was not delivered yet is not delivered any more."""
        words = [word for word in same_name(name).split() if len(word) >= _SHORTEST_WORD]
        with self.transaction():
            rows = self._rows("SELECT id FROM events WHERE people != x'' AND instr(people, ?)", (mark,))
            for (identity,) in rows:
                event = self.event(identity)
                named = event is None or any(word in event.rule.casefold() for word in words)
                rule = _ERASED if event is None or named else event.rule
                others = () if event is None else tuple(p for p in event.people if self._mark(p) != mark)
                self._write(
                    "UPDATE events SET rule_mark = ?, people = ? WHERE id = ?",
                    (self._rule_mark(rule), self._marks_of(others), identity),
                )
                self._seal_event(identity, rule, b"", others)
                self._write("DELETE FROM deliveries WHERE event = ? AND done_ns IS NULL", (identity,))
        return len(rows)

    def _erase_from_settings(self, mark: bytes) -> None:
        def cleared(value: Any) -> Any:
            if isinstance(value, dict):
                return {key: cleared(item) for key, item in value.items()}
            if isinstance(value, list):
                return [cleared(item) for item in value]
            return _ERASED if isinstance(value, str) and value and self._mark(value) == mark else value

        for run, sealed in self._rows("SELECT id, settings FROM runs"):
            before = self._settings(run, sealed)
            after = cleared(before)
            if after != before:
                data = self._vault.seal(json.dumps(after).encode(), f"settings of run {run}")
                self._write("UPDATE runs SET settings = ? WHERE id = ?", (data, run))

    def _remove_copies(self) -> int:
        """Damaged databases that were set aside cannot be searched for a person, so they go whole."""
        copies = list(self.folder.glob(f"{FILE}.damaged-*"))
        for path in copies:
            path.unlink(missing_ok=True)
        return len(copies)

    def _scrub(self) -> bool:
        """Overwrite what was erased, also in the journal. False when that has to wait; the mark then stays set."""
        with self._lock:
            try:
                pages, size, patience = (
                    self._value(f"PRAGMA {name}") for name in ("page_count", "page_size", "busy_timeout")
                )
                if pages * size <= _VACUUMED_UP_TO:
                    self._connection.execute("VACUUM")
                self._rows(f"PRAGMA busy_timeout = {_SCRUB_MS}")
                readers = self._value("PRAGMA wal_checkpoint(TRUNCATE)")
                self._rows(f"PRAGMA busy_timeout = {patience}")
                if not readers:
                    with self.transaction():
                        self._write("DELETE FROM meta WHERE key = 'scrub'")
                return not readers
            except (sqlite3.OperationalError, ArchiveError):
                return False
