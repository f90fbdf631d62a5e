"""Every probe against every template: millions of comparisons in blocks, of which what decides is kept.

Of the comparisons of two people, the highest are kept all and of the rest a random part, each of which stands for
many; those of one person are kept all. So memory does not grow with their number, and every rate of false matches
that the highest cover is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.intp]
Scores = NDArray[np.float32]

BLOCK = 256
"""Probes at a time."""
HIGHEST, REST = 1 << 20, 1 << 18
"""Comparisons of two people that are kept: the highest of all, and about so many of the rest."""


@dataclass(frozen=True, slots=True, eq=False)
class Comparisons:
    """Scores of one kind. score: float32 [R], larger is more alike. same: bool [R]. probe, template: int [R], the
    rows of the two. times: float64 [R], how many comparisons each stands for. exact_to: the rate of false matches
    up to which nothing is estimated.
    """

    score: Scores
    same: NDArray[np.bool_]
    probe: Ints
    template: Ints
    times: NDArray[np.float64]
    exact_to: float = 1.0

    @property
    def genuine(self) -> int:
        """Comparisons of one person."""
        return int(self.same.sum())

    @property
    def impostor(self) -> int:
        """Comparisons of two people, those included that others stand for."""
        return round(float(self.times[~self.same].sum()))


def listed(score: NDArray[np.floating], same: NDArray[np.bool_], probe: Ints, template: Ints) -> Comparisons:
    """Comparisons that a list names, all of them; those whose score is NaN are left out."""
    made = np.isfinite(score)
    return Comparisons(
        np.asarray(score, np.float32)[made], same[made], probe[made], template[made], np.ones(int(made.sum()))
    )


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """Rows to compare. picture: int [N], equal for equal photographs. person: int [N]."""

    picture: Ints
    person: Ints


def all_against_all(
    probes: Side,
    templates: Side,
    score: Callable[[slice], Mapping[str, Scores]],
    highest: int = HIGHEST,
    rest: int = REST,
    seed: int = 0,
) -> dict[str, Comparisons]:
    """Comparisons by kind of score. A photograph is never compared with itself.

    score: of the probes in a slice, by kind, float32 [probes in it, templates].
    """
    total = len(probes.person) * len(templates.person)
    share, rng = min(1.0, rest / max(total - highest, 1)), np.random.default_rng(seed)
    gathered: dict[str, _Gathered] = {}
    for start in range(0, len(probes.person), BLOCK):
        rows = slice(start, start + BLOCK)
        same = probes.person[rows, None] == templates.person[None]
        other = ~same
        same &= probes.picture[rows, None] != templates.picture[None]
        drawn = rng.random(same.shape, np.float32) < share
        drawn &= other
        genuine, count = np.flatnonzero(same), int(other.sum())
        for kind, values in score(rows).items():
            into = gathered.setdefault(kind, _Gathered(highest))
            into.add(values, other, drawn, genuine, start * same.shape[1], count)
    return {kind: parts.comparisons(len(templates.person)) for kind, parts in gathered.items()}


class _Gathered:
    """What is kept of one kind. A place is row x templates + column."""

    def __init__(self, highest: int) -> None:
        self._most, self._floor, self._count = highest, np.float32(-np.inf), 0
        self._high: list[tuple[Scores, Ints]] = []
        self._rest: list[tuple[Scores, Ints]] = []
        self._genuine: list[tuple[Scores, Ints]] = []

    def add(
        self,
        values: Scores,
        other: NDArray[np.bool_],
        drawn: NDArray[np.bool_],
        genuine: Ints,
        offset: int,
        count: int,
    ) -> None:
        flat = values.ravel()
        self._count += count
        self._genuine.append((flat[genuine], genuine + offset))
        high, part = np.flatnonzero(other & (values > self._floor)), np.flatnonzero(drawn)
        self._high.append((flat[high], high + offset))
        self._rest.append((flat[part], part + offset))
        if sum(len(scores) for scores, _ in self._high) > 2 * self._most:
            self._cut()

    def _cut(self) -> None:
        """Let go of all but the highest; what ties with the last of them goes too, so that none is kept by chance."""
        scores, places = _joined(self._high)
        if len(scores) > self._most:
            self._floor = np.partition(scores, len(scores) - self._most)[len(scores) - self._most]
            kept = scores > self._floor
            scores, places = scores[kept], places[kept]
        self._high = [(scores, places)]

    def comparisons(self, columns: int) -> Comparisons:
        self._cut()
        (high, high_at), (rest, rest_at), (genuine, genuine_at) = map(
            _joined, (self._high, self._rest, self._genuine)
        )
        below = rest <= self._floor
        rest, rest_at = rest[below], rest_at[below]
        score, place = np.concatenate([genuine, high, rest]), np.concatenate([genuine_at, high_at, rest_at])
        times = np.ones(len(score))
        if len(rest):
            times[-len(rest) :] = (self._count - len(high)) / len(rest)
        same = np.arange(len(score)) < len(genuine)
        return Comparisons(
            score, same, place // columns, place % columns, times, len(high) / max(self._count, 1)
        )


def _joined(parts: list[tuple[Scores, Ints]]) -> tuple[Scores, Ints]:
    return np.concatenate([scores for scores, _ in parts]), np.concatenate([at for _, at in parts])
