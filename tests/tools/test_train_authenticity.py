"""Training of authenticity networks at toy size: examples, data report, training, resume, export, figures."""

import csv
import json

import cv2
import numpy as np
import pytest
import torch
import typer
from training_helpers import ROOT, run
from typer.testing import CliRunner

from engines.masks.synthesis import draw_mask
from tools import train_authenticity
from tools.authenticity.augment import augmented, cut, treat
from tools.authenticity.compression import h264, jpeg
from tools.authenticity.examples import PHOTOGRAPHED, Example, balanced, load
from tools.authenticity.measuring import auc, by_part, figures, roc
from tools.authenticity.training import temperature
from tools.learning.runtime import open_file
from tools.recognition.bootstrap import People

ASTRONAUT = np.float32([[205, 101], [247, 103], [225, 129], [201, 140], [245, 141]])
COMMAND = typer.Typer()
COMMAND.command()(train_authenticity.main)
COLUMNS = ("file", "gender", "rex", "rey", "lex", "ley", "nx", "ny", "rmx", "rmy", "lmx", "lmy")


def write_faces(folder, masked, count=14):
    """One face turned, scaled and lit in many ways, in the layout of the index."""
    folder.mkdir()
    picture = cv2.cvtColor(cv2.imread(str(ROOT / "tools/demo/pictures/astronaut.png")), cv2.COLOR_BGR2RGB)
    rng = np.random.default_rng(int(masked))
    if masked:
        picture, _ = draw_mask(picture, ASTRONAUT, rng)
    with (folder / "index.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for i in range(count):
            matrix = cv2.getRotationMatrix2D((225, 120), rng.uniform(-25, 25), rng.uniform(0.8, 1.4))
            matrix[:, 2] += np.array([112, 112]) - [225, 120] + rng.uniform(-20, 20, 2)
            view = cv2.warpAffine(picture, matrix, (224, 224), borderMode=cv2.BORDER_REFLECT_101)
            view = np.clip(view * rng.uniform(0.6, 1.2), 0, 255).astype(np.uint8)
            points = ASTRONAUT @ matrix[:, :2].T + matrix[:, 2]
            cv2.imwrite(str(folder / f"{masked}{i}.png"), cv2.cvtColor(view, cv2.COLOR_RGB2BGR))
            writer.writerow([f"{masked}{i}.png", ("f", "m")[i % 2], *points.ravel()])
    return folder


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    base = tmp_path_factory.mktemp("authenticity")
    bare, worn = write_faces(base / "bare", False), write_faces(base / "worn", True)
    done = run(
        "-m", "tools.make_authenticity_examples", base / "examples", "--faces", bare, "--masked", worn,
        "--leave-out", "*0.png",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return base / "examples"


def train(*arguments):
    return run("-m", "tools.train_authenticity", *arguments, "--threads", 1, "--workers", 0)


def test_examples_use_every_photograph_in_both_classes_and_report_on_themselves(examples):
    found = load(examples)
    by_source = {}
    for row in found.rows:
        by_source.setdefault((row.collection, row.source), []).append(row)
    assert len(by_source) >= 20
    for rows in by_source.values():
        assert len({row.part for row in rows}) == 1
        assert [row.painted for row in rows] == [False, True, True]
    assert {row.family for row in found.rows} == {PHOTOGRAPHED, "drawn mask", "our reconstruction"}
    assert not any(
        row.source.endswith("0.png") and row.source in ("False0.png", "True0.png") for row in found.rows
    )
    assert {row.masked for row in found.rows if not row.painted} == {True, False}
    for name in ("distribution", "bias", "sharpness", "exposure", "sheet"):
        assert cv2.imread(str(examples / f"{name}.png")) is not None, name
    assert "named to be left out" in (examples / "data.md").read_text()


def test_it_trains_goes_on_exports_and_is_measured(examples, tmp_path):
    common = (
        examples,
        "--network",
        "custom",
        "--size",
        64,
        "--batch",
        8,
        "--work",
        tmp_path,
        "--prepare",
        "contrast",
    )
    first = train(*common, "--epochs", 1)
    assert first.returncode == 0, first.stderr
    begun = json.loads((tmp_path / "custom.json").read_text())
    again = train(*common, "--epochs", 2)
    assert again.returncode == 0, again.stderr
    record = json.loads((tmp_path / "custom.json").read_text())
    assert begun["epochs"] == 1 and record["epochs"] == 2 and record["steps"] == 2 * begun["steps"]
    assert "random weights: no ImageNet weights were given" in (tmp_path / "custom.md").read_text()
    answer = open_file(tmp_path / "custom.onnx")(np.full((3, 3, 64, 64), 90, np.float32))[0]
    assert answer.shape == (3, 1) and ((answer > 0) & (answer < 1)).all()
    other = train(*common, "--seed", 5)
    assert other.returncode == 2 and "as it was begun" in " ".join(other.stderr.replace("│", " ").split())
    measured = run(
        "-m", "tools.evaluate_authenticity", "--model", f"custom={tmp_path / 'custom.onnx'}",
        "--set", f"toy={examples}", "--json", tmp_path / "figures.json", "--plots", tmp_path,
        "--card", tmp_path / "card.md", "--record", tmp_path / "custom.json", "--draws", 20,
    )  # fmt: skip
    assert measured.returncode == 0, measured.stderr
    found = json.loads((tmp_path / "figures.json").read_text())["sets"]["toy"]
    assert set(found) == {"as it is", "JPEG q70", "H.264 crf 28"}
    assert {"all", "masked faces alone", "drawn mask", "our reconstruction"} <= set(
        found["as it is"]["custom"]
    )
    assert "| custom | as it is | all |" in (tmp_path / "card.md").read_text()
    assert cv2.imread(str(tmp_path / "compare-toy.png")) is not None
    assert cv2.imread(str(tmp_path / "roc-toy.png")) is not None


def test_the_light_network_learns_from_what_its_held_trunk_has_seen_once(examples, tmp_path):
    common = (examples, "--views", 2, "--batch", 8, "--work", tmp_path)
    looked = train(*common, "--only-look")
    assert looked.returncode == 0 and not (tmp_path / "light.onnx").exists(), looked.stderr
    kept = (tmp_path / "seen" / "seen.npy").stat().st_mtime_ns
    done = train(*common, "--epochs", 2)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "seen" / "seen.npy").stat().st_mtime_ns == kept
    answer = open_file(tmp_path / "light.onnx")(np.full((2, 3, 112, 112), 90, np.float32))[0]
    assert answer.shape == (2, 1)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--network", "alexnet"), "--network: must be one of light, xception"),
        (("--imagenet", "vgg19=nowhere.pth"), "--imagenet: must be BRANCH=FILE"),
        (("--network", "custom", "--size", 60), "size: must be a multiple of 8 from 64 on, found 60"),
        (("--network", "custom", "--views", 2), "--views: is for the light network, found custom"),
        (("--prepare", "blur"), "--prepare: must be denoise, sharpen or contrast, found 'blur'"),
    ],
)
def test_bad_input_is_named(examples, tmp_path, arguments, sentence):
    done = CliRunner().invoke(COMMAND, [str(examples), "--work", str(tmp_path), *map(str, arguments)])
    assert done.exit_code == 2
    assert sentence in " ".join(done.stderr.replace("│", " ").split())


def test_a_folder_without_examples_is_named(tmp_path):
    done = CliRunner().invoke(COMMAND, [str(tmp_path), "--work", str(tmp_path)])
    assert done.exit_code == 2
    assert "must hold examples, found none" in " ".join(done.stderr.replace("│", " ").split())


def test_the_area_under_the_curve_is_the_share_of_pairs_in_order():
    rng = np.random.default_rng(0)
    scores, painted = np.round(rng.random(60), 1).astype(np.float32), rng.random(60) < 0.4
    pairs = [(a > b) + 0.5 * (a == b) for a in scores[painted] for b in scores[~painted]]
    assert auc(scores, painted) == pytest.approx(np.mean(pairs))
    weights = rng.integers(0, 3, 60).astype(np.float64)
    again = np.repeat(np.arange(60), weights.astype(int))
    assert auc(scores, painted, weights) == pytest.approx(auc(scores[again], painted[again]))
    assert np.isnan(auc(scores, np.zeros(60, bool)))


def test_both_classes_count_equally_however_many_there_are():
    painted = np.array([True] * 8 + [False] * 2)
    scores = np.array([0.9] * 6 + [0.1] * 2 + [0.8, 0.2], np.float32)  # 6 of 8 found, 1 of 2 false
    found = figures(scores, painted, np.arange(10), People(10, 50))
    assert found["recall"].value == pytest.approx(0.75) and found["accuracy"].value == pytest.approx(0.625)
    assert found["precision"].value == pytest.approx(0.75 / 1.25)
    assert found["f1"].value == pytest.approx(2 * 0.75 / 2.25)
    assert found["auc"].low <= found["auc"].value <= found["auc"].high


def rows_of(count, **kinds):
    return [
        Example(family, masked, "test", "street", f"{i}.png", {})
        for family, masked in kinds["kinds"]
        for i in range(count)
    ]


def test_families_are_measured_apart_and_photographs_by_collection():
    rows = rows_of(
        30, kinds=[(PHOTOGRAPHED, False), (PHOTOGRAPHED, True), ("drawn mask", True), ("generated", False)]
    )
    scores = np.array([0.1] * 30 + [0.6] * 30 + [0.9] * 30 + [0.05] * 30, np.float32)
    found = by_part(scores, rows, 20)
    assert found["drawn mask"]["auc"].value == 1 and found["generated"]["auc"].value == 0
    assert found["masked faces alone"]["accuracy"].value == pytest.approx(0.5)
    assert found["photographs of street, masked"]["accuracy"].value == 0
    assert found["photographs of street, not masked"]["accuracy"].value == 1
    painted = np.array([row.painted for row in rows])
    assert roc(scores, painted, np.array([0.001, 1.0])).tolist() == [0.5, 1.0]


def test_an_epoch_holds_painted_and_masked_faces_equally_often():
    rows = rows_of(
        100, kinds=[(PHOTOGRAPHED, False), ("drawn mask", True), ("templates", True), ("generated", False)]
    )
    rows += rows_of(10, kinds=[(PHOTOGRAPHED, True)])
    drawn = [rows[i] for i in balanced(rows, np.arange(len(rows)), np.random.default_rng(0))]
    cells = [sum((r.painted, r.masked) == cell for r in drawn) for cell in ((0, 0), (0, 1), (1, 0), (1, 1))]
    assert max(cells) - min(cells) <= 3
    assert (
        abs(sum(r.family == "drawn mask" for r in drawn) - sum(r.family == "templates" for r in drawn)) <= 2
    )


def test_augmentation_keeps_the_form_and_compression_and_preparation_change_pixels():
    view = cv2.resize(np.random.default_rng(0).integers(0, 256, (12, 12, 3), dtype=np.uint8), (144, 144))
    one, same, other = (augmented(view, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one.shape == (112, 112, 3) and one.dtype == np.uint8
    assert np.array_equal(one, same) and not np.array_equal(one, other)
    crop = cut(view)
    for changed in (jpeg(crop, 70), h264(crop, 28), treat(crop, ("denoise",)), treat(crop, ("sharpen",))):
        assert changed.shape == crop.shape and 0 < np.abs(changed.astype(int) - crop).mean() < 25


def test_the_temperature_makes_probabilities_true():
    rng = np.random.default_rng(0)
    truth = rng.normal(0, 2, 4000)
    labels = torch.from_numpy((rng.random(4000) < 1 / (1 + np.exp(-truth))).astype(np.float32))
    assert temperature(torch.from_numpy(truth * 3).float(), labels) == pytest.approx(3, rel=0.15)
