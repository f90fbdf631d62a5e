"""Starts the stages, starts them again when they die or hang, and stops them in the order in which frames flow.

Each stage is a process of its own (`python -m stream.stage`). It gets its job as one line of JSON on standard
input, which is never shown in a process list, and learns by that pipe that it shall stop, or that the
supervisor is gone. It tells the supervisor what it has to say in lines of JSON on standard output.
"""

from __future__ import annotations

import json
import logging
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from stream.bus import RESULTS, Outbox
from stream.config import Camera, Settings
from stream.fault import Fault
from stream.heartbeat import silence_s
from stream.messages import StageStatus
from stream.replay.selection import Selection
from stream.stage_process import StageProcess, environment, let_go, tell

log = logging.getLogger(__name__)

INFERENCE, OVERLAY, PLAYBACK, RECORDER, WEB = "inference", "overlay", "playback", "recorder", "web"
_HUNG_AFTER_S = 15.0  # building engines beats too, so only a stage that is stuck is this silent
_STOP_WITHIN_S = 8.0
_DIE_WITHIN_S = 2.0
_PAUSES_S = (0.0, 0.2, 0.5, 1.0, 2.0, 5.0)
_CALM_S = 10.0  # a stage that lived this long starts again at once


@dataclass(frozen=True, slots=True)
class Run:
    """What is to be run. Without `live`, no frame is skipped (replay); real_time then paces it.

    config: the file that the settings are from; the pages may change it.
    footage: what of a recordings folder is played in the place of cameras and inference.
    """

    settings: Settings
    config: Path | None = None
    live: bool = True
    real_time: bool = True
    report: Path | None = None
    output: Path | None = None
    footage: Selection | None = None


class Supervisor:
    """Runs a Run in a run directory. `on_event` is called, from threads, with what the stages say."""

    def __init__(self, run: Run, directory: Path, on_event: Callable[[str, dict[str, Any]], None]) -> None:
        self._directory = directory
        self._on_event = on_event
        self._stages: dict[str, StageProcess]
        self._wishes: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._run = run
        self._settings = run.settings if run.live else run.settings.without_recording()
        self._plan()

    def _plan(self) -> None:
        """The stages that there are to be, and their jobs."""
        self._stages, run, settings = {}, self._run, self._settings
        for stray in sorted(settings.unused_privacy_zones()) if run.live else ():
            log.warning("privacy.zones: no camera is named %r, so this zone covers nothing", stray)
        common = self._common()
        overlay = {"report": _text(run.report), "output": _text(run.output)}
        self._add(OVERLAY, {**common, **overlay})
        self._add(WEB, {**common, "config": _text(run.config), "live": run.live})
        if run.footage:
            footage = msgspec.to_builtins(run.footage)
            self._add(PLAYBACK, {**common, "footage": footage, "real_time": run.real_time})
            return
        if settings.recording_active:
            self._add(RECORDER, common)
        self._add(INFERENCE, common)
        for index, camera in enumerate(settings.cameras):
            self._add(_capture(camera), self._capture_job(index))

    def _common(self) -> dict[str, Any]:
        return {
            "directory": str(self._directory),
            "settings": self._settings.model_dump(mode="json"),
            "delivery": "newest" if self._run.live else "every",
        }

    def _capture_job(self, index: int) -> dict[str, Any]:
        return {**self._common(), "camera": index, "real_time": self._run.real_time}

    def _add(self, name: str, job: dict[str, Any]) -> StageProcess:
        self._stages[name] = stage = StageProcess(name, {**job, "kind": name.partition("-")[0], "name": name})
        return stage

    def start(self) -> None:
        """Start all stages."""
        for stage in self._stages.values():
            self._start(stage)

    def watch(self) -> bool:
        """Look after the stages once; call it some ten times a second. False when all captures have finished.

        Raises Fault when a stage cannot work from the start.
        """
        while not self._wishes.empty():
            self._wishes.get()()
        now = time.monotonic()
        for stage in list(self._stages.values()):
            self._watch(stage, now)
        captures = self._captures()  # live there may be none: they are added on the pages
        return not captures or not all(stage.finished for stage in captures)

    def _change(self, cameras: list[dict[str, Any]]) -> None:
        """Go on with these cameras: those that stay as they were notice nothing."""
        plain = {**self._settings.model_dump(mode="json"), "cameras": cameras}
        before = {camera.name: camera for camera in self._settings.cameras}
        self._settings = Settings.model_validate_json(json.dumps(plain))
        common = self._common()
        for name in (OVERLAY, RECORDER, INFERENCE, WEB):
            if stage := self._stages.get(name):
                stage.job |= common  # for the next time that it starts
                if name != WEB:  # which is where they come from
                    tell(stage, json.dumps(common["settings"]))
        if self._settings.recording_active and RECORDER not in self._stages:
            self._start(self._add(RECORDER, common))
        for index, camera in enumerate(self._settings.cameras):
            if camera != before.pop(camera.name, None):
                self._begin_capture(_capture(camera), self._capture_job(index))
        for gone in before.values():
            self._dismiss(self._stages[_capture(gone)], None)

    def _restart(self, settings: dict[str, Any]) -> None:
        """End all stages in order, the pages last, and go on with other settings. What cannot work with them is tried
        again and again, so that somebody can mend it on the pages.
        """
        log.info("all stages are started again, as somebody asked for on the pages")
        self.stop()
        before = self._stages
        self._settings = Settings.model_validate_json(json.dumps(settings))
        self._plan()
        for name, stage in self._stages.items():
            stage.restarts = 1 + (before[name].restarts if name in before else 0)
        self.start()

    def _begin_capture(self, name: str, job: dict[str, Any]) -> None:
        if stage := self._stages.get(name):
            self._dismiss(stage, {**stage.job, **job})
        else:
            self._start(self._add(name, job))

    def _dismiss(self, stage: StageProcess, next_job: dict[str, Any] | None) -> None:
        """Have a stage end without waiting for it; then it begins anew with another job, or is gone."""
        stage.next_job = next_job
        if stage.leaves_by_s is None:
            stage.leaves_by_s = time.monotonic() + _STOP_WITHIN_S
            tell(stage, "stop")

    def _see_off(self, stage: StageProcess, now: float) -> None:
        if stage.process and stage.process.poll() is None:
            if stage.leaves_by_s is not None and now >= stage.leaves_by_s:
                log.warning("%s did not stop within %.0f s: killed", stage.name, _STOP_WITHIN_S)
                stage.process.kill()
            return
        let_go(stage)
        if stage.next_job is None:
            del self._stages[stage.name]
            (self._directory / f"{stage.name}.heartbeat").unlink(missing_ok=True)
            return
        stage.job, stage.next_job, stage.leaves_by_s = stage.next_job, None, None
        stage.deaths, stage.finished = 0, False
        self._start(stage)

    def stop(self) -> bool:
        """Stop capture, then inference, then the recorder, then overlay and pages. False when one had to be killed."""
        clean = True
        others = [
            [self._stages[name]] for name in (INFERENCE, RECORDER, OVERLAY, WEB) if name in self._stages
        ]
        for group in (self._captures(), *others):
            for stage in group:
                tell(stage, "stop")
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

    def _captures(self) -> list[StageProcess]:
        return [stage for stage in self._stages.values() if _brings_frames(stage)]

    def _start(self, stage: StageProcess) -> None:
        (self._directory / f"{stage.name}.heartbeat").unlink(missing_ok=True)
        stage.process = subprocess.Popen(
            [sys.executable, "-m", "stream.stage"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(),
            start_new_session=True,  # Ctrl-C is for the supervisor, which stops the stages in order
        )
        stage.started_s, stage.fault = time.monotonic(), ""
        tell(stage, json.dumps(stage.job))
        stage.reader = threading.Thread(target=self._listen, args=(stage, stage.process), daemon=True)
        stage.reader.start()

    def _listen(self, stage: StageProcess, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            try:
                event = json.loads(line)
            except ValueError:
                log.info("%s: %s", stage.name, line.decode(errors="replace").rstrip())
                continue
            if stage.name == WEB and event["event"] in ("cameras", "restart"):
                wish = self._change if event["event"] == "cameras" else self._restart
                self._wishes.put(partial(wish, event["wanted"]))
                continue
            if event["event"] == "fault":
                stage.fault = event["detail"]
            self._on_event(stage.name, event)

    def _watch(self, stage: StageProcess, now: float) -> None:
        if stage.leaves_by_s is not None:
            self._see_off(stage, now)
            return
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

    def _await_end(self, stage: StageProcess, deadline: float) -> bool:
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
            let_go(stage)


def _capture(camera: Camera) -> str:
    return f"capture-{camera.name}"


def _brings_frames(stage: StageProcess) -> bool:
    return stage.name == PLAYBACK or stage.name.startswith("capture-")


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path.absolute())
