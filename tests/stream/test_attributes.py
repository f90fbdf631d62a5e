"""Attributes in the product: off without a purpose, logged, shown as estimates, never matched on, kept if asked."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import av
import msgspec
import numpy as np
import pytest

from engines.attributes.gender import Gender
from engines.recognition.calibration import Calibration
from engines.recognition.enrolled import GallerySnapshot
from engines.recognition.gallery import Gallery, GalleryError
from engines.recognition.matcher import Matcher
from stream.attributes import log_purpose, without_estimates
from stream.config import ConfigError, Settings, parse
from stream.inference import Inference
from stream.messages import (
    FrameReady,
    FrameResult,
    GenderEstimate,
    TrackedFace,
    annotation_hash,
    decode,
    encode,
)
from stream.networks import Networks, load_networks, models_of
from stream.overlay import remark
from stream.replay.processing import Laboratory
from stream.watching import Picture
from tools.demo.clip import cached_clip

ON = {"enabled": True, "purpose": "a count of visitors, agreed with the works council"}
ESTIMATE = GenderEstimate(Gender.FEMALE, 0.87)


def face(**changed: object) -> TrackedFace:
    plain = TrackedFace(1, (0, 0, 9, 9), (), 0.99, None, 0.0, "undecided", None, None, (), None)
    return msgspec.structs.replace(plain, **changed)


def result(*faces: TrackedFace) -> FrameResult:
    return FrameResult(FrameReady("gate", 1, "ring", 0, 2, 640, 360, 0, 0, 0, 0), faces, {}, {})


def test_attributes_are_off_and_load_nothing() -> None:
    assert not Settings().attributes.enabled
    assert "gender" not in models_of(Settings(), lambda name, share: None)


@pytest.mark.parametrize("purpose", [None, "", "  "])
def test_switching_them_on_without_a_purpose_is_refused(purpose: str | None) -> None:
    with pytest.raises(ConfigError) as error:
        parse({"attributes": {"enabled": True, "purpose": purpose}}, "site.yaml")
    assert str(error.value) == (
        "site.yaml: attributes: purpose must say for which lawful purpose attributes are estimated when enabled is "
        f"true, found {purpose!r}"
    )


def test_the_purpose_is_logged_before_anything_is_estimated(tmp_path: Path) -> None:
    gallery = tmp_path / "new" / "gallery.sqlite3"
    settings = parse({"attributes": ON, "recognition": {"gallery": str(gallery)}}, "test")
    assert log_purpose(settings) == (f"gender is estimated, not stored, for this purpose: {ON['purpose']}",)
    with Gallery(gallery) as book:
        (entry,) = book.audit.entries()
        assert (entry.action, entry.person) == ("attributes estimated", "everyone")
        assert entry.detail == f"gender, not stored, purpose: {ON['purpose']}"
        assert book.audit.verify() == 1 and not book.people()


def test_nothing_is_logged_while_they_are_off(tmp_path: Path) -> None:
    gallery = tmp_path / "gallery.sqlite3"
    assert log_purpose(parse({"recognition": {"gallery": str(gallery)}}, "test")) == ()
    assert not gallery.exists()


def test_a_log_that_cannot_be_written_stops_it(tmp_path: Path) -> None:
    gallery = tmp_path / "gallery.sqlite3"
    gallery.write_bytes(b"no database at all, and long enough to be looked at by SQLite " * 20)
    with pytest.raises(GalleryError):
        log_purpose(parse({"attributes": ON, "recognition": {"gallery": str(gallery)}}, "test"))


def test_an_estimate_is_called_one() -> None:
    assert remark(face(unfit="too small", gender=ESTIMATE)) == "too small · est. female 87 %"
    assert remark(face()) == ""


def test_a_face_without_an_estimate_is_written_as_it_always_was() -> None:
    fields = msgspec.msgpack.decode(msgspec.msgpack.encode(face()))
    assert "gender" not in fields and "unfit" in fields
    said = result(face(gender=ESTIMATE))
    assert decode(encode(said)) == said


def test_what_is_kept_has_no_estimates_and_the_same_hash() -> None:
    kept = without_estimates(result(face(gender=ESTIMATE), face(track=2)))
    assert kept == result(face(), face(track=2))
    assert annotation_hash(kept.faces) == annotation_hash((face(), face(track=2)))
    plain = result(face())
    assert without_estimates(plain) is plain


@pytest.fixture(scope="module")
def networks() -> Networks:
    return load_networks(parse({"attributes": ON}, "test"), lambda name, share: None)


def watched(settings: Settings, networks: Networks, matcher: Matcher, frames: int = 45) -> list[FrameResult]:
    inference = Inference(settings, networks, matcher, clock_ns=lambda: 0)
    results = []
    with av.open(str(cached_clip())) as container:
        for number, frame in enumerate(itertools.islice(container.decode(video=0), frames)):
            rgb = frame.to_ndarray(format="rgb24")
            at_ns = number * 40_000_000
            ready = FrameReady("street", number + 1, "ring", 0, 2, rgb.shape[1], rgb.shape[0], at_ns, 0, 0, 0)
            found, _, _ = inference.step([Picture(ready, np.asarray(rgb, np.uint8), {})])
            results += found
    return results


def test_estimates_change_nothing_else_that_is_said_of_a_face(networks: Networks, matcher: Matcher) -> None:
    on = watched(parse({"attributes": ON}, "test"), networks, matcher)
    off_networks = dataclasses.replace(networks, gender=None)
    off = watched(Settings(), off_networks, matcher)
    estimated = [face for each in on for face in each.faces if face.gender]
    assert len(estimated) > 20 and all(
        0.5 <= face.gender.probability <= 1 for face in estimated if face.gender
    )
    assert any(face.decision == "person" for each in off for face in each.faces)
    for one, other in zip(on, off, strict=True):
        assert without_estimates(one).faces == other.faces
        assert all(face.gender is None for face in other.faces)


def test_a_replay_anew_estimates_only_what_was_kept(tmp_path: Path) -> None:
    gallery = {"gallery": str(tmp_path / "gallery.sqlite3")}
    for store in (False, True):
        settings = parse({"attributes": {**ON, "store": store}, "recognition": gallery}, "test")
        assert ("gender" in Laboratory(settings, lambda name, share: None).engines) is store


def test_an_empty_gallery_is_no_hindrance(networks: Networks) -> None:
    nobody = Matcher(GallerySnapshot.empty(), Calibration.load(), 0.5, "")
    said = watched(parse({"attributes": ON}, "test"), networks, nobody, frames=20)
    assert any(face.gender for each in said for face in each.faces)
