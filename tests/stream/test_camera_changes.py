"""Cameras come and go in a run that is on: real cameras, real processes, and the others do not notice."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stream.archive.archive import Archive
from stream.config import load
from stream.run_directory import RunDirectory
from stream.supervisor import INFERENCE, OVERLAY, RECORDER, WEB, Run, Supervisor
from tools.demo.clip import cached_clip
from tools.rtsp.server import RtspServer

PATIENCE_S = 60.0
SITE = """
cameras:
  - {{name: gate, url: "{url}", recording: continuous}}  # the one that must not notice
recognition: {{gallery: {folder}/gallery.sqlite3}}
recording: {{folder: {folder}/footage, segment_s: 3600, keep_free_gb: 0}}
display: {{port: 0}}
accounts: {{sign_in: false, store: {folder}/accounts.sqlite3}}
detection: {{detector: yunet, every_ms: 1000, min_face: 100}}
unmasking: {{enabled: false}}
"""


class Site:
    """A run with its pages, watched by a thread."""

    def __init__(self, config: Path, directory: Path, report: Path) -> None:
        self.url = ""
        self._end = threading.Event()
        self.supervisor = Supervisor(Run(load(config), config, report=report), directory, self._hear)
        self.supervisor.start()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _hear(self, stage: str, event: dict[str, Any]) -> None:
        if event["event"] == "ready":
            self.url = event["url"].rstrip("/")

    def _watch(self) -> None:
        while not self._end.wait(0.05):
            assert self.supervisor.watch()

    def ask(self, method: str, path: str, body: object = None) -> Any:
        request = urllib.request.Request(
            self.url + path,
            None if body is None else json.dumps(body).encode(),
            {"x-unvizard": "page", "content-type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def camera(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("GET", "/api/report")["cameras"].get(name, {})
        return found

    def recorded(self, name: str) -> int:
        return int((self.camera(name).get("recording") or {}).get("frames", 0))

    def stop(self) -> bool:
        self._end.set()
        self._thread.join()
        return self.supervisor.stop()


def eventually(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {PATIENCE_S} s: {what}"
        threading.Event().wait(0.1)


def test_a_camera_is_added_changed_and_removed_and_the_others_lose_nothing(tmp_path: Path) -> None:
    config, report = tmp_path / "site.yaml", tmp_path / "report.json"
    with RtspServer() as server, RunDirectory(tmp_path) as directory:
        for path in ("/gate", "/yard"):
            server.add_file(path, cached_clip())
        config.write_text(SITE.format(url=server.url("/gate"), folder=tmp_path))
        site = Site(config, directory, report)
        try:
            eventually(lambda: site.url and site.recorded("gate") > 25, "the first camera recorded")
            stages = {stage: site.supervisor.pid(stage) for stage in site.supervisor.names}
            assert set(stages) == {OVERLAY, WEB, INFERENCE, RECORDER, "capture-gate"}

            yard = {"name": "yard", "url": server.url("/yard"), "recording": "continuous"}
            site.ask("POST", "/api/cameras", yard)
            eventually(lambda: site.recorded("yard") > 25, "the second camera recorded")
            first = site.supervisor.pid("capture-yard")
            captured = site.camera("yard")["frames"]["captured"]

            site.ask("PUT", "/api/cameras/yard", {"transport": "udp", "recording": "off"})
            eventually(
                lambda: site.supervisor.pid("capture-yard") not in (first, None), "another capture process"
            )
            eventually(lambda: site.camera("yard")["frames"]["captured"] > captured + 10, "its frames")
            eventually(lambda: site.camera("yard")["recording"]["mode"] == "off", "no recording any more")

            site.ask("DELETE", "/api/cameras/yard")
            eventually(lambda: "capture-yard" not in site.supervisor.names, "its process to end")
            eventually(lambda: site.camera("yard")["state"] == "removed", "it to be gone")
            assert (
                not list(directory.glob("yard.*.ring"))
                and not (directory / "capture-yard.heartbeat").exists()
            )
            still = site.recorded("gate")
            eventually(lambda: site.recorded("gate") > still + 25, "the first camera recorded on")
            assert {stage: site.supervisor.pid(stage) for stage in site.supervisor.names} == stages
        finally:
            assert site.stop(), "a stage had to be killed"

    told = json.loads(report.read_text())["cameras"]
    for camera in told.values():
        frames = camera["frames"]
        assert frames["captured"] == frames["shown"] + sum(frames["skipped"].values()), camera
    assert told["gate"]["reconnections"] == 0 and told["gate"]["recording"]["dropped"] == {}
    assert "camera_removed" not in told["gate"]["frames"]["skipped"]
    with Archive.open(tmp_path / "footage") as archive:
        segments = archive.segments("gate", 0, 1 << 62)
        assert len(segments) == 1, "the file of the camera that stayed went on"
        assert len(archive.segments("yard", 0, 1 << 62)) == 1
    text = config.read_text()
    assert "yard" not in text and load(config).cameras[0].name == "gate"


def test_a_run_goes_on_without_any_camera_and_takes_one_in(tmp_path: Path) -> None:
    config, report = tmp_path / "site.yaml", tmp_path / "report.json"
    with RtspServer() as server, RunDirectory(tmp_path) as directory:
        server.add_file("/gate", cached_clip())
        config.write_text(SITE.format(url=server.url("/gate"), folder=tmp_path).replace("continuous", "off"))
        site = Site(config, directory, report)
        try:
            eventually(lambda: site.url and site.camera("gate")["frames"]["captured"] > 5, "the camera")
            site.ask("DELETE", "/api/cameras/gate")
            eventually(lambda: "capture-gate" not in site.supervisor.names, "its process to end")
            before = site.camera("gate")["frames"]["captured"]
            assert RECORDER not in site.supervisor.names
            again = {"name": "gate", "url": server.url("/gate"), "recording": "continuous"}
            site.ask("POST", "/api/cameras", again)
            eventually(lambda: site.recorded("gate") > 25, "it to be recorded, by a recorder that began now")
            assert site.camera("gate")["frames"]["captured"] > before + 25, "its frames are counted on"
            eventually(lambda: _frames_kept(tmp_path / "footage"), "what inference saw to be archived too")
        finally:
            assert site.stop(), "a stage had to be killed"
    frames = json.loads(report.read_text())["cameras"]["gate"]["frames"]
    assert frames["captured"] == frames["shown"] + sum(frames["skipped"].values())


def _frames_kept(folder: Path) -> bool:
    with Archive.open(folder) as archive:
        return any(True for _ in archive.frames("gate", 0, 1 << 62))
