"""Who was seen: one line for each track, with what was decided of it in the end."""

from __future__ import annotations

from collections import Counter, deque
from typing import Literal

import msgspec

from engines.masks.state import MaskState
from stream.messages import FrameResult, TrackedFace

_KEPT = 2000  # sightings a camera; older ones are counted and left out
_OVER_AFTER_NS = 10_000_000_000  # of media time: a track that was not seen for so long does not come back


class Sighting(msgspec.Struct):
    """A track. person and probability are of the newest decision; mask is the newest state that was judged.

    synthetic: the newest probability that face or mask is painted, None where that was not looked at. flagged: whether
    it was ever as probable as the settings ask for. no_reconstruction: why a masked face could not be
    reconstructed when it was seen last.
    """

    track: int
    decision: Literal["person", "nobody", "undecided"]
    person: str | None
    probability: float | None
    mask: MaskState | None
    first_wall_ns: int
    last_wall_ns: int
    last_media_ns: int
    synthetic: float | None = None
    flagged: bool = False
    no_reconstruction: str | None = None

    @property
    def masked(self) -> bool:
        """Whether a mask was worn, rightly or wrongly."""
        return self.mask in (MaskState.WORN, MaskState.WORN_WRONGLY)


class SightingsDump(msgspec.Struct, frozen=True):
    """What outlives the overlay's process."""

    over: list[Sighting]
    going_on: list[Sighting]
    counts: dict[str, int]
    most_at_once: int
    left_out: int


class Sightings:
    """The sightings of one camera, oldest first, of bounded number."""

    def __init__(self, kept: int = _KEPT) -> None:
        self._going_on: dict[int, Sighting] = {}
        self._over: deque[Sighting] = deque(maxlen=kept)
        self._counts: Counter[str] = Counter()  # of those that are over
        self._most_at_once = 0
        self.left_out = 0

    def see(self, result: FrameResult) -> None:
        """Take in the faces of one frame."""
        frame = result.frame
        for sighting in list(self._going_on.values()):
            if not 0 <= frame.media_ns - sighting.last_media_ns < _OVER_AFTER_NS:
                self._end(sighting)
        for face in result.faces:
            known = self._going_on.get(face.track)
            if known is None:
                known = self._going_on[face.track] = Sighting(
                    face.track, "undecided", None, None, None, frame.wall_ns, 0, 0
                )
            _update(known, face)
            known.last_wall_ns, known.last_media_ns = frame.wall_ns, frame.media_ns
        self._most_at_once = max(self._most_at_once, len(result.faces))

    def end_all(self) -> None:
        """No track goes on: inference has been started anew and counts from the beginning."""
        for sighting in list(self._going_on.values()):
            self._end(sighting)

    def all(self) -> list[Sighting]:
        """Those that are over and those that go on."""
        return sorted([*self._over, *self._going_on.values()], key=lambda s: (s.first_wall_ns, s.track))

    def counts(self) -> dict[str, int]:
        """How many faces were seen, by what was decided of them; those left out of the list are counted too."""
        total = Counter(self._counts)
        for sighting in self._going_on.values():
            total.update(_kinds(sighting))
        named = ("seen", "masked", "person", "nobody", "undecided")
        return {**{name: total[name] for name in named}, "most_at_once": self._most_at_once}

    def dump(self) -> SightingsDump:
        """Its content, for a file."""
        return SightingsDump(
            list(self._over),
            list(self._going_on.values()),
            dict(self._counts),
            self._most_at_once,
            self.left_out,
        )

    def load(self, dump: SightingsDump) -> None:
        """Go on with the content of a dump."""
        self._over.extend(dump.over)
        self._going_on = {sighting.track: sighting for sighting in dump.going_on}
        self._counts = Counter(dump.counts)
        self._most_at_once, self.left_out = dump.most_at_once, dump.left_out

    def _end(self, sighting: Sighting) -> None:
        del self._going_on[sighting.track]
        self._counts.update(_kinds(sighting))
        self.left_out += len(self._over) == self._over.maxlen
        self._over.append(sighting)


def _update(sighting: Sighting, face: TrackedFace) -> None:
    sighting.decision, sighting.person, sighting.probability = face.decision, face.person, face.probability
    if face.mask is not None:
        sighting.mask = face.mask
    sighting.no_reconstruction = face.no_reconstruction
    if face.synthetic is not None:
        sighting.synthetic, sighting.flagged = face.synthetic, sighting.flagged or face.flagged


def _kinds(sighting: Sighting) -> list[str]:
    return ["seen", sighting.decision, *(["masked"] if sighting.masked else [])]
