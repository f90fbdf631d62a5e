"""What the overlay's thread puts up for the web server, and the questions the web server asks of it."""

from __future__ import annotations

import json
import queue
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

import stream
from stream.config import Display
from stream.display.cards import Cards
from stream.display.viewers import Offer, Viewer, Viewers
from stream.display.views import CameraView, View
from stream.overlay import colour, remark, title
from stream.report import Report

if TYPE_CHECKING:
    from stream.display.video import VideoStreams


class Board:
    """Everything both threads share. The overlay writes; what handlers read is replaced whole, never changed."""

    def __init__(self, cameras: tuple[str, ...], display: Display, blur_others: bool = False) -> None:
        """blur_others: pictures show nobody who is not recognised as somebody enrolled."""
        self._blur_others = blur_others
        self._video = display.video
        self.cameras: Mapping[str, CameraView] = {}
        self.cards = Cards(named_only=blur_others)
        self.viewers = Viewers()
        self.state = b"{}"
        self._videos: VideoStreams | None = None
        self._jpeg = [cv2.IMWRITE_JPEG_QUALITY, display.jpeg_quality]
        self.follow(cameras)
        for camera in self.cameras.values():
            self.jpeg(camera.view.picture(time.time_ns(), 320))  # the first text drawn loads the typeface
        self._questions: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = queue.SimpleQueue()

    def follow(self, cameras: Collection[str]) -> None:
        """Show these cameras from now on; those that were shown before go on as they are."""
        now_ns, now_wall_ns = time.monotonic_ns(), time.time_ns()
        before = self.cameras
        self.cameras = {
            name: before.get(name) or CameraView(name, now_ns, now_wall_ns, self._blur_others)
            for name in cameras
        }
        for gone in before.keys() - set(cameras):
            self.cards.forget(gone)
            for viewer in self.viewers.all():
                viewer.forget(gone)

    def ask(self, question: Callable[[], Any]) -> Future[Any]:
        """Have the overlay's thread answer a question between two frames."""
        answer: Future[Any] = Future()
        self._questions.put((question, answer))
        return answer

    def answer(self) -> None:
        """Answer what was asked. Called by the overlay's thread."""
        while True:
            try:
                question, answer = self._questions.get_nowait()
            except queue.Empty:
                return
            try:
                answer.set_result(question())
            except Exception as error:  # belongs to the one who asked
                answer.set_exception(error)

    def serve(self, camera: str) -> bool:
        """Send a camera's newest view to those who want it and have shown what they got before.

        Returns whether there was anyone.
        """
        view = self.cameras[camera].view
        drawn: dict[tuple[int, float], _Drawn] = {}
        for viewer in self.viewers.all():
            wish = viewer.wish(camera, view.version)
            if wish is None:
                continue
            size = wish.served(view.size[0])
            if size not in drawn:
                drawn[size] = _Drawn.of(view, *size)
            viewer.offer(self._offer(viewer, drawn[size]), view.version)
        return bool(drawn)

    def put_up(self, state: Mapping[str, Any]) -> None:
        """Renew the state that the page shows."""
        self.state = json.dumps(state, ensure_ascii=False, separators=(",", ":")).encode()
        for viewer in self.viewers.all():
            viewer.offer_state(self.state)

    def jpeg(self, picture: NDArray[np.uint8]) -> bytes:
        """A picture, uint8 BGR [H, W, 3], as JPEG."""
        done, encoded = cv2.imencode(".jpg", picture, self._jpeg)
        if not done:
            raise ValueError(f"a picture of shape {picture.shape} cannot be encoded as JPEG")
        return encoded.tobytes()

    def _offer(self, viewer: Viewer, drawn: _Drawn) -> Offer:
        """A drawn picture as this viewer is to have it."""
        if viewer.decodes and (self._video == "always" or (self._video == "auto" and viewer.far)):
            even = drawn.picture[: drawn.picture.shape[0] & ~1, : drawn.picture.shape[1] & ~1]
            self._videos = self._videos or _video_streams()
            chunk = self._videos.encode(viewer, drawn.view.camera, even)
            if chunk:
                return drawn.offer(even, chunk.data, {"codec": chunk.codec, "key": chunk.key})
        if drawn.jpeg is None:
            drawn.jpeg = drawn.offer(drawn.picture, self.jpeg(drawn.picture))
        return drawn.jpeg


def _video_streams() -> VideoStreams:
    # FFmpeg takes its time to load, and on this machine nobody needs it.
    from stream.display.video import VideoStreams

    return VideoStreams()


@dataclass(slots=True, eq=False)
class _Drawn:
    """A view at one size, uint8 BGR [H, W, 3], and its JPEG once somebody wanted one."""

    view: View
    picture: NDArray[np.uint8]
    header: dict[str, Any]
    jpeg: Offer | None = None

    @classmethod
    def of(cls, view: View, width: int, density: float) -> Self:
        picture = view.picture(time.time_ns(), width, density)
        header: dict[str, Any] = {
            "camera": view.camera,
            "version": view.version,
            "live": view.absence is None,
        }
        if view.result and view.absence is None:
            header |= {
                "sequence": view.result.frame.sequence,
                "scale": picture.shape[1] / view.size[0],
                "faces": [
                    {
                        "track": face.track,
                        "box": [round(value, 2) for value in face.box],
                        "colour": list(colour(face)[::-1]),
                        "title": title(face),
                        "remark": remark(face),
                    }
                    for face in view.result.faces
                ],
            }
        return cls(view, picture, header)

    def offer(self, picture: NDArray[np.uint8], data: bytes, more: Mapping[str, Any] | None = None) -> Offer:
        """The picture, encoded as `data`, with what the page must know of it."""
        header = {**self.header, "width": picture.shape[1], "height": picture.shape[0], **(more or {})}
        if self.view.result and self.view.absence is None:
            captured_ns = self.view.result.frame.captured_ns
            header["latency_ms"] = round((time.monotonic_ns() - captured_ns) / 1e6, 2)
        return Offer(self.view.camera, json.dumps(header, ensure_ascii=False).encode(), data)


def state(report: Report, board: Board, now_ns: int) -> dict[str, Any]:
    """What the page shows beside the pictures, ready for JSON."""
    return {
        "version": stream.__version__,
        "now_ms": time.time_ns() // 1_000_000,
        "cameras": [_camera(name, report, board, now_ns) for name in board.cameras],
        "cards": board.cards.described(time.time_ns()),
        "engines": {name: msgspec.to_builtins(engine) for name, engine in sorted(report.engines.items())},
        "people_enrolled": report.people,
        "load": round(report.load, 2),
        "notes": report.notes,
        "restarts": dict(sorted(report.restarts.items())),
    }


def _camera(name: str, report: Report, board: Board, now_ns: int) -> dict[str, Any]:
    view, status = board.cameras[name].view, report.status.get(name)
    absence = view.absence
    recent = report.latencies[name].recent(now_ns)
    return {
        "name": name,
        "state": absence.state if absence else "running",
        "live": absence is None,
        "since_ms": (absence.since_wall_ns if absence else status.since_wall_ns if status else 0)
        // 1_000_000,
        "detail": absence.detail if absence else "",
        "source": status.source if status else "",
        "codec": status.codec if status else "",
        "decoder": status.decoder if status else "",
        "fps": round(status.fps, 2) if status else 0,
        "width": view.size[0],
        "height": view.size[1],
        "frames": report.ledger.account(name).frames(final=False),
        "latency_ms": recent,
        "shown_per_second": report.latencies[name].rate(now_ns),
        "recording": report.recording(name),
    }
