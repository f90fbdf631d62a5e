"""Fusing the reconstructions of a track: steadier, as sharp, exact where nothing was painted, honest in doubt."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engines.unmasking.fusion import Fused, Fusion

Pixels = NDArray[np.uint8]
MASK = np.zeros((128, 128), np.float32)
MASK[62:118, 22:106] = 1
MASK[58:62, 22:106] = np.array([0.2, 0.4, 0.6, 0.8], np.float32)[:, None]
WELL_INSIDE = np.s_[70:110, 30:98]


def face(seed: int = 0) -> NDArray[np.float32]:
    """A picture with detail at several scales, brightest in red, float32 [128, 128, 3]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:128, :128].astype(np.float32)
    waves = sum(
        a * np.sin(x * fx + y * fy + p)
        for a, fx, fy, p in rng.uniform([4, -0.5, -0.5, 0], [16, 0.5, 0.5, 6], (8, 4))
    )
    return np.array([140, 110, 95], np.float32) + waves[..., None]


def look(
    truth: NDArray[np.float32], rng: np.random.Generator, noise: float = 8.0, gain: float = 1.0
) -> Pixels:
    """A reconstruction of it: noisy where it is painted, and of another exposure."""
    painted = truth + noise * rng.standard_normal(truth.shape) * MASK[..., None]
    return np.clip(np.rint(painted * gain), 0, 255).astype(np.uint8)


def fused(fusion: Fusion, picture: Pixels, weight: float = 0.7, mask: NDArray[np.float32] = MASK) -> Fused:
    made = fusion.add(picture, mask, weight)
    assert made is not None
    return made


def apart(a: NDArray[np.generic], b: NDArray[np.generic]) -> float:
    return float(np.abs(a[WELL_INSIDE].astype(float) - b[WELL_INSIDE]).mean())


def test_one_look_is_given_back_as_it_is_with_the_uncertainty_of_one_look() -> None:
    fusion, picture = Fusion(), look(face(), np.random.default_rng(1))
    assert not fusion.begun
    only = fused(fusion, picture)
    assert fusion.begun
    assert np.array_equal(only.picture, picture)
    assert only.looks == 1
    assert np.unique(only.uncertainty[MASK > 0]).size == 1 and only.uncertainty[80, 64] > 5
    assert not only.uncertainty[MASK == 0].any()


def test_several_looks_are_steadier_and_nearer_to_the_truth_than_each_and_grow_more_certain() -> None:
    fusion, rng, truth = Fusion(), np.random.default_rng(2), face()
    singles = [look(truth, rng) for _ in range(12)]
    made = [fused(fusion, single) for single in singles]
    for before, now, single_before, single in zip(made[5:], made[6:], singles[5:], singles[6:], strict=False):
        assert apart(before.picture, now.picture) < 0.5 * apart(single_before, single)
        assert apart(now.picture, truth) < 0.7 * apart(single, truth)
    assert [each.looks for each in made[:4]] == [1, 2, 3, 4]
    assert made[-1].looks in (8, 9)
    assert made[-1].uncertainty[WELL_INSIDE].mean() < made[0].uncertainty[WELL_INSIDE].mean()


def test_what_nobody_painted_is_the_newest_crop_exactly_in_what_is_shown_too() -> None:
    fusion, rng, truth = Fusion(), np.random.default_rng(3), face()
    for gain in (1.0, 0.7, 1.2, 0.9):
        newest = look(truth, rng, gain=gain)
        made = fused(fusion, newest)
        for picture in (made.picture, made.shown()):
            assert np.array_equal(picture[MASK == 0], newest[MASK == 0])
        assert not np.array_equal(made.shown(), newest)


def test_the_rim_is_blended_and_no_edge_is_left() -> None:
    fusion, truth = Fusion(), face()
    fused(fusion, look(truth, np.random.default_rng(4), noise=0))
    other = look(truth + 25 * MASK[..., None], np.random.default_rng(4), noise=0)
    made = fused(fusion, other)
    moved = np.abs(made.picture.astype(float) - other).mean((1, 2))
    assert moved[57] == 0 and moved[62] > 4
    assert (np.diff(moved[57:63]) >= -0.3).all() and np.diff(moved[57:63]).max() < 0.7 * moved[62]


def test_looks_of_another_exposure_and_white_balance_are_brought_to_the_newest_one() -> None:
    fusion, rng, truth = Fusion(), np.random.default_rng(5), face()
    for gain in (0.6, 1.3, 0.8, 1.1):
        fused(fusion, look(truth, rng, noise=0, gain=gain))
    tinted = truth * np.array([0.9, 0.7, 1.1], np.float32)
    made = fused(fusion, look(tinted, rng, noise=0))
    assert apart(made.picture, tinted) < 2
    assert made.uncertainty[WELL_INSIDE].mean() < 8, "exposure is no doubt about the face"


def test_old_looks_fade_and_what_is_seen_now_wins() -> None:
    fusion, rng, before = Fusion(), np.random.default_rng(6), face()
    after = before + 40 * MASK[..., None]
    for _ in range(20):
        fused(fusion, look(before, rng, noise=2))
    distance = [apart(fused(fusion, look(after, rng, noise=2)).picture, after) for _ in range(16)]
    assert distance[0] > 25 and distance[-1] < 3
    assert all(now < then for then, now in itertools.pairwise(distance[:9]))


def test_a_better_look_counts_more() -> None:
    truth, rng = face(), np.random.default_rng(7)
    good, bad = look(truth, rng, noise=0), look(truth - 30 * MASK[..., None], rng, noise=0)
    results = []
    for weight in (0.05, 1.0):
        fusion = Fusion()
        fused(fusion, good, 0.7)
        results.append(apart(fused(fusion, bad, weight).picture, truth))
    assert results[0] < 4 < results[1]


def test_where_looks_differ_it_is_more_uncertain_and_shown_softer_and_paler() -> None:
    fusion, rng, truth = Fusion(), np.random.default_rng(8), face()
    doubtful = np.zeros((128, 128, 1), np.float32)
    doubtful[70:110, 64:98] = 1
    for turn in range(8):
        made = fused(fusion, look(truth + (45 if turn % 2 else -45) * doubtful, rng, noise=1))
    sure, unsure = np.s_[74:106, 32:58], np.s_[74:106, 70:94]
    assert made.uncertainty[unsure].mean() > 4 * made.uncertainty[sure].mean()
    shown = made.shown().astype(float)
    kept = {name: shown[at].std((0, 1)).mean() / made.picture[at].std((0, 1)).mean() for name, at in
            (("sure", sure), ("unsure", unsure))}  # fmt: skip
    assert kept["sure"] > 0.9 and kept["unsure"] < 0.75


def test_detail_that_all_looks_share_survives_that_they_lie_a_fraction_of_a_pixel_apart() -> None:
    rng, truth = (
        np.random.default_rng(9),
        face() + 6 * np.random.default_rng(9).standard_normal((128, 128, 1)),
    )
    truth = cv2.GaussianBlur(truth.astype(np.float32), (0, 0), 0.8)
    fusion, sharpness = Fusion(), []
    for _ in range(8):
        shift = np.array([[1, 0, rng.uniform(-0.7, 0.7)], [0, 1, rng.uniform(-0.7, 0.7)]], np.float32)
        moved = cv2.warpAffine(truth, shift, (128, 128), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
        single = look(moved, rng, noise=0)
        made = fused(fusion, single)
        sharpness.append(
            [cv2.Laplacian(p[..., 1], cv2.CV_32F)[WELL_INSIDE].var() for p in (single, made.picture)]
        )
    single_look, of_all = np.mean(sharpness[3:], 0)
    assert of_all > 0.85 * single_look


def test_a_look_with_something_else_in_view_is_left_out_and_two_of_them_begin_anew() -> None:
    fusion, rng, truth, other = Fusion(), np.random.default_rng(10), face(0), face(77)
    for _ in range(5):
        fused(fusion, look(truth, rng))
    assert fusion.add(look(other, rng), MASK, 0.7) is None
    again = fused(fusion, look(truth, rng))
    assert again.looks >= 4, "one that passed by changed nothing"
    assert fusion.add(look(other, rng), MASK, 0.7) is None
    picture = look(other, rng)
    anew = fused(fusion, picture)
    assert anew.looks == 1 and np.array_equal(anew.picture, picture)


def test_the_same_looks_give_the_same_bits() -> None:
    def run() -> list[bytes]:
        fusion, rng = Fusion(), np.random.default_rng(11)
        made = [fused(fusion, look(face(), rng)) for _ in range(4)]
        return [each.shown().tobytes() + each.uncertainty.tobytes() for each in made]

    assert run() == run()


def test_an_empty_mask_and_a_black_picture_do_no_harm() -> None:
    fusion, black = Fusion(), np.zeros((128, 128, 3), np.uint8)
    for mask in (np.zeros((128, 128), np.float32), np.ones((128, 128), np.float32)):
        made = fused(fusion, black, mask=mask)
        assert np.isfinite(made.uncertainty).all() and made.shown().max() == 0


@pytest.mark.parametrize(
    ("picture", "mask", "weight", "named"),
    [
        (np.zeros((64, 128, 3), np.uint8), MASK, 1.0, "picture"),
        (np.zeros((128, 128, 3), np.float32), MASK, 1.0, "picture"),
        (np.zeros((128, 128, 3), np.uint8), MASK.astype(np.float64), 1.0, "mask"),
        (np.zeros((128, 128, 3), np.uint8), MASK, 0.0, "weight"),
        (np.zeros((128, 128, 3), np.uint8), MASK, float("nan"), "weight"),
    ],
)
def test_a_wrong_look_is_named(picture: Pixels, mask: NDArray[np.float32], weight: float, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Fusion().add(picture, mask, weight)
