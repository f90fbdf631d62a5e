"""The capture process: one camera, from its address to frames in shared memory, for as long as the run lasts."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Literal

from stream.bus import FRAMES, Outbox
from stream.capture.address import SourceKind, redact, source_kind
from stream.capture.counter import Counter
from stream.capture.cover import Cover
from stream.capture.opening import Opener
from stream.capture.reconnection import Patience
from stream.capture.reporter import Reporter
from stream.capture.rings import Rings
from stream.capture.source import (
    TICK_S,
    Facts,
    NoSuchStream,
    Picture,
    SourceError,
    SourceLost,
    SourceRefused,
    Stopped,
)
from stream.capture.tap import Tap
from stream.config import Settings
from stream.messages import CameraState, FrameReady

_POLL_S = 0.001


def run(
    settings: Settings,
    camera_index: int,
    run_directory: Path,
    delivery: Literal["newest", "every"],
    real_time: bool,
    stop: threading.Event,
    beat: Callable[[], None] = lambda: None,
) -> None:
    """Capture settings.cameras[camera_index] until `stop` is set, or a recording has ended.

    delivery "newest": frames come at the source's pace, whether or not they are taken (recordings play in real
    time). "every": no more frames are on their way than half the ring holds; real_time paces a recording all the
    same. A lost camera is asked for again and again. In "every" delivery a source that is refused ends the run of
    this camera, because nobody stands by to mend it. beat is called at least every tenth of a second or so.
    """
    capture = _Capture(settings, camera_index, run_directory, delivery == "every", real_time, stop, beat)
    try:
        capture.run()
    finally:
        capture.close()


class _Capture:
    def __init__(
        self,
        settings: Settings,
        camera_index: int,
        directory: Path,
        every: bool,
        real_time: bool,
        stop: threading.Event,
        beat: Callable[[], None],
    ) -> None:
        self._camera = settings.cameras[camera_index]
        self._every, self._stop, self._beat = every, stop, beat
        name = self._camera.name
        self._tap = Tap(directory, name) if settings.recording_mode(name) != "off" else None
        self._opener = Opener(self._camera, self._alive, paced=real_time or not every, sink=self._tap)
        self._is_file = source_kind(self._camera.url) is SourceKind.FILE
        self._window = settings.ring.slots // 2
        self._counter = Counter(directory, name)
        self._rings = Rings(
            directory, name, settings.ring.slots, self._counter, every, Cover.of(settings, name)
        )
        self._frames = Outbox(directory, FRAMES)
        self._reporter = Reporter(directory, name, redact(self._camera.url), self._counter)
        self._announced = 0  # the newest sequence that this process has announced
        self._corrupt = self._late = 0  # of earlier connections
        self._connections = 0

    def run(self) -> None:
        patience = Patience()
        while self._alive():
            try:
                self._play(patience)
                break
            except Stopped:
                break
            except SourceError as error:
                if isinstance(error, NoSuchStream) and self._connections:
                    error = SourceLost(str(error))  # it was there a moment ago: the camera is starting
                self._reporter.update(error.state, str(error))
                if self._every and isinstance(error, SourceRefused):
                    break
                self._wait(patience.pause_s(error))
        while self._every and self._rings.consumed < self._announced and self._alive():
            time.sleep(_POLL_S)  # the rings go with us, so what is in them must have been seen

    def close(self) -> None:
        self._rings.close()
        self._reporter.close()
        self._frames.close()
        if self._tap:
            self._tap.close()
        self._counter.close()

    def _play(self, patience: Patience) -> None:
        """One connection, to its end. Raises SourceError unless it was a recording, or we are told to stop."""
        # A recording goes on behind what a killed process of this camera has given.
        skip = self._counter.sequence if self._is_file else 0
        if self._tap:
            self._tap.connected()
        with closing(self._opener.open(skip)) as source:
            shift_ns: int | None = 0 if self._is_file else None
            try:
                for picture in source.pictures():
                    if shift_ns is None:
                        self._connections += 1
                        shift_ns = self._shift_ns(picture)
                    patience.reward()
                    if not self._deliver(picture, picture.media_ns + shift_ns):
                        return
                    if self._tap:
                        self._tap.pictured(shift_ns, picture.width, picture.height)
                    self._say(source.facts, picture)
            finally:
                self._corrupt += source.facts.corrupt
                self._late += source.facts.late
            if not self._alive():
                return
            if not self._is_file:
                raise SourceLost(f"{redact(self._camera.url)} has ended")
            self._reporter.update(
                CameraState.ENDED, source.facts.note, corrupt=self._corrupt, late=self._late
            )

    def _shift_ns(self, first: Picture) -> int:
        """What to add to a connection's time line, so that it goes on where the one before ended."""
        if not self._counter.sequence:
            return -first.media_ns
        passed_ns = max(1, first.received_ns - self._counter.received_ns)
        return self._counter.media_ns + passed_ns - first.media_ns

    def _deliver(self, picture: Picture, media_ns: int) -> bool:
        """Put a picture into the ring and announce it. False when we are told to stop instead."""
        while self._every and self._counter.sequence - self._rings.consumed >= self._window:
            if not self._alive():
                return False
            time.sleep(_POLL_S)
        try:
            ring, place = self._rings.place(picture)
        except OSError as error:
            raise SourceLost(
                f"no shared memory for pictures of {picture.width} x {picture.height}: {error.strerror}"
            ) from None
        captured_ns = time.monotonic_ns()
        self._announced = self._counter.next_frame(media_ns, picture.received_ns)
        frame = FrameReady(
            camera=self._camera.name,
            sequence=self._announced,
            ring=ring,
            slot=place.slot,
            generation=place.generation,
            width=picture.width,
            height=picture.height,
            media_ns=media_ns,
            wall_ns=picture.wall_ns,
            received_ns=picture.received_ns,
            captured_ns=captured_ns,
        )
        while not self._frames.send(frame) and self._every:
            if not self._alive():
                return False
            time.sleep(_POLL_S)
        return True

    def _say(self, facts: Facts, picture: Picture) -> None:
        self._reporter.update(
            CameraState.RUNNING,
            facts.note,
            codec=facts.codec,
            decoder=facts.decoder,
            reader=facts.reader,
            width=picture.width,
            height=picture.height,
            corrupt=self._corrupt + facts.corrupt,
            late=self._late + facts.late,
            reconnections=max(0, self._connections - 1),
        )

    def _alive(self) -> bool:
        self._beat()
        return not self._stop.is_set()

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and self._alive():
            self._stop.wait(min(left, TICK_S))
