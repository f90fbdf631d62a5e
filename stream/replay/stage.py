"""The playback process: a recording in the place of cameras and inference, drawn and shown by the same overlay.

Every picture goes into a ring, and to the overlay goes what was seen on it live, so that the annotation of a frame is
drawn on that very frame.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import msgspec

from stream.archive.archive import Archive, ArchiveError
from stream.archive.footage import Run
from stream.bus import RESULTS, Outbox
from stream.capture.counter import Counter
from stream.capture.cover import Cover
from stream.capture.reporter import Reporter
from stream.capture.rings import Rings
from stream.capture.source import TICK_S, Picture
from stream.config import Settings
from stream.fault import Fault
from stream.messages import CameraState, EngineInfo, FrameReady, FrameResult, InferenceStatus
from stream.replay.playback import Playback, PlayedFrame, as_live
from stream.replay.selection import Selection

_POLL_S = 0.001
_STATUS_EVERY_S = 1.0
_GAP_NS = 1_000_000_000


def run(
    settings: Settings,
    directory: Path,
    footage: Selection,
    real_time: bool,
    stop: threading.Event,
    beat: Callable[[], None] = lambda: None,
) -> None:
    """Play the footage of all cameras of the settings, side by side, to its end or until `stop` is set.

    The overlay is waited for: no frame is passed over. real_time: at the recording's own pace; where nothing was
    recorded for more than a second, playing goes on behind the gap. Raises Fault.
    """

    def alive() -> bool:
        beat()
        return not stop.is_set()

    with ExitStack() as stack:
        try:
            archive = stack.enter_context(Archive.open(Path(footage.folder)))
        except ArchiveError as error:
            raise Fault(str(error)) from error
        outbox = stack.enter_context(closing(Outbox(directory, RESULTS)))
        notes: list[str] = []
        screens = {
            camera.name: stack.enter_context(
                closing(_Screen(settings, directory, camera.name, outbox, alive))
            )
            for camera in settings.cameras
        }
        frames = heapq.merge(
            *(screen.begin(archive, footage, notes) for screen in screens.values()),
            key=lambda frame: frame.wall_ns,
        )
        pace = _Pace(alive) if real_time else None
        engines = _Engines(archive.runs(), outbox)
        try:
            for frame in frames:
                engines.say(frame.segment.run, notes)
                if (pace and not pace.wait(frame.wall_ns)) or not screens[frame.camera].show(frame):
                    return
        except ArchiveError as error:
            raise Fault(str(error)) from error
        engines.say(None, notes)
        for screen in screens.values():
            screen.end()


class _Screen:
    """One camera's way to the overlay."""

    def __init__(
        self, settings: Settings, directory: Path, camera: str, outbox: Outbox, alive: Callable[[], bool]
    ) -> None:
        self._camera, self._outbox, self._alive = camera, outbox, alive
        self._window = settings.ring.slots // 2
        self._counter = Counter(directory, camera)
        self._rings = Rings(
            directory, camera, settings.ring.slots, self._counter, True, Cover.of(settings, camera)
        )
        self._reporter = Reporter(directory, camera, f"recording of {camera}", self._counter)

    def begin(self, archive: Archive, footage: Selection, notes: list[str]) -> Iterator[PlayedFrame]:
        """The frames to show. Those that a killed process of this stage has shown are passed over."""
        frames = Playback(archive, self._camera, notes=notes).frames(footage.from_ns, footage.to_ns)
        shown = frames if footage.every_frame else as_live(frames)
        return itertools.islice(shown, self._counter.sequence, None)

    def show(self, frame: PlayedFrame) -> bool:
        """Give a frame to the overlay, as soon as it has room. False when we are told to stop."""
        if not self._wait(lambda: self._counter.sequence - self._rings.consumed < self._window):
            return False
        now_ns = time.monotonic_ns()
        picture = Picture(frame.i420, frame.width, frame.height, frame.media_ns, frame.wall_ns, now_ns)
        ring, place = self._rings.place(picture)
        announced = FrameReady(
            camera=frame.camera,
            sequence=self._counter.next_frame(frame.media_ns, now_ns),
            ring=ring,
            slot=place.slot,
            generation=place.generation,
            width=frame.width,
            height=frame.height,
            media_ns=frame.media_ns,
            wall_ns=frame.wall_ns,
            received_ns=now_ns,
            captured_ns=time.monotonic_ns(),
        )
        seen = frame.annotation
        result = FrameResult(
            frame=announced,
            faces=seen.faces if seen else (),
            stamps_ns={},
            skipped={},
            epoch=seen.epoch if seen else 0,
            step=seen.step if seen else 0,
            gallery=seen.gallery if seen else 0,
        )
        self._reporter.update(
            CameraState.RUNNING,
            codec=frame.segment.codec,
            decoder="software",
            reader="recording",
            width=frame.width,
            height=frame.height,
        )
        return self._wait(lambda: self._outbox.send(result))

    def end(self) -> None:
        """There is no more of this camera; its rings stay until all of it has been shown."""
        self._reporter.update(CameraState.ENDED)
        self._wait(lambda: self._rings.consumed >= self._counter.sequence)

    def close(self) -> None:
        self._rings.close()
        self._reporter.close()
        self._counter.close()

    def _wait(self, condition: Callable[[], bool]) -> bool:
        while not condition():
            if not self._alive():
                return False
            time.sleep(_POLL_S)
        return self._alive()


class _Pace:
    """Waits until a frame is due, counted from the first one, or from the first one behind a gap."""

    def __init__(self, alive: Callable[[], bool]) -> None:
        self._alive = alive
        self._lead_ns: int | None = None  # of the monotonic clock over the recording's
        self._last_ns = 0

    def wait(self, wall_ns: int) -> bool:
        """False when we are told to stop."""
        if self._lead_ns is None or not -_GAP_NS <= wall_ns - self._last_ns <= _GAP_NS:
            self._lead_ns = time.monotonic_ns() - wall_ns
        self._last_ns = wall_ns
        while (left_s := (wall_ns + self._lead_ns - time.monotonic_ns()) / 1e9) > 0:
            if not self._alive():
                return False
            time.sleep(min(left_s, TICK_S))
        return self._alive()


class _Engines:
    """Says which engines saw what is shown now, and what could not be played."""

    def __init__(self, runs: list[Run], outbox: Outbox) -> None:
        self._runs = {run.id: run for run in runs}
        self._outbox = outbox
        self._run: int | None = None
        self._said_s = -_STATUS_EVERY_S

    def say(self, run: int | None, notes: list[str]) -> None:
        """Once a second, and when the run is another one. run: None at the end."""
        now_s = time.monotonic()
        if run == self._run and now_s - self._said_s < _STATUS_EVERY_S:
            return
        self._run, self._said_s = run if run is not None else self._run, now_s
        known = self._runs.get(self._run or 0)
        engines = msgspec.convert(known.engines, dict[str, EngineInfo]) if known else {}
        self._outbox.send(InferenceStatus(engines=engines, notes=tuple(notes), gallery_people=0, load=0.0))
