"""The gender estimator, and that recognition knows nothing of it."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

from engines.attributes.gender import GENDERS, Gender, GenderEstimator
from engines.backends import open_engine
from engines.gate.references import inputs_for
from engines.models import prepare
from stream.config import Engines

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def model():
    return prepare(Engines().cache, ["gender"])["gender"]


@pytest.fixture(scope="module")
def estimator(model):
    return GenderEstimator(open_engine(model, "onnxruntime"))


def test_faces_get_two_probabilities_that_add_up_to_one(estimator, model):
    faces = np.ascontiguousarray(inputs_for(model).transpose(0, 2, 3, 1))
    found = estimator.estimate(faces)
    assert found.shape == (len(faces), len(GENDERS)) and found.dtype == np.float32
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-5)
    told = [GENDERS[i] for i in found.argmax(1)]  # the astronaut, and two presidents, one of them masked
    assert told == [Gender.FEMALE, Gender.MALE, Gender.MALE]


def test_a_batch_says_of_each_face_what_it_says_of_it_alone(estimator, model):
    faces = np.ascontiguousarray(inputs_for(model).transpose(0, 2, 3, 1))
    alone = np.concatenate([estimator.estimate(face[None]) for face in faces])
    np.testing.assert_allclose(estimator.estimate(faces), alone, atol=1e-4)


def test_no_faces_are_no_work(estimator):
    assert estimator.estimate(np.zeros((0, 112, 112, 3), np.uint8)).shape == (0, 2)


@pytest.mark.parametrize(
    "crops", [np.zeros((1, 64, 64, 3), np.uint8), np.zeros((1, 112, 112, 3), np.float32)]
)
def test_crops_of_another_form_are_refused_with_what_was_found(estimator, crops):
    with pytest.raises(ValueError, match=r"crops: must be uint8 \[N, 112, 112, 3\], found"):
        estimator.estimate(crops)


def test_recognition_does_not_know_of_attributes():
    files = [
        *ROOT.glob("engines/recognition/*.py"),
        ROOT / "stream/gallery_watch.py",
        ROOT / "stream/embedders.py",
    ]
    assert len(files) > 10
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
                assert not any("attributes" in name for name in names), path
