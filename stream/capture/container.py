"""What the sources that FFmpeg opens for us have in common: frames without damage, and their time line."""

from __future__ import annotations

import time
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av

from stream.capture.source import Facts
from stream.capture.units import Units

_JUMP_NS = 60_000_000_000
_USUAL_STEP_NS = 40_000_000
_LABELS = {"h264": "H.264", "hevc": "H.265", "mpeg4": "MPEG-4", "mjpeg": "MJPEG", "rawvideo": "raw"}


def picture_track(container: av.container.InputContainer) -> av.VideoStream | None:
    """The first track of pictures, set to be decoded without delay; None when there is none that can be."""
    stream = next(iter(container.streams.video), None)
    if stream is None or stream.codec_context is None:
        return None
    stream.thread_type = "SLICE"  # threads for whole frames would hold back a frame each
    stream.codec_context.thread_count = 1
    return stream


def codec_label(stream: Any) -> str:
    """The name of a stream's codec, for people."""
    name: str = stream.codec_context.name
    return _LABELS.get(name, name.upper())


def faultless_frames(
    container: av.container.InputContainer,
    stream: av.VideoStream,
    facts: Facts,
    units: Units | None = None,
) -> Iterator[tuple[av.VideoFrame, int]]:
    """Decoded frames, each with the monotonic time (ns) at which its last packet had come.

    After damage nothing is given until the next key frame; what is left out is counted in facts.corrupt. units: gets
    the packets. Raises what the container raises (OSError, av.error.FFmpegError).
    """
    intact = True
    for packet in container.demux(stream):
        received_ns = time.monotonic_ns()
        if units:
            units.read(packet, received_ns)
        try:
            frames = packet.decode()
        except av.error.InvalidDataError:
            intact = False
            facts.corrupt += 1
            continue
        for frame in frames:
            assert isinstance(frame, av.VideoFrame)
            intact = (intact or bool(frame.key_frame)) and not frame.is_corrupt
            if intact:
                yield frame, received_ns
            else:
                facts.corrupt += 1


class FrameClock:
    """Presentation times as nanoseconds that begin at 0 and grow.

    Where they run backwards or leap by more than a minute (recordings joined together), the time line goes on with
    the usual step.
    """

    def __init__(self, rate: Fraction | None) -> None:
        self._step_ns = int(1_000_000_000 / rate) if rate and rate > 0 else _USUAL_STEP_NS
        self._shift_ns: int | None = None
        self._last_ns = -1

    @property
    def end_ns(self) -> int:
        """The end of the newest frame on the time line; 0 before the first."""
        return self._last_ns + self._step_ns if self._last_ns >= 0 else 0

    def media_ns(self, frame: av.VideoFrame) -> int:
        """The place of a frame. Call it once for each frame, in order."""
        if frame.pts is None or frame.time_base is None:
            self._last_ns = self.end_ns
            return self._last_ns
        own_ns = round(frame.pts * frame.time_base * 1_000_000_000)
        if self._shift_ns is None:
            self._shift_ns = self.end_ns - own_ns
        step = own_ns + self._shift_ns - self._last_ns
        if not 0 < step <= _JUMP_NS:
            self._shift_ns = self.end_ns - own_ns
        self._last_ns = own_ns + self._shift_ns
        return self._last_ns
