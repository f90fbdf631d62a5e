"""Live cameras from end to end on this machine: how many frames are shown, how late, and what it costs.

The demo clip (1280 x 720, 25 fps, 2-5 faces) is served over RTSP by a process of its own, and someone watches the
live page. Measured one after the other: the plain way (tools/benchmarks/plain.py), one camera, four cameras.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from stream.config import parse
from stream.run_directory import RunDirectory
from stream.supervisor import Run, Supervisor
from tools.benchmarks.report import machine
from tools.benchmarks.viewer import Viewer
from tools.demo.clip import cached_clip
from tools.demo.enrolled import enrol


@contextmanager
def cameras(clip: Path, count: int) -> Iterator[list[str]]:
    """A clip served as `count` RTSP cameras by a process of its own; gives their addresses."""
    mounts = [word for n in range(count) for word in ("--mount", f"/street{n}={clip}")]
    server = subprocess.Popen(
        [sys.executable, "-m", "tools.rtsp_server", "--port", "0", *mounts], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        yield [server.stdout.readline().strip() for _ in range(count)]
    finally:
        server.terminate()
        server.wait()


def watched(
    urls: list[str],
    seconds: float,
    gallery: Path,
    width: int,
    more: dict[str, Any] | None = None,
    recorded: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Run the pipeline on some cameras, with someone watching; its report, and what was measured beside it.

    more: other settings. recorded: cameras that are recorded all the time.
    """
    named = [{"name": f"street{n}", "url": url} for n, url in enumerate(urls)]
    for camera in named:
        if camera["name"] in recorded:
            camera["recording"] = "continuous"
    given = {
        "cameras": named,
        "display": {"port": 0},
        "accounts": {"sign_in": False, "store": str(gallery.with_name("accounts.sqlite3"))},
        "recognition": {"gallery": str(gallery)},
    }
    settings = parse({**given, **(more or {})}, "benchmark")
    viewer: list[Viewer] = []
    names = [camera["name"] for camera in named]

    def listen(stage: str, event: dict[str, Any]) -> None:
        if event["event"] == "ready" and not viewer:
            viewer.append(Viewer(event["url"], names, width))

    with tempfile.TemporaryDirectory() as scratch, RunDirectory() as directory:
        report = Path(scratch) / "report.json"
        supervisor = Supervisor(Run(settings, report=report), directory, listen)
        began = time.monotonic()
        supervisor.start()
        busy = {}
        try:
            while time.monotonic() - began < seconds:
                supervisor.watch()
                time.sleep(0.1)
            busy = {name: _cpu_s(supervisor.pid(name)) for name in supervisor.names}
        finally:
            if viewer:
                viewer[0].close()
            clean = supervisor.stop()
        result: dict[str, Any] = json.loads(report.read_text())
    first = viewer[0].first_picture_s if viewer else None
    result["benchmark"] = {
        "start_to_first_picture_s": None if first is None else round(first - began, 2),
        "pictures_received": dict(viewer[0].pictures) if viewer else {},
        "cores_used": {name: round(spent / seconds, 3) for name, spent in busy.items() if spent is not None},
        "stopped_cleanly": clean,
        "restarts": {name: supervisor.restarts(name) for name in supervisor.names},
    }
    return result


def summary(result: dict[str, Any]) -> dict[str, Any]:
    """The figures that the targets are about."""
    cameras_ = result["cameras"]
    balanced = all(
        c["frames"]["captured"] == c["frames"]["shown"] + sum(c["frames"]["skipped"].values())
        for c in cameras_.values()
    )
    worst = {
        q: max(c["latency_ms"]["capture_to_overlay"][q] for c in cameras_.values())
        for q in ("p50", "p95", "p99", "max")
    }
    shown = {name: round(c["frames"]["shown"] / result["seconds"], 2) for name, c in cameras_.items()}
    return {
        "seconds": result["seconds"],
        "shown_per_second": shown,
        "capture_to_overlay_ms": worst,
        "skipped": {name: c["frames"]["skipped"] for name, c in cameras_.items()},
        "captured_equals_shown_plus_skipped": balanced,
        **result["benchmark"],
    }


def main() -> int:
    """Measure, print, save."""
    parser = argparse.ArgumentParser(prog="python -m tools.benchmark pipeline", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="how long to watch one camera")
    parser.add_argument(
        "--four-seconds", type=float, default=600, help="how long to watch four; 0 leaves it out"
    )
    parser.add_argument(
        "--plain-seconds", type=float, default=30, help="how long the plain way; 0 leaves it out"
    )
    parser.add_argument("--json", type=Path, help="save all figures here")
    given = parser.parse_args()
    clip = cached_clip()
    figures: dict[str, Any] = {"machine": machine()}
    with tempfile.TemporaryDirectory() as scratch, cameras(clip, 4) as urls:
        gallery = Path(scratch) / "gallery.sqlite3"
        enrol(parse({"recognition": {"gallery": str(gallery)}}, "benchmark"))
        full: dict[str, Any] = {}
        if given.plain_seconds:
            figures["plain"] = _plain(urls[0], given.plain_seconds)
            _show("plain way, one camera", figures["plain"])
        for title, count, seconds, width in (
            ("one camera", 1, given.seconds, 1280),
            ("four cameras", 4, given.four_seconds, 640),
        ):
            if seconds:
                full[title] = watched(urls[:count], seconds, gallery, width)
                figures[title] = summary(full[title])
                _show(title, figures[title])
    if "plain" in figures and "one camera" in figures:
        mine = figures["one camera"]["shown_per_second"]["street0"]
        figures["frames_shown_against_plain"] = round(mine / figures["plain"]["frames_per_second"], 2)
        print(f"frames shown, against the plain way: x {figures['frames_shown_against_plain']}")
    if given.json:
        given.json.write_text(json.dumps({**figures, "reports": full}, indent=1))
    return 0


def _plain(url: str, seconds: float) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tools.benchmarks.plain", url, "--seconds", str(seconds)],
        stdout=subprocess.PIPE,
        env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"},
        check=True,
    )
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def _cpu_s(pid: int | None) -> float | None:
    if pid is None:
        return None
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def _show(title: str, figures: dict[str, Any]) -> None:
    print(f"\n{title}")
    for key, value in figures.items():
        print(f"  {key:38} {json.dumps(value)}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
