"""Starts the stages, starts them again when they die or hang, and stops them in the order in which frames flow.

Each stage is a process of its own (`python -m stream.stage`). It gets its job as one line of JSON on standard
input, which is never shown in a process list, and learns by that pipe that it shall stop, or that the
supervisor is gone. It tells the supervisor what it has to say in lines of JSON on standard output.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from stream.bus import RESULTS, Outbox
from stream.config import Settings
from stream.fault import Fault
from stream.heartbeat import silence_s
from stream.messages import StageStatus
from stream.replay.selection import Selection

log = logging.getLogger(__name__)

INFERENCE, OVERLAY, PLAYBACK, RECORDER = "inference", "overlay", "playback", "recorder"
_HUNG_AFTER_S = 15.0  # building engines beats too, so only a stage that is stuck is this silent
_STOP_WITHIN_S = 8.0
_DIE_WITHIN_S = 2.0
_PAUSES_S = (0.0, 0.2, 0.5, 1.0, 2.0, 5.0)
_CALM_S = 10.0  # a stage that lived this long starts again at once


@dataclass(frozen=True, slots=True)
class Run:
    """What is to be run. Without `live`, no frame is skipped (replay); real_time then paces it.

    footage: what of a recordings folder is played in the place of cameras and inference.
    """

    settings: Settings
    live: bool = True
    real_time: bool = True
    report: Path | None = None
    output: Path | None = None
    footage: Selection | None = None


@dataclass(slots=True)
class _Stage:
    name: str
    job: dict[str, Any]
    process: subprocess.Popen[bytes] | None = None
    started_s: float = 0.0
    start_at_s: float = 0.0
    deaths: int = 0  # in a row
    restarts: int = 0
    finished: bool = False
    fault: str = ""  # why it cannot work, in its own words
    reader: threading.Thread | None = field(default=None, repr=False)


class Supervisor:
    """Runs a Run in a run directory. `on_event` is called, from threads, with what the stages say."""

    def __init__(self, run: Run, directory: Path, on_event: Callable[[str, dict[str, Any]], None]) -> None:
        self._directory = directory
        self._on_event = on_event
        self._stages: dict[str, _Stage] = {}
        settings = run.settings if run.live else run.settings.without_recording()
        common = {
            "directory": str(directory),
            "settings": settings.model_dump(mode="json"),
            "delivery": "newest" if run.live else "every",
        }
        overlay = {"report": _text(run.report), "output": _text(run.output)}
        self._add(OVERLAY, {**common, **overlay})
        if run.footage:
            footage = msgspec.to_builtins(run.footage)
            self._add(PLAYBACK, {**common, "footage": footage, "real_time": run.real_time})
            return
        if settings.recording_active:
            self._add(RECORDER, common)
        self._add(INFERENCE, common)
        for index, camera in enumerate(run.settings.cameras):
            self._add(f"capture-{camera.name}", {**common, "camera": index, "real_time": run.real_time})

    def _add(self, name: str, job: dict[str, Any]) -> None:
        self._stages[name] = _Stage(name, {**job, "kind": name.partition("-")[0], "name": name})

    def start(self) -> None:
        """Start all stages."""
        for stage in self._stages.values():
            self._start(stage)

    def watch(self) -> bool:
        """Look after the stages once; call it some ten times a second. False when all captures have finished.

        Raises Fault when a stage cannot work from the start.
        """
        now = time.monotonic()
        for stage in self._stages.values():
            self._watch(stage, now)
        return not all(stage.finished for stage in self._captures())

    def stop(self) -> bool:
        """Stop capture, then inference, then the recorder, then overlay. False when one had to be killed."""
        clean = True
        others = [[self._stages[name]] for name in (INFERENCE, RECORDER, OVERLAY) if name in self._stages]
        for group in (self._captures(), *others):
            for stage in group:
                _tell(stage, "stop")
            deadline = time.monotonic() + _STOP_WITHIN_S
            for stage in group:
                clean &= self._await_end(stage, deadline)
        return clean

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all stages."""
        return tuple(self._stages)

    def pid(self, name: str) -> int | None:
        """The process of a stage, while it lives."""
        process = self._stages[name].process
        return process.pid if process and process.poll() is None else None

    def restarts(self, name: str) -> int:
        """How often a stage had to be started again."""
        return self._stages[name].restarts

    def _captures(self) -> list[_Stage]:
        return [stage for stage in self._stages.values() if _brings_frames(stage)]

    def _start(self, stage: _Stage) -> None:
        (self._directory / f"{stage.name}.heartbeat").unlink(missing_ok=True)
        stage.process = subprocess.Popen(
            [sys.executable, "-m", "stream.stage"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=_environment(),
            start_new_session=True,  # Ctrl-C is for the supervisor, which stops the stages in order
        )
        stage.started_s, stage.fault = time.monotonic(), ""
        _tell(stage, json.dumps(stage.job))
        stage.reader = threading.Thread(target=self._listen, args=(stage, stage.process), daemon=True)
        stage.reader.start()

    def _listen(self, stage: _Stage, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            try:
                event = json.loads(line)
            except ValueError:
                log.info("%s: %s", stage.name, line.decode(errors="replace").rstrip())
                continue
            if event["event"] == "fault":
                stage.fault = event["detail"]
            self._on_event(stage.name, event)

    def _watch(self, stage: _Stage, now: float) -> None:
        if stage.finished:
            return
        if stage.process is None:
            if now >= stage.start_at_s:
                self._start(stage)
            return
        code = stage.process.poll()
        if code is None:
            if silence_s(self._directory, stage.name) > _HUNG_AFTER_S:
                log.warning("%s hangs: killed", stage.name)
                stage.process.kill()
            return
        if code == 0 and _brings_frames(stage):
            stage.finished = True
            return
        if stage.reader:
            stage.reader.join(1.0)  # its last words
        if stage.fault and not stage.restarts:
            raise Fault(stage.fault)  # it never worked, so starting it again would not help
        stage.deaths = 1 if now - stage.started_s > _CALM_S else stage.deaths + 1
        pause = _PAUSES_S[min(stage.deaths, len(_PAUSES_S)) - 1]
        stage.process, stage.start_at_s = None, now + pause
        stage.restarts += 1
        reason = stage.fault or f"it ended unexpectedly, exit status {code}"
        detail = f"{stage.name} is started again: {reason}"
        log.warning("%s", detail)
        outbox = Outbox(self._directory, RESULTS)
        outbox.send(StageStatus(stage=stage.name, restarts=stage.restarts, detail=detail))
        outbox.close()

    def _await_end(self, stage: _Stage, deadline: float) -> bool:
        if stage.process is None:
            return True
        try:
            stage.process.wait(max(0.1, deadline - time.monotonic()))
            return True
        except subprocess.TimeoutExpired:
            log.warning("%s did not stop within %.0f s: killed", stage.name, _STOP_WITHIN_S)
            stage.process.kill()
            with suppress(
                subprocess.TimeoutExpired
            ):  # one that waits for a dead disk dies when the disk lets it
                stage.process.wait(_DIE_WITHIN_S)
            return False
        finally:
            if stage.reader:
                stage.reader.join(1.0)
            for pipe in (stage.process.stdin, stage.process.stdout):
                if pipe:
                    with suppress(OSError):
                        pipe.close()


def _brings_frames(stage: _Stage) -> bool:
    return stage.name == PLAYBACK or stage.name.startswith("capture-")


def _tell(stage: _Stage, line: str) -> None:
    if stage.process is None or stage.process.stdin is None:
        return
    with suppress(BrokenPipeError, ValueError):  # it has just died: `watch` sees to it
        stage.process.stdin.write(line.encode() + b"\n")
        stage.process.stdin.flush()


def _environment() -> dict[str, str]:
    """Thread pools that wait politely: stages share the cores, and spinning threads starve the others."""
    calm = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    return {**os.environ, **calm, "PYTHONUNBUFFERED": "1"}


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path.absolute())
