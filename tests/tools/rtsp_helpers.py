"""Clips and clients for the tests of the RTSP server: FFmpeg, and a plain socket that shows every packet."""

from __future__ import annotations

import contextlib
import itertools
import re
import socket
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

QUICK = {"analyzeduration": "100000", "fpsprobesize": "0"}


def make_clip(
    path: Path, codec: str = "h264", size: tuple[int, int] = (320, 240), frames: int = 15, b_frames: int = 0
) -> Path:
    """A clip of noise that moves, 25 pictures a second, a key picture every ten."""
    width, height = size
    ground = np.random.default_rng(1).integers(0, 128, (height, width, 3), np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264" if codec == "h264" else "libx265", rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = width, height, "yuv420p", 10
        stream.options = {"preset": "ultrafast", "crf": "20"}
        if codec == "h264":
            stream.options |= {"bf": str(b_frames)}
        else:
            stream.options |= {
                "x265-params": f"crf=20:log-level=error:bframes={b_frames}:keyint=10:pools=none"
            }
        for number in range(frames):
            picture = np.ascontiguousarray(np.roll(ground, 2 * number, axis=1))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


@contextlib.contextmanager
def ffmpeg(url: str, transport: str = "tcp", **options: str) -> Iterator[av.container.InputContainer]:
    """The stream as FFmpeg opens it."""
    with av.open(url, options=QUICK | {"rtsp_transport": transport} | options, timeout=5) as container:
        for stream in container.streams.video:
            stream.codec_context.thread_type = "NONE"
        yield container


def decode(url: str, count: int, transport: str = "tcp") -> list[av.VideoFrame]:
    """The first pictures of a stream, as FFmpeg decodes them."""
    frames = []
    with ffmpeg(url, transport) as container:
        for frame in container.decode(video=0):
            frames.append(frame)
            if len(frames) == count:
                break
    return frames


def steps(frames: list[av.VideoFrame]) -> set[int]:
    """The differences of neighbouring time stamps; the first picture of any server gets none from FFmpeg."""
    times = [frame.pts for frame in frames[1:]]
    return {after - before for before, after in itertools.pairwise(times)}


def wait_until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Return when the condition holds; fail when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the awaited state did not come"
        time.sleep(0.002)


@dataclass(frozen=True)
class Packet:
    """One RTP packet as it came."""

    channel: int
    marker: bool
    payload_type: int
    sequence: int
    timestamp: int
    source: int
    payload: bytes


@dataclass(frozen=True)
class Reply:
    """An answer to a request."""

    status: int
    headers: dict[str, str]
    body: str


class Probe:
    """A client over TCP that shows answers and packets as they come; no decoding."""

    def __init__(self, url: str) -> None:
        match = re.match(r"rtsp://([\d.]+):(\d+)", url)
        assert match
        self.url, self.session, self._cseq = url, "", 0
        self.socket = socket.create_connection((match[1], int(match[2])), timeout=5)
        self._stream = self.socket.makefile("rb")
        self.reports: list[bytes] = []

    def __enter__(self) -> Probe:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
        self.socket.close()

    def send(self, method: str, target: str = "", **headers: str) -> None:
        """Send a request."""
        self._cseq += 1
        lines = [f"{method} {target or self.url} RTSP/1.0", f"CSeq: {self._cseq}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if self.session and "Session" not in headers:
            lines.append(f"Session: {self.session}")
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())

    def ask(self, method: str, target: str = "", **headers: str) -> Reply:
        """Send a request and read its answer; packets before it are passed over."""
        self.send(method, target, **headers)
        while self._stream.peek(1)[:1] == b"$":
            self._frame()
        status = int(self._stream.readline().split()[1])
        fields = dict(
            line.split(": ", 1) for line in iter(lambda: self._stream.readline().decode().strip(), "")
        )
        assert fields["CSeq"] == str(self._cseq)
        body = self._stream.read(int(fields.get("Content-Length", 0))).decode()
        self.session = fields.get("Session", self.session).partition(";")[0]
        return Reply(status, fields, body)

    def play(self, tracks: int = 1) -> Probe:
        """Set up and play, interleaved."""
        for number in range(tracks):
            transport = f"RTP/AVP/TCP;unicast;interleaved={2 * number}-{2 * number + 1}"
            reply = self.ask("SETUP", f"{self.url}/trackID={number}", Transport=transport)
            assert (reply.status, reply.headers["Transport"]) == (200, transport)
        assert self.ask("PLAY").status == 200
        return self

    def packets(self, count: int) -> list[Packet]:
        """The next RTP packets; RTCP goes to `reports`. Raises EOFError where the server closes."""
        found: list[Packet] = []
        while len(found) < count:
            channel, data = self._frame()
            if channel % 2:
                self.reports.append(data)
                continue
            first, second, sequence, timestamp, source = struct.unpack("!BBHII", data[:12])
            assert first == 0x80
            found.append(Packet(channel, second > 127, second & 127, sequence, timestamp, source, data[12:]))
        return found

    def pictures(self, count: int) -> list[list[Packet]]:
        """The packets of the next pictures, each up to its marker."""
        found: list[list[Packet]] = [[]]
        while len(found) <= count:
            (packet,) = self.packets(1)
            found[-1].append(packet)
            if packet.marker:
                found.append([])
        return found[:count]

    def _frame(self) -> tuple[int, bytes]:
        head = self._stream.read(4)
        if len(head) < 4:
            raise EOFError
        mark, channel, size = struct.unpack("!cBH", head)
        assert mark == b"$", f"expected a packet, found {head!r}"
        return channel, self._stream.read(size)
