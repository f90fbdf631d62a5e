"""Another embedder by the settings: a space and a calibration of its own, and a gallery that changes over at once."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from archive_helpers import T0, sighting
from rich.console import Console

from engines.models import WEIGHTS, ModelError, file_sha256
from engines.recognition.calibration import MODELS, CalibrationError
from engines.recognition.enrolled import Template
from engines.recognition.evidence import LOOKS, RAW, ROBUST, UNMASKED, VIEWS, WHOLE, EvidenceMaker, SeenFace
from engines.recognition.gallery import Gallery
from engines.recognition.photo import read_photo
from stream.archive.archive import Archive
from stream.calibration import calibration_of
from stream.config import Settings, parse
from stream.embedders import open_evidence
from stream.enroller import enroller_of, open_for_photographs
from stream.gallery_watch import GalleryWatch
from stream.likeness import FaceMeasurer, Likeness
from stream.own_faces import crop_of
from tools.preparing import prepare_with_progress

sys.path.append(str(Path(__file__).parents[1] / "engines"))

from facenet_weights import weights_file

PICTURES = Path(__file__).parents[2] / "tools" / "demo" / "pictures"
PEOPLE = {"Ada": "obama.jpg", "Grace": "biden.jpg", "Mary": "astronaut.png"}
DEADLINE_S = 60


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("choice")


@pytest.fixture(scope="module")
def facenet(folder: Path) -> Settings:
    """Settings that choose FaceNet, with a calibration in its space."""
    weights = weights_file(folder)
    values = json.loads((WEIGHTS / "calibration.json").read_text())
    values["space"] = f"facenet:{file_sha256(weights)}"
    values["centres"] = {part: dict.fromkeys(means, [0.0] * 512) for part, means in values["centres"].items()}
    (folder / "calibration.json").write_text(json.dumps(values))
    chosen = {
        "embedder": "facenet",
        "facenet_weights": str(weights),
        "calibration": str(folder / "calibration.json"),
        "gallery": str(folder / "gallery.sqlite3"),
    }
    return parse({"recognition": chosen, "engines": {"cache": str(folder / "cache")}}, "test")


@pytest.fixture(scope="module")
def sface(folder: Path) -> Settings:
    return parse({"recognition": {"gallery": str(folder / "gallery.sqlite3")}}, "test")


@pytest.fixture(scope="module")
def templates(sface: Settings) -> dict[str, Template]:
    """Of each of the people, by SFace."""
    enroller = enroller_of(sface, open_for_photographs(sface))
    return {name: enroller.template(PICTURES / picture) for name, picture in PEOPLE.items()}


@pytest.fixture(scope="module")
def evidence(facenet: Settings) -> EvidenceMaker:
    return open_evidence(facenet)


def test_all_evidence_is_made_with_the_one_network(
    evidence: EvidenceMaker, facenet: Settings, templates: dict[str, Template]
) -> None:
    crop = crop_of(templates["Ada"].picture)
    assert crop is not None
    bare, masked = evidence.looks([SeenFace(crop, False), SeenFace(crop, True, crop)])
    views = evidence.views(crop)
    assert set(bare) == {RAW} and set(masked) == set(LOOKS) and set(views) == set(VIEWS)
    for vector in (*masked.values(), *views.values()):
        assert vector.shape == (512,) and vector.dtype == np.float32
    assert np.array_equal(masked[ROBUST], masked[RAW]) and np.allclose(bare[RAW], views[WHOLE], atol=1e-5)
    assert not np.allclose(views["rendered"], views[WHOLE], atol=1e-3)
    assert np.allclose(masked[UNMASKED], masked[RAW], atol=1e-4), "a reconstruction that changes nothing"
    assert facenet.recognition.facenet_weights is not None
    assert evidence.space == f"facenet:{file_sha256(facenet.recognition.facenet_weights)}"
    assert evidence.views_space.startswith(f"{evidence.space} {evidence.space} ")


def until_renewed(settings: Settings, evidence: EvidenceMaker, people: int) -> set[tuple[str, int, int]]:
    """Run a pipeline's watch over the gallery until it is of these embedders. What others saw of it meanwhile: space,
    dimensions and templates.
    """
    watch = GalleryWatch(
        settings.recognition, evidence.space, evidence.views_space, "", lambda: open_evidence(settings)
    )
    seen = set()
    deadline = time.monotonic() + DEADLINE_S
    try:
        with Gallery(settings.recognition.gallery) as reader:
            while not (watch.refresh() and watch.matcher.snapshot.complete):
                assert time.monotonic() < deadline, watch.notes
                snapshot = reader.load()
                seen.add((snapshot.space.split(":")[0], snapshot.matrix.shape[1], len(snapshot.matrix)))
                time.sleep(0.01)
        while watch.notes:  # the thread says goodbye after the gallery has changed
            assert time.monotonic() < deadline, watch.notes
            time.sleep(0.01)
        assert watch.people == people
        for name, row in zip(watch.matcher.snapshot.names, watch.matcher.snapshot.matrix, strict=True):
            found = watch.matcher.match({RAW: row}, masked=False).candidates[0]
            assert found.person == name and found.evidence["raw"] > 0.99
    finally:
        watch.close()
    return seen


def test_a_gallery_goes_over_to_the_chosen_embedder_in_one_step_and_back(
    sface: Settings, facenet: Settings, evidence: EvidenceMaker, templates: dict[str, Template]
) -> None:
    path = sface.recognition.gallery
    with Gallery(path) as gallery:
        for name, template in templates.items():
            gallery.add(name, template, "consent", "tester")
        ada = gallery.find("Ada")
        assert ada is not None
    seen = until_renewed(facenet, evidence, len(PEOPLE))
    assert seen <= {("sface", 128, 3), ("facenet", 512, 3)}, "never a mixture, never fewer"
    with Gallery(path) as gallery:
        after = gallery.load(evidence.space, evidence.views_space)
        assert after.complete and after.names == tuple(PEOPLE) and after.ids[0] == ada.id
        expected = evidence.views(crop_of(templates["Ada"].picture))  # type: ignore[arg-type]
        for view in VIEWS:
            assert after.views[view].shape == (3, 512)
            assert np.allclose(after.views[view][0], expected[view], atol=1e-4), view
    before = open_evidence(sface)
    until_renewed(sface, before, len(PEOPLE))
    with Gallery(path) as gallery:
        again = gallery.load(before.space, before.views_space)
        assert again.complete and again.names == tuple(PEOPLE)
        for row, template in zip(again.matrix, templates.values(), strict=True):
            assert row.shape == (128,) and row @ template.embedding > 0.97


def test_a_face_is_measured_and_searched_for_in_its_own_space_only(
    facenet: Settings, folder: Path, templates: dict[str, Template]
) -> None:
    opened = open_for_photographs(facenet)
    assert "facenet" in opened and not {"sface", "sface-masked"} & set(opened)
    face = FaceMeasurer(facenet, opened).measure(read_photo(PICTURES / "obama.jpg"))
    made = enroller_of(facenet, opened).template(PICTURES / "obama.jpg")
    assert made.space == face.space and face.embedding @ made.embedding > 0.98
    with Archive.open(folder / "recordings", write=True, actor="tester") as archive:
        archive.begin_run(T0, "1.0", {}, {})
        old, new = templates["Ada"].embedding.tobytes(), face.embedding.tobytes()
        archive.put_sighting(sighting(1, 1, embedding=old, space=templates["Ada"].space))
        assert archive.like(face.embedding, face.space) == []
        identity = archive.put_sighting(sighting(1, 2, embedding=new, space=face.space))
        ((found, likeness),) = archive.like(face.embedding, face.space)
        assert found.id == identity and likeness == pytest.approx(1)
    assert Likeness(face.space, facenet.recognition).probability(0.9, False, False) is not None
    assert Likeness(face.space, Settings().recognition).probability(0.9, False, False) is None
    assert Likeness(templates["Ada"].space, facenet.recognition).probability(0.9, False, False) is None


def test_the_calibration_must_be_the_embedder_s_own(facenet: Settings, tmp_path: Path) -> None:
    chosen, space = facenet.recognition, f"facenet:{'0' * 64}"
    remedy = r"make it: python -m tools.calibrate --config FILE --data FOLDER"
    with pytest.raises(
        CalibrationError,
        match=rf"recognition.calibration: must be of the embedder in use, facenet:0+, .*{remedy}",
    ):
        calibration_of(chosen, space)
    missing = chosen.model_copy(update={"calibration": tmp_path / "none.json"})
    with pytest.raises(CalibrationError, match=rf"must be a file that exists, found '.*none.json'; {remedy}"):
        calibration_of(missing, space)
    with pytest.raises(CalibrationError, match="found one of sface:"):
        calibration_of(Settings().recognition, space)
    assert set(calibration_of(Settings().recognition, open_evidence(Settings()).space).models) == set(MODELS)


def test_what_is_wrong_with_the_weights_is_said_before_anything_starts(
    facenet: Settings, tmp_path: Path
) -> None:
    (tmp_path / "foreign.pt").write_bytes(b"not a state dict")
    for name, sentence in (
        ("none.pt", "none.pt: cannot be read: No such file"),
        ("foreign.pt", "foreign.pt: must be a state dict saved by torch, nothing else"),
    ):
        recognition = facenet.recognition.model_copy(update={"facenet_weights": tmp_path / name})
        with pytest.raises(ModelError, match=sentence):
            prepare_with_progress(
                facenet.model_copy(update={"recognition": recognition}), Console(quiet=True)
            )
