"""An RTSP session (RFC 2326): from an address to RTP packets, over the connection itself or over UDP."""

from __future__ import annotations

import re
import select
import time
from urllib.parse import quote

from stream.capture.address import RtspAddress, redact
from stream.capture.auth import Authorization
from stream.capture.nal import SYNTAXES
from stream.capture.rtsp_connection import Connection, Interleaved, Reply, ServerRequest
from stream.capture.sdp import Format, Media, parse
from stream.capture.source import (
    TICK_S,
    Alive,
    BeyondReader,
    NoSuchStream,
    SourceError,
    SourceLost,
    SourceRefused,
    Stopped,
)
from stream.capture.udp import UdpPair

_GOODBYE_S = 0.2
_DEFAULT_SESSION_S = 60
_URL_CHARACTERS = "%/:=&?~#+!$,;'@()*[]"  # not to be escaped

Arrival = tuple[bool, bytes, int]
"""A packet: whether it is RTCP, its bytes, when it came (monotonic ns)."""


class RtspSession:
    """A camera's video stream, being played.

    transport: "tcp" or "udp". Raises SourceLost, SourceRefused and their kinds, Stopped.
    """

    def __init__(self, address: RtspAddress, transport: str, timeout_s: float, alive: Alive) -> None:
        self._address, self._timeout_s, self._alive = address, timeout_s, alive
        self._connection = Connection(address, timeout_s, alive)
        self.place = self._connection.place
        self._authorization = Authorization(address.user, address.password)
        self._early: list[Arrival] = []
        self._udp: UdpPair | None = None
        self._sequence = 0
        self._session = ""
        self._keep_alive = "OPTIONS"
        self._period_s: float = _DEFAULT_SESSION_S / 2
        self._renewed = False
        try:
            self.format = self._play(transport)
        except BaseException:
            self.close()
            raise
        self._next_s = time.monotonic() + self._period_s
        self._poller = select.poll()
        for own in (self._connection, *(self._udp.sockets if self._udp else ())):
            self._poller.register(own, select.POLLIN)

    def receive(self, wait_s: float) -> list[Arrival]:
        """Packets that have come, after waiting up to wait_s for the first. Raises SourceLost."""
        if self._early:
            early, self._early = self._early, []
            return early
        self._keep_session()
        found: list[Arrival] = []
        if not self._poller.poll(max(0.0, wait_s) * 1000):
            return found
        for item in self._connection.receive():
            if isinstance(item, Interleaved):
                found.append((item.channel != self._connection.channels[0], item.data, item.received_ns))
            elif isinstance(item, ServerRequest):
                self._decline(item)
            else:
                self._heed(item)
        if self._udp:
            found += self._udp.receive()
        return found

    def close(self) -> None:
        """Say goodbye, wait a moment for the answer, and close."""
        session, self._session = self._session, ""
        if session:
            deadline = time.monotonic() + _GOODBYE_S
            try:
                self._send("TEARDOWN", self._base, {"Session": session})
                poller = select.poll()
                poller.register(self._connection, select.POLLIN)
                while (left := deadline - time.monotonic()) > 0 and poller.poll(left * 1000):
                    if any(isinstance(item, Reply) for item in self._connection.receive()):
                        break
            except (SourceError, Stopped, OSError, ValueError):
                pass  # it is gone already
        self._connection.close()
        if self._udp:
            self._udp.close()

    # The handshake

    def _play(self, transport: str) -> Format:
        url = quote(self._address.without_credentials, safe=_URL_CHARACTERS)
        self._base = url
        options = self._request("OPTIONS", url, must_succeed=False)
        if "GET_PARAMETER" in options.header("public").upper():
            self._keep_alive = "GET_PARAMETER"
        described = self._request("DESCRIBE", url, {"Accept": "application/sdp"})
        description = parse(described.body.decode("utf-8", "replace"))
        base = described.header("content-base") or described.header("content-location") or url
        media, chosen = self._choose(description.media)
        self._base = resolve(base, description.control)
        self._set_up(resolve(base, media.control), transport)
        self._request("PLAY", self._base, {"Session": self._session, "Range": "npt=0.000-"})
        return chosen

    def _choose(self, offered: tuple[Media, ...]) -> tuple[Media, Format]:
        """The first video track that we can read."""
        where = f"{self.place}{_shown(self._address.path)}"
        videos = [media for media in offered if media.kind == "video"]
        for media in videos:
            for candidate in media.formats:
                if candidate.codec in SYNTAXES and _plain(candidate):
                    return media, candidate
        if videos:
            codecs = ", ".join(f.codec for media in videos for f in media.formats) or "an unknown format"
            raise BeyondReader(f"{where} carries {codecs}: H.264 or H.265 is needed")
        if offered:
            codecs = ", ".join(f.codec for media in offered for f in media.formats) or offered[0].kind
            raise SourceRefused(f"{where} carries no picture, only {codecs}: is it a microphone?")
        raise SourceRefused(f"{where} describes no stream at all")

    def _set_up(self, url: str, transport: str) -> None:
        if transport == "udp":
            self._udp = UdpPair(self._connection.own, self._connection.peer, self._connection.family)
            offer = f"RTP/AVP;unicast;client_port={self._udp.ports[0]}-{self._udp.ports[1]}"
        else:
            offer = "RTP/AVP/TCP;unicast;interleaved=0-1"
        reply = self._request("SETUP", url, {"Transport": offer})
        self._session, _, rest = reply.header("session").partition(";")
        limit = re.search(r"timeout\s*=\s*(\d+)", rest)
        self._period_s = max(1, int(limit.group(1)) if limit else _DEFAULT_SESSION_S) / 2
        agreed = reply.header("transport")
        if self._udp:
            ports = re.search(r"server_port=(\d+)(?:-(\d+))?", agreed)
            source = re.search(r"source=([^;,\s]+)", agreed)
            if ports:
                first = int(ports.group(1))
                self._udp.expect(first, int(ports.group(2) or first + 1), source.group(1) if source else "")
        else:
            channels = re.search(r"interleaved=(\d+)(?:-(\d+))?", agreed)
            first = int(channels.group(1)) if channels else 0
            self._connection.channels = (first, int(channels.group(2) or first + 1) if channels else 1)

    # Requests

    def _request(
        self, method: str, url: str, headers: dict[str, str] | None = None, must_succeed: bool = True
    ) -> Reply:
        """Ask and await the answer, with the password if it is demanded. Raises what the status means."""
        reply = self._ask(method, url, headers or {})
        for attempt in range(3):
            if reply.status != 401:
                break
            if not self._address.user:
                raise SourceRefused(
                    f"{self.place} asks for a user name and a password: the address holds none"
                )
            challenge = self._authorization.accept(reply.all("www-authenticate"))
            if challenge is None:
                raise SourceRefused(
                    f"{self.place} demands a way of signing in that is neither Basic nor Digest"
                )
            if attempt and not challenge.stale:
                break  # it was a fresh nonce, so the password is wrong; cameras lock users out who go on trying
            reply = self._ask(method, url, headers or {})
        if reply.status == 200 or (reply.status != 401 and not must_succeed):
            return reply
        raise self._meaning(reply, method)

    def _ask(self, method: str, url: str, headers: dict[str, str]) -> Reply:
        number = self._send(method, url, headers)
        poller = select.poll()
        poller.register(self._connection, select.POLLIN)
        deadline = time.monotonic() + self._timeout_s
        answer: Reply | None = None
        while answer is None:
            if poller.poll(TICK_S * 1000):
                for item in self._connection.receive():
                    if isinstance(item, Interleaved):
                        is_control = item.channel != self._connection.channels[0]
                        self._early.append((is_control, item.data, item.received_ns))
                    elif isinstance(item, ServerRequest):
                        self._decline(item)
                    elif item.header("cseq") in ("", str(number)):
                        answer = item
            if not self._alive():
                raise Stopped
            if answer is None and time.monotonic() > deadline:
                limit = f"{self._timeout_s:g} s"
                raise self._connection.silence(
                    f"{self.place} accepted the connection but did not answer {method} within {limit}"
                )
        return answer

    def _send(self, method: str, url: str, headers: dict[str, str]) -> int:
        self._sequence += 1
        lines = [f"{method} {url} RTSP/1.0", f"CSeq: {self._sequence}", "User-Agent: Unvizard"]
        if authorization := self._authorization.header(method, url):
            lines.append(f"Authorization: {authorization}")
        lines += [f"{name}: {value}" for name, value in headers.items() if value]
        self._connection.send("\r\n".join([*lines, "", ""]).encode(), self._timeout_s)
        return self._sequence

    def _meaning(self, reply: Reply, method: str) -> SourceError:
        """The error that a status stands for."""
        path = _shown(self._address.path)
        said = f"{reply.status} {reply.reason}".strip()
        match reply.status:
            case 401:
                return SourceRefused(
                    f"{self.place} refuses user {self._address.user!r}: the user name or the password is wrong"
                )
            case 403:
                who = f" as user {self._address.user!r}" if self._address.user else ""
                return SourceRefused(f"{self.place} forbids watching {path}{who}")
            case 404:
                return NoSuchStream(f"{self.place} has no stream at {path}: is the path right?")
            case 461:
                other = "tcp" if self._udp else "udp"
                return SourceRefused(
                    f"{self.place} does not send over {'UDP' if self._udp else 'TCP'}: set transport to {other}"
                )
            case status if 300 <= status < 400:
                target = redact(reply.header("location")) or "another place"
                return SourceRefused(
                    f"{self.place} says that {path} has moved to {target}: put that into the address"
                )
            case status if status >= 500 or status in (408, 453, 454):
                return SourceLost(f"{self.place} cannot serve {path} now: it answered {method} with {said}")
        return SourceRefused(f"{self.place} refused {path}: it answered {method} with {said}")

    # While it plays

    def _keep_session(self) -> None:
        now = time.monotonic()
        if now >= self._next_s:
            self._next_s = now + self._period_s
            self._renewed = False
            self._send(self._keep_alive, self._base, {"Session": self._session})
            if self._udp:
                self._udp.keep_open()

    def _heed(self, reply: Reply) -> None:
        """An answer to a request that keeps the session."""
        if (
            reply.status == 401
            and not self._renewed
            and self._authorization.accept(reply.all("www-authenticate"))
        ):
            self._renewed = True  # the nonce was outdated: once more with the new one
            self._send(self._keep_alive, self._base, {"Session": self._session})
        elif reply.status in (405, 451, 455, 501, 551):
            self._keep_alive = "OPTIONS"
        elif reply.status == 454:
            raise SourceLost(f"{self.place} has ended the session")

    def _decline(self, request: ServerRequest) -> None:
        answer = f"RTSP/1.0 501 Not Implemented\r\nCSeq: {request.sequence}\r\n\r\n"
        self._connection.send(answer.encode(), self._timeout_s)


def resolve(base: str, control: str) -> str:
    """The address of a track. Cameras expect their control words to be appended to the base, after its query too."""
    if control in ("", "*"):
        return base
    if re.match(r"(?i)rtsps?://", control):
        return control
    return base.rstrip("/") + "/" + control.lstrip("/")


def _shown(path: str) -> str:
    """A path for people: queries hold passwords at times."""
    return redact(path.partition("?")[0]) or "/"


def _plain(candidate: Format) -> bool:
    """Whether packets come in decoding order: interleaved mode (RFC 6184) and DON (RFC 7798) are not read here."""
    given = candidate.parameters
    return given.get("packetization-mode") != "2" and given.get("sprop-max-don-diff", "0") == "0"
