"""Two persons confirm a name: who said what is kept in the archive, sealed, and goes when the person is erased."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from offices import settings as make_settings
from reviewed import PERSON, fill_archive
from starlette.testclient import TestClient

from engines.recognition.audit import Action
from stream.archive.archive import Archive
from stream.config import Settings
from stream.web.office import Office

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
