"""What all faces have in common is taken off before they are compared."""

from __future__ import annotations

import numpy as np

from engines.recognition.centring import Centres
from engines.recognition.embedder import unit
from engines.recognition.evidence import VIEWS
from tools.calibration.gather import Sample, centres_of
from tools.calibration.probes import Probe

SIZE = 64


def people(count: int, common: float, seed: int) -> np.ndarray:
    """Directions that all lean the same way."""
    lean = unit(np.random.default_rng(99).normal(size=SIZE))
    return unit(unit(np.random.default_rng(seed).normal(size=(count, SIZE))) + common * lean)


def strangers(cosines: np.ndarray) -> np.ndarray:
    return cosines[~np.eye(len(cosines), dtype=bool)]


def test_strangers_who_all_lean_one_way_are_less_alike_without_it() -> None:
    seen, enrolled = people(400, 0.8, 1), people(400, 0.8, 1)
    mean = people(5000, 0.8, 2).mean(0)
    centres = Centres({"raw": mean}, {"raw": mean}, dict.fromkeys(VIEWS, mean))
    plain = strangers(seen @ enrolled.T)
    centred = strangers(
        centres.looks({"raw": seen}, True)["raw"] @ centres.of_views({"whole": enrolled})["whole"].T
    )
    assert centred.mean() < 0.7 * plain.mean()
    assert np.allclose(np.linalg.norm(centres.looks({"raw": seen}, False)["raw"], axis=1), 1, atol=1e-5)


def test_each_condition_and_view_has_a_centre_of_its_own_and_what_is_empty_stays_so() -> None:
    rng = np.random.default_rng(5)
    means = {name: rng.normal(size=SIZE).astype(np.float32) for name in ("a", "b", "c")}
    centres = Centres({"raw": means["a"]}, {"raw": means["b"]}, dict.fromkeys(VIEWS, means["c"]))
    look = people(1, 0.1, 3)[0]
    found = [centres.looks({"raw": look}, masked)["raw"] for masked in (False, True)]
    assert np.allclose(found[0], unit(look - 0.5 * means["a"])) and np.allclose(
        found[1], unit(look - 0.5 * means["b"])
    )
    assert np.allclose(centres.looks({"upper": look}, True)["upper"], found[1]), "the face as seen stands in"
    rows = np.stack([look, np.zeros(SIZE, np.float32), np.full(SIZE, np.nan, np.float32)])
    kept = centres.of_views({"whole": rows})["whole"]
    assert not kept[1].any() and np.isnan(kept[2]).all() and kept[0] @ kept[0] > 0.99
    assert len(centres.of_views({"whole": np.zeros((0, 0), np.float32)})["whole"]) == 0
    again = Centres.parse(centres.lists())
    assert np.allclose(again.masked["raw"], means["b"], atol=1e-5)


def test_centres_are_those_of_strangers_as_cameras_see_them() -> None:
    def sample(stranger: bool, seed: int) -> Sample:
        first, mean = people(2, 0.5, seed)
        views = dict.fromkeys(VIEWS, people(1, 0.5, seed + 100)[0])
        probe = Probe({"raw": first}, {"raw": mean}, 30.0)
        return Sample(seed, stranger, views, (probe,), (probe,))

    samples = [sample(True, 1), sample(True, 2), sample(False, 3)]
    centres = centres_of(samples)
    expected = np.mean([people(2, 0.5, 1).mean(0), people(2, 0.5, 2).mean(0)], 0)
    assert np.allclose(centres.clean["raw"], expected, atol=1e-6)
    assert np.allclose(
        centres.views["upper"], np.mean([people(1, 0.5, s)[0] for s in (101, 102)], 0), atol=1e-6
    )
