"""Who is like this face among a thousand to a million templates: how long it takes, and that nobody is missed.

Templates are unit vectors, three of each person; every other query is of a person among them. Beside the product's
index run numpy (one product of the whole matrix) and faiss's flat index, all on one thread and by turns. What is
found is held against a search in float64.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from itertools import cycle

import numpy as np
from numpy.typing import NDArray

from engines.recognition.search import QUANTISE_ABOVE, Index
from engines.recognition.search_blocks import can_quantise
from tools.benchmarks.report import Report, add_arguments, by_turns, spread

TARGETS_MS = {10_000: 1.0, 1_000_000: 15.0}
_PICTURES = 3
_ALIKE, _SEEN = 0.75, 0.6
"""Cosines to a person's own direction: of the person's templates, and of a query."""
_BEST = 5
Matrix = NDArray[np.float32]
Search = Callable[[Matrix], NDArray[np.integer]]


def gallery(templates: int, dimensions: int, queries: int, seed: int = 1) -> tuple[Matrix, Matrix]:
    """Templates [T, D] and queries [Q, D], unit length."""
    random = np.random.default_rng(seed)
    people = _directions(random, -(-templates // _PICTURES), dimensions)
    rows = _near(random, np.repeat(people, _PICTURES, 0)[:templates], _ALIKE)
    asked = _directions(random, queries, dimensions)
    enrolled = asked[::2]
    enrolled[:] = _near(random, people[random.integers(len(people), size=len(enrolled))], _SEEN)
    return rows, asked


def measure(
    report: Report, templates: int, dimensions: int, floor: float, seconds: float, queries: int
) -> None:
    """Add the rows of one size of gallery to the report."""
    rows, asked = gallery(templates, dimensions, queries)
    began = time.perf_counter()
    index = Index(rows)
    built_ms = (time.perf_counter() - began) * 1e3
    for note in index.notes:
        report.note(note)
    searches: dict[str, dict[str, Search]] = {
        f"cosine >= {floor:g}": {"unvizard": lambda q: index.at_least(q, floor)[0]},
        f"best {_BEST}": {"unvizard": lambda q: index.top(q, _BEST)[0]},
    }
    every, best = searches.values()
    every["numpy"] = lambda q: np.flatnonzero(rows @ q >= floor)
    best["numpy"] = lambda q: np.argpartition(rows @ q, -_BEST)[-_BEST:]
    if can_quantise():
        import faiss

        flat = faiss.IndexFlatIP(dimensions)
        flat.add(rows)
        every["faiss flat"] = lambda q: flat.range_search(q[None], floor)[2]
        best["faiss flat"] = lambda q: flat.search(q[None], _BEST)[1][0]
    else:
        report.note("faiss is not installed: no faiss flat; run: pip install 'unvizard[faiss]'")
    wanted = dict(zip(searches, _truth(rows, asked, floor), strict=True))
    for what, ways in searches.items():
        asking = {way: _Asking(search, asked) for way, search in ways.items()}
        times = by_turns(asking, seconds / len(searches))
        middle = {way: float(np.median(ms)) for way, ms in times.items()}
        for way, search in ways.items():
            ours = way == "unvizard"
            report.add(
                templates=templates,
                looks_for=what,
                runs=way,
                **spread(times[way]),
                cpu_ms=float(np.median(asking[way].cpu_ms)),
                numpy_takes=middle["numpy"] / middle[way],
                faiss_flat_takes=middle["faiss flat"] / middle[way] if "faiss flat" in middle else None,
                recall=_recall(search, asked, wanted[what]),
                build_ms=built_ms if ours else None,
                add_one_ms=_took(lambda: index.add(rows[:1])) if ours else None,
                remove_one_ms=_took(lambda: index.remove([templates // 2])) if ours else None,
            )
            if ours and templates in TARGETS_MS:
                met = "met" if middle[way] <= TARGETS_MS[templates] else "MISSED"
                report.note(
                    f"{templates} templates, {what}: p50 {middle[way]:.3g} ms, of the processor "
                    f"{np.median(asking[way].cpu_ms):.3g} ms, wanted <= {TARGETS_MS[templates]:g} ms: {met}"
                )


def main() -> int:
    """Measure, print, save."""
    parser = argparse.ArgumentParser(prog="python -m tools.benchmark search", description=__doc__)
    parser.add_argument(
        "--templates", type=int, nargs="+", default=[1_000, 10_000, QUANTISE_ABOVE, 1_000_000], metavar="T"
    )
    parser.add_argument("--dimensions", type=int, default=128, metavar="D")
    parser.add_argument("--floor", type=float, default=0.3, help="cosine from which a template is asked for")
    parser.add_argument("--seconds", type=float, default=10, help="for each number of templates")
    parser.add_argument("--queries", type=int, default=40, help="different ones")
    add_arguments(parser)
    given = parser.parse_args()
    if min(given.templates) < 10 or min(given.dimensions, given.queries) < 2:
        parser.error("--templates must be at least 10, --dimensions and --queries at least 2")
    if os.environ.get("OMP_NUM_THREADS") != "1":  # read when numpy and faiss are loaded: begin again
        again = [sys.executable, "-m", "tools.benchmark", "search", *sys.argv[1:]]
        os.execve(sys.executable, again, {**os.environ, "OMP_NUM_THREADS": "1"})
    report = Report(
        "search",
        f"{given.dimensions} dimensions, one thread, exact",
        plot_label=("runs", "looks_for"),
        plot_group="templates",
    )
    report.note(
        "numpy takes, faiss flat takes: how many times as long as this row; cpu: the processor's, p50."
    )
    for templates in given.templates:
        measure(report, templates, given.dimensions, given.floor, given.seconds, given.queries)
    report.finish(given)
    return 0


def _directions(random: np.random.Generator, count: int, dimensions: int) -> Matrix:
    rows = random.standard_normal((count, dimensions), dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def _near(random: np.random.Generator, directions: Matrix, cosine: float) -> Matrix:
    """Unit vectors at about this cosine to each direction."""
    aside = _directions(random, *directions.shape)
    aside *= np.float32(np.sqrt(1 - cosine**2) / cosine)
    aside += directions
    aside /= np.linalg.norm(aside, axis=1, keepdims=True)
    return aside


def _truth(
    rows: Matrix, asked: Matrix, floor: float
) -> tuple[list[NDArray[np.intp]], list[NDArray[np.intp]]]:
    """Of each query in float64: the rows at or above the floor, and the best ones."""
    step = 1 << 14
    queries = asked.T.astype(np.float64)
    scores = np.concatenate(
        [rows[start : start + step].astype(np.float64) @ queries for start in range(0, len(rows), step)]
    ).T
    return [np.flatnonzero(line >= floor) for line in scores], [
        np.argpartition(line, -_BEST)[-_BEST:] for line in scores
    ]


def _recall(search: Search, asked: Matrix, wanted: list[NDArray[np.intp]]) -> float:
    hits = sum(len(np.intersect1d(search(query), right)) for query, right in zip(asked, wanted, strict=True))
    return hits / max(1, sum(len(right) for right in wanted))


class _Asking:
    """A call that asks for the next query each time. cpu_ms: what each took of the processor, without waiting."""

    def __init__(self, search: Search, asked: Matrix) -> None:
        self._search, self._turns = search, cycle(asked)
        self.cpu_ms: list[float] = []

    def __call__(self) -> None:
        query, began = next(self._turns), time.thread_time()
        self._search(query)
        self.cpu_ms.append((time.thread_time() - began) * 1e3)


def _took(change: Callable[[], object], times: int = 5) -> float:
    """Median milliseconds."""
    spent = []
    for _ in range(times):
        began = time.perf_counter()
        change()
        spent.append((time.perf_counter() - began) * 1e3)
    return float(np.median(spent))


if __name__ == "__main__":
    sys.exit(main())
