"""What recording costs, and what the live view notices of it.

First four 1920 x 1080 cameras at 25 pictures and some 4 Mbit a second are recorded: their real packets go through the
bus to the real recorder at the cameras' pace, and the time that both ends spend is counted. Then the live pipeline
runs on two cameras, by turns without recording and with one of them recorded, so that what else happens on the
machine meets all alike.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import psutil

from stream.bus import RESULTS, Inbox
from stream.capture.source import Facts, Unit
from stream.capture.tap import Tap
from stream.capture.units import Units
from stream.config import Settings, parse
from stream.messages import RecorderStatus
from stream.run_directory import RunDirectory
from tools.benchmarks.pipeline import cameras, watched
from tools.benchmarks.report import machine
from tools.demo.clip import cached_clip
from tools.demo.enrolled import enrol

_CAMERAS = 4
_RATE = 25
_BIT_RATE = 4_000_000
_WARM_UP_S = 5.0
_LAST_WORDS_MS = 2000


def recorded(seconds: float, scratch: Path) -> dict[str, Any]:
    """Record four cameras for some time; the cost in cores, and what came to the disk."""
    units = _units(_large(cached_clip(), scratch / "large.mp4", frames=250))
    names = [f"street{number}" for number in range(_CAMERAS)]
    settings = _settings(scratch / "footage", names)
    with RunDirectory() as directory:
        results = Inbox(directory, RESULTS)
        recorder = _recorder(settings, directory)
        taps = [Tap(directory, name) for name in names]
        for tap in taps:
            tap.pictured(0, 1920, 1080)
        _send(taps, units, 0, int(_WARM_UP_S * _RATE))
        began, busy = time.monotonic(), _busy_s(recorder)
        spent_s = _send(taps, units, int(_WARM_UP_S * _RATE), int((_WARM_UP_S + seconds) * _RATE))
        passed, cost = time.monotonic() - began, _busy_s(recorder) - busy
        for tap in taps:
            tap.close()
        assert recorder.stdin is not None
        recorder.stdin.write(b"stop\n")
        recorder.stdin.close()
        recorder.wait()
        states = [m for m in results.drain(_LAST_WORDS_MS) if isinstance(m, RecorderStatus)]
        results.close()
    last = states[-1].cameras
    sent = int((_WARM_UP_S + seconds) * _RATE)
    return {
        "cameras": f"{_CAMERAS} x 1920 x 1080 x {_RATE}/s",
        "seconds": round(passed, 1),
        "megabytes_per_second": round(sum(c.bytes for c in last.values()) / 1e6 / (passed + _WARM_UP_S), 2),
        "cores_recorder": round(cost / passed, 4),
        "cores_all_captures": round(spent_s / passed, 4),
        "cores": round((cost + spent_s) / passed, 4),
        "frames_recorded_of_sent": [f"{camera.frames}/{sent}" for camera in last.values()],
        "dropped": [camera.dropped for camera in last.values()],
    }


def live(rounds: int, seconds: float, scratch: Path) -> dict[str, Any]:
    """The live view's latency of two cameras: in runs without recording, and in runs where one of them is recorded.

    Faces are looked for half as often as usual, so that a small machine has time to spare: what waits for a busy
    processor tells nothing of recording.
    """
    gallery = scratch / "gallery.sqlite3"
    enrol(parse({"recognition": {"gallery": str(gallery)}}, "benchmark"))
    more = {
        "recording": {"folder": str(scratch / "live"), "keep_free_gb": 0},
        "detection": {"min_face": 60, "every_ms": 480},
    }
    found: dict[str, list[dict[str, float]]] = {"no recording": [], "not recorded": [], "recorded": []}
    with cameras(cached_clip(), 2) as urls:
        for number in range(rounds):
            for recorded in ((), (f"street{number % 2}",)):
                report = watched(urls, seconds, gallery, 640, more, recorded)
                for name, camera in report["cameras"].items():
                    kind = "recorded" if name in recorded else "not recorded" if recorded else "no recording"
                    found[kind].append(camera["latency_ms"]["capture_to_overlay"])
                    print(f"  {kind:14} {json.dumps(found[kind][-1])}", flush=True)
    return {
        kind: {q: round(statistics.median(each[q] for each in of_kind), 2) for q in ("p50", "p95", "p99")}
        for kind, of_kind in found.items()
    }


def main() -> int:
    """Measure, print, save."""
    parser = argparse.ArgumentParser(prog="python -m tools.benchmark recording", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="how long four cameras are recorded")
    parser.add_argument(
        "--rounds", type=int, default=3, help="runs without and with recording; 0 leaves them out"
    )
    parser.add_argument("--live-seconds", type=float, default=40, help="how long each of them takes")
    parser.add_argument("--folder", type=Path, help="where to record; by default where temporary files go")
    parser.add_argument("--json", type=Path, help="save all figures here")
    given = parser.parse_args()
    figures: dict[str, Any] = {"machine": machine()}
    with tempfile.TemporaryDirectory(dir=given.folder) as place:
        scratch = Path(place)
        figures["recorded"] = recorded(given.seconds, scratch)
        for key, value in figures["recorded"].items():
            print(f"  {key:26} {json.dumps(value)}", flush=True)
        if given.rounds:
            figures["live_latency_ms"] = live(given.rounds, given.live_seconds, scratch)
            for kind, latency in figures["live_latency_ms"].items():
                print(f"{kind:14} {json.dumps(latency)}")
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1))
    return 0


def _settings(folder: Path, names: list[str]) -> Settings:
    return parse(
        {
            "cameras": [{"name": name, "url": "rtsp://camera/1"} for name in names],
            "recording": {"mode": "continuous", "folder": str(folder), "keep_free_gb": 0},
        },
        "benchmark",
    )


def _large(clip: Path, target: Path, frames: int) -> Path:
    """A clip as a camera of today would send it: larger, a key picture every two seconds."""
    with av.open(str(clip)) as old, av.open(str(target), "w") as new:
        stream = new.add_stream("libx264", rate=_RATE)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 1920, 1080, "yuv420p", 2 * _RATE
        stream.bit_rate = _BIT_RATE
        stream.options = {
            "preset": "ultrafast",
            "tune": "zerolatency",
            "x264-params": "scenecut=0:nal-hrd=cbr",
        }
        stream.codec_context.options = {"maxrate": str(_BIT_RATE), "bufsize": str(_BIT_RATE)}
        for number, frame in zip(range(frames), old.decode(video=0), strict=False):
            picture = frame.reformat(1920, 1080, "yuv420p")
            picture.pts, picture.time_base = number, Fraction(1, _RATE)
            new.mux(stream.encode(picture))
        new.mux(stream.encode())
    return target


class _Kept:
    """Keeps units."""

    def __init__(self) -> None:
        self.units: list[Unit] = []

    def take(self, unit: Unit) -> None:
        self.units.append(unit)

    def lose(self, reason: str) -> None:
        raise AssertionError(reason)

    def break_off(self, reason: str) -> None:
        raise AssertionError(reason)


def _units(clip: Path) -> list[Unit]:
    kept = _Kept()
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        units = Units(stream, kept, Facts("av"))
        for number, packet in enumerate(container.demux(stream)):
            units.read(packet, 0)
            units.shown(packet.pts, number * 1_000_000_000 // _RATE, 0)
    return kept.units


def _recorder(settings: Settings, directory: Path) -> subprocess.Popen[bytes]:
    job = {
        "kind": "recorder",
        "name": "recorder",
        "directory": str(directory),
        "settings": settings.model_dump(mode="json"),
    }
    recorder = subprocess.Popen([sys.executable, "-m", "stream.stage"], stdin=subprocess.PIPE)
    assert recorder.stdin is not None
    recorder.stdin.write(json.dumps(job).encode() + b"\n")
    recorder.stdin.flush()
    return recorder


def _send(taps: list[Tap], units: list[Unit], first: int, end: int) -> float:
    """Send pictures first to end of each camera when they are due; seconds of processor time that this process took."""
    began = time.monotonic() - first / _RATE
    before = time.process_time()
    for number in range(first, end):
        time.sleep(max(0.0, began + number / _RATE - time.monotonic()))
        unit = units[number % len(units)]
        media_ns = number * 1_000_000_000 // _RATE
        now_ns, wall_ns = time.monotonic_ns(), time.time_ns()
        for tap in taps:
            tap.take(
                Unit("h264", unit.parameter_sets, unit.data, unit.key, media_ns, wall_ns, "here", now_ns)
            )
    return time.process_time() - before


def _busy_s(process: subprocess.Popen[bytes]) -> float:
    times = psutil.Process(process.pid).cpu_times()
    return float(times.user + times.system)


if __name__ == "__main__":
    sys.exit(main())
