"""Posterior, the rule about reconstructions, and decisions over a track."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engines.recognition.calibration import Calibration, CalibrationError, Strength
from engines.recognition.centring import Centres
from engines.recognition.embedder import unit
from engines.recognition.enrolled import GallerySnapshot
from engines.recognition.evidence import TERMS, VIEWS
from engines.recognition.matcher import Matcher
from engines.recognition.track import TrackIdentity

SPACE, GENERATOR = "sface:test", "gen"
STRANGERS = (0.0, 128**-0.5)  # as random directions of 128 dimensions are
ZERO = np.zeros(128, np.float32)
NOWHERE = Centres({"raw": ZERO}, {"raw": ZERO}, dict.fromkeys(VIEWS, ZERO))
CALIBRATION = Calibration(
    SPACE,
    "",
    GENERATOR,
    {
        "plain": Strength((1.0,), 1 / 3, 30.0, 0.0, -3.5, 9.5, STRANGERS),
        "clean": Strength((1.0,), 1 / 3, 30.0, 0.0, -3.5, 9.5, STRANGERS),
        "masked": Strength((1.0, 0.0, 0.0, 0.0), 0.4, 20.0, 0.0, -3.0, 8.0, STRANGERS),
        "masked+unmasked": Strength((0.5, 0.0, 0.0, 0.0, 0.5), 0.375, 24.0, 0.0, -3.0, 8.0, STRANGERS),
    },
    NOWHERE,
)
FUSED = Calibration(
    SPACE,
    "",
    "",
    CALIBRATION.models | {"masked": Strength((0.1, 0.2, 0.3, 0.4), 0.4, 20.0, 0.0, -3.0, 8.0, STRANGERS)},
    NOWHERE,
)
Vector = NDArray[np.float32]


def direction(seed: int) -> Vector:
    return unit(np.random.default_rng(seed).normal(size=128))


def near(vector: Vector, cosine: float, seed: int = 99) -> Vector:
    """A unit vector at this cosine to another."""
    other = direction(seed)
    side = unit(other - (other @ vector) * vector)
    return unit(cosine * vector + np.sqrt(1 - cosine**2) * side)


def enrolled(pictures: Sequence[Sequence[Vector]]) -> GallerySnapshot:
    names = tuple(f"Person {i}" for i in range(len(pictures)))
    matrix = np.concatenate([np.stack(list(p)) for p in pictures])
    owner = np.repeat(np.arange(len(pictures)), [len(p) for p in pictures])
    return GallerySnapshot.of(1, SPACE, tuple(f"id{i}" for i in range(len(pictures))), names, matrix, owner)


def people(count: int, prior: float = 0.5) -> Matcher:
    return Matcher(enrolled([[direction(i)] for i in range(count)]), CALIBRATION, prior, GENERATOR)


def test_the_posterior_is_bayes_rule_over_everyone_and_nobody() -> None:
    a, b = direction(0), direction(1)
    probe = near(a, 0.45)
    match = Matcher(enrolled([[a], [b]]), CALIBRATION, 0.3).match({"raw": probe}, masked=False)
    ratio = np.exp(np.clip(30 * np.array([probe @ a, probe @ b]) - 10, -3.5, 9.5))
    total = 0.7 + 0.15 * ratio.sum()
    by_name = {c.person: c.probability for c in match.candidates}
    assert by_name["Person 0"] == pytest.approx(0.15 * ratio[0] / total, rel=1e-5)
    assert by_name["Person 1"] == pytest.approx(0.15 * ratio[1] / total, rel=1e-5)
    assert match.nobody == pytest.approx(0.7 / total, rel=1e-5)
    assert match.candidates[0].evidence == {"raw": pytest.approx(0.45, abs=1e-5)}


def test_a_larger_gallery_makes_the_same_likeness_less_sure() -> None:
    probe = near(direction(0), 0.5)
    sure = []
    for others in (0, 10, 100, 1000, 10_000):
        matcher = Matcher(enrolled([[direction(0)], *[[-probe]] * others]), CALIBRATION)
        sure.append(matcher.match({"raw": probe}, False).candidates[0].probability)
    assert sure == sorted(sure, reverse=True) and sure[0] > 0.99 and sure[-1] < 0.3


def test_several_pictures_of_a_person_count_as_the_mean_of_their_ratios() -> None:
    a, probe = direction(0), near(direction(0), 0.5)
    one = Matcher(enrolled([[a]]), CALIBRATION).match({"raw": probe}, False)
    same = Matcher(enrolled([[a, a, a]]), CALIBRATION).match({"raw": probe}, False)
    with_others = Matcher(enrolled([[a, direction(7), direction(8)]]), CALIBRATION).match(
        {"raw": probe}, False
    )
    assert same.candidates[0].log_lr == pytest.approx(one.candidates[0].log_lr)
    assert with_others.candidates[0].log_lr == pytest.approx(one.candidates[0].log_lr - np.log(3), abs=0.01)
    assert with_others.candidates[0].evidence["raw"] == pytest.approx(0.5, abs=1e-5)


def test_nobody_enrolled_means_nobody() -> None:
    match = Matcher(GallerySnapshot.empty(), CALIBRATION).match({"raw": direction(0)}, False)
    assert match.candidates == () and match.nobody == 1.0


@settings(deadline=None, max_examples=200)
@given(
    raw=st.floats(-0.2, 1.0),
    unmasked=st.floats(-0.2, 1.0),
    prior=st.floats(0.01, 0.99),
    count=st.integers(1, 20),
)
def test_a_reconstruction_never_makes_anybody_more_probable(
    raw: float, unmasked: float, prior: float, count: int
) -> None:
    matcher = people(count, prior)
    seen = {"raw": near(direction(0), raw)}
    alone = {c.person: c.probability for c in matcher.match(seen, True).candidates}
    both = matcher.match(seen | {"unmasked": near(direction(0), unmasked, 5)}, True)
    for candidate in both.candidates:
        if candidate.person in alone:
            assert candidate.probability <= alone[candidate.person] + 1e-12
    assert sum(c.probability for c in both.candidates) + both.nobody <= 1 + 1e-9


@pytest.mark.parametrize("prior", [0.5, 0.99])
@pytest.mark.parametrize("impostor_level", [-0.1, 0.1, 0.3, 0.45])
def test_a_face_like_a_strangers_is_never_named_whatever_the_reconstruction_shows(
    impostor_level: float, prior: float
) -> None:
    track = TrackIdentity(people(1, prior), decide_at=0.6)
    looks = {"raw": near(direction(0), impostor_level), "unmasked": direction(0)}  # a perfect reconstruction
    for i in range(50):
        state = track.add(i * 400_000_000, looks, True, 1.0)
        assert state.decision != "person"
    assert state.candidates[0].evidence["unmasked"] == pytest.approx(1.0, abs=1e-5)


def test_a_reconstruction_that_disagrees_makes_a_match_less_sure() -> None:
    matcher, raw = people(1), near(direction(0), 0.6)
    alone = matcher.match({"raw": raw}, True)
    doubted = matcher.match({"raw": raw, "unmasked": near(direction(0), 0.1, 5)}, True)
    assert doubted.candidates[0].probability < alone.candidates[0].probability - 0.1
    assert doubted.nobody <= alone.nobody  # the doubt is not proof of a stranger either


def test_an_unknown_generator_is_shown_and_not_counted() -> None:
    snapshot = enrolled([[direction(0)]])
    looks = {"raw": near(direction(0), 0.6), "unmasked": near(direction(0), 0.1, 5)}
    matcher = Matcher(snapshot, CALIBRATION, 0.5, "another")
    match = matcher.match(looks, True)
    assert (
        match.candidates[0].probability
        == matcher.match({"raw": looks["raw"]}, True).candidates[0].probability
    )
    assert match.candidates[0].evidence["unmasked"] == pytest.approx(0.1, abs=1e-5)
    assert "reconstructions are shown, not counted" in matcher.notes[0]


def test_a_gallery_of_another_space_is_refused() -> None:
    snapshot = GallerySnapshot.of(1, "other:1", ("id",), ("x",), direction(0)[None], np.zeros(1, np.intp))
    with pytest.raises(
        CalibrationError, match=r"was fitted for the embedder sface:test, the gallery holds other:1"
    ):
        Matcher(snapshot, CALIBRATION)


@pytest.mark.parametrize(
    "looks", [{}, {"unmasked": direction(0)}, {"raw": direction(0), "rendered": direction(0)}]
)
def test_looks_without_the_face_as_seen_are_refused(looks: dict[str, Vector]) -> None:
    with pytest.raises(
        ValueError, match=r'looks: must hold "raw" and otherwise upper, robust, unmasked, found'
    ):
        people(1).match(looks, True)
    with pytest.raises(ValueError, match=r'looks: must hold "raw"'):
        TrackIdentity(people(1)).add(0, looks, True, 1.0)


def test_the_terms_are_fused_by_their_shares_and_each_is_shown_by_itself() -> None:
    rng = np.random.default_rng(3)
    views = {view: unit(rng.normal(size=(6, 128))) for view in VIEWS}
    owner = np.array([0, 0, 1, 1, 1, 2])
    snapshot = GallerySnapshot(1, SPACE, ("a", "b", "c"), ("A", "B", "C"), views, owner)
    looks = {"raw": direction(10), "upper": direction(11), "robust": near(views["rendered"][3], 0.9)}
    match = Matcher(snapshot, FUSED).match(looks, True)
    cosine = {term: views[view] @ looks[look] for term, (look, view) in TERMS.items() if look in looks}
    score = sum(
        s * cosine[t]
        for s, t in zip((0.1, 0.2, 0.3, 0.4), ("raw", "upper", "robust", "rendered"), strict=True)
    )
    for candidate in match.candidates:
        mine = owner == "abc".index(candidate.person_id)
        assert candidate.score == pytest.approx(float(score[mine].max()), abs=1e-5)
        assert candidate.evidence == {
            t: pytest.approx(float(c[mine].max()), abs=1e-5) for t, c in cosine.items()
        }
        ratios = np.exp(np.clip(20 * (score[mine] - 0.4), -3.0, 8.0))
        assert candidate.log_lr == pytest.approx(float(np.log(ratios.mean())), abs=1e-4)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("false_alarms", [0.1, 0.03])
def test_strangers_reach_the_needed_score_as_often_as_was_asked_for(
    false_alarms: float, masked: bool
) -> None:
    gallery = enrolled([[direction(1000 + i)] for i in range(50)])
    matcher = Matcher(gallery, CALIBRATION, false_alarms=false_alarms)
    strangers = 1500
    alarms = 0
    for i in range(strangers):
        match = matcher.match({"raw": direction(100_000 + i)}, masked)
        alarms += match.candidates[0].score >= match.needed
    assert 0.4 * false_alarms < alarms / strangers < 1.6 * false_alarms


def test_more_people_enrolled_ask_for_more_likeness() -> None:
    probe = {"raw": direction(0)}
    needed = [people(count).match(probe, False).needed for count in (1, 10, 1000)]
    assert needed == sorted(needed) and needed[-1] > needed[0] + 0.05
    strict = Matcher(enrolled([[direction(0)]]), CALIBRATION, false_alarms=1e-6).match(probe, False).needed
    assert strict > needed[0] + 0.1


@pytest.mark.parametrize("rate", [0.0, -0.1, 0.2, float("nan")])
def test_a_false_alarm_rate_out_of_range_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match=r"false_alarms: must be above 0 and at most 0\.1, found"):
        Matcher(GallerySnapshot.empty(), CALIBRATION, false_alarms=rate)


# over a track

MS = 1_000_000


def look(track: TrackIdentity, ms: int, vector: Vector, masked: bool = False, weight: float = 1.0) -> str:
    return track.add(ms * MS, {"raw": vector}, masked, weight).decision


def test_one_look_names_nobody_and_two_do() -> None:
    track = TrackIdentity(people(2))
    assert look(track, 0, near(direction(0), 0.7)) == "undecided"
    assert look(track, 400, near(direction(0), 0.7)) == "person"
    assert track.state.person == "Person 0" and track.state.person_id == "id0" and track.decided
    assert track.state.probability == track.state.candidates[0].probability > 0.9


def test_nobody_needs_more_good_looks_than_bad_ones_can_give() -> None:
    bad, good = TrackIdentity(people(1)), TrackIdentity(people(1))
    for i in range(8):
        assert look(bad, i * 400, direction(50), weight=0.1) == "undecided"
        look(good, i * 400, direction(50))
    assert good.state.decision == "nobody" and good.state.person is None and good.state.probability > 0.9


def test_looks_in_quick_succession_count_as_little_more_than_one() -> None:
    quick, slow = TrackIdentity(people(1)), TrackIdentity(people(1))
    for i in range(10):
        look(quick, i * 20, direction(50))
        look(slow, i * 1000, direction(50))
    assert quick.state.looks < 1.5 and quick.state.decision == "undecided"
    assert slow.state.looks > 5 and slow.state.decision == "nobody"


def test_a_sharp_look_outweighs_blurred_ones() -> None:
    track = TrackIdentity(people(1))
    for i in range(3):
        look(track, i * 400, near(direction(0), 0.3, 60 + i), weight=0.05)
    look(track, 1600, near(direction(0), 0.8), weight=1.0)
    assert track.state.decision == "person"


def test_a_name_holds_between_the_two_thresholds_and_goes_below_the_lower() -> None:
    a = direction(0)
    held, fresh = TrackIdentity(people(1), 0.95, 0.6), TrackIdentity(people(1), 0.95, 0.6)
    for i in range(2):
        look(held, i * 400, near(a, 0.45))
    between = near(a, 0.36)
    for i in range(2, 60):
        look(held, i * 400, between)
        look(fresh, i * 400, between)
        assert held.state.decision == "person" and fresh.state.decision == "undecided"
    assert 0.6 < held.state.probability < 0.95
    for i in range(60, 400):
        look(held, i * 400, near(a, 0.28))
    assert held.state.decision == "undecided"


def test_a_track_that_passes_to_another_face_starts_again() -> None:
    track = TrackIdentity(people(3))
    for i in range(10):
        look(track, i * 400, near(direction(0), 0.7))
    assert track.state.person == "Person 0"
    assert (
        look(track, 4000, near(direction(1), 0.7, 98)) == "person" and track.state.person == "Person 0"
    )  # one bad look
    look(track, 4400, near(direction(1), 0.7, 98))
    look(track, 4800, near(direction(1), 0.7, 98))
    assert track.state.person == "Person 1"


def test_somebody_masked_who_takes_the_place_of_somebody_seen_bare_does_not_keep_the_name() -> None:
    track = TrackIdentity(people(3))
    for i in range(6):
        look(track, i * 400, near(direction(0), 0.7))
    assert track.state.person == "Person 0"
    for i in range(6, 9):
        look(track, i * 400, direction(77), masked=True)
    assert track.state.person is None


def test_a_single_stray_look_changes_nothing() -> None:
    track = TrackIdentity(people(2))
    for i in range(4):
        look(track, i * 400, near(direction(0), 0.7))
    before = track.state
    look(track, 1600, direction(77))
    assert track.state == before


def test_a_removed_person_is_no_longer_named() -> None:
    track = TrackIdentity(people(2))
    for i in range(10):
        look(track, i * 400, near(direction(1), 0.7))
    assert track.state.person == "Person 1"
    left = Matcher(enrolled([[direction(0)]]), CALIBRATION, 0.5)
    state = track.use(left)
    assert state.person is None and all(c.person != "Person 1" for c in state.candidates)
    assert track.use(Matcher(GallerySnapshot.empty(), CALIBRATION)).candidates == ()


def test_what_was_seen_before_someone_was_enrolled_counts_afterwards() -> None:
    track = TrackIdentity(Matcher(GallerySnapshot.empty(), CALIBRATION))
    for i in range(5):
        look(track, i * 400, near(direction(0), 0.7))
    assert track.state.decision == "nobody"
    assert track.use(people(2)).person == "Person 0"


def test_a_face_seen_before_the_mask_went_on_is_decided_without_it() -> None:
    track = TrackIdentity(people(2))
    for i in range(6):
        look(track, i * 400, near(direction(0), 0.7))
    for i in range(6, 10):
        look(track, i * 400, near(direction(0), 0.3), masked=True)
    assert track.state.person == "Person 0" and not track.state.masked
    only_masked = TrackIdentity(people(2))
    for i in range(6):
        look(only_masked, i * 400, near(direction(0), 0.8), masked=True)
    assert only_masked.state.person == "Person 0" and only_masked.state.masked


def test_the_same_looks_give_the_same_decisions() -> None:
    def replay() -> list[object]:
        rng = np.random.default_rng(3)
        track = TrackIdentity(people(5))
        return [
            track.add(
                i * 400 * MS, {"raw": near(direction(2), float(rng.uniform(0.2, 0.7)), i)}, bool(i % 3), 0.8
            )
            for i in range(40)
        ]

    assert replay() == replay()


@pytest.mark.parametrize("thresholds", [(0.9, 0.95), (1.0, 0.5), (0.5, 0.0)])
def test_thresholds_that_cannot_be_are_refused(thresholds: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match=r"must be 0 < leave_at <= decide_at < 1"):
        TrackIdentity(people(1), *thresholds)


def test_a_weight_outside_its_range_is_refused() -> None:
    with pytest.raises(ValueError, match=r"weight: must be 0 to 1, found 1.5"):
        TrackIdentity(people(1)).add(0, {"raw": direction(0)}, False, 1.5)


# the file

ALL = {"raw": 1.0, "upper": 0.0, "robust": 0.0, "rendered": 0.0}


def test_the_strength_is_straight_below_the_crossing_and_bends_above_it() -> None:
    strength = Strength((1.0,), 0.3, 20.0, 50.0, -3.0, 8.0, STRANGERS)
    assert np.allclose(strength(np.array([0.2, 0.3, 0.4, -1, 1])), [-2.0, 0.0, 2.5, -3.0, 8.0])
    assert strength(np.array(strength.floor)) == pytest.approx(-3.0)
    assert strength.reached_by_strangers(0.5) == 0.0
    assert strength.reached_by_strangers(1e-4) == pytest.approx(3.719 * 128**-0.5, abs=1e-3)


def test_the_shipped_calibration_is_sound_and_more_alike_is_more_probable() -> None:
    calibration = Calibration.load()
    cosines = np.linspace(-1, 1, 101)
    for name, model in calibration.models.items():
        ratio = model(cosines)
        assert (np.diff(ratio) >= 0).all(), name
        assert ratio[0] == model.lower < 0 < model.upper == ratio[-1], name
        assert 0.15 < model.crossing < 0.6, name
    assert calibration.models["masked"].upper <= 12  # no claim beyond a few hundred thousand comparisons


STRENGTH = {
    "shares": ALL,
    "strangers": {"mean": 0.0, "deviation": 0.1},
    "crossing": 0.3,
    "steepness": 30.0,
    "bend": 0.0,
    "lower": -3.0,
    "upper": 9.0,
}
MODELS = {
    "clean": STRENGTH,
    "masked": STRENGTH | {"shares": ALL},
    "plain": STRENGTH,
    "plain masked": STRENGTH,
}
CENTRES = {
    "clean": {"raw": [0.0, 0.1]},
    "masked": {"raw": [0.0, 0.1]},
    "views": {view: [0.0, 0.1] for view in VIEWS},
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shares": ALL | {"raw": 0.5}}, "models.clean.shares: must not be negative and add up to 1"),
        ({"steepness": 0}, "models.clean: steepness must be above 0 and bend not below, found 0.0, 0.0"),
        ({"bend": -1}, "steepness must be above 0 and bend not below"),
        ({"lower": 1}, "models.clean: lower must be at most 0 and upper at least 0"),
        ({"upper": 1e999}, "models.clean: all numbers must be finite"),
        ({"crossing": "high"}, "could not convert string to float"),
        ({"shares": {}}, "is not a calibration: 'raw'"),
        ({"crossing": -36.9}, "models.clean.crossing: must lie between -1 and 1, as cosines do, found -36.9"),
        ({"strangers": {"mean": 0, "deviation": 0}}, "strangers.deviation: must be above 0, found 0"),
    ],
)
def test_a_model_that_is_wrong_says_where(tmp_path: Path, change: dict[str, object], message: str) -> None:
    with pytest.raises(CalibrationError, match=message):
        Calibration.load(written(tmp_path, {"models": MODELS | {"clean": STRENGTH | change}}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"models": {}}, r"models\.clean: must be there"),
        ({"models": {"dirty": {}}}, r"models\.dirty: must be one of clean, masked"),
        ({"space": 3}, "space, views_space and generator_sha256 must be text"),
        ({"centres": {}}, "is not a calibration: 'clean'"),
        ({"centres": CENTRES | {"clean": {}}}, r"centres\.clean: must hold raw"),
        (
            {"centres": CENTRES | {"views": {"whole": [0.0, 1.0]}}},
            r"centres\.views: must hold rendered, upper",
        ),
        ({"centres": CENTRES | {"clean": {"raw": [0.0]}}}, "centres: must be lists of one length"),
        ({"centres": CENTRES | {"masked": {"raw": [0.0, 1e999]}}}, "centres: all numbers must be finite"),
    ],
)
def test_a_calibration_file_that_is_wrong_says_where(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    assert Calibration.load(written(tmp_path, {})).space == SPACE
    with pytest.raises(CalibrationError, match=message):
        Calibration.load(written(tmp_path, change))


def written(folder: Path, change: dict[str, object]) -> Path:
    good = {
        "space": SPACE,
        "views_space": "",
        "generator_sha256": "",
        "models": MODELS,
        "centres": CENTRES,
    }
    path = folder / "calibration.json"
    path.write_text(json.dumps(good | change))
    return path
