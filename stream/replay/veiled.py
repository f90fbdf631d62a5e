"""Recorded footage on which everyone who is not enrolled is unrecognisable, also before and after they were found."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from stream.replay.anonymise import MARGIN_NS, Veil, hide
from stream.replay.playback import Playback, PlayedFrame


def veiled(playback: Playback, from_ns: int, to_ns: int) -> Iterator[tuple[PlayedFrame, NDArray[np.uint8]]]:
    """Every recorded frame from from_ns to to_ns (wall time) with its picture, uint8 BGR [H, W, 3]."""
    veil, waiting = Veil(), deque[PlayedFrame]()

    def ready(until: PlayedFrame | None) -> Iterator[tuple[PlayedFrame, NDArray[np.uint8]]]:
        while waiting and (until is None or _far(waiting[0], until)):
            frame = waiting.popleft()
            boxes = veil.boxes(frame.media_ns)
            if from_ns <= frame.wall_ns < to_ns:
                picture = frame.bgr()
                hide(picture, boxes)
                yield frame, picture

    for frame in playback.frames(from_ns - MARGIN_NS, to_ns + MARGIN_NS):
        if waiting and frame.media_ns < waiting[-1].media_ns:
            yield from ready(None)  # another recording: its timeline begins anew
        if frame.annotation:
            veil.add(frame.annotation)
        yield from ready(frame)
        waiting.append(frame)
    yield from ready(None)


def _far(frame: PlayedFrame, newest: PlayedFrame) -> bool:
    return newest.media_ns - frame.media_ns > MARGIN_NS
