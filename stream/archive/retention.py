"""What expires: by age, by the room that everything takes, and by the room that is left on the disk.

Oldest first over all cameras. With a segment go its frames, sightings, events and pictures; what is protected stays,
and so does the segment that is being written.
"""

from __future__ import annotations

import shutil

import msgspec

from stream.archive.annotation_table import AnnotationTable
from stream.archive.database import FILE, guarded
from stream.archive.footage_table import LONGEST_NS
from stream.archive.incident_table import IncidentTable
from stream.archive.reconciliation import Reconciliation
from stream.archive.sighting_table import SightingTable
from stream.config import Recording

_GB = 1_000_000_000
_HOUR_NS = 3600 * 1_000_000_000
_DAY_NS = 24 * _HOUR_NS
_WRITING_NS = 60 * 1_000_000_000
"""An open segment grows once a second; one that has not for so long is not written any more."""
_SEGMENTS_AT_ONCE, _ROWS_AT_ONCE = 100, 500
_SLICES = 20
"""What one call deletes is bounded, so that the recorder's thread is soon back; the next call goes on."""
_FREED_PAGES = 2000
_TIMES = {
    "segments": ("began_ns", "ended_ns"),
    "chunks": ("began_ns", "ended_ns"),
    "sightings": ("first_ns", "last_ns"),
    "events": ("at_ns", "at_ns"),
}
_SEEN = ("chunks", "sightings", "events")


class Retired(msgspec.Struct, frozen=True):
    """What was deleted. bytes: of the segments' files. notes: what people should know, a sentence each."""

    segments: int
    bytes: int
    chunks: int
    sightings: int
    events: int
    notes: tuple[str, ...]


class Retention(Reconciliation, AnnotationTable, SightingTable, IncidentTable):
    """Deleting what is too old or too much."""

    def retire(self, now_ns: int, keep: Recording) -> Retired:
        """Delete what has expired, as far as one call goes: call it again, once a minute.

        Once an hour it also sees to it that the files and the archive agree. A file that cannot be deleted stays in the
        archive, with a note. now_ns: this machine's clock.
        """
        notes = self.reconcile_hourly(now_ns)
        oldest_ns = now_ns - int(keep.keep_days * _DAY_NS)
        excess = self._excess(keep)
        segments, size, horizon_ns = self._retire_segments(now_ns, oldest_ns, excess, notes)
        if excess and not segments:  # no footage is left to delete, only what was seen
            horizon_ns = min(self._oldest_seen() + _HOUR_NS, now_ns - _HOUR_NS)
        chunks, sightings, events = (
            self._retire_rows(table, max(oldest_ns, horizon_ns), oldest_ns) for table in _SEEN
        )
        if excess and not (segments or chunks or sightings or events):
            notes.append(
                f"{self.folder}: {excess / _GB:.1f} GB too much are taken or too little free, but all that is left is"
                " protected, new, or not of Unvizard"
            )
        self._give_back(_FREED_PAGES)
        return Retired(segments, size, chunks, sightings, events, tuple(notes))

    def room_taken(self) -> int:
        """Bytes of all segments and of what is used of the database."""
        pages, free, size = (
            int(self._value(f"PRAGMA {name}")) for name in ("page_count", "freelist_count", "page_size")
        )
        return int(self._value("SELECT coalesce(sum(bytes), 0) FROM segments")) + (pages - free) * size

    def _give_back(self, pages: int) -> None:
        """Unused pages of the database to the disk."""
        with self._lock, guarded(self.folder / FILE):
            self._connection.executescript(
                f"PRAGMA incremental_vacuum({pages})"
            )  # execute would take one step only

    def _excess(self, keep: Recording) -> int:
        """How many bytes must go."""
        too_much = self.room_taken() - int(keep.keep_gb * _GB)
        try:
            too_little = int(keep.keep_free_gb * _GB) - shutil.disk_usage(self.folder).free
        except OSError:  # the disk is away; nothing can be deleted there either
            too_little = 0
        return max(0, too_much, too_little)

    def _retire_segments(
        self, now_ns: int, oldest_ns: int, excess: int, notes: list[str]
    ) -> tuple[int, int, int]:
        """(how many, their bytes, when the newest of those that went for want of room was written)."""
        count = size = newest = 0
        place = (-1 << 62, 0)
        for _ in range(_SLICES):
            rows = self._rows(
                "SELECT id, path, bytes, written_ns FROM segments t WHERE (written_ns, id) > (?, ?)"
                f" AND (complete OR written_ns < ?) AND NOT {_protected('segments')}"
                f" ORDER BY written_ns, id LIMIT {_SEGMENTS_AT_ONCE}",
                (*place, now_ns - _WRITING_NS),
            )
            gone: list[int] = []
            for identity, path, bytes_, written in rows:
                place = (written, identity)
                if written >= oldest_ns and size >= excess:
                    rows = []
                    break
                if self.delete_file(
                    path, notes
                ):  # first: a row without its file is put right, a file comes back
                    gone.append(identity)
                    size += bytes_
                    newest = max(newest, written if written >= oldest_ns else 0)
            with self.transaction():
                for identity in gone:
                    self._write("DELETE FROM segments WHERE id = ?", (identity,))
            count += len(gone)
            if len(rows) < _SEGMENTS_AT_ONCE:
                break
        return count, size, newest

    def _retire_rows(self, table: str, horizon_ns: int, oldest_ns: int) -> int:
        """Rows written up to the horizon, unless there is footage of them or they are protected.

        Events that somebody has still to be told of stay until they are too old.
        """
        count = 0
        told = (
            f"(written_ns < {oldest_ns} OR NOT EXISTS"
            " (SELECT 1 FROM deliveries WHERE event = t.id AND done_ns IS NULL))"
            if table == "events"
            else "1"
        )
        for _ in range(_SLICES):
            with self.transaction():
                deleted = self._write(
                    f"DELETE FROM {table} WHERE id IN (SELECT id FROM {table} t WHERE written_ns <= ? AND {told}"
                    f" AND NOT {_protected(table)} AND NOT {_has_footage(table)}"
                    f" ORDER BY written_ns LIMIT {_ROWS_AT_ONCE})",
                    (horizon_ns,),
                ).rowcount
            count += deleted
            if deleted < _ROWS_AT_ONCE:
                break
        return count

    def _oldest_seen(self) -> int:
        """When the oldest of what could be deleted was written."""
        found = (
            self._value(
                f"SELECT written_ns FROM {table} t WHERE NOT {_protected(table)} AND NOT {_has_footage(table)}"
                " ORDER BY written_ns LIMIT 1"
            )
            for table in _SEEN
        )
        return min((oldest for oldest in found if oldest is not None), default=0)


def _protected(table: str) -> str:
    began, ended = _TIMES[table]
    return (
        "EXISTS (SELECT 1 FROM protections p WHERE (p.camera IS NULL OR p.camera = t.camera)"
        f" AND p.from_ns <= t.{ended} AND p.to_ns > t.{began})"
    )


def _has_footage(table: str) -> str:
    began, ended = _TIMES[table]
    return (
        "EXISTS (SELECT 1 FROM segments s WHERE s.camera = t.camera"
        f" AND s.began_ns BETWEEN t.{began} - {LONGEST_NS} AND t.{ended} AND s.ended_ns >= t.{began})"
    )
