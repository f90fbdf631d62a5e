"""A real recording: two RTSP cameras, watched live by the whole pipeline with recording on."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from stream.archive.archive import Archive
from stream.config import parse
from stream.run_directory import RunDirectory
from stream.supervisor import Run, Supervisor
from tools.demo.clip import cached_clip
from tools.demo.enrolled import enrol
from tools.rtsp.server import RtspServer

CAMERAS = ("gate", "yard")
_LEAST_S = 3.0
_PATIENCE_S = 90.0


@dataclass(frozen=True)
class Recorded:
    """folder: of the recordings. gallery: of the people who were enrolled."""

    folder: Path
    gallery: Path


def record(root: Path) -> Recorded:
    """Watch until some seconds in which people are named are in the archive, and stop in order."""
    made = Recorded(root / "recordings", root / "gallery.sqlite3")
    enrol(parse({"recognition": {"gallery": str(made.gallery)}}, "test"))
    with RtspServer() as server, RunDirectory(root) as directory:
        for name in CAMERAS:
            server.add_file(f"/{name}", cached_clip())
        settings = parse(
            {
                "cameras": [{"name": name, "url": server.url(f"/{name}")} for name in CAMERAS],
                "recognition": {"gallery": str(made.gallery)},
                "display": {"port": 0},
                "accounts": {"sign_in": False, "store": str(root / "accounts.sqlite3")},
                "recording": {"mode": "continuous", "folder": str(made.folder), "segment_s": 10},
            },
            "test",
        )
        supervisor = Supervisor(Run(settings), directory, lambda stage, event: None)
        supervisor.start()
        try:
            deadline = time.monotonic() + _PATIENCE_S
            while not _enough(made.folder):
                assert supervisor.watch()
                assert time.monotonic() < deadline, "nothing was recorded in time"
                time.sleep(0.1)
        finally:
            assert supervisor.stop(), "a stage had to be killed"
    return made


def _enough(folder: Path) -> bool:
    """Whether some seconds of every camera have been processed and kept, and somebody was named on each."""
    if not (folder / "archive.sqlite3").exists():
        return False
    with Archive.open(folder) as archive:
        for camera in CAMERAS:
            frames = list(archive.frames(camera, 0, 1 << 62))
            if not frames or frames[-1].media_ns - frames[0].media_ns < _LEAST_S * 1e9:
                return False
            if not any(face.person for frame in frames for face in frame.faces):
                return False
    return True
