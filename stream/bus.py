"""ZeroMQ between the stages of one machine: where each stage listens, and how messages are taken.

Three sockets, all PUSH -> PULL over ipc in the run's own directory (mode 0700):

    frames   capture   -> inference   descriptors; the reader drains them and keeps the newest of each camera
    results  everyone  -> overlay     results, cards and states; all are wanted
    archive  everyone  -> recorder    the cameras' own packets, results, looks and cards; there only while recording

Descriptors are small (pixels stay in the ring), so nothing is conflated or dropped inside ZeroMQ, where it
could not be counted: PUB/SUB with a high-water mark drops the newest message and keeps the stale ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import zmq

from stream.messages import AnyMessage, BadMessage, decode, encode

FRAMES = "frames"
RESULTS = "results"
ARCHIVE = "archive"
_HIGH_WATER = 1000


class Inbox:
    """The receiving end of one of the sockets; only one process can hold it."""

    def __init__(self, directory: Path, name: str) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.PULL)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.RCVHWM, _HIGH_WATER)
        self._socket.setsockopt(zmq.MAXMSGSIZE, 16 << 20)
        self._socket.bind(f"ipc://{directory / name}")
        self.rejected = 0  # parts that were no message of ours

    def drain(self, timeout_ms: int) -> Iterator[AnyMessage]:
        """All messages that wait, after waiting up to timeout_ms for the first one."""
        if not self._socket.poll(timeout_ms):
            return
        while True:
            try:
                parts = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            try:
                if len(parts) != 1:
                    raise BadMessage(f"a message must have one part, found {len(parts)}")
                yield decode(parts[0])
            except BadMessage:
                self.rejected += 1

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()
        self._context.term()


class Outbox:
    """The sending end. A peer that is away or hung never blocks the sender."""

    def __init__(self, directory: Path, name: str) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.PUSH)
        self._socket.setsockopt(zmq.LINGER, 500)
        self._socket.setsockopt(zmq.SNDHWM, _HIGH_WATER)
        self._socket.setsockopt(zmq.RECONNECT_IVL, 20)
        self._socket.setsockopt(zmq.RECONNECT_IVL_MAX, 200)
        self._socket.connect(f"ipc://{directory / name}")

    def send(self, message: AnyMessage) -> bool:
        """Send, or return False when the peer has not taken a thousand messages."""
        try:
            self._socket.send(encode(message), zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True

    def close(self) -> None:
        """Send what waits, for half a second at most, and close."""
        self._socket.close()
        self._context.term()  # this is what waits: without it, messages sent just before a process ends are lost
