"""The recorder process: takes what the cameras send and what is seen on it, and never makes anybody wait.

The main loop only takes in, watches for motion and reports; a thread of its own writes (stream.recording.recorder).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

import cv2

from stream.bus import ARCHIVE, RESULTS, Inbox, Outbox
from stream.changes import Changes
from stream.config import Settings
from stream.messages import AnyMessage, FaceCard, FaceLook, FrameResult, InferenceStatus, Packet
from stream.recording.disk import RecordingsFolder
from stream.recording.intake import Intake, Moved
from stream.recording.motion import MotionWatch
from stream.recording.recorder import Recorder

log = logging.getLogger(__name__)

_POLL_S = 0.04  # packets are taken some at a time: each wake-up costs more than the packet
_STATUS_EVERY_S = 1.0
_LAST_WORDS_MS = 100  # at the end: how long the bus must be quiet
_FINISH_WITHIN_S = 6.0


def run(
    settings: Settings,
    directory: Path,
    stop: threading.Event,
    beat: Callable[[], None],
    changes: Changes | None = None,
) -> None:
    """Record until `stop` is set; then write what waits. beat is called some twenty times a second.

    changes: settings with other cameras, to go on with.
    """
    cv2.setNumThreads(1)
    inbox, outbox = Inbox(directory, ARCHIVE), Outbox(directory, RESULTS)
    intake = Intake()
    recorder = Recorder(settings, RecordingsFolder(settings.recording.folder, directory), intake)
    entrance = _Entrance(settings, directory, intake)
    recorder.start()
    told_s = 0.0
    try:
        while not stop.wait(_POLL_S):
            beat()
            if changes and (changed := changes.take()):
                entrance.follow(changed)
                recorder.changes.put(changed)
            for message in inbox.drain(0):
                entrance.take(message)
            if recorder.failure:
                raise RuntimeError("the recorder's writing thread has died") from recorder.failure
            if time.monotonic() - told_s >= _STATUS_EVERY_S:
                told_s = time.monotonic()
                outbox.send(recorder.status)
        for message in inbox.drain(_LAST_WORDS_MS):
            entrance.take(message)
        if not recorder.finish(_FINISH_WITHIN_S):
            log.warning("the disk is too slow: the last footage was not written")
        outbox.send(recorder.status)
    finally:
        entrance.close()
        inbox.close()
        outbox.close()


class _Entrance:
    """What comes in, on its way to the writing thread."""

    def __init__(self, settings: Settings, directory: Path, intake: Intake) -> None:
        self._intake = intake
        self._motion = MotionWatch(directory)
        self.follow(settings)

    def follow(self, settings: Settings) -> None:
        self._moving = {
            camera.name for camera in settings.cameras if settings.recording_mode(camera.name) == "motion"
        }

    def take(self, message: AnyMessage) -> None:
        match message:
            case FrameResult():
                frame = message.frame
                if frame.camera in self._moving and self._motion.see(frame):
                    self._intake.put(Moved(frame.camera, frame.wall_ns))
                self._intake.put(message)
            case Packet() | FaceLook() | FaceCard() | InferenceStatus():
                self._intake.put(message)
            case _:
                log.warning("a message of no use here: %s", type(message).__name__)

    def close(self) -> None:
        self._motion.close()
