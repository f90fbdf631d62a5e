"""Who a face probably is, among the people enrolled and nobody of them.

With N people enrolled and the prior p that a face belongs to one of them, Bayes' rule gives

    P(person i) = (p / N) LR_i / ((1 - p) + sum_j (p / N) LR_j)

LR_i is the mean of the likelihood ratios of the person's pictures: a mean of such ratios is one itself, whereas
the best of several would grow with their number.

A reconstruction is an illustration, not evidence that may carry a decision. For a masked face two
posteriors are made, from the face as seen alone and from both; each person gets the lower one. So the
reconstruction can make a match less sure and never more, and the probabilities need not add up to one: what is
missing is what the two disagree about.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.recognition.calibration import RAW, UNMASKED, Calibration, CalibrationError
from engines.recognition.gallery import GallerySnapshot

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Candidate:
    """One enrolled person a face may be.

    probability: calibrated. log_lr: strength of the face as seen (never of a reconstruction), natural logarithm.
    evidence: by kind, the cosine to the nearest of the person's pictures.
    """

    person_id: str
    person: str
    probability: float
    log_lr: float
    evidence: dict[str, float]


@dataclass(frozen=True, slots=True)
class Match:
    """Most probable first; nobody: the probability that the face is of none of the people enrolled."""

    candidates: tuple[Candidate, ...]
    nobody: float
    masked: bool


class Matcher:
    """One gallery snapshot, searched exactly."""

    def __init__(
        self,
        snapshot: GallerySnapshot,
        calibration: Calibration,
        prior_enrolled: float = 0.5,
        generator_sha256: str = "",
    ) -> None:
        """prior_enrolled: how probable it is, before looking, that a face belongs to someone enrolled.
        generator_sha256: of the network that makes the reconstructions; with another than the calibrated one,
        evidence "unmasked" is shown and does not count. Raises CalibrationError when the snapshot's space is not the
        calibration's, ValueError for a prior outside 0..1.
        """
        if not 0 < prior_enrolled < 1:
            raise ValueError(f"prior_enrolled: must lie between 0 and 1, found {prior_enrolled}")
        if snapshot.space and snapshot.space != calibration.space:
            raise CalibrationError(
                f"calibration: was fitted for the embedder {calibration.space[:24]}, the gallery holds "
                f"{snapshot.space[:24]}; run: python -m tools.calibrate"
            )
        self.snapshot, self.calibration, self.prior_enrolled = snapshot, calibration, prior_enrolled
        self.notes: tuple[str, ...] = ()
        self._fuses = (
            "masked+unmasked" in calibration.models and generator_sha256 == calibration.generator_sha256
        )
        if generator_sha256 and not self._fuses:
            self.notes = (
                "the calibration does not know this unmasking network: reconstructions are shown, not counted",
            )
        count = np.bincount(snapshot.owner, minlength=len(snapshot.ids))
        self._first = np.concatenate([[0], np.cumsum(count)[:-1]]).astype(np.intp) if len(count) else count
        self._count = count

    @property
    def people(self) -> int:
        """How many are enrolled."""
        return len(self.snapshot.ids)

    def match(self, evidence: Mapping[str, NDArray[np.float32]], masked: bool) -> Match:
        """Compare one face.

        evidence: float32 [128] unit length by kind: "raw" always (aligned by eyes and nose only when masked),
        "unmasked" of the reconstruction when there is one. Raises ValueError without "raw" or for another kind.
        """
        if RAW not in evidence or evidence.keys() - {RAW, UNMASKED}:
            raise ValueError(f'evidence: must be "raw" and perhaps "unmasked", found {sorted(evidence)}')
        if not self.people:
            return Match((), 1.0, masked)
        cosines = {kind: self.snapshot.matrix @ vector for kind, vector in evidence.items()}
        models = self.calibration.models
        seen = self._log_lr(models["masked" if masked else "clean"](cosines[RAW][:, None]))
        people, nobody = self._posterior(seen)
        if masked and UNMASKED in cosines and self._fuses:
            both = models["masked+unmasked"](np.stack([cosines[RAW], cosines[UNMASKED]], 1))
            people_both, nobody_both = self._posterior(self._log_lr(both))
            people, nobody = np.minimum(people, people_both), min(nobody, nobody_both)
        best = {kind: np.maximum.reduceat(values, self._first) for kind, values in cosines.items()}
        order = np.lexsort((np.arange(self.people), -best[RAW], -people))[:_SHOWN]
        return Match(
            tuple(
                Candidate(
                    self.snapshot.ids[i],
                    self.snapshot.names[i],
                    float(people[i]),
                    float(seen[i]),
                    {kind: float(values[i]) for kind, values in best.items()},
                )
                for i in order
            ),
            nobody,
            masked,
        )

    def _log_lr(self, by_template: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of each person [P]: the logarithm of the mean ratio over that person's templates [T]."""
        highest = np.maximum.reduceat(by_template, self._first)
        shares = np.exp(by_template - np.repeat(highest, self._count))
        return np.asarray(highest + np.log(np.add.reduceat(shares, self._first) / self._count), np.float64)

    def _posterior(self, log_lr: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
        log_people = np.log(self.prior_enrolled / self.people) + log_lr
        log_nobody = np.log1p(-self.prior_enrolled)
        top = max(float(log_people.max()), float(log_nobody))
        people, nobody = np.exp(log_people - top), float(np.exp(log_nobody - top))
        total = float(people.sum()) + nobody
        return people / total, nobody / total
