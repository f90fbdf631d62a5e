"""One RTSP connection (RFC 2326): requests in, answers out, a session of at most one mount."""

from __future__ import annotations

import asyncio
import re
import secrets
import socket
import struct
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from tools.rtsp.authentication import Guard
from tools.rtsp.mount import Mount
from tools.rtsp.sending import Carrier, Interleaved, Sender, Udp
from tools.rtsp.sources import ticks_now

REASONS = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    453: "Not Enough Bandwidth",
    454: "Session Not Found",
    455: "Method Not Valid in This State",
    459: "Aggregate Operation Not Allowed",
    461: "Unsupported Transport",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
    551: "Option not supported",
}
METHODS = ("OPTIONS", "DESCRIBE", "SETUP", "PLAY", "PAUSE", "GET_PARAMETER", "SET_PARAMETER", "TEARDOWN")


class State(StrEnum):
    """Where a session stands (RFC 2326 appendix A.2)."""

    INIT = "init"
    READY = "ready"
    PLAYING = "playing"


NEEDS_SESSION = {"PLAY", "PAUSE", "TEARDOWN"}


class RtspError(Exception):
    """A request that is answered with an error status."""

    def __init__(self, status: int, headers: dict[str, str] | None = None) -> None:
        super().__init__(status)
        self.status, self.headers = status, headers or {}


@dataclass(frozen=True, slots=True)
class Request:
    """One request; header names are in lower case."""

    method: str
    target: str
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Handled:
    """What a test may want to know about a request: its target never holds a password."""

    method: str
    target: str
    status: int


class House(Protocol):
    """What a connection needs of its server."""

    session_timeout: float

    def mount(self, target: str) -> Mount | None:
        """The mount that an address names."""
        ...

    def guard(self) -> Guard | None:
        """The check for a new connection, if there is one."""
        ...

    def handled(self, entry: Handled) -> None:
        """Note an answered request."""
        ...


class Connection:
    """A client."""

    def __init__(self, house: House, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._house, self._reader, self._writer = house, reader, writer
        self.guard = house.guard()
        self.senders: dict[int, Sender] = {}
        self._mount: Mount | None = None
        self._state = State.INIT
        self._session = ""
        self._loop = asyncio.get_running_loop()
        self._heard = self._loop.time()

    async def serve(self) -> None:
        """Answer requests until the client leaves or falls silent for longer than the session's time-out."""
        watchdog = asyncio.create_task(self._watch())
        try:
            while (request := await self._request()) is not None:
                self._answer(request)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # the client has gone, or speaks something else
        finally:
            watchdog.cancel()
            self._close_session()
            self._writer.close()

    def drop(self, reset: bool = False) -> None:
        """Close the connection without a word; reset: with a TCP RST."""
        if reset:
            own: socket.socket = self._writer.get_extra_info("socket")
            own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._close_session()
        self._writer.transport.abort()

    def close(self) -> None:
        """Close the connection once what was written has gone."""
        self._close_session()
        self._writer.close()

    def write(self, data: bytes) -> None:
        """Write bytes as they are, if media travels in this connection."""
        if any(isinstance(sender.carrier, Interleaved) for sender in self.senders.values()):
            self._writer.write(data)

    async def _watch(self) -> None:
        while (left := self._heard + self._house.session_timeout - self._loop.time()) > 0:
            await asyncio.sleep(left)
        self.drop()

    def _listen(self) -> None:
        self._heard = self._loop.time()

    async def _request(self) -> Request | None:
        """The next request; interleaved packets before it only show that the client is alive."""
        while True:
            first = await self._reader.read(1)
            self._listen()
            if first == b"$":
                _, size = struct.unpack("!BH", await self._reader.readexactly(3))
                await self._reader.readexactly(size)
            elif first not in (b"\r", b"\n"):
                break
        if not first:
            return None
        head = (first + await self._reader.readuntil(b"\r\n\r\n")).decode("utf-8", "replace")
        start, *lines = head.rstrip().split("\r\n")
        headers = {
            name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
        }
        length = headers.get("content-length", "0")
        await self._reader.readexactly(int(length) if length.isdecimal() else 0)
        method, _, rest = start.partition(" ")
        return Request(method, rest.rpartition(" ")[0] if rest.endswith("RTSP/1.0") else "", headers)

    def _answer(self, request: Request) -> None:
        mount = self._house.mount(request.target)
        if mount is not None and mount.faults.silent:
            return
        headers: dict[str, str] = {}
        body = b""
        try:
            status = 200
            headers, body = self._handle(request, mount)
        except RtspError as error:
            status, headers = error.status, error.headers
        self._house.handled(Handled(request.method, _public(request.target), status))
        if self._session and status == 200 and request.method != "TEARDOWN":
            headers.setdefault("Session", self._session)
        if body:
            headers["Content-Length"] = str(len(body))
        lines = [f"RTSP/1.0 {status} {REASONS.get(status, 'Error')}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if sequence := request.headers.get("cseq", ""):
            lines.insert(1, f"CSeq: {sequence}")
        self._writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        if request.method == "PLAY" and status == 200 and mount is not None:
            mount.play(self)  # only now: the first packet must follow the answer
        if request.method == "TEARDOWN" and status == 200:
            self._close_session()

    def _handle(self, request: Request, mount: Mount | None) -> tuple[dict[str, str], bytes]:
        if not request.target or "cseq" not in request.headers:
            raise RtspError(400)
        if request.method not in METHODS:
            raise RtspError(501)
        if request.method == "OPTIONS":
            return {"Public": ", ".join(METHODS)}, b""
        if "require" in request.headers:
            raise RtspError(551, {"Unsupported": request.headers["require"]})
        authorization = request.headers.get("authorization")
        if self.guard is not None and not self.guard.admits(request.method, request.target, authorization):
            raise RtspError(401, {"WWW-Authenticate": self.guard.challenge(authorization)})
        if mount is None:
            raise RtspError(404)
        if (forced := mount.faults.status(request.method)) is not None:
            raise RtspError(forced)
        given = request.headers.get("session", "").partition(";")[0].strip()
        if (given or request.method in NEEDS_SESSION) and given != self._session.partition(";")[0]:
            raise RtspError(454)
        if request.method in NEEDS_SESSION and self._state is State.INIT:
            raise RtspError(454 if not given else 455)
        match request.method:
            case "DESCRIBE":
                return {
                    "Content-Base": request.target.rstrip("/") + "/",
                    "Content-Type": "application/sdp",
                }, (mount.describe())
            case "SETUP":
                return self._setup(request, mount), b""
            case "PLAY":
                self._state = State.PLAYING
                return self._play(request), b""
            case "PAUSE":
                self._state = State.READY
                mount.pause(self)
        return {}, b""

    def _setup(self, request: Request, mount: Mount) -> dict[str, str]:
        if self._state is State.PLAYING or self._mount not in (None, mount):
            raise RtspError(455)
        track = re.search(r"/trackID=(\d+)/?$", request.target)
        number = int(track.group(1)) if track else 0
        if number >= len(mount.source.tracks):
            raise RtspError(404)
        if not track and len(mount.source.tracks) > 1:
            raise RtspError(459)
        carrier = self._carrier(request.headers.get("transport", ""), number)
        if number in self.senders:
            self.senders[number].carrier.close()
        self.senders[number] = Sender(mount.source.tracks[number], carrier, mount.faults.mangle)
        self._mount = mount
        mount.clients.add(self)
        self._state = State.READY
        self._session = (
            self._session or f"{secrets.token_hex(8)};timeout={max(1, round(self._house.session_timeout))}"
        )
        return {"Transport": carrier.answer()}

    def _carrier(self, offers: str, number: int) -> Carrier:
        """The first offered transport that we have."""
        for offer in offers.split(","):
            fields = [field.strip() for field in offer.split(";")]
            if "multicast" in fields:
                continue
            if fields[0] == "RTP/AVP/TCP":
                wanted = re.search(r"interleaved=(\d+)", offer)
                channel = int(wanted.group(1)) if wanted else 2 * number
                if channel < 255:
                    return Interleaved(self._writer.transport, channel)
            ports = re.search(r"client_port=(\d+)(?:-(\d+))?", offer)
            if fields[0] in ("RTP/AVP", "RTP/AVP/UDP") and ports:
                pair = int(ports.group(1)), int(ports.group(2) or int(ports.group(1)) + 1)
                if not 0 < min(pair) <= max(pair) < 65536:
                    continue
                # Always to the one who asks: "destination" would let anybody flood anybody.
                peer, own = (self._writer.get_extra_info(name)[0] for name in ("peername", "sockname"))
                return Udp(own, peer, pair, self._listen)
        raise RtspError(461)

    def _play(self, request: Request) -> dict[str, str]:
        base = re.sub(r"/trackID=\d+/?$", "", request.target).rstrip("/")
        now = ticks_now()
        tracks = [
            f"url={base}/trackID={number};seq={sender.sequence};rtptime={sender.timestamp(now)}"
            for number, sender in sorted(self.senders.items())
        ]
        return {"Range": "npt=now-", "RTP-Info": ",".join(tracks)}

    def _close_session(self) -> None:
        if self._mount is not None:
            self._mount.leave(self)
        for sender in self.senders.values():
            sender.carrier.close()
        self.senders = {}
        self._mount, self._state, self._session = None, State.INIT, ""


def _public(target: str) -> str:
    return re.sub(r"://[^/]*@", "://", target)
