"""What every benchmark does with its figures."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from tools.benchmarks.plot import Bar, draw_bars
from tools.benchmarks.report import Report, by_turns, spread, timings


def test_calls_are_timed_in_turns_and_warming_up_does_not_count() -> None:
    order: list[str] = []
    times = by_turns(
        {"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 0.0, least=4, warm_up=2
    )
    assert order == ["a", "b"] * 6
    assert {name: len(each) for name, each in times.items()} == {"a": 4, "b": 4}


def test_processor_time_is_told_apart_from_waiting() -> None:
    waited = timings({"wait": lambda: time.sleep(0.02)}, 0.0, least=5)["wait"]
    assert min(waited.wall_ms) >= 20
    assert max(waited.cpu_ms) < 20


def test_quantiles_are_those_of_the_times() -> None:
    assert spread(range(101)) == {"p50_ms": 50.0, "p95_ms": 95.0, "p99_ms": 99.0}


def test_a_report_is_printed_saved_with_hardware_and_versions_and_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = Report("embedding", "a call", plot_group="batch")
    report.add(runs="ours", batch=1, p50_ms=2.0, p95_ms=3.0, p99_ms=4.0)
    report.add(runs="a peer", batch=1, p50_ms=20.0, p95_ms=30.0, p99_ms=40.0, times_ours=10.0)
    report.note("said once")
    report.note("said once")
    json_file, plot_file = tmp_path / "report.json", tmp_path / "report.png"
    report.finish(argparse.Namespace(json=json_file, plot=plot_file))
    said = capsys.readouterr().out
    assert "a peer" in said and "times ours" in said
    assert said.count("said once") == 1
    saved = json.loads(json_file.read_text())
    assert saved["rows"][1]["times_ours"] == 10.0
    assert saved["machine"]["cpu"] and saved["machine"]["cores"] >= 1
    assert saved["versions"]["numpy"] == np.__version__
    picture = cv2.imread(str(plot_file))
    assert picture is not None and picture.shape[1] == 1200
    assert picture.min() < 50 < 250 < picture.max()


def test_a_plot_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must have bars"):
        draw_bars(tmp_path / "empty.png", "nothing", [], "ms")
    with pytest.raises(ValueError, match="longer than 0"):
        draw_bars(tmp_path / "zero.png", "nothing", [Bar("a", 0.0, 0.0)], "ms")
    assert not list(tmp_path.iterdir())
