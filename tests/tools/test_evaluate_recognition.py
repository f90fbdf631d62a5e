"""Both evaluations of recognition, run as commands on real photographs with the shipped networks."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import Result
from typer.testing import CliRunner

import tools.evaluate_identification
import tools.evaluate_verification
from engines.recognition.calibration import MODELS, PATH
from stream.config import Settings
from stream.networks import Networks, load_networks
from tools.recognition.store import Sight, Store

PICTURES = Path(__file__).parents[2] / "tools" / "demo" / "pictures"


@cache
def networks() -> Networks:
    return load_networks(Settings(), lambda name, share: None)


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Three people, one of them twice, as a camera of small means; a wall, a text that says it is a picture."""
    for name in ("obama.jpg", "obama3.jpg", "biden.jpg", "astronaut.png"):
        picture = cv2.imread(str(PICTURES / name))
        scale = 400 / max(picture.shape[:2])
        small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(tmp_path / name), small)
    cv2.imwrite(str(tmp_path / "wall.png"), np.full((200, 200, 3), 120, np.uint8))
    (tmp_path / "broken.jpg").write_text("no picture")
    return tmp_path


@pytest.fixture
def calibration(tmp_path: Path) -> Path:
    """A plain model for each condition, for the networks that are here."""
    model = {"crossing": 0.3, "steepness": 30, "bend": 0, "lower": -4, "upper": 9}
    models = {
        name: model
        | {"shares": {t: 1 / len(terms) for t in terms}, "strangers": {"mean": 0.05, "deviation": 0.09}}
        for name, terms in MODELS.items()
    }
    evidence = networks().evidence
    values = {
        "space": evidence.space,
        "views_space": evidence.views_space,
        "generator_sha256": networks().engines["unmask"].model_sha256,
        "models": models,
        "centres": json.loads(PATH.read_text())["centres"],
    }
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps(values))
    return path


def run(module: Any, *arguments: str | Path) -> Result:
    return CliRunner().invoke(module.app, [str(a) for a in arguments], env={"COLUMNS": "200"})


def pairs_file(folder: Path) -> Path:
    rows = ["file_a,file_b,same,identity_a,identity_b"]
    rows += ["obama.jpg,obama3.jpg,1,Obama,Obama", "biden.jpg,obama3.jpg,0,Biden,Obama"]
    rows += ["astronaut.png,obama3.jpg,0,Collins,Obama", "biden.jpg,astronaut.png,0,Biden,Collins"]
    rows += ["obama.jpg,wall.png,0,Obama,Wall", "broken.jpg,obama3.jpg,0,Broken,Obama"]
    rows += ["gone.jpg,astronaut.png,0,Gone,Collins"]
    path = folder / "pairs.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


def test_pairs_are_compared_with_masks_and_without_and_what_has_no_face_is_counted(
    photographs: Path, calibration: Path
) -> None:
    keep, figures = photographs / "keep.sqlite", photographs / "out" / "figures.json"
    arguments = ("--pairs", pairs_file(photographs), "--root", photographs, "--mask-second", "synthetic")
    arguments += ("--calibration", calibration, "--draws", "20", "--keep", keep)
    arguments += ("--json", figures, "--plots", photographs / "plots")
    result = run(tools.evaluate_verification, *arguments)
    assert result.exit_code == 0, result.output
    report = json.loads(figures.read_text())
    assert report["protocol"]["identities_known"] and report["protocol"]["calibration_sha256"]
    clean, masked = report["conditions"]["as photographed"], report["conditions"]["second masked"]
    assert clean["enrolment"]["templates"]["reasons"] == {"not a picture": 1, "no such picture": 1}
    assert clean["enrolment"]["probes"]["reasons"] == {"no face found": 1}
    assert clean["pairs"]["not_compared"] == 3 and clean["pairs"]["genuine"] == 1
    assert clean["kinds"] == ["raw", "fused"]
    assert set(masked["kinds"]) >= {"raw", "upper", "robust", "rendered", "unmasked", "fused"}
    assert masked["enrolment"]["probes"]["taken_for_masked"] == 2
    # Every second picture with every first: obama3 and astronaut with obama, biden and the astronaut, who is left
    # out where the photograph would meet itself.
    assert (clean["compared"]["genuine"], clean["compared"]["impostor"]) == (1, 4)
    assert clean["compared"]["kinds"]["raw"]["eer"]["value"] == 0
    assert clean["compared"]["genuine_lost"] == 0 and clean["compared"]["lost_to_failures"] == pytest.approx(
        1 - 6 / 15
    )
    assert sorted(path.name for path in (photographs / "plots").iterdir()) == [
        f"{what}-{condition}.png"
        for what in ("errors", "reliability")
        for condition in ("as-photographed", "second-masked")
    ]
    assert cv2.imread(str(photographs / "plots" / "errors-second-masked.png")).std() > 5

    line = tools.evaluate_verification.error_lines(masked["compared"], ["raw"])[0]
    assert np.isnan(line.y[0]) and line.y[-1] == 0 and (np.diff(line.y[np.isfinite(line.y)]) <= 0).all()

    again = photographs / "again.json"
    assert run(tools.evaluate_verification, *arguments[:-4], "--json", again).exit_code == 0
    assert json.loads(again.read_text())["conditions"] == report["conditions"]


def test_people_are_searched_for_and_strangers_are_not_found(photographs: Path, calibration: Path) -> None:
    path, figures = photographs / "list.csv", photographs / "figures.json"
    rows = ["file,identity,role,condition", "obama.jpg,Obama,gallery,", "biden.jpg,Biden,gallery,"]
    rows += ["obama3.jpg,Obama,probe,day", "wall.png,Biden,probe,night", "astronaut.png,,nonmate,day"]
    path.write_text("\n".join([*rows, "broken.jpg,,nonmate,day"]) + "\n")
    arguments = ("--root", photographs, "--calibration", calibration, "--draws", "20", "--json", figures)
    result = run(tools.evaluate_identification, "--list", path, *arguments, "--plots", photographs / "plots")
    assert result.exit_code == 0, result.output
    found = json.loads(figures.read_text())["conditions"]["as photographed"]
    assert found["enrolment"]["searches"]["reasons"] == {"no face found": 1, "not a picture": 1}
    everybody = found["parts"]["all"]
    assert (everybody["mated"], everybody["nonmated"]) == (2, 2)
    for kind in ("raw", "fused"):
        assert everybody["kinds"][kind]["rank-1"]["value"] == 0.5
    product = everybody["product"]["0.001"]
    assert product["named_right"]["value"] == 0.5 and product["named_wrong"]["value"] == 0
    assert product["false_alarms"]["value"] == 0 and product["met"]
    assert product["false_alarms"]["high"] == 1, "two strangers prove nothing"
    assert (photographs / "plots" / "ranks-as-photographed.png").exists()


def test_without_a_calibration_for_these_networks_the_parts_are_measured_and_it_is_said(
    photographs: Path,
) -> None:
    foreign = photographs / "foreign.json"
    foreign.write_text("{}")
    result = run(
        tools.evaluate_verification,
        *(
            "--pairs",
            pairs_file(photographs),
            "--root",
            photographs,
            "--calibration",
            foreign,
            "--draws",
            "20",
        ),
    )
    assert result.exit_code == 0, result.output
    assert "no fusion and no probabilities are measured" in result.output and "fused" not in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--mask-second", "paper"), "must be synthetic, found 'paper'"),
        (("--templates", "nowhere"), "must be a folder of mask templates"),
        (("--keep", "pairs.csv"), "cannot be used to keep what was seen"),
        (("--config", "nowhere.yaml"), "nowhere.yaml"),
    ],
)
def test_wrong_arguments_say_what_is_wrong(
    photographs: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(photographs)
    result = run(tools.evaluate_verification, "--pairs", pairs_file(photographs), "--root", ".", *arguments)
    assert result.exit_code == 2 and message in " ".join(result.output.replace("│", " ").split())


def test_a_list_or_people_must_be_given_and_not_both(photographs: Path) -> None:
    result = run(tools.evaluate_identification, "--root", photographs)
    assert result.exit_code == 2 and "either --list or --people" in result.output


def test_what_was_seen_survives_and_what_is_damaged_is_seen_again(tmp_path: Path) -> None:
    store = Store(tmp_path / "seen.sqlite")
    store.put(b"a", Sight("", {"raw": np.ones(3, "<f4").tobytes()}, True, "blurred"))
    store.close()
    store = Store(tmp_path / "seen.sqlite")
    found = store.get(b"a")
    assert found and found.masked and found.unfit == "blurred" and found.vector("raw").tolist() == [1, 1, 1]
    assert store.get(b"b") is None
    store._connection.execute("UPDATE sight SET value = x'00'")  # type: ignore[union-attr]
    assert store.get(b"a") is None
