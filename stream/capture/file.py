"""Recordings: any container and codec that FFmpeg reads, as fast as they are taken or at their own pace."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import av

from stream.capture.address import local_path
from stream.capture.container import FrameClock, codec_label, faultless_frames, picture_track
from stream.capture.decoder import SOFTWARE
from stream.capture.pixels import to_i420, turned
from stream.capture.source import TICK_S, Alive, Facts, Picture, Sink, SourceLost, SourceRefused
from stream.capture.units import Units

# Not among them: playlists and scripts, which make FFmpeg open other files, and single pictures and texts.
_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,asf,ogg,mxf,"
    "h264,hevc,m4v,mjpeg,ivf,nut,dhav,rm,dv"
)
_CUT_SHORT_NS = 1_000_000_000
_BEHIND_NS = 500_000_000


class FileSource:
    """A recording, from its beginning to its end.

    paced: give each picture when it is due, not as soon as it is decoded. skip: pictures at the beginning that are
    decoded and not given. Raises SourceRefused.
    """

    def __init__(self, url: str, alive: Alive, paced: bool, skip: int = 0, sink: Sink | None = None) -> None:
        self._path = Path(local_path(url)).expanduser()
        self._alive, self._paced, self._skip = alive, paced, skip
        self.facts = Facts("av", decoder=SOFTWARE)
        self._container = _open(self._path)
        stream = picture_track(self._container)
        if stream is None:
            sounds = ", ".join(codec_label(sound) for sound in self._container.streams.audio)
            self._container.close()
            raise SourceRefused(
                f"{self._path} carries no picture, only sound ({sounds})"
                if sounds
                else _not_a_video(self._path)
            )
        self._stream = stream
        self.facts.codec = codec_label(stream)
        self._units = Units(stream, sink, self.facts) if sink else None

    def pictures(self) -> Iterator[Picture]:
        """The pictures; at the end, facts.note says what was wrong with the recording, if anything."""
        clock = FrameClock(self._stream.average_rate)
        wall_ns = self._recorded_ns()
        start_ns: int | None = None
        problem = ""
        frames = faultless_frames(self._container, self._stream, self.facts, self._units)
        while True:
            try:
                item = next(frames, None)
            except (OSError, av.error.FFmpegError) as error:
                problem = f"cannot be read further ({type(error).__name__})"
                break
            if item is None or not self._alive():
                break
            frame, _ = item
            media_ns = clock.media_ns(frame)
            if self._units:
                self._units.shown(frame.pts, media_ns, wall_ns + media_ns, wanted=not self._skip)
            if self._skip > 0:
                self._skip -= 1
                continue
            picture = turned(to_i420(frame), frame.rotation)
            if self._paced:
                now_ns = time.monotonic_ns()
                if start_ns is None or now_ns - start_ns - media_ns > _BEHIND_NS:
                    start_ns = now_ns - media_ns
                if not self._wait_until(start_ns + media_ns):
                    return
            yield Picture(
                i420=picture,
                width=picture.shape[1],
                height=picture.shape[0] * 2 // 3,
                media_ns=media_ns,
                wall_ns=wall_ns + media_ns,
                received_ns=time.monotonic_ns(),
            )
        if not self._alive():
            return
        if not clock.end_ns:
            raise SourceRefused(f"{self._path} holds no picture that can be decoded")
        length_ns = self._length_ns()
        if not problem and length_ns - clock.end_ns > _CUT_SHORT_NS:
            problem = f"is cut short: it should last {length_ns / 1e9:.1f} s"
        if problem:
            self.facts.note = f"{self._path.name} {problem}; played to {clock.end_ns / 1e9:.1f} s"

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def _wait_until(self, due_ns: int) -> bool:
        while (left_s := (due_ns - time.monotonic_ns()) / 1e9) > 0:
            if not self._alive():
                return False
            time.sleep(min(left_s, TICK_S))
        return True

    def _length_ns(self) -> int:
        """How long the recording says it is; 0 when it does not."""
        if self._stream.duration is not None and self._stream.time_base is not None:
            return round(self._stream.duration * self._stream.time_base * 1_000_000_000)
        return (self._container.duration or 0) * 1000

    def _recorded_ns(self) -> int:
        """When the recording began: what it says itself, or its file's time less its length."""
        said = self._container.metadata.get("creation_time", "")
        try:
            begun = datetime.fromisoformat(said)
            return round(begun.replace(tzinfo=begun.tzinfo or UTC).timestamp() * 1_000_000_000)
        except ValueError:
            return max(0, self._path.stat().st_mtime_ns - self._length_ns())


def _open(path: Path) -> av.container.InputContainer:
    if not path.exists():
        raise SourceRefused(f"{path}: there is no such file")
    if not path.is_file():
        raise SourceRefused(f"{path} is not a file: a recording is needed")
    if not os.access(path, os.R_OK):
        raise SourceRefused(f"{path} may not be read by this user")
    try:
        return av.open(
            f"file:{path.absolute()}", options={"format_whitelist": _FORMATS, "protocol_whitelist": "file"}
        )
    except av.error.FFmpegError:
        raise SourceRefused(_not_a_video(path)) from None
    except OSError as error:
        raise SourceLost(f"{path} cannot be read: {error.strerror}") from None


def _not_a_video(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(12)
    if not head:
        return f"{path} is empty"
    if head[4:8] == b"ftyp":
        return f"{path} is cut short: the end of the file, where this kind keeps its index, is missing"
    return f"{path} is not a video that can be read"
