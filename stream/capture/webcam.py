"""Cameras on this machine (Video4Linux): webcam:0 is /dev/video0."""

from __future__ import annotations

import errno
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av

from stream.capture.container import FrameClock, codec_label, faultless_frames, picture_track
from stream.capture.decoder import SOFTWARE
from stream.capture.pixels import to_i420
from stream.capture.source import Alive, Facts, Picture, Sink, SourceError, SourceLost, SourceRefused
from stream.capture.units import CANNOT_RECORD, Units

_MISSED_LIMIT = 50


class WebcamSource:
    """Through FFmpeg, or through OpenCV where FFmpeg does not get along with the device.

    Raises SourceLost, SourceRefused.
    """

    def __init__(self, url: str, alive: Alive, sink: Sink | None = None) -> None:
        self._device = device_path(url)
        self._units: Units | None = None
        self._recorded = sink is not None
        self._alive = alive
        self._opencv: Any = None
        self._container: av.container.InputContainer | None = None
        try:
            self._container = av.open(str(self._device), format="v4l2")
            stream = picture_track(self._container)
        except (OSError, av.error.FFmpegError) as error:
            self._open_otherwise(error)
        else:
            if stream is None:
                self.close()
                raise self._meaning(0)
            self.facts = Facts("av", codec_label(stream), SOFTWARE)
            self._units = Units(stream, sink, self.facts) if sink else None

    def pictures(self) -> Iterator[Picture]:
        """Pictures as they come. Raises SourceLost."""
        return self._by_opencv() if self._container is None else self._by_ffmpeg(self._container)

    def close(self) -> None:
        """Give the device back."""
        if self._container is not None:
            self._container.close()
        if self._opencv is not None:
            self._opencv.release()

    def _open_otherwise(self, error: Exception) -> None:
        code = getattr(error, "errno", None) or 0
        if code in (errno.EBUSY, errno.EACCES, errno.ENODEV, errno.ENOTTY, errno.EINVAL):
            raise self._meaning(code)
        import cv2  # takes a while to load, and is needed only here

        self._opencv = cv2.VideoCapture(str(self._device), cv2.CAP_V4L2)
        if not self._opencv.isOpened():
            raise self._meaning(code)
        self.facts = Facts("opencv", "raw", SOFTWARE, note=CANNOT_RECORD if self._recorded else "")

    def _by_ffmpeg(self, container: av.container.InputContainer) -> Iterator[Picture]:
        stream = container.streams.video[0]
        clock = FrameClock(stream.average_rate)
        try:
            for frame, received_ns in faultless_frames(container, stream, self.facts, self._units):
                if not self._alive():
                    return
                picture = _picture(to_i420(frame), clock.media_ns(frame), received_ns)
                if self._units:
                    self._units.shown(frame.pts, picture.media_ns, picture.wall_ns)
                yield picture
        except (OSError, av.error.FFmpegError):
            pass
        raise SourceLost(f"{self._device} gives no more pictures: was the camera unplugged?")

    def _by_opencv(self) -> Iterator[Picture]:
        import cv2

        start_ns, missed = time.monotonic_ns(), 0
        while self._alive():
            whole, bgr = self._opencv.read()
            received_ns = time.monotonic_ns()
            missed = 0 if whole else missed + 1
            if missed > _MISSED_LIMIT:
                raise SourceLost(f"{self._device} gives no more pictures: was the camera unplugged?")
            if whole:
                even = bgr[: bgr.shape[0] // 2 * 2, : bgr.shape[1] // 2 * 2]
                yield _picture(
                    cv2.cvtColor(even, cv2.COLOR_BGR2YUV_I420), received_ns - start_ns, received_ns
                )

    def _meaning(self, code: int) -> SourceError:
        match code:
            case errno.EBUSY:
                return SourceLost(f"{self._device} is in use by another program")
            case errno.EACCES:
                return SourceRefused(
                    f"{self._device} may not be opened by this user: is the user in the group video?"
                )
        return SourceRefused(f"{self._device} is not a camera that can be read")


def device_path(url: str) -> Path:
    """The device that an address names. Raises SourceRefused when there is none."""
    name = url.partition(":")[2]
    if not (re.fullmatch(r"\d{1,3}", name) or name.startswith("/dev/")):
        raise SourceRefused(f"a webcam must be webcam:N or webcam:/dev/videoN, found {url!r}")
    device = Path(name if name.startswith("/") else f"/dev/video{name}")
    if not device.exists():
        others = ", ".join(sorted(str(path) for path in Path("/dev").glob("video*"))) or "none"
        raise SourceRefused(f"{device} does not exist; webcams on this machine: {others}")
    return device


def _picture(i420: Any, media_ns: int, received_ns: int) -> Picture:
    wall_ns = time.time_ns() - (time.monotonic_ns() - received_ns)
    return Picture(i420, i420.shape[1], i420.shape[0] * 2 // 3, media_ns, wall_ns, received_ns)
