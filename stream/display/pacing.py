"""Replay, where no frame may be skipped: capture waits until the overlay is done with the frames before.

A stage that dies takes frames with it that nobody will ever be done with, and capture would wait for ever. So
after a death the overlay says once, for each camera, that it is done with all frames captured until then.
"""

from __future__ import annotations

import json
from pathlib import Path

from stream.ledger import write_whole
from stream.messages import CameraStatus, FrameReady
from stream.ring import RingReader

_FILE = "pacing.json"


class Pacing:
    """Sets each ring's `consumed`. Which rings there are outlives this process in a file."""

    def __init__(self, rings: RingReader, directory: Path) -> None:
        self._rings = rings
        self._file = directory / _FILE
        self._names: dict[str, str] = {}
        self._lost: set[str] = set()
        if self._file.exists():
            self._names = json.loads(self._file.read_text())
            self.frames_may_be_lost()

    def done(self, frame: FrameReady) -> None:
        """This frame, and all of its camera before it, are done with."""
        if self._names.get(frame.camera) != frame.ring:
            self._names[frame.camera] = frame.ring
            write_whole(self._file, json.dumps(self._names).encode())
        self._consume(frame.camera, frame.sequence)

    def frames_may_be_lost(self) -> None:
        """A stage died: do not wait for the frames it may have had."""
        self._lost = set(self._names)

    def camera(self, status: CameraStatus) -> None:
        """A camera says how many frames it has captured."""
        if status.camera in self._lost:
            self._lost.discard(status.camera)
            self._consume(status.camera, status.captured)

    def _consume(self, camera: str, sequence: int) -> None:
        ring = self._rings.ring(camera, self._names[camera])
        if ring and ring.consumed < sequence:
            ring.consumed = sequence
