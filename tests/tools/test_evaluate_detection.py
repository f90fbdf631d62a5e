"""The evaluation of detectors: its figures on cases whose answer is known, and the command as a person runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines.detection.detectors import DETECTORS
from engines.faces import Faces
from tools.detection.figures import average_precision, figures_of
from tools.detection.matching import match
from tools.detection.scenes import Scene, read_scenes
from tools.recognition.bootstrap import People

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "tools" / "demo" / "pictures"
HEADER = "file,class,xmin,ymin,xmax,ymax\n"


def scene(*faces: tuple[str, tuple[float, ...]]) -> Scene:
    boxes = np.array([box for _, box in faces], np.float32).reshape(-1, 4)
    return Scene(Path("picture.jpg"), boxes, tuple(state for state, _ in faces))


def found(*faces: tuple[float, tuple[float, ...]]) -> Faces:
    boxes = np.array([box for _, box in faces], np.float32).reshape(-1, 4)
    scores = np.array([score for score, _ in faces], np.float32)
    return Faces(boxes, scores, np.zeros((len(faces), 5, 2), np.float32))


BARE, MASKED, TINY = (0.0, 0.0, 40.0, 40.0), (100.0, 0.0, 140.0, 40.0), (200.0, 0.0, 210.0, 10.0)


def test_a_face_is_taken_once_by_the_most_certain_find() -> None:
    twice = found((0.7, BARE), (0.9, BARE), (0.8, (300.0, 0.0, 340.0, 40.0)))
    matched = match([scene(("bare", BARE), ("masked", MASKED))], [twice], 0.5, 20)
    np.testing.assert_array_equal(matched.right, [True, False, False])
    np.testing.assert_array_equal(matched.seen, [True, False])
    assert matched.states.tolist() == ["bare", "masked"]


def test_finding_a_face_that_is_too_small_to_count_is_no_mistake_and_missing_it_neither() -> None:
    there = scene(("bare", BARE), ("bare", TINY))
    matched = match([there, there], [found((0.9, BARE), (0.8, TINY)), found((0.9, BARE))], 0.5, 20)
    assert matched.right.tolist() == [True, True] and matched.seen.tolist() == [True, True]
    small_mistake = match([there], [found((0.9, (400.0, 0.0, 410.0, 10.0)))], 0.5, 20)
    assert len(small_mistake.right) == 0


def test_average_precision_is_the_area_under_the_best_precision_from_there_on() -> None:
    right = np.array([True, False, True, False])
    assert average_precision(right, np.ones(4), 4) == pytest.approx(0.25 * 1 + 0.25 * 2 / 3)
    assert average_precision(np.array([True, True]), np.ones(2), 2) == 1
    assert average_precision(np.zeros(0, bool), np.zeros(0), 3) == 0
    # A picture that was drawn twice counts twice.
    assert average_precision(np.array([True, False]), np.array([2.0, 1.0]), 2) == 1


def test_recall_is_told_by_state_and_size_and_what_is_gained_over_the_first() -> None:
    scenes = [scene(("bare", BARE), ("masked", MASKED))] * 20
    first = match(scenes, [found((0.9, BARE))] * 20, 0.5, 20)
    both = match(scenes, [found((0.9, BARE), (0.8, MASKED))] * 20, 0.5, 20)
    figures = figures_of({"first": first, "both": both}, People(20, 50))
    assert figures["first"].recall["all"].value == 0.5 and figures["both"].recall["all"].value == 1
    assert figures["first"].recall["bare"].value == 1 and figures["first"].recall["masked"].value == 0
    assert figures["first"].recall["masked"].high == pytest.approx(3 / 20)
    assert figures["both"].against["masked"].value == 1 and figures["first"].against == {}
    assert figures["both"].counts == {
        "all": 40,
        "bare": 20,
        "masked": 20,
        "40 to 80 px": 40,
        "bare, 40 to 80 px": 20,
        "masked, 40 to 80 px": 20,
    }
    assert figures["first"].precision.value == 1 and figures["first"].average_precision.value == 0.5
    assert figures["first"].curve[50] == 1 and np.isnan(figures["first"].curve[51])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("file,xmin\n", "boxes.csv: must have the columns class, xmax, ymax, ymin; they are missing"),
        (HEADER, "boxes.csv: must list faces, found none"),
        (HEADER + "a.png,bare,5,5,5,9\n", "line 2: xmin, ymin, xmax, ymax must be a box, found 5, 5, 5, 9"),
        (
            HEADER + "a.png,bare,5,five,9,9\n",
            "line 2: xmin, ymin, xmax, ymax must be a box, found 5, five, 9, 9",
        ),
        (
            HEADER + "a.png,bare,1,1,9,9\nb.png,bare,1,1,9,9\n",
            "line 3: file must lie in .*, found no 'b.png'",
        ),
    ],
)
def test_a_list_that_cannot_be_used_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "a.png").write_bytes(b"here")
    (tmp_path / "boxes.csv").write_text(text)
    with pytest.raises(ValueError, match=sentence):
        read_scenes(tmp_path / "boxes.csv", tmp_path)


def evaluate(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tools.evaluate_detection", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)


def test_every_detector_is_measured_on_a_picture_of_a_face_and_one_without(tmp_path: Path) -> None:
    picture = cv2.resize(
        cv2.imread(str(PICTURES / "astronaut.png")), (256, 256), interpolation=cv2.INTER_AREA
    )
    cv2.imwrite(str(tmp_path / "face.png"), picture)
    (tmp_path / "boxes.csv").write_text(HEADER + "face.png,without_mask,88,31,136,92\n")
    done = evaluate(
        *("--boxes", tmp_path / "boxes.csv", "--root", tmp_path, "--faces", tmp_path, "--eyes", 20),
        *("--draws", 20, "--json", tmp_path / "figures.json", "--plots", tmp_path / "plots"),
    )
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "figures.json").read_text())
    assert set(report["ms"]) == set(DETECTORS)
    for name in DETECTORS:
        figures = report["overlaps"]["0.4"][name]
        assert figures["recall"]["without_mask"]["value"] == 1 and figures["precision"]["value"] == 1, name
        moved = report["eyes"]["20.0"][name]
        assert moved["faces"] == 1 and moved["found"]["value"] in (0, 1)
    assert 0 < report["eyes"]["20.0"]["fused"]["median"]["eyes"]["value"] < 0.5
    assert cv2.imread(str(tmp_path / "plots" / "precision-recall-0.4.png")) is not None
    assert "recall gained over the first" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "--boxes and --root must be given together, or --faces, or all three"),
        (("--boxes", "boxes.csv"), "--boxes and --root must be given together"),
        (("--faces", "/nowhere"), "--faces: must be a folder, found /nowhere"),
        (
            ("--faces", PICTURES, "--detector", "haar"),
            "detector: must be one of fused, mtcnn, ssd, yunet, found 'haar'",
        ),
    ],
)
def test_a_wrong_argument_is_named(arguments: tuple[object, ...], sentence: str) -> None:
    done = evaluate(*arguments)
    assert done.returncode == 2
    assert sentence in " ".join(done.stderr.replace("│", " ").split())
