"""From any moment of a recording to its first picture: 1920 x 1080, 25 pictures a second, H.264, a key picture every
2 s and every 10 s.

Two recordings are made by the recorder's own segment writer from the demo clip, with annotations in the archive. Then
pictures at random moments are asked for, one after the other, each by a playback of its own, as somebody does who
drags along a timeline. The files are in the page cache, as they are when they were written lately.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from stream.archive.annotations import AnnotatedFrame
from stream.archive.archive import Archive
from stream.messages import Packet, TrackedFace, annotation_hash
from stream.recording.mp4.segment import Segment, format_of
from stream.replay.playback import Playback
from tools.benchmarks.report import machine
from tools.demo.clip import cached_clip

SIZE, RATE = (1920, 1080), 25
GROUPS_S = (2, 10)
TARGET_MS = 500.0
_FRAME_NS = 1_000_000_000 // RATE
_LOOP = 10 * RATE  # pictures of the clip that are encoded once and repeated
_BIT_RATE = 4_000_000
_BEGAN_NS = 1_790_000_000_000_000_000


def measure(seconds: int = 60, seeks: int = 100) -> dict[str, Any]:
    """Milliseconds from asking to the picture, for each length of a group of pictures."""
    figures: dict[str, Any] = {"machine": machine(), "seconds": seconds, "seeks": seeks, "groups": []}
    with tempfile.TemporaryDirectory() as scratch, Archive.open(Path(scratch), write=True) as archive:
        run = archive.begin_run(_BEGAN_NS, "benchmark", {}, {})
        for group_s in GROUPS_S:
            camera = f"group-{group_s}s"
            _record(archive, run, camera, group_s, seconds)
            figures["groups"].append({"group_s": group_s, **_seek(archive, camera, seconds, seeks)})
    figures["target_met"] = all(group["ms"]["p50"] <= TARGET_MS for group in figures["groups"])
    return figures


def _seek(archive: Archive, camera: str, seconds: int, seeks: int) -> dict[str, Any]:
    moments = random.Random(7)
    spent, worked = [], []
    for _ in range(seeks):
        wall_ns = _BEGAN_NS + moments.randrange((seconds - 1) * 1_000_000_000)
        began, busy = time.perf_counter(), time.process_time()
        frame = next(Playback(archive, camera).frames(from_ns=wall_ns))
        spent.append(1000 * (time.perf_counter() - began))
        worked.append(1000 * (time.process_time() - busy))
        if not 0 <= frame.wall_ns - wall_ns < _FRAME_NS:
            raise RuntimeError(f"{camera}: asked for {wall_ns}, the first picture is of {frame.wall_ns}")
    quantiles = dict(zip(("p50", "p95", "max"), np.percentile(spent, (50, 95, 100)), strict=True))
    within = sum(ms <= TARGET_MS for ms in spent) / seeks
    return {
        "ms": {name: round(float(ms), 1) for name, ms in quantiles.items()},
        "within_target": round(within, 3),
        "processor_ms_p50": round(float(np.median(worked)), 1),
    }


def _record(archive: Archive, run: int, camera: str, group_s: int, seconds: int) -> None:
    packets = _packets(camera, group_s, seconds)
    first = next(packets)
    path = archive.folder / f"{camera}.mp4"
    segment = Segment(path, format_of(first), first)
    segment.add(first)
    for packet in packets:
        segment.add(packet)
    segment.flush()
    segment.close()
    row = archive.begin_segment(
        camera=camera,
        run=run,
        connection=first.connection,
        path=path.name,
        codec=first.codec,
        width=SIZE[0],
        height=SIZE[1],
        began_ns=first.wall_ns,
        began_media_ns=first.media_ns,
    )
    archive.grow_segment(
        row,
        segment.ended_wall_ns,
        segment.ended_media_ns,
        segment.bytes,
        segment.frames,
        segment.clock_pairs,
    )
    archive.finish_segment(row, True)
    archive.add_frames(run, camera, [_annotated(number) for number in range(0, seconds * RATE, 3)])


def _packets(camera: str, group_s: int, seconds: int) -> Iterator[Packet]:
    """The clip, enlarged, encoded as cameras do: no pictures out of order, a steady rate of bits."""
    encoder = av.CodecContext.create("libx264", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = *SIZE, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, RATE), Fraction(RATE)
    encoder.gop_size, encoder.bit_rate = group_s * RATE, _BIT_RATE
    encoder.options = {"preset": "veryfast", "tune": "zerolatency", "x264-params": "scenecut=0:keyint-min=1"}
    encoded = []
    with av.open(str(cached_clip())) as clip:
        for number, frame in zip(range(_LOOP), clip.decode(video=0), strict=False):
            larger = frame.reformat(*SIZE, format="yuv420p")
            larger.pts, larger.time_base, larger.pict_type = number, Fraction(1, RATE), 0
            encoded += [(bytes(packet), packet.is_keyframe) for packet in encoder.encode(larger)]
    encoded += [(bytes(packet), packet.is_keyframe) for packet in encoder.encode(None)]
    for number in range(seconds * RATE):
        data, key = encoded[number % len(encoded)]
        yield Packet(
            camera=camera,
            connection=1,
            codec="h264",
            parameter_sets=b"",
            data=data,
            key=key,
            media_ns=number * _FRAME_NS,
            wall_ns=_BEGAN_NS + number * _FRAME_NS,
            clock="here",
            received_ns=0,
            width=SIZE[0],
            height=SIZE[1],
        )


def _annotated(number: int) -> AnnotatedFrame:
    faces = tuple(
        TrackedFace(
            track,
            (100.0 * track, 100.0, 100.0 * track + 80, 200.0),
            tuple((100.0 * track + point, 120.0) for point in range(5)),
            0.99,
            None,
            0.0,
            "undecided",
            None,
            None,
            (),
            None,
        )
        for track in range(1, 4)
    )
    media_ns = number * _FRAME_NS
    seen = annotation_hash(faces)
    return AnnotatedFrame(number + 1, media_ns, _BEGAN_NS + media_ns, *SIZE, 1, number + 1, 0, faces, seen)


def main() -> int:
    """Measure, print, and save where asked."""
    parser = argparse.ArgumentParser(prog="python -m tools.benchmark playback", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="length of each recording")
    parser.add_argument("--seeks", type=int, default=100, help="how many moments")
    parser.add_argument("--json", type=Path, help="save the figures here")
    options = parser.parse_args()
    figures = measure(options.seconds, options.seeks)
    for group in figures["groups"]:
        ms = group["ms"]
        print(
            f"key picture every {group['group_s']:2d} s: first picture after {ms['p50']:.0f} ms (p50), "
            f"{ms['p95']:.0f} ms (p95), {ms['max']:.0f} ms (longest); {group['within_target']:.0%} within "
            f"{TARGET_MS:.0f} ms; {group['processor_ms_p50']:.0f} ms of a processor's time (p50)"
        )
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
