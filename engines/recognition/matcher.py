"""Who a face probably is, among the people enrolled and nobody of them.

With N people enrolled and the prior p that a face belongs to one of them, Bayes' rule gives

    P(person i) = (p / N) LR_i / ((1 - p) + sum_j (p / N) LR_j)

LR_i is the mean of the likelihood ratios of the person's pictures: a mean of such ratios is one itself, whereas
the best of several would grow with their number.

A reconstruction is an illustration, not evidence that may carry a decision. For a masked face two
posteriors are made, from the face as seen alone and from both; each person gets the lower one. So the
reconstruction can make a match less sure and never more, and the probabilities need not add up to one: what is
missing is what the two disagree about.

All terms of a model are dot products of centred vectors (engines.recognition.centring), so their weighted sum is one:
of the weighted looks side by side with the views side by side. That is what is searched; what each term says by itself
is worked out for the few people shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.recognition.calibration import (
    CLEAN,
    COMPLETED,
    MASKED,
    MODELS,
    Calibration,
    CalibrationError,
)
from engines.recognition.enrolled import GallerySnapshot
from engines.recognition.evidence import (
    LOOKS,
    RAW,
    TERMS,
    UNMASKED,
    VIEWS,
    WHOLE,
    Vector,
    cosines,
)
from engines.recognition.search import Index

_SHOWN = 5
_SAME_LOOK = 1.46
"""Likeness (Calibration.cosine) of a face to a refuted one, from which it may be that very face again. For SFace a
cosine of 0.5: so alike are 90 % of two photographs of one person in LFW (77 % with masks drawn on both), and of two
people fewer than 1 in 10,000."""
_LARGE = 10_000
"""Templates; in a larger gallery those that are not alike at all are not looked at one by one."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One enrolled person a face may be.

    probability: calibrated. log_lr: strength of the face as seen (never of a reconstruction), natural logarithm.
    score: of the best of the person's pictures, as seen. evidence: by term, the cosine to the nearest of them. as_seen:
    the probability before the reconstruction was looked at; None where none counted.
    """

    person_id: str
    person: str
    probability: float
    log_lr: float
    score: float
    evidence: dict[str, float]
    as_seen: float | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """Most probable first; nobody: the probability that the face is of none of the people enrolled.

    needed: the score that a stranger's face reaches with anybody enrolled only at the wanted rate.
    """

    candidates: tuple[Candidate, ...]
    nobody: float
    masked: bool
    needed: float = 0.0


class Matcher:
    """One gallery snapshot, searched exactly."""

    def __init__(
        self,
        snapshot: GallerySnapshot,
        calibration: Calibration,
        prior_enrolled: float = 0.5,
        generator_sha256: str = "",
        false_alarms: float = 1e-3,
    ) -> None:
        """prior_enrolled: how probable it is, before looking, that a face belongs to someone enrolled.
        generator_sha256: of the network that makes the reconstructions; with another than the calibrated one,
        evidence "unmasked" is shown and does not count. false_alarms: the share of strangers' faces that may be taken
        for somebody (FPIR). Raises CalibrationError when the snapshot's space is not the calibration's, ValueError for
        a prior or rate out of range.
        """
        if not 0 < prior_enrolled < 1:
            raise ValueError(f"prior_enrolled: must lie between 0 and 1, found {prior_enrolled}")
        if not 0 < false_alarms <= 0.1:
            raise ValueError(f"false_alarms: must be above 0 and at most 0.1, found {false_alarms}")
        if snapshot.space and snapshot.space != calibration.space:
            raise CalibrationError(
                f"calibration: was fitted for the embedder {calibration.space[:24]}, the gallery holds "
                f"{snapshot.space[:24]}; run: python -m tools.calibrate --config FILE"
            )
        self.snapshot, self.calibration, self.prior_enrolled = snapshot, calibration, prior_enrolled
        self._fuses = COMPLETED in calibration.models and generator_sha256 == calibration.generator_sha256
        self.notes: tuple[str, ...] = (
            ("the calibration does not know this unmasking network: reconstructions are shown, not counted",)
            if generator_sha256 and not self._fuses
            else ()
        )
        self._count = np.bincount(snapshot.owner, minlength=len(snapshot.ids))
        self._first = np.cumsum(self._count) - self._count
        views = calibration.centres.of_views(snapshot.views)
        self._whole = Index(views[WHOLE])
        self._all = Index(np.concatenate([views[view] for view in VIEWS], axis=1))
        self.notes += self._all.notes
        # A stranger is compared with every picture, and each comparison is a chance to be taken for somebody.
        self._rate = min(0.4, -np.expm1(np.log1p(-false_alarms) / max(len(snapshot.owner), 1)))

    @property
    def people(self) -> int:
        """How many are enrolled."""
        return len(self.snapshot.ids)

    def match(self, looks: Mapping[str, Vector], masked: bool) -> Match:
        """Compare one face.

        looks: unit float32 [D] by the names in evidence.LOOKS: "raw" always, and for a masked face whatever else
        there is. Raises ValueError without "raw" or for another name.
        """
        check_looks(looks)
        if not self.people:
            return Match((), 1.0, masked)
        raw, looks = looks[RAW], self.calibration.centres.looks(looks, masked)
        seen = self._search(MASKED if masked else CLEAN, looks)
        people, nobody = seen.posterior(self.prior_enrolled)
        before: NDArray[np.float64] | None = None
        if masked and UNMASKED in looks and self._fuses:
            both = self._search(COMPLETED, looks)
            people_both, nobody_both = both.posterior(self.prior_enrolled, seen.people)
            before = people
            people, nobody = np.minimum(people, people_both), min(nobody, nobody_both)
        people = np.where(self._refuted(seen.people, raw), 0.0, people)
        order = np.lexsort((seen.people, -seen.best, -people))[:_SHOWN]
        return Match(
            tuple(
                self._candidate(
                    seen, int(i), float(people[i]), looks, None if before is None else float(before[i])
                )
                for i in order
            ),
            nobody,
            masked,
            self.calibration.models[MASKED if masked else CLEAN].reached_by_strangers(self._rate),
        )

    def _refuted(self, people: NDArray[np.intp], raw: Vector) -> NDArray[np.bool_]:
        """Of which of these people somebody said that they are not this face: one that looks more like a face that was
        refuted than like any of the person's pictures, and enough like it to be the same.
        """
        if not len(self.snapshot.refuted):
            return np.zeros(len(people), bool)
        alike = self.snapshot.refuted @ raw
        said = np.full(len(self.snapshot.ids), -1.0)
        np.maximum.at(said, self.snapshot.refuted_owner, alike)
        refuted = np.zeros(len(people), bool)
        for place in np.flatnonzero(said[people] >= self.calibration.cosine(_SAME_LOOK)):
            person = int(people[place])
            rows = slice(self._first[person], self._first[person] + self._count[person])
            refuted[place] = said[person] > float((self.snapshot.matrix[rows] @ raw).max())
        return refuted

    def _candidate(
        self,
        seen: _Found,
        place: int,
        probability: float,
        looks: Mapping[str, Vector],
        as_seen: float | None,
    ) -> Candidate:
        person = int(seen.people[place])
        rows = slice(self._first[person], self._first[person] + self._count[person])
        centres = self.calibration.centres
        views = centres.of_views({view: self.snapshot.views[view][rows] for view in VIEWS})
        return Candidate(
            self.snapshot.ids[person],
            self.snapshot.names[person],
            probability,
            float(np.log(seen.ratios[place])),
            float(seen.best[place]),
            {term: float(values.max()) for term, values in cosines(looks, views).items()},
            as_seen,
        )

    def _search(self, name: str, looks: Mapping[str, Vector]) -> _Found:
        """By a model: everybody with a picture that is more alike than the lowest ratio says. In small galleries
        everybody is looked at, so that there is always somebody to show.
        """
        model = self.calibration.models[name]
        index, query = self._query(dict(zip(MODELS[name], model.shares, strict=True)), looks)
        rows, scores = index.at_least(query, model.floor if len(index) > _LARGE else -np.inf)
        owner = self.snapshot.owner[rows]
        people, first = np.unique(owner, return_index=True)
        lowest = float(np.exp(model.lower))
        more = np.add.reduceat(np.exp(model(scores)) - lowest, first) if len(first) else np.zeros(0)
        best = np.maximum.reduceat(scores, first) if len(first) else np.zeros(0, np.float32)
        return _Found(people, lowest + more / self._count[people], best, lowest, self.people)

    def _query(
        self, shares: Mapping[str, float], looks: Mapping[str, Vector]
    ) -> tuple[Index, NDArray[np.float32]]:
        """The weighted looks, side by side as the views are. For a look that is missing (there is no such network) the
        raw one stands in.
        """
        query = {view: np.zeros(self._whole.dimensions, np.float32) for view in VIEWS}
        for term, share in shares.items():
            look, view = TERMS[term]
            query[view] += np.float32(share) * looks.get(look, looks[RAW])
        if not any(query[view].any() for view in VIEWS if view != WHOLE):
            return self._whole, query[WHOLE]
        return self._all, np.concatenate([query[view] for view in VIEWS])


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """What a search found.

    people: intp [K], rising. ratios: float64 [K], the mean of the likelihood ratios of each one's pictures. best:
    float32 [K], the highest score among them. lowest: the ratio of all the others. enrolled: how many there are.
    """

    people: NDArray[np.intp]
    ratios: NDArray[np.float64]
    best: NDArray[np.float32]
    lowest: float
    enrolled: int

    def posterior(
        self, prior: float, of: NDArray[np.intp] | None = None
    ) -> tuple[NDArray[np.float64], float]:
        """(probability of each of these people, by default of those found; of nobody)."""
        each = prior / self.enrolled
        others = self.enrolled - len(self.people)
        total = (1 - prior) + each * (float(self.ratios.sum()) + others * self.lowest)
        ratios = self.ratios
        if of is not None:
            place = np.searchsorted(self.people, of).clip(max=max(len(self.people) - 1, 0))
            known = self.people[place] == of if len(self.people) else np.zeros(len(of), bool)
            ratios = np.where(known, self.ratios[place] if len(self.people) else self.lowest, self.lowest)
        return each * ratios / total, (1 - prior) / total


def check_looks(looks: Mapping[str, Vector]) -> None:
    """Raises ValueError for what cannot be compared."""
    if RAW not in looks or looks.keys() - set(LOOKS):
        raise ValueError(
            f'looks: must hold "raw" and otherwise {", ".join(LOOKS[1:])}, found {sorted(looks)}'
        )
