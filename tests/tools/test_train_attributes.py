"""Attributes: figures by hand, balanced samples, ResNet-152 as torchvision names it, trainer and evaluation run."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from training_helpers import run

from engines.alignment import RECOGNITION_POINTS
from engines.attributes.gender import GENDERS, GenderEstimator
from tools.attributes.card import put_figures
from tools.attributes.features import Features, fit_head
from tools.attributes.figures import NAMES, by_group, calibration_error, confusion, figures, measured
from tools.attributes.networks import ResNetClassifier, calibrate
from tools.attributes.resnet import ResNet
from tools.attributes.training import Training, learn
from tools.attributes.views import cells, drawer, labelled, row_shape, split
from tools.learning.faces import read_index
from tools.learning.runtime import open_file

COLUMNS = (
    "file",
    "gender",
    "race",
    "age",
    "rex",
    "rey",
    "lex",
    "ley",
    "nx",
    "ny",
    "rmx",
    "rmy",
    "lmx",
    "lmy",
)


def write_people(folder: Path, count: int = 20) -> Path:
    """Blobs that are reddish for one label and bluish for the other, with landmarks."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    with (folder / "index.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for i in range(count):
            coarse = rng.integers(60, 120, (12, 12, 3), dtype=np.uint8)
            coarse[..., 2 if i % 2 else 0] += 100
            picture = cv2.resize(coarse, (224, 224), interpolation=cv2.INTER_CUBIC)
            cv2.imwrite(str(folder / f"{i}.png"), picture)
            groups = (GENDERS[i % 2], "north" if i % 4 < 2 else "south", "20-29")
            writer.writerow([f"{i}.png", *groups, *(RECOGNITION_POINTS * 2).ravel()])
    return folder / "index.csv"


def test_figures_are_those_of_the_confusion_matrix():
    truth, told = np.array([0, 0, 0, 1, 1, 1, 1, 1]), np.array([0, 0, 1, 1, 1, 1, 1, 0])
    table = confusion(truth, told)
    assert table.tolist() == [[2, 1], [1, 4]]
    found = dict(zip(NAMES, measured(table), strict=True))
    assert found["accuracy"] == 6 / 8 and found["balanced accuracy"] == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert found["precision female"] == found["recall female"] == pytest.approx(2 / 3)
    assert found["precision male"] == found["recall male"] == pytest.approx(4 / 5)


def test_intervals_are_of_people_and_not_of_pictures():
    truth = np.tile([0, 1], 200)
    sure = np.where(np.arange(400) < 40, 0.1, 0.9)  # the first tenth is wrong
    probabilities = np.stack([np.where(truth == 0, sure, 1 - sure), np.where(truth == 1, sure, 1 - sure)], 1)
    many = figures(truth, probabilities.astype(np.float32), np.arange(400), 100).values["accuracy"]
    few = figures(truth, probabilities.astype(np.float32), np.arange(400) // 40, 100).values["accuracy"]
    assert many.value == few.value == 0.9 and many.low < 0.9 < many.high
    assert few.high - few.low > 2 * (many.high - many.low)


def test_a_gender_that_nobody_has_gives_no_figure_for_it():
    found = figures(np.ones(3, int), np.float32([[0.1, 0.9]] * 3), np.arange(3), 20).values
    assert found["accuracy"].value == 1 and "recall female" not in found and "balanced accuracy" not in found


def test_small_groups_are_left_out():
    truth, told = np.tile([0, 1], 20), np.float32([[0.9, 0.1]] * 40)
    groups = by_group(truth, told, np.arange(40), ["a"] * 35 + ["b"] * 5, 20)
    assert list(groups) == ["a"] and groups["a"].faces == 35


def test_calibration_is_measured_and_made_right_by_the_temperature():
    rng = np.random.default_rng(0)
    true = rng.uniform(-2, 2, 4000)
    labels = torch.from_numpy((rng.random(4000) < 1 / (1 + np.exp(-true))).astype(np.int64))
    logits = torch.from_numpy(np.stack([-true, true], 1) * 1.5).float()  # three times too sure
    heat = calibrate(logits, labels)
    assert 2.4 < heat < 3.6
    too_sure, right = (torch.softmax(logits / t, 1).numpy() for t in (1.0, heat))
    assert calibration_error(labels.numpy(), right) < 0.03 < calibration_error(labels.numpy(), too_sure)


def test_resnet152_has_the_weights_that_torchvision_names():
    state = ResNet().state_dict()
    learnt = sum(v.numel() for n, v in state.items() if not n.endswith(("mean", "var", "tracked")))
    assert learnt == 60_192_808 - 2_049_000  # as published, without the last layer
    assert state["layer3.35.bn3.running_var"].shape == (1024,)
    assert state["layer4.0.downsample.0.weight"].shape == (2048, 1024, 1, 1)


def test_given_weights_are_frozen_and_only_the_new_layer_learns(tmp_path):
    small = {"repeats": (1, 1, 1, 1), "widths": (4, 8, 8, 16)}
    weights = {**ResNet(**small).state_dict(), "fc.weight": torch.zeros(3, 3), "fc.bias": torch.zeros(3)}
    torch.save(weights, tmp_path / "weights.pth")
    networks = [ResNetClassifier(tmp_path / "weights.pth", ResNet(**small)) for _ in range(2)]
    training = Training.fresh("resnet152", networks[0], networks[1], 1e-2, 3)
    head = networks[0].head.weight.detach().clone()
    learn(training, torch.rand(4, 3, 64, 64) * 255, torch.tensor([0, 1, 0, 1]))
    for name, value in networks[0].trunk.state_dict().items():
        assert torch.equal(value, weights[name]), name
    assert not torch.equal(networks[0].head.weight, head)


def test_weights_of_another_network_and_files_that_are_none_are_refused(tmp_path):
    torch.save(ResNet((1, 1, 1, 1)).state_dict(), tmp_path / "other.pth")
    with pytest.raises(
        ValueError, match=r"must hold the weights of ResNet-152, found otherwise at layer1\.1"
    ):
        ResNet().load(tmp_path / "other.pth")
    (tmp_path / "text.pth").write_text("no weights")
    with pytest.raises(ValueError, match="must be a state dict of torch"):
        ResNet().load(tmp_path / "text.pth")


def test_the_split_keeps_the_genders_and_shares_nobody(tmp_path):
    faces = labelled(read_index(write_people(tmp_path, 30)))
    learning, checking = split(faces, 0.8, 3)
    assert (len(learning), len(checking)) == (24, 6)
    assert not {face.path for face in learning} & {face.path for face in checking}
    assert sorted(face.group["gender"] for face in checking) == ["female"] * 3 + ["male"] * 3
    assert [face.path for face in split(faces, 0.8, 3)[0]] == [face.path for face in learning]


def test_samples_are_balanced_though_the_faces_are_not(tmp_path):
    faces = labelled(read_index(write_people(tmp_path, 20)))
    lopsided = [face for face in faces if face.group["gender"] == "female"] * 9 + faces[1:2]
    draw, rng = drawer(cells(lopsided), 112), np.random.default_rng(0)
    rows = np.stack([draw(rng) for _ in range(60)])
    assert rows.shape == (60, *row_shape(112)) and 18 <= rows[:, -1, 0, 0].sum() <= 42
    with pytest.raises(ValueError, match="must hold some of each gender, found none of male"):
        cells([face for face in faces if face.group["gender"] == "female"])


def test_the_head_learns_what_its_features_show():
    torch.manual_seed(0)
    network = ResNetClassifier(None, ResNet((1, 1, 1, 1), (4, 4, 4, 4)))
    labels = torch.arange(400) % 2
    values = torch.randn(400, 16) + labels[:, None] * 2.0
    rows = fit_head(
        network, Features(values, labels, torch.ones(400)), (values[:100], labels[:100]), 1e-2, 2, 0
    )
    assert rows[-1][3] <= 0.02 and min(row[2] for row in rows) < rows[0][2]


def test_figures_are_put_into_a_card_and_nowhere_else(tmp_path):
    card = tmp_path / "card.md"
    card.write_text("# a\n\n## Figures\n\nold\n\n## Limits\n\n- b\n")
    put_figures(card, "new\n")
    assert card.read_text() == "# a\n\n## Figures\n\nnew\n\n## Limits\n\n- b\n"
    (tmp_path / "other.md").write_text("# a\n")
    with pytest.raises(ValueError, match="must be a model card with a line '## Figures', found none"):
        put_figures(tmp_path / "other.md", "new")


def test_the_small_network_is_trained_resumed_tuned_exported_and_measured(tmp_path):
    index, out, work = write_people(tmp_path / "faces"), tmp_path / "gender.onnx", tmp_path / "run"
    options = ["--index", index, "--folder", "", "--work", work, "--out", out, "--threads", 1, "--looks", 2]
    first = run("-m", "tools.train_attributes", *options, "--minutes", 0.2)
    assert first.returncode == 0, first.stderr
    card = out.with_suffix(".md").read_text()
    assert "16 faces to learn from (8 female, 8 male), 4 of the same folder held out" in card
    assert "The head learnt from 32 looks" in card and str(tmp_path) not in card
    made = (work / "features-small.npz").stat().st_mtime_ns
    again = run(
        "-m",
        "tools.train_attributes",
        *options,
        "--minutes",
        0.05,
        "--tune",
        "--batch",
        2,
        "--pool",
        8,
        "--every",
        2,
    )
    assert again.returncode == 0, again.stderr
    assert "All layers that may learn did so for" in out.with_suffix(".md").read_text()
    assert (work / "attributes.pt").is_file() and made
    estimator = GenderEstimator(open_file(out))
    assert estimator.estimate(np.zeros((3, 112, 112, 3), np.uint8)).shape == (3, 2)

    report = tmp_path / "report.json"
    measured_ = run(
        *("-m", "tools.evaluate_attributes", "--labels", index, "--landmarks", index, "--model", out),
        *("--draws", 20, "--json", report, "--card", "--plot", tmp_path / "plots"),
    )
    assert measured_.returncode == 0, measured_.stderr
    sets = json.loads(report.read_text())["sets"]["index"]
    assert [part["sets"]["all"]["faces"] for part in sets.values()] == [20, 20]
    assert "**As photographed**: 20 faces" in out.with_suffix(".md").read_text()
    assert len(list((tmp_path / "plots").glob("*.png"))) == 2


def test_bad_input_is_refused_with_what_was_found(tmp_path):
    index = write_people(tmp_path / "faces", 4)
    index.write_text(index.read_text().replace("female", "woman"))
    found = run("-m", "tools.train_attributes", "--index", index, "--folder", "", "--work", tmp_path / "run")
    assert found.returncode != 0
    assert "gender must be female or male, found 'woman'" in " ".join(found.stderr.replace("│", " ").split())
    (tmp_path / "labels.csv").write_text("file,sex\na.png,male\n")
    found = run("-m", "tools.evaluate_attributes", "--labels", tmp_path / "labels.csv")
    assert found.returncode != 0
    assert "must have the columns file, gender; found no gender" in " ".join(
        found.stderr.replace("│", " ").split()
    )
