"""The pictures of a recording again: each with its times and, where it was processed, with what was seen on it.

An annotation belongs to the picture of its camera, run and media time, exactly; there is no offset to tune.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from msgspec.structs import replace as replace_fields
from numpy.typing import NDArray

from stream.archive.annotations import AnnotatedFrame
from stream.archive.archive import Archive
from stream.archive.footage import Segment
from stream.capture.cover import Cover
from stream.capture.decoder import Decoded
from stream.recording.mp4.fragments import FragmentError, Fragments, Sample
from stream.replay.decoding import RecordingDecoder, Unit

_SAME_MOMENT_NS = 600_000  # a file's time stamps are rounded; two pictures are farther apart
_NOBODY_LOOKED_NS = 500_000_000
_WINDOW_NS = 5_000_000_000  # annotations are fetched for so much time at once
_SLACK_NS = 1_000_000_000
_NO_PICTURE = np.zeros((0, 0), np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class PlayedFrame:
    """One picture of a recording.

    i420: uint8 [height * 3 / 2, width], as capture decoded it. media_ns, wall_ns: as in FrameReady. annotation: what
    was seen on this very frame; None where it was not processed.
    """

    camera: str
    segment: Segment
    i420: NDArray[np.uint8]
    width: int
    height: int
    media_ns: int
    wall_ns: int
    annotation: AnnotatedFrame | None

    def bgr(self) -> NDArray[np.uint8]:
        """The picture as uint8 BGR [H, W, 3]."""
        return np.asarray(cv2.cvtColor(self.i420, cv2.COLOR_YUV2BGR_I420), np.uint8)


@dataclass(frozen=True, slots=True)
class PlacedSample:
    """One access unit in its file, with its picture's times."""

    sample: Sample
    media_ns: int
    wall_ns: int


class Film:
    """One segment's file: what lies in it, and when. Raises FragmentError, OSError.

    A segment that is still being written is read up to its last whole fragment.
    """

    def __init__(self, archive: Archive, segment: Segment) -> None:
        self.segment = segment
        self.path: Path = archive.folder / segment.path
        self.fragments = Fragments(self.path)
        self.samples = _placed(self.fragments.samples, archive.clock(segment.id), segment)

    def begin(self, media_ns: int) -> int:
        """Where decoding has to begin so that the picture of a media time comes out: the key sample at or before."""
        earlier = [
            number
            for number, placed in enumerate(self.samples)
            if placed.sample.key and placed.media_ns <= media_ns
        ]
        return earlier[-1] if earlier else 0

    def units(self, first: int, end: int) -> Iterator[tuple[PlacedSample, Unit]]:
        """The access units of samples[first:end]; key units carry the parameter sets. Raises OSError."""
        with self.path.open("rb") as file:
            for placed in self.samples[first:end]:
                data = self.fragments.data(placed.sample, file)
                if placed.sample.key:
                    data = self.fragments.parameter_sets + data
                yield placed, Unit(data, placed.media_ns, placed.sample.key)


class Playback:
    """One camera's footage. run: only what this run recorded.

    notes: gets what could not be played, a sentence each, as far as was played. cover: what is black on every picture.
    """

    def __init__(
        self,
        archive: Archive,
        camera: str,
        run: int | None = None,
        notes: list[str] | None = None,
        cover: Cover | None = None,
    ) -> None:
        self.camera, self._cover = camera, cover
        self.notes = [] if notes is None else notes
        self._archive, self._run = archive, run

    def frames(
        self, from_ns: int | None = None, to_ns: int | None = None, annotated_only: bool = False
    ) -> Iterator[PlayedFrame]:
        """The pictures with from_ns <= wall time < to_ns, as they were recorded, over all segments and gaps.

        annotated_only: only those that were processed live; the others are decoded as far as these need them.
        """
        for frame in self._recorded(from_ns, to_ns, annotated_only):
            yield replace(frame, i420=self._cover.over(frame.i420)) if self._cover else frame

    def _recorded(
        self, from_ns: int | None, to_ns: int | None, annotated_only: bool
    ) -> Iterator[PlayedFrame]:
        annotations = _Annotations(self._archive)
        reel: _Reel | None = None
        for segment in self._segments(from_ns, to_ns):
            try:
                film = Film(self._archive, segment)
            except (FragmentError, OSError) as error:
                self.notes.append(f"{segment.path}: cannot be played: {error}")
                continue
            inside = [n for n, placed in enumerate(film.samples) if _between(placed.wall_ns, from_ns, to_ns)]
            if not inside:
                continue
            first = 0
            if reel is None or inside[0] or not reel.goes_on_in(segment):
                if reel:
                    yield from reel.rest()
                reel = _Reel(segment)
                first = film.begin(min(film.samples[number].media_ns for number in inside))
            yield from reel.play(film, first, set(inside), annotations, annotated_only, self.notes)
        if reel:
            yield from reel.rest()

    def _segments(self, from_ns: int | None, to_ns: int | None) -> list[Segment]:
        found = self._archive.segments(self.camera, from_ns, to_ns)
        return sorted((s for s in found if self._run in (None, s.run)), key=lambda segment: segment.id)


def as_live(frames: Iterable[PlayedFrame]) -> Iterator[PlayedFrame]:
    """The frames that the live page showed; and the others where nobody looked for half a second."""
    waiting: list[PlayedFrame] = []
    looked_ns: int | None = None
    for frame in frames:
        looked_ns = frame.media_ns if looked_ns is None else looked_ns
        nobody = not 0 <= frame.media_ns - looked_ns <= _NOBODY_LOOKED_NS
        if frame.annotation is None:
            waiting.append(frame)
        if nobody:
            yield from waiting
            waiting = []
        if frame.annotation is not None:
            looked_ns, waiting = frame.media_ns, []
            yield frame


class _Reel:
    """Segments that adjoin, and the decoder that goes from one to the next: pictures may refer over the seam."""

    def __init__(self, segment: Segment) -> None:
        self._segment = segment
        self._awaited: dict[int, PlayedFrame] = {}  # by label: all but the picture
        self._decoder = RecordingDecoder(segment.codec, self._awaited.__contains__)
        self._whole = True

    def goes_on_in(self, segment: Segment) -> bool:
        """Whether a segment's first unit follows the last one that was decoded."""
        last = self._segment
        return self._whole and (last.run, last.connection, last.codec) == (
            segment.run,
            segment.connection,
            segment.codec,
        )

    def play(
        self,
        film: Film,
        first: int,
        inside: set[int],
        annotations: _Annotations,
        annotated_only: bool,
        notes: list[str],
    ) -> Iterator[PlayedFrame]:
        """Decode from samples[first] to the last of those inside, and give these."""
        self._segment, end = film.segment, max(inside) + 1
        self._whole = end == len(film.samples)
        damaged = self._decoder.damaged
        try:
            for number, (placed, unit) in enumerate(film.units(first, end), first):
                if number in inside:
                    annotation = annotations.of(film, placed)
                    if annotation or not annotated_only:
                        self._awaited[unit.label] = _unplayed(film.segment, placed, annotation)
                yield from map(self._played, self._decoder.feed(unit))
        except OSError as error:
            notes.append(f"{film.segment.path}: cannot be read further: {error.strerror}")
        if self._decoder.damaged > damaged:
            notes.append(f"{film.segment.path}: {self._decoder.damaged - damaged} damaged pictures left out")

    def rest(self) -> Iterator[PlayedFrame]:
        """What the decoder still holds back."""
        yield from map(self._played, self._decoder.drain())

    def _played(self, picture: Decoded) -> PlayedFrame:
        frame = self._awaited.pop(picture.label)
        return replace(frame, i420=picture.i420, width=picture.width, height=picture.height)


class _Annotations:
    """What was seen on the frames of one camera, fetched as playing goes on: only what is played, and a little more."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._window: tuple[int, int] | None = None  # segment, number of the stretch of its timeline
        self._found: dict[int, AnnotatedFrame] = {}

    def of(self, film: Film, placed: PlacedSample) -> AnnotatedFrame | None:
        window = film.segment.id, placed.media_ns // _WINDOW_NS
        if window != self._window:
            here = [other for other in film.samples if other.media_ns // _WINDOW_NS == window[1]]
            stretch = replace_fields(
                film.segment,
                began_ns=min(other.wall_ns for other in here) - _SLACK_NS,
                ended_ns=max(other.wall_ns for other in here) + _SLACK_NS,
                began_media_ns=min(other.media_ns for other in here),
                ended_media_ns=max(other.media_ns for other in here),
            )
            self._found = {frame.media_ns: frame for frame in self._archive.frames_of(stretch)}
            self._window = window
        return self._found.get(placed.media_ns)


def _placed(
    samples: Sequence[Sample], clock: Sequence[tuple[int, int]], segment: Segment
) -> list[PlacedSample]:
    """Each sample with the exact times that the recorder noted of its packet.

    A file's own time line begins at the segment's earliest picture and is rounded, so it only says which packet it is.
    What was written last before a power cut may have no note, and goes on from its neighbour by that time line.
    """
    if not samples:
        return []
    pairs = np.array(sorted(clock) or [(segment.began_media_ns, segment.began_ns)], np.int64)
    rough = np.array([sample.pts_ns for sample in samples], np.int64) + segment.began_media_ns
    after = np.searchsorted(pairs[:, 0], rough).clip(0, len(pairs) - 1)
    before = (after - 1).clip(0)
    nearer = np.abs(pairs[before, 0] - rough) < np.abs(pairs[after, 0] - rough)
    found = pairs[np.where(nearer, before, after)]
    away = rough - found[:, 0]
    unknown = np.where(np.abs(away) > _SAME_MOMENT_NS, away, 0)
    return [
        PlacedSample(sample, int(media + extra), int(wall + extra))
        for sample, (media, wall), extra in zip(samples, found, unknown, strict=True)
    ]


def _between(wall_ns: int, from_ns: int | None, to_ns: int | None) -> bool:
    return (from_ns is None or wall_ns >= from_ns) and (to_ns is None or wall_ns < to_ns)


def _unplayed(segment: Segment, placed: PlacedSample, annotation: AnnotatedFrame | None) -> PlayedFrame:
    return PlayedFrame(
        segment.camera, segment, _NO_PICTURE, 0, 0, placed.media_ns, placed.wall_ns, annotation
    )
