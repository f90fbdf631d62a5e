"""int8 twins: made from real crops, and installed only where recognition stays as good."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engines.backends import open_engine
from engines.detection.mtcnn import MTCNN
from engines.detection.mtcnn import NETWORKS as MTCNN_NETWORKS
from engines.models import WEIGHTS, Model, from_file, prepare
from engines.quantised import LARGEST_LOSS, LEAST_PAIRS, Condition, install, installed
from engines.recognition.embedder import SFace
from tools.benchmarks.inputs import CACHE, Face, find_faces, inputs
from tools.demo.enrolled import PICTURES
from tools.quantising.int8 import quantise
from tools.quantising.recognition import Pairs

GOOD = {
    "no mask": Condition(6000, 0.994, 0.994 - LARGEST_LOSS),
    "second masked": Condition(6000, 0.97, 0.975),
}


@pytest.fixture(scope="module")
def faces() -> list[Face]:
    return find_faces()


@pytest.fixture(scope="module")
def model() -> Model:
    """The smallest network: what is tested here is the same for all."""
    return from_file("maskstate", WEIGHTS / "maskstate.onnx")


@pytest.fixture(scope="module")
def twin(model: Model, faces: list[Face], tmp_path_factory: pytest.TempPathFactory) -> Model:
    path = tmp_path_factory.mktemp("int8") / "maskstate.onnx"
    return quantise(model, inputs("maskstate", faces, 32, seed=1), path)


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_a_twin_runs_on_both_runtimes_and_says_nearly_the_same(
    backend: str, model: Model, twin: Model, faces: list[Face]
) -> None:
    crops = inputs("maskstate", faces, 24, seed=2).astype(np.float32)
    (wanted,), (found,) = (open_engine(each, backend)(crops) for each in (model, twin))
    assert found.shape == wanted.shape
    assert 0 < np.abs(found - wanted).mean() < 0.03
    assert (found.argmax(1) == wanted.argmax(1)).mean() > 0.9
    assert from_file("maskstate", twin.path).sha256 == twin.sha256  # safe by the same check as every network


def test_a_twin_is_found_again_only_by_the_network_it_was_made_of(
    model: Model, twin: Model, tmp_path: Path
) -> None:
    path = install(tmp_path, model, twin.path.read_bytes(), GOOD)
    found = installed(tmp_path, model)
    assert found is not None
    assert (found.path, found.sha256, found.outputs) == (path, twin.sha256, model.outputs)
    assert installed(tmp_path, twin) is None
    assert installed(tmp_path / "elsewhere", model) is None
    assert installed(None, model) is None


@pytest.mark.parametrize(
    ("worse", "sentence"),
    [
        ({"no mask": Condition(6000, 0.994, 0.9928)}, "may lose at most 0.1%"),
        ({**GOOD, "second masked": Condition(6000, 0.97, 0.9688)}, "second masked: int8 may lose at most"),
        ({"no mask": Condition(LEAST_PAIRS - 1, 0.99, 0.99)}, "at least 1000 pairs"),
        ({"no mask": Condition(6000, 0.99, float("nan"))}, "may lose at most"),
        ({}, "recognition must be measured"),
    ],
)
def test_a_twin_that_recognises_worse_is_refused_and_nothing_is_kept(
    worse: dict[str, Condition], sentence: str, model: Model, twin: Model, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=sentence):
        install(tmp_path, model, twin.path.read_bytes(), worse)
    assert not list(tmp_path.iterdir())


def test_a_twin_that_was_altered_or_whose_evidence_was_is_not_used(
    model: Model, twin: Model, tmp_path: Path
) -> None:
    path = install(tmp_path, model, twin.path.read_bytes(), GOOD)
    evidence = path.with_suffix(".json")
    kept = evidence.read_text()
    evidence.write_text(kept.replace("0.993", "0.9"))
    assert installed(tmp_path, model) is None
    evidence.write_text(kept[: len(kept) // 2])
    assert installed(tmp_path, model) is None
    evidence.write_text(kept)
    assert installed(tmp_path, model) is not None
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    assert installed(tmp_path, model) is None


def test_too_few_inputs_are_refused(model: Model, faces: list[Face], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 16 inputs, found 15"):
        quantise(model, inputs("maskstate", faces, 15), tmp_path / "int8.onnx")


def test_pairs_are_judged_by_thresholds_of_other_folds_and_a_picture_without_a_face_is_another_person(
    tmp_path: Path,
) -> None:
    Image.new("RGB", (200, 200), "grey").save(tmp_path / "wall.png")
    for picture in PICTURES.glob("*.jpg"):
        shutil.copy(picture, tmp_path)
    lines = ["file_a,file_b,same,fold"]
    for fold in "12":
        lines += [
            f"obama.jpg,obama3.jpg,1,{fold}",
            f"obama.jpg,biden.jpg,0,{fold}",
            f"obama.jpg,wall.png,1,{fold}",
        ]
    (tmp_path / "pairs.csv").write_text("\n".join(lines))
    models = prepare(CACHE, (*MTCNN_NETWORKS, "sface"))
    detector = MTCNN({name: open_engine(models[name]) for name in MTCNN_NETWORKS}, min_face=40)
    shares: list[float] = []
    pairs = Pairs.read(tmp_path / "pairs.csv", tmp_path, detector, masked=True, progress=shares.append)
    assert shares == sorted(shares) and shares[-1] == 1.0
    assert pairs.found.tolist() == [True, True, True, False]
    right = pairs.right(SFace(open_engine(models["sface"])))
    assert right == {"no mask": pytest.approx(2 / 3), "second masked": pytest.approx(2 / 3)}


def test_the_command_refuses_too_few_pairs_and_a_network_that_is_no_embedder(tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("file_a,file_b,same\nobama.jpg,obama3.jpg,1\nobama.jpg,biden.jpg,0\n")
    for network, sentence in (
        ("sface", "pairs: must be at least 1000, for a loss of 0.1% to be seen, found 2"),
        ("pnet", "network: must be one of sface, sface-masked, found 'pnet'"),
    ):
        words = [network, "--crops", str(PICTURES), "--pairs", str(pairs), "--root", str(PICTURES)]
        done = subprocess.run(
            [sys.executable, "-m", "tools.quantise", *words, "--cache", str(tmp_path / "cache")],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, "COLUMNS": "500"},
        )
        assert done.returncode == 2
        assert sentence in done.stderr
        assert not (tmp_path / "cache").exists()
