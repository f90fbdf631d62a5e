"""Who a track probably is: the looks at one face gathered over time, and a decision that does not flicker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, log
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from engines.recognition.embedder import unit
from engines.recognition.evidence import RAW, Vector
from engines.recognition.matcher import Candidate, Match, Matcher, check_looks

Decision = Literal["person", "nobody", "undecided"]

_CORRELATION_NS = 700e6
"""Looks closer in time than this show much the same: each new one counts 1 - exp(-gap / this)."""
_FEWEST_LOOKS = 2
_FEWEST_FOR_NOBODY = 1.5
"""Effective looks (quality times novelty) before "nobody": a few bad frames look like nobody."""
_LEAST_SUPPORT = log(10)
"""A name is given only to a face, as seen, ten times likelier for that person, whatever the prior and the
thresholds, and more alike than a stranger would be at the wanted rate; and it is kept only while the face as seen
speaks for it at all."""
_SAME_FACE = 0.55
"""Likeness (Calibration.cosine) of a look to its track's mean, a cosine of SFace of 0.25. There looks at one face hold
0.57 or more (1 % point, eye distance from 12 px); of different people 1 % exceed 0.36."""
_SAME_FACE_ACROSS = 0.19
"""The same of a look with a mask to the mean without one, and the other way round, where there is nothing nearer to
compare it with."""
_STRANGERS = 3
"""So many looks in a row that do not fit: the track has passed to another face."""
_CLEAN_WORTH = 3.0
"""An effective look without a mask tells as much as three with one."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What is believed of a track. person, person_id and probability are of the decision, None while undecided
    (nobody: None, and the probability that it is nobody enrolled). masked: the decision rests on a masked face:
    reduced reliability. looks: effective number behind it.
    """

    decision: Decision
    person: str | None
    person_id: str | None
    probability: float | None
    candidates: tuple[Candidate, ...]
    nobody: float | None
    masked: bool
    looks: float


UNKNOWN = Identity("undecided", None, None, None, (), None, False, 0.0)


class _Gathered:
    """The looks of one condition."""

    def __init__(self) -> None:
        self.sums: dict[str, NDArray[np.float64]] = {}
        self.looks, self.effective, self.last_ns = 0, 0.0, 0

    def add(self, media_ns: int, vectors: Mapping[str, Vector], weight: float) -> None:
        gap = abs(media_ns - self.last_ns)
        self.effective += weight * (1 - exp(-gap / _CORRELATION_NS) if self.looks else 1.0)
        self.looks, self.last_ns = self.looks + 1, media_ns
        for kind, vector in vectors.items():
            self.sums[kind] = weight * vector.astype(np.float64) + self.sums.get(kind, 0.0)

    def means(self) -> dict[str, Vector]:
        return {kind: unit(total) for kind, total in self.sums.items()}


class TrackIdentity:
    """Gathers looks at one tracked face and decides. Hangs on media time alone, so that replays repeat it."""

    def __init__(self, matcher: Matcher, decide_at: float = 0.9, leave_at: float | None = None) -> None:
        """decide_at: probability at which a decision is taken; leave_at: below it, it is given up (default
        0.8 x decide_at). Raises ValueError unless 0 < leave_at <= decide_at < 1.
        """
        leave_at = 0.8 * decide_at if leave_at is None else leave_at
        if not 0 < leave_at <= decide_at < 1:
            raise ValueError(
                f"thresholds: must be 0 < leave_at <= decide_at < 1, found {leave_at} and {decide_at}"
            )
        self._matcher, self._decide_at, self._leave_at = matcher, decide_at, leave_at
        self._gathered = {False: _Gathered(), True: _Gathered()}
        self._misfits: list[tuple[int, dict[str, Vector], bool, float]] = []
        self.faces = 1
        """How many faces the track has been on: one more whenever it turned out to have passed to another."""
        self.state = UNKNOWN

    @property
    def decided(self) -> bool:
        """Whether looking less often will do."""
        return self.state.decision != "undecided"

    @property
    def in_doubt(self) -> bool:
        """Whether the newest look does not fit those before: it may be of another face, and shows nobody for sure."""
        return bool(self._misfits)

    def prefers(self, newest: Vector, older: Vector, masked: bool) -> bool:
        """Whether two looks, both with a mask or without one, are of different faces and the track is on the newest's.

        newest, older: unit float32 [D], of the face as seen. A first look fits anybody, and so may the next.
        """
        gathered = self._gathered[masked]
        if gathered.looks < _FEWEST_LOOKS or newest @ older >= self._matcher.calibration.cosine(_SAME_FACE):
            return False
        mean = gathered.means()[RAW]
        return float(mean @ newest) > float(mean @ older)

    def add(self, media_ns: int, vectors: Mapping[str, Vector], masked: bool, weight: float) -> Identity:
        """Take in one look. vectors: as for Matcher.match. weight: 0..1, Quality.weight. Returns the new state.

        Raises ValueError for vectors that cannot be compared or a weight outside 0..1.
        """
        if not 0 <= weight <= 1:
            raise ValueError(f"weight: must be 0 to 1, found {weight}")
        check_looks(vectors)
        look = (media_ns, dict(vectors), masked, weight)
        if not self._fits(vectors[RAW], masked):
            self._misfits.append(look)
            if len(self._misfits) < _STRANGERS:
                return self.state
            again, self._misfits = self._misfits, []
            self.faces += 1
            self._gathered, self.state = {False: _Gathered(), True: _Gathered()}, UNKNOWN
        else:
            again, self._misfits = [look], []
        for when, what, was_masked, worth in again:
            self._gathered[was_masked].add(when, what, worth)
        self.state = self._decide()
        return self.state

    def use(self, matcher: Matcher) -> Identity:
        """Decide again by another gallery; what was seen is kept. Returns the new state."""
        self._matcher = matcher
        self.state = self._decide()
        return self.state

    def _fits(self, raw: Vector, masked: bool) -> bool:
        """Whether a look may be of the face that was seen before."""
        for gathered, least in (
            (self._gathered[masked], _SAME_FACE),
            (self._gathered[not masked], _SAME_FACE_ACROSS),
        ):
            if gathered.looks >= _FEWEST_LOOKS:
                return float(gathered.means()[RAW] @ raw) >= self._matcher.calibration.cosine(least)
        return True

    def _decide(self) -> Identity:
        clean, masked = self._gathered[False], self._gathered[True]
        behind_mask = masked.effective > _CLEAN_WORTH * clean.effective
        gathered = masked if behind_mask else clean
        if not gathered.looks:
            return UNKNOWN
        match = self._matcher.match(gathered.means(), behind_mask)
        person, nobody = self._person(match, gathered), self._nobody(match, gathered)
        if person:
            return self._identity("person", person, person.probability, match, gathered)
        if nobody:
            return self._identity("nobody", None, match.nobody, match, gathered)
        return self._identity("undecided", None, None, match, gathered)

    def _person(self, match: Match, gathered: _Gathered) -> Candidate | None:
        if not match.candidates or gathered.looks < _FEWEST_LOOKS:
            return None
        first = match.candidates[0]
        stays = first.person_id == self.state.person_id
        if stays:
            return first if first.probability >= self._leave_at and first.log_lr > 0 else None
        certain = first.probability >= self._decide_at and first.log_lr > _LEAST_SUPPORT
        return first if certain and first.score >= match.needed else None

    def _nobody(self, match: Match, gathered: _Gathered) -> bool:
        stays = self.state.decision == "nobody"
        enough = gathered.effective >= _FEWEST_FOR_NOBODY
        return enough and match.nobody >= (self._leave_at if stays else self._decide_at)

    def _identity(
        self,
        decision: Decision,
        person: Candidate | None,
        probability: float | None,
        match: Match,
        gathered: _Gathered,
    ) -> Identity:
        return Identity(
            decision,
            person.person if person else None,
            person.person_id if person else None,
            probability,
            match.candidates,
            match.nobody,
            match.masked,
            gathered.effective,
        )
