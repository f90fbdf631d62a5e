"""RTP packets into access units: everything that belongs to one picture, closed as soon as its last packet is there."""

from __future__ import annotations

from dataclasses import dataclass

from stream.capture.nal import Foreign, Fragment, Malformed, Syntax
from stream.capture.rtp import Packet

_FOREIGN_LIMIT = 5  # payloads of another codec in a row that are not taken for damage


class OtherCodec(Exception):
    """The camera has begun to send something else than it announced."""


@dataclass(frozen=True, slots=True)
class AccessUnit:
    """The NAL units of one picture, without start codes.

    key: decoding can begin here. damaged: something of it is missing. after_gap: something before it is missing.
    """

    nals: tuple[bytes, ...]
    timestamp: int
    received_ns: int
    key: bool
    damaged: bool
    after_gap: bool


class Assembler:
    """Takes packets in order.

    The marker bit closes a unit. Two habits of cameras are borne with: a marker on parameter sets, which closes
    nothing, and a marker on every slice; after the first such unit, a changed time stamp closes units, as it does
    for cameras that never set the marker.
    """

    def __init__(self, syntax: Syntax) -> None:
        self._syntax = syntax
        self._trust_marker = True
        self._closed_timestamp: int | None = None
        self._gap = False  # since the last unit
        self._foreign = 0
        self._begin(0)

    def _begin(self, timestamp: int) -> None:
        self._nals: list[bytes] = []
        self._fragment: bytearray | None = None
        self._timestamp = timestamp
        self._received_ns = 0
        self._damaged = self._any = False
        self._after_gap, self._gap = self._gap, False

    def push(self, packet: Packet, gap: bool) -> list[AccessUnit]:
        """The units that this packet closes. gap: packets before it are missing. Raises OtherCodec."""
        units = []
        if gap:
            self._damaged |= self._any
            self._gap |= not self._any
        if self._any and packet.timestamp != self._timestamp:
            units.append(self._close())
            self._gap = gap
        if not self._any:
            self._begin(packet.timestamp)
        self._any = True
        self._received_ns = packet.received_ns
        self._take(packet.payload)
        slices = any(map(self._syntax.is_slice, self._nals))
        if slices and self._trust_marker and packet.timestamp == self._closed_timestamp:
            self._trust_marker, self._damaged = False, True
        if packet.marker and slices and self._trust_marker and self._fragment is None:
            units.append(self._close())
            self._closed_timestamp = packet.timestamp
        return units

    def _close(self) -> AccessUnit:
        unit = AccessUnit(
            nals=tuple(self._nals),
            timestamp=self._timestamp,
            received_ns=self._received_ns,
            key=self._syntax.is_key(self._nals),
            damaged=self._damaged or self._fragment is not None,
            after_gap=self._after_gap,
        )
        self._any = False
        return unit

    def _take(self, payload: bytes) -> None:
        try:
            content = self._syntax.unpack(payload)
        except Malformed as error:
            self._damaged = True
            self._foreign += isinstance(error, Foreign)
            if self._foreign >= _FOREIGN_LIMIT:
                raise OtherCodec(str(error)) from None
            return
        self._foreign = 0
        if not isinstance(content, Fragment):
            self._damaged |= self._fragment is not None
            self._fragment = None
            self._nals += content
        elif content.first:
            self._damaged |= self._fragment is not None
            self._fragment = bytearray(content.data)
        elif self._fragment is None:
            self._damaged = True  # its beginning was lost
        else:
            self._fragment += content.data
        if isinstance(content, Fragment) and content.last and self._fragment is not None:
            self._nals.append(bytes(self._fragment))
            self._fragment = None
