"""What the tests of events share: faces on frames, settings, and receivers that are really there."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from engines.masks.state import MaskState
from stream.config import Settings, parse
from stream.messages import Candidate, FaceLook, FrameReady, FrameResult, TrackedFace

NOON_NS = 1_795_262_400_000_000_000  # 2026-11-21 12:00 UTC, a Saturday
MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


def eventually(condition: Callable[[], bool], what: str, seconds: float = 15.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.01)


def face(
    track: int = 1,
    person: str | None = None,
    *,
    decision: str = "undecided",
    probability: float | None = None,
    mask: MaskState | None = MaskState.NONE,
    box: tuple[float, float, float, float] = (40.0, 20.0, 60.0, 50.0),
) -> TrackedFace:
    """A face on a picture of 100 x 100; with a person, one that was decided on."""
    named = () if person is None else (Candidate(person, probability or 0.97, {"raw": 0.61}, as_seen=0.95),)
    return TrackedFace(
        track=track,
        box=box,
        landmarks=((45.0, 30.0), (55.0, 30.0), (50.0, 36.0), (46.0, 42.0), (54.0, 42.0)),
        score=0.99,
        mask=mask,
        mask_probability=0.9,
        decision="person" if person else decision,  # type: ignore[arg-type]
        person=person,
        probability=(probability or 0.97) if person else probability,
        candidates=named,
        unfit=None,
    )


def seen(
    *faces: TrackedFace, at_s: float = 0.0, camera: str = "gate", epoch: int = 7, wall_ns: int | None = None
) -> FrameResult:
    """A frame at a media time; the machine's clocks show the same time further on."""
    now = int(at_s * 1e9)
    frame = FrameReady(
        camera=camera,
        sequence=int(at_s * 25) + 1,
        ring="ring",
        slot=0,
        generation=1,
        width=100,
        height=100,
        media_ns=now,
        wall_ns=time.time_ns() if wall_ns is None else wall_ns,
        received_ns=10**15 + now,
        captured_ns=10**15 + now,
    )
    return FrameResult(frame=frame, faces=faces, stamps_ns={}, skipped={}, epoch=epoch, step=1, gallery=3)


def picture(track: int = 1, camera: str = "gate", jpeg: bytes = b"\xff\xd8 a face") -> FaceLook:
    return FaceLook(
        camera=camera,
        track=track,
        sequence=1,
        media_ns=0,
        wall_ns=NOON_NS,
        quality=0.8,
        masked=False,
        picture_jpeg=jpeg,
        embedding=b"",
        space="",
    )


def settings_with(folder: Path, **events: Any) -> Settings:
    cameras = [{"name": name, "url": f"rtsp://camera/{name}"} for name in ("gate", "yard")]
    return parse({"cameras": cameras, "recording": {"folder": str(folder)}, "events": events}, "test")


class Receiver:
    """An HTTP server that keeps what it gets. answers: what it says, one after the other; the last one stays."""

    def __init__(self, *answers: int | tuple[int, dict[str, str]] | float, port: int = 0) -> None:
        """A float is a time for which it says nothing, in seconds, before 200."""
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.taken: list[dict[str, Any]] = []
        self._answers = list(answers) or [200]
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                owner._post(self)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                pass  # a sender that went away meanwhile

        self._server = Server(("127.0.0.1", port), Handler)
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def _post(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["Content-Length"]))
        self.got.append((dict(request.headers), body))
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, float):
            time.sleep(answer)
            answer = 200
        status, headers = answer if isinstance(answer, tuple) else (answer, {})
        if status == 200:
            self.taken.append(json.loads(body))
        request.send_response(status)
        for name, value in {"Content-Length": "0", **headers}.items():
            request.send_header(name, value)
        request.end_headers()

    @property
    def tracks(self) -> list[int]:
        """The tracks of the events that it took, in order."""
        return [event["sighting"]["track"] for event in self.taken]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def receiver(*answers: int | tuple[int, dict[str, str]] | float, port: int = 0) -> Iterator[Receiver]:
    it = Receiver(*answers, port=port)
    try:
        yield it
    finally:
        it.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


class Broker:
    """A mosquitto of the test's own, which writes down at once what it must not forget."""

    def __init__(self, folder: Path, *lines: str) -> None:
        self.port = free_port()
        folder.mkdir(parents=True, exist_ok=True)
        self._config = folder / "mosquitto.conf"
        listener = f"listener {self.port} 127.0.0.1"
        keeping = (
            f"persistence true\npersistence_location {folder}/\nautosave_on_changes true\nautosave_interval 1"
        )
        anonymous = "" if "allow_anonymous false" in lines else "allow_anonymous true"
        user = "user root"
        self._config.write_text("\n".join([listener, keeping, anonymous, user, *lines]) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert MOSQUITTO is not None
        self._process = subprocess.Popen(
            [MOSQUITTO, "-c", str(self._config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        eventually(self._listens, "the broker listens")

    def kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 0.2).close()
        except OSError:
            return False
        return True


class Subscriber:
    """Takes what a broker has, in a session that it remembers."""

    def __init__(self, port: int, topic: str, **options: Any) -> None:
        self.got: list[dict[str, Any]] = []
        self.subscribed = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id="subscriber", clean_session=False)
        self._client.reconnect_delay_set(0.05, 0.2)  # type: ignore[no-untyped-call]
        if "password" in options:
            self._client.username_pw_set(options["username"], options["password"])
        if "context" in options:
            self._client.tls_set_context(options["context"])
        self._client.on_connect = lambda client, *_: client.subscribe(topic, qos=1)
        self._client.on_subscribe = lambda *_: self.subscribed.set()
        self._client.on_message = lambda client, data, message: self.got.append(json.loads(message.payload))
        self._client.connect("localhost", port)
        self._client.loop_start()
        assert self.subscribed.wait(10), "the subscriber did not get through"

    @property
    def tracks(self) -> list[int]:
        return [event["sighting"]["track"] for event in self.got]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
