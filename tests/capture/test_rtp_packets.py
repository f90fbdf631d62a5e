"""RTP packets, their order and their clock."""

from __future__ import annotations

import random
import struct
import time

from hypothesis import given
from hypothesis import strategies as some

from stream.capture.rtp import (
    Goodbye,
    Packet,
    SenderReport,
    Sequencer,
    Timeline,
    parse,
    parse_control,
)

SECOND = 1_000_000_000


def packet(sequence: int, received_ns: int = 0, source: int = 1) -> Packet:
    return Packet(sequence & 0xFFFF, 0, False, 96, source, b"", received_ns)


def test_csrcs_the_header_extension_and_padding_are_left_aside() -> None:
    head = struct.pack("!BBHII", 0xB1, 0xE0, 7, 8, 9)
    body = struct.pack("!I", 10) + struct.pack("!HHI", 0xBEDE, 1, 0) + b"picture" + b"\0\0\3"
    assert parse(head + body, 5) == Packet(7, 8, True, 96, 9, b"picture", 5)


@given(some.binary(max_size=64))
def test_any_bytes_are_a_packet_or_none_and_never_an_error(data: bytes) -> None:
    parse(data)
    parse_control(data)


@given(some.integers(0, 0xFFFF), some.integers(0, 2**32))
def test_packets_that_are_shuffled_and_doubled_come_out_in_order(first: int, seed: int) -> None:
    sent = [packet(first + number) for number in range(40)]
    chance = random.Random(seed)
    # The first packet stays first: a receiver cannot know what was before it.
    shuffled = sent[:1] + sorted(sent[1:], key=lambda p: (p.sequence - first) % 65536 + chance.uniform(0, 8))
    doubled = [p for p in shuffled for _ in range(chance.choice((1, 1, 2)))]
    sequencer = Sequencer()
    found = [item for p in doubled for item in sequencer.push(p)]
    assert found == [(p, False) for p in sent]
    assert not sequencer.holds


def test_a_missing_packet_is_given_up_when_enough_later_ones_have_come() -> None:
    sequencer = Sequencer(depth=3)
    found = [item for number in (1, 3, 4, 5, 6, 7) for item in sequencer.push(packet(number))]
    assert [p.sequence for p, _ in found] == [1, 3, 4, 5, 6, 7]
    assert [gap for _, gap in found] == [False, True, False, False, False, False]


def test_a_missing_packet_is_given_up_after_a_while() -> None:
    sequencer = Sequencer(patience_ns=10)
    found = [item for p in (packet(1, 100), packet(3, 101)) for item in sequencer.push(p)]
    assert [p.sequence for p, _ in found] == [1]
    assert list(sequencer.expire(111)) == []
    assert [(p.sequence, gap) for p, gap in sequencer.expire(112)] == [(3, True)]


def test_a_sender_that_starts_anew_is_followed_at_once() -> None:
    sequencer = Sequencer()
    found = [
        item
        for p in (packet(1), packet(40_000), packet(40_001), packet(5, source=2))
        for item in sequencer.push(p)
    ]
    assert [(p.sequence, gap) for p, gap in found] == [(1, False), (40_000, True), (40_001, False), (5, True)]


def test_the_time_line_goes_on_when_time_stamps_wrap() -> None:
    line = Timeline(90_000)
    stamps = [(0xFFFFFFFF - 4500 + 3600 * number) & 0xFFFFFFFF for number in range(4)]
    times = [line.media_ns(stamp, number * 40_000_000) for number, stamp in enumerate(stamps)]
    assert times == [0, 40_000_000, 80_000_000, 120_000_000]
    assert line.restarts == 0


def test_the_time_line_goes_on_when_the_camera_starts_its_time_stamps_anew() -> None:
    line = Timeline(90_000)
    line.media_ns(3_000_000_000, 0)
    assert line.media_ns(3_000_003_600, 40_000_000) == 40_000_000
    assert line.media_ns(0, 90_000_000) == 90_000_000  # 50 ms passed, whatever the stamps say
    assert line.media_ns(3600, 130_000_000) == 130_000_000
    assert line.restarts == 1


def test_pictures_sent_out_of_their_order_keep_their_own_times() -> None:
    line = Timeline(90_000)
    times = [line.media_ns(stamp, 0) for stamp in (9000, 19800, 12600, 16200)]
    assert times == [0, 120_000_000, 40_000_000, 80_000_000]


def test_a_frozen_network_is_no_restart() -> None:
    line = Timeline(90_000)
    line.media_ns(0, 0)
    assert line.media_ns(3600, 8 * SECOND) == 40_000_000
    assert line.restarts == 0


def sender_report(wall_ns: int, timestamp: int) -> bytes:
    seconds, rest = divmod(wall_ns, SECOND)
    return struct.pack(
        "!BBHIIIIII", 0x80, 200, 6, 77, seconds + 2_208_988_800, (rest << 32) // SECOND, timestamp, 0, 0
    )


def test_sender_reports_and_goodbyes_are_found_in_compound_packets() -> None:
    wall_ns = 1_700_000_000 * SECOND + 250_000_000
    found = parse_control(sender_report(wall_ns, 5) + struct.pack("!BBHII", 0x82, 203, 2, 77, 78))
    assert found == [SenderReport(77, wall_ns, 5), Goodbye((77, 78))]


def test_the_wall_clock_is_the_cameras() -> None:
    line = Timeline(90_000)
    camera_ns = time.time_ns() - 3600 * SECOND
    line.report(SenderReport(1, camera_ns, 9000))
    assert line.wall(9000 + 45_000, time.monotonic_ns()) == (camera_ns + SECOND // 2, "camera")


def test_a_camera_whose_clock_was_never_set_gets_our_time() -> None:
    line = Timeline(90_000)
    line.report(SenderReport(1, 946_684_800 * SECOND, 9000))  # the year 2000
    wall_ns, clock = line.wall(9000, time.monotonic_ns())
    assert clock == "here"
    assert abs(wall_ns - time.time_ns()) < SECOND
