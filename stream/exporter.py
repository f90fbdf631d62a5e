"""The annotated recording: an MP4 whose frames have the time stamps of the frames they show."""

from __future__ import annotations

import logging
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

import stream
from stream.overlay import to_width

log = logging.getLogger(__name__)

_TICK_NS = 1000
_TIME_BASE = Fraction(_TICK_NS, 1_000_000_000)
_ENCODER = {"preset": "veryfast", "crf": "21"}


class Exporter:
    """Writes H.264 in MP4. The file gets its name only when it is whole; until then it ends in ".part".

    Raises OSError when there is no such place to write to.
    """

    def __init__(self, path: Path, threads: int = 2) -> None:
        self.path = path
        self.frames = 0
        self._part = path.with_name(path.name + ".part")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._part.touch(
            mode=0o600
        )  # fails now, not with the first picture; and names are for its owner only
        self._container = av.open(str(self._part), "w", format="mp4", options={"movflags": "+faststart"})
        self._container.metadata["comment"] = f"Annotated by Unvizard {stream.__version__}"
        self._threads = threads
        self._stream: av.VideoStream | None = None
        self._last_tick = -1

    def write(self, picture: NDArray[np.uint8], media_ns: int) -> None:
        """Add a picture, uint8 BGR [H, W, 3] with even sides, shown from media_ns on, to the microsecond.

        Pictures of another size than the first are fitted into its size. A time stamp that does not lie after the
        one before is moved there, because MP4 has no other order. Raises av.FFmpegError, OSError (disk full).
        """
        stream_ = self._stream or self._begin(picture)
        frame = av.VideoFrame.from_ndarray(_fitted(picture, stream_.width, stream_.height), "bgr24")
        self._last_tick = max(self._last_tick + 1, round(media_ns / _TICK_NS))
        frame.pts, frame.time_base = self._last_tick, _TIME_BASE
        self._container.mux(stream_.encode(frame))
        self.frames += 1

    def close(self) -> None:
        """Finish the file. Without any frame there is none."""
        if self._stream:
            self._container.mux(self._stream.encode())
        self._container.close()
        if self._stream:
            self._part.replace(self.path)
            log.info("%s: %d annotated frames", self.path, self.frames)
        else:
            self._part.unlink(missing_ok=True)

    def abandon(self) -> None:
        """Give the file up: what was written cannot be played without its end."""
        with suppress(av.FFmpegError, OSError):
            self._container.close()
        self._part.unlink(missing_ok=True)

    def _begin(self, picture: NDArray[np.uint8]) -> av.VideoStream:
        made = self._container.add_stream("libx264", options=_ENCODER)
        made.height, made.width = picture.shape[:2]
        made.pix_fmt = "yuv420p"
        made.time_base = made.codec_context.time_base = _TIME_BASE
        made.codec_context.thread_count = self._threads
        self._stream = made
        return made


def _fitted(picture: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """The picture, with black bars if need be, in a size of [height, width]."""
    if picture.shape[:2] == (height, width):
        return picture
    scaled = to_width(picture, min(width, round(picture.shape[1] * height / picture.shape[0])))[:height]
    made = np.zeros((height, width, 3), np.uint8)
    top, left = (height - scaled.shape[0]) // 2, (width - scaled.shape[1]) // 2
    made[top : top + scaled.shape[0], left : left + scaled.shape[1]] = scaled
    return made
