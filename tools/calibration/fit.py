"""Logistic models from comparisons of known people, made deliberately modest, and how well probabilities hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from engines.recognition.calibration import Strength

Values = NDArray[np.float64]
RIDGE = 1e-6
PRIORS = (1 / 2, 1 / 20, 1 / 200, 1 / 2000)
"""That a pair is of one person: a gallery of one, and of up to a thousand at even odds that its people come by."""
_RATES = (1 / 30, 1 / 100, 1 / 300, 1 / 1000, 1 / 3000, 1 / 10000)
_FEWEST_BEYOND = 8
_STEP = 0.002  # of a score, when pairs are counted by it
EDGES = np.array([0, 0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98, 1.0])
"""Bounds of the reliability table's rows."""


@dataclass(frozen=True, slots=True, eq=False)
class Comparisons:
    """Pairs of a probe and a template. cosines: [R, terms]; same: bool [R]; weight: [R], adding up to 1/2 over
    pairs of one person and to 1/2 over pairs of two; probe, owner: int [R], whose picture each of the two is.
    """

    cosines: Values
    same: NDArray[np.bool_]
    weight: Values
    probe: NDArray[np.intp]
    owner: NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Fitted:
    """A model and what is known of it.

    estimate: the model before it was made modest. steepness: interval, relative to the estimate's. crossing:
    interval. log_loss: bits a pair, at even odds and at odds of one in a hundred, as shares of what a guess by
    the odds alone costs. ece: at even odds. Losses and ECE are of people held out and before made modest.
    people, strangers: numbers of different people compared with themselves, of different pairs of two people.
    The intervals hold 95 % of refits on people drawn anew.
    """

    strength: Strength
    estimate: Strength
    steepness: tuple[float, float]
    crossing: tuple[float, float]
    log_loss: tuple[float, float]
    ece: float
    people: int
    strangers: int


def fit(pairs: Comparisons, alike: int, rng: np.random.Generator, refits: int = 200) -> Fitted:
    """The model of some comparisons.

    alike: the first so many terms share alike; each of the others gets what it adds to their mean. The masks of a fit
    are drawn, as those were that one of the embedders learnt from, so a fit of all shares takes it for better than it
    is behind masks of other makes; equal shares lose little anywhere (Dawes, "The robust beauty of improper linear
    models in decision making", 1979).

    Modest means: the steepness at the lower and the crossing at the upper end of their intervals over people
    drawn anew, and no ratio beyond what the count of people supports (rule of three: what was not seen in n trials
    has a rate below 3 / n with 95 % confidence). Pairs share people, so only a third of them are counted.
    """
    shares = shares_of(pairs, alike)
    score = pairs.cosines @ shares
    everyone = int(max(pairs.probe.max(), pairs.owner.max())) + 1
    people = len(np.unique(pairs.probe[pairs.same]))
    strangers = len(np.unique(pairs.probe[~pairs.same] * everyone + pairs.owner[~pairs.same]))
    bounds = float(-np.log(max(people / 3, 1))), float(np.log(max(strangers / 9, 1)))

    tail = strangers_tail(score[~pairs.same], pairs.weight[~pairs.same])

    def model(crossing: float, steepness: float, bend: float) -> Strength:
        return Strength(tuple(float(s) for s in shares), crossing, steepness, bend, *bounds, tail)

    crossing, steepness, bend = bent(score, pairs.same, pairs.weight)
    again = []
    for _ in range(refits):
        times = rng.multinomial(everyone, np.full(everyone, 1 / everyone)).astype(np.float64)
        weight = pairs.weight * np.where(
            pairs.same, times[pairs.probe], times[pairs.probe] * times[pairs.owner]
        )
        if weight[pairs.same].any() and weight[~pairs.same].any():
            c, k, b = bent(score, pairs.same, balanced(weight, pairs.same))
            again.append((c, k / steepness, _rise(k, b) / _rise(steepness, bend)))
    low, high = np.quantile(again, [0.025, 0.975], axis=0)
    factor = min(1.0, float(low[2]))
    held_out = _held_out(pairs, score, rng)
    return Fitted(
        model(float(high[0]), steepness * factor, bend * factor),
        model(crossing, steepness, bend),
        (float(low[2]), float(high[2])),
        (float(low[0]), float(high[0])),
        (log_loss(held_out, pairs.same, pairs.weight), log_loss(held_out, pairs.same, pairs.weight, 0.01)),
        reliability(held_out, pairs.same, pairs.weight)[1],
        people,
        strangers,
    )


def shares_of(pairs: Comparisons, alike: int) -> Values:
    """Of each term, float64 [terms], adding up to 1; see fit."""
    joined = np.column_stack([pairs.cosines[:, :alike].mean(1), pairs.cosines[:, alike:]])
    slopes = logistic(joined, pairs.same, pairs.weight)[:-1]
    if not slopes.any():
        raise ValueError("pairs: must be more alike when they are of one person, found no such evidence")
    shares = slopes / slopes.sum()
    return np.concatenate([np.full(alike, shares[0] / alike), shares[1:]])


def strangers_tail(score: Values, weight: Values) -> tuple[float, float]:
    """(mean, standard deviation) of the normal distribution through the upper tail of two people's scores.

    A line through the scores that one comparison in 30, 100, … exceeds, against what a normal distribution has there:
    the middle of the distribution, which the tail does not follow exactly, has no say.
    """
    order = np.argsort(-score)
    exceeded = np.cumsum(weight[order]) / weight.sum()
    rates = [rate for rate in _RATES if rate * len(score) >= _FEWEST_BEYOND] or [0.1, 0.03]
    found = score[order][np.searchsorted(exceeded, rates).clip(max=len(score) - 1)]
    normal = [NormalDist().inv_cdf(1 - rate) for rate in rates]
    deviation, mean = np.polyfit(normal, found, 1)
    return float(mean), float(max(deviation, 1e-3))


def _rise(steepness: float, bend: float) -> float:
    """How much the log ratio grows over the first fifth of a cosine above the crossing."""
    return 0.2 * steepness + 0.04 * bend


def bent(score: Values, same: NDArray[np.bool_], weight: Values) -> tuple[float, float, float]:
    """(crossing, steepness, bend >= 0) of log LR over a score, float64 [R], by the log loss averaged over PRIORS.

    Averaged, because the ratio is used at the odds of one person among all who are enrolled, and a fit at even
    odds alone says little of the rare pairs that matter there.
    """
    place = np.clip(((score + 1) / _STEP).astype(np.intp), 0, int(2 / _STEP))
    one, two = (np.bincount(place[side], weight[side], int(2 / _STEP) + 1) for side in (same, ~same))
    s = np.arange(len(one)) * _STEP - 1 + _STEP / 2
    used = (one + two) > 0
    s, one, two = s[used], one[used] / one.sum(), two[used] / two.sum()
    crossing, straight, flat = 0.3, np.array([20.0, 0.0, 0.0]), False
    for _ in range(12):
        columns = np.stack([s - crossing, np.maximum(s - crossing, 0) ** 2, np.ones(len(s))], 1)
        if flat:
            columns[:, 1] = 0
        straight = _newton(columns, one, two, straight, PRIORS)
        if straight[1] < 0:
            flat, straight = True, np.array([20.0, 0.0, 0.0])
            continue
        moved = _zero(*straight)
        crossing += moved
        if abs(moved) < 1e-4:
            break
    return float(crossing), float(straight[0]), float(straight[1])


def _zero(slope: float, bend: float, offset: float) -> float:
    """Where slope t + bend max(t, 0)^2 + offset = 0."""
    if offset >= 0 or bend < 1e-9:
        return -offset / slope
    return float((-slope + np.sqrt(slope**2 - 4 * bend * offset)) / (2 * bend))


def _newton(x: Values, one: Values, two: Values, b: Values, priors: Sequence[float]) -> Values:
    """The coefficients of log LR = x b that lose least over some priors; one, two: weights of same and not."""
    ridge = np.diag([RIDGE] * (x.shape[1] - 1) + [0.0])
    odds = [(p / _entropy(p), (1 - p) / _entropy(p), np.log(p / (1 - p))) for p in priors]

    def cost(b: Values) -> float:
        z = x @ b
        loss = sum(a * one @ np.logaddexp(0, -z - o) + c * two @ np.logaddexp(0, z + o) for a, c, o in odds)
        return float(loss + b @ ridge @ b / 2)

    now = cost(b)
    for _ in range(100):
        gradient, hessian = ridge @ b, ridge + 1e-12 * np.eye(len(b))
        for a, c, o in odds:
            p = 1 / (1 + np.exp(-np.clip(x @ b + o, -50, 50)))
            gradient = gradient + x.T @ (c * two * p - a * one * (1 - p))
            hessian = hessian + (x.T * ((a * one + c * two) * p * (1 - p))) @ x
        step, scale = np.linalg.solve(hessian, gradient), 1.0
        while cost(b - scale * step) > now and scale > 1e-6:
            scale /= 2
        b = b - scale * step
        before, now = now, cost(b)
        if before - now < 1e-10:
            return b
    return b


def _entropy(prior: float) -> float:
    """Nats that a guess by the prior alone costs."""
    return float(-prior * np.log(prior) - (1 - prior) * np.log(1 - prior))


def logistic(cosines: Values, same: NDArray[np.bool_], weight: Values) -> Values:
    """Logistic regression at even odds, float64 [terms + 1]: slopes, then the offset. A slope that comes out
    negative is set to 0 and the others are fitted again.
    """
    one, two = weight * same, weight * ~same
    one, two = one / one.sum(), two / two.sum()
    x = np.column_stack([cosines, np.ones(len(cosines))])
    used = np.ones(x.shape[1], bool)
    while True:
        b = np.zeros(x.shape[1])
        b[used] = _newton(x[:, used], one, two, b[used], (0.5,))
        if (b[:-1] >= 0).all():
            return b
        used[:-1] &= b[:-1] >= 0


def balanced(weight: Values, same: NDArray[np.bool_]) -> Values:
    """Weights scaled to 1/2 over pairs of one person and 1/2 over pairs of two."""
    one, two = (max(float(weight[side].sum()), 1e-300) for side in (same, ~same))
    return np.where(same, weight / (2 * one), weight / (2 * two))


def _held_out(pairs: Comparisons, score: Values, rng: np.random.Generator, folds: int = 5) -> Values:
    """The log ratio of each pair by a model fitted without both of its people."""
    everyone = int(max(pairs.probe.max(), pairs.owner.max())) + 1
    fold = rng.permutation(everyone) % folds
    result = np.zeros(len(pairs.same))
    for f in range(folds):
        test = fold[pairs.probe] == f
        train = ~test & (fold[pairs.owner] != f)
        if pairs.same[train].any() and not pairs.same[train].all():
            found = bent(score[train], pairs.same[train], balanced(pairs.weight[train], pairs.same[train]))
            unbounded = Strength((1.0,), *found, -np.inf, np.inf, (0.0, 1.0))
            result[test] = unbounded(score[test])
    return result


def log_loss(log_lr: Values, same: NDArray[np.bool_], weight: Values, prior: float = 0.5) -> float:
    """The cost of a pair at a prior, as a share of what a guess by the prior alone costs. At even odds this is
    Cllr (Brümmer and du Preez, "Application-independent evaluation of speaker detection", 2006).
    """
    z = log_lr + np.log(prior / (1 - prior))
    share = balanced(weight, same) * np.where(same, 2 * prior, 2 * (1 - prior))
    return float(share @ np.logaddexp(0, np.where(same, -z, z))) / _entropy(prior)


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
