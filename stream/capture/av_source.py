"""The other way to a camera, through FFmpeg's own RTSP client: slower by a frame, but it knows every format."""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator
from urllib.parse import quote

import av

from stream.capture.address import redact, split_rtsp
from stream.capture.container import FrameClock, codec_label, faultless_frames, picture_track
from stream.capture.decoder import SOFTWARE
from stream.capture.pixels import to_i420
from stream.capture.source import (
    Alive,
    Facts,
    NoSuchStream,
    Picture,
    Sink,
    SourceError,
    SourceLost,
    SourceRefused,
)
from stream.capture.units import Units
from stream.config import Camera

_LONGEST_WAIT_S = (
    5.0  # FFmpeg cannot be interrupted sooner than its own time-out, and that fires at twice its value
)


class AvSource:
    """One connection to a camera. Raises SourceLost, SourceRefused."""

    def __init__(self, camera: Camera, alive: Alive, sink: Sink | None = None) -> None:
        address = split_rtsp(camera.url)
        self._alive = alive
        self._timeout_s = min(camera.timeout_s, _LONGEST_WAIT_S)
        host = f"[{address.host}]" if ":" in address.host else address.host
        self._place, self._user = f"{host}:{address.port}", address.user
        self._path = redact(address.path.partition("?")[0]) or "/"
        if address.secure:
            raise SourceRefused(
                f"{self._place}: FFmpeg checks no certificates, so rtsps:// needs the reader rtp"
            )
        login = f"{quote(address.user, safe='')}:{quote(address.password, safe='')}@" if address.user else ""
        target = address.without_credentials.replace("://", f"://{login}", 1)
        options = {
            "rtsp_transport": camera.transport,
            "timeout": str(int(self._timeout_s * 1_000_000)),
            "analyzeduration": "500000",
            "fpsprobesize": "0",
            "fflags": "nobuffer",
            "protocol_whitelist": "rtsp,rtp,tcp,udp",
        }
        try:
            self._container = av.open(target, options=options, timeout=2 * self._timeout_s)
        except (OSError, av.error.FFmpegError) as error:
            raise self._meaning(error) from None  # its text holds the address with the password
        stream = picture_track(self._container)
        if stream is None:
            sounds = (
                ", ".join(codec_label(sound) for sound in self._container.streams.audio) or "unknown data"
            )
            self._container.close()
            raise SourceRefused(
                f"{self._place}{self._path} carries no picture, only {sounds}: is it a microphone?"
            )
        self._stream = stream
        self.facts = Facts("av", codec_label(stream), SOFTWARE)
        self._units = Units(stream, sink, self.facts) if sink else None

    def pictures(self) -> Iterator[Picture]:
        """Pictures as they come. Raises SourceLost."""
        clock = FrameClock(self._stream.average_rate)
        try:
            for frame, received_ns in faultless_frames(
                self._container, self._stream, self.facts, self._units
            ):
                if not self._alive():
                    return
                picture, media_ns = to_i420(frame), clock.media_ns(frame)
                wall_ns = time.time_ns() - (time.monotonic_ns() - received_ns)
                if self._units:
                    self._units.shown(frame.pts, media_ns, wall_ns)
                yield Picture(
                    i420=picture,
                    width=picture.shape[1],
                    height=picture.shape[0] * 2 // 3,
                    media_ns=media_ns,
                    wall_ns=wall_ns,
                    received_ns=received_ns,
                )
        except (TimeoutError, av.error.ExitError):
            raise SourceLost(f"{self._place} has sent nothing for {self._timeout_s:g} s") from None
        except (OSError, av.error.FFmpegError) as error:
            raise self._meaning(error) from None
        raise SourceLost(f"{self._place} has ended the stream")

    def close(self) -> None:
        """Close the connection."""
        self._container.close()

    def _meaning(self, error: Exception) -> SourceError:
        """What FFmpeg's error stands for, without its text."""
        match error:
            case av.error.HTTPUnauthorizedError():
                if not self._user:
                    return SourceRefused(
                        f"{self._place} asks for a user name and a password: the address holds none"
                    )
                return SourceRefused(
                    f"{self._place} refuses user {self._user!r}: the user name or the password is wrong"
                )
            case av.error.HTTPNotFoundError():
                return NoSuchStream(f"{self._place} has no stream at {self._path}: is the path right?")
            case TimeoutError() | av.error.ExitError():
                return SourceLost(
                    f"{self._place} did not answer within {self._timeout_s:g} s: is the camera on, and in this network?"
                )
            case ConnectionRefusedError():
                return SourceLost(
                    f"{self._place} refuses connections: is the camera on, and is the port right?"
                )
            case OSError():
                code = errno.errorcode.get(error.errno or 0, type(error).__name__)
                return SourceLost(f"{self._place} cannot be read: {code}")
        return SourceLost(f"{self._place} cannot be read: {type(error).__name__}")
