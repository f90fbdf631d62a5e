"""Sightings of the same footage under two sets of settings, paired by camera, time and place in the picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.masks.state import MaskState
from stream.looks import face_jpeg
from stream.messages import FrameResult, TrackedFace
from stream.replay.playback import PlayedFrame
from stream.replay.steps import picture
from stream.tracking import iou

_SAME_FACE = 0.5  # IoU of two boxes on one frame
_BETTER = 1.2


class Kind(StrEnum):
    """What became of a sighting under the other settings; what matters most comes first."""

    FOUND = "found"  # named only by them
    MISSED = "missed"  # named only by the recorded ones
    RENAMED = "named differently"
    CONFUSED = "confused"  # they gave it more than one name on its way, the recorded ones did not
    JUDGED = "judged differently"  # unknown, or no decision
    SEEN = "face seen"  # a face that the recorded ones did not see at all
    UNSEEN = "face not seen"
    SAME = "the same"


@dataclass(slots=True, eq=False)
class Track:
    """One sighting under one set of settings. Times: wall ns. names: all it was given, in order; person: the newest
    decision's, or None. still: JPEG.
    """

    camera: str
    first_ns: int
    last_ns: int
    decision: str = "undecided"
    person: str | None = None
    probability: float | None = None
    mask: MaskState | None = None
    names: list[str] = field(default_factory=list)
    frames: int = 0
    still: bytes = b""
    _worth: float = 0.0

    @property
    def masked(self) -> bool:
        """Whether a mask was worn in the end, rightly or wrongly."""
        return self.mask in (MaskState.WORN, MaskState.WORN_WRONGLY)

    def see(self, face: TrackedFace, wall_ns: int, rgb: Callable[[], NDArray[np.uint8]]) -> None:
        """Take in the face on one frame. rgb: the frame, uint8 RGB [H, W, 3]."""
        self.last_ns = max(self.last_ns, wall_ns)
        self.frames += 1
        self.mask = face.mask or self.mask
        if face.decision != "undecided":
            if face.person != self.person:
                self._worth = 0.0  # the still is to show whom the name was given to
            self.decision, self.person, self.probability = face.decision, face.person, face.probability
        if face.person and face.person not in self.names:
            self.names.append(face.person)
        x1, y1, x2, y2 = face.box
        if face.score * (x2 - x1) * (y2 - y1) <= _BETTER * self._worth:
            return
        picture = rgb()
        height, width = picture.shape[:2]
        # Only what the picture shows of the box counts: somebody who walks out of it is nearest then.
        shown = max(0.0, min(x2, width) - max(x1, 0.0)) * max(0.0, min(y2, height) - max(y1, 0.0))
        worth = face.score * shown**2 / max((x2 - x1) * (y2 - y1), 1.0)
        if worth > _BETTER * self._worth:
            self._worth, self.still = worth, face_jpeg(picture, face.box)


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """A sighting under the recorded settings and the one that is it under the others; one of them may be None."""

    kind: Kind
    recorded: Track | None
    other: Track | None

    @property
    def camera(self) -> str:
        """Whose it is."""
        return self._any.camera

    @property
    def first_ns(self) -> int:
        """When it began under either."""
        return min(track.first_ns for track in (self.recorded, self.other) if track)

    @property
    def last_ns(self) -> int:
        """When it ended under both."""
        return max(track.last_ns for track in (self.recorded, self.other) if track)

    @property
    def still(self) -> bytes:
        """A picture of the face, JPEG: from the side that names it."""
        tracks = [track for track in (self.recorded, self.other) if track]
        return max(tracks, key=lambda track: (track.person is not None, len(track.still))).still

    @property
    def _any(self) -> Track:
        track = self.recorded or self.other
        assert track
        return track


@dataclass(slots=True, eq=False)
class Findings:
    """What came of it. changes: the settings that differ, key to (recorded, other). notes: a sentence each."""

    changes: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    pairs: list[Pair] = field(default_factory=list)
    cameras: list[str] = field(default_factory=list)
    frames: int = 0
    every_frame: bool = False
    from_ns: int = 0
    to_ns: int = 0
    notes: list[str] = field(default_factory=list)

    def count(self, kind: Kind) -> int:
        """How many sightings of a kind."""
        return sum(pair.kind is kind for pair in self.pairs)


class Pairing:
    """Gathers sightings of both sides, and which of them lie on each other."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._tracks: tuple[dict[Any, Track], dict[Any, Track]] = ({}, {})
        self._together: Counter[tuple[Any, Any]] = Counter()

    def take(self, run: int, epoch: int, frame: PlayedFrame, old: FrameResult, new: FrameResult) -> None:
        """Take in one frame with what both settings saw on it."""
        findings = self._findings
        findings.from_ns = min(findings.from_ns or frame.wall_ns, frame.wall_ns)
        findings.to_ns = max(findings.to_ns, frame.wall_ns)
        findings.frames += 1
        pixels: list[NDArray[np.uint8]] = []

        def rgb() -> NDArray[np.uint8]:
            if not pixels:
                pixels.append(picture(frame).rgb)
            return pixels[0]

        place = run, epoch, frame.camera
        for tracks, result in zip(self._tracks, (old, new), strict=True):
            for face in result.faces:
                track = tracks.setdefault(
                    (*place, face.track), Track(frame.camera, frame.wall_ns, frame.wall_ns)
                )
                track.see(face, frame.wall_ns, rgb)
        for a, b in _matched(old.faces, new.faces):
            self._together[(*place, a.track), (*place, b.track)] += 1

    def pairs(self) -> Iterator[Pair]:
        """Each sighting with the one of the other side that it lay on most often, or alone.

        A sighting that the other side broke in two is in two pairs, so that its second half is not taken for news.
        """
        old, new = self._tracks
        left, right = dict(old), dict(new)
        partners: tuple[dict[Any, Any], dict[Any, Any]] = ({}, {})
        for (a, b), _ in self._together.most_common():
            partners[0].setdefault(a, b)
            partners[1].setdefault(b, a)
            if a in left and b in right:
                del left[a], right[b]
                yield Pair(_kind(old[a], new[b]), old[a], new[b])
        for a, track in left.items():
            partner = new.get(partners[0].get(a))
            yield Pair(_kind(track, partner), track, partner)
        for b, track in right.items():
            partner = old.get(partners[1].get(b))
            yield Pair(_kind(partner, track), partner, track)


def _kind(old: Track | None, new: Track | None) -> Kind:
    if old is None or new is None:
        if old:
            return Kind.MISSED if old.person else Kind.UNSEEN
        return Kind.FOUND if new and new.person else Kind.SEEN
    if len(new.names) > 1 and len(old.names) <= 1:
        return Kind.CONFUSED
    if old.person != new.person:
        return Kind.FOUND if not old.person else Kind.MISSED if not new.person else Kind.RENAMED
    return Kind.SAME if old.decision == new.decision else Kind.JUDGED


def _matched(
    old: tuple[TrackedFace, ...], new: tuple[TrackedFace, ...]
) -> Iterator[tuple[TrackedFace, TrackedFace]]:
    if not old or not new:
        return
    shared = iou(
        np.array([face.box for face in old], np.float32), np.array([face.box for face in new], np.float32)
    )
    for a, b in np.argwhere(shared >= _SAME_FACE):
        if shared[a, b] == shared[a].max() == shared[:, b].max():
            yield old[a], new[b]
