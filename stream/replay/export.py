"""A stretch of one camera's footage as an MP4 to hand over: with names, with strangers hidden, or as recorded."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

import stream
from engines.recognition.audit import Action
from stream.archive.archive import Archive
from stream.capture.cover import Cover
from stream.exporter import Exporter
from stream.moments import iso
from stream.overlay import draw
from stream.recording.mp4.fragments import FragmentError
from stream.replay.playback import Film, PlacedSample, Playback, PlayedFrame, as_live
from stream.replay.selection import local
from stream.replay.veiled import veiled

_TICK = Fraction(1, 1_000_000)


class ExportError(RuntimeError):
    """Why there is no exported file: a sentence for people."""


class Style(StrEnum):
    """What is done to the pictures."""

    NAMES = "names"  # boxes and names as the live page showed them
    BLUR_OTHERS = "blur-others"  # everyone who is not enrolled is made unrecognisable
    PLAIN = "plain"  # nothing: the camera's own packets, from the key picture before


@dataclass(slots=True)
class Exported:
    """What was written. began_ns, ended_ns: wall time of its first and last picture. notes: what to know of it."""

    path: Path
    frames: int = 0
    began_ns: int = 0
    ended_ns: int = 0
    notes: list[str] = field(default_factory=list)
    watch: Callable[[int], None] = field(default=lambda wall_ns: None, repr=False)

    def take(self, wall_ns: int) -> None:
        """Count a picture."""
        self.began_ns = self.began_ns if self.frames else wall_ns
        self.ended_ns = max(self.ended_ns, wall_ns)
        self.frames += 1
        self.watch(wall_ns)


def export(
    archive: Archive,
    camera: str,
    from_ns: int,
    to_ns: int,
    path: Path,
    style: Style,
    threads: int = 2,
    watch: Callable[[int], None] = lambda wall_ns: None,
    cover: Cover | None = None,
) -> Exported:
    """Write what a camera recorded from from_ns to to_ns (wall time) into a new MP4 file that only its owner can read.

    A line of the archive's log says so before anything is written. watch: told the wall time of each picture that was
    written; when it raises, nothing is left behind. cover: the camera's privacy zones; with them there is no plain
    export. Raises ExportError, ArchiveError, OSError.
    """
    if to_ns <= from_ns:
        raise ExportError(f"the export must end after it begins, found {local(from_ns)} to {local(to_ns)}")
    if cover and style is Style.PLAIN:
        raise ExportError(f"{camera}: has a privacy zone, so its footage cannot leave as it was recorded")
    if path.exists():
        raise ExportError(f"{path}: is there already, and is not written over")
    if not archive.segments(camera, from_ns, to_ns):
        raise ExportError(f"{camera}: nothing was recorded from {local(from_ns)} to {local(to_ns)}")
    exported = Exported(path, watch=watch)
    if archive.log(Action.EXPORTED, detail=f"{camera} from {from_ns} to {to_ns}, {style}") is None:
        exported.notes.append("the archive cannot be written here, so this export is not in its log")
    if style is Style.PLAIN:
        _copy(archive, camera, from_ns, to_ns, exported)
    else:
        _draw(
            Playback(archive, camera, None, exported.notes, cover), from_ns, to_ns, exported, style, threads
        )
    if not exported.frames:
        reasons = "; ".join(exported.notes) or "no picture of this time can be decoded"
        raise ExportError(f"{camera}: nothing could be exported: {reasons}")
    return exported


# with names, or with strangers hidden


def _draw(
    playback: Playback, from_ns: int, to_ns: int, exported: Exported, style: Style, threads: int
) -> None:
    pictures = _named(playback, from_ns, to_ns) if style is Style.NAMES else veiled(playback, from_ns, to_ns)
    exporter = Exporter(exported.path, threads)
    timeline = _Timeline()
    try:
        for frame, picture in pictures:
            exporter.write(picture, timeline.at(frame.segment.run, frame.media_ns, frame.wall_ns))
            exported.take(frame.wall_ns)
        exporter.close()
    except BaseException:
        exporter.abandon()
        raise


def _named(playback: Playback, from_ns: int, to_ns: int) -> Iterator[tuple[PlayedFrame, NDArray[np.uint8]]]:
    for frame in as_live(playback.frames(from_ns, to_ns)):
        picture = frame.bgr()
        draw(picture, frame.annotation.faces if frame.annotation else ())
        yield frame, picture


# as it was recorded


def _copy(archive: Archive, camera: str, from_ns: int, to_ns: int, exported: Exported) -> None:
    part = exported.path.with_name(exported.path.name + ".part")
    exported.path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
    try:
        with av.open(str(part), "w", format="mp4", options={"movflags": "+faststart"}) as container:
            _mux(container, _films(archive, camera, from_ns, to_ns, exported.notes), from_ns, to_ns, exported)
        if exported.frames:
            part.replace(exported.path)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _films(archive: Archive, camera: str, from_ns: int, to_ns: int, notes: list[str]) -> Iterator[Film]:
    for segment in sorted(archive.segments(camera, from_ns, to_ns), key=lambda segment: segment.id):
        try:
            yield Film(archive, segment)
        except (FragmentError, OSError) as error:
            notes.append(f"{segment.path}: cannot be read: {error}")


def _mux(
    container: av.container.OutputContainer,
    films: Iterator[Film],
    from_ns: int,
    to_ns: int,
    exported: Exported,
) -> None:
    track: av.VideoStream | None = None
    first: Film | None = None
    timeline = _Timeline()
    last_dts = -1
    for film in films:
        cut = _cut(film, from_ns, to_ns)
        if not cut:
            continue
        if first is None or track is None:
            first, track = film, _track(container, film)
            container.metadata["creation_time"] = iso(cut[0].wall_ns)
            container.metadata["comment"] = (
                f"{film.segment.camera}, as it was recorded; cut by Unvizard {stream.__version__}"
            )
        elif film.fragments.parameter_sets != first.fragments.parameter_sets:
            raise ExportError(
                f"the camera's format changed at {local(film.segment.began_ns)}, and one file cannot hold both "
                "without encoding them anew: export what is before and what is after by themselves"
            )
        places = (timeline.at(film.segment.run, placed.media_ns, placed.wall_ns) for placed in cut)
        shown = [round(place / 1000) for place in places]
        ordered = sorted(shown)
        held = max(due - pts for due, pts in zip(ordered, shown, strict=True))
        with film.path.open("rb") as file:
            for placed, pts, due in zip(cut, shown, ordered, strict=True):
                packet = av.Packet(film.fragments.raw(placed.sample, file))
                packet.stream, packet.time_base = track, _TICK
                last_dts = max(last_dts + 1, due - held) if exported.frames else due - held
                packet.pts, packet.dts = max(pts, last_dts), last_dts
                packet.is_keyframe = placed.sample.key
                container.mux(packet)
                exported.take(placed.wall_ns)


def _track(container: av.container.OutputContainer, film: Film) -> av.VideoStream:
    """A track like that of a segment."""
    with av.open(str(film.path)) as source:
        track = container.add_stream_from_template(source.streams.video[0])
    track.time_base = _TICK
    return track


def _cut(film: Film, from_ns: int, to_ns: int) -> list[PlacedSample]:
    """The samples from the key sample at or before from_ns to the last one before to_ns."""
    inside = [n for n, placed in enumerate(film.samples) if from_ns <= placed.wall_ns < to_ns]
    if not inside:
        return []
    return film.samples[film.begin(min(film.samples[n].media_ns for n in inside)) : inside[-1] + 1]


class _Timeline:
    """One timeline from 0 for footage of one run or several; between two runs the wall clock tells how long."""

    def __init__(self) -> None:
        self._run: int | None = None
        self._shift_ns = self._last_ns = self._last_wall_ns = 0

    def at(self, run: int, media_ns: int, wall_ns: int) -> int:
        """Where a picture lies, ns."""
        if run != self._run:
            passed_ns = max(1, wall_ns - self._last_wall_ns) if self._run is not None else 0
            self._run, self._shift_ns = run, self._last_ns + passed_ns - media_ns
        at = media_ns + self._shift_ns
        self._last_ns, self._last_wall_ns = max(self._last_ns, at), wall_ns
        return at
