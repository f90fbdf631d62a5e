"""Figures of verification and identification where the truth is known."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from tools.recognition.bootstrap import People, estimate
from tools.recognition.comparisons import Side, all_against_all, listed
from tools.recognition.groups import group_rates, warnings
from tools.recognition.identification import ranked_figures
from tools.recognition.metrics import Roc, accuracy, best_threshold, decisions, folds_of
from tools.recognition.probabilities import cross_fitted, of_claims, of_pairs
from tools.recognition.searches import Ranked


def crowd(people: int, noise: float, seed: int = 0) -> tuple[Side, Side, np.ndarray, np.ndarray]:
    """Two pictures of each person, probes and templates, as noisy unit vectors around one of the person's own."""
    rng = np.random.default_rng(seed)
    own = rng.normal(size=(people, 32))
    probes, templates = (own + noise * rng.normal(size=own.shape) for _ in range(2))
    person = np.arange(people)
    vectors = [(v / np.linalg.norm(v, axis=1, keepdims=True)).astype(np.float32) for v in (probes, templates)]
    return Side(person, person), Side(person + people, person), vectors[0], vectors[1]


def test_millions_of_comparisons_keep_what_decides_and_little_memory() -> None:
    probes, templates, p, t = crowd(3000, 0.9)
    tracemalloc.start()
    kept = all_against_all(probes, templates, lambda rows: {"x": p[rows] @ t.T}, highest=50_000, rest=50_000)[
        "x"
    ]
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    scores = p @ t.T
    other = ~np.eye(3000, dtype=bool)
    assert kept.genuine == 3000 and kept.impostor == 3000 * 2999 and most < 40e6
    roc = Roc(kept, probes.person, templates.person)
    for rate in (1e-3, 1e-4):
        assert rate <= kept.exact_to
        true = np.sort(scores[other])[::-1][int(rate * 3000 * 2999 + 1e-6)]
        assert roc.threshold(rate) == pytest.approx(float(true), abs=1e-7)
        assert roc.curve(np.array([rate]))[0] == pytest.approx((np.diag(scores) > true).mean())
    everything = Roc(
        all_against_all(probes, templates, lambda rows: {"x": p[rows] @ t.T})["x"],
        probes.person,
        templates.person,
    )
    one = np.ones(3000)
    assert roc.figures(one)[0] == pytest.approx(everything.figures(one)[0], abs=2e-3)


def test_a_photograph_is_never_compared_with_itself() -> None:
    person = np.array([0, 0, 1])
    side = Side(np.array([0, 1, 2]), person)
    kept = all_against_all(side, side, lambda rows: {"x": np.ones((3, 3), np.float32)[rows]})["x"]
    assert kept.genuine == 2 and kept.impostor == 4
    assert all(a != b for a, b in zip(kept.probe, kept.template, strict=True))


def test_equal_scores_are_never_told_apart() -> None:
    score = np.zeros(4000)
    same = np.arange(4000) < 400
    rows = np.arange(4000)
    roc = Roc(listed(score, same, rows, rows), rows, rows)
    eer, tar = roc.figures(np.ones(4000))
    assert roc.rates == (1e-2,) and tar == 0.0 and eer == pytest.approx(0.5)


def test_rates_with_too_few_comparisons_are_not_told() -> None:
    rows = np.arange(2999 + 100)
    score = np.random.default_rng(0).normal(size=len(rows))
    assert Roc(listed(score, rows < 100, rows, rows), rows, rows).rates == ()
    rows = np.arange(3000 + 100)
    score = np.random.default_rng(0).normal(size=len(rows))
    assert Roc(listed(score, rows < 100, rows, rows), rows, rows).rates == (1e-2,)


def test_people_drawn_twice_count_as_if_they_were_two() -> None:
    probes, templates, p, t = crowd(300, 1.2)
    kept = all_against_all(probes, templates, lambda rows: {"x": p[rows] @ t.T})["x"]
    weights = np.ones(300)
    weights[:50], weights[50:100] = 2, 0
    chosen = np.concatenate([np.arange(50), np.arange(50), np.arange(100, 300)])
    scores = p[chosen] @ t[chosen].T
    genuine = np.repeat(np.diag(p @ t.T), weights.astype(int))
    impostor = scores[chosen[:, None] != chosen[None]]
    rows = np.arange(len(genuine) + len(impostor))
    again = listed(np.concatenate([genuine, impostor]), rows < len(genuine), rows, rows)
    weighted = Roc(kept, probes.person, templates.person).figures(weights)
    assert weighted[:2] == pytest.approx(Roc(again, rows, rows).figures(np.ones(len(rows)))[:2], abs=1e-6)


def test_accuracy_is_of_thresholds_from_the_other_folds_and_a_missing_face_is_another_person() -> None:
    rng = np.random.default_rng(0)
    a, b = np.arange(400), np.arange(400, 800)
    same = np.arange(400) % 2 == 0
    score = np.where(same, 1.0, 0.0) + rng.normal(0, 0.05, 400)
    score[:20] = np.nan
    folds = folds_of(a, b, np.arange(400) // 40)
    right = decisions(score, same, folds)
    assert right[20:].all() and right[:20].tolist() == (~same[:20]).tolist()
    assert accuracy(right, same, a, b, np.ones(800))[0] == pytest.approx(390 / 400)
    assert best_threshold(np.array([1.0, 2.0, 3.0]), np.array([False, False, True])) == 2.5
    for training, test in folds_of(np.array([0, 0, 1, 2]), np.array([1, 2, 2, 3]), None):
        assert not (training & test).any()


def test_folds_without_a_column_share_no_people() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 60, 500), rng.integers(0, 60, 500)
    folds = folds_of(a, b, None)
    assert sum(int(test.sum()) for _, test in folds) == 500
    for training, test in folds:
        assert not set(a[test]) & (set(a[training]) | set(b[training]))


def test_intervals_hold_the_truth_and_reach_beyond_nothing_seen() -> None:
    people = People(200, 200)
    hits = np.random.default_rng(3).random(200) < 0.3
    value, again = people.again(lambda w: np.array([w @ hits / w.sum()]))
    found = estimate(value[0], again[:, 0], 200)
    assert found.low < 0.3 < found.high and 0.04 < found.high - found.low < 0.2
    value, again = people.again(lambda w: np.array([0.0]))
    assert estimate(value[0], again[:, 0], 200).high == pytest.approx(3 / 200)
    with pytest.raises(ValueError, match="draws: must be at least 20, found 5"):
        People(3, 5)


def test_true_probabilities_hold_and_boasting_ones_do_not() -> None:
    rng = np.random.default_rng(1)
    same = rng.random(4000) < 0.5
    a, b = np.arange(4000), np.arange(4000, 8000)
    score = np.where(same, 0.5, 0.1) + rng.normal(0, 0.15, 4000)
    true, people = (0.4 / 0.15**2) * (score - 0.3), People(8000, 30)
    honest, boasting = of_pairs(true, same, a, b, people), of_pairs(4 * true, same, a, b, people)
    assert honest and boasting and honest.ece.value < 0.02 < 0.04 < boasting.ece.low
    assert honest.log_loss.value < boasting.log_loss.value
    fitted = cross_fitted(score, same, folds_of(a, b, None))
    assert np.abs(fitted - true).mean() < 0.5
    assert of_pairs(true, np.ones(4000, bool), a, b, people) is None
    said = 1 / (1 + np.exp(-true))
    claims = of_claims(said, same, np.ones(4000), a, people)
    assert claims and claims.ece.value < 0.02


def test_a_group_that_is_mistaken_for_each_other_is_said_in_the_report() -> None:
    rng = np.random.default_rng(0)
    alike = np.arange(400) < 100
    own = rng.normal(size=(400, 32))
    own[alike] += 2.5 * rng.normal(size=32)
    vectors = [own + 0.3 * rng.normal(size=own.shape) for _ in range(2)]
    p, t = ((v / np.linalg.norm(v, axis=1, keepdims=True)).astype(np.float32) for v in vectors)
    person, label = np.arange(400), np.where(alike, "alike", "others").tolist()
    sides = Side(person, person), Side(person + 400, person)
    kept = all_against_all(*sides, lambda rows: {"x": p[rows] @ t.T})["x"]
    threshold = Roc(kept, person, person).threshold(1e-2)
    rates = group_rates(kept, threshold, person, person, label, label, People(400, 40), True)
    scores = p @ t.T
    among = scores[np.ix_(alike, alike)][~np.eye(100, dtype=bool)]
    assert rates["alike"].fmr_within and rates["alike"].fmr_within.value == pytest.approx(
        (among > threshold).mean()
    )
    said = warnings("kind", rates, 1e-2, 1e-2)
    assert len(said) == 2 and all(text.startswith("kind alike: false matches") for text in said)


def test_a_search_without_a_face_is_a_miss_and_no_alarm() -> None:
    n = 2000
    mated = np.arange(n) < 1000
    rng = np.random.default_rng(0)
    top = np.where(mated, 0.8, 0.2) + rng.normal(0, 0.05, n)
    mate, rank = np.where(mated, top, -np.inf), np.where(mated, 1, np.iinfo(np.intp).max)
    mate[:100], rank[:100], top[:100] = -np.inf, np.iinfo(np.intp).max, -np.inf
    top[1000:1100] = -np.inf
    top[1100:1110] = 2.0
    person, people = np.arange(n), People(n, 30)
    found = ranked_figures(Ranked(mate, rank, top), mated, person, people)
    assert found["rank-1"].value == pytest.approx(0.9) == found["rank-5"].value
    assert found["fnir@0.1"].value == pytest.approx(0.1) and found["fnir@0.01"].value == pytest.approx(0.1)
    assert "fnir@0.001" not in found
    top[1100:1111] = 2.0
    found = ranked_figures(Ranked(mate, rank, top), mated, person, people)
    assert found["fnir@0.01"].value == 1.0, "eleven of a thousand alarms are above everybody"
