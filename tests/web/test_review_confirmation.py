"""Two persons confirm a name: who said what is kept in the archive, sealed, and goes when the person is erased."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from offices import RunningServer, serious_findings
from offices import settings as make_settings
from reviewed import PERSON, fill_archive, other
from starlette.testclient import TestClient

from engines.recognition.audit import Action
from stream.archive.archive import Archive
from stream.config import Settings
from stream.web.office import Office
from tools.browser import Browser, until

Client = Callable[..., TestClient]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return make_settings(tmp_path, accounts={"two_persons": True})


@pytest.fixture
def path(settings: Settings, office: Office) -> str:
    """Of the sighting with a name."""
    return f"/api/review/sightings/{fill_archive(settings)}"


def _say(somebody: TestClient, path: str, said: str) -> str:
    answer = somebody.post(f"{path}/verdict", json={"said": said}).raise_for_status()
    return str(answer.json()["standing"]["state"])


def test_a_second_account_is_needed_and_an_account_counts_once(
    path: str, client: Client, settings: Settings
) -> None:
    anna, ben = client("reviewer"), client("reviewer")
    assert _say(anna, path, "confirmed") == _say(anna, path, "confirmed") == "waiting"
    assert _say(ben, path, "refused") == "disputed"
    assert _say(ben, path, "confirmed") == "confirmed"
    standing = client("administrator").get(path).json()["standing"]
    assert standing["needed"] == 2 and standing["own"] is None
    assert [(each["account"], each["said"]) for each in standing["verdicts"]] == [
        ("reviewer", "confirmed"),
        ("reviewer 2", "confirmed"),
    ]
    with Archive.open(settings.recording.folder) as archive:
        said = [
            entry for entry in archive.audit.entries() if entry.action in (Action.CONFIRMED, Action.REFUSED)
        ]
        assert [(entry.actor, entry.action) for entry in said] == [
            ("reviewer", "confirmed"),
            ("reviewer", "confirmed"),
            ("reviewer 2", "refused"),
            ("reviewer 2", "confirmed"),
        ]
        archive.audit.verify()


def test_a_name_that_changed_is_judged_anew(path: str, client: Client, settings: Settings) -> None:
    anna = client("reviewer")
    _say(anna, path, "confirmed")
    with Archive.open(settings.recording.folder, write=True) as archive:
        seen = archive.sighting(int(path.rsplit("/", 1)[1]))
        archive.put_sighting(msgspec.structs.replace(seen, person="Grace Hopper"))
    assert anna.get(path).json()["standing"]["state"] == "open"
    with Archive.open(settings.recording.folder, write=True) as archive:
        archive.put_sighting(seen)
    assert anna.get(path).json()["standing"]["state"] == "waiting", "it was said of this name"


def test_verdicts_are_sealed_and_go_with_the_person(path: str, client: Client, settings: Settings) -> None:
    anna = client("reviewer")
    anna.post(f"{path}/verdict", json={"said": "confirmed", "note": "I know the scar"}).raise_for_status()
    database = settings.recording.folder / "archive.sqlite3"
    with Archive.open(settings.recording.folder, write=True) as archive:
        archive.erase_person("Nobody Else")  # writes the journal into the file
        assert b"scar" not in database.read_bytes()
        archive.erase_person(PERSON)
    with sqlite3.connect(database) as plain:
        assert plain.execute("SELECT count(*) FROM verdicts").fetchone() == (0,)
    plain.close()


def test_an_archive_of_the_first_release_is_brought_up_to_date(
    path: str, client: Client, settings: Settings
) -> None:
    with sqlite3.connect(settings.recording.folder / "archive.sqlite3") as plain:
        plain.execute("DROP TABLE verdicts")
        plain.execute("DROP INDEX sightings_found")
        plain.execute("CREATE INDEX sightings_at ON sightings (first_ns)")
        plain.execute("PRAGMA user_version = 1")
    plain.close()
    anna = client("reviewer")
    assert anna.get(path).raise_for_status().json()["person"] == PERSON
    assert _say(anna, path, "confirmed") == "waiting"


def test_what_awaits_a_second_person_is_listed_with_who_proposed_it_the_longest_waiting_first(
    path: str, client: Client, settings: Settings, office: Office
) -> None:
    anna, ben = client("reviewer"), client("reviewer")
    yard = client("reviewer", ("yard",))
    others = anna.get("/api/review/sightings?person=Grace Hopper").json()["sightings"]
    first, second = (f"/api/review/sightings/{each['id']}" for each in others[:2])
    empty = anna.get("/api/review/awaiting").json()
    assert (empty["total"], empty["needed"], empty["sightings"]) == (0, 2, [])
    anna.post(f"{first}/verdict", json={"said": "confirmed", "note": "by the hat"}).raise_for_status()
    _say(ben, path, "confirmed")
    _say(ben, second, "refused")  # nothing to be confirmed any more
    told = anna.get("/api/review/awaiting").json()
    assert (told["total"], told["yours"]) == (2, 1)
    assert [f"/api/review/sightings/{each['id']}" for each in told["sightings"]] == [first, path]
    grace, mine = told["sightings"]
    assert (grace["person"], grace["confirmation"]) == ("Grace Hopper", "waiting")
    assert (grace["proposed"]["account"], grace["proposed"]["note"]) == ("reviewer", "by the hat")
    assert grace["proposed"]["yours"] and not mine["proposed"]["yours"]
    assert mine["proposed"]["account"] == "reviewer 2" and mine["proposed"]["when"]
    pages = [anna.get(f"/api/review/awaiting?size=1&page={n}").json()["sightings"] for n in range(3)]
    assert [[each["id"] for each in page] for page in pages] == [[grace["id"]], [mine["id"]], []]
    numbers = anna.get("/api/review/awaiting?size=0").json()
    assert (numbers["total"], numbers["sightings"]) == (2, [])
    limited = yard.get("/api/review/awaiting").json()
    assert [each["id"] for each in limited["sightings"]] == [grace["id"]] and limited["total"] == 1
    _say(ben, first, "confirmed")
    assert [e["id"] for e in anna.get("/api/review/awaiting").json()["sightings"]] == [mine["id"]]
    # A name that changed was not proposed by anybody, and one that is erased waits no more.
    with Archive.open(settings.recording.folder, write=True) as archive:
        seen = archive.sighting(mine["id"])
        archive.put_sighting(msgspec.structs.replace(seen, person="Grace Hopper"))
        assert archive.waiting(2, archive.cameras()) == {}
        archive.put_sighting(seen)
        assert list(archive.waiting(2, archive.cameras())) == [mine["id"]]
        archive.erase_person(PERSON)
        assert archive.waiting(2, archive.cameras()) == {}


def test_where_one_person_is_enough_nothing_waits(client: Client, path: str) -> None:
    anna = client("reviewer")
    _say(anna, path, "confirmed")
    assert anna.get("/api/review/awaiting").json()["total"] == 1
    settings = anna.app.state.office.settings  # type: ignore[attr-defined]
    object.__setattr__(settings.accounts, "two_persons", False)
    told = anna.get("/api/review/awaiting").json()
    assert (told["needed"], told["total"]) == (1, 0)


def test_one_click_leads_to_what_awaits_a_second_person_and_confirming_it_takes_it_off(
    path: str, client: Client, settings: Settings, server: RunningServer, browser: Browser, artefacts: Path
) -> None:
    with Archive.open(settings.recording.folder, write=True) as archive:
        older = archive.put_sighting(other(0, track=999, first_ns=10**18, last_ns=10**18 + 10**9))
    anna = client("reviewer")
    _say(anna, path, "confirmed")
    _say(anna, f"/api/review/sightings/{older}", "confirmed")
    page = server.open(browser, "/review", "reviewer", width=1280, height=900)

    def wait(script: str) -> None:
        until(lambda: page.evaluate(f"Boolean({script})"), script, 30)

    wait("document.querySelector('#awaiting .count').textContent === '2'")
    page.click("#awaiting")
    wait("document.querySelectorAll('#cards a').length === 2")
    assert page.evaluate("document.getElementById('found-title').textContent") == (
        "2 sightings awaiting a second person"
    )
    assert "proposed by reviewer, 20" in page.evaluate("document.querySelector('#cards a').textContent")
    assert page.evaluate("document.getElementById('awaiting').getAttribute('aria-pressed')") == "true"
    assert serious_findings(page) == []
    page.screenshot(artefacts / "pages" / "review-awaiting.png")
    page.click("#cards a")
    wait("document.querySelector('.confirmation button')")
    page.evaluate("document.querySelector('.confirmation button').click()")
    wait("document.querySelectorAll('#cards a').length === 1")
    wait("document.querySelector('#awaiting .count').textContent === '1'")
    page.evaluate("scrollTo(0, 0)")
    page.click("#awaiting")  # back to the day
    wait("document.getElementById('awaiting').getAttribute('aria-pressed') === 'false'")
    wait("document.querySelectorAll('#cards a').length > 1")
    page.send("Page.navigate", url=f"{server.url}review?awaiting=true")  # a link leads there too
    wait("document.querySelectorAll('#cards a').length === 1")
    assert page.problems == []
    page.close()
