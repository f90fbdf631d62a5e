"""The process of one stage: reads its job, runs it, and stops when it is told to or when its parent is gone.

What it reads after its job is either the word to stop, or settings that hold from then on.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from stream.changes import Changes
from stream.config import Settings
from stream.fault import Fault
from stream.heartbeat import Heartbeat
from stream.log_lines import FORMAT, keep


def say(event: str, **values: Any) -> None:
    """Tell the supervisor something: one line of JSON."""
    sys.stdout.write(json.dumps({"event": event, **values}) + "\n")
    sys.stdout.flush()


def main() -> int:
    """Run the job on standard input; the exit status is 0 when it ended by itself or was told to stop.

    A Fault is told to the supervisor in its own words.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.basicConfig(level=logging.INFO, format=FORMAT)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs every request
    line = sys.stdin.readline()
    if not line:
        return 2
    job = json.loads(line)
    directory = Path(job["directory"])
    keep(directory, job["name"])
    stop, orphaned, changes = threading.Event(), threading.Event(), Changes()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    threading.Thread(target=_await_word, args=(stop, orphaned, changes), daemon=True).start()
    try:
        _run(job, directory, stop, changes)
    except Fault as fault:
        say("fault", detail=str(fault))
        return 1
    finally:
        if orphaned.is_set():
            shutil.rmtree(directory, ignore_errors=True)  # nobody else is left to do it
    return 0


def _run(job: dict[str, Any], directory: Path, stop: threading.Event, changes: Changes) -> None:
    """Each stage is imported only where it runs: capture needs no networks, inference no web server."""
    settings = Settings.model_validate_json(json.dumps(job["settings"]))
    beat = Heartbeat(directory, job["name"]).beat
    match job["kind"]:
        case "capture":
            from stream.capture import stage as capture

            capture.run(settings, job["camera"], directory, job["delivery"], job["real_time"], stop, beat)
        case "inference":
            from stream import inference_stage

            inference_stage.run(settings, directory, job["delivery"], stop, beat, changes)
        case "playback":
            from stream.replay import stage as replay
            from stream.replay.selection import Selection

            footage = Selection(**job["footage"])
            replay.run(settings, directory, footage, job["real_time"], stop, beat)
        case "recorder":
            from stream.recording import stage as recording

            os.nice(5)  # what is recorded can wait a moment in memory; the live view goes first
            recording.run(settings, directory, stop, beat, changes)
        case "overlay":
            from stream.display import stage as display

            report, output = (Path(job[key]) if job[key] else None for key in ("report", "output"))
            display.run(
                settings,
                directory,
                job["delivery"],
                report,
                output,
                stop,
                beat,
                lambda: say("first_picture"),
                changes,
            )
        case "web":
            from stream.web import stage as web

            web.run(
                settings,
                directory,
                stop,
                lambda url: say("ready", url=url),
                beat,
                Path(job["config"]) if job["config"] else None,
                (lambda cameras: say("cameras", wanted=cameras)) if job["live"] else None,
                (lambda settings: say("restart", wanted=settings)) if job["live"] else None,
            )
        case kind:
            raise ValueError(
                f"job.kind: must be capture, inference, recorder, playback, overlay or web, found {kind!r}"
            )


def _await_word(stop: threading.Event, orphaned: threading.Event, changes: Changes) -> None:
    while (line := sys.stdin.readline()) not in ("", "stop\n"):
        changes.put(Settings.model_validate_json(line))
    if not line:
        orphaned.set()
    stop.set()
    if orphaned.wait(0) and threading.main_thread().is_alive():
        # A stage that hangs with nobody to kill it must not stay for ever.
        threading.Event().wait(10)
        os._exit(3)


if __name__ == "__main__":
    sys.exit(main())
