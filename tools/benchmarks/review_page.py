"""The review page over 100,000 sightings of eight cameras: how long each of its questions takes, over HTTP.

The archive is that of `python -m tools.benchmark archive`. Each question is asked many times of the application on a
port of this machine; the processor time is of asking and answering together.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import httpx
import numpy as np

from stream.archive.database import FILE
from stream.config import Settings
from stream.display.server import Server, address, listen
from stream.web.app import create_app
from stream.web.opening import open_office
from tools.benchmarks.archive import build
from tools.benchmarks.report import Report, add_arguments

TARGET_MS = 200.0
_CAMERAS, _A_DAY = 8, 500
_LIST = "/api/review/sightings?glimpses=false&"
_QUESTIONS = {
    "the page itself": "/review",
    "a day's timeline, all cameras": "/api/review/timeline",
    "sightings, newest first": _LIST,
    "sightings, the page in the middle": f"{_LIST}page={{middle}}",
    "sightings, the last page": f"{_LIST}page={{last}}",
    "sightings of a day": f"{_LIST}from_ms={{from_ms}}&to_ms={{to_ms}}",
    "sightings of a person": f"{_LIST}person=Person+7",
    "sightings, masked, of nobody enrolled": f"{_LIST}decision=nobody&mask=worn&mask=worn_wrongly",
    "sightings of one camera, masked": f"{_LIST}camera=camera-3&mask=worn",
    "sightings, of which there is none": f"{_LIST}decision=undecided",
    "one sighting": "/api/review/sightings/{sighting}",
    "its picture": "/api/review/sightings/{sighting}/look.image",
    "who looks like it, among all": "/api/review/sightings/{sighting}/like",
}


def measure(folder: Path, sightings: int, repeats: int) -> tuple[dict[str, list[tuple[float, float]]], float]:
    """(ms, processor ms) of each question, asked once before, and the seconds that building took."""
    settings = Settings.model_validate(
        {
            "recognition": {"gallery": str(folder / "gallery.sqlite3")},
            "recording": {"folder": str(folder / "recordings")},
            "accounts": {"sign_in": False, "store": str(folder / "accounts.sqlite3")},
        }
    )
    days = max(1, round(sightings / (_CAMERAS * _A_DAY)))
    there = (settings.recording.folder / FILE).exists()
    built_s = 0.0 if there else build(settings.recording.folder, days, _CAMERAS, _A_DAY)
    office, keeper = open_office(settings, folder)
    listener = listen("127.0.0.1", 0)
    server = Server(create_app(office, keeper), listener)
    server.start()
    times: dict[str, list[tuple[float, float]]] = {}
    try:
        with httpx.Client(base_url=address(listener), timeout=120, trust_env=False) as client:
            day = client.get("/api/review/timeline").json()
            found = client.get(_LIST).json()
            last = (found["total"] - 1) // found["size"]
            values = {
                "middle": last // 2,
                "last": last,
                "from_ms": day["from_ms"],
                "to_ms": day["to_ms"],
                "sighting": found["total"] // 2,
            }
            for question, path in _QUESTIONS.items():
                client.get(path.format(**values)).raise_for_status()
                for _ in range(repeats):
                    began, worked = time.perf_counter(), time.process_time()
                    client.get(path.format(**values)).raise_for_status()
                    taken = time.perf_counter() - began, time.process_time() - worked
                    times.setdefault(question, []).append((1000 * taken[0], 1000 * taken[1]))
    finally:
        server.close()
        listener.close()
        keeper.close()
        office.close()
    return times, built_s


def main() -> int:
    """Measure, print, save."""
    parser = argparse.ArgumentParser(prog="python -m tools.benchmark review_page", description=__doc__)
    parser.add_argument("--sightings", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument(
        "--folder", type=Path, help="build the archive here, or use the one that is; by default it is removed"
    )
    add_arguments(parser)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="unvizard-review-") as scratch:
        times, built_s = measure(given.folder or Path(scratch), given.sightings, given.repeats)
    report = Report(
        "review_page", f"{given.sightings} sightings, {_CAMERAS} cameras, built in {built_s:.0f} s"
    )
    met = True
    for question, taken in times.items():
        wall, processor = np.array(taken).T
        p50, p95 = np.percentile(wall, [50, 95])
        report.add(
            question=question,
            p50=float(p50),
            p95=float(p95),
            max=float(wall.max()),
            cpu=float(processor.mean()),
        )
        met &= bool(p95 <= TARGET_MS)
    report.finish(given)
    print(f"p95 of every question <= {TARGET_MS:g} ms: {'yes' if met else 'NO'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
