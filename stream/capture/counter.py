"""How far a camera has come: shared memory that outlives the capture process, so that no number is given twice."""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path

_FIELD = struct.Struct("<q")
_FIELDS = 4


class Counter:
    """The numbers of one camera in a run's directory. Every change is there at once, even for a process killed next.

    sequence: of the newest frame. rings: rings made so far. media_ns, received_ns: of the newest frame, which
    tie the camera's time line to the monotonic clock across reconnections.
    """

    def __init__(self, directory: Path, camera: str) -> None:
        handle = os.open(directory / f"{camera}.sequence", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.ftruncate(handle, _FIELD.size * _FIELDS)
            self._memory = mmap.mmap(handle, _FIELD.size * _FIELDS)
        finally:
            os.close(handle)

    @property
    def sequence(self) -> int:
        """Of the newest frame; 0 before the first."""
        return self._get(0)

    @property
    def rings(self) -> int:
        """Rings made so far."""
        return self._get(1)

    @property
    def media_ns(self) -> int:
        """The newest frame's place on the time line."""
        return self._get(2)

    @property
    def received_ns(self) -> int:
        """When the newest frame had come (monotonic)."""
        return self._get(3)

    def next_ring(self) -> int:
        """The number of a new ring."""
        self._put(1, self.rings + 1)
        return self.rings

    def next_frame(self, media_ns: int, received_ns: int) -> int:
        """The sequence of a new frame. The sequence is written last: it counts a frame whose times are there."""
        self._put(2, media_ns)
        self._put(3, received_ns)
        self._put(0, self.sequence + 1)
        return self.sequence

    def close(self) -> None:
        """Let go of the memory; the file stays."""
        self._memory.close()

    def _get(self, field: int) -> int:
        value: int = _FIELD.unpack_from(self._memory, field * _FIELD.size)[0]
        return value

    def _put(self, field: int, value: int) -> None:
        _FIELD.pack_into(self._memory, field * _FIELD.size, value)
