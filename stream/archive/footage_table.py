"""Runs, segments and their clocks in the archive, and what is protected."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from stream.archive import clocks
from stream.archive.database import ArchiveError, Database, NotInArchive
from stream.archive.footage import Place, Run, Segment, Span, joined
from stream.archive.sightings import DECISIONS, Sighting
from stream.capture.address import redact

LONGEST_NS = 4 * 3600 * 1_000_000_000
"""No segment is longer: an hour at most, and some more where the camera's clock was set while it was written."""
_SECRET_KEYS = ("password", "secret", "token")
_RUN = "id, began_ns, ended_ns, version, settings, engines"
_COLUMNS = (
    "id, camera, run, connection, path, codec, width, height, began_ns, ended_ns, began_media_ns, ended_media_ns,"
    " bytes, frames, complete,"
    " EXISTS (SELECT 1 FROM protections p WHERE (p.camera IS NULL OR p.camera = segments.camera)"
    " AND p.from_ns <= segments.ended_ns AND p.to_ns > segments.began_ns), reason, clock"
)


class FootageTable(Database):
    """What lies where."""

    def begin_run(
        self, began_ns: int, version: str, settings: Mapping[str, Any], engines: Mapping[str, Any]
    ) -> int:
        """A recorder has started. settings: as plain values; passwords in them are not kept."""
        with self.transaction():
            run = self._write(
                "INSERT INTO runs (began_ns, version, settings, engines) VALUES (?, ?, x'', ?)",
                (began_ns, version, _json(engines)),
            ).lastrowid
            sealed = self._vault.seal(_json(redacted(settings)).encode(), f"settings of run {run}")
            self._write("UPDATE runs SET settings = ? WHERE id = ?", (sealed, run))
        return int(run or 0)

    def update_engines(self, run: int, engines: Mapping[str, Any]) -> None:
        """Inference has said which engines it runs, or that one fell back."""
        with self.transaction():
            self._write("UPDATE runs SET engines = ? WHERE id = ?", (_json(engines), run))

    def end_run(self, run: int, ended_ns: int) -> None:
        """The recorder stops in order."""
        with self.transaction():
            self._write("UPDATE runs SET ended_ns = ? WHERE id = ?", (ended_ns, run))

    def runs(self) -> list[Run]:
        """All runs, oldest first."""
        return [self._run(row) for row in self._rows(f"SELECT {_RUN} FROM runs ORDER BY id")]

    def run(self, run: int) -> Run | None:
        """One run; None when it is not known."""
        rows = self._rows(f"SELECT {_RUN} FROM runs WHERE id = ?", (run,))
        return self._run(rows[0]) if rows else None

    def begin_segment(
        self,
        *,
        camera: str,
        run: int,
        connection: int,
        path: str,
        codec: str,
        width: int,
        height: int,
        began_ns: int,
        began_media_ns: int,
        reason: str = "",
        clock: Literal["camera", "here"] = "here",
    ) -> int:
        """A file is begun. path: relative to the archive's folder; once only, else ArchiveError.

        A row that was made from the file alone, after the database was lost, makes way for this one.
        """
        with self.transaction():
            self._write("DELETE FROM segments WHERE path = ? AND run = 0", (path,))
            if self._value("SELECT 1 FROM segments WHERE path = ?", (path,)):
                raise ArchiveError(f"{path}: is in the archive already")
            return int(
                self._write(
                    "INSERT INTO segments (camera, run, connection, path, codec, width, height, began_ns, ended_ns,"
                    " began_media_ns, ended_media_ns, bytes, frames, complete, reason, clock, written_ns)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0, ?, ?, ?)",
                    (camera, run, connection, path, codec, width, height, began_ns, began_ns)
                    + (began_media_ns, began_media_ns, reason, clock, self._clock_ns()),
                ).lastrowid
                or 0
            )

    def grow_segment(
        self,
        segment: int,
        ended_ns: int,
        ended_media_ns: int,
        bytes: int,
        frames: int,
        clock_pairs: clocks.Pairs,
    ) -> None:
        """More of a file is on the disk. bytes, frames: now in all. clock_pairs: (media_ns, wall_ns) of what is new."""
        with self.transaction():
            self._write(
                "UPDATE segments SET ended_ns = max(ended_ns, ?), ended_media_ns = max(ended_media_ns, ?),"
                " bytes = ?, frames = ?, written_ns = ? WHERE id = ?",
                (ended_ns, ended_media_ns, bytes, frames, self._clock_ns(), segment),
            )
            if len(clock_pairs):
                self._put_clock(segment, clock_pairs)

    def finish_segment(self, segment: int, complete: bool) -> None:
        """No more comes to this file. complete: it was closed in order."""
        with self.transaction():
            self._write("UPDATE segments SET complete = ? WHERE id = ?", (int(complete), segment))
            pairs = self._clock(segment)
            if len(pairs):  # one row, a tenth of the room that one a second takes
                self._write("DELETE FROM clocks WHERE segment = ?", (segment,))
                self._put_clock(segment, pairs)

    def segments(
        self, camera: str | None = None, from_ns: int | None = None, to_ns: int | None = None
    ) -> list[Segment]:
        """Segments that hold some moment of from_ns <= t < to_ns, by camera and time."""
        where, values = ["1"], list[Any]()
        if camera is not None:
            where, values = ["camera = ?"], [camera]
        if from_ns is not None:
            where += ["began_ns > ? AND ended_ns >= ?"]
            values += [from_ns - LONGEST_NS, from_ns]
        if to_ns is not None:
            where += ["began_ns < ?"]
            values += [to_ns]
        rows = self._rows(
            f"SELECT {_COLUMNS} FROM segments WHERE {' AND '.join(where)} ORDER BY camera, began_ns, id",
            values,
        )
        return [_segment(row) for row in rows]

    def recorded(self, camera: str, from_ns: int, to_ns: int) -> list[Span]:
        """Where there is footage of a camera in from_ns <= t < to_ns, in order, without overlaps."""
        rows = self._rows(
            "SELECT began_ns, ended_ns FROM segments WHERE camera = ? AND began_ns > ? AND ended_ns >= ?"
            " AND began_ns < ?",
            (camera, from_ns - LONGEST_NS, from_ns, to_ns),
        )
        return [Span(max(began, from_ns), min(ended, to_ns), camera) for began, ended in joined(rows)]

    def segment(self, segment: int) -> Segment:
        """One segment. Raises ArchiveError."""
        rows = self._rows(f"SELECT {_COLUMNS} FROM segments WHERE id = ?", (segment,))
        if not rows:
            raise NotInArchive(f"segment {segment}: is not in the archive (it may have expired)")
        return _segment(rows[0])

    def clock(self, segment: int) -> list[tuple[int, int]]:
        """(media_ns, wall_ns) of each packet of a segment, in the order of the file."""
        return [(int(media), int(wall)) for media, wall in self._clock(segment)]

    def seek(self, camera: str, wall_ns: int) -> Place | None:
        """The picture that a camera showed at a time; in a gap the first one after it; None when there is none."""
        rows = self._rows(
            f"SELECT {_COLUMNS} FROM segments WHERE camera = ? AND began_ns BETWEEN ? AND ? AND ended_ns >= ?"
            " ORDER BY began_ns DESC LIMIT 1",
            (camera, wall_ns - LONGEST_NS, wall_ns, wall_ns),
        )
        if not rows:
            rows = self._rows(
                f"SELECT {_COLUMNS} FROM segments WHERE camera = ? AND began_ns > ? ORDER BY began_ns LIMIT 1",
                (camera, wall_ns),
            )
        if not rows:
            return None
        segment = _segment(rows[0])
        best = (segment.began_media_ns, segment.began_ns)
        data = self._value(
            "SELECT data FROM clocks WHERE segment = ? AND began_ns <= ? ORDER BY began_ns DESC LIMIT 1",
            (segment.id, wall_ns),
        )
        if data is not None:
            times = clocks.unpack(data)
            shown = times[times[:, 1] <= wall_ns]
            if len(shown):
                media, wall = shown[shown[:, 1].argmax()]
                best = (int(media), int(wall))
        elif wall_ns > segment.began_ns:  # read in again from its file: the clock runs evenly
            best = (segment.began_media_ns + wall_ns - segment.began_ns, wall_ns)
        return Place(segment, *best)

    def cameras(self) -> list[str]:
        """Every camera of which there is anything."""
        return sorted(
            {name for table in ("segments", "sightings", "chunks") for name in self._cameras_of(table)}
        )

    def reach(self, cameras: Sequence[str]) -> tuple[int | None, int | None]:
        """When the first and the last segment or sighting of these cameras began; None without any."""
        kinds = [(decision, masked) for decision in DECISIONS for masked in (0, 1)]
        found: list[list[int]] = [[], []]
        for edge, ends in zip(("min", "max"), found, strict=True):
            for camera in cameras:
                ends += self._rows(f"SELECT {edge}(began_ns) FROM segments WHERE camera = ?", (camera,))[0]
                for kind in kinds:  # column by column of the index, which then need not be read through
                    ends += self._rows(
                        f"SELECT {edge}(first_ns) FROM sightings WHERE camera = ? AND decision = ? AND masked = ?",
                        (camera, *kind),
                    )[0]
        first, last = ([moment for moment in ends if moment is not None] for ends in found)
        return min(first, default=None), max(last, default=None)

    def _protect(self, what: Segment | Sighting | Span, on: bool) -> str:
        """What was protected, or is no longer, for the log."""
        target, span = _target(what)
        with self.transaction():
            if on:
                self._write(
                    "INSERT OR REPLACE INTO protections (target, camera, from_ns, to_ns) VALUES (?, ?, ?, ?)",
                    (target, span.camera, span.from_ns, span.to_ns),
                )
            else:
                self._write("DELETE FROM protections WHERE target = ?", (target,))
        return target

    def protections(self) -> list[tuple[str, Span]]:
        """What is protected: ("segment 5", its span)."""
        rows = self._rows("SELECT target, from_ns, to_ns, camera FROM protections ORDER BY id")
        return [(target, Span(*span)) for target, *span in rows]

    def _clock(self, segment: int) -> NDArray[np.int64]:
        rows = self._rows("SELECT data FROM clocks WHERE segment = ? ORDER BY rowid", (segment,))
        return np.concatenate([np.zeros((0, 2), np.int64), *(clocks.unpack(data) for (data,) in rows)])

    def _put_clock(self, segment: int, pairs: clocks.Pairs) -> None:
        began = int(np.asarray(pairs)[:, 1].min())
        self._write("INSERT INTO clocks VALUES (?, ?, ?)", (segment, began, clocks.pack(pairs)))

    def _run(self, row: tuple[Any, ...]) -> Run:
        run, began, ended, version, sealed, engines = row
        return Run(run, began, ended, version, self._settings(run, sealed), json.loads(engines))

    def _settings(self, run: int, sealed: bytes) -> dict[str, Any]:
        plain: dict[str, Any] = json.loads(self._unseal(sealed, f"settings of run {run}"))
        return plain


def redacted(value: Any) -> Any:
    """Plain values without passwords: neither under a key that says so, nor in an address."""
    if isinstance(value, Mapping):
        return {
            key: "***" if item and any(word in key.lower() for word in _SECRET_KEYS) else redacted(item)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [redacted(item) for item in value]
    return redact(value) if isinstance(value, str) else value


def _segment(row: tuple[Any, ...]) -> Segment:
    (*fields, complete, protected, reason, clock) = row
    return Segment(*(*fields, bool(complete), bool(protected), reason, clock))


def _target(what: Segment | Sighting | Span) -> tuple[str, Span]:
    if isinstance(what, Segment):
        return f"segment {what.id}", Span(what.began_ns, what.ended_ns + 1, what.camera)
    if isinstance(what, Sighting):
        return f"sighting {what.id}", Span(what.first_ns, what.last_ns + 1, what.camera)
    if what.to_ns <= what.from_ns:
        raise ArchiveError(f"span: must end after it begins, found {what.from_ns} to {what.to_ns}")
    return f"span {what.from_ns} {what.to_ns} {what.camera or '*'}", what


def _json(value: Mapping[str, Any]) -> str:
    return msgspec.json.encode(value).decode()
