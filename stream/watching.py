"""Who is where: the faces of each camera found and followed from frame to frame, and what is known of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engines.detection.detectors import Detector
from engines.recognition.track import TrackIdentity
from stream.config import Settings
from stream.messages import FrameReady
from stream.person import Person
from stream.tracking import Track, Tracker

_BLIND_NS = 250_000_000
_PUT_OFF_NS = 250_000_000  # how long dear work waits for a frame that is not searched, where every one may be
_SETTLED_NS = 100_000_000  # a face followed for less may be a ghost: no dear work for it yet
_SHOWN_UNSEEN_NS = 120_000_000  # how long a face that is not seen is still drawn where it should be
_SURE_FACE = 0.9  # a less certain find is shown once it has been seen a second time


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A frame with its pixels, uint8 RGB [H, W, 3], and what was passed over since the one before."""

    frame: FrameReady
    rgb: NDArray[np.uint8]
    skipped: dict[str, int]


@dataclass(slots=True, eq=False)
class _Watch:
    """One camera's tracks and people."""

    tracker: Tracker
    size: tuple[int, int]
    media_ns: int
    searched_ns: int | None = None
    blind: bool = False  # so long since the frame before that somebody may have taken somebody's place
    people: dict[int, Person] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Look:
    """One visible face on one frame of this step."""

    picture: Picture
    track: Track
    person: Person
    searched: bool  # this frame's whole picture was searched: dear work that can wait does
    refined: NDArray[np.float32] | None = (
        None  # landmarks [5, 2] of a masked face, once something dear needs them
    )

    @property
    def now_ns(self) -> int:
        """Media time."""
        return self.picture.frame.media_ns

    def due(self, due_ns: int) -> bool:
        """Whether dear work due at a media time is to be done now. On a searched frame it may wait a moment."""
        settled_ns = self.track.born_ns + _SETTLED_NS
        return self.now_ns >= max(due_ns, settled_ns) + (_PUT_OFF_NS if self.searched else 0)


class Watching:
    """The cameras' tracks and people. Its schedule hangs on media time alone."""

    def __init__(
        self, settings: Settings, detector: Detector, new_identity: Callable[[], TrackIdentity]
    ) -> None:
        self._settings, self._detector, self._new_identity = settings, detector, new_identity
        self._watches: dict[str, _Watch] = {}

    def follow(self, settings: Settings) -> None:
        """Go on with the cameras of other settings, and forget those that have gone."""
        there = {camera.name for camera in settings.cameras}
        self._watches = {name: watch for name, watch in self._watches.items() if name in there}

    def people(self) -> Iterator[Person]:
        """Everybody who is followed."""
        for watch in self._watches.values():
            yield from watch.people.values()

    def find(self, pictures: Sequence[Picture]) -> list[Look]:
        """The faces that are visible on one frame of each of some cameras."""
        watches = [self._watch(picture.frame) for picture in pictures]
        searched = self._to_search(pictures, watches)
        followed = [i for i in range(len(pictures)) if i not in searched and watches[i].tracker.tracks]
        if searched:
            found = self._detector.detect([pictures[i].rgb for i in searched])
            for i, faces in zip(searched, found, strict=True):
                watches[i].searched_ns = pictures[i].frame.media_ns
                watches[i].tracker.search(faces, pictures[i].frame.media_ns)
        if followed:
            expected = [watches[i].tracker.expected(pictures[i].frame.media_ns) for i in followed]
            refined = self._detector.refine([pictures[i].rgb for i in followed], expected)
            for i, faces in zip(followed, refined, strict=True):
                watches[i].tracker.follow(faces, pictures[i].frame.media_ns)
        looks = []
        every_ns = self._settings.recognition.every_ms * 1_000_000
        for i, (picture, watch) in enumerate(zip(pictures, watches, strict=True)):
            touching = watch.tracker.touching()
            for track in self._living(watch):
                person = watch.people.setdefault(track.id, Person(self._new_identity()))
                person.see(track.visible, picture.frame.media_ns, watch.blind)
                if track.id in touching:
                    person.mingle(picture.frame.media_ns + every_ns)
                if track.visible:
                    looks.append(Look(picture, track, person, i in searched))
        return looks

    def _watch(self, frame: FrameReady) -> _Watch:
        """The camera's memory; begun anew when its picture size changes or its timeline goes back or far ahead."""
        watch = self._watches.get(frame.camera)
        size = (frame.width, frame.height)
        if watch is None or watch.size != size or not 0 <= frame.media_ns - watch.media_ns < 5_000_000_000:
            tracking = self._settings.tracking
            next_id = watch.tracker.next_id if watch else 1
            watch = _Watch(Tracker(tracking.lost_after_ms, tracking.min_score, next_id), size, frame.media_ns)
            self._watches[frame.camera] = watch
        watch.blind = frame.media_ns - watch.media_ns > _BLIND_NS
        watch.media_ns = frame.media_ns
        watch.tracker.forget(frame.media_ns)
        return watch

    def _to_search(self, pictures: Sequence[Picture], watches: Sequence[_Watch]) -> list[int]:
        """Which pictures to search whole: one in eight of a step, so that cameras take turns and a machine that has too
        many of them does not fall further behind by searching.
        """
        every_ns = self._settings.detection.every_ms * 1_000_000
        late: dict[int, float] = {}
        for i, (picture, watch) in enumerate(zip(pictures, watches, strict=True)):
            since = float("inf") if watch.searched_ns is None else picture.frame.media_ns - watch.searched_ns
            if since >= every_ns:
                late[i] = since
        order = sorted(late, key=lambda i: (-late[i], i))
        return sorted(order[: 1 + len(pictures) // 8])

    def _living(self, watch: _Watch) -> list[Track]:
        alive = {track.id for track in watch.tracker.tracks}
        for gone in watch.people.keys() - alive:
            del watch.people[gone]
        return watch.tracker.clear()

    def shown(self, frame: FrameReady) -> Iterator[tuple[Track, Person]]:
        """The faces to be shown on a frame that was looked at, those too that were lost from sight only just now."""
        watch = self._watches[frame.camera]
        for track in watch.tracker.clear():
            recent = track.seen_ns >= frame.media_ns - _SHOWN_UNSEEN_NS
            sure = track.score >= _SURE_FACE or track.seen_ns > track.born_ns
            if recent and sure and track.id in watch.people:
                yield track, watch.people[track.id]

    def hand_over(self, look: Look) -> None:
        """The track has passed to another face: it goes on as another track, with pictures of its own."""
        watch = self._watches[look.picture.frame.camera]
        watch.people.pop(look.track.id)
        watch.tracker.renumber(look.track)
        look.person = watch.people[look.track.id] = look.person.another()
