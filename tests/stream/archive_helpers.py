"""Things to put into an archive, and places to put it: real files, and real small disks."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from engines.masks.state import MaskState
from stream.archive.annotations import AnnotatedFrame
from stream.archive.archive import Archive
from stream.archive.sightings import Sighting
from stream.messages import Candidate, Packet, TrackedFace, annotation_hash
from stream.recording.mp4.segment import Segment as SegmentFile
from stream.recording.mp4.segment import format_of, new_file

SECOND = 1_000_000_000
HOUR = 3600 * SECOND
DAY = 24 * HOUR
T0 = 1_790_000_000 * SECOND
EPOCH = T0 - 5 * SECOND
STEP = 40_000_000
SPACE = "space of the tests"
ADA, GRACE = "Ada Lovelace", "Grace Hopper"


class Clock:
    """This machine's clock, to be set."""

    def __init__(self, now_ns: int = T0) -> None:
        self.now_ns = now_ns

    def __call__(self) -> int:
        return self.now_ns


def face(track: int = 1, person: str | None = ADA, others: tuple[str, ...] = (GRACE,)) -> TrackedFace:
    named = (person, *others) if person else others
    return TrackedFace(
        track=track,
        box=(10.5, 20.25, 60.0, 80.0),
        landmarks=((20.0, 30.0), (40.0, 30.0), (30.0, 45.0), (22.0, 60.0), (42.0, 60.0)),
        score=0.98,
        mask=MaskState.NONE,
        mask_probability=0.9,
        decision="person" if person else "nobody",
        person=person,
        probability=0.97,
        candidates=tuple(Candidate(name, 0.5, {"raw": 0.4, "unmasked": 0.3}) for name in named),
        unfit=None,
    )


def frame(
    number: int, faces: tuple[TrackedFace, ...] = (), *, at_ns: int = T0, **changed: Any
) -> AnnotatedFrame:
    """Frame `number` of 25 a second, from at_ns on; media time begins at 0."""
    values = {
        "sequence": number + 1,
        "media_ns": number * STEP,
        "wall_ns": at_ns + number * STEP,
        "width": 640,
        "height": 360,
        "epoch": EPOCH,
        "step": number + 1,
        "gallery": 3,
        "faces": faces,
        "hash": annotation_hash(faces),
    }
    return AnnotatedFrame(**{**values, **changed})


def sighting(run: int, track: int = 1, **changed: Any) -> Sighting:
    values: dict[str, Any] = {
        "camera": "door",
        "run": run,
        "epoch": EPOCH,
        "track": track,
        "first_ns": T0 + track * SECOND,
        "last_ns": T0 + (track + 5) * SECOND,
        "first_media_ns": track * SECOND,
        "last_media_ns": (track + 5) * SECOND,
        "decision": "person",
        "person": ADA,
        "probability": 0.97,
        "mask": MaskState.WORN,
        "candidates": (Candidate(ADA, 0.97, {"raw": 0.6}), Candidate(GRACE, 0.01, {"raw": 0.2})),
        "versions": {"gallery": 3, "generator": "abc"},
    }
    return Sighting(**{**values, **changed})


def embedding(seed: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    vector = np.random.default_rng(seed).standard_normal(128).astype("<f4")
    return vector / np.linalg.norm(vector)


def put_segment(
    archive: Archive,
    run: int,
    *,
    camera: str = "door",
    at_ns: int = T0,
    seconds: int = 10,
    size: int = 1000,
    media_ns: int = 0,
    complete: bool = True,
) -> int:
    """A row and a file of `size` bytes that are no footage."""
    path = archive.folder / camera / "2026-09-21" / f"{at_ns}.mp4"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    frames = seconds * 25
    pairs = [(media_ns + n * STEP, at_ns + n * STEP) for n in range(frames)]
    with archive.transaction():
        segment = archive.begin_segment(
            camera=camera,
            run=run,
            connection=T0,
            path=str(path.relative_to(archive.folder)),
            codec="h264",
            width=640,
            height=360,
            began_ns=at_ns,
            began_media_ns=media_ns,
            reason="continuous",
        )
        for second in range(seconds):
            new = pairs[second * 25 : (second + 1) * 25]
            archive.grow_segment(segment, new[-1][1], new[-1][0], size, (second + 1) * 25, new)
        if complete:
            archive.finish_segment(segment, True)
    return segment


def record(folder: Path, camera: str = "door", at_ns: int = T0, frames: int = 60) -> Path:
    """A file as the recorder writes it, of `frames` real pictures, without a row in any archive."""
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.gop_size, encoder.max_b_frames = (
        160,
        96,
        "yuv420p",
        25,
        0,
    )
    encoder.framerate = 25
    encoder.options = {"preset": "ultrafast", "tune": "zerolatency"}
    file: SegmentFile | None = None
    for number in range(frames):
        picture = av.VideoFrame.from_ndarray(np.full((96, 160, 3), number * 4 % 256, np.uint8), "rgb24")
        picture.pts = number
        for unit in encoder.encode(picture):
            packet = Packet(
                camera=camera,
                connection=at_ns,
                codec="h264",
                parameter_sets=b"",
                data=bytes(unit),
                key=unit.is_keyframe,
                media_ns=7 * SECOND + number * STEP,
                wall_ns=at_ns + number * STEP,
                clock="here",
                received_ns=number,
                width=160,
                height=96,
            )
            if file is None:
                file = SegmentFile(new_file(folder, camera, at_ns), format_of(packet), packet)
            file.add(packet)
    assert file is not None
    file.flush()
    file.close()
    return file.path


def on_small_disk(folder: Path, script: str) -> str:
    """What a Python script prints that has a disk of 2 MB of its own at `folder`, which is its first argument."""
    unshare = shutil.which("unshare")
    if not unshare or subprocess.run([unshare, "-Urm", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this system does not let tests mount a disk")
    done = subprocess.run(
        [unshare, "-Urm", "sh", "-c", 'mount -t tmpfs -o size=2m none "$1" && exec "$2" -c "$3" "$1"', "-"]
        + [str(folder), sys.executable, script],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
