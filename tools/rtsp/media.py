"""What a mount offers: its tracks, their session description, and the access units that travel."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

CLOCK = 90_000
"""Ticks per second of video RTP time stamps, and of every time inside this package."""


class Codec(StrEnum):
    """The encodings that can be served, by their name in a session description."""

    H264 = "H264"
    H265 = "H265"
    PCMA = "PCMA"


@dataclass(frozen=True, slots=True)
class Track:
    """One stream of a mount.

    clock_rate is in Hz; parameters are the parameter sets of the decoder without start codes (H.264: SPS,
    PPS; H.265: VPS, SPS, PPS; none for sound).
    """

    codec: Codec
    payload_type: int
    clock_rate: int = CLOCK
    parameters: tuple[bytes, ...] = ()

    @property
    def kind(self) -> str:
        """The media type in a session description."""
        return "audio" if self.codec is Codec.PCMA else "video"

    def describe(self, control: str, announce_parameters: bool) -> list[str]:
        """The track's lines of a session description (RFC 8866; RFC 6184, 8.2.1; RFC 7798, 7.2.1)."""
        lines = [
            f"m={self.kind} 0 RTP/AVP {self.payload_type}",
            f"a=rtpmap:{self.payload_type} {self.codec}/{self.clock_rate}",
        ]
        if self.codec is not Codec.PCMA:
            lines.append(f"a=fmtp:{self.payload_type} {self._format(announce_parameters)}".rstrip())
        return [*lines, f"a=control:{control}"]

    def _format(self, announce: bool) -> str:
        if self.codec is Codec.H264:
            mode = "packetization-mode=1"
            if not announce:
                return mode
            sps = next(nal for nal in self.parameters if nal[0] & 31 == 7)
            return f"{mode};profile-level-id={sps[1:4].hex().upper()};sprop-parameter-sets=" + ",".join(
                map(_base64, self.parameters)
            )
        names = {32: "sprop-vps", 33: "sprop-sps", 34: "sprop-pps"}
        groups: dict[str, list[str]] = {}
        for nal in self.parameters if announce else ():
            groups.setdefault(names[nal[0] >> 1 & 63], []).append(_base64(nal))
        return ";".join(f"{name}={','.join(sets)}" for name, sets in groups.items())


@dataclass(frozen=True, slots=True)
class AccessUnit:
    """One coded picture (or 20 ms of sound) ready to travel.

    due and presentation are ticks (1/90000 s) of the monotonic clock: when it leaves, and the instant it
    shows. payloads are RTP payloads in order; key says that decoding can begin here.
    """

    track: int
    due: int
    presentation: int
    key: bool
    payloads: tuple[bytes, ...]


def session_description(name: str, tracks: Iterable[Track], announce_parameters: bool = True) -> bytes:
    """The SDP of a mount."""
    lines = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", f"s={name}", "c=IN IP4 0.0.0.0", "t=0 0", "a=control:*"]
    for number, track in enumerate(tracks):
        lines += track.describe(f"trackID={number}", announce_parameters)
    return "".join(f"{line}\r\n" for line in lines).encode()


def split_annexb(data: bytes) -> list[bytes]:
    """The NAL units of a byte stream with start codes (H.264 and H.265 annex B)."""
    starts: list[int] = []
    position = data.find(b"\0\0\1")
    while position >= 0:
        starts.append(position + 3)
        position = data.find(b"\0\0\1", position + 3)
    ends = [start - 3 for start in starts[1:]] + [len(data)]
    # A NAL unit never ends in zero: what is stripped is the rest of a four-byte start code or padding.
    nals = (data[start:end].rstrip(b"\0") for start, end in zip(starts, ends, strict=False))
    return [nal for nal in nals if nal]


def nal_type(codec: Codec, nal: bytes) -> int:
    """The type field of a NAL unit's header."""
    return nal[0] & 31 if codec is Codec.H264 else nal[0] >> 1 & 63


def is_parameter_set(codec: Codec, nal: bytes) -> bool:
    """Whether the NAL unit is a VPS, SPS or PPS."""
    return nal_type(codec, nal) in ((7, 8) if codec is Codec.H264 else (32, 33, 34))


def is_delimiter(codec: Codec, nal: bytes) -> bool:
    """Whether the NAL unit only separates access units, which the RTP marker bit already does."""
    return nal_type(codec, nal) == (9 if codec is Codec.H264 else 35)


def is_picture(codec: Codec, nal: bytes) -> bool:
    """Whether the NAL unit carries a slice of a picture."""
    kind = nal_type(codec, nal)
    return 1 <= kind <= 5 if codec is Codec.H264 else kind < 32


def _base64(nal: bytes) -> str:
    return base64.b64encode(nal).decode()
