"""The overlay process: joins what inference saw to the frame it was seen on, draws it, and shows it to people.

One thread does all of that, and books what it did; the web server has a thread of its own and gets pictures that
are already encoded, so that no viewer can slow the overlay down.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import cv2

from stream.attributes import without_estimates
from stream.bus import RESULTS, Inbox
from stream.changes import Changes
from stream.config import Settings
from stream.display.board import Board, state
from stream.display.pacing import Pacing
from stream.display.server import OVERLAY_SOCKET, Server, listen_inside
from stream.display.web import create_app
from stream.memory import MemoryWatch
from stream.messages import (
    AnyMessage,
    CameraStatus,
    FaceCard,
    FrameResult,
    InferenceStatus,
    RecorderStatus,
    StageStatus,
)
from stream.report import Report, write
from stream.ring import Place, RingReader

if TYPE_CHECKING:
    from stream.display.recordings import Recordings

log = logging.getLogger(__name__)

_POLL_MS = 20
_STATE_EVERY_NS = 500_000_000
_SAVE_EVERY_NS = 2_000_000_000
_LAST_WORDS_MS = 200  # at the end: how long the bus must be quiet
_LAST_WORDS_WITHIN_S = 3.0

SUPERSEDED = "superseded_before_overlay"
OVERWRITTEN = "overwritten_before_overlay"
REMOVED = "camera_removed"


def _nothing() -> None:
    """Called by default where a caller does not care."""


def run(
    settings: Settings,
    directory: Path,
    delivery: str,
    report: Path | None,
    output: Path | None,
    stop: threading.Event,
    beat: Callable[[], None] = _nothing,
    first_picture: Callable[[], None] = _nothing,
    changes: Changes | None = None,
) -> None:
    """Show annotated frames until `stop` is set; then write the report and finish the annotated recording.

    delivery: "newest" draws the newest frame of each camera, "every" draws all of them in order. beat is
    called some fifty times a second; first_picture is called once. changes: settings
    with other cameras, to go on with. Raises OSError when the report cannot be written.
    """
    cv2.setNumThreads(1)
    with ExitStack() as stack:
        overlay = Overlay(settings, directory, delivery, output, first_picture)
        stack.callback(overlay.close)
        memory = MemoryWatch(directory)
        memory.start()
        stack.callback(memory.close)
        listener = listen_inside(directory / OVERLAY_SOCKET)
        stack.callback(listener.close)
        server = Server(create_app(overlay.board, overlay.report, memory.summary), listener)
        server.start()
        stack.callback(server.close)
        stack.callback(overlay.board.viewers.close)
        while not stop.is_set():
            beat()
            if changes and (changed := changes.take()):
                overlay.follow(changed)
            overlay.turn(_POLL_MS)
        deadline_s = time.monotonic() + _LAST_WORDS_WITHIN_S
        while overlay.turn(_LAST_WORDS_MS) and time.monotonic() < deadline_s:
            beat()
    if report:
        write(overlay.report.build(memory.summary(), final=True), report)


def _recordings(names: tuple[str, ...], output: Path, note: Callable[[str], None]) -> Recordings:
    # FFmpeg takes its time to load, and live nobody needs it.
    from stream.display.recordings import Recordings

    return Recordings(names, output, note)


class Overlay:
    """The work of the stage, turn by turn, without the web server."""

    def __init__(
        self,
        settings: Settings,
        directory: Path,
        delivery: str,
        output: Path | None = None,
        first_picture: Callable[[], None] = _nothing,
    ) -> None:
        names = tuple(camera.name for camera in settings.cameras)
        self.report = Report(names, directory, delivery)
        self.board = Board(names, settings.display, settings.privacy.blur_others)
        self._every = delivery == "every"
        self._keeps_estimates = settings.attributes.store
        self._first_picture: Callable[[], None] | None = first_picture
        self._rings = RingReader(directory)
        self._pacing = Pacing(self._rings, directory) if self._every else None
        self._recordings = _recordings(names, output, self.report.note) if output else None
        self._inbox = Inbox(directory, RESULTS)
        self._state_ns = self._saved_ns = 0
        if self.report.ledger.resumed:
            self.report.note("The overlay was started again during this run.")
            if self._recordings:
                self.report.note("The annotated recording begins where the overlay was started again.")

    def follow(self, settings: Settings) -> None:
        """Show the cameras of these settings from now on. Frames of others that still come are booked as such."""
        names = tuple(camera.name for camera in settings.cameras)
        self.report.follow(names)
        self.board.follow(names)
        self._rings.keep(names)
        self._state_ns = 0

    def turn(self, wait_ms: int) -> bool:
        """Take in what waits, for up to wait_ms, and show it. False when nothing came."""
        results: dict[str, list[FrameResult]] = {}
        came = self._take(self._inbox.drain(wait_ms), results)
        self.report.messages_rejected = self._inbox.rejected
        arrived_ns = time.monotonic_ns()
        for camera, of_camera in results.items():
            shown = of_camera if self._every else of_camera[-1:]
            for result in of_camera[: len(of_camera) - len(shown)]:
                self.report.skipped(result, SUPERSEDED)
            for result in shown:
                self._show(camera, result, arrived_ns)
        self._look_around()
        self.report.ledger.save()
        return came

    def close(self) -> None:
        """Finish the annotated recording, and let go of everything."""
        self.report.ledger.save()
        if self._recordings:
            self._recordings.close()
        self._rings.close()
        self._inbox.close()

    def _take(self, messages: Iterable[AnyMessage], results: dict[str, list[FrameResult]]) -> bool:
        came, now_ns = False, time.monotonic_ns()
        for message in messages:
            came = True
            match message:
                case FrameResult() if self.report.knows(message.frame.camera):
                    results.setdefault(message.frame.camera, []).append(message)
                case FaceCard() if message.camera in self.board.cameras:
                    self.board.cards.add(message, time.time_ns())
                case CameraStatus() if self.report.knows(message.camera):
                    self.report.camera(message)
                    if view := self.board.cameras.get(message.camera):
                        view.status(message, now_ns)
                    if self._pacing:
                        self._pacing.camera(message)
                case InferenceStatus():
                    self.report.inference(message)
                case RecorderStatus():
                    self.report.recorder(message)
                case StageStatus():
                    self._restarted(message)
                case _:
                    log.warning("a message of no use here: %s", type(message).__name__)
        return came

    def _restarted(self, status: StageStatus) -> None:
        self.report.stage(status)
        if status.stage == "inference" and status.restarts:
            self.board.cards.clear()
            if self._pacing:
                self._pacing.frames_may_be_lost()

    def _show(self, camera: str, result: FrameResult, arrived_ns: int) -> None:
        """Draw one frame, hand it on, and book it."""
        frame = result.frame
        if camera not in self.board.cameras:
            self.report.skipped(result, REMOVED)
            return
        ring = self._rings.ring(camera, frame.ring)
        i420 = ring.read(Place(frame.slot, frame.generation)) if ring else None
        if i420 is None:
            self.report.skipped(result, OVERWRITTEN)
        else:
            now_wall_ns = time.time_ns()
            view = self.board.cameras[camera].frame(i420, result, time.monotonic_ns(), now_wall_ns)
            self.board.cards.see(result, now_wall_ns)
            sent = self.board.serve(camera)
            if self._recordings:
                kept = view if self._keeps_estimates else replace(view, result=without_estimates(result))
                self._recordings.write(camera, kept.picture(now_wall_ns), frame.media_ns)
            elif not sent:
                view.picture(now_wall_ns)  # nobody looks; it is drawn all the same, so that figures stay true
            self.report.shown(result, arrived_ns, time.monotonic_ns())
            if self._first_picture:
                self._first_picture()
                self._first_picture = None
        if self._pacing:
            self._pacing.done(frame)

    def _look_around(self) -> None:
        """What has to be done whether frames come or not."""
        now_ns = time.monotonic_ns()
        for name, camera in self.board.cameras.items():
            camera.look(now_ns, time.time_ns())
            self.board.serve(name)
        self.board.answer()
        if now_ns - self._state_ns >= _STATE_EVERY_NS:
            self._state_ns = now_ns
            self.board.put_up(state(self.report, self.board, now_ns))
        if now_ns - self._saved_ns >= _SAVE_EVERY_NS:
            self._saved_ns = now_ns
            self.report.save_statistics()
