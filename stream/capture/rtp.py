"""RTP and RTCP (RFC 3550): packets, their order, and what their clock means."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

_NTP_EPOCH_S = 2_208_988_800  # from 1900 to 1970
_SENDER_REPORT, _BYE = 200, 203
Clock = Literal["camera", "here"]


@dataclass(frozen=True, slots=True)
class Packet:
    """One RTP packet. sequence: 16 bits, timestamp and source: 32 bits. received_ns: monotonic."""

    sequence: int
    timestamp: int
    marker: bool
    payload_type: int
    source: int
    payload: bytes
    received_ns: int = 0


def parse(data: bytes, received_ns: int = 0) -> Packet | None:
    """The packet in a datagram, or None when it is none."""
    if len(data) < 12 or data[0] >> 6 != 2:
        return None
    first, second, sequence, timestamp, source = struct.unpack_from("!BBHII", data)
    start, end = 12 + 4 * (first & 15), len(data)
    if first & 0x10:  # header extension
        if start + 4 > end:
            return None
        start += 4 + 4 * int.from_bytes(data[start + 2 : start + 4], "big")
    if first & 0x20:  # padding, its length in the last byte
        end -= data[-1]
    if start > end:
        return None
    return Packet(
        sequence, timestamp, bool(second & 0x80), second & 0x7F, source, data[start:end], received_ns
    )


class Sequencer:
    """Puts packets back in order, and says where some are missing.

    A missing packet is awaited until `depth` later ones have come, or for `patience_ns`.
    """

    def __init__(self, depth: int = 16, patience_ns: int = 15_000_000) -> None:
        self._depth, self._patience_ns = depth, patience_ns
        self._next: int | None = None
        self._source = 0
        self._held: dict[int, Packet] = {}

    def push(self, packet: Packet) -> Iterator[tuple[Packet, bool]]:
        """Packets that are now in order, each with whether packets before it are missing."""
        ahead = 0 if self._next is None else (packet.sequence - self._next) & 0xFFFF
        if self._next is None or packet.source != self._source or 3000 < ahead < 0x10000 - 3000:
            # The first packet, or the sender has started anew: nothing is known of what was before.
            yield from self._give_up(all_held=True)
            fresh, self._source, self._next = self._next is None, packet.source, packet.sequence
            yield self._pass(packet), not fresh
        elif ahead == 0:
            yield self._pass(packet), False
        elif ahead < 0x8000:
            self._held.setdefault(packet.sequence, packet)
        # else: a duplicate, or so late that it has been given up
        yield from self._in_order()
        if len(self._held) > self._depth:
            yield from self._give_up()

    def expire(self, now_ns: int) -> Iterator[tuple[Packet, bool]]:
        """Like push, for packets that have been held for too long."""
        if self._held and now_ns - min(p.received_ns for p in self._held.values()) > self._patience_ns:
            yield from self._give_up()

    @property
    def holds(self) -> bool:
        """Whether packets wait for a missing one."""
        return bool(self._held)

    def _pass(self, packet: Packet) -> Packet:
        self._next = (packet.sequence + 1) & 0xFFFF
        return packet

    def _in_order(self) -> Iterator[tuple[Packet, bool]]:
        while self._next in self._held:
            yield self._pass(self._held.pop(self._next)), False

    def _give_up(self, all_held: bool = False) -> Iterator[tuple[Packet, bool]]:
        while self._held:
            assert self._next is not None
            expected = self._next
            nearest = min(self._held, key=lambda sequence: (sequence - expected) & 0xFFFF)
            yield self._pass(self._held.pop(nearest)), True
            yield from self._in_order()
            if not all_held:
                return


@dataclass(frozen=True, slots=True)
class SenderReport:
    """The instant of the camera's clock (UTC, ns since 1970) that belongs to an RTP time stamp."""

    source: int
    wall_ns: int
    timestamp: int


@dataclass(frozen=True, slots=True)
class Goodbye:
    """The senders of these sources have left."""

    sources: tuple[int, ...]


def parse_control(data: bytes) -> list[SenderReport | Goodbye]:
    """What an RTCP datagram says; parts that we do not need, or that are malformed, are passed over."""
    found: list[SenderReport | Goodbye] = []
    while len(data) >= 8 and data[0] >> 6 == 2:
        count, kind, words = data[0] & 31, data[1], int.from_bytes(data[2:4], "big")
        part, data = data[: 4 + 4 * words], data[4 + 4 * words :]
        if kind == _SENDER_REPORT and len(part) >= 28:
            source, seconds, fraction, timestamp = struct.unpack_from("!IIII", part, 4)
            if seconds:  # 0: the camera does not know the time (RFC 3550 section 6.4.1)
                wall_ns = (seconds - _NTP_EPOCH_S) * 1_000_000_000 + (fraction * 1_000_000_000 >> 32)
                found.append(SenderReport(source, wall_ns, timestamp))
        elif kind == _BYE:
            listed = min(count, len(part) // 4 - 1)
            found.append(Goodbye(struct.unpack_from(f"!{listed}I", part, 4)))
    return found


class Timeline:
    """RTP time stamps as nanoseconds that begin at 0, through wraps of 32 bits and restarts of the camera's clock."""

    _LEAP_NS = (
        10_000_000_000  # time stamps and arrivals that differ by more have nothing to do with each other
    )
    _BACK_NS = -1_000_000_000  # pictures sent out of order are never this far apart
    _CREDIBLE_NS = 24 * 3600 * 1_000_000_000  # a camera's clock that is further off was never set

    def __init__(self, clock_rate: int) -> None:
        self._rate = clock_rate
        self._timestamp: int | None = None
        self._received_ns = 0
        self._ticks = 0  # since _origin_ns
        self._origin_ns = 0
        self._newest_ns = 0
        self._report: SenderReport | None = None
        self.restarts = 0

    def media_ns(self, timestamp: int, received_ns: int) -> int:
        """The place of a time stamp on the time line. Call it once for each access unit, in order of arrival."""
        if self._timestamp is None:
            self._timestamp, self._received_ns = timestamp, received_ns
            return 0
        step = _difference(timestamp, self._timestamp)
        step_ns = step * 1_000_000_000 // self._rate
        passed_ns = received_ns - self._received_ns
        self._timestamp, self._received_ns = timestamp, received_ns
        if step_ns < self._BACK_NS or abs(step_ns - passed_ns) > self._LEAP_NS:
            self.restarts += 1
            if self._report and abs(_difference(timestamp, self._report.timestamp)) > 10 * self._rate:
                self._report = None  # it was of the clock before
            self._ticks, self._origin_ns = 0, self._newest_ns + max(passed_ns, 1_000_000)
        else:
            self._ticks += step
        media_ns = self._origin_ns + self._ticks * 1_000_000_000 // self._rate
        self._newest_ns = max(self._newest_ns, media_ns)
        return media_ns

    def report(self, report: SenderReport) -> None:
        """Take what the camera says of its clock."""
        self._report = report

    def wall(self, timestamp: int, received_ns: int) -> tuple[int, Clock]:
        """When a time stamp was (UTC, ns), by the camera's clock, or by the one here where the camera's is unknown or
        was never set; and whose clock that is.
        """
        own_ns = time.time_ns() - (time.monotonic_ns() - received_ns)
        if self._report is None:
            return own_ns, "here"
        since = _difference(timestamp, self._report.timestamp) * 1_000_000_000 // self._rate
        camera_ns = self._report.wall_ns + since
        return (camera_ns, "camera") if abs(camera_ns - own_ns) < self._CREDIBLE_NS else (own_ns, "here")


def _difference(new: int, old: int) -> int:
    """new - old of 32-bit counters, as a signed number."""
    return ((new - old + 0x80000000) & 0xFFFFFFFF) - 0x80000000
