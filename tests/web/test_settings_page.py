"""Settings: all are there with their explanations, a bad value is told at its field, and a version can come back."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from offices import RunningServer, serious_findings
from starlette.testclient import TestClient

from stream.config import Settings, load
from stream.web.office import Office
from stream.web.settings_file import SettingsFile
from stream.web.settings_form import fields, form
from stream.web.settings_text import changed
from tools.browser import Browser, until

HAND_WRITTEN = """# our shop
cameras:
  - name: door  # above the entrance
    url: "rtsp://admin:s3cret@10.0.0.7/1"
  - {name: yard, url: "rtsp://10.0.0.8/1?token=t0ken"}

detection:
  # found by trying
  min_face: 48
events:
  mqtt: [{name: house, host: broker, username: u, password: p4ss}]
"""


@pytest.fixture
def file(office: Office, tmp_path: Path) -> Path:
    """The settings file of the office."""
    path = tmp_path / "site.yaml"
    path.write_text(HAND_WRITTEN)
    path.chmod(0o644)
    office.settings_file = SettingsFile(path)
    return path


@pytest.fixture
def ruler(client: Callable[..., TestClient]) -> TestClient:
    """An administrator."""
    return client("administrator")


def put(ruler: TestClient, values: dict[str, Any], unset: tuple[str, ...] = ()) -> Any:
    revision = ruler.get("/api/settings").json()["revision"]
    return ruler.put("/api/settings", json={"revision": revision, "set": values, "unset": unset})


def value(ruler: TestClient, path: str) -> Any:
    sections = ruler.get("/api/settings").json()["sections"]
    return next(f["value"] for section in sections for f in section["fields"] if f["path"] == path)


def test_every_setting_is_in_the_form_with_its_explanation_and_default() -> None:
    paths = set()
    for name, model in Settings.model_fields.items():
        inner = getattr(model.annotation, "model_fields", None)
        paths |= {f"{name}.{key}" for key in inner} if inner else {name}
    assert set(fields()) == paths
    assert all(field.explanation or section.explanation for section in form() for field in section.fields)
    assert "searched this often" in fields()["detection.every_ms"].explanation
    assert fields()["engines.backend"].choices[0] == "auto"


def test_a_change_is_made_in_place_and_the_rest_stays_as_it_was_written(
    ruler: TestClient, file: Path
) -> None:
    answer = put(ruler, {"detection.min_face": 32, "ring.slots": 8, "detection.every_ms": 0})
    assert answer.status_code == 200, answer.text
    text = file.read_text()
    assert text.startswith("# our shop\ncameras:\n  - name: door  # above the entrance\n")
    assert "  # found by trying\n  min_face: 32\n  every_ms: 0\n" in text
    assert load(file).ring.slots == 8
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert put(ruler, {}, ("detection.min_face", "ring.slots")).status_code == 200
    assert "min_face" not in file.read_text() and "ring" not in file.read_text()
    assert load(file).detection.min_face == 40


@pytest.mark.parametrize(
    ("text", "path", "after"),
    [
        ("", "ring.slots", {"ring": {"slots": 8}}),
        ("ring: {slots: 4}", "ring.slots", {"ring": {"slots": 8}}),
        ("ring: {}\n", "ring.slots", {"ring": {"slots": 8}}),
        ("a: &x {slots: 4}\nring: *x\n", "ring.slots", {"a": {"slots": 4}, "ring": {"slots": 8}}),
        ("ring:\n  slots: 4 # four\n# end\n", "ring.slots", {"ring": {"slots": 8}}),
    ],
)
def test_however_a_file_is_written_it_says_the_new_value_and_nothing_else_is_lost(
    text: str, path: str, after: dict[str, Any]
) -> None:
    made = changed(text, yaml.safe_load(text) or {}, after, [path])
    wanted = {key: value for key, value in after.items() if key in {section.name for section in form()}}
    assert {k: v for k, v in yaml.safe_load(made).items() if k in wanted} == wanted
    if "# four" in text:
        assert made == "ring:\n  slots: 8 # four\n# end\n"


def test_a_value_that_cannot_be_used_is_told_at_its_field_and_nothing_is_written(
    ruler: TestClient, file: Path
) -> None:
    answer = put(
        ruler, {"detection.min_face": 4, "display.host": "0.0.0.0", "cameras": "- {name: a, url: 'http://x'}"}
    )
    assert answer.status_code == 422
    at = answer.json()["fields"]
    assert (
        at["detection.min_face"] == "detection.min_face: input should be greater than or equal to 12, found 4"
    )
    assert at["cameras"].startswith("cameras.0.url: must begin with rtsp://")
    answer = put(ruler, {"display.host": "0.0.0.0"})
    assert answer.json()["fields"]["display.host"].startswith("display.host: must be 127.0.0.1")
    assert "line 1" in put(ruler, {"cameras": "[a"}).json()["fields"]["cameras"]
    assert put(ruler, {"no.such": 1}).status_code == 422
    assert file.read_text() == HAND_WRITTEN


def test_no_password_reaches_the_page_and_stars_that_come_back_change_nothing(
    ruler: TestClient, file: Path
) -> None:
    for path in ("/api/settings", "/api/settings/history"):
        assert not {"s3cret", "p4ss", "t0ken"} & set(ruler.get(path).text.replace('"', " ").split())
        assert all(secret not in ruler.get(path).text for secret in ("s3cret", "p4ss", "t0ken"))
    cameras = yaml.safe_load(value(ruler, "cameras"))
    assert cameras[0]["url"] == "rtsp://***@10.0.0.7/1"
    cameras[0]["timeout_s"] = 5
    assert put(ruler, {"cameras": yaml.safe_dump(cameras)}).status_code == 200
    kept = load(file).cameras
    assert kept[0].url == "rtsp://admin:s3cret@10.0.0.7/1" and kept[0].timeout_s == 5
    assert kept[1].url.endswith("t0ken")
    broker = yaml.safe_load(value(ruler, "events.mqtt"))
    assert put(ruler, {"events.mqtt": yaml.safe_dump([broker[0] | {"topic": "x"}])}).status_code == 200
    assert load(file).events.mqtt[0].password == "p4ss"
    assert all(
        secret not in ruler.get("/api/settings/history").text for secret in ("s3cret", "p4ss", "t0ken")
    )


def test_a_kept_password_never_goes_with_another_address(ruler: TestClient, file: Path) -> None:
    cameras = yaml.safe_load(value(ruler, "cameras"))
    cameras[0]["url"] = "rtsp://***@10.6.6.6/1"
    answer = put(ruler, {"cameras": yaml.safe_dump(cameras)})
    assert answer.status_code == 422 and "cameras.0.url: *** stands for" in answer.json()["detail"]
    broker = {"name": "house", "host": "elsewhere", "username": "u", "password": "***"}
    assert put(ruler, {"events.mqtt": yaml.safe_dump([broker])}).status_code == 422
    assert file.read_text() == HAND_WRITTEN


def test_every_version_is_kept_with_who_and_when_and_can_come_back(
    ruler: TestClient, file: Path, office: Office
) -> None:
    put(ruler, {"ring.slots": 8})
    put(ruler, {"ring.slots": 9})
    versions = ruler.get("/api/settings/history").json()
    assert [(v["by"], v["what"]) for v in versions] == [
        ("administrator", "ring.slots: 8 → 9"),
        ("administrator", "ring.slots: default → 8"),
        ("by hand", "as it was found"),
    ]
    assert versions[0]["difference"] == [" ring:", "-  slots: 8", "+  slots: 9"]
    revision = ruler.get("/api/settings").json()["revision"]
    by_hand = f"/api/settings/history/{versions[2]['version']}"
    assert ruler.post(f"{by_hand}?revision=older").status_code == 409
    assert ruler.post(f"{by_hand}?revision={revision}").status_code == 200
    assert file.read_text() == HAND_WRITTEN
    folder = file.with_name("site.yaml.history")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(each.stat().st_mode) for each in folder.iterdir()} == {0o600}
    with office.store.reading() as connection:
        said = connection.execute("SELECT action, detail FROM audit WHERE actor = 'administrator'").fetchall()
    assert [row[1] for row in said if row[0] == "changed settings"][-1] == "back to an earlier version"


def test_a_change_of_a_file_that_somebody_else_changed_is_refused(ruler: TestClient, file: Path) -> None:
    revision = ruler.get("/api/settings").json()["revision"]
    file.write_text(HAND_WRITTEN + "ring: {slots: 20}\n")
    answer = ruler.put("/api/settings", json={"revision": revision, "set": {"ring.slots": 8}})
    assert answer.status_code == 409 and "changed in the meantime" in answer.json()["detail"]
    assert load(file).ring.slots == 20


def test_without_a_file_settings_are_shown_and_not_changed(ruler: TestClient) -> None:
    answer = ruler.get("/api/settings").json()
    assert answer["file"] is None and len(answer["sections"]) == len(Settings.model_fields)
    assert put(ruler, {"ring.slots": 8}).status_code == 409


def test_what_waits_for_the_next_start_is_named(ruler: TestClient, file: Path) -> None:
    put(ruler, {"ring.slots": 8})
    assert "ring.slots" in ruler.get("/api/settings").json()["waits_for_start"]
    assert "ring.slots" not in ruler.get("/api/settings").json()["problem"]


SLOWLY_SAVED = """(plain => {
  window.fetch = async (path, options) => {
    const answer = await plain(path, options);
    if (options?.method === "PUT") await new Promise(done => setTimeout(done, 600));
    return answer;
  };
})(window.fetch)"""
"""The page hears late that it has saved: a check that still waits would come in between."""


def test_the_page_tells_a_bad_value_at_its_field_saves_a_good_one_and_takes_it_back(
    server: RunningServer, browser: Browser, file: Path, artefacts: Path
) -> None:
    page = server.open(browser, "/settings")
    page.wait_for("document.querySelectorAll('[data-path]').length > 40")
    edit = """(path, value) => {
      const field = document.querySelector(`[data-path="${path}"]`);
      field.value = value;
      field.dispatchEvent(new Event("input", { bubbles: true }));
      field.dispatchEvent(new Event("change", { bubbles: true }));
    }"""
    page.evaluate(f"({edit})('detection.min_face', '4')")
    sentence = page.wait_for("document.getElementById('detection.min_face-fault')?.textContent")
    assert "greater than or equal to 12" in sentence
    page.screenshot(artefacts / "settings-fault.png")
    page.evaluate(f"({edit})('detection.min_face', '32')")
    page.wait_for("document.getElementById('detection.min_face-fault').hidden")
    page.evaluate(SLOWLY_SAVED)
    page.evaluate(f"({edit})('detection.min_face', '32'); document.getElementById('save').click()")
    until(lambda: load(file).detection.min_face == 32, "the file says 32")
    page.wait_for("document.querySelectorAll('#history li').length === 2")
    assert page.evaluate("document.querySelectorAll('#messages .bad').length") == 0
    assert serious_findings(page) == []
    page.screenshot(artefacts / "settings.png")
    page.evaluate("document.querySelector('#history li:nth-child(2) button').click()")
    until(lambda: file.read_text() == HAND_WRITTEN, "the version before is back")
    assert page.problems == [] or "422" in json.dumps(page.problems)
    page.close()
    for theme, width in (("light", 1440), ("dark", 390)):
        page = server.open(browser, "/settings", width=width, height=844, phone=width == 390)
        page.evaluate(f"document.documentElement.dataset.theme = '{theme}'; true")
        page.wait_for("document.querySelectorAll('[data-path]').length > 40")
        assert serious_findings(page) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.screenshot(artefacts / f"settings-{theme}-{width}.png")
        page.close()
