"""Real photographs, seen by simulated cameras, through the shipped networks and calibration to a decision."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engines.backends import Engine, open_engine
from engines.detection.detectors import networks_of
from engines.detection.landmarks import LandmarkRefiner
from engines.faces import Faces
from engines.masks.synthesis import draw_mask
from engines.models import prepare
from engines.recognition.calibration import Calibration
from engines.recognition.embedder import SFace
from engines.recognition.enrolled import GallerySnapshot
from engines.recognition.evidence import TERMS, VIEWS, EvidenceMaker
from engines.recognition.matcher import Matcher
from engines.recognition.track import Identity, TrackIdentity
from engines.unmasking.generator import Unmasker
from stream.config import Settings
from stream.networks import open_detector
from tools.calibration.cctv import Look
from tools.calibration.probes import Chain

PICTURES = Path(__file__).parents[2] / "tools" / "demo" / "pictures"
ENROLLED = ("obama.jpg", "biden.jpg")
LOOKS = 8


@cache
def engine(name: str) -> Engine:
    settings = Settings().engines
    return open_engine(prepare(settings.cache, [name])[name], threads=1, cache=settings.cache)


@cache
def chain() -> Chain:
    settings, unmasker = Settings(), Unmasker(engine("unmask"))
    networks = networks_of(settings.detection.detector)
    return Chain(
        open_detector(settings.detection, {name: engine(name) for name in networks}),
        LandmarkRefiner(engine("landmarks")),
        EvidenceMaker(SFace(engine("sface")), SFace(engine("sface-masked"))),
        lambda crops: unmasker.unmask(crops).pictures,
        settings.quality,
        settings.tracking.min_score,
    )


@cache
def read(name: str) -> tuple[NDArray[np.uint8], Faces]:
    picture = cv2.cvtColor(cv2.imread(str(PICTURES / name)), cv2.COLOR_BGR2RGB)
    scale = 700 / max(picture.shape[:2])
    picture = np.asarray(
        cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8
    )
    face = chain().face(picture)
    assert face is not None
    return picture, face


@cache
def matcher() -> Matcher:
    made = [chain().enrol(*read(name)) for name in ENROLLED]
    views = {view: np.stack([each[view] for each in made]) for view in VIEWS}
    calibration = Calibration.load()
    snapshot = GallerySnapshot(1, calibration.space, ENROLLED, ENROLLED, views, np.arange(len(ENROLLED)))
    return Matcher(snapshot, calibration, 0.5, calibration.generator_sha256)


def walk_past(name: str, masked: bool, seed: int) -> Identity:
    """What a track is decided to be after a person has walked past one camera."""
    rng = np.random.default_rng(seed)
    camera, track = Look.draw(rng, 22, 44), TrackIdentity(matcher())
    for i in range(LOOKS):
        probe = chain().look(*read(name), rng, camera, draw_mask if masked else None)
        if probe:
            track.add(i * 400_000_000, probe.first, masked, 0.8)
    return track.state


def test_the_shipped_calibration_belongs_to_the_shipped_networks() -> None:
    """Fails when weights were changed and the calibration was not fitted again (python -m tools.calibrate)."""
    calibration = Calibration.load()
    assert calibration.space == chain().evidence.space
    assert calibration.views_space == chain().evidence.views_space
    assert calibration.generator_sha256 == engine("unmask").info.model_sha256


@pytest.mark.parametrize("seed", range(3))
def test_a_person_enrolled_from_another_photograph_is_named(seed: int) -> None:
    state = walk_past("obama3.jpg", False, seed)
    assert (state.decision, state.person, state.masked) == ("person", "obama.jpg", False)


@pytest.mark.parametrize("seed", range(3))
def test_a_person_in_a_mask_is_named_from_what_the_mask_leaves_or_not_at_all(seed: int) -> None:
    state = walk_past("obama3.jpg", True, seed)
    assert state.person in ("obama.jpg", None) and state.decision != "nobody" and state.masked
    assert state.candidates[0].person == "obama.jpg" and set(state.candidates[0].evidence) == set(TERMS)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_a_stranger_is_nobody_and_never_named(seed: int, masked: bool) -> None:
    state = walk_past("astronaut.png", masked, seed)
    assert state.person is None and state.decision in ("nobody", "undecided")
    assert all(candidate.probability < 0.5 for candidate in state.candidates)
