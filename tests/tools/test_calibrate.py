"""The fit of the probabilities on comparisons whose truth is known, the simulated camera, and a small real run."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

import tools.calibrate
from engines.recognition.calibration import MODELS, Calibration, CalibrationError, Strength
from engines.recognition.evidence import VIEWS
from tools.calibration.cctv import Look
from tools.calibration.fit import (
    Comparisons,
    balanced,
    bent,
    fit,
    log_loss,
    logistic,
    reliability,
    shares_of,
    strangers_tail,
)
from tools.calibration.gather import Sample, compare, pictures
from tools.calibration.lfw import read_pairs
from tools.calibration.probes import Probe

DATA = Path(os.environ.get("UNVIZARD_DATA", Path(__file__).parents[3] / "shared" / "data"))


def drawn(people: int = 150, seed: int = 0, kinds: int = 1) -> Comparisons:
    """Cosines of normal distributions with equal spread 0.1, means 0.1 and 0.5: log LR = 40 (s - 0.3) exactly.

    A second kind is noise that tells nothing.
    """
    rng = np.random.default_rng(seed)
    probe, owner = (a.ravel() for a in np.meshgrid(np.arange(people), np.arange(people), indexing="ij"))
    same = probe == owner
    cosines = np.where(same, 0.5, 0.1) + rng.normal(0, 0.1, len(same))
    columns = [cosines, *(rng.normal(0, 0.1, len(same)) for _ in range(kinds - 1))]
    return Comparisons(np.stack(columns, 1), same, balanced(np.ones(len(same)), same), probe, owner)


def test_the_fit_finds_the_true_ratio() -> None:
    pairs = drawn(600)
    crossing, steepness, bend = bent(pairs.cosines[:, 0], pairs.same, pairs.weight)
    assert crossing == pytest.approx(0.3, abs=0.02)
    found = Strength((1.0,), crossing, steepness, bend, -99, 99, (0.0, 1.0))(np.array([0.1, 0.3, 0.5]))
    assert np.allclose(found, [-8, 0, 8], atol=1.2)


def test_a_wide_spread_of_one_person_bends_the_ratio_upwards_as_it_should() -> None:
    rng = np.random.default_rng(0)
    same = np.repeat([True, False], [20_000, 200_000])
    score = np.where(same, rng.normal(0.5, 0.15, len(same)), rng.normal(0.1, 0.08, len(same)))
    crossing, steepness, bend = bent(score, same, balanced(np.ones(len(same)), same))

    def true(s: float) -> float:
        return float(np.log(0.08 / 0.15) + (s - 0.1) ** 2 / (2 * 0.08**2) - (s - 0.5) ** 2 / (2 * 0.15**2))

    found = Strength((1.0,), crossing, steepness, bend, -99, 99, (0.0, 1.0))
    assert true(crossing) == pytest.approx(0, abs=0.3) and bend > 10
    for s in (0.35, 0.4, 0.45):
        assert float(found(np.array(s))) == pytest.approx(true(s), abs=0.8)


def test_what_is_used_is_modest_on_either_side_of_the_estimate() -> None:
    fitted = fit(drawn(), 1, np.random.default_rng(0), refits=60)
    used, estimate = fitted.strength, fitted.estimate
    assert (
        used.steepness <= estimate.steepness
        and used.bend <= estimate.bend
        and used.crossing >= estimate.crossing
    )
    assert used.lower == pytest.approx(-np.log(150 / 3)) and used.upper == pytest.approx(
        np.log(150 * 149 / 9)
    )
    assert fitted.ece < 0.02 and max(fitted.log_loss) < 0.2


def test_the_tail_of_strangers_gives_the_score_that_few_of_them_reach() -> None:
    rng = np.random.default_rng(5)
    score = np.concatenate(
        [rng.normal(0.1, 0.1, 400_000), rng.uniform(-0.6, -0.2, 200_000)]
    )  # no normal middle
    mean, deviation = strangers_tail(score, np.ones(len(score)))
    fitted = Strength((1.0,), 0.3, 20.0, 0.0, -3, 8, (mean, deviation))
    fresh = np.concatenate([rng.normal(0.1, 0.1, 4_000_000), np.full(2_000_000, -0.4)])
    for rate in (1e-2, 1e-3, 1e-4, 1e-5):
        assert (fresh >= fitted.reached_by_strangers(rate)).mean() == pytest.approx(rate, rel=0.4)


def test_fewer_people_make_a_more_modest_fit() -> None:
    few, many = (fit(drawn(n), 1, np.random.default_rng(0), refits=60) for n in (15, 150))
    assert few.strength.upper < many.strength.upper and few.strength.lower > many.strength.lower
    assert few.crossing[1] - few.crossing[0] > many.crossing[1] - many.crossing[0]


def test_evidence_that_speaks_the_wrong_way_gets_no_weight() -> None:
    pairs = drawn(kinds=2)
    against = np.column_stack([pairs.cosines[:, 0], pairs.cosines[:, 1] - 0.2 * pairs.same])
    found = logistic(against, pairs.same, pairs.weight)
    assert found[1] == 0.0
    alone = logistic(pairs.cosines[:, :1], pairs.same, pairs.weight)
    assert np.allclose(found[[0, 2]], alone, rtol=1e-3)


def test_terms_of_the_face_as_seen_share_alike_and_what_adds_nothing_gets_nothing() -> None:
    pairs = drawn(kinds=3)
    shares = shares_of(pairs, 2)
    assert shares[0] == shares[1] == pytest.approx(0.5, abs=0.02)
    against = replace(pairs, cosines=pairs.cosines - 0.3 * pairs.same[:, None] * np.array([0, 0, 1.0]))
    assert np.array_equal(shares_of(against, 2), [0.5, 0.5, 0.0])


def test_perfect_probabilities_have_no_error_and_boasting_ones_do() -> None:
    rng = np.random.default_rng(1)
    same = rng.random(40_000) < 0.5
    cosine = np.where(same, 0.5, 0.1) + rng.normal(0, 0.15, len(same))
    true = (0.4 / 0.15**2) * (cosine - 0.3)
    honest, boasting = reliability(true, same)[1], reliability(3 * true, same)[1]
    assert honest < 0.01 < 0.03 < boasting
    weight = np.ones(len(same))
    assert log_loss(true, same, weight) < log_loss(3 * true, same, weight)
    for prior in (0.5, 0.01):
        assert log_loss(np.zeros(len(same)), same, weight, prior) == pytest.approx(1.0)


def test_strangers_are_compared_with_people_and_not_with_each_other_or_their_own_photograph() -> None:
    rng = np.random.default_rng(0)

    def probe() -> Probe:
        vector = {"raw": rng.normal(size=128).astype(np.float32)}
        return Probe(vector, vector, 30.0)

    samples = [
        Sample(i // 2, i >= 4, dict.fromkeys(VIEWS, rng.normal(size=128).astype(np.float32)), (probe(),), ())
        for i in range(8)
    ]
    samples = [
        Sample(i if s.stranger else s.person, s.stranger, s.views, s.clean, ()) for i, s in enumerate(samples)
    ]
    pairs = compare(samples, False, ("raw",), None)
    assert len(pairs.same) == 2 * (4 * 7 + 4 * 4) and pairs.same.sum() == 2 * 4
    met = {(int(a), int(b)) for a, b in zip(pairs.probe, pairs.owner, strict=True)}
    assert not any(a >= 4 and b >= 4 for a, b in met)
    assert pairs.weight[pairs.same].sum() == pytest.approx(0.5) and pairs.weight.sum() == pytest.approx(1)


def test_the_simulated_camera_repeats_itself_and_shows_the_face_where_it_says() -> None:
    picture = np.zeros((400, 400, 3), np.uint8)
    landmarks = np.array([[160, 180], [240, 180], [200, 220], [170, 260], [230, 260]], np.float32)
    for x, y in landmarks[:2]:
        cv2.circle(picture, (int(x), int(y)), 10, (255, 255, 255), -1)
    look = Look(24.0, 0.0, 0.0, 1.0, 1.0, (1.0, 1.0, 1.0), False, 0.0, 90, 0.9, 5.0)
    seen, transform = look.see(picture, landmarks, np.random.default_rng(4))
    again, _ = look.see(picture, landmarks, np.random.default_rng(4))
    assert np.array_equal(seen, again) and seen.dtype == np.uint8
    points = landmarks @ transform[:, :2].T + transform[:, 2]
    assert np.hypot(*(points[1] - points[0])) == pytest.approx(24 * 0.9, rel=0.15)
    for x, y in points[:2]:
        assert seen[round(float(y)), round(float(x))].min() > 150
    assert Look.draw(np.random.default_rng(1)) == Look.draw(np.random.default_rng(1))


def test_lists_that_do_not_fit_say_so(tmp_path: Path) -> None:
    (tmp_path / "index.csv").write_text("file,identity\na/1.jpg,x\na/2.jpg,\n")
    assert pictures(tmp_path / "index.csv", "a/") == [
        (f"{tmp_path}/a/1.jpg", "x"),
        (f"{tmp_path}/a/2.jpg", "a/2.jpg"),
    ]
    with pytest.raises(ValueError, match=r"must have rows whose file begins with 'b/', found none"):
        pictures(tmp_path / "index.csv", "b/")
    (tmp_path / "pairs.txt").write_text("10\t300\nAda\t1\t2\nAda\t1\tGrace\t3\n")
    one, two = read_pairs(tmp_path / "pairs.txt", tmp_path)
    assert (one.first_name, one.second_name, Path(one.second).name) == ("Ada", "Ada", "Ada_0002.jpg")
    assert (two.first_name, two.second_name, Path(two.second).name) == ("Ada", "Grace", "Grace_0003.jpg")
    (tmp_path / "pairs.txt").write_text("1\nAda 1\n")
    with pytest.raises(ValueError, match=r"a line must have 3 or 4 words, found 'Ada 1'"):
        read_pairs(tmp_path / "pairs.txt", tmp_path)


def test_an_embedder_that_does_not_know_people_gets_no_calibration() -> None:
    pairs = drawn()
    tools.calibrate._check("clean", fit(pairs, 1, np.random.default_rng(0), refits=5))
    few, rng = drawn(12), np.random.default_rng(2)
    noise = fit(replace(few, cosines=rng.normal(0.5, 0.1, few.cosines.shape)), 1, rng, refits=5)
    with pytest.raises(
        CalibrationError, match=r"models\.clean: the embeddings do not tell these people apart"
    ):
        tools.calibrate._check("clean", noise)


@pytest.mark.skipif(not (DATA / "faces" / "index.csv").exists(), reason="needs the data folder")
def test_a_small_run_on_real_photographs_writes_a_calibration_and_its_card(tmp_path: Path) -> None:
    output = tmp_path / "trial.json"
    result = CliRunner().invoke(
        tools.calibrate.app,
        ["--data", str(DATA), "--limit", "8", "--looks", "1", "--frames", "2", "--output", str(output)],
    )
    assert result.exit_code == 0, result.output
    calibration = Calibration.load(output)
    assert set(calibration.models) == set(MODELS)
    assert np.linalg.norm(calibration.centres.masked["robust"]) > 0.05
    card = (tmp_path / "trial.md").read_text()
    for words in (
        "Measured on LFW",
        "| masked, as a camera sees it |",
        calibration.generator_sha256,
        "## Limits",
    ):
        assert words in card
