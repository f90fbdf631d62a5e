"""The footage of a recording in the groups in which inference took its frames, or frame by frame."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from stream.archive.annotations import AnnotatedFrame
from stream.archive.archive import Archive
from stream.messages import FrameReady
from stream.replay.playback import Playback, PlayedFrame
from stream.watching import Picture


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """What inference takes at once: at most one frame of each camera, in the order of the cameras' names.

    epoch: of the inference process that took it. missing: frames that it took and whose footage is not there.
    """

    run: int
    epoch: int
    number: int
    frames: tuple[PlayedFrame, ...]
    missing: tuple[tuple[str, AnnotatedFrame], ...] = ()


def recorded_steps(archive: Archive, run: int, to_ns: int | None, notes: list[str]) -> Iterator[Step]:
    """The steps of a run as they were taken live, from its beginning, since each one builds on those before it.

    notes: gets what could not be played, a sentence each.
    """
    tapes: dict[str, _Tape] = {}
    for group in archive.steps(run, None, to_ns):
        frames, missing = [], []
        for camera, annotated in sorted(group, key=lambda item: item[0]):
            if camera not in tapes:
                tapes[camera] = _Tape(Playback(archive, camera, run, notes))
            frame = tapes[camera].take(annotated.media_ns)
            if frame is None:
                missing.append((camera, annotated))
            else:
                frames.append(frame)
        first = group[0][1]
        yield Step(run, first.epoch, first.step, tuple(frames), tuple(missing))


def every_frame(
    archive: Archive,
    run: int,
    cameras: Sequence[str],
    from_ns: int | None,
    to_ns: int | None,
    notes: list[str],
) -> Iterator[Step]:
    """Each recorded frame as a step of its own, whether or not it was processed live, in the order of wall time."""
    tapes = [Playback(archive, camera, run, notes).frames(from_ns, to_ns) for camera in sorted(cameras)]
    frames = heapq.merge(*tapes, key=lambda frame: frame.wall_ns)
    for number, frame in enumerate(frames, 1):
        yield Step(run, 0, number, (frame,))


def picture(frame: PlayedFrame) -> Picture:
    """A frame as inference takes it, made just as it was made live."""
    announced = FrameReady(
        camera=frame.camera,
        sequence=frame.annotation.sequence if frame.annotation else 0,
        ring="",
        slot=0,
        generation=0,
        width=frame.width,
        height=frame.height,
        media_ns=frame.media_ns,
        wall_ns=frame.wall_ns,
        received_ns=0,
        captured_ns=0,
    )
    return Picture(announced, np.asarray(cv2.cvtColor(frame.i420, cv2.COLOR_YUV2RGB_I420), np.uint8), {})


class _Tape:
    """One camera's processed frames, wound on to the one that is asked for."""

    def __init__(self, playback: Playback) -> None:
        self._frames = playback.frames(annotated_only=True)
        self._ahead: PlayedFrame | None = None

    def take(self, media_ns: int) -> PlayedFrame | None:
        """The frame of a media time, or None when it was not recorded. Ask in rising order."""
        while self._ahead is None or self._ahead.media_ns < media_ns:
            self._ahead = next(self._frames, None)
            if self._ahead is None:
                return None
        return self._ahead if self._ahead.media_ns == media_ns else None
