"""A month of eight cameras in the archive: how long it takes to ask it something, and to put something in.

The archive is built with its own methods: a segment a minute, 500 sightings a day and camera with a picture and an
embedding each, and an hour of annotated frames. Then each question is asked many times, as
by a process that has it open.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from engines.masks.state import STATES
from stream.archive.annotations import AnnotatedFrame
from stream.archive.archive import Archive
from stream.archive.database import FILE
from stream.archive.footage import Span
from stream.archive.sightings import Query, Sighting
from stream.messages import Candidate, TrackedFace, annotation_hash
from tools.benchmarks.report import machine

TARGET_TIMELINE_MS = 50.0
_SPACE = "benchmark"
_SECOND_NS = 1_000_000_000
_DAY_NS = 24 * 3600 * _SECOND_NS
_FPS = 25
_BEGAN_NS = 1_750_000_000 * _SECOND_NS
_PEOPLE = tuple(f"Person {number}" for number in range(50))
_PICTURE_BYTES = 4000
_BINS = 500


def build(folder: Path, days: int, cameras: int, sightings_a_day: int, segment_s: int = 60) -> float:
    """Make the archive; how many seconds it took."""
    began = time.perf_counter()
    random = np.random.default_rng(1)
    names = _cameras(cameras)
    with Archive.open(folder, write=True) as archive:
        with archive.transaction():
            run = archive.begin_run(_BEGAN_NS, "benchmark", {}, {})
        for day in range(days):
            day_ns = _BEGAN_NS + day * _DAY_NS
            for camera in names:
                with archive.transaction():
                    for at_ns in range(day_ns, day_ns + _DAY_NS, segment_s * _SECOND_NS):
                        _put_segment(archive, run, camera, at_ns, segment_s)
                    for number, offset in enumerate(sorted(random.integers(0, _DAY_NS, sightings_a_day))):
                        track = day * sightings_a_day + number
                        archive.put_sighting(_sighting(random, run, camera, track, day_ns + int(offset)))
        ended_ns = _BEGAN_NS + days * _DAY_NS
        for camera in names:
            with archive.transaction():
                for second in range(3600):
                    archive.add_frames(run, camera, _frames(ended_ns - (3600 - second) * _SECOND_NS))
    return time.perf_counter() - began


def measure(
    folder: Path, days: int = 30, cameras: int = 8, sightings_a_day: int = 500, repeats: int = 200
) -> dict[str, Any]:
    """Latencies in ms of each question and each entry, and the processor time that it takes on average."""
    built_s = build(folder, days, cameras, sightings_a_day)
    random = np.random.default_rng(2)
    names = _cameras(cameras)
    ended_ns = _BEGAN_NS + days * _DAY_NS
    first: list[tuple[float, float]] = []

    def moment() -> int:
        return int(random.integers(_BEGAN_NS, ended_ns - _SECOND_NS))

    figures: dict[str, Any] = {
        "machine": machine(),
        "days": days,
        "cameras": cameras,
        "sightings": days * cameras * sightings_a_day,
        "built_s": built_s,
        "bytes": (folder / FILE).stat().st_size,
        "ms": {},
    }

    def ask(name: str, question: Callable[[], object], times: int = repeats) -> None:
        figures["ms"][name] = _spread([_timed(question) for _ in range(times)])

    for _ in range(5):
        with Archive.open(folder) as archive:
            first.append(_timed(lambda: archive.timeline(_BEGAN_NS, ended_ns, bins=_BINS)))
    figures["ms"]["timeline, the first of a process"] = _spread(first)
    with Archive.open(folder) as archive:
        ask("timeline, all days and cameras", lambda: archive.timeline(_BEGAN_NS, ended_ns, bins=_BINS), 50)
        ask("timeline, one day", lambda: archive.timeline(ended_ns - _DAY_NS, ended_ns, bins=_BINS))
        ask("sightings, newest 100", lambda: archive.sightings(Query()))
        ask(
            "sightings of a person, all days",
            lambda: archive.sightings(Query(person=_PEOPLE[int(random.integers(len(_PEOPLE)))])),
        )
        ask(
            "sightings, an hour of one camera, masked",
            lambda: archive.sightings(_hour(moment(), names[int(random.integers(cameras))])),
        )
        ask(
            "one sighting with its pictures",
            lambda: archive.sighting(int(random.integers(1, figures["sightings"]))),
        )
        ask("like, the first time", lambda: archive.like(_embedding(random), _SPACE), 1)
        ask("like, over everything", lambda: archive.like(_embedding(random), _SPACE))
        ask("like, within a day", lambda: archive.like(_embedding(random), _SPACE, _day(moment())))
        ask("seek", lambda: archive.seek(names[int(random.integers(cameras))], moment()))
        ask(
            "frames of ten seconds",
            lambda: list(
                archive.frames(names[0], ended_ns - 1800 * _SECOND_NS, ended_ns - 1790 * _SECOND_NS)
            ),
        )
        ask("protect a span", lambda: archive.protect(Span(at := moment(), at + _SECOND_NS)))
    with Archive.open(folder, write=True) as archive:
        run = archive.runs()[-1].id
        tracks = iter(range(10**6, 10**7))
        ask(
            "put_sighting, one transaction",
            lambda: archive.put_sighting(_sighting(random, run, names[0], next(tracks), ended_ns)),
        )
        ask("a second of all cameras, one transaction", lambda: _put_second(archive, run, names, ended_ns))
        ask(
            "add_frames, a second of one camera", lambda: archive.add_frames(run, names[0], _frames(ended_ns))
        )
    figures["target_met"] = figures["ms"]["timeline, all days and cameras"]["p99"] <= TARGET_TIMELINE_MS
    return figures


def show(figures: dict[str, Any]) -> None:
    """The figures as a table."""
    print(
        f"{figures['days']} days, {figures['cameras']} cameras, {figures['sightings']} sightings,"
        f" {figures['bytes'] / 1e9:.2f} GB, built in {figures['built_s']:.0f} s, {figures['machine']['cpu']}"
    )
    print(f"{'':42}{'p50':>9}{'p95':>9}{'p99':>9}{'max':>9}{'CPU':>9}   ms")
    for name, spread in figures["ms"].items():
        print(f"{name:42}" + "".join(f"{spread[kind]:9.2f}" for kind in ("p50", "p95", "p99", "max", "cpu")))
    print(f"p99 of the timeline <= {TARGET_TIMELINE_MS:g} ms: {'yes' if figures['target_met'] else 'NO'}")


def main() -> int:
    """Measure, print, save."""
    parser = argparse.ArgumentParser(prog="python -m tools.benchmark archive", description=__doc__)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--cameras", type=int, default=8)
    parser.add_argument("--sightings", type=int, default=500, help="a day and camera")
    parser.add_argument(
        "--folder", type=Path, help="build the archive here, and leave it; by default it is removed"
    )
    parser.add_argument("--json", type=Path, help="save all figures here")
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="unvizard-archive-"))
    try:
        figures = measure(folder, given.days, given.cameras, given.sightings)
    finally:
        if given.folder is None:
            shutil.rmtree(folder)
    show(figures)
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1))
    return 0


def _put_segment(archive: Archive, run: int, camera: str, at_ns: int, seconds: int) -> None:
    media_ns = at_ns - _BEGAN_NS
    segment = archive.begin_segment(
        camera=camera,
        run=run,
        connection=_BEGAN_NS,
        path=f"{camera}/{at_ns}.mp4",
        codec="h264",
        width=1920,
        height=1080,
        began_ns=at_ns,
        began_media_ns=media_ns,
    )
    offsets = np.arange(0, seconds * _SECOND_NS, _SECOND_NS // _FPS)
    pairs = np.stack([media_ns + offsets, at_ns + offsets], axis=1)
    archive.grow_segment(segment, int(pairs[-1, 1]), int(pairs[-1, 0]), seconds * 500_000, len(pairs), pairs)


def _put_second(archive: Archive, run: int, names: tuple[str, ...], at_ns: int) -> None:
    with archive.transaction():
        for camera in names:
            archive.add_frames(run, camera, _frames(at_ns))


def _sighting(random: np.random.Generator, run: int, camera: str, track: int, at_ns: int) -> Sighting:
    known = random.random() < 0.5
    person = _PEOPLE[int(random.integers(len(_PEOPLE)))]
    others = tuple(Candidate(name, 0.1, {"raw": 0.3}) for name in _PEOPLE[:3] if name != person)
    lasted_ns = int(random.integers(1, 60)) * _SECOND_NS
    return Sighting(
        camera=camera,
        run=run,
        epoch=_BEGAN_NS,
        track=track,
        first_ns=at_ns,
        last_ns=at_ns + lasted_ns,
        first_media_ns=at_ns - _BEGAN_NS,
        last_media_ns=at_ns - _BEGAN_NS + lasted_ns,
        decision="person" if known else "nobody",
        person=person if known else None,
        probability=0.95,
        mask=STATES[int(random.integers(len(STATES)))],
        candidates=(Candidate(person, 0.95, {"raw": 0.7}), *others) if known else others,
        versions={"gallery": 3},
        space=_SPACE,
        embedding=_embedding(random).tobytes(),
        look=random.bytes(_PICTURE_BYTES),
    )


def _embedding(random: np.random.Generator) -> NDArray[np.float32]:
    vector = random.standard_normal(128).astype(np.float32)
    return vector / np.float32(np.linalg.norm(vector))


def _frames(at_ns: int) -> list[AnnotatedFrame]:
    """A second of one camera with one face."""
    face = TrackedFace(
        track=7,
        box=(100.0, 100.0, 180.0, 200.0),
        landmarks=((120.0, 130.0), (160.0, 130.0), (140.0, 150.0), (125.0, 175.0), (155.0, 175.0)),
        score=0.99,
        mask=STATES[0],
        mask_probability=0.9,
        decision="person",
        person=_PEOPLE[0],
        probability=0.95,
        candidates=tuple(Candidate(name, 0.3, {"raw": 0.5}) for name in _PEOPLE[:3]),
        unfit=None,
    )
    frames = []
    for number in range(_FPS):
        offset = number * _SECOND_NS // _FPS
        moved = (100.0 + number, 100.0, 180.0 + number, 200.0)
        faces = (msgspec.structs.replace(face, box=moved),)
        frames.append(
            AnnotatedFrame(
                sequence=number,
                media_ns=at_ns - _BEGAN_NS + offset,
                wall_ns=at_ns + offset,
                width=1920,
                height=1080,
                epoch=_BEGAN_NS,
                step=(at_ns - _BEGAN_NS) // _SECOND_NS * _FPS + number,
                gallery=3,
                faces=faces,
                hash=annotation_hash(faces),
            )
        )
    return frames


def _day(at_ns: int) -> Query:
    return Query(from_ns=at_ns, to_ns=at_ns + _DAY_NS)


def _hour(at_ns: int, camera: str) -> Query:
    return Query(from_ns=at_ns, to_ns=at_ns + _DAY_NS // 24, cameras=(camera,), masks=STATES[1:])


def _cameras(count: int) -> tuple[str, ...]:
    return tuple(f"camera-{number}" for number in range(count))


def _timed(question: Callable[[], object]) -> tuple[float, float]:
    """Wall time and this process's processor time, ms."""
    began, worked = time.perf_counter(), time.process_time()
    question()
    return (time.perf_counter() - began) * 1000, (time.process_time() - worked) * 1000


def _spread(times: list[tuple[float, float]]) -> dict[str, float]:
    wall, processor = zip(*times, strict=True)
    return {
        **{f"p{share}": float(np.percentile(wall, share)) for share in (50, 95, 99)},
        "max": max(wall),
        "cpu": float(np.mean(processor)),
        "count": len(times),
    }


if __name__ == "__main__":
    sys.exit(main())
