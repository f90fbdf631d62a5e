"""NAL units into RTP payloads: RFC 6184 for H.264 (packetisation mode 1), RFC 7798 for H.265."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from tools.rtsp.media import Codec, is_picture

MTU = 1400
"""Largest RTP packet in bytes, its header included."""

RTP_HEADER = 12
_LIMIT = MTU - RTP_HEADER


def packetize(codec: Codec, nals: Iterable[bytes], limit: int = _LIMIT) -> tuple[bytes, ...]:
    """The RTP payloads, each at most `limit` bytes, of one access unit's NAL units.

    NAL units that carry no picture and follow one another (parameter sets, SEI) share a packet; the others
    travel whole where they fit, and in fragments where not.
    """
    payloads: list[bytes] = []
    waiting: list[bytes] = []
    for nal in nals:
        if not is_picture(codec, nal) and _aggregate_size(codec, [*waiting, nal]) <= limit:
            waiting.append(nal)
            continue
        payloads += _flush(codec, waiting)
        waiting = []
        payloads += [nal] if len(nal) <= limit else _fragments(codec, nal, limit)
    return (*payloads, *_flush(codec, waiting))


def _flush(codec: Codec, nals: list[bytes]) -> list[bytes]:
    if len(nals) < 2:
        return nals
    body = b"".join(struct.pack("!H", len(nal)) + nal for nal in nals)
    if codec is Codec.H264:  # STAP-A, RFC 6184 section 5.7.1: the highest importance of its parts
        return [bytes([max(nal[0] & 0x60 for nal in nals) | 24]) + body]
    temporal = min(nal[1] & 7 for nal in nals)  # AP, RFC 7798 section 4.4.2
    return [bytes([48 << 1, temporal]) + body]


def _aggregate_size(codec: Codec, nals: list[bytes]) -> int:
    return (1 if codec is Codec.H264 else 2) + sum(2 + len(nal) for nal in nals)


def _fragments(codec: Codec, nal: bytes, limit: int) -> list[bytes]:
    if codec is Codec.H264:  # FU-A, RFC 6184 section 5.8
        indicator, kind, body = bytes([nal[0] & 0xE0 | 28]), nal[0] & 31, nal[1:]
    else:  # FU, RFC 7798 section 4.4.3
        indicator, kind, body = bytes([nal[0] & 0x81 | 49 << 1, nal[1]]), nal[0] >> 1 & 63, nal[2:]
    size = limit - len(indicator) - 1
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    flags = [0x80] + [0] * (len(pieces) - 2) + [0x40]
    return [indicator + bytes([flag | kind]) + piece for flag, piece in zip(flags, pieces, strict=True)]
