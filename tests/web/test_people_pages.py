"""People over the API the pages use: real photographs, a real gallery and archive, and hostile uploads."""

from __future__ import annotations

import io
import re
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from httpx import Response
from PIL import Image
from starlette.testclient import TestClient

from engines.recognition.enrolled import Template
from engines.recognition.evidence import VIEWS
from engines.recognition.gallery import Gallery
from stream.archive.archive import Archive
from stream.archive.sightings import Sighting
from stream.web.office import Office
from stream.web.workshop import MOST_UPLOADED
from tools.browser import until

PICTURES = Path(__file__).parents[2] / "tools" / "demo" / "pictures"
OBAMA, AGAIN, BIDEN = ((PICTURES / name).read_bytes() for name in ("obama.jpg", "obama3.jpg", "biden.jpg"))
PATIENCE_S = 60.0
Client = Callable[..., TestClient]


@pytest.fixture(scope="module", autouse=True)
def one_workshop(request: pytest.FixtureRequest) -> Iterator[None]:
    """The networks are opened once for all offices of this file."""
    from stream.config import Settings
    from stream.web import office
    from stream.web.workshop import Workshop

    shared = Workshop(Settings())
    really_close = shared.close
    shared.close = lambda: None  # type: ignore[method-assign]
    patch = pytest.MonkeyPatch()
    patch.setattr(office, "Workshop", lambda settings: shared)
    yield
    patch.undo()
    really_close()


def looked(client: TestClient, picture: bytes, file: str = "photo.jpg") -> dict[str, Any]:
    answer = client.post("/api/people/pictures", params={"file": file}, content=picture)
    assert answer.status_code == 200, answer.text
    return answer.json()  # type: ignore[no-any-return]


def enrolled(client: TestClient, name: str, *pictures: bytes, ground: str = "consent") -> dict[str, Any]:
    tokens = [looked(client, picture)["token"] for picture in pictures]
    answer = client.post("/api/people", json={"pictures": tokens, "name": name, "ground": ground})
    assert answer.status_code == 200, answer.text
    return answer.json()["person"]  # type: ignore[no-any-return]


def said(answer: Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["detail"]


def template(seed: int, space: str) -> Template:
    rng = np.random.default_rng(seed)
    views = {view: rng.normal(size=128).astype(np.float32) for view in VIEWS}
    views = {view: vector / np.linalg.norm(vector) for view, vector in views.items()}
    return Template(views, space, 0.9, seed.to_bytes(32, "big"), "twin")


def zip_of(**files: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return file.getvalue()


def test_a_person_is_enrolled_from_photographs_after_advice_and_found_again(client: Client) -> None:
    operator = client("operator")
    first, second = looked(operator, OBAMA, "C:\\pictures\\ob\x00ama.jpg"), looked(operator, AGAIN)
    assert (
        first["file"] == "obama.jpg" and first["usable"] and first["quality"] > 0.5 and first["refusal"] == ""
    )
    assert len(first["faces"]) == 2 and "smaller face in the background" in " ".join(first["hints"])
    preview = operator.get(f"/api/people/pictures/{first['token']}")
    assert Image.open(io.BytesIO(preview.content)).format == "JPEG"
    tokens = [first["token"], second["token"]]
    advice = operator.post("/api/people/advice", json={"pictures": tokens, "name": "Barack Obama"}).json()
    assert [(each["problem"], each["alike"]) for each in advice] == [("", []), ("", [])]
    assert operator.get("/api/people").json()["everyone"] == 0  # nothing is stored before somebody says so
    wanted = {"pictures": tokens, "name": "  Barack   Obama ", "ground": "consent"}
    done = operator.post("/api/people", json=wanted).json()
    assert done["person"] | {"id": "", "since_ms": 0} == {
        "id": "",
        "name": "Barack Obama",
        "pictures": 2,
        "ground": "consent",
        "since_ms": 0,
        "revoked_ms": None,
    }
    assert abs(done["person"]["since_ms"] / 1000 - time.time()) < 60 and done["refused"] == []
    assert operator.get(f"/api/people/pictures/{tokens[0]}").status_code == 404  # no longer on the tray
    person = done["person"]["id"]
    face = operator.get(f"/api/people/{person}/face")
    assert face.headers["content-type"] == "image/jpeg" and Image.open(io.BytesIO(face.content)).size == (
        224,
        224,
    )
    one = operator.get(f"/api/people/{person}").json()
    assert len(one["images"]) == 2 and one["refuted"] == [] and one["former_names"] == []
    picture = operator.get(f"/api/people/{person}/pictures/{one['images'][1]['id']}")
    assert picture.status_code == 200 and picture.content != face.content


def test_same_pictures_same_people_and_other_people_are_told_before_anything_is_stored(
    client: Client,
) -> None:
    operator = client("operator")
    enrolled(operator, "Barack Obama", OBAMA)

    def advised(name: str, *pictures: bytes) -> list[dict[str, Any]]:
        tokens = [looked(operator, picture)["token"] for picture in pictures]
        answer = operator.post("/api/people/advice", json={"pictures": tokens, "name": name})
        assert answer.status_code == 200
        return answer.json()  # type: ignore[no-any-return]

    (same,) = advised("", OBAMA)
    assert same["owner"] == "Barack Obama" and "very same photograph" in same["problem"]
    (twin,) = advised("Somebody Else", AGAIN)
    assert twin["problem"].startswith("this person is already enrolled as Barack Obama (similarity 0.")
    assert twin["twin"] == "Barack Obama" and twin["alike"][0]["similarity"] > 0.6
    (nameless,) = advised("", AGAIN)
    assert nameless["problem"] == "" and [each["name"] for each in nameless["alike"]] == ["Barack Obama"]
    (other,) = advised("Barack Obama", BIDEN)
    assert other["problem"].startswith("shows someone else than the pictures of Barack Obama")
    both = advised("Somebody Else", AGAIN, BIDEN)
    assert [each["problem"] for each in both] == ["shows someone else than the other pictures"] * 2
    # What was advised against is refused, and what was said to be all right is done.
    token = looked(operator, AGAIN, "again.jpg")["token"]
    wanted = {"pictures": [token], "name": "Somebody Else", "ground": "consent"}
    status, reason = said(operator.post("/api/people", json=wanted))
    assert status == 409 and reason.startswith(
        "nothing was enrolled: again.jpg this person is already enrolled"
    )
    done = operator.post("/api/people", json={**wanted, "although_like": ["Barack Obama"]})
    assert done.status_code == 200 and operator.get("/api/people").json()["everyone"] == 2


def test_names_grounds_and_pictures_that_cannot_be_used_are_refused_with_the_rule(client: Client) -> None:
    operator = client("operator")
    token = looked(operator, OBAMA)["token"]

    def tried(**changes: Any) -> tuple[int, str]:
        wanted = {"pictures": [token], "name": "Ada", "ground": "consent", **changes}
        answer = operator.post("/api/people", json=wanted)
        detail = answer.json()["detail"]
        return answer.status_code, detail if isinstance(detail, str) else detail[0]["loc"][-1]

    assert tried(ground=" ") == (422, 'ground: must be stated, such as "consent"; found none')
    assert tried(name="\u202eAda") == (
        422,
        "name: must not hold invisible or direction-changing characters, found U+202E",
    )
    assert tried(name="x" * 81) == (422, "name: must have 1 to 80 characters, found 81")
    assert tried(pictures=[]) == (422, "pictures")
    assert tried(pictures=["no such"])[0] == 404
    other = client("operator")  # another account of the same role
    answer = other.post("/api/people", json={"pictures": [token], "name": "Ada", "ground": "consent"})
    assert answer.status_code == 404  # a picture belongs to the account that brought it
    assert operator.get("/api/people").json()["everyone"] == 0


@pytest.mark.parametrize(
    ("picture", "status", "reason"),
    [
        (b"", 422, "the body must be a file, found nothing"),
        (b"Dear Sir or Madam", 422, "is not an image that can be read"),
        (OBAMA[:20_000], 422, "is damaged or cut short"),
        (bytes(MOST_UPLOADED + 1), 413, "is too large: at most 32 MiB are taken"),
    ],
    ids=["nothing", "a letter", "half a JPEG", "33 MiB"],
)
def test_a_hostile_upload_gets_its_exact_reason(
    client: Client, office: Office, picture: bytes, status: int, reason: str
) -> None:
    found, detail = said(client("operator").post("/api/people/pictures", content=picture))
    assert found == status and detail.startswith(reason)
    in_pieces = (picture[i : i + 1_000_000] for i in range(0, len(picture), 1_000_000))
    assert said(client("operator").post("/api/people/pictures", content=in_pieces))[0] == status
    assert len(office.people.tray._waiting) == 0


def test_an_album_is_enrolled_in_the_background_with_the_reason_for_every_refusal(
    client: Client, office: Office
) -> None:
    operator = client("operator")
    two = np.asarray(Image.open(PICTURES / "obama.jpg").convert("RGB").resize((300, 375)))
    both = io.BytesIO()
    Image.fromarray(np.hstack([two, two])).save(both, "PNG")
    album = zip_of(
        **{
            "Album/Barack Obama/1.jpg": OBAMA,
            "Album/Barack Obama/2.jpg": AGAIN,
            "Album/Barack Obama/copy.jpg": OBAMA,
            "../../etc/passwd.jpg": b"root",
            "/Joe_Biden_0001.jpg": BIDEN,
            "Somebody/both.png": both.getvalue(),
            "Somebody/readme.txt": b"not a picture",
            "__MACOSX/Somebody/._both.png": b"x",
            "Bomb/zeros.png": bytes(MOST_UPLOADED + 5),
        }
    )
    before = set(office.settings.recognition.gallery.parent.rglob("*"))
    begun = operator.post("/api/people/album", params={"ground": "contract"}, content=album)
    assert begun.status_code == 200 and begun.json()["total"] == 7
    assert operator.post("/api/people/album", params={"ground": "x"}, content=album).status_code == 409
    until(lambda: not operator.get("/api/people/album").json()["running"], "the end of the album", PATIENCE_S)
    state = operator.get("/api/people/album").json()
    assert (state["done"], state["enrolled"], state["people"], state["problem"]) == (7, 3, 2, "")
    assert {each["file"]: each["reason"] for each in state["refused"]} == {
        "Album/Barack Obama/copy.jpg": "the very same photograph is already enrolled as Barack Obama",
        "../../etc/passwd.jpg": "is not an image that can be read (JPEG, PNG, WEBP, AVIF, TIFF, BMP)",
        "Somebody/both.png": "two faces were found: enrolment needs a photograph of one person alone",
        "Bomb/zeros.png": "is too large: at most 32 MiB",
    }
    people = operator.get("/api/people").json()["people"]
    assert [(p["name"], p["pictures"], p["ground"]) for p in people] == [
        ("Barack Obama", 2, "contract"),
        ("Joe Biden", 1, "contract"),
    ]
    made = {path.name for path in set(office.settings.recognition.gallery.parent.rglob("*")) - before}
    assert all(name.startswith("gallery.") for name in made), made  # nothing was unpacked
    lines = [e for e in office.journal.entries(_all()) if e.action == "enrolled"]
    assert len(lines) == 4 and "3 of 7 pictures" in lines[0].detail


def _all() -> Any:
    from stream.web.journal import Filter

    return Filter()


@pytest.mark.parametrize(
    ("album", "status", "reason"),
    [
        (b"PK", 422, "this is not a ZIP file, or it is cut short"),
        (zip_of(**{"a/1.jpg": b"x"})[:-30], 422, "this is not a ZIP file, or it is cut short"),
        (zip_of(**{"a/1.txt": b"x"}), 422, "no pictures were found: their names must end in"),
        (
            zip_of(**{"a/1.jpg": b"x"})[:-10] + (9 << 20).to_bytes(4, "little") + bytes(6),
            422,
            "the ZIP file's directory must have at most 8 MiB, found 9",
        ),
    ],
    ids=["two bytes", "cut short", "no pictures", "a huge directory"],
)
def test_a_hostile_album_is_refused_before_anything_is_read_of_it(
    client: Client, album: bytes, status: int, reason: str
) -> None:
    found, detail = said(client("operator").post("/api/people/album", params={"ground": "c"}, content=album))
    assert found == status and detail.startswith(reason)


def test_an_album_from_the_folder_of_the_machine_follows_no_links_and_can_be_stopped(
    client: Client, office: Office, tmp_path: Path
) -> None:
    operator = client("operator")
    status, detail = said(operator.post("/api/people/album/folder", json={"ground": "consent"}))
    assert status == 422 and detail.endswith("there is no such folder")
    inbox = office.people.inbox
    assert operator.get("/api/people/album").json()["folder"] == str(inbox)
    (inbox / "Barack Obama").mkdir(parents=True)
    (inbox / "Barack Obama" / "1.jpg").write_bytes(OBAMA)
    (tmp_path / "secret.jpg").write_bytes(BIDEN)
    (inbox / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    assert operator.post("/api/people/album/folder", json={"ground": "consent"}).json()["total"] == 1
    until(lambda: not operator.get("/api/people/album").json()["running"], "the end of the album", PATIENCE_S)
    assert [p["name"] for p in operator.get("/api/people").json()["people"]] == ["Barack Obama"]
    for i in range(200):
        (inbox / "Barack Obama" / f"x{i}.jpg").write_bytes(b"no picture")
    operator.post("/api/people/album/folder", json={"ground": "consent"})
    operator.delete("/api/people/album")
    until(lambda: not operator.get("/api/people/album").json()["running"], "the stop", PATIENCE_S)
    state = operator.get("/api/people/album").json()
    assert state["cancelled"] and state["done"] < state["total"] == 201


def test_what_is_done_to_people_can_be_undone_and_is_in_both_logs(client: Client, office: Office) -> None:
    operator = client("operator")
    obama = enrolled(operator, "Barack Obama", OBAMA, AGAIN)["id"]
    biden = enrolled(operator, "Joe Biden", BIDEN)["id"]

    def post(path: str, **body: Any) -> dict[str, Any]:
        answer = operator.post(f"/api/people/{path}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()  # type: ignore[no-any-return]

    assert post(f"{obama}/name", name="Barack H. Obama")["name"] == "Barack H. Obama"
    assert post(f"{obama}/name", name="Barack Obama")["name"] == "Barack Obama"
    joined = post(f"{obama}/merge", other=biden)
    assert joined["pictures"] == 3 and operator.get(f"/api/people/{biden}").status_code == 404
    apart = post(f"{obama}/split", **joined["undo"])
    assert (apart["name"], apart["pictures"]) == ("Joe Biden", 1)
    assert post(f"{apart['id']}/revoke")["revoked_ms"] is not None
    listed = operator.get("/api/people", params={"show": "revoked"}).json()
    assert [p["name"] for p in listed["people"]] == ["Joe Biden"] and listed["revoked"] == 1
    assert post(f"{apart['id']}/restore")["revoked_ms"] is None
    assert said(operator.post(f"/api/people/{obama}/name", json={"name": "joe biden"})) == (
        409,
        "Joe Biden: somebody of this name is enrolled already",
    )
    assert operator.post(f"/api/people/{'0' * 32}/revoke").status_code == 404
    with Gallery(office.settings.recognition.gallery) as gallery:
        gallery.audit.verify()
        entries = list(gallery.audit.entries())
    assert [e.action for e in entries][3:] == ["renamed", "renamed", "merged", "split", "revoked", "restored"]
    assert {e.actor for e in entries} == {"operator"}
    lines = [e for e in office.journal.entries(_all()) if e.action in ("renamed", "merged", "revoked")]
    assert len(lines) == 4 and all("Obama" not in e.detail and "Biden" not in e.detail for e in lines)


def seen(office: Office, camera: str = "gate", **values: Any) -> int:
    """A sighting in the archive, of Obama's face; its id."""
    with Archive.open(office.settings.recording.folder, write=True) as archive:
        run = archive.runs()[-1].id if archive.runs() else archive.begin_run(1, "test", {}, {})
        face = office.workshop.measure(AGAIN)
        look = io.BytesIO()
        with Image.open(PICTURES / "obama3.jpg") as image:
            image.convert("RGB").crop((380, 100, 1180, 900)).resize((320, 320)).save(look, "JPEG")
        now = time.time_ns()
        common = {"first_ns": now, "last_ns": now + 1, "first_media_ns": 0, "last_media_ns": 1}
        return archive.put_sighting(
            Sighting(
                **{
                    **common,
                    "camera": camera,
                    "run": run,
                    "epoch": 1,
                    "track": len(camera),
                    "look": look.getvalue(),
                    "space": face.space,
                    "embedding": face.embedding.astype("<f4").tobytes(),
                    **values,
                }
            )
        )


def test_somebody_is_enrolled_from_a_sighting_as_the_camera_saw_them(client: Client, office: Office) -> None:
    sighting = seen(office)
    reviewer = client("reviewer")
    found = reviewer.post(f"/api/people/pictures/sighting/{sighting}").json()
    assert found["usable"] and found["file"] == f"sighting {sighting} on gate"
    wanted = {"pictures": [found["token"]], "name": "Barack Obama", "ground": "court order"}
    assert reviewer.post("/api/people", json=wanted).json()["person"]["ground"] == "court order"
    nothing = seen(office, track=99, look=b"", reconstruction=OBAMA, original=OBAMA)
    assert said(reviewer.post(f"/api/people/pictures/sighting/{nothing}")) == (
        409,
        "this sighting keeps no picture",
    )
    assert reviewer.post("/api/people/pictures/sighting/12345").status_code == 404
    elsewhere = client("reviewer", ("yard",))
    assert elsewhere.post(f"/api/people/pictures/sighting/{sighting}").status_code == 404
    assert any(e.detail == f"sighting {sighting}, to enrol from it" for e in office.journal.entries(_all()))


def test_not_this_person_is_remembered_and_can_be_taken_back(client: Client, office: Office) -> None:
    sighting, reviewer = seen(office, person="Barack Obama", decision="person"), client("reviewer")
    obama = enrolled(reviewer, "Barack Obama", OBAMA)["id"]
    said_id = reviewer.post(f"/api/people/{obama}/not/{sighting}").json()["id"]
    (refuted,) = reviewer.get(f"/api/people/{obama}").json()["refuted"]
    assert (refuted["id"], refuted["camera"], refuted["sighting"]) == (said_id, "gate", sighting)
    (there,) = reviewer.get(f"/api/people/not-in/{sighting}").json()["not"]
    assert (there["id"], there["name"]) == (said_id, "Barack Obama")
    with Gallery(office.settings.recognition.gallery) as gallery:
        assert len(gallery.load().refuted) == 1
    elsewhere = client("reviewer", ("yard",))
    assert elsewhere.get(f"/api/people/{obama}").json()["refuted"] == []
    assert elsewhere.post(f"/api/people/{obama}/not/{sighting}").status_code == 404
    assert reviewer.delete(f"/api/people/{obama}/not/{said_id}").status_code == 200
    assert reviewer.get(f"/api/people/not-in/{sighting}").json()["not"] == []
    assert reviewer.delete(f"/api/people/{obama}/not/{said_id}").status_code == 409
    faceless = seen(office, track=50, embedding=b"")
    status, detail = said(reviewer.post(f"/api/people/{obama}/not/{faceless}"))
    assert status == 409 and detail.startswith("this sighting keeps no face")


def test_an_erasure_takes_the_name_out_of_gallery_and_recordings_with_a_receipt_for_each(
    client: Client, office: Office
) -> None:
    administrator = client("administrator")
    sighting = seen(office, person="Barry", decision="person")
    later = seen(office, camera="yard", person="Barack Obama", decision="person")
    obama = enrolled(administrator, "Barry", OBAMA)["id"]
    administrator.post(f"/api/people/{obama}/name", json={"name": "Barack Obama"})
    wrong = administrator.post(f"/api/people/{obama}/erase", json={"name": "Barack"})
    assert said(wrong) == (422, "name: must be that of the person to be erased, found 'Barack'")
    erased = administrator.post(f"/api/people/{obama}/erase", json={"name": "barack obama"}).json()
    assert erased["gallery"]["pictures"] == erased["gallery"]["keys_destroyed"] == 1
    assert erased["problem"] == "" and erased["left"] == []
    assert [(r["name"], r["sightings"]) for r in erased["recordings"]] == [("Barack Obama", 1), ("Barry", 1)]
    with Gallery(office.settings.recognition.gallery) as gallery:
        gallery.audit.verify(bytes.fromhex(erased["gallery"]["mark"]))
        assert gallery.people() == ()
    with Archive.open(office.settings.recording.folder) as archive:
        for receipt in erased["recordings"]:
            archive.audit.verify(bytes.fromhex(receipt["mark"]))
        for identity in (sighting, later):
            left = archive.sighting(identity)
            assert (left.person, left.look, left.embedding) == (None, b"", b"")
    assert administrator.get(f"/api/people/{obama}").status_code == 404
    line = next(e for e in office.journal.entries(_all()) if e.action == "erased")
    assert line.person == obama and "Obama" not in line.detail


def test_former_names_that_somebody_else_bears_now_are_left_in_the_recordings(
    client: Client, office: Office
) -> None:
    administrator = client("administrator")
    sighting = seen(office, person="Sam", decision="person")
    obama = enrolled(administrator, "Sam", OBAMA)["id"]
    administrator.post(f"/api/people/{obama}/name", json={"name": "Barack Obama"})
    enrolled(administrator, "Sam", BIDEN)
    erased = administrator.post(f"/api/people/{obama}/erase", json={"name": "Barack Obama"}).json()
    assert erased["left"] == ["Sam"] and [r["name"] for r in erased["recordings"]] == ["Barack Obama"]
    with Archive.open(office.settings.recording.folder) as archive:
        assert archive.sighting(sighting).person == "Sam"


def test_roles_bound_what_may_be_done_to_people(client: Client) -> None:
    operator, reviewer, viewer = client("operator"), client("reviewer"), client("viewer")
    obama = enrolled(operator, "Barack Obama", OBAMA, AGAIN)
    picture = operator.get(f"/api/people/{obama['id']}").json()["images"][0]["id"]
    for refused, call in (
        (viewer, lambda c: c.get("/api/people")),
        (viewer, lambda c: c.post("/api/people/pictures", content=OBAMA)),
        (operator, lambda c: c.post("/api/people/pictures/sighting/1")),
        (operator, lambda c: c.post(f"/api/people/{obama['id']}/not/1")),
        (reviewer, lambda c: c.post(f"/api/people/{obama['id']}/erase", json={"name": "Barack Obama"})),
        (reviewer, lambda c: c.delete(f"/api/people/{obama['id']}/pictures/{picture}")),
    ):
        assert call(refused).status_code == 403
    administrator = client("administrator")
    assert administrator.delete(f"/api/people/{obama['id']}/pictures/{picture}").json()["pictures"] == 1


def test_people_come_page_by_page_and_are_found_without_accents(client: Client, office: Office) -> None:
    space = office.workshop.measure(OBAMA).space
    names = ["Åsa Öberg", "Zoë Müller", *(f"Person {i:03}" for i in range(70))]
    with Gallery(office.settings.recognition.gallery) as gallery:
        for i, name in enumerate(names):
            gallery.add(name, template(i, space), "consent", "t")
    operator = client("operator")

    def listed(**query: Any) -> tuple[list[str], int]:
        answer = operator.get("/api/people", params=query).json()
        return [p["name"] for p in answer["people"]], answer["total"]

    first, total = listed(size=60)
    assert total == 72 and first[:2] == ["Åsa Öberg", "Person 000"] and len(first) == 60
    assert listed(size=60, page=1)[0][-2:] == ["Person 069", "Zoë Müller"] and listed(page=9) == ([], 72)
    assert listed(text="muller") == (["Zoë Müller"], 1) and listed(text="OBERG")[0] == ["Åsa Öberg"]
    assert listed(sort="newest", size=1)[0] == ["Person 069"]
    assert operator.get("/api/people", params={"size": 201}).status_code == 422
    with Gallery(office.settings.recognition.gallery) as gallery:  # another process changes it meanwhile
        gallery.remove("Zoë Müller", "t")
    assert listed(text="muller") == ([], 0)
    lines = [e for e in office.journal.entries(_all()) if e.action == "searched"]
    assert lines and not any(re.search("muller|oberg", e.detail, re.I) for e in lines)


def test_a_gallery_that_is_put_in_the_place_of_another_is_seen_at_once(
    client: Client, office: Office
) -> None:
    operator, path = client("operator"), office.settings.recognition.gallery
    enrolled(operator, "Barack Obama", OBAMA)
    other = path.with_name("other.sqlite3")
    with Gallery(other) as gallery:
        gallery.add("Joe", template(1, "space"), "consent", "t")
    for suffix in (".sqlite3", ".key", ".keyring"):
        other.with_suffix(suffix).replace(path.with_suffix(suffix))
    for tail in ("-wal", "-shm"):
        Path(f"{path}{tail}").unlink(missing_ok=True)
    assert [p["name"] for p in operator.get("/api/people").json()["people"]] == ["Joe"]
    token = looked(operator, BIDEN)["token"]
    status, detail = said(operator.post("/api/people/advice", json={"pictures": [token], "name": "Joe"}))
    assert status == 503 and "another embedder" in detail


def test_a_renewal_of_the_templates_shows_how_far_it_is_until_it_is_over_or_silent(
    client: Client, office: Office
) -> None:
    operator = client("operator")
    assert operator.get("/api/people/renewal").json() == {"running": False, "share": None}
    now = [time.time_ns()]
    with Gallery(office.settings.recognition.gallery, clock_ns=lambda: now[0]) as gallery:
        gallery.tell_renewal(0.25)
        assert operator.get("/api/people/renewal").json() == {"running": True, "share": 0.25}
        gallery.tell_renewal(None)
        assert operator.get("/api/people/renewal").json()["running"] is False
        now[0] -= 60_000_000_000
        gallery.tell_renewal(0.5)  # by a process that was killed a minute ago
        assert operator.get("/api/people/renewal").json()["running"] is False
