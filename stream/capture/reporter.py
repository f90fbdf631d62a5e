"""Tells the overlay how a camera does: on every change, and once a second."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path
from typing import Any

import msgspec

from stream.bus import RESULTS, Outbox
from stream.capture.counter import Counter
from stream.messages import CameraState, CameraStatus

log = logging.getLogger(__name__)

_PERIOD_S = 1.0
_WORKING = {CameraState.RUNNING, CameraState.ENDED}


class Reporter:
    """Sends from a thread of its own, so that it also speaks while a camera is silent."""

    def __init__(self, directory: Path, camera: str, source: str, counter: Counter) -> None:
        self._directory, self._counter = directory, counter
        self._status = CameraStatus(
            camera=camera,
            state=CameraState.CONNECTING,
            since_wall_ns=time.time_ns(),
            detail="",
            captured=counter.sequence,
            source=source,
        )
        self._changed = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="status", daemon=True)
        self._thread.start()

    @property
    def state(self) -> CameraState:
        """What was said last."""
        return self._status.state

    def update(self, state: CameraState, detail: str = "", **values: Any) -> None:
        """Say how the camera does. since_wall_ns changes when pictures begin or cease, not with every attempt."""
        old = self._status
        began_or_ceased = state != old.state and (state in _WORKING or old.state in _WORKING)
        since = time.time_ns() if began_or_ceased else old.since_wall_ns
        self._status = msgspec.structs.replace(old, state=state, detail=detail, since_wall_ns=since, **values)
        if (state, detail) != (old.state, old.detail):
            level = logging.INFO if state in _WORKING else logging.WARNING
            log.log(level, "%s: %s%s", old.camera, state.value, f": {detail}" if detail else "")
            self._changed.set()

    def close(self) -> None:
        """Send what was said last, and stop."""
        self._closing = True
        self._changed.set()
        self._thread.join()

    def _run(self) -> None:
        outbox = Outbox(self._directory, RESULTS)
        counted, then, fps = self._counter.sequence, time.monotonic(), 0.0
        while True:
            last = self._closing  # looked at before the status, which then is the final one
            now, captured = time.monotonic(), self._counter.sequence
            if now - then >= _PERIOD_S:
                fps = round((captured - counted) / (now - then), 1)
                counted, then = captured, now
            status = self._status
            running = status.state is CameraState.RUNNING
            outbox.send(msgspec.structs.replace(status, captured=captured, fps=fps if running else 0.0))
            if last:
                break
            self._changed.wait(_PERIOD_S)
            self._changed.clear()
        outbox.close()
