"""One run from start to end, as a person at a terminal sees it: prepare, start, say where to look, stop cleanly."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from stream.log_lines import kept
from stream.run_directory import RunDirectory
from stream.supervisor import OVERLAY, WEB, Run, Supervisor

log = logging.getLogger(__name__)

_TICK_S = 0.1


def serve(run: Run, seconds: float | None = None, on_ready: Callable[[str], None] | None = None) -> bool:
    """Run until a signal (Ctrl-C, SIGTERM), the end of all sources, or `seconds` after the first picture.

    on_ready gets the address of the pages, once. Returns whether every stage stopped when it was told to. Raises
    Fault when a stage cannot work, and a person must mend something first.
    """
    first_picture_s: float | None = None
    told = False

    def listen(stage: str, event: dict[str, Any]) -> None:
        nonlocal first_picture_s, told
        if (stage, event["event"]) == (WEB, "ready") and on_ready and not told:
            told = True
            on_ready(event["url"])
        elif (stage, event["event"]) == (OVERLAY, "first_picture"):
            first_picture_s = time.monotonic()

    with _until_signal() as signalled, RunDirectory() as directory, kept(directory, "supervisor"):
        supervisor = Supervisor(run, directory, listen)
        supervisor.start()
        try:
            while supervisor.watch() and not signalled.wait(_TICK_S):
                if seconds and first_picture_s and time.monotonic() - first_picture_s >= seconds:
                    break
        finally:
            clean = supervisor.stop()
    return clean


@contextmanager
def _until_signal() -> Iterator[threading.Event]:
    """An event that Ctrl-C or SIGTERM sets; a second Ctrl-C does what it always does."""
    signalled = threading.Event()

    def handle(number: int, _: Any) -> None:
        signalled.set()
        signal.signal(signal.SIGINT, old[signal.SIGINT])

    old = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield signalled
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
