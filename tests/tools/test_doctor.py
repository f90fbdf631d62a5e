"""`unvizard doctor` on this machine, with cameras that work and cameras that do not."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from rtsp_helpers import make_clip

from stream.config import Settings, parse
from tools.doctor import AREAS
from tools.doctor_checks.cameras import cameras
from tools.doctor_checks.configuration import configuration
from tools.doctor_checks.finding import Finding, Level
from tools.doctor_checks.network import network
from tools.doctor_checks.processor import memory
from tools.doctor_checks.storage import storage
from tools.rtsp_server import RtspServer

PASSWORD = "hidden@:word"


def doctor(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tools.cli", "doctor", *words],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        env={**os.environ, "COLUMNS": "500"},
    )


def site(tmp_path: Path, **more: Any) -> Settings:
    data = {
        "engines": {"cache": str(tmp_path / "engines")},
        "recognition": {"gallery": str(tmp_path / "gallery.sqlite3")},
        "signing": {"key": str(tmp_path / "signing.key")},
    }
    return parse({**data, **more}, "test")


@contextmanager
def port_in_use() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def only(findings: Iterator[Finding], check: str) -> Finding:
    (found,) = [finding for finding in findings if finding.check == check]
    return found


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A camera that asks for a password; gives its address with the right one."""
    clip = make_clip(tmp_path_factory.mktemp("doctor") / "clip.mp4", frames=50)
    with RtspServer(user="operator", password=PASSWORD, auth="digest") as server:
        server.add_file("/street", clip)
        yield server.url("/street", credentials=True)


def test_every_area_is_looked_at_and_a_working_site_has_no_fault(served: str, tmp_path: Path) -> None:
    file = tmp_path / "site.yaml"
    settings = site(tmp_path, cameras=[{"name": "street", "url": served}], display={"port": 0})
    file.write_text(yaml.safe_dump(settings.model_dump(mode="json")))
    file.chmod(0o600)
    done = doctor("--json", "--config", str(file))
    document = json.loads(done.stdout)
    faults = [finding for finding in document["findings"] if finding["level"] == "fault"]
    assert faults == []
    assert done.returncode == 0
    assert {finding["area"] for finding in document["findings"]} == {"Settings", *AREAS}
    street = next(finding for finding in document["findings"] if finding["check"] == "street")
    assert street["found"].startswith("H.264 320 x 240")
    assert "first key picture after" in street["found"]
    for finding in document["findings"]:
        assert (finding["level"] == "ok") == (finding["remedy"] == ""), finding


def test_a_fault_ends_with_1_and_no_password_is_ever_printed(served: str, tmp_path: Path) -> None:
    wrong = served.replace("hidden", "guessed")
    file = tmp_path / "site.yaml"
    settings = site(
        tmp_path,
        cameras=[
            {"name": "street", "url": served},
            {"name": "yard", "url": wrong},
            {"name": "gate", "url": f"rtsp://operator:hidden%40%3Aword@127.0.0.1:{closed_port()}/x"},
        ],
        events={
            "mqtt": [
                {"name": "hall", "host": "127.0.0.1", "port": closed_port(), "password": "brokers-word"},
            ],
            "web_hooks": [
                {"name": "desk", "url": f"http://me:hooks-word@127.0.0.1:{closed_port()}/", "secret": "seal"}
            ],
        },
    )
    file.write_text(yaml.safe_dump(settings.model_dump(mode="json")))
    file.chmod(0o644)
    for words in ([], ["--json"]):
        done = doctor(*words, "--config", str(file))
        assert done.returncode == 1
        said = done.stdout + done.stderr
        for secret in ("hidden", "guessed", "word", "seal"):
            assert secret not in said.replace("password", "").replace("passwords", "")
    levels = {finding["check"]: finding["level"] for finding in json.loads(done.stdout)["findings"]}
    assert (levels["street"], levels["yard"], levels["gate"]) == ("ok", "fault", "fault")
    assert (levels["broker hall"], levels["web hook desk"]) == ("warning", "warning")
    assert levels["settings"] == "warning"  # others can read the passwords in it


def test_a_wrong_path_is_told_from_a_wrong_password(served: str, tmp_path: Path) -> None:
    wrong = {"street": served.replace("/street", "/nowhere"), "yard": served.replace("hidden", "guessed")}
    settings = site(tmp_path, cameras=[{"name": name, "url": url} for name, url in wrong.items()])
    path, password = list(cameras(settings))
    assert "path" in path.remedy and "no stream at /nowhere" in path.found
    assert "password" in password.found


def test_settings_that_are_wrong_are_a_fault_and_the_machine_is_looked_at_all_the_same(
    tmp_path: Path,
) -> None:
    file = tmp_path / "site.yaml"
    file.write_text("detection:\n  min_fase: 40\n")
    settings, (about,) = configuration(file)
    assert settings == Settings()
    assert about.level is Level.FAULT
    assert "did you mean min_face?" in about.found


def test_a_port_in_use_is_a_fault_that_names_the_program(tmp_path: Path) -> None:
    with port_in_use() as port:
        found = only(network(site(tmp_path, display={"port": port})), "port of the live page")
    assert found.level is Level.FAULT
    assert f"process {os.getpid()}" in found.found
    freed = only(network(site(tmp_path, display={"port": port})), "port of the live page")
    assert freed.level is Level.OK


def test_a_folder_that_cannot_be_made_is_a_fault_and_nothing_is_left_in_the_others(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    settings = site(tmp_path, engines={"cache": str(tmp_path / "file" / "engines")})
    before = sorted(tmp_path.rglob("*"))
    findings = {finding.check: finding for finding in storage(settings)}
    assert findings["engines"].level is Level.FAULT
    assert "is a file" in findings["engines"].found
    assert findings["gallery"].level is Level.OK
    assert sorted(tmp_path.rglob("*")) == before


def test_footage_that_will_not_fit_on_the_disk_is_a_warning(tmp_path: Path) -> None:
    recording = {"mode": "continuous", "folder": str(tmp_path / "footage"), "keep_gb": 1e9}
    camera = {"name": "street", "url": "rtsp://192.0.2.1/street"}
    found = only(storage(site(tmp_path, recording=recording, cameras=[camera])), "recordings")
    assert found.level is Level.WARNING
    assert "keep_gb" in found.remedy


def test_more_frames_than_shared_memory_holds_are_a_fault(tmp_path: Path) -> None:
    many = [{"name": f"c{n}", "url": f"rtsp://192.0.2.1/{n}"} for n in range(400)]
    found = only(memory(site(tmp_path, cameras=many, ring={"slots": 256})), "shared memory")
    assert found.level is Level.FAULT
    assert "--shm-size" in found.remedy


def test_a_camera_that_accepts_and_says_nothing_is_given_up(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"rtsp://127.0.0.1:{listener.getsockname()[1]}/street"
        camera = {"name": "street", "url": url, "timeout_s": 0.5, "reader": "rtp"}
        (found,) = cameras(site(tmp_path, cameras=[camera]))
    assert found.level is Level.FAULT
    assert "did not answer" in found.found


def test_a_complaint_without_a_remedy_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="must have a remedy"):
        Finding("disk", Level.FAULT, "full")
    with pytest.raises(ValueError, match="must not have a remedy"):
        Finding("disk", Level.OK, "empty", "fill it")
