"""The pictures of the README's guide: every page over a real run of the demo's street, with recording on.

They are written to artefacts/guide/; tools/demo/readme/ holds the ones that the README shows.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml
from PIL import Image
from watched import Watched

from stream.config import load
from stream.run_directory import RunDirectory
from stream.supervisor import Run
from stream.web.account import Role
from stream.web.accounts import FIRST, Accounts
from stream.web.journal import Journal
from stream.web.store import Store
from tools.browser import Browser, Page, until
from tools.demo.clip import cached_clip
from tools.demo.command import CONFIG
from tools.demo.enrolled import PICTURES, enrol
from tools.rtsp.server import RtspServer

pytestmark = pytest.mark.timeout(300)
NAME, PASSWORD = "Control room", "a long walk by the river"
ENROLLED = ["Barack Obama", "Joe Biden"]
SIZE = {"width": 1280, "height": 800}
DARK = {"name": "prefers-color-scheme", "value": "dark"}
QUALITIES, MOST_BYTES = (82, 74, 66), 150_000
PATIENCE_S = 90
SHOWN = "(each => each && (b => b.top >= 0 && b.bottom <= innerHeight && b.height > 0)(each.getBoundingClientRect()))"
"""Whether an element is in the window, whole."""

LIVE = f"""(card => {{
  card?.scrollIntoView({{ block: "nearest" }});
  const pictures = [...(card?.querySelectorAll("img") ?? [])].filter(each => each.naturalWidth && {SHOWN}(each));
  const seen = document.querySelector(".tile .faces").textContent;
  return pictures.length === 2 && card.textContent.includes("AI reconstruction, not evidence")
    && {json.dumps(ENROLLED)}.some(name => seen.includes(name));
}})([...document.querySelectorAll(".card[data-decision=person]")]
  .find(each => each.querySelector(".remark").textContent.startsWith("masked")))"""
"""Whether a masked person who was named is shown, as seen and as guessed, and somebody is named in the picture."""


@dataclass(frozen=True)
class Guide:
    """The pages of a run, and somebody who may see all of them."""

    run: Watched
    browser: Browser
    pictures: Path

    def open(self, path: str, signed_in: bool = True) -> Page:
        page = self.browser.open("about:blank", **SIZE)
        page.send("Network.clearBrowserCookies")
        for name, value in self.run.client.cookies.items() if signed_in else ():
            page.send("Network.setCookie", name=name, value=value, url=self.run.url)
        page.send("Emulation.setScrollbarsHidden", hidden=True)
        page.send("Emulation.setEmulatedMedia", features=[DARK])
        page.send("Page.navigate", url=self.run.url + path)
        wait(page, "document.readyState === 'complete' && location.protocol === 'http:'")
        return page

    def keep(self, page: Page, name: str) -> None:
        """Photograph a page that has everything on it."""
        wait(page, "[...document.images].every(each => each.complete)")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing sticks out"
        assert page.evaluate("document.querySelectorAll('#messages .bad').length") == 0
        data = base64.b64decode(page.send("Page.captureScreenshot", format="png")["data"])
        path = self.pictures / f"{name}.jpg"
        for quality in QUALITIES:
            Image.open(BytesIO(data)).convert("RGB").save(path, quality=quality, progressive=True)
            if path.stat().st_size <= MOST_BYTES:
                return
        raise AssertionError(f"{name}: {path.stat().st_size} bytes")


def wait(page: Page, script: str) -> Any:
    return until(lambda: page.evaluate(script), script, PATIENCE_S)


def text(page: Page, selector: str) -> str:
    return str(page.evaluate(f"document.querySelector({json.dumps(selector)}).textContent"))


def choose(page: Page, selector: str, *files: Path) -> None:
    """Give files to an input, as the system's dialog does."""
    root = page.send("DOM.getDocument")["root"]["nodeId"]
    node = page.send("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
    page.send("DOM.setFileInputFiles", nodeId=node, files=[str(file) for file in files])


def write(page: Page, selector: str, words: str) -> None:
    page.evaluate(f"document.querySelector({json.dumps(selector)}).focus()")
    page.send("Input.insertText", text=words)


@pytest.fixture(scope="module")
def guide(browser: Browser, artefacts: Path) -> Iterator[Guide]:
    pictures = artefacts / "guide"
    pictures.mkdir(exist_ok=True)
    with (
        TemporaryDirectory(prefix="unvizard-guide-") as scratch,
        RtspServer(user="demo", password="pa55word", auth="digest") as camera,
        RunDirectory(Path(scratch)) as directory,
    ):
        camera.add_file("/street", cached_clip())
        config = write_settings(Path(scratch), camera.url("/street", credentials=True))
        settings = load(config)
        enrol(settings)
        with Store(settings.accounts.store) as store:
            accounts = Accounts(store, Journal(store))
            accounts.add_first(PASSWORD + " and back", "first start")
            accounts.add(NAME, Role.ADMINISTRATOR, None, PASSWORD, FIRST, must_change=False)
        run = Watched(Run(settings, config), directory)
        try:
            answer = run.client.post("/api/sign-in", json={"name": NAME, "password": PASSWORD})
            assert answer.status_code == 200
            yield Guide(run, browser, pictures)
        finally:
            run.close()


def write_settings(folder: Path, url: str) -> Path:
    """The demo's settings with its camera, with recording, and with signing in."""
    settings = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    settings["cameras"] = [{"name": "street", "url": url}]
    settings["recognition"]["gallery"] = str(folder / "gallery.sqlite3")
    settings["recording"] = {"mode": "continuous", "folder": str(folder / "recordings"), "segment_s": 10}
    settings["accounts"] = {"store": str(folder / "accounts.sqlite3")}
    settings["signing"] = {"key": str(folder / "signing.key")}
    settings["display"] = {"port": 0}
    path = folder / "site.yaml"
    path.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    return path


def test_live_shows_the_street_and_a_masked_face_with_its_marked_guess(guide: Guide) -> None:
    page = guide.open("")
    wait(page, "document.querySelector('.tile')?.dataset.live === 'true'")
    wait(page, "document.querySelector('.lane .sums').textContent.includes('ms')")
    for theme in ("dark", "light"):
        wait(page, LIVE)
        guide.keep(page, "live" if theme == "dark" else "live-light")
        page.click("#theme")
        wait(page, f"document.documentElement.dataset.theme !== '{theme}'")
    page.close()


def test_people_shows_who_is_enrolled_and_on_what_ground(guide: Guide) -> None:
    page = guide.open("people")
    wait(page, "document.querySelectorAll('.person img').length === 2")
    wait(page, "[...document.querySelectorAll('.person img')].every(each => each.naturalWidth)")
    assert [name for name in ENROLLED if name in text(page, "#people")] == ENROLLED
    guide.keep(page, "people")
    page.close()


def test_enrolment_says_what_it_thinks_of_each_photograph_before_anything_is_stored(guide: Guide) -> None:
    page = guide.open("people")
    wait(page, "'ready' in document.documentElement.dataset")
    page.click("#enrol-open")
    wait(page, "document.getElementById('enrol').open")
    choose(page, "#files", *(PICTURES / name for name in ("obama3.jpg", "obama.jpg", "astronaut.png")))
    wait(page, "document.querySelectorAll('#tray .shot i.first').length === 3")
    write(page, "#enrol-form [name=name]", "Barack Obama")
    write(page, "#enrol-form [name=ground]", "consent")
    wait(page, "document.querySelectorAll('#tray .bad').length === 2")
    said = page.evaluate("[...document.querySelectorAll('#tray li')].map(each => each.textContent)")
    assert "Good: quality" in said[0] and "looks like Barack Obama" in said[0]
    assert "already enrolled as Barack Obama" in said[1] and "shows someone else" in said[2]
    wait(page, f"{SHOWN}(document.getElementById('enrol-do'))")
    guide.keep(page, "enrol")
    assert guide.run.client.get("/api/people").json()["total"] == 2
    page.close()


def a_masked_sighting(guide: Guide) -> dict[str, Any]:
    """Somebody with a mask who was named and seen for a while, with a reconstruction and footage."""

    def found() -> Any:
        query = {"decision": "person", "mask": "worn", "size": 20}
        listed = guide.run.client.get("/api/review/sightings", params=query).json()["sightings"]
        fit = (each for each in listed if "reconstruction" in each["pictures"])
        return next((each for each in fit if float(each["seconds"]) >= 3), None)

    return dict(until(found, "a masked person who was named", PATIENCE_S))


def test_review_shows_the_day_and_who_was_seen(guide: Guide) -> None:
    a_masked_sighting(guide)
    page = guide.open("review")
    wait(page, "document.querySelectorAll('#cards img').length >= 4")
    wait(page, "document.querySelectorAll('.timeline .strip').length > 0")
    assert any(name in text(page, "#cards") for name in ENROLLED)
    guide.keep(page, "review")
    page.close()


def test_a_sighting_shows_the_original_beside_the_marked_guess_and_each_piece_of_evidence(
    guide: Guide,
) -> None:
    sighting = a_masked_sighting(guide)
    page = guide.open(f"review?sighting={sighting['id']}")
    wait(page, "Number(document.querySelector('.player canvas')?.dataset.ms) > 0")
    pictures = "[...document.querySelectorAll('#detail .pictures img')]"
    wait(page, f"{pictures}.length === 4 && {pictures}.every(each => each.naturalWidth)")
    assert text(page, "#detail-title") == sighting["person"] and sighting["person"] in ENROLLED
    page.evaluate("document.querySelector('.pictures').scrollIntoView(); true")
    figures = "[...document.querySelectorAll('.pictures figure')].slice(-2)"
    assert page.evaluate(f"{figures}.map(each => each.querySelector('strong').textContent)") == [
        "Original.",
        "AI reconstruction, not evidence.",
    ]
    left, right = page.evaluate(f"{figures}.map(each => each.getBoundingClientRect().top)")
    assert left == right, "side by side"
    for shown in (f"{figures}[0]", f"{figures}[1]", "document.querySelector('tr.this th')"):
        assert page.evaluate(f"{SHOWN}({shown})"), f"{shown} is in the picture"
    assert sighting["person"] == text(page, "tr.this th")
    guide.keep(page, "evidence")
    page.close()


def test_evaluate_gives_no_figure_where_there_are_too_few_people(guide: Guide) -> None:
    page = guide.open("evaluate")
    wait(page, "!document.getElementById('start').disabled")
    page.click("#start")
    wait(page, "!document.getElementById('found').hidden && document.getElementById('going').hidden")
    assert "2 people" in text(page, "#when")
    assert "not enough data" in text(page, "#conditions")
    assert page.evaluate("document.querySelectorAll('#weeks tr').length") >= 1
    guide.keep(page, "evaluate")
    page.close()


def test_settings_explains_each_and_tells_a_bad_value_at_its_place(guide: Guide) -> None:
    page = guide.open("settings")
    wait(page, "document.querySelectorAll('[data-path]').length > 40")
    write(page, "#wanted", "smallest face")
    page.evaluate("document.getElementById('detection.min_face').select(); true")
    write(page, "[data-path='detection.min_face']", "4")
    sentence = wait(page, "document.getElementById('detection.min_face-fault').textContent")
    assert "greater than or equal to 12" in sentence
    wait(page, f"{SHOWN}(document.getElementById('detection.min_face-fault'))")
    assert "pa55word" not in str(page.evaluate("document.body.innerText"))
    guide.keep(page, "settings")
    page.close()


def test_health_shows_that_every_stage_speaks(guide: Guide) -> None:
    page = guide.open("health")
    wait(page, "document.getElementById('verdict').textContent === 'Every stage speaks'")
    wait(page, "document.querySelectorAll('#cameras .good').length === 1")
    stages = page.evaluate("[...document.querySelectorAll('#stages th')].map(each => each.textContent)")
    assert {"inference", "overlay", "recorder", "web", "capture-street"} <= set(stages)
    guide.keep(page, "health")
    page.close()


def test_accounts_shows_who_may_do_what(guide: Guide) -> None:
    known = {each["name"] for each in guide.run.client.get("/api/accounts").json()["accounts"]}
    assert known == {FIRST, NAME}
    for name, role, cameras in (("Gate", "viewer", ["street"]), ("Enrolment desk", "operator", None)):
        wanted = {"name": name, "role": role, "cameras": cameras}
        assert guide.run.client.post("/api/accounts", json=wanted).status_code in (200, 201)
    key = {"label": "door system", "role": "viewer", "cameras": ["street"]}
    assert guide.run.client.post("/api/keys", json=key).status_code in (200, 201)
    page = guide.open("accounts")
    wait(page, "document.querySelectorAll('#accounts tr').length === 4")
    assert "door system" in text(page, "#keys")
    guide.keep(page, "accounts")
    page.close()


def test_the_log_shows_what_was_done_and_that_nothing_was_altered(guide: Guide) -> None:
    page = guide.open("journal")
    wait(page, "document.querySelectorAll('#lines tr').length > 0")
    page.click("#verify")
    wait(page, "document.getElementById('verdict').classList.contains('good')")
    assert "signed in" in text(page, "#lines")
    guide.keep(page, "log")
    page.close()


def test_genuine_knows_a_reconstruction_of_our_own(guide: Guide, tmp_path: Path) -> None:
    sighting = a_masked_sighting(guide)
    answer = guide.run.client.get(f"/api/review/sightings/{sighting['id']}/reconstruction.image")
    assert answer.status_code == 200
    file = tmp_path / "reconstruction.png"
    file.write_bytes(answer.content)
    page = guide.open("authenticity")
    wait(page, "'ready' in document.documentElement.dataset")
    choose(page, "#file", file)
    wait(page, "!document.getElementById('found').hidden")
    assert "AI reconstruction, not evidence" in text(page, "#mark")
    assert page.evaluate(f"{SHOWN}(document.getElementById('mark'))")
    guide.keep(page, "genuine")
    page.close()


def test_a_visitor_has_to_sign_in(guide: Guide) -> None:
    page = guide.open("review", signed_in=False)
    wait(page, "location.pathname === '/sign-in'")
    write(page, "[name=name]", NAME)
    write(page, "[name=password]", PASSWORD)
    guide.keep(page, "sign-in")
    page.close()
