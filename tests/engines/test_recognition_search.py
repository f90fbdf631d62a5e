"""Exact search: every template is found, by whichever first look, while the index grows and shrinks."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engines.recognition.search import Index
from engines.recognition.search_blocks import PlainBlock, QuantisedBlock

Matrix = NDArray[np.float32]
ROOT = Path(__file__).resolve().parents[2]
NUMPY, FAISS = 10**9, 0


def rows_of(seed: int, count: int, dimensions: int = 128, spread: float = 0.0) -> Matrix:
    """Rows whose lengths differ by up to e to the spread, with a few exact copies and a row of zeros among them."""
    random = np.random.default_rng(seed)
    rows = random.standard_normal((count, dimensions))
    rows *= np.exp(random.uniform(-spread, spread, (count, 1))) / np.linalg.norm(rows, axis=1, keepdims=True)
    rows[random.integers(count, size=count // 10)] = rows[0]
    rows[count // 2] = 0
    return rows.astype(np.float32)


def truth(rows: Matrix, query: Matrix) -> NDArray[np.float64]:
    return rows.astype(np.float64) @ query.astype(np.float64)


def floors(scores: NDArray[np.float64]) -> list[float]:
    """Floors between scores, where nobody's rounding decides, that let through one row, some and many."""
    steps = np.unique(np.sort(scores).round(9))
    return [float((steps[-i] + steps[-i - 1]) / 2) for i in (1, 3, len(steps) // 3, len(steps) - 1)]


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    count=st.integers(12, 300),
    dimensions=st.sampled_from([1, 3, 128, 256, 384, 1100]),
    spread=st.sampled_from([0.0, 1.0, 12.0]),
    scale=st.sampled_from([1e-12, 1.0, 1e8]),
    above=st.sampled_from([NUMPY, FAISS]),
)
@example(0, 300, 128, 0.0, 1.0, FAISS)
def test_no_template_at_or_above_the_floor_is_ever_missed(
    seed: int, count: int, dimensions: int, spread: float, scale: float, above: int
) -> None:
    rows = rows_of(seed, count, dimensions, spread) * np.float32(scale)
    query = rows_of(seed + 1, 12, dimensions)[3] + rows[1] / np.float32(scale)
    index = Index(rows, quantise_above=above, block_rows=50)
    scores = truth(rows, query)
    for floor in (scores.max() / 2, 0.0, scores.min(), *scores[:5]):
        found, given_scores = index.at_least(query, float(floor))
        sure = np.abs(scores - floor) > 1e-13 * np.abs(scores).max()  # sums in another order differ by less
        assert np.array_equal(
            np.intersect1d(found, np.flatnonzero(sure)), np.flatnonzero(sure & (scores > floor))
        )
        assert np.allclose(given_scores, scores[found], rtol=1e-6, atol=1e-12 * scale)


@pytest.mark.parametrize("worst", ["row", "query"])
def test_what_the_codes_lose_of_a_row_or_of_a_query_is_allowed_for_at_its_worst(worst: str) -> None:
    """Here all that coding loses of the one adds up in the score, while nothing is lost of the other."""
    random = np.random.default_rng(17)
    rows = random.integers(-127, 128, (20, 64)).astype(np.float64)
    rows[0] = 127  # of every dimension: the codes' step is 1
    lost = random.uniform(0.3, 0.45, 64) * random.choice([-1, 1], 64)
    query = np.sign(lost) * 127
    rows[5] = np.sign(lost) * (100 if worst == "row" else 127)
    if worst == "row":
        rows[5] += lost
    else:
        query[1:] = np.sign(lost[1:]) * 60 + lost[1:]
    index = Index(rows.astype(np.float32), quantise_above=FAISS)
    exact = truth(rows.astype(np.float32), query.astype(np.float32))
    assert index.at_least(query.astype(np.float32), exact[5])[0].tolist() == [5]


def test_a_score_that_equals_the_floor_is_found() -> None:
    rows = np.eye(4, dtype=np.float32) * np.float32(0.75)
    for above in (NUMPY, FAISS):
        found, scores = Index(rows, quantise_above=above).at_least(np.ones(4, np.float32), 0.75)
        assert (found.tolist(), scores.tolist()) == ([0, 1, 2, 3], [0.75] * 4)


def test_both_first_looks_lead_to_the_same_answer_to_the_last_bit() -> None:
    rows, queries = rows_of(1, 2000), rows_of(2, 20)[:10]
    plain = Index(rows, quantise_above=NUMPY)
    coded = Index(rows, quantise_above=FAISS, block_rows=300)
    for query in queries:
        for floor in floors(truth(rows, query)):
            for ours, other in zip(plain.at_least(query, floor), coded.at_least(query, floor), strict=True):
                assert np.array_equal(ours, other)
        for ours, other in zip(plain.top(query, 7), coded.top(query, 7), strict=True):
            assert np.array_equal(ours, other)


@pytest.mark.parametrize("above", [NUMPY, FAISS], ids=["numpy", "faiss"])
@pytest.mark.parametrize("k", [1, 5, 60, 10_000])
def test_the_best_come_first_and_equal_ones_in_order(above: int, k: int) -> None:
    rows = rows_of(3, 500)
    index = Index(rows, quantise_above=above, block_rows=70)
    for query in (rows[0], rows_of(4, 10)[7], np.zeros(128, np.float32)):
        found, scores = index.top(query, k)
        expected = truth(rows, query)
        order = np.lexsort((np.arange(len(rows)), -expected.round(12)))[:k]
        assert found.tolist() == order.tolist()
        assert np.allclose(scores, expected[order], atol=1e-7)


def test_the_best_are_found_where_all_are_nearly_alike() -> None:
    """The codes of 8 bits cannot tell these apart, so that the first look alone would be wrong."""
    random = np.random.default_rng(5)
    rows = (np.full(128, 0.088) + random.normal(0, 1e-5, (400, 128))).astype(np.float32)
    query = rows_of(6, 10)[2]
    found, _ = Index(rows, quantise_above=FAISS, block_rows=100).top(query, 3)
    assert found.tolist() == np.argsort(-truth(rows, query))[:3].tolist()


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6), above=st.sampled_from([NUMPY, 60, FAISS]))
def test_an_index_that_grew_and_shrank_is_like_one_made_of_what_is_left(seed: int, above: int) -> None:
    random = np.random.default_rng(seed)
    rows = rows_of(seed, 100, 16)
    index = Index(rows, quantise_above=above, block_rows=32)
    for step in range(8):
        before, kept = index, rows.copy()
        if random.random() < 0.5:
            more = rows_of(seed + step, int(random.integers(10, 50)), 16)
            index, rows = index.add(more), np.concatenate([rows, more])
        else:
            gone = random.integers(0, len(rows), int(random.integers(0, len(rows) // 2)))
            index, rows = index.remove(gone), np.delete(rows, gone, 0)
        query = rows[random.integers(len(rows))]
        again = Index(rows, quantise_above=NUMPY)
        assert len(index) == len(rows)
        assert np.allclose(index.scores(query), rows @ query, atol=1e-6)
        for ours, other in zip(index.top(query, 9), again.top(query, 9), strict=True):
            assert np.array_equal(ours, other)
        assert np.allclose(before.scores(query), kept @ query, atol=1e-6), (
            "the index derived from has changed"
        )


def test_everything_can_be_removed_and_something_added_again() -> None:
    rows = rows_of(7, 40)
    empty = Index(rows, quantise_above=FAISS, block_rows=16).remove(np.arange(40))
    assert len(empty) == 0
    assert [len(part) for part in (*empty.at_least(rows[1], -np.inf), *empty.top(rows[1], 3))] == [0] * 4
    assert empty.scores(rows[1]).shape == (0,)
    assert empty.add(rows[1:2]).top(rows[1], 3)[0].tolist() == [0]


def test_what_is_searched_with_hangs_on_how_many_there_are() -> None:
    index = Index(rows_of(8, 100), quantise_above=100, block_rows=40)
    assert {type(block) for block in index._blocks} == {PlainBlock}
    index = index.add(rows_of(9, 10))
    assert {type(block) for block in index._blocks} == {QuantisedBlock}
    assert index.notes == ()


def test_a_change_leaves_the_blocks_beside_it_as_they_were() -> None:
    index = Index(rows_of(10, 200), quantise_above=FAISS, block_rows=50)
    removed, added = index.remove([60, 70]), index.add(rows_of(11, 10))
    assert [a is b for a, b in zip(index._blocks, removed._blocks, strict=True)] == [True, False, True, True]
    assert added._blocks[:4] == index._blocks


def test_a_removed_template_is_in_no_memory_that_the_index_holds() -> None:
    rows = rows_of(12, 200)
    index = Index(rows, block_rows=50).remove([60])
    held = [block.matrix if block.matrix.base is None else block.matrix.base for block in index._blocks]
    assert sum(len(part) for part in held) == 199
    assert not any((part == rows[60]).all(1).any() for part in held)


def test_searches_go_on_in_other_threads_while_templates_come_and_go() -> None:
    fixed = rows_of(13, 3000)
    query = fixed[1]
    expected = truth(fixed, query)
    floor = floors(expected)[2]
    wanted = np.flatnonzero(expected >= floor).tolist()
    current = Index(fixed, quantise_above=FAISS, block_rows=256)
    done, wrong = threading.Event(), []
    searched = [0, 0]

    def search(number: int) -> None:
        while not done.is_set():
            found, _ = current.at_least(query, floor)
            if found[found < len(fixed)].tolist() != wanted:
                wrong.append(found)
            searched[number] += 1

    threads = [threading.Thread(target=search, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    changes = 0
    try:
        while changes < 50 or min(searched) < 50:
            if len(current) < 4000:
                current = current.add(rows_of(changes, 100))
            else:
                current = current.remove(np.arange(len(fixed), len(current), 2))
            changes += 1
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert not wrong


def test_the_templates_given_may_change_afterwards() -> None:
    rows = rows_of(14, 50)
    index, query = Index(rows), rows[3].copy()
    expected = index.scores(query)
    rows[:] = 9
    assert np.array_equal(index.scores(query), expected)


def test_without_faiss_numpy_goes_on_and_says_so() -> None:
    program = (
        "import sys; sys.modules['faiss'] = None\n"
        "import numpy as np; from engines.recognition.search import Index\n"
        "index = Index(np.eye(8, dtype=np.float32), quantise_above=4)\n"
        "print(index.top(np.eye(8, dtype=np.float32)[5], 1)[0], *index.notes)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == (
        "[5] 8 templates are searched by numpy, several times slower, because faiss is not installed; "
        "run: pip install 'unvizard[faiss]'"
    )


def test_a_small_gallery_does_not_import_faiss() -> None:
    program = (
        "import sys; import numpy as np; from engines.recognition.search import Index\n"
        "Index(np.eye(8, dtype=np.float32)).top(np.ones(8, np.float32), 2); print('faiss' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def broken(value: float) -> Matrix:
    rows = rows_of(15, 20, 8)
    rows[3, 2] = value
    return rows


@pytest.mark.parametrize(
    ("templates", "sentence"),
    [
        (np.zeros(8, np.float32), "templates: must be float32 [T, D], found [8]"),
        (np.zeros((3, 0), np.float32), "templates: must be float32 [T, D], found [3, 0]"),
        (np.zeros((3, 8)), "templates: must be float32, found float64"),
        (broken(np.nan), "templates: all numbers must lie between -1e+15 and 1e+15"),
        (broken(-np.inf), "templates: all numbers must lie between -1e+15 and 1e+15"),
        (broken(2e15), "templates: all numbers must lie between -1e+15 and 1e+15"),
    ],
)
def test_templates_that_cannot_be_compared_are_refused(templates: Matrix, sentence: str) -> None:
    with pytest.raises(ValueError) as refused:
        Index(templates)
    assert str(refused.value) == sentence


def test_questions_that_cannot_be_answered_are_refused() -> None:
    index, query = Index(rows_of(16, 20, 8)), np.ones(8, np.float32)
    broken_query = query * np.float32(np.nan)
    wrong = [
        (lambda: index.top(query[:7], 1), "query: must be float32 [8], found [7]"),
        (lambda: index.scores(query[None]), "query: must be float32 [8], found [1, 8]"),
        (lambda: index.at_least(broken_query, 0), "query: all numbers must lie between -1e+15 and 1e+15"),
        (lambda: index.at_least(query, np.nan), "floor: must be a number, found nan"),
        (lambda: index.top(query, 0), "k: must be at least 1, found 0"),
        (lambda: index.add(np.zeros((1, 9), np.float32)), "templates: must be float32 [n, 8], found [1, 9]"),
        (lambda: index.remove([3, 20]), "rows: must lie between 0 and 19, found 3 to 20"),
        (lambda: index.remove([-1]), "rows: must lie between 0 and 19, found -1 to -1"),
    ]
    for question, sentence in wrong:
        with pytest.raises(ValueError) as refused:
            question()
        assert str(refused.value) == sentence
