"""RTP and RTCP (RFC 3550) to one client, interleaved in the RTSP connection or over UDP."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
import struct
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol

from tools.rtsp.media import CLOCK, AccessUnit, Track
from tools.rtsp.sources import ticks_now

_RTP = struct.Struct("!BBHII")
_INTERLEAVED = struct.Struct("!cBH")
_NTP_EPOCH = 2_208_988_800  # seconds from 1900 to 1970
REPORT_PERIOD = 5 * CLOCK
_BURST = 64  # packets sent at once over UDP, fewer than a receiver's usual buffer holds
BACKLOG = 4 << 20  # bytes a client may leave unread before whole pictures are left out


class Carrier(Protocol):
    """How packets reach the client."""

    def rtp(self, packets: Iterable[bytes]) -> None:
        """Send RTP packets."""
        ...

    def rtcp(self, packet: bytes) -> None:
        """Send one RTCP packet."""
        ...

    def congested(self) -> bool:
        """Whether the client has stopped reading."""
        ...

    def close(self) -> None:
        """Give back what is ours."""
        ...

    def answer(self) -> str:
        """The Transport header that tells the client what was agreed."""
        ...


class Interleaved:
    """Packets inside the RTSP connection (RFC 2326 section 10.12), those of one picture in one write."""

    def __init__(self, transport: asyncio.WriteTransport, channel: int) -> None:
        self._transport, self._channel = transport, channel

    def rtp(self, packets: Iterable[bytes]) -> None:
        """Send RTP packets."""
        parts: list[bytes] = []
        for packet in packets:
            parts += (_INTERLEAVED.pack(b"$", self._channel, len(packet)), packet)
        self._transport.write(b"".join(parts))

    def rtcp(self, packet: bytes) -> None:
        """Send one RTCP packet."""
        self._transport.write(_INTERLEAVED.pack(b"$", self._channel + 1, len(packet)) + packet)

    def congested(self) -> bool:
        """Whether the client has stopped reading."""
        return self._transport.get_write_buffer_size() > BACKLOG

    def close(self) -> None:
        """The connection is not ours to close."""

    def answer(self) -> str:
        """The agreed Transport header."""
        return f"RTP/AVP/TCP;unicast;interleaved={self._channel}-{self._channel + 1}"


class Udp:
    """Packets over UDP from a pair of ports of ours to a pair of the client's."""

    def __init__(self, host: str, peer: str, ports: tuple[int, int], heard: Callable[[], None]) -> None:
        self._peer, self._ports, self._heard = peer, ports, heard
        self._sockets = _port_pair(host)
        self._closed = False
        self._waiting: deque[bytes] = deque()
        self._timer: asyncio.TimerHandle | None = None
        asyncio.get_running_loop().add_reader(self._sockets[1], self._read)

    def rtp(self, packets: Iterable[bytes]) -> None:
        """Send RTP packets: a few at once, the rest a little later, as a real network would."""
        self._waiting.extend(packets)
        if self._timer is None:
            self._flush()

    def rtcp(self, packet: bytes) -> None:
        """Send one RTCP packet."""
        self._send(1, packet)

    def congested(self) -> bool:
        """UDP never is: what does not fit is lost."""
        return False

    def close(self) -> None:
        """Give the ports back."""
        if not self._closed:
            self._closed = True
            if self._timer is not None:
                self._timer.cancel()
            asyncio.get_running_loop().remove_reader(self._sockets[1])
            for own in self._sockets:
                own.close()

    def answer(self) -> str:
        """The agreed Transport header."""
        own = "-".join(str(s.getsockname()[1]) for s in self._sockets)
        return f"RTP/AVP;unicast;client_port={self._ports[0]}-{self._ports[1]};server_port={own}"

    def _flush(self) -> None:
        for _ in range(min(_BURST, len(self._waiting))):
            self._send(0, self._waiting.popleft())
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(0.001, self._flush) if self._waiting else None

    def _send(self, which: int, packet: bytes) -> None:
        with contextlib.suppress(OSError):  # full buffer or nobody listening: UDP loses packets
            self._sockets[which].sendto(packet, (self._peer, self._ports[which]))

    def _read(self) -> None:
        try:
            self._sockets[1].recv(2048)
        except OSError:
            return
        self._heard()


class Sender:
    """One track on its way to one client: sequence numbers, time stamps and sender reports."""

    def __init__(self, track: Track, carrier: Carrier, mangle: Callable[[list[bytes]], list[bytes]]) -> None:
        self.track, self.carrier, self._mangle = track, carrier, mangle
        self._source = secrets.randbits(32)
        self.sequence = secrets.randbits(16)
        self._offset = secrets.randbits(32)
        self._packets = self._octets = 0
        self._report_due = 0
        self._waiting = self._restart = False
        self.wait_for_key()

    def wait_for_key(self) -> None:
        """Send nothing before the next key picture."""
        self._waiting = True

    def restart_timestamps(self) -> None:
        """Let the next access unit carry time stamp 0."""
        self._restart = True

    def timestamp(self, ticks: int) -> int:
        """The RTP time stamp of an instant of the monotonic clock."""
        return (ticks * self.track.clock_rate // CLOCK + self._offset) & 0xFFFFFFFF

    def send(self, unit: AccessUnit) -> None:
        """Send one access unit, and a sender report when one is due."""
        if self.carrier.congested():
            self._waiting = True
        if (self._waiting and not unit.key) or self.carrier.congested():
            return
        self._waiting = False
        if self._restart:
            self._restart = False
            self._offset -= self.timestamp(unit.presentation)
            self._report_due = 0
        if unit.due >= self._report_due:
            self._report_due = unit.due + REPORT_PERIOD
            self.carrier.rtcp(self._report(unit.presentation))
        stamp, kind = self.timestamp(unit.presentation), self.track.payload_type
        last = len(unit.payloads) - 1
        packets = []
        for number, payload in enumerate(unit.payloads):
            # The marker ends a picture; sound would only mark the beginning of speech (RFC 3551 section 4.1).
            marker = 0x80 if number == last and self.track.kind == "video" else 0
            packets.append(_RTP.pack(0x80, marker | kind, self.sequence, stamp, self._source) + payload)
            self.sequence = (self.sequence + 1) & 0xFFFF
            self._octets += len(payload)
        self._packets += len(packets)
        self.carrier.rtp(self._mangle(packets))

    def miss(self, unit: AccessUnit) -> None:
        """Lose one access unit on the way: its sequence numbers will be missing."""
        if not self._waiting:
            self.sequence = (self.sequence + len(unit.payloads)) & 0xFFFF

    def goodbye(self) -> None:
        """Tell the client that the stream is over (RTCP BYE)."""
        self.carrier.rtcp(struct.pack("!BBHI", 0x81, 203, 1, self._source))

    def _report(self, instant: int) -> bytes:
        """Sender report for a monotonic instant, and source description (RFC 3550, 6.4.1 and 6.5)."""
        wall = time.time_ns() - (ticks_now() - instant) * 100_000 // 9
        seconds, nanoseconds = divmod(wall, 1_000_000_000)
        report = struct.pack(
            "!BBHIIIIII",
            0x80,
            200,
            6,
            self._source,
            (seconds + _NTP_EPOCH) & 0xFFFFFFFF,
            (nanoseconds << 32) // 1_000_000_000,
            self.timestamp(instant),
            self._packets & 0xFFFFFFFF,
            self._octets & 0xFFFFFFFF,
        )
        return report + struct.pack("!BBHIBB6s4x", 0x81, 202, 4, self._source, 1, 6, b"camera")


def _port_pair(host: str) -> tuple[socket.socket, socket.socket]:
    """Two UDP sockets on neighbouring ports, the first of them even (RFC 3550 section 11)."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for _ in range(100):
        first, second = socket.socket(family, socket.SOCK_DGRAM), socket.socket(family, socket.SOCK_DGRAM)
        try:
            first.bind((host, 0))
            port = first.getsockname()[1]
            if port % 2 == 0:
                second.bind((host, port + 1))
                first.setblocking(False)
                second.setblocking(False)
                return first, second
        except OSError:
            pass
        first.close()
        second.close()
    raise OSError("found no free pair of UDP ports")
