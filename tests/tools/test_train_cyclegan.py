"""CycleGAN's training at toy size: it learns, stops, goes on, is watched for collapse, and exports what runs."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from engines.alignment import RECOGNITION_POINTS
from engines.unmasking.cyclegan import PatchDiscriminator, ResnetGenerator
from tools.cyclegan.grid import TRIALS, trials
from tools.cyclegan.training import CycleGan, Options, Pool, warnings
from tools.learning.runtime import open_file

ROOT = Path(__file__).parents[2]
TOY = ("--size", 32, "--width", 4, "--blocks", 1, "--batch", 4, "--threads", 1)


def write_domain(folder, colour, count=8):
    """Blobs of one colour with landmarks, as an index lists them."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    names = ("rex", "rey", "lex", "ley", "nx", "ny", "rmx", "rmy", "lmx", "lmy")
    with (folder / "index.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", *names])
        for i in range(count):
            grain = cv2.resize(rng.integers(0, 60, (8, 8, 1), dtype=np.uint8), (224, 224))
            cv2.imwrite(str(folder / f"{i}.png"), np.clip(np.array(colour) + grain[..., None], 0, 255))
            writer.writerow([f"{i}.png", *(RECOGNITION_POINTS * 2).ravel()])
    return folder


def train(*arguments):
    command = [sys.executable, "-m", "tools.train_cyclegan", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)


def test_it_trains_both_ways_goes_on_and_exports(tmp_path):
    a, b = write_domain(tmp_path / "a", (40, 60, 190)), write_domain(tmp_path / "b", (190, 120, 30))
    common = ("--a", a, "--b", b, "--work", tmp_path / "run", *TOY)
    first = train(*common, "--epochs", 1)
    assert first.returncode == 0, first.stderr
    again = train(*common, "--epochs", 10)
    assert again.returncode == 0, again.stderr
    health = json.loads((tmp_path / "run" / "health.json").read_text())
    assert health["epoch"] == 10 and set(health) == {"epoch", "A->B", "B->A", "warnings"}
    for name in ("curves_A.png", "curves_B.png", "cycle.png", "bad_ones.png", "progress/epoch_010.png"):
        assert (tmp_path / "run" / name).is_file(), name
    for name in ("mask", "unmask"):
        x = np.full((2, 3, 128, 128), 100, np.float32)
        composite, mask = open_file(tmp_path / "run" / f"{name}.onnx")(x)
        assert composite.shape == (2, 3, 128, 128) and mask.shape == (2, 1, 128, 128)
        assert 0 <= mask.min() <= mask.max() <= 1 and 0 <= composite.min() <= composite.max() <= 255
    with (tmp_path / "run" / "figures.csv").open(newline="") as file:
        row = next(csv.DictReader(file))
    assert float(row["epochs"]) == 10 and float(row["frechet[efficientnet-lite0] A->B"]) > 0
    other = train(*common, "--epochs", 12, "--norm", "batch")
    assert other.returncode == 2
    assert "norm must be instance as it was begun" in " ".join(other.stderr.replace("│", " ").split())


def test_the_networks_have_the_published_shapes():
    six, nine = ResnetGenerator(6), ResnetGenerator(9)
    millions = [sum(w.numel() for w in n.parameters()) / 1e6 for n in (six, nine, PatchDiscriminator())]
    assert millions == pytest.approx([7.84, 11.38, 2.76], abs=0.02)
    assert Options(size=128).residual_blocks == 6 and Options(size=256).residual_blocks == 9
    # One logit of the discriminator hangs on 70 x 70 pixels.
    judge = PatchDiscriminator("batch", 8).eval()
    x = torch.zeros(1, 3, 128, 128, requires_grad=True)
    verdict = judge(x)
    assert verdict.shape == (1, 1, 14, 14)
    verdict[0, 0, 7, 7].backward()
    seen = x.grad.abs().sum((0, 1)) > 0
    assert int(seen.any(0).sum()) == int(seen.any(1).sum()) == 70


def test_the_grid_is_the_papers():
    made = trials(Options(size=64))
    assert len(made) == len(TRIALS) == 10 and len(set(made.values())) == 10
    assert {o.size for o in made.values()} == {64} and {o.batch for o in made.values()} == {16, 32}


def test_a_collapse_in_one_direction_is_noticed():
    model = CycleGan(Options(size=32, width=4, blocks=1), torch.device("cpu"), np.random.default_rng(0))
    rng = np.random.default_rng(1)
    a, b = (rng.integers(0, 256, (8, 32, 32, 3), dtype=np.uint8) for _ in range(2))
    for weight in model.g_b.parameters():  # gives the same picture for every input
        weight.data.zero_()
    said = warnings(model.health(a, b))
    assert any(s.startswith("B->A seems to have collapsed") for s in said)
    same = {"A->B": {"diversity": 1.0, "change": 0.001}, "B->A": {"diversity": 0.9, "change": 0.3}}
    assert warnings(same) == ["A->B changes almost nothing: fakes differ from their inputs by 0.001 of 2"]


def test_a_pool_gives_older_fakes_half_of_the_time():
    pool = Pool(10, np.random.default_rng(0))
    given = [int(pool.exchange(torch.full((1, 1), float(i)))[0, 0]) for i in range(400)]
    old = [g != i for i, g in enumerate(given)]
    assert not any(old[:10]) and 0.4 < np.mean(old[10:]) < 0.6


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--size", 30), "--size: must be a multiple of 4 from 32 on, found 30"),
        ((), "must hold at least 8 faces, found 2"),
    ],
)
def test_bad_input_is_named(arguments, sentence, tmp_path):
    few = write_domain(tmp_path / "a", (40, 60, 190), 2)
    done = train("--a", few, "--b", few, "--work", tmp_path / "run", *arguments)
    assert done.returncode == 2
    assert sentence in " ".join(done.stderr.replace("│", " ").split())
