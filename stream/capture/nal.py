"""The two video codecs of cameras as RTP carries them: H.264 (RFC 6184) and H.265 (RFC 7798).

Names of NAL unit types and their numbers: Rec. ITU-T H.264 table 7-1, Rec. ITU-T H.265 table 7-1.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol


class Malformed(ValueError):
    """A payload that breaks the rules of its format: damaged on the way."""


class Foreign(Malformed):
    """A payload of a kind that this codec's cameras never send: most likely another codec."""


@dataclass(frozen=True, slots=True)
class Fragment:
    """Part of a NAL unit that was too large for one packet. The first part begins with the NAL unit's header."""

    data: bytes
    first: bool
    last: bool


class Syntax(Protocol):
    """What differs between the codecs."""

    label: str  # for people
    decoder: str  # FFmpeg's name

    def unpack(self, payload: bytes) -> list[bytes] | Fragment:
        """The NAL units of an RTP payload, or the fragment that it is. Raises Malformed, Foreign."""
        ...

    def is_slice(self, nal: bytes) -> bool:
        """Whether it carries a part of a picture."""
        ...

    def is_parameter_set(self, nal: bytes) -> bool:
        """Whether it is a VPS, SPS or PPS."""
        ...

    def begins_picture(self, nal: bytes) -> bool:
        """Whether nothing of the same picture can come before it, but what the decoder can do without."""
        ...

    def is_key(self, nals: Iterable[bytes]) -> bool:
        """Whether decoding can begin with these NAL units of one picture."""
        ...


class H264:
    """Rec. ITU-T H.264."""

    label, decoder = "H.264", "h264"

    def unpack(self, payload: bytes) -> list[bytes] | Fragment:
        """Single NAL units, STAP-A and FU-A: what packetisation modes 0 and 1 use."""
        if len(payload) < 2:
            raise Malformed(f"an H.264 payload must have at least 2 bytes, found {len(payload)}")
        if payload[0] & 0x80:
            raise Malformed("the forbidden bit of an H.264 NAL unit is set")
        kind = payload[0] & 31
        if kind == 24:
            return _split(payload, 1)
        if kind == 28:
            flags = payload[1]
            head = bytes([payload[0] & 0xE0 | flags & 31]) if flags & 0x80 else b""
            return Fragment(head + payload[2:], bool(flags & 0x80), bool(flags & 0x40))
        if kind in (1, 5, 6, 7, 8, 9, 10, 11, 12):
            return [payload]
        raise Foreign(f"an H.264 payload must be a NAL unit of type 1, 5..12, 24 or 28, found {kind}")

    def is_slice(self, nal: bytes) -> bool:
        """Slices of IDR and other pictures."""
        return nal[0] & 31 in (1, 5)

    def is_parameter_set(self, nal: bytes) -> bool:
        """SPS and PPS."""
        return nal[0] & 31 in (7, 8)

    def begins_picture(self, nal: bytes) -> bool:
        """What precedes slices, or a slice whose first_mb_in_slice is 0 (Exp-Golomb: a single 1 bit)."""
        return nal[0] & 31 in (6, 7, 8, 9) or (self.is_slice(nal) and len(nal) > 1 and nal[1] >= 0x80)

    def is_key(self, nals: Iterable[bytes]) -> bool:
        """IDR pictures, and those that an SEI calls a recovery point (payload type 6): cameras with open GOPs."""
        return any(nal[0] & 31 == 5 or (nal[0] & 31 == 6 and nal[1:2] == b"\x06") for nal in nals)


class H265:
    """Rec. ITU-T H.265."""

    label, decoder = "H.265", "hevc"

    def unpack(self, payload: bytes) -> list[bytes] | Fragment:
        """Single NAL units, AP and FU, without DONL fields (sprop-max-don-diff 0, as cameras send)."""
        if len(payload) < 3:
            raise Malformed(f"an H.265 payload must have at least 3 bytes, found {len(payload)}")
        if payload[0] & 0x80 or not payload[1] & 7:
            raise Malformed("the forbidden bit of an H.265 NAL unit is set, or its temporal id is 0")
        kind = payload[0] >> 1 & 63
        if kind == 48:
            return _split(payload, 2)
        if kind == 49:
            flags = payload[2]
            head = bytes([payload[0] & 0x81 | (flags & 63) << 1, payload[1]]) if flags & 0x80 else b""
            return Fragment(head + payload[3:], bool(flags & 0x80), bool(flags & 0x40))
        if kind <= 9 or 16 <= kind <= 21 or 32 <= kind <= 40:
            return [payload]
        raise Foreign(
            f"an H.265 payload must be a NAL unit of type 0..9, 16..21, 32..40, 48 or 49, found {kind}"
        )

    def is_slice(self, nal: bytes) -> bool:
        """All picture types."""
        return nal[0] >> 1 & 63 < 32

    def is_parameter_set(self, nal: bytes) -> bool:
        """VPS, SPS and PPS."""
        return 32 <= nal[0] >> 1 & 63 <= 34

    def begins_picture(self, nal: bytes) -> bool:
        """What precedes slices, or a slice with first_slice_segment_in_pic_flag."""
        kind = nal[0] >> 1 & 63
        return kind in (32, 33, 34, 35, 39) or (kind < 32 and len(nal) > 2 and nal[2] >= 0x80)

    def is_key(self, nals: Iterable[bytes]) -> bool:
        """IRAP pictures: IDR, CRA, BLA. The decoder itself leaves out what cannot be shown after a CRA."""
        return any(16 <= nal[0] >> 1 & 63 <= 21 for nal in nals)


SYNTAXES: dict[str, type[H264] | type[H265]] = {"H264": H264, "H265": H265}
"""By the codec's name in a session description."""


def annex_b(nals: Iterable[bytes]) -> bytes:
    """NAL units as the byte stream that decoders take."""
    return b"".join(b"\0\0\0\1" + nal for nal in nals)


def _split(payload: bytes, start: int) -> list[bytes]:
    """The NAL units of an aggregation packet: 16 bits of length before each."""
    nals = []
    while start < len(payload):
        end = start + 2 + int.from_bytes(payload[start : start + 2], "big")
        if end > len(payload) or end < start + 4:
            raise Malformed(
                f"an aggregation packet of {len(payload)} bytes holds a NAL unit that ends at {end}"
            )
        nals.append(payload[start + 2 : end])
        start = end
    return nals
