"""All stages are started again from the pages of a real run, so that settings take effect."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from offices import serious_findings
from starlette.testclient import TestClient
from watched import PATIENCE_S, Watched

from stream.config import load
from stream.run_directory import RunDirectory
from stream.supervisor import Run
from stream.web.journal import Filter, Journal
from stream.web.office import Office
from stream.web.restarting import Restart
from stream.web.settings_file import SettingsFile
from stream.web.store import Store
from tools.browser import Browser, until
from tools.demo.clip import cached_clip
from tools.rtsp.server import RtspServer

Client = Callable[..., TestClient]


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """A run with a settings file, whose camera is in it."""
    folder = tmp_path_factory.mktemp("restart")
    with RtspServer() as server, RunDirectory(folder) as directory:
        server.add_file("/gate", cached_clip())
        config = folder / "site.yaml"
        values: dict[str, Any] = {
            "cameras": [{"name": "gate", "url": server.url("/gate")}],
            "display": {"port": 0},
            "recognition": {"gallery": str(folder / "gallery.sqlite3"), "every_ms": 500},
            "recording": {"folder": str(folder / "recordings")},
            "signing": {"key": str(folder / "signing.key")},
            "accounts": {"store": str(folder / "accounts.sqlite3"), "sign_in": False},
        }
        config.write_text(yaml.safe_dump(values))
        made = Watched(Run(load(config), config), directory)
        with closing(made):
            yield made


def asked(watched: Watched, path: str) -> dict[str, Any]:
    """The answer, once the pages are there again."""

    def answer() -> Any:
        try:
            return watched.client.get(path).raise_for_status().json()
        except httpx.HTTPError:
            return None

    found: dict[str, Any] = until(answer, path, PATIENCE_S)
    return found


def ready(watched: Watched) -> bool:
    return bool(asked(watched, "/api/health")["ready"])


def pids(watched: Watched) -> dict[str, int | None]:
    return {name: watched.supervisor.pid(name) for name in watched.supervisor.names}


def saved(watched: Watched, **values: Any) -> None:
    revision = asked(watched, "/api/settings")["revision"]
    change = {"revision": revision, "set": {path.replace("__", "."): value for path, value in values.items()}}
    watched.client.put("/api/settings", json=change).raise_for_status()


def test_a_restart_brings_saved_settings_into_effect_and_everything_speaks_again(watched: Watched) -> None:
    until(lambda: ready(watched), "every stage", PATIENCE_S)
    before, first = pids(watched), asked(watched, "/api/restart")
    assert first["possible"] and first["takes_effect"] == []
    assert set(before) == {"overlay", "web", "inference", "capture-gate"}
    saved(watched, recognition__every_ms=700, display__port=1, recording__mode="continuous")
    told = asked(watched, "/api/restart")
    assert sorted(told["takes_effect"]) == ["recognition.every_ms", "recording.mode"]
    assert watched.client.post("/api/restart").status_code == 202
    until(
        lambda: asked(watched, "/api/restart")["instance"] != first["instance"], "another process", PATIENCE_S
    )
    until(lambda: ready(watched), "every stage again", PATIENCE_S)
    after = pids(watched)
    assert set(after) == {*before, "recorder"}, "recording was off before"
    assert not set(after.values()) & set(before.values()) and None not in after.values()
    for pid in before.values():
        assert pid is not None
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert asked(watched, "/api/restart")["takes_effect"] == []
    settings = asked(watched, "/api/settings")
    assert settings["waits_for_start"] == ["display.port"], "the pages stay where they are"
    report = asked(watched, "/api/report")["cameras"]["gate"]
    assert report["recording"]["mode"] == "continuous"
    shown = report["frames"]["shown"]
    until(lambda: asked(watched, "/api/report")["cameras"]["gate"]["frames"]["shown"] > shown, "pictures", 30)
    with Store(watched.directory.parent / "accounts.sqlite3") as store:
        (line,) = Journal(store).entries(Filter(action="restarted"))
    assert line.actor == "local" and set(line.detail.removeprefix("all stages; ").split(", ")) == {
        "recording.mode",
        "recognition.every_ms",
    }


def test_a_restart_with_settings_that_cannot_work_is_mended_on_the_pages(
    watched: Watched, browser: Browser, tmp_path: Path
) -> None:
    instance = asked(watched, "/api/restart")["instance"]
    good = asked(watched, "/api/settings")
    gallery = next(
        field["value"]
        for section in good["sections"]
        for field in section["fields"]
        if field["path"] == "recognition.gallery"
    )
    saved(watched, recognition__gallery=str(tmp_path))  # a folder
    watched.client.post("/api/restart").raise_for_status()
    until(lambda: asked(watched, "/api/restart")["instance"] != instance, "another process", PATIENCE_S)
    page = browser.open(f"{watched.url}settings")
    page.wait_for("document.getElementById('restart')?.hidden === false")

    def told() -> int:
        stages = {each["name"]: each["restarts"] for each in asked(watched, "/api/health")["stages"]}
        return int(stages.get("inference", 0))

    until(lambda: told() > 2, "inference to be tried again", PATIENCE_S)
    page.click("#restart")
    page.wait_for("!!document.querySelector('dialog.confirm[open]')")
    page.click("dialog.confirm button[value=yes]")
    status = "document.getElementById('restarting').textContent"
    until(lambda: page.evaluate(f"{status}.startsWith('inference did not bear it')"), "the truth", PATIENCE_S)
    page.close()
    instance = asked(watched, "/api/restart")["instance"]
    saved(watched, recognition__gallery=gallery)
    watched.client.post("/api/restart").raise_for_status()
    until(lambda: asked(watched, "/api/restart")["instance"] != instance, "another process", PATIENCE_S)
    until(lambda: ready(watched), "every stage again", PATIENCE_S)


def test_the_page_asks_once_more_and_says_what_happens_until_all_speaks_again(
    watched: Watched, browser: Browser, artefacts: Path
) -> None:
    saved(watched, recognition__every_ms=900, display__port=1)
    page = browser.open(f"{watched.url}settings", width=1280, height=900)
    page.wait_for("document.getElementById('restart')?.hidden === false")
    said = "document.getElementById('waiting').textContent"
    assert "when the stages are started again: recognition.every_ms." in page.evaluate(said)
    assert "when Unvizard itself is started the next time: display.port." in page.evaluate(said)
    page.click("#restart")
    page.wait_for("!!document.querySelector('dialog.confirm[open]')")
    assert "In effect afterwards: recognition.every_ms." in page.evaluate(
        "document.querySelector('dialog.confirm').textContent"
    )
    assert serious_findings(page) == []
    page.screenshot(artefacts / "pages" / "restart-asks.png")
    before = pids(watched)
    page.click("dialog.confirm button[value=no]")
    page.wait_for("!document.querySelector('dialog.confirm')")
    assert pids(watched) == before and page.evaluate("document.getElementById('restarting').hidden")
    page.click("#restart")
    page.wait_for("!!document.querySelector('dialog.confirm[open]')")
    page.click("dialog.confirm button[value=yes]")
    status = "document.getElementById('restarting').textContent"
    page.wait_for(f"{status}.startsWith('Cameras, networks, recorder and pictures are being stopped')")
    page.screenshot(artefacts / "pages" / "restart-goes-on.png")
    until(lambda: not page.evaluate("document.getElementById('restart').disabled"), "the end", PATIENCE_S)
    assert page.evaluate(status).startswith("All stages speak again, after "), page.evaluate(status)
    until(lambda: "recognition.every_ms" not in page.evaluate(said), "the new settings", 30)
    page.screenshot(artefacts / "pages" / "restart-done.png")
    assert all("ERR_" in problem or "502" in problem or "503" in problem for problem in page.problems)
    page.close()


def test_the_settings_of_a_restart_are_the_file_s_with_the_cameras_of_the_command_line(
    opened: tuple[Office, object], tmp_path: Path
) -> None:
    office, _ = opened
    path = tmp_path / "site.yaml"
    path.write_text("cameras: [{name: gate, url: 'rtsp://127.0.0.1:1/gate'}]\n")
    office.settings_file = SettingsFile(path)
    told: list[dict[str, Any]] = []
    restart = Restart(office, told.append)
    path.write_text(
        "cameras: [{name: door, url: 'rtsp://127.0.0.1:1/door'}]\n"
        "display: {port: 5, jpeg_quality: 70}\naccounts: {two_persons: true, sign_in: true, store: /nowhere/x}\n"
    )
    wanted = restart.settings()
    assert [camera.name for camera in wanted.cameras] == ["door", "yard"], "gate was taken out of the file"
    running = office.settings
    assert (wanted.display.port, wanted.accounts.store) == (running.display.port, running.accounts.store)
    assert wanted.accounts.two_persons and not running.accounts.two_persons


def test_what_cannot_be_started_again_says_why_and_nothing_is_written_down(
    client: Client, office: Office, tmp_path: Path
) -> None:
    boss = client("administrator")
    answer = boss.post("/api/restart")
    assert (answer.status_code, answer.json()["detail"]) == (
        409,
        "a recording is being played: it ends by itself",
    )
    assert boss.get("/api/restart").json()["possible"] is False
    told: list[dict[str, Any]] = []
    path = tmp_path / "site.yaml"
    path.write_text("detection: {every: soon}\n")
    office.settings_file = SettingsFile(path)
    boss.app.state.restart = Restart(office, told.append)  # type: ignore[attr-defined]
    answer = boss.post("/api/restart")
    assert answer.status_code == 409 and "detection" in answer.json()["detail"]
    assert told == [] and office.journal.entries(Filter(action="restarted")) == ()
    path.write_text("recognition: {every_ms: 800}\n")
    assert boss.post("/api/restart").status_code == 202
    again = boss.post("/api/restart")
    assert (again.status_code, again.json()["detail"]) == (409, "the stages are being started again already")
    assert len(told) == 1 and told[0]["recognition"]["every_ms"] == 800
