"""What a video's parameter sets say, as far as a container wants to know it (Rec. ITU-T H.264 7.3.2, H.265 7.3.2)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_START = re.compile(rb"\x00\x00\x01")
_WITH_CHROMA = {44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 144, 244}  # H.264 profiles


class BadParameterSets(ValueError):
    """Parameter sets that are missing or make no sense."""


@dataclass(frozen=True, slots=True)
class VideoFormat:
    """One way in which a camera codes. vps is empty for H.264; depths are bits a sample.

    Of each parameter set the newest of its number is kept, since that is the one in force.
    """

    codec: str
    width: int
    height: int
    chroma: int
    luma_depth: int
    chroma_depth: int
    vps: tuple[bytes, ...]
    sps: tuple[bytes, ...]
    pps: tuple[bytes, ...]


def nal_units(data: bytes) -> Iterator[bytes]:
    """The NAL units of a byte stream (Annex B)."""
    starts = [found.end() for found in _START.finditer(data)]
    for start, after in zip(starts, [*starts[1:], len(data) + 3], strict=True):
        if nal := data[start : after - 3].rstrip(b"\0"):  # no NAL unit ends in a zero
            yield nal


def read_format(codec: str, data: bytes) -> VideoFormat:
    """The format that the parameter sets in a byte stream describe. Raises BadParameterSets."""
    kinds = (7, 8) if codec == "h264" else (32, 33, 34)
    found: dict[int, dict[int, bytes]] = {kind: {} for kind in kinds}
    try:
        for nal in nal_units(data):
            kind = nal[0] & 31 if codec == "h264" else nal[0] >> 1 & 63
            if kind in kinds:
                found[kind][_number(codec, kind, nal)] = nal
        if not found[kinds[-2]] or not found[kinds[-1]]:
            raise BadParameterSets(f"{codec}: a key picture came without its parameter sets")
        first = next(iter(found[kinds[-2]].values()))
        read = _h264 if codec == "h264" else _hevc
        chroma, width, height, luma_depth, chroma_depth = read(first)
    except IndexError:
        raise BadParameterSets(f"{codec}: a parameter set is cut short") from None
    *vps, sps, pps = (tuple(found[kind].values()) for kind in kinds)
    return VideoFormat(
        codec, width, height, chroma, luma_depth, chroma_depth, vps[0] if vps else (), sps, pps
    )


def unescaped(nal: bytes) -> bytes:
    """Without the bytes that only keep start codes from arising."""
    return nal.replace(b"\0\0\3", b"\0\0")


class _Bits:
    def __init__(self, data: bytes, start: int) -> None:
        self._data, self._at = data, 8 * start

    def take(self, count: int) -> int:
        value = 0
        for _ in range(count):
            value = value << 1 | self._data[self._at >> 3] >> (7 - (self._at & 7)) & 1
            self._at += 1
        return value

    def golomb(self) -> int:
        zeros = 0
        while not self.take(1):
            zeros += 1
            if zeros > 31:
                raise BadParameterSets("a parameter set holds a number of more than 32 bits")
        return (1 << zeros) - 1 + self.take(zeros)

    def signed(self) -> int:
        value = self.golomb()
        return (value + 1) // 2 if value & 1 else -(value // 2)


def _number(codec: str, kind: int, nal: bytes) -> int:
    raw = unescaped(nal)
    if codec == "h264":
        return _Bits(raw, 4 if kind == 7 else 1).golomb()
    if kind == 32:
        return raw[2] >> 4
    if kind == 34:
        return _Bits(raw, 2).golomb()
    bits = _Bits(raw, 2)
    _skip_levels(bits)
    return bits.golomb()


def _h264(sps: bytes) -> tuple[int, int, int, int, int]:
    """Chroma format, width, height, and the two depths."""
    bits = _Bits(unescaped(sps), 1)
    profile = bits.take(8)
    bits.take(16)
    bits.golomb()
    chroma, luma_depth, chroma_depth = 1, 8, 8
    if profile in _WITH_CHROMA:
        chroma = bits.golomb()
        if chroma == 3:
            bits.take(1)
        luma_depth, chroma_depth = 8 + bits.golomb(), 8 + bits.golomb()
        bits.take(1)
        if bits.take(1):
            for number in range(12 if chroma == 3 else 8):
                if bits.take(1):
                    _skip_scaling(bits, 16 if number < 6 else 64)
    bits.golomb()
    order = bits.golomb()
    if order == 0:
        bits.golomb()
    elif order == 1:
        bits.take(1)
        bits.golomb(), bits.golomb()
        for _ in range(bits.golomb()):
            bits.golomb()
    bits.golomb()
    bits.take(1)
    width, height = 16 * (bits.golomb() + 1), 16 * (bits.golomb() + 1)
    frames_only = bits.take(1)
    if not frames_only:
        bits.take(1)
        height *= 2
    bits.take(1)
    if bits.take(1):
        left, right, top, bottom = (bits.golomb() for _ in range(4))
        across = 2 if chroma in (1, 2) else 1
        down = (2 if chroma == 1 else 1) * (2 - frames_only)
        width, height = width - across * (left + right), height - down * (top + bottom)
    return chroma, width, height, luma_depth, chroma_depth


def _skip_scaling(bits: _Bits, count: int) -> None:
    last = following = 8
    for _ in range(count):
        if following:
            following = (last + bits.signed()) % 256
        last = following or last


def _hevc(sps: bytes) -> tuple[int, int, int, int, int]:
    bits = _Bits(unescaped(sps), 2)
    _skip_levels(bits)
    bits.golomb()
    chroma = bits.golomb()
    if chroma == 3:
        bits.take(1)
    width, height = bits.golomb(), bits.golomb()
    if bits.take(1):
        left, right, top, bottom = (bits.golomb() for _ in range(4))
        across, down = 2 if chroma in (1, 2) else 1, 2 if chroma == 1 else 1
        width, height = width - across * (left + right), height - down * (top + bottom)
    return chroma, width, height, 8 + bits.golomb(), 8 + bits.golomb()


def _skip_levels(bits: _Bits) -> None:
    """From the beginning of an H.265 SPS to its number: profile, tier and level of each sub-layer."""
    bits.take(4)
    layers = bits.take(3)
    bits.take(1)
    bits.take(96)
    given = [(bits.take(1), bits.take(1)) for _ in range(layers)]
    if layers:
        bits.take(2 * (8 - layers))
    for profile, level in given:
        bits.take(88 * profile + 8 * level)
