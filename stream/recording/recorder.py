"""The recorder's work, in a thread of its own: whatever the disk does, the stage's main loop goes on."""

from __future__ import annotations

import logging
import threading
import time

import msgspec

from stream.changes import Changes
from stream.config import Settings
from stream.messages import CameraRecording, FrameResult, Packet, RecorderStatus
from stream.recording.camera import CameraRecorder
from stream.recording.disk import RecordingsFolder
from stream.recording.intake import Intake, Item, Moved
from stream.recording.keeping import Keeping

log = logging.getLogger(__name__)

_POLL_S = 0.1
_KEEP_EVERY_NS = 1_000_000_000
_STUCK_NS = 3_000_000_000


class Recorder:
    """Takes from an intake, and writes. changes: settings with other cameras, which it goes on with."""

    def __init__(self, settings: Settings, folder: RecordingsFolder, intake: Intake) -> None:
        self._folder, self._intake = folder, intake
        self._cameras: dict[str, CameraRecorder] = {}
        self._leaving: list[CameraRecorder] = []  # whose last files the archive has not been told of
        self.changes = Changes()
        self._keeping = Keeping(settings, folder, lambda camera, wall_ns, rule: self._trigger(camera))
        self._follow(settings, time.monotonic_ns())
        self._by_faces = not settings.events.rules
        self._kept_ns = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self.failure: BaseException | None = None
        self._turned_ns = time.monotonic_ns()
        self._status = self._say(self._turned_ns)
        self._ended = False

    @property
    def status(self) -> RecorderStatus:
        """How recording does; also when the thread is stuck in the disk and cannot say so itself."""
        status = self._status
        if self._ended or time.monotonic_ns() - self._turned_ns < _STUCK_NS:
            return status
        stuck = {
            name: camera
            if camera.state == "off"
            else msgspec.structs.replace(camera, state="failing", detail="the disk does not answer")
            for name, camera in status.cameras.items()
        }
        return RecorderStatus(cameras=stuck, notes=status.notes)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def finish(self, within_s: float) -> bool:
        """Write what waits, and end; False when the disk did not let it in time."""
        self._stop.set()
        self._thread.join(within_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self.turn(_POLL_S)
            while self.turn(0):
                pass
            now_ns = time.monotonic_ns()
            for camera in self._cameras.values():
                camera.finish(now_ns)
            self._keeping.close(self._all())
            self._status = self._say(now_ns)
        except BaseException as error:
            self.failure = error
            raise
        finally:
            self._ended = True

    def turn(self, wait_s: float) -> bool:
        """Take what waits, for up to wait_s, and write it. False when nothing came."""
        if changed := self.changes.take():
            self._follow(changed, time.monotonic_ns())
        items = self._intake.take(wait_s)
        for item in items:
            self._take(item)
        now_ns = self._turned_ns = time.monotonic_ns()
        for camera in self._cameras.values():
            camera.turn(now_ns)
        if now_ns - self._kept_ns >= _KEEP_EVERY_NS:
            self._kept_ns = now_ns
            self._keeping.keep(self._all(), now_ns)
            self._leaving = [camera for camera in self._leaving if camera.entries]
            self._status = self._say(time.monotonic_ns())
        return bool(items)

    def _follow(self, settings: Settings, now_ns: int) -> None:
        """Record the cameras of these settings: the files of those that stay as they were go on."""
        before, self._cameras = self._cameras, {}
        for camera in settings.cameras:
            mode, known = settings.recording_mode(camera.name), before.get(camera.name)
            if known and known.mode == mode:
                self._cameras[camera.name] = before.pop(camera.name)
            else:
                self._cameras[camera.name] = CameraRecorder(
                    camera.name, mode, settings.recording, self._folder
                )
        for gone in before.values():
            gone.finish(now_ns)
            self._leaving.append(gone)
        self._keeping.follow(settings)

    def _all(self) -> list[CameraRecorder]:
        return [*self._leaving, *self._cameras.values()]

    def _take(self, item: Item) -> None:
        match item:
            case Packet():
                if camera := self._cameras.get(item.camera):
                    camera.take(item, time.monotonic_ns())
            case Moved():
                self._trigger(item.camera, "motion")
            case _:
                self._keeping.see(item)
                if self._by_faces and isinstance(item, FrameResult) and item.faces:
                    self._trigger(item.frame.camera)

    def _trigger(self, camera: str, mode: str = "events") -> None:
        recorder = self._cameras.get(camera)
        if recorder and recorder.mode == mode:
            recorder.trigger(time.monotonic_ns())

    def _say(self, now_ns: int) -> RecorderStatus:
        cameras: dict[str, CameraRecording] = {}
        notes = list(self._keeping.notes)
        for name, camera in self._cameras.items():
            cameras[name] = camera.status(now_ns)
            notes += camera.notes
        if self._intake.lost:
            notes.append(f"{self._intake.lost} annotations and pictures were dropped: the disk is too slow")
        return RecorderStatus(cameras=cameras, notes=tuple(notes))
