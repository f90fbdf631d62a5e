"""Events from a real camera through the real pipeline to a receiver, with the recorder killed in between."""

from __future__ import annotations

import base64
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from event_helpers import eventually, free_port, receiver
from PIL import Image

from stream.archive.archive import Archive, ArchiveError
from stream.config import Settings, parse
from stream.events.document import Event, from_json
from stream.run_directory import RunDirectory
from stream.supervisor import RECORDER, Run, Supervisor
from tools.demo.clip import cached_clip
from tools.demo.enrolled import enrol
from tools.rtsp.server import RtspServer


@contextmanager
def running(settings: Settings, root: Path) -> Iterator[Supervisor]:
    with RunDirectory(root) as directory:
        supervisor, end = Supervisor(Run(settings), directory, lambda stage, event: None), threading.Event()

        def watch() -> None:
            while not end.wait(0.05):
                supervisor.watch()

        supervisor.start()
        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield supervisor
        finally:
            end.set()
            thread.join()
            assert supervisor.stop(), "a stage had to be killed"


def test_a_person_at_a_camera_is_told_with_a_picture_although_the_recorder_was_killed(tmp_path: Path) -> None:
    port, footage = free_port(), tmp_path / "footage"
    with RtspServer() as camera:
        camera.add_file("/street", cached_clip())
        rule = {"name": "comes", "who": "person", "person": "barack obama", "snapshot": True}
        settings = parse(
            {
                "cameras": [{"name": "street", "url": camera.url("/street")}],
                "recognition": {"gallery": str(tmp_path / "gallery.sqlite3")},
                "display": {"port": 0},
                "accounts": {"sign_in": False, "store": str(tmp_path / "accounts.sqlite3")},
                "recording": {"folder": str(footage)},
                "events": {
                    "rules": [{**rule, "send_to": ["hook"]}],
                    "web_hooks": [{"name": "hook", "url": f"http://127.0.0.1:{port}/"}],
                },
            },
            "test",
        )
        enrol(settings)

        def kept() -> list[Event]:
            try:
                with Archive.open(footage) as archive:
                    return [from_json(each.data) for each in archive.events()]
            except ArchiveError:
                return []  # it is being made

        with running(settings, tmp_path) as supervisor:
            eventually(lambda: bool(kept()), "an event is in the archive", 60)
            first = supervisor.pid(RECORDER)
            assert first is not None
            os.kill(first, signal.SIGKILL)
            with receiver(port=port) as at:
                eventually(lambda: bool(at.taken), "delivered by the next recorder", 30)
                assert supervisor.pid(RECORDER) != first and supervisor.restarts(RECORDER) == 1
                told = at.taken[0]
    assert told["id"] == kept()[-1].id, "the one that the killed recorder had left"
    assert (told["rule"], told["camera"]) == ("comes", "street")
    assert told["sighting"]["person"] == "Barack Obama" and told["sighting"]["probability"] >= 0.9
    assert set(told["versions"]["engines"]) >= {"onet", "maskstate", "sface", "unmask"}
    with Image.open(BytesIO(base64.b64decode(told["snapshot"]["jpeg"]))) as picture:
        assert picture.format == "JPEG" and min(picture.size) >= 40
    assert len({event.id for event in kept()}) == len(kept()) == 1, (
        "the same person is not told twice in a minute"
    )
