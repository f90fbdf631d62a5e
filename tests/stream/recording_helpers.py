"""Packets of real encoders as a camera would send them, and what a player makes of a recorded file."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import msgspec
import numpy as np

from stream.capture.file import FileSource
from stream.capture.source import Unit
from stream.messages import Packet

STEP_NS = 40_000_000
BEGAN_NS = 1_790_000_000_000_000_000


def make_clip(
    path: Path,
    codec: str = "libx264",
    count: int = 50,
    b_frames: int = 0,
    size: tuple[int, int] = (192, 128),
    gop: int = 10,
    pixels: str = "yuv420p",
) -> Path:
    """A clip of moving noise, 25 pictures a second."""
    ground = np.random.default_rng(3).integers(0, 128, (size[1], size[0], 3), np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = *size, pixels
        stream.gop_size, stream.codec_context.max_b_frames = gop, b_frames
        if codec == "libx265":
            stream.options = {"preset": "ultrafast", "x265-params": "log-level=error:pools=none:scenecut=0"}
        elif codec == "libx264":
            stream.options = {"preset": "ultrafast", "x264-params": "scenecut=0"}
        for number in range(count):
            picture = np.ascontiguousarray(np.roll(ground, 3 * number, axis=1))
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=pixels)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


class _Units:
    def __init__(self) -> None:
        self.taken: list[Unit] = []

    def take(self, unit: Unit) -> None:
        self.taken.append(unit)

    def lose(self, reason: str) -> None:
        raise AssertionError(f"a clip lost a packet: {reason}")

    def break_off(self, reason: str) -> None:
        raise AssertionError(f"a clip has a gap: {reason}")


def packets_of(clip: Path, camera: str = "door") -> list[Packet]:
    """The packets of a clip as capture hands them on; received now and in the past, at the camera's pace."""
    units = _Units()
    source = FileSource(str(clip), lambda: True, False, 0, units)
    sizes = {(picture.width, picture.height) for picture in source.pictures()}
    source.close()
    ((width, height),) = sizes
    return [
        Packet(
            camera=camera,
            connection=1,
            codec=unit.codec,
            parameter_sets=unit.parameter_sets,
            data=unit.data,
            key=unit.key,
            media_ns=unit.media_ns,
            wall_ns=BEGAN_NS + unit.media_ns,
            clock="here",
            received_ns=unit.media_ns,
            width=width,
            height=height,
        )
        for unit in units.taken
    ]


def later(packets: list[Packet], by_ns: int, **changes: object) -> list[Packet]:
    """The same packets some time later."""
    return [
        msgspec.structs.replace(
            packet,
            **{
                "media_ns": packet.media_ns + by_ns,
                "wall_ns": packet.wall_ns + by_ns,
                "received_ns": packet.received_ns + by_ns,
                **changes,
            },
        )
        for packet in packets
    ]


def played(path: Path) -> list[tuple[int, str]]:
    """Time (whole microseconds) and fingerprint of each picture that a player shows; it passes over a torn packet."""
    shown = []
    with av.open(str(path)) as container:
        for packet in container.demux(video=0):
            with suppress(av.error.InvalidDataError):
                shown += [
                    (round(frame.pts * frame.time_base * 1_000_000), _fingerprint(frame))
                    for frame in packet.decode()
                    if not frame.is_corrupt
                ]
    return shown


def _fingerprint(frame: av.VideoFrame) -> str:
    return hashlib.sha256(frame.to_ndarray(format="yuv420p").tobytes()).hexdigest()


def eventually(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Wait for a condition; fails after the given time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)
