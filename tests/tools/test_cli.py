"""The command line: what it says to bad input, and that Ctrl-C leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from stream.run_directory import shared_memory_root
from tools.demo.clip import cached_clip


def unvizard(*words: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tools.cli", *words],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env={**os.environ, "COLUMNS": "500"},
    )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["run"],
            "no camera: name one as rtsp://user:password@host/path, or give --config with cameras in it",
        ),
        (
            ["run", "http://user:secret@camera/stream"],
            "command line: cameras.0.url: must begin with rtsp://, rtsps://, webcam: or be a file, "
            "found 'http://***@camera/stream'",
        ),
        (
            ["run", "rtsp://user:secret@:554/stream"],
            "command line: cameras.0.url: must name a host, found 'rtsp://***@:554/stream'",
        ),
        (
            ["run", "rtsp://camera/a", "--transport", "sctp"],
            "command line: cameras.0.transport: input should be 'tcp' or 'udp', found 'sctp'",
        ),
        (["run", "rtsp://camera/a", "--seconds", "-1"], "--seconds: must be above 0, found -1"),
        (["replay", "nowhere.mp4"], "nowhere.mp4: must be a file or a folder of recordings that exists"),
    ],
)
def test_bad_input_ends_the_command_with_one_sentence(words: list[str], sentence: str) -> None:
    done = unvizard(*words)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "secret" not in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def test_a_misspelt_key_in_the_settings_is_named_with_the_right_one(tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text("detection:\n  min_fase: 40\n")
    done = unvizard("run", "--config", str(site))
    assert done.returncode == 2
    assert f"{site}: detection.min_fase: unknown key; did you mean min_face?" in done.stderr


def test_a_file_that_is_no_video_is_refused_before_anything_starts(tmp_path: Path) -> None:
    text = tmp_path / "notes.mp4"
    text.write_text("this is no video\n" * 100)
    done = unvizard("replay", str(text))
    assert done.returncode == 2
    assert "notes.mp4" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_gallery_that_cannot_be_read_ends_the_run_with_one_sentence_and_is_let_be(tmp_path: Path) -> None:
    gallery = tmp_path / "gallery.sqlite3"
    gallery.write_text("these are no people\n" * 100)
    site = tmp_path / "site.yaml"
    site.write_text(f"recognition:\n  gallery: {gallery}\n{_accounts(tmp_path)}")
    done = unvizard("run", str(cached_clip()), "--config", str(site), "--port", "0")
    assert done.returncode == 1
    assert str(gallery) in done.stderr
    assert "Traceback" not in done.stderr
    assert gallery.read_text().startswith("these are no people")


def test_a_port_that_is_taken_ends_the_run_with_one_sentence(tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(f"recognition:\n  gallery: {tmp_path / 'gallery.sqlite3'}\n{_accounts(tmp_path)}")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = unvizard("run", str(cached_clip()), "--config", str(site), "--port", port)
    assert done.returncode == 1
    assert f"display.port: must be free, or 0 for any, found {port} at 127.0.0.1" in done.stderr
    assert "Traceback" not in done.stderr


def test_recordings_of_one_name_get_names_that_differ(tmp_path: Path) -> None:
    done = unvizard("run", "a/door.mp4", "b/door.mp4", "rtsp://u:p@127.0.0.1:1/x", "--port", "99999")
    assert "cameras: names must differ" not in done.stderr
    assert "display.port: input should be less than or equal to 65535, found 99999" in done.stderr


def test_ctrl_c_stops_the_demo_and_leaves_no_process_port_or_shared_memory(tmp_path: Path) -> None:
    cached_clip()
    before = set(shared_memory_root().glob("unvizard-*"))
    demo = subprocess.Popen(
        [sys.executable, "-m", "tools.cli", "demo", "--port", "0", "--report", str(tmp_path / "report.json")],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "500"},
    )
    try:
        assert demo.stderr is not None
        url = ""
        for line in demo.stderr:
            if "Live page:" in line:
                url = line.split("Live page:")[1].split()[0]
                break
        assert url, "the address of the live page was not printed"
        until = time.monotonic() + 60
        shown = 0
        while not shown:
            assert time.monotonic() < until, "no picture was shown"
            with urllib.request.urlopen(url.rstrip("/") + "/api/report", timeout=5) as answer:
                shown = json.load(answer)["cameras"]["street"]["frames"]["shown"]
        stages = _children(demo.pid)
        assert len(stages) == 4
        demo.send_signal(signal.SIGINT)
        demo.communicate(timeout=30)
        assert demo.returncode == 0
    finally:
        demo.kill()
        demo.wait()
    assert not [pid for pid in stages if Path(f"/proc/{pid}").exists()]
    assert set(shared_memory_root().glob("unvizard-*")) <= before
    with pytest.raises(OSError):
        urllib.request.urlopen(url, timeout=2)
    assert (tmp_path / "report.json").exists()


def test_when_the_supervisor_is_killed_its_stages_end_and_take_the_shared_memory_with_them(
    tmp_path: Path,
) -> None:
    clip = cached_clip()
    before = set(shared_memory_root().glob("unvizard-*"))
    site = tmp_path / "site.yaml"
    site.write_text(f"recognition:\n  gallery: {tmp_path / 'gallery.sqlite3'}\n{_accounts(tmp_path)}")
    run = subprocess.Popen(
        [sys.executable, "-m", "tools.cli", "run", str(clip), "--config", str(site), "--port", "0"],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert run.stderr is not None
        for line in run.stderr:
            if "Live page:" in line:
                break
        stages = _children(run.pid)
        assert len(stages) == 4
    finally:
        run.kill()
        run.wait()
        run.stderr.close()
    until = time.monotonic() + 20
    while [pid for pid in stages if Path(f"/proc/{pid}").exists()] or set(
        shared_memory_root().glob("unvizard-*")
    ) - before:
        assert time.monotonic() < until, "something was left behind"


def _accounts(folder: Path) -> str:
    return f"accounts:\n  sign_in: false\n  store: {folder / 'accounts.sqlite3'}\n"


def _children(pid: int) -> list[int]:
    return [
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in (task / "children").read_text().split()
    ]
