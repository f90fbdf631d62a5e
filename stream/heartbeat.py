"""A sign of life: a time stamp in shared memory for each stage, renewed by its main loop and read by the supervisor.

Beside it stands the number of the process, by which the overlay finds out how much memory each stage uses.
"""

from __future__ import annotations

import mmap
import os
import struct
import time
from pathlib import Path

_STAMP = struct.Struct("<q")
_PID_OFFSET = _STAMP.size
_SIZE = 2 * _STAMP.size


class Heartbeat:
    """The writing end."""

    def __init__(self, directory: Path, stage: str) -> None:
        handle = os.open(directory / f"{stage}.heartbeat", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.ftruncate(handle, _SIZE)
            self._memory = mmap.mmap(handle, _SIZE)
        finally:
            os.close(handle)
        _STAMP.pack_into(self._memory, _PID_OFFSET, os.getpid())
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
    beaten_ns = _STAMP.unpack_from(stamp)[0] if len(stamp) == _SIZE else 0
    # The file is there an instant before the first beat is in it.
    return max(0.0, (time.monotonic_ns() - beaten_ns) / 1e9) if beaten_ns else 0.0


def living_stages(directory: Path) -> dict[str, int]:
    """The process number of every stage that has begun to beat, by its name."""
    found = {}
    for path in sorted(directory.glob("*.heartbeat")):
        try:
            stamp = path.read_bytes()
        except OSError:
            continue
        if len(stamp) == _SIZE:
            found[path.stem] = _STAMP.unpack_from(stamp, _PID_OFFSET)[0]
    return found
