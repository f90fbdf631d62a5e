"""The boxes of a fragmented MP4 with one track of pictures (ISO/IEC 14496-12, 14496-15).

Written here and not by a library, since the recorder decides to the byte what lies on the disk when: a fragment
is whole or it is not there.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from stream.recording.mp4.parameter_sets import VideoFormat, unescaped

TIMESCALE = 1_000_000
_SINCE_1904_S = 2_082_844_800
_NTP_EPOCH_S = 2_208_988_800
_UNITY = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_KEY_FLAGS, _OTHER_FLAGS = 0x02000000, 0x01010000  # depends on no other; depends on others, no sync sample
_MPEG4_KINDS = {"mpeg4": 0x20, "mjpeg": 0x6C}


@dataclass(frozen=True, slots=True)
class Sample:
    """One access unit on the file's time line. dts, pts, duration: in units of TIMESCALE."""

    data: bytes
    key: bool
    dts: int
    pts: int
    duration: int


def can_hold(codec: str) -> bool:
    """Whether these boxes can describe a codec (FFmpeg's name)."""
    return codec in ("h264", "hevc", *_MPEG4_KINDS)


def header(form: VideoFormat, extradata: bytes, wall_ns: int) -> bytes:
    """The beginning of a file: what it holds, and that fragments follow. wall_ns: of its first picture."""
    made_s = max(0, wall_ns // 1_000_000_000 + _SINCE_1904_S)
    dates = struct.pack(">QQ", made_s, made_s)
    movie = _full(
        "mvhd",
        1,
        0,
        dates,
        struct.pack(">IQIH10x", TIMESCALE, 0, 0x10000, 0x100),
        _UNITY,
        bytes(24),
        b"\0\0\0\2",
    )
    size = struct.pack(">II", form.width << 16, form.height << 16)
    track = _full("tkhd", 1, 3, dates, struct.pack(">I4xQ8x8x", 1, 0), _UNITY, size)
    tables = _box(
        "stbl",
        _full("stsd", 0, 0, b"\0\0\0\1", _entry(form, extradata)),
        *(_full(name, 0, 0, bytes(4)) for name in ("stts", "stsc", "stco")),
        _full("stsz", 0, 0, bytes(8)),
    )
    here = _box("dinf", _full("dref", 0, 0, b"\0\0\0\1", _full("url ", 0, 1)))
    media = _box(
        "mdia",
        _full("mdhd", 1, 0, dates, struct.pack(">IQHH", TIMESCALE, 0, 0x55C4, 0)),
        _full("hdlr", 0, 0, bytes(4), b"vide", bytes(12), b"camera\0"),
        _box("minf", _full("vmhd", 0, 1, bytes(8)), here, tables),
    )
    fragments = _box("mvex", _full("trex", 0, 0, struct.pack(">5I", 1, 1, 0, 0, 0)))
    kind = _box("ftyp", b"iso6", struct.pack(">I", 1), b"iso6iso5mp41")
    return kind + _box("moov", movie, _box("trak", track, media), fragments)


def fragment(number: int, samples: Sequence[Sample], wall_ns: int) -> bytes:
    """Samples that follow each other, whole in one piece. number: from 1. wall_ns: of the first of them."""
    table = b"".join(
        struct.pack(
            ">IIIi",
            sample.duration,
            len(sample.data),
            _KEY_FLAGS if sample.key else _OTHER_FLAGS,
            sample.pts - sample.dts,
        )
        for sample in samples
    )
    dts = samples[0].dts
    head = _moof(number, dts, len(samples), 0, table)
    moof = _moof(number, dts, len(samples), len(head) + 8, table)
    seconds, rest = divmod(max(0, wall_ns), 1_000_000_000)
    ntp = (seconds + _NTP_EPOCH_S & 0xFFFFFFFF) << 32 | (rest << 32) // 1_000_000_000
    clock = _full("prft", 1, 0, struct.pack(">IQQ", 1, ntp, samples[0].pts))
    return clock + moof + _box("mdat", *(sample.data for sample in samples))


def _moof(number: int, dts: int, count: int, offset: int, table: bytes) -> bytes:
    return _box(
        "moof",
        _full("mfhd", 0, 0, struct.pack(">I", number)),
        _box(
            "traf",
            _full("tfhd", 0, 0x020000, struct.pack(">I", 1)),
            _full("tfdt", 1, 0, struct.pack(">Q", dts)),
            _full("trun", 1, 0xF01, struct.pack(">Ii", count, offset), table),
        ),
    )


def _entry(form: VideoFormat, extradata: bytes) -> bytes:
    """What codec the track has, and what its decoder needs."""
    match form.codec:
        case "h264":
            name, inner = "avc1", _box("avcC", _avc(form))
        case "hevc":
            name, inner = "hvc1", _box("hvcC", _hevc(form))
        case _:
            name, inner = "mp4v", _full("esds", 0, 0, _esds(form.codec, extradata))
    size = struct.pack(">HH", form.width, form.height)
    fixed = struct.pack(">6xH16x4sIIIH32xHh", 1, size, 0x480000, 0x480000, 0, 1, 0x18, -1)
    return _box(name, fixed, inner)


def _avc(form: VideoFormat) -> bytes:
    first = form.sps[0]
    record = bytes((1, first[1], first[2], first[3], 0xFF, 0xE0 | len(form.sps)))
    record += _listed(form.sps) + bytes([len(form.pps)]) + _listed(form.pps)
    if first[1] in (100, 110, 122, 144):
        depths = 0xF8 | form.luma_depth - 8, 0xF8 | form.chroma_depth - 8
        record += bytes((0xFC | form.chroma, *depths, 0))
    return record


def _hevc(form: VideoFormat) -> bytes:
    levels = unescaped(form.sps[0])[3:15]
    layers = (form.sps[0][2] >> 1 & 7) + 1
    depths = 0xF8 | form.luma_depth - 8, 0xF8 | form.chroma_depth - 8
    record = b"\1" + levels + b"\xf0\0\xfc" + bytes((0xFC | form.chroma, *depths))
    record += struct.pack(">H", 0) + bytes([layers << 3 | (form.sps[0][2] & 1) << 2 | 3, 3])
    for kind, sets in ((32, form.vps), (33, form.sps), (34, form.pps)):
        record += struct.pack(">BH", 0x80 | kind, len(sets)) + _listed(sets)
    return record


def _listed(sets: Sequence[bytes]) -> bytes:
    return b"".join(struct.pack(">H", len(nal)) + nal for nal in sets)


def _esds(codec: str, extradata: bytes) -> bytes:
    decoder = struct.pack(">BB3xII", _MPEG4_KINDS[codec], 0x11, 0, 0)
    decoder += _descriptor(5, extradata) if extradata else b""
    return _descriptor(3, struct.pack(">HB", 1, 0) + _descriptor(4, decoder) + _descriptor(6, b"\2"))


def _descriptor(tag: int, content: bytes) -> bytes:
    size = len(content)
    return bytes([tag, *(0x80 | size >> shift & 0x7F for shift in (21, 14, 7)), size & 0x7F]) + content


def _box(name: str, *content: bytes) -> bytes:
    body = b"".join(content)
    return struct.pack(">I4s", 8 + len(body), name.encode()) + body


def _full(name: str, version: int, flags: int, *content: bytes) -> bytes:
    return _box(name, struct.pack(">I", version << 24 | flags), *content)
