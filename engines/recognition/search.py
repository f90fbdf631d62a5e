"""Exact search among templates: which of them are like this face, from a handful to a million.

The score of a template is its inner product with the query, for unit vectors the cosine. Two passes find it: a
quick one with a proven bound of its error picks the rows that can matter, and float64 arithmetic scores those. So
nothing is missed (recall 1.0), and the answer does not depend on which of the quick passes was used. numpy does the
first one up to 100,000 templates; above, where reading them is what takes the time, faiss does it on 8-bit codes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engines.recognition.search_blocks import Block, Matrix, PlainBlock, QuantisedBlock, Rows, can_quantise

QUANTISE_ABOVE = 100_000
BLOCK_ROWS = 65_536
"""A change copies one block: 33 MB of 128 dimensions, coded anew in some 50 ms. Smaller ones slow searching down."""
_SPARE = 16
"""So many more than the k best are looked at first: then those left out are seldom in question."""
_LARGEST = 1e15
"""So that no product of two rows overflows float32."""


class Index:
    """Templates float32 [T, D] to be searched; rows need not be of unit length.

    An index never changes: add() and remove() give another that shares the untouched blocks with it. So any number
    of threads may search one while others are derived from it, without locks. A removed row is gone from memory as
    soon as nobody holds an index that had it.
    """

    def __init__(
        self, templates: Matrix, *, quantise_above: int = QUANTISE_ABOVE, block_rows: int = BLOCK_ROWS
    ) -> None:
        """templates: copied. quantise_above: more rows than this are searched by faiss where it is installed.

        Raises ValueError for anything but a matrix of float32 between -1e15 and 1e15.
        """
        if templates.ndim != 2 or (len(templates) and not templates.shape[1]):
            raise ValueError(f"templates: must be float32 [T, D], found {list(templates.shape)}")
        self.dimensions = int(templates.shape[1])
        self._quantise_above, self._block_rows = quantise_above, block_rows
        self._hold(self._split(templates))

    def __len__(self) -> int:
        """How many templates there are."""
        return int(self._starts[-1])

    def scores(self, query: Matrix) -> Matrix:
        """float32 [T]: the score of every row, with float32 arithmetic. query: float32 [D]."""
        query = self._query(query)
        return np.concatenate([np.zeros(0, np.float32), *(block.matrix @ query for block in self._blocks)])

    def at_least(self, query: Matrix, floor: float) -> tuple[Rows, Matrix]:
        """All rows whose score is at least the floor: intp [K] rising, and their scores float32 [K].

        The floor is held against scores of float64 precision; -inf takes all. Raises ValueError for another shape
        of query, or a query or floor that is not a number.
        """
        query = self._query(query)
        if np.isnan(floor):
            raise ValueError("floor: must be a number, found nan")
        found = [
            self._scored(number, block.reaching(query, floor), query)
            for number, block in enumerate(self._blocks)
        ]
        rows, scores = _joined(found)
        kept = scores >= floor
        rows, scores = rows[kept], scores[kept]
        order = np.argsort(rows)
        return rows[order], scores[order].astype(np.float32)

    def top(self, query: Matrix, k: int) -> tuple[Rows, Matrix]:
        """The k best rows (all, when there are fewer), best first, equal ones in the order of rows: intp [k], and
        their scores float32 [k]. Raises ValueError for k below 1, or as at_least().
        """
        query = self._query(query)
        if k < 1:
            raise ValueError(f"k: must be at least 1, found {k}")
        if not len(self):
            return np.zeros(0, np.intp), np.zeros(0, np.float32)
        k = min(k, len(self))
        looks = [block.nearest(query, k + _SPARE) for block in self._blocks]
        found = [self._scored(number, rows, query) for number, (rows, _) in enumerate(looks)]
        kth = float(np.partition(np.concatenate([scores for _, scores in found]), -k)[-k])
        for number, (_, others) in enumerate(looks):
            if others >= kth:  # one that was left out may belong among the best
                found[number] = self._scored(number, self._blocks[number].reaching(query, kth), query)
        rows, scores = _joined(found)
        order = np.lexsort((rows, -scores))[:k]
        return rows[order], scores[order].astype(np.float32)

    def add(self, templates: Matrix) -> Index:
        """Another index with these rows, float32 [n, D], after the ones here, as numpy.concatenate() would put
        them. Raises ValueError for another width or numbers as in Index().
        """
        if templates.ndim != 2 or templates.shape[1] != self.dimensions:
            raise ValueError(
                f"templates: must be float32 [n, {self.dimensions}], found {list(templates.shape)}"
            )
        return self._derived([*self._blocks, *self._split(templates)])

    def remove(self, rows: ArrayLike) -> Index:
        """Another index without these rows; those behind them move up, as numpy.delete() would have it.

        Raises ValueError for a row that is not there.
        """
        gone = np.unique(np.asarray(rows, np.intp))
        if len(gone) and not 0 <= gone[0] <= gone[-1] < len(self):
            raise ValueError(f"rows: must lie between 0 and {len(self) - 1}, found {gone[0]} to {gone[-1]}")
        parts: list[Block | Matrix] = []
        for block, start, end in zip(self._blocks, self._starts, self._starts[1:], strict=False):
            here = gone[np.searchsorted(gone, start) : np.searchsorted(gone, end)] - start
            parts.append(np.delete(block.matrix, here, 0) if len(here) else block)
        return self._derived(parts)

    def _derived(self, parts: Sequence[Block | Matrix]) -> Index:
        derived = object.__new__(Index)
        derived.dimensions = self.dimensions
        derived._quantise_above, derived._block_rows = self._quantise_above, self._block_rows
        derived._hold(parts)
        return derived

    def _hold(self, parts: Sequence[Block | Matrix]) -> None:
        """Keep blocks that are as they were, make the others; neighbours that fit into one block become one."""
        packed: list[Block | Matrix] = []
        for part in parts:
            if packed and len(_matrix(packed[-1])) + len(_matrix(part)) <= self._block_rows:
                packed[-1] = np.concatenate([_matrix(packed[-1]), _matrix(part)])
            elif len(_matrix(part)):
                packed.append(part)
        counts = [len(_matrix(part)) for part in packed]
        large = sum(counts) > self._quantise_above
        self.notes: tuple[str, ...] = ()
        if large and not can_quantise():
            large = False
            self.notes = (
                f"{sum(counts)} templates are searched by numpy, several times slower, because faiss is not "
                "installed; run: pip install 'unvizard[faiss]'",
            )
        self._blocks = tuple(_block(part, large) for part in packed)
        self._starts = np.concatenate([[0], np.cumsum(counts, dtype=np.intp)])

    def _split(self, templates: Matrix) -> list[Matrix]:
        """Copies of at most a block's rows each. Raises ValueError for a wrong type or numbers."""
        if templates.dtype != np.float32:
            raise ValueError(f"templates: must be float32, found {templates.dtype}")
        parts = [
            templates[start : start + self._block_rows].copy()
            for start in range(0, len(templates), self._block_rows)
        ]
        for part in parts:
            if not max(float(part.max()), -float(part.min())) <= _LARGEST:
                raise ValueError(f"templates: all numbers must lie between -{_LARGEST:g} and {_LARGEST:g}")
        return parts

    def _query(self, query: Matrix) -> Matrix:
        if query.shape != (self.dimensions,):
            raise ValueError(f"query: must be float32 [{self.dimensions}], found {list(query.shape)}")
        if not np.abs(query).max() <= _LARGEST:
            raise ValueError(f"query: all numbers must lie between -{_LARGEST:g} and {_LARGEST:g}")
        return np.ascontiguousarray(query, np.float32)

    def _scored(self, number: int, rows: Rows, query: Matrix) -> tuple[Rows, NDArray[np.float64]]:
        """Rows of one block as rows of the index, with their scores. One product a row, so that its score does
        not hang on which rows are scored beside it.
        """
        gathered = self._blocks[number].matrix[rows].astype(np.float64)
        return rows + self._starts[number], np.vecdot(gathered, query.astype(np.float64))


def _matrix(part: Block | Matrix) -> Matrix:
    return part if isinstance(part, np.ndarray) else part.matrix


def _block(part: Block | Matrix, quantised: bool) -> Block:
    """The part itself where it is a block that will do. A quantised one always does."""
    if isinstance(part, QuantisedBlock) or (isinstance(part, PlainBlock) and not quantised):
        return part
    return (QuantisedBlock if quantised else PlainBlock)(_matrix(part))


def _joined(found: Sequence[tuple[Rows, NDArray[np.float64]]]) -> tuple[Rows, NDArray[np.float64]]:
    if not found:
        return np.zeros(0, np.intp), np.zeros(0)
    return np.concatenate([rows for rows, _ in found]), np.concatenate([scores for _, scores in found])
