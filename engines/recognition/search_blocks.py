"""Blocks of templates, each with a quick first look that may take a row too many and never one too few.

A first look computes approximate scores and knows how far they can be off; what it lets through is scored
exactly afterwards (search.py). The bounds are worst cases, not probabilities, so that nothing is ever missed.
"""

from __future__ import annotations

import importlib.util
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]
Rows = NDArray[np.intp]

_ROUNDING = 2.0**-24
"""Largest relative error of one float32 operation."""
_LARGEST_CODE = 127


class Block(Protocol):
    """Templates float32 [n, D], n >= 1, that nobody changes any more. Queries are float32 [D]."""

    matrix: Matrix

    def reaching(self, query: Matrix, floor: float) -> Rows:
        """Every row whose score is at least the floor, and perhaps some whose score is not; in any order."""

    def nearest(self, query: Matrix, count: int) -> tuple[Rows, float]:
        """What look like the best `count` rows (all of them when there are fewer), in any order, and what the
        score of none of the others exceeds.
        """


class PlainBlock:
    """Looks with numpy in float32. A sum of D products is off by at most D + 2 roundings of |query| |row|."""

    def __init__(self, matrix: Matrix) -> None:
        self.matrix = matrix
        self._error: float = 2 * (matrix.shape[1] + 2) * _ROUNDING * _longest(matrix)

    def reaching(self, query: Matrix, floor: float) -> Rows:
        """See Block."""
        return np.flatnonzero(self.matrix @ query > _below(floor - self._margin(query)))

    def nearest(self, query: Matrix, count: int) -> tuple[Rows, float]:
        """See Block."""
        scores = self.matrix @ query
        if count >= len(scores):
            return np.arange(len(scores)), -np.inf
        rows = np.argpartition(scores, len(scores) - count)[-count:]
        return rows, float(scores[rows].min()) + self._margin(query)

    def _margin(self, query: Matrix) -> float:
        return self._error * _length(query)


class QuantisedBlock:
    """Looks with faiss at a quarter of the bytes: numbers of 8 bits on both sides, multiplied as integers.

    A row x is kept as codes c with x = step * c + e, where step [D] makes the best of each dimension's range. A
    query q gives q * step = unit * k + g with codes k. Then

        q x = unit * (k c) + g c + q e,  and  |g c + q e| <= |g| |c| + |q| |e|

    by Cauchy and Schwarz; the largest |c| and |e| of the rows are measured when they are coded.
    """

    def __init__(self, matrix: Matrix) -> None:
        """Raises ImportError without faiss."""
        import faiss

        dimensions = matrix.shape[1]
        peak = np.abs(matrix).max(0)
        step = np.where(peak > np.finfo(np.float32).tiny * _LARGEST_CODE, peak / _LARGEST_CODE, 1)
        codes = np.rint(matrix / step).astype(np.float32)
        self.matrix = matrix
        self._step = step.astype(np.float64)
        self._code_length = _longest(codes)
        # Of float32 arithmetic on rows this long; |e| itself is about a hundredth of them.
        self._error = _longest(matrix - codes * step) + 4 * _ROUNDING * _longest(matrix)
        # One inverted list, because faiss scans a list for everything above a score far quicker than a flat index.
        whole = faiss.IndexFlatIP(dimensions)
        whole.add(np.zeros((1, dimensions), np.float32))
        kind = faiss.ScalarQuantizer.QT_8bit_direct_signed
        self._index = faiss.IndexIVFScalarQuantizer(
            whole, dimensions, 1, kind, faiss.METRIC_INNER_PRODUCT, False
        )
        self._index.train(codes[:1])
        self._index.add(codes)

    def reaching(self, query: Matrix, floor: float) -> Rows:
        """See Block."""
        codes, unit, margin = self._coded(query)
        _, _, rows = self._index.range_search(codes, float(_below((floor - margin) / unit)))
        return np.asarray(rows, np.intp)

    def nearest(self, query: Matrix, count: int) -> tuple[Rows, float]:
        """See Block."""
        if count >= len(self.matrix):
            return np.arange(len(self.matrix)), -np.inf
        codes, unit, margin = self._coded(query)
        products, rows = self._index.search(codes, count)
        return np.asarray(rows[0], np.intp), float(products[0].min()) * unit + margin

    def _coded(self, query: Matrix) -> tuple[Matrix, float, float]:
        """The query's codes [1, D], their unit, and how far the score of a row can be off."""
        stepped = query.astype(np.float64) * self._step
        unit = float(np.abs(stepped).max()) / _LARGEST_CODE or 1.0
        codes = np.rint(stepped / unit)
        beside = _length(stepped - unit * codes) * self._code_length + _length(query) * self._error
        # faiss adds up exactly below 2^24; above it, in some builds, with the rounding of float32.
        rounding = len(query) * _ROUNDING * unit * _length(codes) * self._code_length
        return codes[None].astype(np.float32), unit, beside + rounding


def can_quantise() -> bool:
    """Whether faiss is installed. Does not import it."""
    return importlib.util.find_spec("faiss") is not None


def _below(value: float) -> np.float32:
    """A float32 that is smaller than the value, by next to nothing."""
    with np.errstate(over="ignore"):
        return np.nextafter(np.float32(value), np.float32(-np.inf))


def _longest(rows: Matrix) -> float:
    """An upper bound of the rows' lengths: what is added is more than float32 can lose to rounding and underflow."""
    return 1.001 * float(np.sqrt(np.vecdot(rows, rows).max())) + 1e-15


def _length(vector: NDArray[np.floating]) -> float:
    return float(np.linalg.norm(vector.astype(np.float64)))
