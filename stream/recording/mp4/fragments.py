"""What lies where in a fragmented MP4 (ISO/IEC 14496-12): every sample of its one track, without reading any of them.

A file that is still being written, or that ends in the middle because the power went, gives the samples of its
whole fragments, and one with a damaged place those on both sides of it. Only the boxes' heads are read, so that an
hour's file is indexed in milliseconds.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_NOT_SYNC = 0x10000
_LARGEST_HEAD = 16 << 20  # bytes of a moov or moof; more is no file of ours
_BLOCK = 1 << 20
_START_CODE = b"\0\0\0\1"
_SAMPLE_ENTRY = 78  # bytes of a video sample entry before the boxes in it
_TRUN_FIELDS = (0x100, 0x200, 0x400, 0x800)  # duration, size, flags, composition offset: of each sample


class FragmentError(ValueError):
    """Not a fragmented MP4 with a track of pictures; the text says what was found."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One access unit. Bytes lie at offset; pts_ns: presentation time on the file's own time line."""

    offset: int
    size: int
    pts_ns: int
    key: bool


@dataclass(frozen=True, slots=True)
class _Defaults:
    duration: int
    size: int
    flags: int


class Fragments:
    """The index of one file, as it was when it was made. Raises FragmentError, OSError.

    codec: "h264", "hevc", or the four letters of another. parameter_sets: Annex B, for the start of decoding.
    samples: in decoding order; behind damage from the next key sample on. whole: every byte belongs to a whole box.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.codec, self.parameter_sets = "", b""
        self.samples: list[Sample] = []
        self.whole = True
        self._length_bytes = 0  # of the length before each NAL unit; 0: samples are used as they are
        self._torn = False  # what the next sample refers to may be lost
        self._timescale = 0
        self._defaults = _Defaults(0, 0, 0)
        with path.open("rb") as file:
            self._read(file)
        if not self._timescale:
            raise FragmentError(f"{path}: must begin as an MP4 with a track of pictures, found none")

    def data(self, sample: Sample, file: BinaryIO) -> bytes:
        """The bytes of a sample, Annex B where the codec has it. file: this one, open for reading. Raises OSError.

        What the disk did to the lengths in it is left to the decoder to find.
        """
        raw = self.raw(sample, file)
        if not self._length_bytes:
            return raw
        made, at = bytearray(), 0
        while at + self._length_bytes < len(raw):
            size = int.from_bytes(raw[at : at + self._length_bytes], "big")
            at += self._length_bytes
            made += _START_CODE + raw[at : at + size]
            at += size
        return bytes(made)

    def raw(self, sample: Sample, file: BinaryIO) -> bytes:
        """The bytes of a sample as they lie in the file. Raises OSError."""
        file.seek(sample.offset)
        return file.read(sample.size)

    def _read(self, file: BinaryIO) -> None:
        end = file.seek(0, 2)
        at = 0
        pending: list[Sample] = []  # of a moof whose mdat has not been met
        while at + 8 <= end:
            file.seek(at)
            size, kind, skip = _head(file.read(16), end - at)
            damaged = size < skip or at + size > end or not kind.isalnum()
            if not damaged and kind in (b"moov", b"moof"):
                try:
                    body = file.read(min(size, _LARGEST_HEAD)) if file.seek(at + skip) else b""
                    if kind == b"moov":
                        self._track(body)
                    else:
                        pending = list(self._fragment(body[: size - skip], at))
                except (IndexError, struct.error):
                    damaged = True
            elif kind == b"mdat" and pending and not damaged:
                damaged = pending[-1].offset + pending[-1].size > at + size
                self.samples += [] if damaged else self._decodable(pending)
                pending = []
            self.whole &= not damaged
            self._torn |= damaged
            at = _next_fragment(file, at + 8, end) if damaged else at + size
        self.whole &= at == end and not pending

    def _decodable(self, samples: list[Sample]) -> list[Sample]:
        """Those of a fragment that refer to nothing that is lost: behind damage, from the next key sample on."""
        if self._torn:
            keys = [number for number, sample in enumerate(samples) if sample.key]
            samples = samples[keys[0] :] if keys else []
            self._torn = not keys
        return samples

    def _track(self, moov: bytes) -> None:
        for trak in (body for kind, body in _boxes(moov) if kind == b"trak"):
            mdia = _path(trak, b"mdia")
            if _path(mdia, b"hdlr")[8:12] != b"vide":
                continue
            mdhd = _path(mdia, b"mdhd")
            self._timescale = struct.unpack_from(">I", mdhd, 20 if mdhd[0] else 12)[0]
            entry_kind, entry = next(_boxes(_path(mdia, b"minf", b"stbl", b"stsd")[8:]))
            inner = dict(_boxes(entry[_SAMPLE_ENTRY:]))
            if b"avcC" in inner:
                self.codec, self._length_bytes, sets = "h264", *_avc(inner[b"avcC"])
            elif b"hvcC" in inner:
                self.codec, self._length_bytes, sets = "hevc", *_hevc(inner[b"hvcC"])
            else:
                self.codec, sets = entry_kind.decode("latin-1").strip(), []
            self.parameter_sets = b"".join(_START_CODE + nal for nal in sets)
            break
        if trex := _path(moov, b"mvex", b"trex"):
            _, duration, size, flags = struct.unpack_from(">IIII", trex, 8)
            self._defaults = _Defaults(duration, size, flags)

    def _fragment(self, moof: bytes, start: int) -> Iterator[Sample]:
        if not self._timescale:
            return
        traf = _path(moof, b"traf")
        base, defaults = self._header(_path(traf, b"tfhd"), start)
        tfdt = _path(traf, b"tfdt")
        time = struct.unpack_from(">Q" if tfdt[0] else ">I", tfdt, 4)[0]
        at = base
        for trun in (body for kind, body in _boxes(traf) if kind == b"trun"):
            flags, count = struct.unpack_from(">II", trun)
            signed, flags, here = flags >> 24, flags & 0xFFFFFF, 8
            if flags & 0x1:
                at = base + struct.unpack_from(">i", trun, here)[0]
                here += 4
            first_flags = defaults.flags
            if flags & 0x4:
                first_flags = struct.unpack_from(">I", trun, here)[0]
                here += 4
            for number in range(count):
                fields = {
                    bit: struct.unpack_from(">I", trun, here + 4 * place)[0]
                    for place, bit in enumerate(bit for bit in _TRUN_FIELDS if flags & bit)
                }
                here += 4 * len(fields)
                size = fields.get(0x200, defaults.size)
                offset = fields.get(0x800, 0)
                offset -= (1 << 32) if signed and offset >> 31 else 0
                of_sample = fields.get(0x400, first_flags if number == 0 else defaults.flags)
                pts_ns = (time + offset) * 1_000_000_000 // self._timescale
                yield Sample(at, size, pts_ns, not of_sample & _NOT_SYNC)
                at += size
                time += fields.get(0x100, defaults.duration)

    def _header(self, tfhd: bytes, start: int) -> tuple[int, _Defaults]:
        """Where the fragment's offsets count from, and what holds for its samples unless they say otherwise."""
        flags, at = struct.unpack_from(">I", tfhd)[0] & 0xFFFFFF, 8
        base = start
        if flags & 0x1:
            base = struct.unpack_from(">Q", tfhd, at)[0]
            at += 8
        at += 4 if flags & 0x2 else 0
        values = [self._defaults.duration, self._defaults.size, self._defaults.flags]
        for place, bit in enumerate((0x8, 0x10, 0x20)):
            if flags & bit:
                values[place] = struct.unpack_from(">I", tfhd, at)[0]
                at += 4
        return base, _Defaults(*values)


def _next_fragment(file: BinaryIO, at: int, end: int) -> int:
    """Behind damage: where the next fragment seems to begin, or the end."""
    tail = b""
    file.seek(at)
    while block := file.read(_BLOCK):
        found = (tail + block).find(b"moof", 4)
        if found >= 0:
            return file.tell() - len(block) - len(tail) + found - 4
        tail = (tail + block)[-8:]
    return end


def _head(head: bytes, left: int) -> tuple[int, bytes, int]:
    """Size and kind of a box, and how many bytes its head has."""
    size, kind = int.from_bytes(head[:4], "big"), head[4:8]
    if size == 1:
        return int.from_bytes(head[8:16], "big"), kind, 16
    return (left if size == 0 else size), kind, 8


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The boxes that lie side by side in data: kind and content."""
    at = 0
    while at + 8 <= len(data):
        size, kind, skip = _head(data[at : at + 16], len(data) - at)
        if size < skip:
            return
        yield kind, data[at + skip : at + size]
        at += size


def _path(data: bytes, *kinds: bytes) -> bytes:
    """The content of the first box of the first kind, of the first of the next kind in it, and so on; b"" if none."""
    for wanted in kinds:
        data = next((body for kind, body in _boxes(data) if kind == wanted), b"")
    return data


def _avc(box: bytes) -> tuple[int, list[bytes]]:
    """Bytes of a length, and the parameter sets, of an avcC box."""
    sets, at = [], 6
    for count in (box[5] & 0x1F, None):
        if count is None:
            count, at = box[at], at + 1
        for _ in range(count):
            size = int.from_bytes(box[at : at + 2], "big")
            sets.append(box[at + 2 : at + 2 + size])
            at += 2 + size
    return (box[4] & 3) + 1, sets


def _hevc(box: bytes) -> tuple[int, list[bytes]]:
    """The same of an hvcC box."""
    sets, at = [], 23
    for _ in range(box[22]):
        count, at = int.from_bytes(box[at + 1 : at + 3], "big"), at + 3
        for _ in range(count):
            size = int.from_bytes(box[at : at + 2], "big")
            sets.append(box[at + 2 : at + 2 + size])
            at += 2 + size
    return (box[21] & 3) + 1, sets
