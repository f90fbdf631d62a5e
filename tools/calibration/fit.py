"""Logistic models from comparisons of known people, made deliberately modest, and how well probabilities hold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.recognition.calibration import Strength

Values = NDArray[np.float64]
RIDGE = 1e-6
EDGES = np.array([0, 0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98, 1.0])
"""Bounds of the reliability table's rows."""


@dataclass(frozen=True, slots=True, eq=False)
class Comparisons:
    """Pairs of a probe and a template. cosines: [R, kinds]; same: bool [R]; weight: [R], adding up to 1/2 over
    pairs of one person and to 1/2 over pairs of two; probe, owner: int [R], whose picture each of the two is.
    """

    cosines: Values
    same: NDArray[np.bool_]
    weight: Values
    probe: NDArray[np.intp]
    owner: NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Fitted:
    """A model and what is known of it. crossing: the (raw) cosine at which it speaks for neither side.

    people, strangers: numbers of different people compared with themselves, of different pairs of two people.
    The intervals hold 95 % of refits on people drawn anew.
    """

    strength: Strength
    estimate: tuple[float, ...]  # slopes and offset before they were made modest
    slope_interval: tuple[float, float]  # of the steepness, relative to the estimate
    crossing: float
    crossing_interval: tuple[float, float]
    log_loss: float  # bits a pair at even odds, people held out; 1 is a coin
    ece: float
    people: int
    strangers: int


def fit(pairs: Comparisons, rng: np.random.Generator, refits: int = 200) -> Fitted:
    """The model of some comparisons.

    Modest means: the steepness at the lower end and the crossing at the upper end of their intervals over people
    drawn anew, and no ratio beyond what the count of people supports (rule of three: what was not seen in n trials
    has a rate below 3 / n with 95 % confidence). Pairs share people, so only a third of them are counted.
    """
    estimate = logistic(pairs.cosines, pairs.same, pairs.weight)
    everyone = int(max(pairs.probe.max(), pairs.owner.max())) + 1
    steep, crossing = [], []
    for _ in range(refits):
        times = rng.multinomial(everyone, np.full(everyone, 1 / everyone)).astype(np.float64)
        weight = pairs.weight * np.where(
            pairs.same, times[pairs.probe], times[pairs.probe] * times[pairs.owner]
        )
        kept = weight > 0
        if not pairs.same[kept].any() or pairs.same[kept].all():
            continue  # of very few people only
        drawn = logistic(
            pairs.cosines[kept], pairs.same[kept], balanced(weight[kept], pairs.same[kept]), estimate
        )
        steep.append(drawn[:-1].sum() / estimate[:-1].sum())
        crossing.append(-drawn[-1] / drawn[:-1].sum())
    steepness, cross = np.quantile(steep, [0.025, 0.975]), np.quantile(crossing, [0.025, 0.975])
    slopes = estimate[:-1] * min(1.0, float(steepness[0]))
    people = len(np.unique(pairs.probe[pairs.same]))
    strangers = len(np.unique(pairs.probe[~pairs.same] * everyone + pairs.owner[~pairs.same]))
    strength = Strength(
        tuple(float(s) for s in slopes),
        float(-cross[1] * slopes.sum()),
        float(-np.log(people / 3)),
        float(np.log(strangers / 9)),
    )
    held_out = _held_out(pairs, rng)
    return Fitted(
        strength,
        tuple(float(v) for v in estimate),
        (float(steepness[0]), float(steepness[1])),
        float(-estimate[-1] / estimate[:-1].sum()),
        (float(cross[0]), float(cross[1])),
        log_loss(held_out, pairs.same, pairs.weight),
        reliability(held_out, pairs.same, pairs.weight)[1],
        people,
        strangers,
    )


def logistic(cosines: Values, same: NDArray[np.bool_], weight: Values, start: Values | None = None) -> Values:
    """Weighted logistic regression by Newton's method, float64 [kinds + 1]: slopes, then the offset. A slope that
    comes out negative is set to 0 and the others are fitted again.
    """
    x = np.column_stack([cosines, np.ones(len(cosines))])
    used = np.ones(x.shape[1], bool)
    while True:
        b = np.zeros(x.shape[1]) if start is None else np.where(used, start, 0.0)
        b[used] = _newton(x[:, used], same, weight, b[used])
        if (b[:-1] >= 0).all():
            return b
        used[:-1] &= b[:-1] >= 0


def _newton(x: Values, same: NDArray[np.bool_], weight: Values, b: Values) -> Values:
    ridge = np.diag([RIDGE] * (x.shape[1] - 1) + [0.0])

    def cost(b: Values) -> float:
        z = x @ b
        return float(weight @ np.logaddexp(0, np.where(same, -z, z)) + b @ ridge @ b / 2)

    now = cost(b)
    for _ in range(100):
        p = 1 / (1 + np.exp(-np.clip(x @ b, -50, 50)))
        gradient = x.T @ (weight * (p - same)) + ridge @ b
        hessian = (x.T * (weight * p * (1 - p))) @ x + ridge + 1e-12 * np.eye(len(b))
        step, scale = np.linalg.solve(hessian, gradient), 1.0
        while cost(b - scale * step) > now and scale > 1e-6:
            scale /= 2
        b = b - scale * step
        before, now = now, cost(b)
        if before - now < 1e-10:
            return b
    return b


def balanced(weight: Values, same: NDArray[np.bool_]) -> Values:
    """Weights scaled to 1/2 over pairs of one person and 1/2 over pairs of two."""
    one, two = (max(float(weight[side].sum()), 1e-300) for side in (same, ~same))
    return np.where(same, weight / (2 * one), weight / (2 * two))


def _held_out(pairs: Comparisons, rng: np.random.Generator, folds: int = 5) -> Values:
    """The log ratio of each pair by a model fitted without both of its people."""
    everyone = int(max(pairs.probe.max(), pairs.owner.max())) + 1
    fold = rng.permutation(everyone) % folds
    result = np.zeros(len(pairs.same))
    for f in range(folds):
        test = fold[pairs.probe] == f
        train = ~test & (fold[pairs.owner] != f)
        b = logistic(
            pairs.cosines[train], pairs.same[train], balanced(pairs.weight[train], pairs.same[train])
        )
        result[test] = pairs.cosines[test] @ b[:-1] + b[-1]
    return result


def log_loss(log_lr: Values, same: NDArray[np.bool_], weight: Values) -> float:
    """Bits a pair at even odds (Brümmer and du Preez, "Application-independent evaluation of speaker
    detection", 2006: Cllr).
    """
    return float(balanced(weight, same) @ np.logaddexp(0, np.where(same, -log_lr, log_lr)) / np.log(2))


def reliability(
    log_lr: Values, same: NDArray[np.bool_], weight: Values | None = None
) -> tuple[list[tuple[float, float, float, int]], float]:
    """(rows, ECE) at even odds. A row: mean probability said, share that was true, share of all, pairs.

    ECE: the mean distance between the two over all pairs.
    """
    weight = balanced(np.ones(len(same)) if weight is None else weight, same)
    said = 1 / (1 + np.exp(-np.clip(log_lr, -50, 50)))
    return table(said, same, weight)


def table(
    said: Values, true: NDArray[np.bool_], weight: Values
) -> tuple[list[tuple[float, float, float, int]], float]:
    """The same for probabilities of anything."""
    rows, ece, total = [], 0.0, float(weight.sum())
    place = np.clip(np.searchsorted(EDGES, said, side="right") - 1, 0, len(EDGES) - 2)
    for i in range(len(EDGES) - 1):
        inside = place == i
        mass = float(weight[inside].sum())
        if mass == 0:
            continue
        mean, share = float(weight[inside] @ said[inside]) / mass, float(weight[inside] @ true[inside]) / mass
        rows.append((mean, share, mass / total, int(inside.sum())))
        ece += mass / total * abs(mean - share)
    return rows, ece
