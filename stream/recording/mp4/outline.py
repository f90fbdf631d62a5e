"""What a recorded file says of itself: size of the picture, codec, how many frames, and when they were shown.

Only the heads of its boxes are read, a millisecond for a minute of footage, so that thousands of files can be taken
back into an archive that was lost. The wall clock is in each fragment's producer reference time (ISO/IEC 14496-12,
8.16.5).
"""

from __future__ import annotations

import contextlib
import re
import struct
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from stream.recording.mp4.fragments import FragmentError, Fragments

_NAME = re.compile(r"(\d{6})-(\d{3})Z(?:-\d+)?\.mp4")
_NTP_EPOCH_S = 2_208_988_800
_NTP_ERA_S = 1 << 32
_LARGEST_HEAD = 1 << 20
_ENTRIES = {
    b"avc1": "h264",
    b"avc3": "h264",
    b"hvc1": "hevc",
    b"hev1": "hevc",
    b"mp4v": "mpeg4",
    b"jpeg": "mjpeg",
}


class NoFootage(ValueError):
    """Not one whole fragment is in the file."""


@dataclass(frozen=True, slots=True)
class Outline:
    """codec, width and height as in Segment. pairs: (time on the file's own line, wall time) where fragments begin, ns.

    ended: the same of the newest frame, as its duration tells it. whole: to its last byte.
    """

    codec: str
    width: int
    height: int
    frames: int
    pairs: tuple[tuple[int, int], ...]
    ended: tuple[int, int]
    whole: bool


def is_footage(relative: Path) -> bool:
    """Whether a path in the archive's folder is named as the recorder names them: camera/2026-05-04/101112-131Z.mp4."""
    return (
        len(relative.parts) == 3
        and _NAME.fullmatch(relative.name) is not None
        and _began(relative) is not None
    )


def outline(path: Path) -> Outline:
    """Of a file that the recorder wrote. Raises NoFootage, OSError."""
    named_ns = _began(path) or 0
    codec, width, height, timescale = "", 0, 0, 0
    pairs: list[tuple[int, int]] = []
    frames = 0
    last_span = 0
    moof = b""
    clock: tuple[int, int] | None = None
    with path.open("rb") as file:
        end = file.seek(0, 2)
        at = 0
        while at + 8 <= end:
            size, kind = _head(file, at)
            if size < 8 or at + size > end:
                break
            if kind in (b"moov", b"moof", b"prft"):
                body = file.read(min(size - 8, _LARGEST_HEAD))
                if kind == b"moov":
                    codec, width, height, timescale = _track(body)
                elif kind == b"moof":
                    moof = body
                elif timescale and len(body) >= 24:
                    clock = _clock(body, timescale, named_ns)
            elif kind == b"mdat" and moof and timescale:
                count, span = _samples(moof, timescale)
                decoded = _decode_time(moof, timescale)
                pts, wall = clock or (decoded, named_ns + decoded)
                pairs.append((pts, wall))
                frames += count
                last_span = span
                moof, clock = b"", None
            at += size
    if not pairs and not _damaged_only(path):
        raise NoFootage(f"{path}: holds no footage that could be played")
    pts, wall = pairs[-1] if pairs else (0, named_ns)
    ended = (pts + last_span, wall + last_span)
    if at != end:  # cut off, or damaged in the middle: what is behind that counts too
        with contextlib.suppress(FragmentError):
            samples = Fragments(path).samples
            frames, ended_pts = len(samples), max((sample.pts_ns for sample in samples), default=pts)
            ended = max(ended, (ended_pts, wall + ended_pts - pts))
    return Outline(codec, width, height, frames, tuple(pairs or [(pts, wall)]), ended, at == end)


def _damaged_only(path: Path) -> bool:
    """Whether there are fragments in it, although it cannot be read from the beginning."""
    tail = b""
    with path.open("rb") as file:
        while block := file.read(_LARGEST_HEAD):
            if b"moof" in tail + block:
                return True
            tail = block[-3:]
    return False


def _began(path: Path) -> int | None:
    """The wall time in a file's name and its folder's, ns."""
    named = _NAME.fullmatch(path.name)
    try:
        moment = datetime.strptime(f"{path.parent.name} {named[1] if named else ''}", "%Y-%m-%d %H%M%S")
    except ValueError:
        return None
    return (
        int(moment.replace(tzinfo=UTC).timestamp()) * 1_000_000_000
        + int(named[2] if named else 0) * 1_000_000
    )


def _head(file: BinaryIO, at: int) -> tuple[int, bytes]:
    file.seek(at)
    head = file.read(8)
    return int.from_bytes(head[:4], "big"), head[4:8]


def _track(moov: bytes) -> tuple[str, int, int, int]:
    """codec, width, height, ticks a second."""
    header, media, entry = moov.find(b"tkhd"), moov.find(b"mdhd"), moov.find(b"stsd")
    if min(header, media, entry) < 0 or len(moov) < entry + 20:
        return "", 0, 0, 0
    header_size = int.from_bytes(moov[header - 4 : header], "big")
    width, height = struct.unpack(">II", moov[header - 4 + header_size - 8 : header - 4 + header_size])
    timescale = int.from_bytes(moov[media + (24 if moov[media + 4] else 16) :][:4], "big")
    kind = moov[entry + 16 : entry + 20]
    return _ENTRIES.get(kind, kind.decode("latin-1").strip()), width >> 16, height >> 16, timescale


def _clock(body: bytes, timescale: int, named_ns: int) -> tuple[int, int]:
    _, ntp = struct.unpack_from(">IQ", body, 4)
    ticks = int.from_bytes(body[16:24] if body[0] else body[16:20], "big")
    wall_s = (ntp >> 32) - _NTP_EPOCH_S
    eras = round((named_ns / 1e9 - wall_s) / _NTP_ERA_S)
    wall_ns = (wall_s + eras * _NTP_ERA_S) * 1_000_000_000 + ((ntp & 0xFFFFFFFF) * 1_000_000_000 >> 32)
    return ticks * 1_000_000_000 // timescale, wall_ns


def _decode_time(moof: bytes, timescale: int) -> int:
    """When the first of its samples is decoded, ns."""
    at = moof.find(b"tfdt") + 4
    if at < 4 or len(moof) < at + 12:
        return 0
    ticks = int.from_bytes(moof[at + 4 : at + 12] if moof[at] else moof[at + 4 : at + 8], "big")
    return ticks * 1_000_000_000 // timescale


def _samples(moof: bytes, timescale: int) -> tuple[int, int]:
    """How many, and ns from the first to the last."""
    at = moof.find(b"trun")
    if at < 0 or len(moof) < at + 12:
        return 0, 0
    flags, count = struct.unpack_from(">II", moof, at + 4)
    fields = [bit for bit in (0x100, 0x200, 0x400, 0x800) if flags & bit]
    if 0x100 not in fields:
        return count, 0
    table = at + 12 + 4 * bool(flags & 0x1) + 4 * bool(flags & 0x4)
    lasting = struct.unpack_from(">I" + "I" * len(fields[1:]), moof, table)[0] if count else 0
    return count, max(0, count - 1) * lasting * 1_000_000_000 // timescale
