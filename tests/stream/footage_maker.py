"""Makes small recordings from their parts: real packets of a real encoder in real segments, and an archive of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from stream.archive.annotations import AnnotatedFrame
from stream.archive.archive import Archive
from stream.messages import Packet, TrackedFace, annotation_hash
from stream.recording.mp4.segment import Segment, format_of

BEGAN_NS = 1_790_000_000_123_456_789
FRAME_NS = 40_000_019  # no file's time base holds this exactly
RATE = 25


@dataclass
class Shot:
    """One encoded access unit."""

    data: bytes
    number: int  # of the picture, in the order in which they are shown
    key: bool


@dataclass
class Clip:
    """Encoded pictures in decoding order. pictures: what a decoder makes of them, I420 by number."""

    codec: str
    width: int
    height: int
    extradata: bytes
    shots: list[Shot]
    pictures: dict[int, NDArray[np.uint8]] = field(default_factory=dict)


def encode(
    frames: int, gop: int, codec: str = "h264", b_frames: int = 0, size: tuple[int, int] = (320, 192)
) -> Clip:
    """Moving noise; the number of the picture is in its brightness too."""
    width, height = size
    ground = np.random.default_rng(2).integers(0, 160, (height, width), np.uint8)
    context = av.CodecContext.create("libx264" if codec == "h264" else "libx265", "w")
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.framerate, context.time_base = Fraction(RATE), Fraction(1, RATE)
    context.gop_size, context.max_b_frames = gop, b_frames
    context.flags |= av.codec.context.Flags.global_header
    context.options = (
        {"preset": "ultrafast", "crf": "28", "x264-params": f"bframes={b_frames}:scenecut=0:open-gop=0"}
        if codec == "h264"
        else {
            "preset": "ultrafast",
            "x265-params": f"log-level=error:pools=none:bframes={b_frames}:scenecut=0",
        }
    )
    shots: list[Shot] = []
    for number in range(frames):
        luma = np.roll(ground, 3 * number, axis=1) // 2 + np.uint8(number % 60)
        picture = np.full((height * 3 // 2, width), 128, np.uint8)
        picture[:height] = luma
        frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
        frame.pts = number
        shots += [_shot(packet) for packet in context.encode(frame)]
    shots += [_shot(packet) for packet in context.encode(None)]
    clip = Clip(codec, width, height, bytes(context.extradata or b""), shots)
    decoder = av.CodecContext.create(codec, "r")
    decoder.extradata = clip.extradata
    for shot in [*shots, None]:
        packet = None
        if shot:
            packet = av.Packet(shot.data)
            packet.pts = shot.number
        for decoded in decoder.decode(packet):
            clip.pictures[decoded.pts] = decoded.to_ndarray()
    assert len(clip.pictures) == frames
    return clip


def _shot(packet: av.Packet) -> Shot:
    assert packet.pts is not None
    return Shot(bytes(packet), packet.pts, packet.is_keyframe)


def media_ns(number: int) -> int:
    return number * FRAME_NS


def write(path: Path, clip: Clip, shots: list[Shot]) -> None:
    """Put access units into a file with the recorder's own writer."""
    path.parent.mkdir(parents=True, exist_ok=True)
    packets = [
        Packet(
            camera="gate",
            connection=1,
            codec=clip.codec,
            parameter_sets=clip.extradata if shot.key else b"",
            data=shot.data,
            key=shot.key,
            media_ns=media_ns(shot.number),
            wall_ns=wall_ns(shot.number),
            clock="here",
            received_ns=0,
            width=clip.width,
            height=clip.height,
        )
        for shot in shots
    ]
    segment = Segment(path, format_of(packets[0]), packets[0])
    for packet in packets:
        segment.add(packet)
    segment.flush()
    segment.close()


def add_segment(
    archive: Archive,
    run: int,
    camera: str,
    clip: Clip,
    shots: list[Shot],
    name: str,
    connection: int = 1,
    wall_shift_ns: int = 0,
    clocked: int | None = None,
) -> int:
    """Write a segment and tell the archive of it. clocked: of how many packets it knows the times (all)."""
    write(archive.folder / name, clip, shots)
    began = shots[0].number
    segment = archive.begin_segment(
        camera=camera,
        run=run,
        connection=connection,
        path=name,
        codec=clip.codec,
        width=clip.width,
        height=clip.height,
        began_ns=wall_ns(began) + wall_shift_ns,
        began_media_ns=media_ns(began),
    )
    newest = max(shot.number for shot in shots)
    pairs = [(media_ns(shot.number), wall_ns(shot.number) + wall_shift_ns) for shot in shots]
    archive.grow_segment(
        segment,
        wall_ns(newest) + wall_shift_ns,
        media_ns(newest),
        (archive.folder / name).stat().st_size,
        len(shots),
        pairs[:clocked],
    )
    archive.finish_segment(segment, True)
    return segment


def wall_ns(number: int) -> int:
    return BEGAN_NS + media_ns(number)


def annotate(
    archive: Archive,
    run: int,
    camera: str,
    numbers: list[int],
    clip: Clip,
    epoch: int = 7,
    faces: Callable[[int], tuple[TrackedFace, ...]] | None = None,
) -> None:
    """Say what was seen on each of these pictures: usually one face, whose track is the picture's number."""
    frames = []
    for step, number in enumerate(numbers, 1):
        seen = faces(number) if faces else (face(number),)
        frames.append(
            AnnotatedFrame(
                sequence=number + 1,
                media_ns=media_ns(number),
                wall_ns=wall_ns(number),
                width=clip.width,
                height=clip.height,
                epoch=epoch,
                step=step,
                gallery=0,
                faces=seen,
                hash=annotation_hash(seen),
            )
        )
    archive.add_frames(run, camera, frames)


def face(track: int, box: tuple[float, float, float, float] = (40.0, 30.0, 90.0, 100.0)) -> TrackedFace:
    points = tuple((box[0] + i, box[1] + i) for i in range(5))
    return TrackedFace(track, box, points, 0.99, None, 0.0, "undecided", None, None, (), None)
