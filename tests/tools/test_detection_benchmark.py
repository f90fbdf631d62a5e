"""The benchmark of detection, on one small case."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tools.benchmarks.detection import read_frames
from tools.demo.clip import cached_clip

ROOT = Path(__file__).parents[2]


def benchmark(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tools.benchmark", "detection", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)


def test_detectors_are_timed_beside_facenet_pytorch_which_finds_the_same_faces(tmp_path: Path) -> None:
    saved = tmp_path / "figures.json"
    done = benchmark(
        *("--size", "720p", "--min-face", "80", "--cameras", "1", "2", "--seconds", "0.1", "--rounds", "1"),
        *("--detector", "mtcnn", "yunet", "--json", str(saved), "--plot", str(tmp_path / "plot.png")),
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(saved.read_text())
    assert [(row["cameras"], row["runs"]) for row in report["rows"]] == [
        (cameras, name) for cameras in (1, 2) for name in ("mtcnn", "yunet", "facenet-pytorch")
    ]
    for row in report["rows"]:
        assert 0 < row["p50_ms"] <= row["p99_ms"]
        assert row["runs"] != "facenet-pytorch" or row["times_faster"] == 1
    assert any("mtcnn and facenet-pytorch find the same" in note for note in report["notes"])
    assert (tmp_path / "plot.png").stat().st_size > 1000


def test_a_video_that_is_too_short_or_not_there_is_refused(tmp_path: Path) -> None:
    assert len(read_frames(cached_clip(), 3)) == 3
    with pytest.raises(ValueError, match=r"must have at least 100000 pictures, found \d+"):
        read_frames(cached_clip(), 100_000)
    done = benchmark("--video", str(tmp_path / "none.mp4"))
    assert done.returncode == 1 and "--video: " in done.stderr and "none.mp4" in done.stderr
