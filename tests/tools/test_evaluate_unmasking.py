"""The evaluation of generators, run as a person runs it, and its measures on cases whose answer is known."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from engines.alignment import FACE_SIZE, face_transform, warp
from engines.backends import open_engine
from engines.models import prepare
from engines.recognition.embedder import SFace
from stream.config import Engines
from tools.benchmarks.inputs import find_faces
from tools.learning.features import frechet, kernel_distance
from tools.unmasking.cases import Case
from tools.unmasking.controls import other_person
from tools.unmasking.dlib_network import WEIGHTS, DlibNetwork
from tools.unmasking.identity import identities
from tools.unmasking.measures import cross_identity

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "tools" / "demo" / "pictures"


def evaluate(*arguments):
    command = [sys.executable, "-m", "tools.evaluate_unmasking", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)


def test_a_folder_of_any_pictures_is_measured_beside_the_controls(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i, path in enumerate(sorted(PICTURES.glob("*.jpg"))[:2]):
        picture = cv2.imread(str(path))
        scale = 500 / max(picture.shape[:2])
        cv2.imwrite(str(folder / f"{i}.jpg"), cv2.resize(picture, None, fx=scale, fy=scale))
    cv2.imwrite(str(folder / "nobody.png"), np.full((200, 200, 3), 90, np.uint8))
    done = evaluate(
        "--images", folder, "--json", tmp_path / "figures.json", "--sheet", tmp_path / "sheet.png"
    )
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "figures.json").read_text())
    assert report["protocol"]["faces"] == 2 and report["protocol"]["pictures_without_a_face"] == 1
    ours, left_on = report["unmask"]["all"], report["control: mask left on"]["all"]
    assert 0 < ours["l1"]["mean"] < left_on["l1"]["mean"] < 1
    assert 0.3 < ours["mask_iou"]["mean"] <= 1
    assert ours["perceptual[efficientnet-lite0]"]["mean"] < left_on["perceptual[efficientnet-lite0]"]["mean"]
    for name in ("sface", "dlib"):
        assert 0.4 < ours[f"same_picture_cosine[{name}]"]["mean"] <= 1
    assert set(report["unmask"]["conditions"]) == {"40 px face", "dark", "infrared"}
    assert cv2.imread(str(tmp_path / "sheet.png")).shape == (128 * 7, 150 + 2 * 128, 3)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--images", "/nowhere"), "--images: must be a folder, found /nowhere"),
        (("--images", PICTURES, "--also", "file.onnx"), "--also: must be NAME=FILE.onnx, found 'file.onnx'"),
    ],
)
def test_a_wrong_argument_is_named(arguments, sentence):
    done = evaluate(*arguments)
    assert done.returncode == 2
    assert sentence in " ".join(done.stderr.replace("│", " ").split())


def test_the_distances_of_sets_know_equal_and_unequal_ones():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(400, 6)).astype(np.float32), rng.normal(size=(400, 6)).astype(np.float32)
    assert abs(frechet(a, a)) < 1e-9
    # Two normal distributions that differ in their mean alone are that far apart: 6 * 2 ** 2.
    assert frechet(a, b + 2) == pytest.approx(24, rel=0.1)
    assert abs(kernel_distance(a, b)) < 0.05 < kernel_distance(a, b + 1)


def test_both_embedders_know_who_is_who_whatever_the_light(tmp_path):
    for name in ("astronaut.png", "biden.jpg", "obama.jpg"):
        (tmp_path / name).symlink_to(PICTURES / name)
    found = find_faces(tmp_path, most=3)
    faces = np.stack([warp(f.picture, face_transform(f.landmarks), FACE_SIZE) for f in found])
    mirrored_and_dark = (faces * 0.6 + 12).astype(np.uint8)[:, :, ::-1]
    cache = Engines().cache
    embedders = identities(SFace(open_engine(prepare(cache, ["sface"])["sface"], threads=1, cache=cache)))
    assert set(embedders) == {"sface", "dlib"}
    for name, embed in embedders.items():
        cosines = embed(faces) @ embed(mirrored_and_dark).T
        assert np.diag(cosines).min() > cosines[~np.eye(3, dtype=bool)].max() + 0.05, name


def test_the_second_embedder_gives_what_dlib_gives():
    y, x = np.mgrid[:150, :150]
    chip = torch.from_numpy(np.stack([x, y, (x + y) // 2]).astype(np.float32))
    found = DlibNetwork(WEIGHTS.find("dlib"))(chip[None])[0].numpy()
    # dlib 20.0.1, compute_face_descriptor of the same chip
    assert found[:5] == pytest.approx([-0.05491, 0.122, 0.0636, 0.00622, -0.06013], abs=2e-5)
    assert np.linalg.norm(found) == pytest.approx(1.3181, abs=1e-4)


@pytest.mark.parametrize(("names", "taken"), [(("a", "a", "b"), 2), (("", "", ""), 1)])
def test_the_lower_face_of_another_person_is_of_another_person(names, taken):
    rng = np.random.default_rng(2)
    mask = np.zeros((128, 128), bool)
    mask[70:110, 30:100] = True
    plain = np.full((128, 128, 3), 100, np.uint8)
    truths = [np.where(mask[..., None], rng.integers(0, 200, plain.shape, np.uint8), plain) for _ in names]
    everywhere = np.ones_like(mask)
    cases = [
        Case(plain, truth, mask, everywhere, "drawn", "yaw 0-15", {"identity": name})
        for truth, name in zip(truths, names, strict=True)
    ]
    assert np.array_equal(other_person(cases, 0), truths[taken])


def test_identity_is_compared_across_photographs_only():
    rng = np.random.default_rng(1)
    people = rng.normal(size=(30, 128))
    one, other = (people + 0.3 * rng.normal(size=people.shape) for _ in range(2))
    rows = np.concatenate([one, other]).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    names = [f"p{i}" for i in range(30)] * 2
    found = cross_identity(rows, rows, names)
    assert found["genuine_comparisons"] == 60
    assert found["equal_error_rate"] < 0.01 and found["same_person_cosine"] < 0.98
    assert cross_identity(rows, rows, [""] * 60) == {}
