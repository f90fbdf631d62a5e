"""Figures of verification: how often two pictures are rightly taken for one person, under any weights of people.

Terms of ISO/IEC 19795-1: FMR, the share of comparisons of two people taken for one; TAR, the share of comparisons of
one person taken for one (1 - FNMR); EER, where FMR and FNMR are equal.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tools.recognition.bootstrap import Values, Weights
from tools.recognition.comparisons import Comparisons, Ints

RATES = (1e-2, 1e-3, 1e-4)
ENOUGH = 30
"""A rate of false matches is measured only where so many are expected."""
FOLDS = 10
ROUNDING = 1e-9
"""Relative error that sums of weights may have."""


class Roc:
    """The trade between errors in some comparisons. Two comparisons of equal score are never told apart."""

    def __init__(self, comparisons: Comparisons, probe_person: Ints, template_person: Ints) -> None:
        c = comparisons
        one, two = np.flatnonzero(c.same), np.flatnonzero(~c.same)
        one, two = one[np.argsort(c.score[one])], two[np.argsort(-c.score[two])]
        self.genuine, self.impostor = c.score[one], c.score[two]
        self._person = probe_person[c.probe[one]]
        self._a, self._b = probe_person[c.probe[two]], template_person[c.template[two]]
        self._times, self._count = c.times[two], c.impostor
        self._first = np.searchsorted(self.genuine, self.genuine)  # comparisons of one person that score less
        self._above = np.searchsorted(-self.impostor, -self.genuine, side="right")

    @property
    def rates(self) -> tuple[float, ...]:
        """The rates of false matches for which there are enough comparisons."""
        return tuple(rate for rate in RATES if rate * self._count >= ENOUGH)

    def figures(self, weights: Weights) -> Values:
        """[1 + rates]: EER, then TAR at each of `rates`. NaN where the people drawn leave nothing to compare."""
        passed, accepted = self._cumulated(weights)
        if passed[-1] == 0 or accepted[-1] == 0:
            return np.full(1 + len(self.rates), np.nan)
        missed, false = passed[self._first] / passed[-1], accepted[self._above] / accepted[-1]
        at = int(np.abs(missed - false).argmin())
        found = [(missed[at] + false[at]) / 2]
        return np.array([*found, *(self._tar(rate, passed, accepted) for rate in self.rates)])

    def threshold(self, rate: float) -> float:
        """The score that must be exceeded for a rate of false matches, everybody counted once."""
        _, accepted = self._cumulated(None)
        return self._threshold(rate, accepted)

    def curve(self, rates: Values) -> Values:
        """TAR at rates of false matches, everybody counted once."""
        passed, accepted = self._cumulated(None)
        return np.array([self._tar(float(rate), passed, accepted) for rate in rates])

    def _cumulated(self, weights: Weights | None) -> tuple[Values, Values]:
        """Weight of the comparisons of one person below each, and of two people above each."""
        one, two = np.ones(len(self.genuine)), self._times
        if weights is not None:
            one, two = weights[self._person], two * weights[self._a] * weights[self._b]
        return np.concatenate([[0.0], np.cumsum(one)]), np.concatenate([[0.0], np.cumsum(two)])

    def _threshold(self, rate: float, accepted: Values) -> float:
        most = int(np.searchsorted(accepted, rate * accepted[-1] * (1 + ROUNDING), side="right")) - 1
        return float(self.impostor[most]) if most < len(self.impostor) else -np.inf

    def _tar(self, rate: float, passed: Values, accepted: Values) -> float:
        below = int(np.searchsorted(self.genuine, self._threshold(rate, accepted), side="right"))
        return float(1 - passed[below] / passed[-1])


def folds_of(
    a: Ints, b: Ints, fold: Ints | None, seed: int = 0
) -> list[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """(training, test) masks of pairs for each fold: those given, or folds that share no people."""
    if fold is not None:
        return [(fold != f, fold == f) for f in np.unique(fold)]
    of = np.random.default_rng(seed).permutation(int(max(a.max(), b.max())) + 1) % FOLDS
    return [((of[a] != f) & (of[b] != f), of[a] == f) for f in range(FOLDS) if (of[a] == f).any()]


def best_threshold(score: NDArray[np.floating], same: NDArray[np.bool_]) -> float:
    """The score from which on pairs are taken for one person, with the fewest errors."""
    order = np.argsort(score)
    ordered, truth = np.asarray(score, np.float64)[order], same[order]
    right = np.concatenate(
        [[truth.sum()], truth.sum() + np.cumsum(np.where(truth, -1, 1))]
    )  # i pairs refused
    distinct = np.concatenate([[True], ordered[1:] != ordered[:-1], [True]])
    at = int(np.where(distinct, right, -1).argmax())
    if at == len(ordered):
        return np.inf
    before = ordered[at - 1] if at else -np.inf
    return float((before + ordered[at]) / 2) if np.isfinite(before) else float(ordered[at])


def decisions(
    score: NDArray[np.floating],
    same: NDArray[np.bool_],
    folds: list[tuple[NDArray[np.bool_], NDArray[np.bool_]]],
) -> NDArray[np.bool_]:
    """Whether each pair is decided rightly, bool [R], by a threshold chosen on the other folds.

    A score of NaN (one of the two has no face) is taken for "another person". A pair in no fold counts as wrong.
    """
    score = np.where(np.isfinite(score), score, -np.inf)
    right = np.zeros(len(score), bool)
    for training, test in folds:
        if training.any():
            threshold = best_threshold(score[training], same[training])
            right[test] = (score[test] >= threshold) == same[test]
    return right


def accuracy(right: NDArray[np.bool_], same: NDArray[np.bool_], a: Ints, b: Ints, weights: Weights) -> Values:
    """[1]: the share of right decisions."""
    weight = np.where(same, weights[a], weights[a] * weights[b])
    total = weight.sum()
    return np.array([weight[right].sum() / total if total else np.nan])
