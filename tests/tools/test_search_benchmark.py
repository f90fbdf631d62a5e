"""The benchmark of searching runs, finds everybody, and saves what it measured."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

ROOT = Path(__file__).resolve().parents[2]


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tools.benchmark", "search", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_all_ways_of_searching_are_measured_and_ours_misses_nobody(tmp_path: Path) -> None:
    done = _run(
        *("--templates", "300", "2000", "--seconds", "0.05", "--queries", "6"),
        *("--json", str(tmp_path / "figures.json"), "--plot", str(tmp_path / "figures.png")),
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "figures.json").read_text())["rows"]
    assert {(row["templates"], row["runs"]) for row in rows} == {
        (templates, way) for templates in (300, 2000) for way in ("unvizard", "numpy", "faiss flat")
    }
    assert [row["recall"] for row in rows if row["runs"] == "unvizard"] == [1.0] * 4
    assert all(0 < row["p50_ms"] <= row["p99_ms"] and row["cpu_ms"] > 0 for row in rows)
    assert all(row["numpy_takes"] == 1 for row in rows if row["runs"] == "numpy")
    assert cv2.imread(str(tmp_path / "figures.png")).shape[1] == 1200


@pytest.mark.parametrize("wrong", [("--templates", "3"), ("--queries", "0")])
def test_too_little_to_measure_is_refused(wrong: tuple[str, str]) -> None:
    done = _run(*wrong)
    assert done.returncode == 2
    assert "--templates must be at least 10, --dimensions and --queries at least 2" in done.stderr
