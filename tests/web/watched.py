"""A real run with a real camera, looked after as `unvizard run` does, and its pages without signing in."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from offices import settings as make_settings

from stream.run_directory import RunDirectory
from stream.supervisor import Run, Supervisor
from tools.browser import until
from tools.demo.clip import cached_clip
from tools.rtsp.server import RtspServer

PATIENCE_S = 90


class Watched:
    """A run with the camera "gate", and somebody who looks after it."""

    def __init__(self, run: Run, directory: Path) -> None:
        self.directory, self.url = directory, ""
        self._end = threading.Event()
        self.supervisor = Supervisor(run, directory, self._listen)
        self.supervisor.start()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        until(lambda: self.url, "the pages", PATIENCE_S)
        self.client = httpx.Client(base_url=self.url, timeout=20, headers={"x-unvizard": "page"})

    def _listen(self, stage: str, event: dict[str, Any]) -> None:
        if event["event"] == "ready":
            self.url = event["url"]

    def _watch(self) -> None:
        while not self._end.wait(0.1):
            self.supervisor.watch()

    def close(self) -> None:
        self._end.set()
        self._thread.join()
        self.client.close()
        self.supervisor.stop()


@contextmanager
def watched_run(folder: Path, **sections: dict[str, Any]) -> Iterator[Watched]:
    """A run in a folder until the block ends. sections: settings beside the camera's."""
    with (
        RtspServer(user="viewer", password="pa55word", auth="digest") as server,
        RunDirectory(folder) as directory,
    ):
        server.add_file("/gate", cached_clip())
        settings = make_settings(
            folder,
            cameras=[{"name": "gate", "url": server.url("/gate", credentials=True)}],
            accounts={"sign_in": False},
            **sections,
        )
        watched = Watched(Run(settings), directory)
        try:
            yield watched
        finally:
            watched.close()
