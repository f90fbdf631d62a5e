"""The review pages while privacy.blur_others is set: nobody can be made out but people enrolled."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from offices import RunningServer, serious_findings
from offices import settings as make_settings
from reviewed import CAMERA, MS, fill_archive, other, wall_ns
from starlette.testclient import TestClient

from stream.archive.archive import Archive
from stream.config import Settings
from stream.web.journal import Filter
from stream.web.office import Office
from tools.browser import Browser, until

Client = Callable[..., TestClient]
FILES = "/api/review/files"


def noise(side: int = 128) -> NDArray[np.uint8]:
    return np.random.default_rng(3).integers(0, 255, (side, side, 3), np.uint8)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return make_settings(tmp_path, privacy={"blur_others": True})


@pytest.fixture
def named(settings: Settings, office: Office) -> int:
    return fill_archive(settings)


@pytest.fixture
def stranger(settings: Settings, named: int) -> int:
    """A sighting of nobody enrolled, with all pictures."""
    png = cv2.imencode(".png", noise())[1].tobytes()
    look = cv2.imencode(".jpg", noise())[1].tobytes()
    with Archive.open(settings.recording.folder, write=True) as archive:
        return archive.put_sighting(other(1, track=900, look=look, original=png, reconstruction=png))


def detail(data: bytes, left: float = 0.0, right: float = 1.0) -> float:
    picture = np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR))
    width = picture.shape[1]
    part = picture[:, round(left * width) : round(right * width)].astype(np.float32)
    return float(np.abs(np.diff(part, axis=1)).mean())


def test_of_a_stranger_there_is_a_blurred_look_and_no_other_picture(stranger: int, client: Client) -> None:
    somebody, path = client("reviewer"), f"/api/review/sightings/{stranger}"
    listed = somebody.get("/api/review/sightings?camera=yard").json()["sightings"]
    assert next(each["pictures"] for each in listed if each["id"] == stranger) == ["look"]
    told = somebody.get(path).json()
    assert told["pictures"] == ["look"] and told["blurred"]
    look = somebody.get(f"{path}/look.image").raise_for_status().content
    assert detail(look) < detail(cv2.imencode(".jpg", noise())[1].tobytes()) / 5
    for kind in ("original", "reconstruction"):
        refused = somebody.get(f"{path}/{kind}.image")
        assert refused.status_code == 409
        assert "is of nobody enrolled, so this picture is not shown while" in refused.json()["detail"]
    enrol = somebody.post(f"/api/people/pictures/sighting/{stranger}")
    assert enrol.status_code == 409 and enrol.json()["detail"].endswith("enrol from photographs")


def test_of_somebody_enrolled_the_face_is_shown_and_its_surroundings_are_not(
    named: int, settings: Settings, client: Client
) -> None:
    somebody, path = client("reviewer"), f"/api/review/sightings/{named}"
    assert somebody.get(path).json()["pictures"] == ["look", "original", "reconstruction"]
    with Archive.open(settings.recording.folder) as archive:
        kept = archive.sighting(named)
    look = somebody.get(f"{path}/look.image").raise_for_status().content
    assert detail(look, 0.3, 0.7) > 0.5 * detail(kept.look, 0.3, 0.7)
    assert detail(look, 0, 0.15) < detail(kept.look, 0, 0.15) / 3
    assert somebody.get(f"{path}/original.image").content == kept.original
    assert somebody.get(f"{path}/reconstruction.image").content == kept.reconstruction


def finished(somebody: TestClient, wanted: dict[str, object], where: str = "bundles") -> bytes:
    started = somebody.post(f"/api/review/{where}", json=wanted).raise_for_status().json()

    def done() -> bool:
        (file,) = [each for each in somebody.get(FILES).json() if each["id"] == started["id"]]
        assert file["state"] != "failed", file
        return bool(file["state"] == "done")

    until(done, "the file", 30)
    return somebody.get(f"{FILES}/{started['id']}").raise_for_status().content


def test_a_bundle_has_footage_only_for_whoever_says_so_and_the_log_says_who_did(
    named: int, client: Client, office: Office
) -> None:
    somebody = client("reviewer")
    wanted: dict[str, object] = {"sighting": named, "reason": "why"}
    with zipfile.ZipFile(BytesIO(finished(somebody, wanted))) as bundle:
        assert not [name for name in bundle.namelist() if name.startswith("footage/")]
        assert [name for name in bundle.namelist() if name.startswith("stills/")]
    with zipfile.ZipFile(BytesIO(finished(somebody, wanted | {"unblurred_footage": True}))) as bundle:
        assert [name for name in bundle.namelist() if name.startswith("footage/")]
    details = [entry.detail for entry in office.journal.entries(Filter(action="bundled"))]
    assert details == [
        f"sighting {named}, with footage in which nobody is blurred: why",
        f"sighting {named}: why",
    ]


def test_a_clip_in_which_strangers_can_be_made_out_is_refused(named: int, client: Client) -> None:
    somebody = client("reviewer")
    wanted = {"camera": CAMERA, "from_ms": wall_ns(0) // MS, "to_ms": -(-wall_ns(60) // MS)}
    for style in ("names", "plain"):
        refused = somebody.post("/api/review/clips", json=wanted | {"style": style})
        assert refused.status_code == 409 and "must be blur-others while" in refused.json()["detail"]
    assert finished(somebody, wanted, "clips")


def test_the_page_says_what_is_blurred_and_asks_before_footage_is_handed_over(
    stranger: int, named: int, server: RunningServer, browser: Browser, artefacts: Path
) -> None:
    page = server.open(browser, f"/review?sighting={stranger}", "reviewer", width=1280, height=900)

    def wait(script: str) -> None:
        until(lambda: page.evaluate(f"Boolean({script})"), script, 30)

    wait("document.querySelector('#detail .pictures img')?.naturalWidth")
    text = page.evaluate("document.querySelector('#detail .pictures').textContent")
    assert "Blurred: nobody enrolled was recognised." in text and "Original" not in text
    assert page.evaluate("document.querySelectorAll('#detail .pictures img').length") == 1
    assert "Enrol from this" not in page.evaluate("document.getElementById('detail').textContent")
    page.screenshot(artefacts / "pages" / "review-blurred-stranger.png")
    page.send("Page.navigate", url=f"{server.url}review?sighting={named}")
    wait("document.querySelectorAll('#detail .pictures img').length === 4")
    page.evaluate(
        "[...document.querySelectorAll('.actions button')].find((b) => b.textContent.startsWith('Ev')).click()"
    )
    wait("document.getElementById('bundle-dialog').open")
    wait("document.getElementById('bundle-blurred').checkVisibility()")
    assert not page.evaluate("document.querySelector('[name=unblurred_footage]').checked")
    assert serious_findings(page) == []
    page.screenshot(artefacts / "pages" / "review-blurred-bundle.png")
    assert page.problems == []
    page.close()
