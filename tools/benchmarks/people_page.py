"""The people page with 10,000 people enrolled: how long each of its questions takes, over HTTP, as a browser asks.

The gallery is built with its own methods. Two templates a person, one of them with its picture. Then each question is
asked many times of the application on a port of this machine.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np

from engines.recognition.embedder import unit
from engines.recognition.enrolled import Template
from engines.recognition.evidence import VIEWS
from engines.recognition.gallery import Gallery
from stream.config import Settings
from stream.display.server import Server, address, listen
from stream.web.app import create_app
from stream.web.looking import Looked, PlainTemplate
from stream.web.opening import open_office
from tools.benchmarks.report import Report, add_arguments

TARGET_MS = 200.0
_SPACE, _TWIN = "benchmark", "benchmark twin"
_FIRST, _LAST = ("Anna", "Ben", "Chiara", "Dmitri", "Élodie", "Fatima"), ("Müller", "Novák", "Okafor", "Sato")


def build(path: Path, people: int) -> float:
    """Make the gallery; how many seconds it took."""
    began = time.perf_counter()
    with Gallery(path) as gallery:
        gallery._connection.execute("PRAGMA synchronous = OFF")  # it is thrown away
        for number in range(people):
            for template in (_template(2 * number, True), _template(2 * number + 1, False)):
                gallery.add(_name(number), template, "benchmark", "benchmark")
    return time.perf_counter() - began


def measure(folder: Path, people: int, repeats: int) -> tuple[dict[str, list[tuple[float, float]]], float]:
    """Milliseconds of each question, by the clock and of processor time, and the seconds that building took."""
    settings = Settings.model_validate(
        {
            "recognition": {"gallery": str(folder / "gallery.sqlite3")},
            "recording": {"folder": str(folder / "recordings")},
            "accounts": {"sign_in": False, "store": str(folder / "accounts.sqlite3")},
        }
    )
    built_s = build(settings.recognition.gallery, people)
    office, keeper = open_office(settings, folder)
    listener = listen("127.0.0.1", 0)
    server = Server(create_app(office, keeper), listener)
    server.start()
    times: dict[str, list[tuple[float, float]]] = {}
    random = np.random.default_rng(1)
    try:
        with httpx.Client(
            base_url=address(listener), headers={"x-unvizard": "page"}, timeout=120, trust_env=False
        ) as client:

            def ask(
                what: str, question: Callable[[], httpx.Response], asked: int = repeats, before: Any = None
            ) -> None:
                for _ in range(asked):
                    if before:
                        before()
                    began, worked = time.perf_counter(), time.process_time()
                    question().raise_for_status()
                    taken = time.perf_counter() - began, time.process_time() - worked
                    times.setdefault(what, []).append((1000 * taken[0], 1000 * taken[1]))

            def page(**query: Any) -> httpx.Response:
                return client.get("/api/people", params=query)

            began, worked = time.perf_counter(), time.process_time()
            office.people.roster.read_ahead()
            taken = time.perf_counter() - began, time.process_time() - worked
            times["reading ahead, while the process starts"] = [(1000 * taken[0], 1000 * taken[1])]
            ask("the first page of a process", page, 1)
            ask("a page by name", lambda: page(page=int(random.integers(people // 60 + 1))))
            ask("a page, newest first", lambda: page(sort="newest"))
            ask("a search by part of a name", lambda: page(text=str(random.choice(_LAST))[:4]))
            found = client.get("/api/people").json()["people"]

            def rename() -> None:
                with office.people.roster.gallery() as gallery:
                    person = found[0]["id"]
                    gallery.rename(person, f"Renamed {random.integers(10**9)}", "benchmark")

            ask("a page after a change of the gallery", page, before=rename)
            ask("one person", lambda: client.get(f"/api/people/{_any(random, found)['id']}"))
            ask("one face", lambda: client.get(f"/api/people/{_any(random, found)['id']}/face"))
            account = keeper.account(None)  # type: ignore[arg-type]
            assert account is not None
            looked = Looked(1, 1, (), PlainTemplate.of(_template(10**6, True)), "", b"")
            wanted = {"pictures": [office.people.tray.put(account, "x", looked).token], "name": "Somebody"}
            ask("advice, the first of a process", lambda: client.post("/api/people/advice", json=wanted), 1)
            ask("advice on a picture", lambda: client.post("/api/people/advice", json=wanted))
    finally:
        server.close()
        listener.close()
        keeper.close()
        office.close()
    return times, built_s


def main() -> int:
    """Measure, print, save."""
    parser = argparse.ArgumentParser(prog="python -m tools.benchmark people_page", description=__doc__)
    parser.add_argument("--people", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=30)
    add_arguments(parser)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="unvizard-people-") as folder:
        times, built_s = measure(Path(folder), given.people, given.repeats)
    report = Report(
        "people_page", f"{given.people} people, {2 * given.people} templates, built in {built_s:.0f} s"
    )
    for question, taken in times.items():
        wall, cpu = np.array(taken).T
        p50, p95 = np.percentile(wall, [50, 95])
        report.add(
            question=question,
            p50=float(p50),
            p95=float(p95),
            max=float(wall.max()),
            cpu=float(np.median(cpu)),
        )
    report.finish(given)
    pages = [q for q in times if q.startswith(("a page", "a search", "the first page"))]
    met = all(float(np.percentile([wall for wall, _ in times[q]], 95)) <= TARGET_MS for q in pages)
    print(f"p95 of every page <= {TARGET_MS:g} ms: {'yes' if met else 'NO'}")
    return 0


def _name(number: int) -> str:
    first = _FIRST[number % len(_FIRST)]
    return f"{first} {_LAST[number // len(_FIRST) % len(_LAST)]} {number}"


def _template(number: int, picture: bool) -> Template:
    random = np.random.default_rng(number)
    vectors = unit(random.normal(size=(len(VIEWS), 128)))
    kept = b""
    if picture:
        small = random.integers(0, 255, (56, 56, 3), np.uint8)
        kept = cv2.imencode(".png", cv2.resize(small, (224, 224), interpolation=cv2.INTER_CUBIC))[1].tobytes()
    digest = number.to_bytes(32, "big")
    return Template(dict(zip(VIEWS, vectors, strict=True)), _SPACE, 0.9, digest, _TWIN, kept)


def _any(random: np.random.Generator, found: list[dict[str, Any]]) -> dict[str, Any]:
    return found[int(random.integers(len(found)))]


if __name__ == "__main__":
    sys.exit(main())
