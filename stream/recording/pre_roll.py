"""The last seconds of a camera, in memory: what was before an event."""

from __future__ import annotations

from collections import deque

from stream.messages import Packet

_MOST_BYTES = 64 << 20


class PreRoll:
    """Whole groups of pictures, each from a key packet to the next: those that began within the span or before it."""

    def __init__(self, span_ns: int, most_bytes: int = _MOST_BYTES) -> None:
        """span_ns: how far back it reaches. most_bytes: with more than that, the oldest groups go earlier."""
        self._span_ns, self._most_bytes = span_ns, most_bytes
        self._groups: deque[list[Packet]] = deque()
        self._bytes = 0

    def add(self, packet: Packet) -> None:
        """A packet, in decoding order; before the first key packet there is nothing to keep."""
        if packet.key:
            self._groups.append([])
        if not self._groups:
            return
        self._groups[-1].append(packet)
        self._bytes += len(packet.data)
        oldest_ns = packet.received_ns - self._span_ns
        while len(self._groups) > 1 and (
            self._groups[1][0].received_ns <= oldest_ns or self._bytes > self._most_bytes
        ):
            self._bytes -= sum(len(each.data) for each in self._groups.popleft())

    def take(self) -> list[Packet]:
        """All that is kept; it begins at a key packet."""
        packets = [packet for group in self._groups for packet in group]
        self._groups.clear()
        self._bytes = 0
        return packets
