"""Evidence bundles and clips: made in the background, with progress, cancelled, fetched by whom they are for."""

from __future__ import annotations

import json
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import pytest
from offices import settings as make_settings
from reviewed import CAMERA, MS, PERSON, fill_archive, wall_ns
from starlette.testclient import TestClient

from stream.config import Settings
from stream.evidence.verification import verify_bundle
from stream.web.account import Account, Role
from stream.web.jobs import Jobs, Progress, TooManyJobs
from stream.web.journal import Filter
from stream.web.office import Office
from tools.browser import until

Client = Callable[..., TestClient]
FILES = "/api/review/files"
ANNA, BEN = Account("anna", Role.REVIEWER), Account("ben", Role.REVIEWER)
RULER = Account("carla", Role.ADMINISTRATOR)
FROM, TO = wall_ns(0) // MS, -(-wall_ns(60) // MS)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return make_settings(tmp_path, accounts={"two_persons": True})


@pytest.fixture
def sighting(settings: Settings, office: Office) -> int:
    return fill_archive(settings)


@pytest.fixture
def jobs() -> Iterator[Jobs]:
    with closing(Jobs()) as made:
        yield made


def _finished(somebody: TestClient, started: dict[str, Any]) -> dict[str, Any]:
    def found() -> dict[str, Any] | None:
        files = somebody.get(FILES).raise_for_status().json()
        (file,) = [each for each in files if each["id"] == started["id"]]
        return file if file["state"] in ("done", "failed", "cancelled") else None

    return dict(until(found, "the file", 30))


def test_a_bundle_is_made_fetched_and_genuine(
    sighting: int, client: Client, office: Office, tmp_path: Path
) -> None:
    somebody = client("reviewer")
    somebody.post(
        f"/api/review/sightings/{sighting}/verdict", json={"said": "confirmed", "note": "by the gait"}
    ).raise_for_status()
    wanted = {"sighting": sighting, "reason": "request 2026-118", "before_s": 0.2, "after_s": 0.2}
    started = somebody.post("/api/review/bundles", json=wanted)
    assert started.status_code == 202
    file = _finished(somebody, started.json())
    assert file["state"] == "done" and file["share"] == 1, file
    answer = somebody.get(f"{FILES}/{file['id']}").raise_for_status()
    assert 'filename="sighting-1.zip"' in answer.headers["content-disposition"]
    out = tmp_path / "bundle.zip"
    out.write_bytes(answer.content)
    assert verify_bundle(out).unaltered
    with zipfile.ZipFile(BytesIO(answer.content)) as bundle:
        annotation = json.loads(bundle.read("annotation.json"))
        custody = json.loads(bundle.read("custody.json"))
        report = bundle.read("report.html").decode()
    assert (
        annotation["confirmation"]["state"] == "waiting" and annotation["confirmation"]["people_needed"] == 2
    )
    (verdict,) = annotation["confirmation"]["verdicts"]
    assert (verdict["account"], verdict["said"], verdict["note"]) == ("reviewer", "confirmed", "by the gait")
    assert custody["exported_by"] == custody["account"] == "reviewer"
    assert "Name confirmed by people" in report and "not yet; 2 people have to confirm it here" in report
    verbs = [entry.action for entry in office.journal.entries(Filter(actor="reviewer"))]
    assert verbs == ["fetched", "bundled", "confirmed"]


def test_a_bundle_needs_a_reason_and_a_sighting(sighting: int, client: Client) -> None:
    somebody = client("reviewer")
    for body, status in (
        ({"sighting": sighting, "reason": "  "}, 422),
        ({"sighting": sighting}, 422),
        ({"sighting": 999, "reason": "why"}, 404),
        ({"sighting": sighting, "reason": "why", "before_s": 4000}, 422),
    ):
        assert somebody.post("/api/review/bundles", json=body).status_code == status


@pytest.mark.parametrize("style", ["blur-others", "names", "plain"])
def test_a_clip_is_made_in_each_style(sighting: int, client: Client, style: str) -> None:
    somebody = client("reviewer")
    wanted = {"camera": CAMERA, "from_ms": FROM, "to_ms": TO, "style": style}
    file = _finished(somebody, somebody.post("/api/review/clips", json=wanted).raise_for_status().json())
    assert file["state"] == "done" and "60 pictures" in file["sentence"], file
    content = somebody.get(f"{FILES}/{file['id']}").raise_for_status().content
    with av.open(BytesIO(content)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 60


def test_a_clip_of_nothing_is_refused_at_once(sighting: int, client: Client) -> None:
    somebody = client("reviewer")
    for changed, status in (
        ({"from_ms": FROM - 90_000, "to_ms": FROM - 80_000}, 404),
        ({"to_ms": FROM}, 422),
        ({"camera": "cellar"}, 404),
        ({"style": "sharpen"}, 422),
    ):
        body = {"camera": CAMERA, "from_ms": FROM, "to_ms": TO} | changed
        assert somebody.post("/api/review/clips", json=body).status_code == status


def test_files_are_their_owners_and_an_administrators(sighting: int, client: Client) -> None:
    anna, ben, ruler = client("reviewer"), client("reviewer"), client("administrator")
    wanted = {"sighting": sighting, "reason": "why"}
    file = _finished(anna, anna.post("/api/review/bundles", json=wanted).json())
    path = f"{FILES}/{file['id']}"
    assert ben.get(FILES).json() == [] and ben.get(path).status_code == ben.delete(path).status_code == 404
    assert ruler.get(FILES).json()[0]["for"] == "reviewer" and ruler.get(path).status_code == 200
    assert anna.delete(path).status_code == 200
    assert anna.get(path).status_code == 404 and anna.get(FILES).json() == []


def test_a_file_that_cannot_be_made_says_why(sighting: int, settings: Settings, client: Client) -> None:
    somebody = client("reviewer")
    settings.signing.key.write_bytes(b"no key")
    file = _finished(
        somebody, somebody.post("/api/review/bundles", json={"sighting": sighting, "reason": "why"}).json()
    )
    assert file["state"] == "failed" and str(settings.signing.key) in file["sentence"]
    assert somebody.get(f"{FILES}/{file['id']}").status_code == 409
    assert PERSON not in file["title"]


def test_what_is_being_made_can_be_cancelled_and_leaves_nothing(jobs: Jobs) -> None:
    begun, places = threading.Event(), list[Path]()

    def endless(path: Path, progress: Progress) -> str:
        places.append(path)
        path.write_bytes(b"part")
        begun.set()
        while True:
            progress(0.25)
            time.sleep(0.001)

    job = jobs.start(ANNA, "first", "a.bin", endless)
    waiting = jobs.start(ANNA, "second", "b.bin", endless)
    assert begun.wait(30)
    until(lambda: job.share == 0.25, "progress", 30)
    jobs.cancel(waiting)
    jobs.cancel(job)
    until(lambda: job.state == "cancelled", "the end", 30)
    assert waiting.state == "cancelled" and len(places) == 1
    assert list(places[0].parent.iterdir()) == []
    jobs.cancel(job)
    assert jobs.get(ANNA, job.id) is None, "one that is over is forgotten"


def test_a_failure_does_not_stop_the_next_and_files_go_after_their_time(jobs: Jobs) -> None:
    def fails(path: Path, progress: Progress) -> str:
        raise KeyError("odd")

    def works(path: Path, progress: Progress) -> str:
        path.write_bytes(b"whole")
        return "well"

    bad, good = jobs.start(ANNA, "bad", "a.bin", fails), jobs.start(BEN, "good", "b.bin", works)
    until(lambda: good.state == "done", "the second", 30)
    assert bad.state == "failed" and good.path and good.path.read_bytes() == b"whole" and good.size == 5
    assert good.path.stat().st_mode & 0o077 == 0 or good.path.parent.stat().st_mode & 0o077 == 0
    assert [job.title for job in jobs.of(ANNA)] == ["bad"]
    assert [job.title for job in jobs.of(RULER)] == ["good", "bad"]
    good.ended -= 3601
    assert jobs.get(BEN, good.id) is None and not good.path.exists()


def test_too_many_files_are_refused_and_the_end_deletes_all() -> None:
    go = threading.Event()

    def waits(path: Path, progress: Progress) -> str:
        path.write_bytes(b"")
        while not go.is_set():
            progress(0.0)
            time.sleep(0.001)
        return ""

    with closing(Jobs()) as jobs:
        first = jobs.start(ANNA, "1", "a.bin", waits)
        for number in range(15):
            jobs.start(ANNA, str(number), "a.bin", waits)
        with pytest.raises(TooManyJobs, match="16 files"):
            jobs.start(BEN, "one more", "a.bin", waits)
        until(lambda: first.state == "working", "the first", 30)
    assert first.state == "cancelled"
