"""NAL units into RTP payloads and back, by a reader written from RFC 6184 and RFC 7798 for this test."""

from __future__ import annotations

import struct

from hypothesis import given, settings
from hypothesis import strategies as st

from tools.rtsp.media import Codec, split_annexb
from tools.rtsp.packetize import MTU, packetize

H264_KINDS = st.sampled_from([1, 5, 6, 7, 8])
H265_KINDS = st.sampled_from([1, 19, 20, 32, 33, 34, 39])


@st.composite
def access_units(draw: st.DrawFn) -> tuple[Codec, list[bytes]]:
    codec = draw(st.sampled_from([Codec.H264, Codec.H265]))
    nals = []
    for _ in range(draw(st.integers(1, 6))):
        size = draw(st.integers(1, 5000) | st.integers(1, 60) | st.integers(1370, 1400))
        if codec is Codec.H264:
            header = bytes([draw(st.sampled_from([0, 0x20, 0x60])) | draw(H264_KINDS)])
        else:
            header = bytes([draw(H265_KINDS) << 1, draw(st.integers(1, 7))])
        nals.append(header + bytes([draw(st.integers(0, 255))]) * size)
    return codec, nals


def unpack(codec: Codec, payloads: tuple[bytes, ...]) -> list[bytes]:
    wide = 1 if codec is Codec.H264 else 2
    aggregate, fragment = (24, 28) if codec is Codec.H264 else (48, 49)
    nals: list[bytes] = []
    begun = False
    for payload in payloads:
        kind = payload[0] & 31 if codec is Codec.H264 else payload[0] >> 1 & 63
        if kind == aggregate:
            rest = payload[wide:]
            while rest:
                (size,) = struct.unpack("!H", rest[:2])
                nals.append(rest[2 : 2 + size])
                rest = rest[2 + size :]
        elif kind == fragment:
            flags = payload[wide]
            if flags & 0x80:
                assert not begun and not flags & 0x40
                begun = True
                if codec is Codec.H264:
                    nals.append(bytes([payload[0] & 0xE0 | flags & 31]))
                else:
                    nals.append(bytes([payload[0] & 0x81 | (flags & 63) << 1, payload[1]]))
            assert begun
            nals[-1] += payload[wide + 1 :]
            begun = not flags & 0x40
        else:
            nals.append(payload)
    assert not begun
    return nals


@given(access_units())
@settings(max_examples=150, deadline=None)
def test_every_access_unit_comes_back_and_every_packet_fits(unit: tuple[Codec, list[bytes]]) -> None:
    codec, nals = unit
    payloads = packetize(codec, nals)
    assert max(map(len, payloads)) <= MTU - 12
    assert unpack(codec, payloads) == nals


def test_parameter_sets_share_a_packet_and_pictures_do_not() -> None:
    sps, pps, slice_ = b"\x67" + b"s" * 20, b"\x68" + b"p" * 5, b"\x65" + b"i" * 50
    stap, single = packetize(Codec.H264, [sps, pps, slice_])
    assert (stap[0], single) == (0x60 | 24, slice_)
    vps, sps, pps, slice_ = b"\x40\x01v", b"\x42\x01s", b"\x44\x01p", b"\x26\x01" + b"i" * 50
    aggregate, single = packetize(Codec.H265, [vps, sps, pps, slice_])
    assert (aggregate[:2], single) == (b"\x60\x01", slice_)


@given(
    st.lists(st.binary(min_size=1, max_size=40).map(lambda b: b"\x65" + b.replace(b"\0", b"\1")), max_size=6)
)
def test_a_byte_stream_is_split_at_short_and_long_start_codes(nals: list[bytes]) -> None:
    assert split_annexb(b"".join(b"\0\0\1" + nal for nal in nals)) == nals
    assert split_annexb(b"".join(b"\0\0\0\1" + nal + b"\0" for nal in nals)) == nals
