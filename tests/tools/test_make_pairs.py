"""The paired data set: what is in it, that it comes out the same each time, and what is left out and why."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "tools" / "demo" / "pictures"


def make_pairs(*arguments):
    command = [sys.executable, "-m", "tools.make_pairs", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for name in ("biden.jpg", "obama.jpg"):
        picture = cv2.imread(str(PICTURES / name))
        scale = 720 / max(picture.shape[:2])
        cv2.imwrite(str(folder / name), cv2.resize(picture, None, fx=scale, fy=scale))
    (folder / "more").mkdir()
    both = [cv2.resize(cv2.imread(str(folder / n)), (540, 720)) for n in ("biden.jpg", "obama.jpg")]
    cv2.imwrite(str(folder / "more" / "two.png"), np.hstack(both))
    cv2.imwrite(str(folder / "more" / "wall.png"), np.full((200, 200, 3), 120, np.uint8))
    (folder / "torn.jpg").write_bytes((folder / "biden.jpg").read_bytes()[:40])
    return folder


def test_pairs_differ_under_the_mask_alone_and_come_out_the_same_again(pictures, tmp_path):
    options = ("--size", 192, "--copies", 2, "--seed", 5)
    first = make_pairs(pictures, tmp_path / "a", *options)
    assert first.returncode == 0, first.stderr
    table = rows(tmp_path / "a" / "pairs.csv")
    assert [row["file"] for row in table] == [
        f"{name}.jpg.{copy}.png" for name in ("biden", "obama") for copy in (0, 1)
    ]
    for row in table:
        unmasked, masked, region = (
            cv2.imread(str(tmp_path / "a" / folder / row["file"]), cv2.IMREAD_UNCHANGED)
            for folder in ("unmasked", "masked", "region")
        )
        assert unmasked.shape == masked.shape == (192, 192, 3) and region.shape == (192, 192)
        near = cv2.dilate(region, np.ones((41, 41), np.uint8)) > 0  # the contact shadow is soft
        assert np.array_equal(unmasked[~near], masked[~near])
        assert np.abs(unmasked.astype(int) - masked)[region == 255].mean() > 10
        made = json.loads(row["made"])
        assert made["covered"] == pytest.approx((region > 127).mean(), abs=1e-4) and made["wearing"] == "worn"
        assert abs(float(row["yaw"])) < 30 and len(row["source_sha256"]) == 64
    (tmp_path / "a" / "masked" / table[1]["file"]).unlink()  # as if it had been interrupted
    assert make_pairs(pictures, tmp_path / "a", *options).returncode == 0
    assert make_pairs(pictures, tmp_path / "b", *options).returncode == 0
    for folder in ("unmasked", "masked", "region"):
        for path in (tmp_path / "a" / folder).iterdir():
            assert path.read_bytes() == (tmp_path / "b" / folder / path.name).read_bytes()
    assert (tmp_path / "a" / "pairs.csv").read_text() == (tmp_path / "b" / "pairs.csv").read_text()


def test_what_is_left_out_is_listed_with_the_reason(pictures, tmp_path):
    done = make_pairs(pictures, tmp_path / "pairs", "--min-size", 60, "--wrongly", 1, "--camera", 1)
    assert done.returncode == 0, done.stderr
    why = {row["source"]: row["why"] for row in rows(tmp_path / "pairs" / "left_out.csv")}
    assert why["more/two.png"] == "must show one face, found 2"
    assert why["more/wall.png"] == "no face was found"
    assert "cannot be decoded" in why["torn.jpg"] and len(why) == 3
    for row in rows(tmp_path / "pairs" / "pairs.csv"):
        made = json.loads(row["made"])
        assert made["wearing"] in ("below_nose", "chin") and made["camera"]["gain"] > 0
        assert cv2.imread(str(tmp_path / "pairs" / "masked" / row["file"])).shape[0] == 720


def test_a_folder_with_other_choices_is_not_mixed_with(pictures, tmp_path):
    assert make_pairs(pictures, tmp_path, "--size", 96).returncode == 0
    done = make_pairs(pictures, tmp_path, "--size", 128)
    assert done.returncode == 2
    assert "holds pairs made with other choices" in " ".join(done.stderr.replace("│", " ").split())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("/nowhere", "OUT"), "PICTURES: must be a folder, found /nowhere"),
        ((PICTURES, "OUT", "--templates", PICTURES), "--templates: "),
        ((PICTURES, "OUT", "--wrongly", "1.5"), "less than or equal to 1"),
    ],
)
def test_a_wrong_argument_is_named(arguments, sentence, tmp_path):
    done = make_pairs(*(tmp_path if a == "OUT" else a for a in arguments))
    assert done.returncode == 2
    assert sentence in " ".join(done.stderr.replace("│", " ").split())
