"""A sign of life: eight bytes of shared memory a stage, stamped by its main loop and read by the supervisor."""

from __future__ import annotations

import mmap
import os
import struct
import time
from pathlib import Path

_STAMP = struct.Struct("<q")


class Heartbeat:
    """The writing end."""

    def __init__(self, directory: Path, stage: str) -> None:
        handle = os.open(directory / f"{stage}.heartbeat", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.ftruncate(handle, _STAMP.size)
            self._memory = mmap.mmap(handle, _STAMP.size)
        finally:
            os.close(handle)
        self.beat()

    def beat(self) -> None:
        """Say that the main loop goes round."""
        _STAMP.pack_into(self._memory, 0, time.monotonic_ns())


def silence_s(directory: Path, stage: str) -> float:
    """Seconds since the last beat; 0 when the stage has not begun to beat."""
    try:
        stamp = (directory / f"{stage}.heartbeat").read_bytes()
    except OSError:
        return 0.0
    if len(stamp) < _STAMP.size:
        return 0.0
    return max(0.0, (time.monotonic_ns() - _STAMP.unpack(stamp)[0]) / 1e9)
