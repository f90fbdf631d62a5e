"""What was seen on each frame, in the archive."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from stream.archive.annotations import (
    AnnotatedFrame,
    frame_without,
    in_chunks,
    pack_frames,
    people_on,
    unpack_frames,
)
from stream.archive.database import Database
from stream.archive.footage import Segment

_SECOND_NS = 1_000_000_000
_AT_ONCE = 64
CHUNK = "id, camera, run, began_ns, data"


class AnnotationTable(Database):
    """Chunks: a second of one camera at most, sealed."""

    def add_frames(self, run: int, camera: str, frames: Sequence[AnnotatedFrame]) -> None:
        """Frames of one camera, in the order in which inference saw them."""
        with self.transaction():
            erased = self._lately_erased()
            for chunk in in_chunks(frames):
                if erased:
                    chunk = [frame_without(f, lambda name: self._mark(name) in erased) for f in chunk]
                first, last = chunk[0], chunk[-1]
                self._write(
                    "INSERT INTO chunks (camera, run, epoch, began_ns, ended_ns, began_media_ns, ended_media_ns,"
                    " written_ns, people, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (camera, run, first.epoch, first.wall_ns, last.wall_ns, first.media_ns, last.media_ns)
                    + (
                        self._clock_ns(),
                        self._marks_of(people_on(chunk)),
                        self.seal_chunk(camera, run, first.wall_ns, chunk),
                    ),
                )

    def frames(self, camera: str, from_ns: int, to_ns: int) -> Iterator[AnnotatedFrame]:
        """Frames of from_ns <= wall_ns < to_ns, in order of time. Read bit by bit: the writer is never held up."""
        place = (from_ns - _SECOND_NS, 0)
        while True:
            rows = self._rows(
                f"SELECT {CHUNK} FROM chunks WHERE camera = ? AND (began_ns, id) > (?, ?) AND began_ns < ?"
                f" AND ended_ns >= ? ORDER BY began_ns, id LIMIT {_AT_ONCE}",
                (camera, *place, to_ns, from_ns),
            )
            for row in rows:
                yield from (f for f in self.open_chunk(row) if from_ns <= f.wall_ns < to_ns)
            if len(rows) < _AT_ONCE:
                return
            place = (rows[-1][3], rows[-1][0])

    def frames_of(self, segment: Segment) -> Iterator[AnnotatedFrame]:
        """The frames of a segment, by its own timeline: right also where the clock was set back."""
        rows = self._rows(
            f"SELECT {CHUNK} FROM chunks WHERE camera = ? AND run = ? AND began_ns BETWEEN ? AND ?"
            " AND began_media_ns <= ? AND ended_media_ns >= ? ORDER BY id",
            (segment.camera, segment.run, segment.began_ns - _SECOND_NS, segment.ended_ns)
            + (segment.ended_media_ns, segment.began_media_ns),
        )
        for row in rows:
            for frame in self.open_chunk(row):
                if segment.began_media_ns <= frame.media_ns <= segment.ended_media_ns:
                    yield frame

    def steps(
        self, run: int, from_ns: int | None = None, to_ns: int | None = None
    ) -> Iterator[list[tuple[str, AnnotatedFrame]]]:
        """What inference did, batch after batch: the (camera, frame) of each, processes in the order of their chunks.

        Only frames of from_ns <= wall_ns < to_ns.
        """
        began = -1 << 62 if from_ns is None else from_ns
        ended = 1 << 62 if to_ns is None else to_ns
        epochs: dict[int, list[str]] = {}
        for epoch, camera in self._rows(
            "SELECT epoch, camera FROM chunks WHERE run = ? AND began_ns > ? AND began_ns < ? AND ended_ns >= ?"
            " GROUP BY epoch, camera ORDER BY min(id)",
            (run, began - _SECOND_NS, ended, began),
        ):
            epochs.setdefault(epoch, []).append(camera)
        for epoch, cameras in epochs.items():
            streams = [self._in_order(run, epoch, camera, began, ended) for camera in cameras]
            merged = heapq.merge(*streams, key=lambda seen: (seen[1].step, seen[0]))
            for _, batch in itertools.groupby(merged, key=lambda seen: seen[1].step):
                yield list(batch)

    def _in_order(
        self, run: int, epoch: int, camera: str, began: int, ended: int
    ) -> Iterator[tuple[str, AnnotatedFrame]]:
        last = 0
        while True:
            rows = self._rows(
                f"SELECT {CHUNK} FROM chunks WHERE run = ? AND epoch = ? AND camera = ? AND id > ?"
                f" AND began_ns > ? AND began_ns < ? AND ended_ns >= ? ORDER BY id LIMIT {_AT_ONCE}",
                (run, epoch, camera, last, began - _SECOND_NS, ended, began),
            )
            for row in rows:
                yield from ((camera, f) for f in self.open_chunk(row) if began <= f.wall_ns < ended)
            if len(rows) < _AT_ONCE:
                return
            last = rows[-1][0]

    def open_chunk(self, row: Sequence[Any]) -> list[AnnotatedFrame]:
        """The frames of a row of CHUNK's columns."""
        _, camera, run, began, data = row
        return unpack_frames(self._unseal(data, _bound(camera, run, began)))

    def seal_chunk(self, camera: str, run: int, began_ns: int, frames: Sequence[AnnotatedFrame]) -> bytes:
        """What lies in a chunk's data."""
        return self._vault.seal(pack_frames(frames), _bound(camera, run, began_ns))


def _bound(camera: str, run: int, began_ns: int) -> str:
    return f"frames of {camera} in run {run} from {began_ns}"
