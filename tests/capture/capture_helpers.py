"""Clips whose every picture is known, and ways to wait with a deadline."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from stream.capture.source import Picture, Source

DEADLINE_S = 15.0


def scene(size: tuple[int, int], number: int) -> NDArray[np.uint8]:
    """A busy picture that moves, so that every picture fills several packets and none is like another."""
    width, height = size
    noise = np.random.default_rng(7).integers(40, 200, (height * 3 // 2, width), dtype=np.uint8)
    noise[height:] = 128
    noise[:height] = np.roll(noise[:height], number * 5, axis=1)
    return noise


def encode(
    path: Path,
    codec: str = "h264",
    size: tuple[int, int] = (320, 240),
    count: int = 50,
    rate: int = 25,
    options: dict[str, str] | None = None,
    b_frames: int = 0,
    pixels: str = "yuv420p",
    times: list[int] | None = None,
    open_gop: bool = False,
) -> Path:
    """A clip with a key picture every 10 pictures.

    times: presentation times in ms, where they are not even. open_gop: only the first key picture is an IDR picture;
    pictures that come after the others but are shown before them refer to those before.
    """
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream("libx264" if codec == "h264" else "libx265", rate=rate)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = size
        stream.pix_fmt = pixels
        stream.codec_context.gop_size, stream.codec_context.max_b_frames = 10, b_frames
        stream.codec_context.thread_count = 1
        stream.codec_context.time_base = Fraction(1, 1000)
        own = f"open-gop={int(open_gop)}:scenecut=0:keyint=10:min-keyint=10"
        if codec == "h265":
            own += ":log-level=error:pools=none:frame-threads=1"
        kind = "x265-params" if codec == "h265" else "x264-params"
        stream.options = {"preset": "ultrafast", "crf": "30", kind: own}
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(scene(size, number), format="yuv420p").reformat(format=pixels)
            frame.pts = times[number] if times else number * 1000 // rate
            frame.time_base = Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def fingerprint(picture: NDArray[np.uint8]) -> str:
    """Equal for equal pictures only."""
    return hashlib.sha256(picture.tobytes()).hexdigest()


def fingerprints(path: Path) -> set[str]:
    """Those of all pictures of a clip, decoded by FFmpeg from the file."""
    with av.open(str(path)) as container:
        return {fingerprint(frame.to_ndarray(format="yuv420p")) for frame in container.decode(video=0)}


def take(source: Source, count: int) -> list[Picture]:
    """So many pictures; fewer when the deadline has passed."""
    found = []
    for picture in source.pictures():
        found.append(picture)
        if len(found) == count:
            break
    return found


def until(condition: Callable[[], object], seconds: float = DEADLINE_S) -> None:
    """Wait for a condition. Fails when it does not come about."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not come about in time"
        time.sleep(0.005)
