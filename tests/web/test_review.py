"""The routes of the review page over a real archive with real footage."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import pytest
from reviewed import CAMERA, EPOCH, MS, PERSON, decoded, fill_archive, other, wall_ns
from starlette.testclient import TestClient

from engines.recognition.audit import Action
from engines.unmasking.mark import CAPTION, is_reconstruction
from stream.archive.archive import Archive
from stream.archive.verdicts import Said, Verdict, standing
from stream.config import Settings
from stream.messages import Candidate
from stream.web.journal import Filter
from stream.web.office import Office

Client = Callable[..., TestClient]
SIGHTINGS = "/api/review/sightings"
FROM, TO = wall_ns(0) // MS, -(-wall_ns(60) // MS)
PLAYBACK = f"/api/review/cameras/{CAMERA}/playback?from_ms={FROM}&to_ms={TO}"


@pytest.fixture
def sighting(settings: Settings, office: Office) -> int:
    """The one with everything, in the office's archive."""
    return fill_archive(settings)


def _logged(settings: Settings, action: Action) -> list[str]:
    with Archive.open(settings.recording.folder) as archive:
        return [entry.detail for entry in archive.audit.entries() if entry.action == action]


def test_the_timeline_shows_when_faces_came_and_where_there_is_footage(sighting: int, client: Client) -> None:
    found = client("reviewer").get("/api/review/timeline").raise_for_status().json()
    assert found["day"] == datetime.fromtimestamp(wall_ns(0) / 1e9).date().isoformat() == found["newest"]
    door, yard = found["cameras"]
    assert (door["name"], yard["name"]) == (CAMERA, "yard")
    assert sum(door["counts"]["person"]) == 1 and sum(yard["counts"]["person"]) == 10
    assert sum(yard["counts"]["nobody"]) == 20 and sum(yard["counts"]["masked"]) == 15
    (first, last), *more = door["recorded"]
    assert not more and first == FROM and TO - 100 < last <= TO, "two segments that adjoin are one stretch"
    assert yard["recorded"] == []
    place = (FROM - found["from_ms"]) // found["bin_ms"]
    assert door["counts"]["person"][place] == 1


def test_a_day_without_anything_is_empty_and_an_impossible_one_is_refused(
    sighting: int, client: Client
) -> None:
    somebody = client("reviewer")
    assert not any(
        any(camera["counts"]["nobody"]) or camera["recorded"]
        for camera in somebody.get("/api/review/timeline?day=2020-02-29").json()["cameras"]
    )
    assert somebody.get("/api/review/timeline?day=9999-12-31").status_code == 422


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("", 31),
        ("camera=yard", 30),
        (f"camera={CAMERA}", 1),
        ("person=grace%20%20HOPPER", 10),
        ("decision=nobody", 20),
        ("decision=person", 11),
        ("mask=worn", 16),
        ("mask=worn&mask=none&camera=yard", 30),
        ("mask=worn_wrongly", 0),
        (f"from_ms={FROM}&to_ms={TO}", 2),
        ("person=Nobody+Known", 0),
    ],
)
def test_sightings_are_found_by_every_demand(sighting: int, client: Client, query: str, count: int) -> None:
    found = client("reviewer").get(f"{SIGHTINGS}?{query}").raise_for_status().json()
    assert found["total"] == len(found["sightings"]) == count


def test_pages_go_through_all_sightings_newest_first(sighting: int, client: Client) -> None:
    somebody = client("reviewer")
    pages = [somebody.get(f"{SIGHTINGS}?size=12&page={page}").json() for page in range(4)]
    assert [len(page["sightings"]) for page in pages] == [12, 12, 7, 0]
    times = [each["first_ms"] for page in pages for each in page["sightings"]]
    assert times == sorted(times, reverse=True) and len(times) == pages[0]["total"]


def test_glimpses_are_left_out_when_asked(sighting: int, settings: Settings, client: Client) -> None:
    with Archive.open(settings.recording.folder, write=True) as archive:
        brief = {"last_ns": wall_ns(0) + 400 * MS, "probability": None, "candidates": ()}
        archive.put_sighting(other(0, track=900, decision="undecided", person=None, **brief))
        archive.put_sighting(other(0, track=901, decision="nobody", person=None, **brief))
    somebody = client("reviewer")
    assert somebody.get(SIGHTINGS).json()["total"] == 33
    assert somebody.get(f"{SIGHTINGS}?glimpses=false").json()["total"] == 32, "what was decided stays"


def test_what_an_account_may_not_see_is_not_there_for_it(sighting: int, client: Client) -> None:
    limited, blind = client("reviewer", ("yard",)), client("reviewer", ())
    assert limited.get(SIGHTINGS).json()["total"] == 30
    assert [each["name"] for each in limited.get("/api/review/timeline").json()["cameras"]] == ["yard"]
    assert limited.get(f"{SIGHTINGS}?camera={CAMERA}").status_code == 404
    for path in ("", "/look.image", "/like"):
        answer = limited.get(f"{SIGHTINGS}/{sighting}{path}")
        assert answer.status_code == 404 and "is not in the archive" in answer.json()["detail"]
    assert limited.get(PLAYBACK).status_code == 403
    for path, body in (
        (f"{SIGHTINGS}/{sighting}/protection", {"on": True}),
        (f"{SIGHTINGS}/{sighting}/verdict", {"said": "confirmed"}),
        ("/api/review/bundles", {"sighting": sighting, "reason": "curiosity"}),
        ("/api/review/clips", {"camera": CAMERA, "from_ms": FROM, "to_ms": TO}),
    ):
        assert limited.post(path, json=body).status_code == 404
    assert blind.get(SIGHTINGS).json()["total"] == 0
    assert blind.get("/api/review/timeline").json()["cameras"] == []


def test_without_recordings_the_page_says_so(office: Office, settings: Settings, client: Client) -> None:
    for file in settings.recording.folder.iterdir():
        file.unlink()
    answer = client("reviewer").get(SIGHTINGS)
    assert answer.status_code == 404 and "there is no archive here" in answer.json()["detail"]


def test_a_sighting_shows_what_was_believed_before_and_after_unmasking(
    settings: Settings, office: Office, client: Client
) -> None:
    fill_archive(settings)
    candidates = (
        Candidate("Grace Hopper", 0.61, {"raw": 0.5, "upper": 0.4, "unmasked": -0.1}, as_seen=0.93),
        Candidate("Ada", 0.02, {"raw": 0.1, "unmasked": 0.7}, as_seen=0.02),
    )
    with Archive.open(settings.recording.folder, write=True) as archive:
        masked = archive.put_sighting(other(3, track=800, candidates=candidates, looks=4))
    found = client("reviewer").get(f"{SIGHTINGS}/{masked}").raise_for_status().json()
    assert (found["looks"], found["no_reconstruction"]) == (4, "")
    grace, ada = found["candidates"]
    assert (grace["before"], grace["after"]) == ("93 %", "61 %") and found["counted"]
    assert (ada["before"], ada["after"]) == ("2.0 %", "2.0 %")
    assert [term["name"] for term in found["terms"]] == ["raw", "upper", "unmasked"]
    assert [term["guess"] for term in found["terms"]] == [False, False, True]
    assert grace["evidence"] == {"raw": 0.5, "upper": 0.4, "unmasked": -0.1}
    assert found["rest"] == "37 %" and found["caption"] == CAPTION
    assert "with the guess" in found["terms"][2]["label"]


def test_without_a_counted_reconstruction_before_is_after(sighting: int, client: Client) -> None:
    found = client("reviewer").get(f"{SIGHTINGS}/{sighting}").json()
    assert (
        not found["counted"]
        and found["candidates"][0]["before"] == found["candidates"][0]["after"] == "97.0 %"
    )
    assert found["person"] == PERSON and found["recorded"] and not found["searchable"]
    assert "times as likely" in found["weight"] and "50 %" in found["weight"]
    assert ["Gallery, version", "3"] in found["versions"]
    assert found["epoch"] == str(EPOCH)


def test_pictures_are_those_of_the_archive_and_every_look_is_logged(
    sighting: int, settings: Settings, office: Office, client: Client
) -> None:
    somebody = client("reviewer")
    with Archive.open(settings.recording.folder) as archive:
        kept = archive.sighting(sighting)
    before = len(_logged(settings, Action.VIEWED))
    for kind in ("look", "original", "reconstruction"):
        answer = somebody.get(f"{SIGHTINGS}/{sighting}/{kind}.image").raise_for_status()
        assert answer.content == getattr(kept, kind)
    assert len(_logged(settings, Action.VIEWED)) == before + 1, "one line, not one for each picture"
    assert is_reconstruction(decoded(answer.content)), "the guess keeps its mark"
    assert somebody.get(f"{SIGHTINGS}/{sighting}/secret.image").status_code == 422
    assert somebody.get(f"{SIGHTINGS}/99999/look.image").status_code == 404
    other_one = client("reviewer")
    other_one.get(SIGHTINGS)
    lines = len(_logged(settings, Action.VIEWED))
    other_one.get(f"{SIGHTINGS}/{sighting}/look.image").raise_for_status()
    assert len(_logged(settings, Action.VIEWED)) == lines, "the line of the list stands for its pictures"
    mine = [entry.detail for entry in office.journal.entries(Filter(actor="reviewer", action="viewed"))]
    theirs = office.journal.entries(Filter(actor="reviewer 2"))
    assert mine == [f"a picture of sighting {sighting}"] and [entry.action for entry in theirs] == [
        "searched"
    ]
    everything = " ".join(entry.detail for entry in office.journal.entries(Filter()))
    assert PERSON not in everything and "Hopper" not in everything


def test_protection_is_set_released_and_logged(sighting: int, settings: Settings, client: Client) -> None:
    somebody = client("reviewer")
    path = f"{SIGHTINGS}/{sighting}/protection"
    assert somebody.post(path, json={"on": True}).raise_for_status().json()["protected"]
    (stretch,) = somebody.get("/api/review/timeline").json()["protected"]
    assert stretch["camera"] == CAMERA
    assert not somebody.post(path, json={"on": False}).json()["protected"]
    assert (
        _logged(settings, Action.PROTECTED) == _logged(settings, Action.RELEASED) == [f"sighting {sighting}"]
    )


@pytest.mark.parametrize(
    ("said", "needed", "state"),
    [
        ([], 2, "open"),
        (["a confirmed"], 1, "confirmed"),
        (["a confirmed"], 2, "waiting"),
        (["a confirmed", "a confirmed"], 2, "waiting"),
        (["a confirmed", "b confirmed"], 2, "confirmed"),
        (["a confirmed", "b refused"], 2, "disputed"),
        (["a refused"], 1, "refused"),
        (["a refused", "b confirmed", "a confirmed"], 2, "confirmed"),
    ],
)
def test_verdicts_come_to_a_standing(said: list[str], needed: int, state: str) -> None:
    verdicts = []
    for number, text in enumerate(said):
        account, word = text.split()
        choice: Said = "confirmed" if word == "confirmed" else "refused"
        verdicts.append(Verdict(account, choice, "", number))
    assert standing(verdicts, needed).state == state


def test_one_person_confirms_where_two_are_not_asked_for(sighting: int, client: Client) -> None:
    path = f"{SIGHTINGS}/{sighting}/verdict"
    somebody = client("reviewer")
    found = somebody.post(path, json={"said": "confirmed", "note": " seen myself "}).raise_for_status().json()
    assert found["standing"]["state"] == "confirmed" and found["standing"]["own"] == "confirmed"
    assert found["standing"]["verdicts"][0]["note"] == "seen myself"
    (listed,) = somebody.get(f"{SIGHTINGS}?camera={CAMERA}").json()["sightings"]
    assert listed["confirmation"] == "confirmed"
    assert client("operator").post(path, json={"said": "confirmed"}).status_code == 403
    unnamed = somebody.get(f"{SIGHTINGS}?decision=nobody&size=1").json()["sightings"][0]["id"]
    answer = somebody.post(f"{SIGHTINGS}/{unnamed}/verdict", json={"said": "confirmed"})
    assert answer.status_code == 409 and "nobody was named" in answer.json()["detail"]
    assert somebody.post(path, json={"said": "perhaps"}).status_code == 422
    assert somebody.post(path, json={"said": "refused", "note": "x" * 501}).status_code == 422
