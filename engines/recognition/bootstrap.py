"""Intervals of figures, by drawing the people anew: comparisons that share a person are not independent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Weights = NDArray[np.float64]
"""How often each person was drawn, float64 [people]."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and the interval that holds it in 95 % of draws of people."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"


class People:
    """A crowd drawn anew many times, the same way for every figure, so that differences can be drawn too."""

    def __init__(self, count: int, draws: int = 200, seed: int = 0) -> None:
        """count: of people. Raises ValueError for fewer than 20 draws: they hold no 95 % interval."""
        if draws < 20:
            raise ValueError(f"draws: must be at least 20, found {draws}")
        rng = np.random.default_rng(seed)
        self.count = count
        self._times = rng.multinomial(count, np.full(count, 1 / count), draws).astype(np.uint16)

    def again(self, figures: Callable[[Weights], Values]) -> tuple[Values, Values]:
        """(figures [F] of everybody once, [draws, F] of each draw)."""
        return figures(np.ones(self.count)), np.stack([figures(t.astype(np.float64)) for t in self._times])


def estimate(value: float, again: Values, trials: int = 0) -> Estimate:
    """A figure with the interval of its draws; draws in which it could not be had (NaN) do not count.

    trials: people of whom a share met something; where none or all did, every draw says so too, and the interval
    reaches to 3 / trials instead (the rule of three).
    """
    held = again[np.isfinite(again)]
    low, high = np.quantile(held, [0.025, 0.975]) if len(held) else (np.nan, np.nan)
    if trials and value in (0, 1):
        low, high = max(0.0, value - 3 / trials), min(1.0, value + 3 / trials)
    return Estimate(float(value), float(low), float(high))


def estimates(names: tuple[str, ...], value: Values, again: Values) -> dict[str, Estimate]:
    """By name, those figures that could be had."""
    return {
        name: estimate(float(v), column)
        for name, v, column in zip(names, value, again.T, strict=True)
        if np.isfinite(v)
    }
