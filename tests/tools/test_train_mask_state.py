"""The trainer of the mask state, run as a user does on toy pictures, and the examples that it is shown."""

import csv
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest
from training_helpers import run, write_faces

from engines.alignment import FACE_POINTS
from engines.masks.state import CROP_SIZE, STATES
from engines.masks.synthesis import draw_mask
from tools.benchmarks.inputs import find_faces
from tools.learning.faces import read_index
from tools.learning.slipped import Lifter
from tools.learning.states import StateDrawer, read_boxes


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_faces(tmp_path_factory.mktemp("faces"), 40)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures with a box in each, a third of each state: plain noise, with a block over its lower half or less."""
    folder = tmp_path_factory.mktemp("real")
    (folder / "andrewmvd").mkdir()
    (folder / "index.csv").write_text("file,label,width,height\n")
    rng = np.random.default_rng(0)
    with (folder / "andrewmvd" / "boxes.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["file", "class", "xmin", "ymin", "xmax", "ymax"])
        for i in range(30):
            picture = rng.integers(80, 170, (120, 120, 3), dtype=np.uint8)
            label = ("without_mask", "with_mask", "mask_weared_incorrect")[i % 3]
            if i % 3:
                picture[60 if i % 3 == 1 else 80 : 100, 30:90] = 240
            cv2.imwrite(str(folder / "andrewmvd" / f"{i}.png"), picture)
            rows.writerow([f"{i}.png", label, 25, 20, 95, 105])
    return folder


def test_examples_of_every_state_are_drawn_with_their_label_on_both_sides(faces: Path, real: Path) -> None:
    drawer = StateDrawer(read_index(faces), read_boxes(real / "andrewmvd"))
    rng = np.random.default_rng(3)
    rows = np.stack([drawer(rng) for _ in range(60)])
    assert rows.shape == (60, CROP_SIZE, CROP_SIZE + 2, 3) and rows.dtype == np.uint8
    assert set(rows[:, 0, 0, 0].tolist()) == set(range(len(STATES)))
    assert np.array_equal(rows[:, :, 0], rows[:, :, -1])  # the pool may mirror an example


def test_a_mask_is_taken_off_a_photograph_and_laid_on_again_below_the_nose() -> None:
    face = find_faces(most=1)[0]
    masked, _ = draw_mask(face.picture, face.landmarks, np.random.default_rng(1), kind="surgical")
    one = Lifter().lift(masked, face.box)
    assert one is not None
    nose, forehead, chin = (
        cv2.perspectiveTransform(np.array([[point]], np.float64), np.linalg.inv(one.to_face))[0, 0].astype(
            int
        )
        for point in (FACE_POINTS[2], FACE_POINTS[:2].mean(0) - (0, 20), FACE_POINTS[3:].mean(0) + (0, 8))
    )
    assert one.cover[nose[1], nose[0]] > 0.9 and one.cover[forehead[1], forehead[0]] == 0
    assert np.array_equal(one.bare[forehead[1], forehead[0]], one.masked[forehead[1], forehead[0]])
    cloth = 0
    for seed in range(10):
        slipped = one.slipped(np.random.default_rng(seed))
        assert np.array_equal(slipped[nose[1], nose[0]], one.bare[nose[1], nose[0]])
        cloth += not np.array_equal(slipped[chin[1], chin[0]], one.bare[chin[1], chin[0]])
    assert cloth >= 5


def test_no_mask_is_taken_off_a_bare_face_or_off_no_face() -> None:
    face, lifter = find_faces(most=1)[0], Lifter()
    assert lifter.lift(face.picture, face.box) is None
    assert lifter.lift(np.full((200, 200, 3), 90, np.uint8), np.array([50, 50, 150, 150], np.float32)) is None


def test_a_classifier_is_trained_and_exported_with_probabilities(
    faces: Path, real: Path, tmp_path: Path
) -> None:
    out = tmp_path / "maskstate.onnx"
    options = ("--minutes", 0.05, "--batch", 8, "--pool", 200, "--work", tmp_path / "work", "--out", out)
    done = run("-m", "tools.train_mask_state", "--faces", faces, "--folder", "", "--real", real, *options)
    assert done.returncode == 0, done.stderr
    assert "temperature" in done.stdout and (tmp_path / "work" / "maskstate_curve.png").is_file()
    again = run(
        *("-m", "tools.train_mask_state", "--faces", faces, "--folder", "", "--real", real, *options),
        *("--begin-with", tmp_path / "work" / "maskstate_curve.png"),
    )
    assert again.returncode == 2 and "--begin-with: must be a maskstate.pt of this command" in again.stderr
    session = onnxruntime.InferenceSession(str(out), providers=["CPUExecutionProvider"])
    pictures = np.random.default_rng(0).uniform(0, 255, (3, 3, CROP_SIZE, CROP_SIZE)).astype(np.float32)
    (found,) = session.run(None, {"picture": pictures})
    assert found.shape == (3, len(STATES)) and np.allclose(found.sum(1), 1, atol=1e-5)
