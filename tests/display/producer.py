"""Stands in for capture and inference: real frames in a real ring, real messages over real sockets."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.masks.state import MaskState
from stream.bus import RESULTS, Outbox
from stream.changes import Changes
from stream.config import Settings, parse
from stream.display import stage
from stream.heartbeat import Heartbeat
from stream.messages import (
    CameraState,
    CameraStatus,
    Candidate,
    EngineInfo,
    FaceCard,
    FrameReady,
    FrameResult,
    InferenceStatus,
    TrackedFace,
)
from stream.ring import FrameRing
from stream.web import stage as web

FRAME_NS = 40_000_000


def face(
    track: int,
    box: tuple[float, float, float, float],
    decision: Literal["person", "nobody", "undecided"] = "undecided",
    person: str | None = None,
    probability: float | None = None,
    mask: MaskState | None = None,
    candidates: tuple[Candidate, ...] = (),
    unfit: str | None = None,
) -> TrackedFace:
    """A face in as few words as possible."""
    points = tuple((box[0] + i, box[1] + i) for i in range(5))
    return TrackedFace(track, box, points, 0.99, mask, 0.9, decision, person, probability, candidates, unfit)


def settings(*cameras: str, video: str = "auto") -> Settings:
    """Settings with these cameras and a page at any free port."""
    named = [{"name": name, "url": f"rtsp://127.0.0.1/{name}"} for name in cameras]
    display = {"port": 0, "video": video}
    return parse({"cameras": named, "display": display, "accounts": {"sign_in": False}}, "test")


class Producer:
    """One camera's frames with what was seen on them."""

    def __init__(
        self, directory: Path, camera: str, width: int = 640, height: int = 360, slots: int = 16
    ) -> None:
        self.camera, self.width, self.height = camera, width, height
        self.sequence = 0
        self.ring = FrameRing.create(directory / f"{camera}.ring", width, height, slots)
        self.outbox = Outbox(directory, RESULTS)
        self.grey = np.full((height, width, 3), 90, np.uint8)

    def frame(
        self,
        faces: Sequence[TrackedFace] = (),
        picture: NDArray[np.uint8] | None = None,
        skipped: Mapping[str, int] | None = None,
        send: bool = True,
    ) -> FrameResult:
        """Capture a frame (BGR), pretend to have annotated it, and send the result."""
        self.sequence += 1 + sum((skipped or {}).values())
        bgr = self.grey if picture is None else picture
        received = time.monotonic_ns()
        place = self.ring.write(np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420), np.uint8))
        ready = FrameReady(
            camera=self.camera,
            sequence=self.sequence,
            ring=self.ring.path.name,
            slot=place.slot,
            generation=place.generation,
            width=self.width,
            height=self.height,
            media_ns=self.sequence * FRAME_NS,
            wall_ns=time.time_ns(),
            received_ns=received,
            captured_ns=time.monotonic_ns(),
        )
        stamps = {}
        for step in ("wait", "detect", "mask", "unmask", "recognise"):
            stamps[step] = time.monotonic_ns()
        result = FrameResult(ready, tuple(faces), stamps, dict(skipped or {}))
        if send:
            assert self.outbox.send(result)
        return result

    def status(
        self,
        state: CameraState = CameraState.RUNNING,
        detail: str = "",
        captured: int | None = None,
        since_s: float = 0.0,
    ) -> None:
        """Say how the camera does."""
        self.outbox.send(
            CameraStatus(
                camera=self.camera,
                state=state,
                since_wall_ns=time.time_ns() - int(since_s * 1e9),
                detail=detail,
                captured=self.sequence if captured is None else captured,
                source=f"rtsp://127.0.0.1/{self.camera}",
                codec="h264",
                decoder="software",
                reader="rtp",
                width=self.width,
                height=self.height,
                fps=25.0,
            )
        )

    def engines(self, notes: tuple[str, ...] = ()) -> None:
        """Say which engines run."""
        info = EngineInfo(backend="openvino", precision="fp32", model_sha256="ab" * 32)
        networks = ("maskstate", "onet", "pnet", "rnet", "sface", "unmask")
        self.outbox.send(InferenceStatus(dict.fromkeys(networks, info), notes, 2, 0.41))

    def card(
        self, track: int, original: NDArray[np.uint8], reconstruction: NDArray[np.uint8], looks: int = 1
    ) -> None:
        """Send a card with two pictures (BGR)."""
        pngs = [cv2.imencode(".png", picture)[1].tobytes() for picture in (original, reconstruction)]
        self.outbox.send(FaceCard(self.camera, track, self.sequence, pngs[0], pngs[1], 0.34, looks))

    def refused_card(self, track: int, original: NDArray[np.uint8], reason: str) -> None:
        """Send a card of a face that cannot be reconstructed, with its picture (BGR)."""
        png = cv2.imencode(".png", original)[1].tobytes()
        self.outbox.send(FaceCard(self.camera, track, self.sequence, png, b"", 0.0, 0, reason))

    def close(self) -> None:
        """Let go of ring and socket."""
        self.outbox.close()
        self.ring.close()


@dataclass
class Stage:
    """An overlay and the pages before it, both in this process."""

    url: str = ""
    error: BaseException | None = None
    beats: int = 0
    first_pictures: int = 0
    up: threading.Event = field(default_factory=threading.Event)
    stop: threading.Event = field(default_factory=threading.Event)
    stop_pages: threading.Event = field(default_factory=threading.Event)
    threads: list[threading.Thread] = field(default_factory=list)

    def end(self) -> None:
        """Stop the overlay and then the pages as the supervisor does, and wait."""
        for stop, thread in zip((self.stop, self.stop_pages), self.threads, strict=True):
            stop.set()
            thread.join(15)
            assert not thread.is_alive()
        if self.error:
            raise self.error


@contextmanager
def running_stage(
    wanted: Settings,
    directory: Path,
    delivery: str = "newest",
    report: Path | None = None,
    output: Path | None = None,
) -> Iterator[Stage]:
    """The stages, from their page being served until they have stopped."""
    made = Stage()
    store = wanted.accounts.model_copy(update={"store": directory / "accounts.sqlite3"})
    wanted = wanted.model_copy(update={"accounts": store})

    def ready(url: str) -> None:
        made.url = url
        made.up.set()

    def beat() -> None:
        made.beats += 1

    def first() -> None:
        made.first_pictures += 1

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            made.error = error
            made.up.set()

    changes = Changes()

    def tell(cameras: list[dict[str, object]]) -> None:  # as the supervisor does
        changes.put(parse({**wanted.model_dump(mode="json"), "cameras": cameras}, "test"))

    def draw() -> None:
        Heartbeat(directory, "overlay")
        stage.run(wanted, directory, delivery, report, output, made.stop, beat, first, changes)

    def serve() -> None:
        web.run(wanted, directory, made.stop_pages, ready, tell_cameras=tell)

    made.threads = [threading.Thread(target=guarded, args=(work,)) for work in (draw, serve)]
    for thread in made.threads:
        thread.start()
    try:
        assert made.up.wait(30), "the stages did not start"
        if made.error:
            raise made.error
        yield made
    finally:
        for stop, thread in zip((made.stop, made.stop_pages), made.threads, strict=True):
            stop.set()
            thread.join(15)
