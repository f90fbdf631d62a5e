"""Whether probabilities mean what they say: reliability, expected calibration error, log loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tools.calibration.fit import balanced, log_loss, logistic, reliability, table
from tools.recognition.bootstrap import Estimate, People, Values, Weights, estimate
from tools.recognition.comparisons import Ints

Fold = tuple[NDArray[np.bool_], NDArray[np.bool_]]


@dataclass(frozen=True, slots=True)
class Held:
    """How well probabilities held. ece: mean distance between what was said and what was true. log_loss: as a share of
    what a guess by the prior costs. rows: (mean probability said, share that was true, share of all, number).
    """

    ece: Estimate
    log_loss: Estimate
    rows: Sequence[tuple[float, float, float, int]]


def of_pairs(log_lr: Values, same: NDArray[np.bool_], a: Ints, b: Ints, people: People) -> Held | None:
    """Likelihood ratios (natural logarithms) of pairs, at even odds; None without pairs of both kinds."""
    if not same.any() or same.all():
        return None

    def figures(weights: Weights) -> Values:
        weight = np.where(same, weights[a], weights[a] * weights[b])
        if not weight[same].any() or not weight[~same].any():
            return np.full(2, np.nan)
        return np.array([reliability(log_lr, same, weight)[1], log_loss(log_lr, same, weight)])

    value, again = people.again(figures)
    rows, _ = reliability(log_lr, same)
    return Held(estimate(value[0], again[:, 0]), estimate(value[1], again[:, 1]), rows)


def of_claims(
    said: Values, true: NDArray[np.bool_], worth: Values, person: Ints, people: People
) -> Held | None:
    """Probabilities of claims, each about a picture of a person; log_loss in nats a claim. None without claims.

    worth: float64 [R], what each counts, so that claims come as often as the prior says.
    """
    if not worth.any():
        return None
    cost = -np.log(np.clip(np.where(true, said, 1 - said), 1e-12, 1))

    def figures(weights: Weights) -> Values:
        weight = worth * weights[person]
        if not weight.any():
            return np.full(2, np.nan)
        return np.array([table(said, true, weight)[1], float(weight @ cost) / float(weight.sum())])

    value, again = people.again(figures)
    rows, _ = table(said, true, worth)
    return Held(estimate(value[0], again[:, 0]), estimate(value[1], again[:, 1]), rows)


def cross_fitted(score: NDArray[np.floating], same: NDArray[np.bool_], folds: Sequence[Fold]) -> Values:
    """What a logistic model fitted on the other folds makes of each score: log likelihood ratios [R].

    For evidence of which the product has no model of its own. NaN where it cannot be fitted.
    """
    result = np.full(len(score), np.nan)
    values = np.asarray(score, np.float64)[:, None]
    for training, test in folds:
        if same[training].any() and not same[training].all():
            weight = balanced(np.ones(int(training.sum())), same[training])
            slope, offset = logistic(values[training], same[training], weight)
            result[test] = slope * values[test, 0] + offset
    return result
