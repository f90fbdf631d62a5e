"""One RTSP connection (RFC 2326), plain or TLS: bytes in, replies and interleaved packets out."""

from __future__ import annotations

import errno
import queue
import re
import select
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from stream.capture.address import RtspAddress
from stream.capture.source import TICK_S, Alive, SourceError, SourceLost, SourceRefused, Stopped

_CHUNK = 256 << 10
_LARGEST_HEAD = 64 << 10
_LARGEST_BODY = 1 << 20
_LONGEST_START = 32
_START = re.compile(rb"RTSP/\d|[A-Z_]{3,20} rtsps?://|[A-Z_]{3,20} \* RTSP/")

_BEGUN = re.compile(rb"[A-Z_]{1,20}(/| [^\r\n]*)?")  # what may become a start


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer. Header names are in lower case; a header may come several times."""

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str:
        """The first header of that name, or ""."""
        return next((value for key, value in self.headers if key == name), "")

    def all(self, name: str) -> list[str]:
        """All headers of that name."""
        return [value for key, value in self.headers if key == name]


@dataclass(frozen=True, slots=True)
class ServerRequest:
    """Something the server asks of us: to be answered "not implemented"."""

    sequence: str


@dataclass(frozen=True, slots=True)
class Interleaved:
    """A packet that came in the connection."""

    channel: int
    data: bytes
    received_ns: int


Received = Reply | ServerRequest | Interleaved


class Connection:
    """Connects on construction. Raises SourceLost, SourceRefused, Stopped."""

    def __init__(self, address: RtspAddress, timeout_s: float, alive: Alive) -> None:
        self.place = _place(address)
        self._alive = alive
        self._buffer = bytearray()
        self.channels: tuple[int, ...] = ()  # on which packets are expected
        self.junk = 0  # bytes that were neither a message nor a packet
        self._understood = False  # a message has come
        self._socket: socket.socket = self._connect(address, timeout_s)
        self.peer: str = self._socket.getpeername()[0]
        self.own: str = self._socket.getsockname()[0]
        self.family = self._socket.family

    def fileno(self) -> int:
        """For polling."""
        return self._socket.fileno()

    def send(self, data: bytes, timeout_s: float) -> None:
        """Send all of it."""
        view, deadline = memoryview(data), time.monotonic() + timeout_s
        try:
            while view:
                try:
                    view = view[self._socket.send(view) :]
                except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                    self._wait(select.POLLOUT, deadline, f"{self.place} takes no requests")
        except OSError as error:
            raise self._gone(error) from None

    def receive(self) -> list[Received]:
        """What has arrived, without waiting."""
        ended = False
        try:
            while True:
                chunk = self._socket.recv(_CHUNK)
                if not chunk:
                    ended = True
                    break
                self._buffer += chunk
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except ssl.SSLEOFError:
            ended = True
        except OSError as error:
            raise self._gone(error) from None
        found = list(self._parse(time.monotonic_ns()))
        if ended and not found:
            raise self.silence(f"{self.place} closed the connection")
        return found

    def silence(self, otherwise: str) -> SourceError:
        """The error of a server that says nothing more: perhaps it never spoke RTSP."""
        if self.junk and not self._understood:
            return SourceRefused(f"{self.place} does not speak RTSP: is the port right?")
        return SourceLost(otherwise)

    def close(self) -> None:
        """Close it."""
        self._socket.close()

    # Connecting

    def _connect(self, address: RtspAddress, timeout_s: float) -> socket.socket:
        deadline = time.monotonic() + timeout_s
        found = self._resolve(address, deadline)
        problem: SourceLost = SourceLost(f"{self.place} cannot be reached")
        for family, kind, protocol, _, place in found:
            own = socket.socket(family, kind, protocol)
            try:
                own.setblocking(False)
                self._socket = own
                self._establish(own, place, deadline, timeout_s)
                own.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if address.secure:
                    return self._secure(own, address.host, deadline, timeout_s)
                return own
            except SourceLost as error:
                own.close()
                problem = error
            except BaseException:
                own.close()
                raise
        raise problem

    def _resolve(self, address: RtspAddress, deadline: float) -> list[Any]:
        """The addresses of a host name, asked for in a thread: a name server that is away takes its time."""
        answers: queue.SimpleQueue[list[Any] | None] = queue.SimpleQueue()

        def ask() -> None:
            try:
                answers.put(socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM))
            except (OSError, UnicodeError):
                answers.put(None)

        threading.Thread(target=ask, daemon=True).start()
        while time.monotonic() < deadline:
            if not self._alive():
                raise Stopped
            try:
                found = answers.get(timeout=TICK_S)
            except queue.Empty:
                continue
            if not found:
                raise SourceLost(f"the host name {address.host!r} is not known")
            return found
        raise SourceLost(f"the host name {address.host!r} could not be looked up in time")

    def _establish(self, own: socket.socket, place: Any, deadline: float, timeout_s: float) -> None:
        code = own.connect_ex(place)
        if code == errno.EINPROGRESS:
            silent = (
                f"{self.place} did not answer within {timeout_s:g} s: is the camera on, and in this network?"
            )
            self._wait(select.POLLOUT, deadline, silent)
            code = own.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code == errno.ECONNREFUSED:
            raise SourceLost(f"{self.place} refuses connections: is the camera on, and is the port right?")
        if code:
            raise SourceLost(f"{self.place} cannot be reached: {errno.errorcode.get(code, code)}")

    def _secure(self, own: socket.socket, host: str, deadline: float, timeout_s: float) -> ssl.SSLSocket:
        secured = ssl.create_default_context().wrap_socket(
            own, server_hostname=host, do_handshake_on_connect=False
        )
        self._socket = secured
        silent = f"{self.place} did not answer the TLS handshake within {timeout_s:g} s"
        while True:
            try:
                secured.do_handshake()
                return secured
            except ssl.SSLWantReadError:
                self._wait(select.POLLIN, deadline, silent)
            except ssl.SSLWantWriteError:
                self._wait(select.POLLOUT, deadline, silent)
            except ssl.SSLCertVerificationError as error:
                secured.close()
                raise SourceRefused(
                    f"{self.place} is not trusted: its certificate fails the check ({error.verify_message})"
                ) from None
            except ssl.SSLError:
                secured.close()
                raise SourceRefused(
                    f"{self.place} does not speak TLS: should the address be rtsp://?"
                ) from None
            except OSError as error:
                secured.close()
                raise self._gone(error) from None

    def _wait(self, what: int, deadline: float, silent: str) -> None:
        poller = select.poll()
        poller.register(self._socket, what)
        while not poller.poll(TICK_S * 1000):
            if not self._alive():
                raise Stopped
            if time.monotonic() > deadline:
                raise SourceLost(silent)

    def _gone(self, error: OSError) -> SourceLost:
        name = errno.errorcode.get(error.errno or 0, type(error).__name__)
        return SourceLost(f"{self.place} closed the connection ({name})")

    # Parsing

    def _parse(self, now_ns: int) -> Iterator[Received]:
        """Take whole messages and packets out of the buffer; bytes that are neither are passed over."""
        start = 0
        try:
            while (taken := self._next(start, now_ns)) is not None:
                item, start = taken
                if item is not None:
                    yield item
        finally:
            del self._buffer[:start]

    def _next(self, start: int, now_ns: int) -> tuple[Received | None, int] | None:
        """What begins at `start`, and where it ends; None when more bytes are needed."""
        data = self._buffer
        if len(data) - start < (5 if data[start : start + 1] == b"$" else 1):
            return None
        if data[start] == 0x24:  # "$"
            size = data[start + 2] << 8 | data[start + 3]
            if data[start + 1] in self.channels and data[start + 4] >> 6 == 2 and size >= 8:
                end = start + 4 + size
                if len(data) < end:
                    return None
                return Interleaved(data[start + 1], bytes(data[start + 4 : end]), now_ns), end
        elif data[start] in b"\r\n":
            return None, start + 1
        elif _START.match(data, start):
            return self._message(start)
        elif len(data) - start < _LONGEST_START and _BEGUN.fullmatch(data, start):
            return None  # perhaps the beginning of a message
        after = min(
            (place for place in (data.find(b"$", start + 1), data.find(b"RTSP/1", start + 1)) if place >= 0),
            default=len(data) - 5,
        )
        after = max(after, start + 1)
        self.junk += after - start
        return None, after

    def _message(self, start: int) -> tuple[Received | None, int] | None:
        end = self._buffer.find(b"\r\n\r\n", start, start + _LARGEST_HEAD)
        if end < 0:
            if len(self._buffer) - start >= _LARGEST_HEAD:
                raise SourceLost(f"{self.place} sent a message without end")
            return None
        first, *lines = self._buffer[start:end].decode("utf-8", "replace").split("\r\n")
        headers = tuple(
            (name.strip().lower(), value.strip())
            for name, _, value in (line.partition(":") for line in lines)
        )
        length = next((value for name, value in headers if name == "content-length"), "0")
        size = int(length) if re.fullmatch(r"\d{1,9}", length) else 0
        if size > _LARGEST_BODY:
            raise SourceLost(f"{self.place} announced a message of {size} bytes")
        after = end + 4 + size
        if len(self._buffer) < after:
            return None
        status = re.match(r"RTSP/\d\.\d (\d{3}) ?(.*)", first)
        if not status:
            sequence = next((value for name, value in headers if name == "cseq"), "")
            return ServerRequest(sequence), after
        self._understood = True
        body = bytes(self._buffer[end + 4 : after])
        return Reply(int(status.group(1)), status.group(2), headers, body), after


def _place(address: RtspAddress) -> str:
    host = f"[{address.host}]" if ":" in address.host else address.host
    return f"{host}:{address.port}"
