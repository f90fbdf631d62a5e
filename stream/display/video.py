"""Pictures as H.264 instead of JPEG: about a tenth of the bytes, for viewers that are reached over a network.

Each viewer has a stream of its own for each camera. A frame that the viewer had no time for is never encoded, so every
picture that is sent leans on one that was sent before, and the newest is always the next.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from fractions import Fraction
from weakref import WeakKeyDictionary

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from stream.display.viewers import Viewer

log = logging.getLogger(__name__)

_MOST_PIXELS = 4 * 1280 * 720
"""Of all streams' pictures together: at 25 a second some 40 % of a core. Who comes later gets JPEG."""
_TICKS = 25
_OPTIONS = {
    "preset": "ultrafast",
    "tune": "zerolatency",
    "crf": "24",
    # cv2 converts by BT.601, and a browser takes unmarked video of this size for BT.709
    "x264-params": "keyint=infinite:colormatrix=smpte170m:colorprim=smpte170m:transfer=smpte170m",
}


@dataclass(frozen=True, slots=True)
class Chunk:
    """One picture. data: H.264 as Annex B has it; codec: its name in RFC 6381; key: it leans on no other."""

    data: bytes
    codec: str
    key: bool


class VideoStream:
    """One camera's pictures to one viewer, the first of them a key frame with its parameters before it."""

    def __init__(self, width: int, height: int) -> None:
        """width, height: of the pictures, even. Raises av.FFmpegError where there is no such encoder."""
        self.width, self.height = width, height
        self._context = av.VideoCodecContext.create("libx264", "w")
        self._context.width, self._context.height = width, height
        self._context.pix_fmt = "yuv420p"
        self._context.time_base = Fraction(1, _TICKS)
        self._context.thread_count = 1
        self._context.options = _OPTIONS
        self._codec = ""
        self._frames = 0

    def encode(self, picture: NDArray[np.uint8]) -> Chunk:
        """The next picture, uint8 BGR [height, width, 3]. Raises av.FFmpegError."""
        frame = av.VideoFrame.from_ndarray(
            np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420)), "yuv420p"
        )
        frame.pts, frame.time_base = self._frames, self._context.time_base
        self._frames += 1
        packets = self._context.encode(frame)
        data = b"".join(bytes(packet) for packet in packets)
        if not self._codec:
            self._codec = _codec(data)
        return Chunk(data, self._codec, self._frames == 1)


class VideoStreams:
    """The streams of all viewers. Used by the overlay's thread alone."""

    def __init__(self) -> None:
        self._streams: WeakKeyDictionary[Viewer, dict[str, VideoStream]] = WeakKeyDictionary()

    def encode(self, viewer: Viewer, camera: str, picture: NDArray[np.uint8]) -> Chunk | None:
        """A picture, uint8 BGR [H, W, 3] with even sides, in the stream of this camera to this viewer.

        None where there are as many streams as this machine has time for, or no encoder.
        """
        height, width = picture.shape[:2]
        streams = self._streams.setdefault(viewer, {})
        stream = streams.get(camera)
        try:
            if viewer.begins_anew(camera) or not stream or (stream.width, stream.height) != (width, height):
                streams.pop(camera, None)
                if self._pixels() + width * height > _MOST_PIXELS:
                    return None
                stream = streams[camera] = VideoStream(width, height)
            return stream.encode(picture)
        except av.FFmpegError as error:
            log.error("video of %s is not to be had, pictures are sent: %s", camera, error)
            streams.pop(camera, None)
            viewer.decodes = False
            return None

    def _pixels(self) -> int:
        """Of all streams that are looked at; the others are ended."""
        total = 0
        for viewer, streams in list(self._streams.items()):
            for camera in [camera for camera in streams if not viewer.wants(camera)]:
                del streams[camera]
            total += sum(stream.width * stream.height for stream in streams.values())
        return total


def _codec(data: bytes) -> str:
    """avc1 with profile, constraints and level, which the sequence parameter set begins with."""
    at = data.index(b"\x00\x00\x01\x67") + 4
    return f"avc1.{data[at : at + 3].hex()}"
