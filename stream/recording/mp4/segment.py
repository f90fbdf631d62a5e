"""One MP4 file of a camera's own packets, in fragments that are on the disk when they are written.

Whatever happens then, everything up to the last whole fragment plays. The file's time line begins at its earliest
picture; a picture's place on it is its media time less that of the earliest, in whole microseconds.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from stream.messages import Packet
from stream.recording.mp4.boxes import Sample, can_hold, fragment, header
from stream.recording.mp4.parameter_sets import BadParameterSets, VideoFormat, nal_units, read_format

FRAGMENT_NS = 600_000_000
"""A fragment ends when it holds so much: with the way there, less than a second is not on the disk."""
_LENGTHED = ("h264", "hevc")
_USUAL_STEP = 40_000


class CannotRecord(ValueError):
    """These packets cannot be put into a file; a sentence says why."""


def format_of(packet: Packet) -> VideoFormat:
    """How a key packet and those that refer to it are coded. Raises CannotRecord."""
    if not can_hold(packet.codec):
        raise CannotRecord(f"{packet.codec or 'raw pictures'}: no codec that can be recorded")
    if packet.codec not in _LENGTHED:
        return VideoFormat(packet.codec, packet.width, packet.height, 1, 8, 8, (), (), ())
    try:
        return read_format(packet.codec, packet.parameter_sets + packet.data)
    except BadParameterSets as error:
        raise CannotRecord(str(error)) from None


def new_file(folder: Path, camera: str, wall_ns: int) -> Path:
    """A name that no file has, after the time of the first packet (UTC); its folder is made. Raises OSError."""
    moment = datetime.fromtimestamp(wall_ns // 1_000_000_000, UTC)
    day = folder / camera / f"{moment:%Y-%m-%d}"
    day.mkdir(parents=True, exist_ok=True, mode=0o700)
    stem = f"{moment:%H%M%S}-{wall_ns // 1_000_000 % 1000:03d}Z"
    path, number = day / f"{stem}.mp4", 1
    while path.exists():
        number += 1
        path = day / f"{stem}-{number}.mp4"
    return path


class Segment:
    """A file that is being written. Everything that touches the disk raises OSError.

    first, began, ended: media and wall time (ns) of the first packet, and of the earliest and the newest on the disk.
    newest: of all that were added. frames, bytes: on the disk. clock_pairs: (media_ns, wall_ns) of the packets on the
    disk, until whoever keeps them deletes them here.
    """

    def __init__(self, path: Path, form: VideoFormat, first: Packet) -> None:
        """Nothing is written before the first `flush`. first: a key packet, which is to be added too."""
        self.path, self.form, self.connection, self.clock = path, form, first.connection, first.clock
        self.first_media_ns, self.first_wall_ns = first.media_ns, first.wall_ns
        self.began_media_ns = self.ended_media_ns = first.media_ns
        self.began_wall_ns = self.ended_wall_ns = first.wall_ns
        self.newest_media_ns = first.media_ns - 1
        self.frames = self.bytes = 0
        self._extradata = b"" if first.codec in _LENGTHED else first.parameter_sets
        self._pending: list[Packet] = []
        self.clock_pairs: list[tuple[int, int]] = []
        self._file: int | None = None
        self._fragments = 0
        self._last_dts = -1

    @property
    def pending(self) -> Sequence[Packet]:
        """Packets that are not on the disk."""
        return self._pending

    def add(self, packet: Packet) -> None:
        """Take a packet in; a whole fragment goes to the disk before it."""
        pending = self._pending
        if (
            pending
            and packet.media_ns - pending[0].media_ns >= FRAGMENT_NS
            # No picture of a later fragment is shown before one of this: decoding times must never go back.
            and packet.media_ns > max(each.media_ns for each in pending)
        ):
            self.flush()
        self._pending.append(packet)
        self.newest_media_ns = max(self.newest_media_ns, packet.media_ns)

    def flush(self) -> None:
        """Put what waits on the disk. After an OSError the file is as it was before, and what waited still waits."""
        pending = self._pending
        if not pending:
            return
        if self._file is None:
            self.began_media_ns = min(packet.media_ns for packet in pending)
            self._begin()
        assert self._file is not None
        if not os.path.samestat(os.fstat(self._file), os.stat(self.path)):
            raise OSError(errno.ENOENT, "is another file now", str(self.path))
        samples = self._samples(pending)
        self._write(fragment(self._fragments + 1, samples, pending[0].wall_ns))
        self._fragments += 1
        self._last_dts = samples[-1].dts
        self.frames += len(pending)
        self.ended_media_ns = max(self.ended_media_ns, *(packet.media_ns for packet in pending))
        self.ended_wall_ns = max(self.ended_wall_ns, *(packet.wall_ns for packet in pending))
        self.clock_pairs += [(packet.media_ns, packet.wall_ns) for packet in pending]
        self._pending = []

    def close(self) -> None:
        """Let go of the file; what waits is not written."""
        if self._file is not None:
            with suppress(OSError):
                os.close(self._file)
            self._file = None

    def _begin(self) -> None:
        self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            self._write(header(self.form, self._extradata, self.first_wall_ns))
            for folder in self.path.parents[
                :3
            ]:  # day, camera, recordings: the names must outlive a power cut too
                _sync_folder(folder)
        except OSError:
            self.close()
            with suppress(OSError):
                self.path.unlink()
            raise

    def _write(self, data: bytes) -> None:
        assert self._file is not None
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(self._file, left) :]
            os.fdatasync(self._file)
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._file, self.bytes)
                os.lseek(self._file, self.bytes, os.SEEK_SET)
            raise
        self.bytes += len(data)

    def _samples(self, packets: Sequence[Packet]) -> list[Sample]:
        pts = [(packet.media_ns - self.began_media_ns) // 1000 for packet in packets]
        dts = decoding_times(pts, self._last_dts)
        usual = (dts[-1] - dts[0]) // (len(dts) - 1) if len(dts) > 1 else _USUAL_STEP
        lasting = [after - before for before, after in pairwise(dts)] + [max(1, usual)]
        return [
            Sample(self._data(packet), packet.key, *times)
            for packet, *times in zip(packets, dts, pts, lasting, strict=True)
        ]

    def _data(self, packet: Packet) -> bytes:
        if packet.codec not in _LENGTHED:
            return packet.data
        return b"".join(len(nal).to_bytes(4, "big") + nal for nal in nal_units(packet.data))


def decoding_times(pts: Sequence[int], after: int) -> list[int]:
    """When each of some packets is to be decoded: later than the one before, no later than anything that follows is
    shown. RTP does not tell it.

    pts: when they are shown, in decoding order. after: the last decoding time before them, -1 for none. Pictures that
    are decoded early to serve others (B-frames) share out the time evenly.
    """
    latest: list[int] = []
    for shown in reversed(pts):
        latest.append(min(shown, latest[-1]) if latest else shown)
    latest.reverse()
    times: list[int] = []
    while len(times) < len(pts):
        limit = latest[len(times)]
        count = _run(latest, len(times))
        room = max(limit - after, count)
        times += [max(0, after + room * (number + 1) // count) for number in range(count)]
        after = times[-1]
    return times


def _run(values: Sequence[int], start: int) -> int:
    """How many equal values follow each other from a place on."""
    end = start
    while end < len(values) and values[end] == values[start]:
        end += 1
    return end - start


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
