"""The shared-memory frame ring: one writer (capture), any number of readers, no locks.

A ring is a file in the run's directory (in /dev/shm, so it is memory): a header, then `slots` equal slots of
one I420 picture each. The writer goes round; a reader copies a picture out and looks at the slot's generation
before and after (a *seqlock*): had the writer come round meanwhile, the copy is thrown away. So a reader that
is slow, hung or dead cannot hold up a camera, and nothing needs to be released after a crash: the supervisor
deletes the run's directory.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_MAGIC = b"UVZRING1"
_HEADER = struct.Struct("<8sIIII Q")  # magic, width, height, slots, bytes a slot, consumed sequence
_CONSUMED_OFFSET = _HEADER.size - 8
_PAGE = 4096
_SLOT_HEADER = 64  # bytes before the pixels: the generation (odd while written), aligned to a cache line


@dataclass(frozen=True, slots=True)
class Place:
    """Where a picture was put."""

    slot: int
    generation: int


def picture_bytes(width: int, height: int) -> int:
    """Bytes of an I420 picture. Raises ValueError unless both sides are even and positive."""
    if width <= 0 or height <= 0 or width % 2 or height % 2:
        raise ValueError(f"picture size: both sides must be even and positive, found {width} x {height}")
    return width * height * 3 // 2


class FrameRing:
    """Make one with `create` (the writer) or `open` (a reader)."""

    def __init__(self, path: Path, memory: mmap.mmap, width: int, height: int, slots: int) -> None:
        self.path, self.width, self.height, self.slots = path, width, height, slots
        self._memory = memory
        size = picture_bytes(width, height)
        stride = -(-(size + _SLOT_HEADER) // _PAGE) * _PAGE
        self._generations: list[NDArray[np.uint64]] = []
        self._pictures: list[NDArray[np.uint8]] = []
        for slot in range(slots):
            start = _PAGE + slot * stride
            self._generations.append(np.frombuffer(memory, np.uint64, 1, start))
            picture = np.frombuffer(memory, np.uint8, size, start + _SLOT_HEADER)
            self._pictures.append(picture.reshape(height * 3 // 2, width))
        self._consumed = np.frombuffer(memory, np.uint64, 1, _CONSUMED_OFFSET)
        self._next = 0

    @classmethod
    def create(cls, path: Path, width: int, height: int, slots: int = 16) -> FrameRing:
        """A new ring file for pictures of one size. Raises FileExistsError, OSError (no memory left)."""
        size = picture_bytes(width, height)
        stride = -(-(size + _SLOT_HEADER) // _PAGE) * _PAGE
        total = _PAGE + slots * stride
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.posix_fallocate(handle, 0, total)  # fails now, not with SIGBUS in mid-frame
            memory = mmap.mmap(handle, total)
        except OSError:
            path.unlink(missing_ok=True)
            raise
        finally:
            os.close(handle)
        memory[: _HEADER.size] = _HEADER.pack(_MAGIC, width, height, slots, size, 0)
        return cls(path, memory, width, height, slots)

    @classmethod
    def open(cls, path: Path) -> FrameRing:
        """A ring that a writer made. Raises FileNotFoundError, ValueError when it is not a ring."""
        handle = os.open(path, os.O_RDWR)
        try:
            memory = mmap.mmap(handle, 0)
        finally:
            os.close(handle)
        magic, width, height, slots, _, _ = _HEADER.unpack(memory[: _HEADER.size])
        if magic != _MAGIC:
            raise ValueError(f"{path.name}: not a frame ring (it begins with {magic!r})")
        return cls(path, memory, width, height, slots)

    def write(self, picture: NDArray[np.uint8]) -> Place:
        """Put an I420 picture, uint8 [H * 3 / 2, W], into the oldest slot. Raises ValueError for another shape."""
        wanted = (self.height * 3 // 2, self.width)
        if picture.shape != wanted or picture.dtype != np.uint8:
            raise ValueError(f"picture: must be uint8 {wanted}, found {picture.dtype} {picture.shape}")
        slot, self._next = self._next, (self._next + 1) % self.slots
        generation = self._generations[slot]
        generation[0] += np.uint64(1)  # odd: being written
        self._pictures[slot][:] = picture
        generation[0] += np.uint64(1)
        return Place(slot, int(generation[0]))

    def read(self, place: Place) -> NDArray[np.uint8] | None:
        """A copy of the picture, uint8 [H * 3 / 2, W], or None when it has been overwritten."""
        generation = self._generations[place.slot]
        if int(generation[0]) != place.generation:
            return None
        picture = self._pictures[place.slot].copy()
        return picture if int(generation[0]) == place.generation else None

    @property
    def consumed(self) -> int:
        """The newest frame sequence that the last stage is done with (for replay, where none is skipped)."""
        return int(self._consumed[0])

    @consumed.setter
    def consumed(self, sequence: int) -> None:
        self._consumed[0] = sequence

    def close(self) -> None:
        """Let go of the memory; the writer deletes the file with `unlink`."""
        self._generations.clear()
        self._pictures.clear()
        del self._consumed
        self._memory.close()

    def unlink(self) -> None:
        """Delete the file; readers that have it open keep what they have."""
        self.path.unlink(missing_ok=True)


class RingReader:
    """Opens the rings that frames name, and keeps them open: one a camera."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._rings: dict[str, tuple[str, FrameRing]] = {}

    def ring(self, camera: str, name: str) -> FrameRing | None:
        """The ring of that name, or None when its writer has gone."""
        known = self._rings.get(camera)
        if known and known[0] == name:
            return known[1]
        try:
            ring = FrameRing.open(self._directory / name)
        except FileNotFoundError:
            return None
        if known:
            known[1].close()
        self._rings[camera] = (name, ring)
        return ring

    def keep(self, cameras: Collection[str]) -> None:
        """Let go of the rings of all other cameras."""
        for camera in self._rings.keys() - set(cameras):
            self._rings.pop(camera)[1].close()

    def close(self) -> None:
        """Let go of all rings."""
        for _, ring in self._rings.values():
            ring.close()
        self._rings.clear()
