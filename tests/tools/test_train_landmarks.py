"""The landmark trainer: labels survive the pool, a step lowers the loss, the export gives what the network gives."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest
import torch
from typer.testing import CliRunner

from engines.detection.landmarks import CROP_POINTS
from tools.landmarks.views import SIDE, detected, read_rows, view_drawer
from tools.learning.faces import read_index
from tools.train_landmarks import Training, batch_of, main, off_by, step

POINTS = np.array([[90, 100], [135, 98], [113, 125], [95, 150], [132, 149]], np.float32)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty "faces": five dots of different colours on noise."""
    folder = tmp_path_factory.mktemp("faces")
    rng = np.random.default_rng(0)
    lines = ["file,rex,rey,lex,ley,nx,ny,rmx,rmy,lmx,lmy"]
    for number in range(40):
        points = POINTS + rng.normal(0, 3, POINTS.shape) + rng.normal(0, 8, 2)
        picture = rng.integers(90, 160, (224, 224, 3)).astype(np.uint8)
        for point, colour in zip(points, np.eye(5, 3) * 255, strict=True):
            cv2.circle(picture, (round(point[0]), round(point[1])), 6, colour.tolist(), -1)
        cv2.imwrite(str(folder / f"{number}.png"), picture)
        lines.append(f"{number}.png," + ",".join(f"{value:.2f}" for value in points.ravel()))
    path = folder / "index.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_landmarks_come_through_the_pool_also_when_it_mirrors_the_example(index: Path) -> None:
    draw = view_drawer(read_index(index))
    row = draw(np.random.default_rng(5))
    (square, mirror), (points, turned) = read_rows(np.stack([row, row[:, ::-1]]))
    assert np.array_equal(mirror, square[:, ::-1])
    assert np.abs(points - (CROP_POINTS + (SIDE - 112) / 2)).max() < 12
    assert np.allclose(turned[:, 0], SIDE - 1 - points[[1, 0, 2, 4, 3], 0])
    assert np.allclose(turned[:, 1], points[[1, 0, 2, 4, 3], 1])


def test_the_label_stays_on_the_same_spot_of_the_picture() -> None:
    square = np.zeros((SIDE, SIDE, 3), np.uint8)
    points = (CROP_POINTS + (SIDE - 112) / 2).astype(np.float32)
    for point in points:
        cv2.circle(square, (round(point[0]), round(point[1])), 4, (255, 255, 255), -1)
    for seed in range(10):
        crop, moved = detected(square, points, np.random.default_rng(seed))
        for x, y in np.rint(moved).astype(int):
            assert crop[y, x].min() > 128


def test_training_steps_bring_the_landmarks_nearer(index: Path) -> None:
    torch.manual_seed(0)
    draw, rng = view_drawer(read_index(index)), np.random.default_rng(1)
    rows = np.stack([draw(rng) for _ in range(16)])
    training, (pictures, truth) = Training.fresh(), batch_of(rows, rng)
    losses = [step(training, pictures, truth) for _ in range(12)]
    assert losses[-1] < 0.8 * losses[0]
    assert off_by(training.average, pictures, truth).shape == (16, 5)


def test_the_command_trains_goes_on_and_exports(index: Path, tmp_path: Path) -> None:
    import typer

    app = typer.Typer()
    app.command()(main)
    out = tmp_path / "landmarks.onnx"
    words = [
        "--index",
        str(index),
        "--folder",
        "",
        "--batch",
        "8",
        "--pool",
        "64",
        "--work",
        str(tmp_path),
        "--out",
        str(out),
    ]
    first = CliRunner().invoke(app, [*words, "--minutes", "0.01"])
    assert first.exit_code == 0, first.output
    again = CliRunner().invoke(app, [*words, "--minutes", "0.02"])
    assert again.exit_code == 0, again.output
    assert "going on after step" in again.output
    session = onnxruntime.InferenceSession(out)
    (found,) = session.run(None, {"picture": np.zeros((3, 3, 112, 112), np.float32)})
    assert found.shape == (3, 10)
    assert np.isfinite(found).all()
