"""The pair of UDP ports on which a camera's RTP and RTCP packets arrive."""

from __future__ import annotations

import secrets
import socket
import struct
import time
from contextlib import suppress

from stream.capture.source import SourceLost

_BUFFER = 4 << 20  # a key picture arrives in one burst; the system may allow less
_ATTEMPTS = 50


class UdpPair:
    """Two neighbouring ports, the first of them even (RFC 3550 section 11). Raises SourceLost when none are free.

    Packets from other hosts than the camera's are dropped.
    """

    def __init__(self, own: str, peer: str, family: int) -> None:
        self._peers = {peer}
        self._targets: list[tuple[str, int]] = []
        self._identity = secrets.randbits(32)
        self.sockets = _pair(own, family)
        self.ports = tuple(s.getsockname()[1] for s in self.sockets)

    def expect(self, rtp_port: int, rtcp_port: int, source: str) -> None:
        """Packets will come from these ports; source: the sending host, if it is another one than the camera's."""
        peer = next(iter(self._peers))
        if source:
            self._peers.add(source)
        self._targets = [(peer, rtp_port), (peer, rtcp_port)]
        self.keep_open()

    def keep_open(self) -> None:
        """Send something, so that firewalls on the way keep the ports open and the camera sees a listener."""
        # An RTP packet without payload, and an RTCP receiver report about nobody (RFC 3550 sections 5.1, 6.4.2).
        empty = struct.pack("!BBHII", 0x80, 0, 0, 0, self._identity)
        report = struct.pack("!BBHI", 0x80, 201, 1, self._identity)
        for own, sign, target in zip(self.sockets, (empty, report), self._targets, strict=False):
            with suppress(OSError):  # cameras need not listen
                own.sendto(sign, target)

    def receive(self) -> list[tuple[bool, bytes, int]]:
        """All packets that wait: whether RTCP, the bytes, when it came (monotonic ns)."""
        found = []
        for is_control, own in enumerate(self.sockets):
            while True:
                try:
                    data, sender = own.recvfrom(65535)
                except (BlockingIOError, ConnectionRefusedError):
                    break
                if sender[0] in self._peers:
                    found.append((bool(is_control), data, time.monotonic_ns()))
        return found

    def close(self) -> None:
        """Give the ports back."""
        for own in self.sockets:
            own.close()


def _pair(host: str, family: int) -> tuple[socket.socket, socket.socket]:
    for _ in range(_ATTEMPTS):
        first, second = (socket.socket(family, socket.SOCK_DGRAM) for _ in range(2))
        try:
            first.bind((host, 0))
            port = first.getsockname()[1]
            if port % 2 == 0:
                second.bind((host, port + 1))
                first.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
                first.setblocking(False)
                second.setblocking(False)
                return first, second
        except OSError:
            pass
        first.close()
        second.close()
    raise SourceLost(f"no two neighbouring UDP ports are free on {host}")
