"""What a camera offers: the parts of a session description (RFC 8866) that a player needs."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field

_STATIC = {
    0: ("PCMU", 8000),
    3: ("GSM", 8000),
    8: ("PCMA", 8000),
    9: ("G722", 8000),
    14: ("MPA", 90000),
    26: ("JPEG", 90000),
    31: ("H261", 90000),
    32: ("MPV", 90000),
    33: ("MP2T", 90000),
    34: ("H263", 90000),
}
"""Payload types that need no rtpmap (RFC 3551 section 6): codec, clock rate."""

_SPROPS = ("sprop-parameter-sets", "sprop-vps", "sprop-sps", "sprop-pps")


@dataclass(frozen=True, slots=True)
class Format:
    """One payload type. codec is in upper case, clock_rate in Hz."""

    payload_type: int
    codec: str
    clock_rate: int
    parameters: dict[str, str] = field(default_factory=dict)

    @property
    def parameter_sets(self) -> tuple[bytes, ...]:
        """The decoder's parameter sets (H.264: SPS, PPS; H.265: VPS, SPS, PPS) without start codes."""
        sets = []
        for name in _SPROPS:
            for text in self.parameters.get(name, "").split(","):
                try:
                    sets.append(base64.b64decode(text + "=" * (-len(text) % 4), validate=True))
                except (binascii.Error, ValueError):
                    continue  # they usually travel in the stream as well
        return tuple(nal.removeprefix(b"\0\0\0\1") for nal in sets if nal)


@dataclass(frozen=True, slots=True)
class Media:
    """One track. kind is "video", "audio", "application", ..."""

    kind: str
    formats: tuple[Format, ...]
    control: str


@dataclass(frozen=True, slots=True)
class Description:
    """A whole session. control is the session's own ("" when there is none)."""

    control: str
    media: tuple[Media, ...]


def parse(text: str) -> Description:
    """Read a session description; lines that we do not know are passed over."""
    session, *sections = re.split(r"(?m)^(?=m=)", text.replace("\r", "\n"))
    return Description(_attribute(session, "control"), tuple(filter(None, map(_media, sections))))


def _media(section: str) -> Media | None:
    head = re.match(r"m=(\w+) \d+(?:/\d+)? \S+ ([\d ]+)", section)
    if not head:
        return None
    rates = {
        int(number): (codec.upper(), int(rate))
        for number, codec, rate in re.findall(r"(?m)^a=rtpmap:(\d+) +([^/\s]+)/(\d+)", section)
    }
    settings = {
        int(number): _parameters(rest) for number, rest in re.findall(r"(?m)^a=fmtp:(\d+) +(.+)$", section)
    }
    formats = []
    for number in map(int, head.group(2).split()):
        codec, rate = rates.get(number) or _STATIC.get(number, ("", 0))
        if codec and rate > 0:
            formats.append(Format(number, codec, rate, settings.get(number, {})))
    return Media(head.group(1).lower(), tuple(formats), _attribute(section, "control"))


def _attribute(section: str, name: str) -> str:
    match = re.search(rf"(?m)^a={name}:[ \t]*(.*?)[ \t]*$", section)
    return match.group(1) if match else ""


def _parameters(text: str) -> dict[str, str]:
    pairs = (part.strip().partition("=") for part in text.split(";"))
    return {name.strip().lower(): value.strip() for name, _, value in pairs if name}
