"""Who looks like this: by a photograph and by a sighting, over real faces and the real networks in the workshop."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from reviewed import other
from starlette.testclient import TestClient

from engines.recognition.audit import Action
from stream.archive.archive import Archive
from stream.config import Settings
from stream.web.journal import Filter
from stream.web.office import Office

Client = Callable[..., TestClient]
PICTURES = Path(__file__).parents[2] / "tools" / "demo" / "pictures"
SIGHTINGS = "/api/review/sightings"


@pytest.fixture
def seen(settings: Settings, office: Office) -> dict[str, int]:
    """Sightings of faces on photographs, by the file's name."""
    found = {}
    with Archive.open(settings.recording.folder, write=True) as archive:
        archive.begin_run(1, "9.9", {}, {})
        for number, name in enumerate(("obama3", "biden")):
            face = office.workshop.measure((PICTURES / f"{name}.jpg").read_bytes())
            camera = "gate" if name == "biden" else "yard"
            found[name] = archive.put_sighting(
                other(number, camera=camera, space=face.space, embedding=face.data, mask=None)
            )
        found["unmeasured"] = archive.put_sighting(other(9))
    return found


def test_a_photograph_and_a_sighting_find_the_same_face(
    seen: dict[str, int], settings: Settings, office: Office, client: Client
) -> None:
    somebody = client("reviewer")
    picture = {"picture": ("obama.jpg", (PICTURES / "obama.jpg").read_bytes())}
    answer = somebody.post("/api/review/like", files=picture).raise_for_status().json()
    first, second = answer["sightings"]
    assert [first["id"], second["id"]] == [seen["obama3"], seen["biden"]]
    assert first["similarity"] > 0.5 > second["similarity"] and first["same"] > "9"
    assert "no identification" in answer["warning"] and "50 % probable" in answer["prior"]
    by_sighting = somebody.get(f"{SIGHTINGS}/{seen['obama3']}/like").raise_for_status().json()["sightings"]
    assert [each["id"] for each in by_sighting] == [seen["biden"]], "itself is left out"
    limited = client("reviewer", ("gate",)).post("/api/review/like", files=picture).json()
    assert [each["id"] for each in limited["sightings"]] == [seen["biden"]]
    blind = client("reviewer", ()).post("/api/review/like", files=picture).raise_for_status().json()
    assert blind["sightings"] == []
    answer = somebody.get(f"{SIGHTINGS}/{seen['unmeasured']}/like")
    assert answer.status_code == 409 and "not measured" in answer.json()["detail"]
    with Archive.open(settings.recording.folder) as archive:
        searches = [entry for entry in archive.audit.entries() if entry.action == Action.SEARCHED]
    assert [(entry.actor, entry.detail[:9]) for entry in searches] == [
        ("reviewer", "by a face"),
        ("reviewer", "by a face"),
        ("reviewer 2", "by a face"),
    ]
    assert any(
        entry.detail == "sightings by a face" for entry in office.journal.entries(Filter(actor="reviewer 3"))
    )


def test_what_is_no_photograph_of_a_face_is_refused_with_the_reason(office: Office, client: Client) -> None:
    somebody = client("reviewer")
    for content, reason in (
        (b"no picture", "is not an image"),
        (b"\xff\xd8\xff\xe0" + bytes(100), "the picture"),
    ):
        answer = somebody.post("/api/review/like", files={"picture": ("x.jpg", content)})
        assert answer.status_code == 422 and reason in answer.json()["detail"]
    assert somebody.post("/api/review/like").status_code == 422
