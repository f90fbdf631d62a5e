"""RTP payloads into access units."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as some

from stream.capture.access_units import AccessUnit, Assembler, OtherCodec
from stream.capture.nal import H264, H265, Fragment, Malformed
from stream.capture.rtp import Packet
from tools.rtsp.media import Codec
from tools.rtsp.packetize import packetize

SPS, PPS = b"\x67\x42\0\x1e", b"\x68\xce\x3c\x80"
IDR = b"\x65\x88" + bytes(range(1, 250)) * 12
SECOND_SLICE = b"\x41\x10" + b"\x55" * 40  # first_mb_in_slice is not 0
INTER = b"\x41\x9a" + b"\x21" * 3000
VPS5, SPS5, PPS5 = b"\x40\x01\x0c", b"\x42\x01\x01", b"\x44\x01\xc1"
IDR5 = b"\x26\x01\xaf" + bytes(range(1, 250)) * 12
INTER5 = b"\x02\x01\xd0" + b"\x21" * 3000


def packets(units: Iterable[tuple[int, Iterable[bytes]]], marker: bool = True) -> list[Packet]:
    """The packets of units given as (time stamp, payloads)."""
    found = []
    for timestamp, payloads in units:
        payloads = list(payloads)
        for number, payload in enumerate(payloads):
            last = marker and number == len(payloads) - 1
            found.append(Packet(len(found), timestamp, last, 96, 1, payload, len(found)))
    return found


def assemble(
    assembler: Assembler, given_packets: Iterable[Packet], lost: Iterable[int] = ()
) -> list[AccessUnit]:
    found, gap = [], False
    for packet in given_packets:
        if packet.sequence in set(lost):
            gap = True
            continue
        found += assembler.push(packet, gap)
        gap = False
    return found


@pytest.mark.parametrize(
    ("syntax", "codec", "pictures"),
    [
        (H264(), Codec.H264, [[SPS, PPS, IDR], [INTER], [INTER[:100]]]),
        (H265(), Codec.H265, [[VPS5, SPS5, PPS5, IDR5], [INTER5], [INTER5[:100]]]),
    ],
)
def test_single_units_aggregates_and_fragments_come_out_as_they_went_in(
    syntax: H264 | H265, codec: Codec, pictures: list[list[bytes]]
) -> None:
    sent = packets((number * 3600, packetize(codec, nals)) for number, nals in enumerate(pictures))
    units = assemble(Assembler(syntax), sent)
    assert [list(unit.nals) for unit in units] == pictures
    assert [unit.key for unit in units] == [True, False, False]
    assert not any(unit.damaged or unit.after_gap for unit in units)


def test_a_unit_is_closed_by_the_packet_that_carries_its_marker() -> None:
    sent = packets([(0, packetize(Codec.H264, [SPS, PPS, IDR]))])
    assembler = Assembler(H264())
    closed = [assembler.push(packet, False) for packet in sent]
    assert [len(units) for units in closed] == [0] * (len(sent) - 1) + [1]
    assert closed[-1][0].received_ns == sent[-1].received_ns


def test_a_camera_that_never_sets_the_marker_is_understood_by_its_time_stamps() -> None:
    sent = packets([(0, [SPS, PPS, IDR[:90]]), (3600, [INTER[:90]]), (7200, [INTER[:80]])], marker=False)
    units = assemble(Assembler(H264()), sent)
    assert [unit.nals for unit in units] == [(SPS, PPS, IDR[:90]), (INTER[:90],)]


def test_a_marker_on_parameter_sets_closes_nothing() -> None:
    sent = packets([(0, [SPS]), (0, [PPS]), (0, [IDR[:90]])])
    units = assemble(Assembler(H264()), sent)
    assert [unit.nals for unit in units] == [(SPS, PPS, IDR[:90])]
    assert not units[0].damaged


def test_a_camera_that_marks_every_slice_is_believed_no_more() -> None:
    sent = packets([(stamp, [nal]) for stamp in (0, 3600, 7200) for nal in (INTER[:90], SECOND_SLICE)])
    units = assemble(Assembler(H264()), sent)
    assert [(unit.timestamp, unit.damaged) for unit in units] == [(0, False), (0, True), (3600, False)]
    assert units[2].nals == (INTER[:90], SECOND_SLICE)


@given(
    some.sampled_from([Codec.H264, Codec.H265]),
    some.sets(some.integers(0, 19), min_size=1),
    some.integers(0, 9),
)
def test_no_unit_with_a_lost_packet_passes_as_whole(codec: Codec, lost: set[int], seed: int) -> None:
    chance = random.Random(seed)
    first, inter = (IDR, INTER) if codec is Codec.H264 else (IDR5, INTER5)
    pictures = [
        [first[: chance.randrange(80, 3000)]],
        *([inter[: chance.randrange(80, 3000)]] for _ in range(9)),
    ]
    sent = packets((number * 3600, packetize(codec, nals)) for number, nals in enumerate(pictures))
    whole = {
        number * 3600
        for number in range(10)
        if not any(p.timestamp == number * 3600 and p.sequence in lost for p in sent)
    }
    for unit in assemble(Assembler(H264() if codec is Codec.H264 else H265()), sent, lost):
        begins = (H264 if codec is Codec.H264 else H265)().begins_picture
        if not unit.damaged and not (unit.after_gap and not begins(unit.nals[0])):
            assert unit.timestamp in whole


def test_a_unit_behind_lost_units_says_so() -> None:
    sent = packets([(number * 3600, [INTER[:90]]) for number in range(4)])
    units = assemble(Assembler(H264()), sent, lost=[1])
    assert [(unit.timestamp, unit.after_gap) for unit in units] == [(0, False), (7200, True), (10800, False)]


def test_h265_in_a_stream_announced_as_h264_is_recognised() -> None:
    sent = packets((number * 3600, packetize(Codec.H265, [VPS5, SPS5, PPS5, IDR5])) for number in range(3))
    with pytest.raises(OtherCodec):
        assemble(Assembler(H264()), sent)


def test_h264_in_a_stream_announced_as_h265_is_recognised() -> None:
    sent = packets((number * 3600, packetize(Codec.H264, [SPS, PPS, IDR])) for number in range(3))
    with pytest.raises(OtherCodec):
        assemble(Assembler(H265()), sent)


def test_an_aggregate_whose_length_points_beyond_its_end_names_the_place() -> None:
    payload = b"\x18" + struct.pack("!H", 50) + SPS
    with pytest.raises(Malformed) as caught:
        H264().unpack(payload)
    assert str(caught.value) == "an aggregation packet of 7 bytes holds a NAL unit that ends at 53"


@given(some.binary(max_size=40))
def test_any_payload_is_unpacked_or_refused(payload: bytes) -> None:
    for syntax in (H264(), H265()):
        try:
            content = syntax.unpack(payload)
        except Malformed:
            continue
        assert isinstance(content, Fragment) or all(len(nal) >= 2 for nal in content)


def test_a_recovery_point_is_a_place_to_begin() -> None:
    assert H264().is_key([b"\x06\x06\x01\xc4\x80", INTER[:20]])
    assert not H264().is_key([b"\x06\x05\x01\xc4\x80", INTER[:20]])
