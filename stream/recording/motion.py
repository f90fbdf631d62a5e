"""Whether anything moves before a camera, from the brightness of its frames as they lie in the ring."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from stream.messages import FrameReady
from stream.ring import Place, RingReader

_EVERY_NS = 200_000_000
_CELL = 16  # pixels a side
_MEMORY = 0.9  # share of the old background that stays with every look
_DIFFERENT = 10.0  # grey levels beyond what the whole picture has changed by (a lamp, the camera's exposure)
_SHARE = 0.004  # of the cells: a walker at some fifteen metres
_CELLS = 3


class Motion:
    """One camera. The background is what was seen over the last two seconds or so."""

    def __init__(self) -> None:
        self._background: NDArray[np.float32] | None = None

    def see(self, luma: NDArray[np.uint8]) -> bool:
        """Look at a frame's brightness, uint8 [H, W]; whether it differs in some place from those before."""
        height, width = luma.shape
        size = max(1, width // _CELL), max(1, height // _CELL)
        cells = cv2.resize(luma, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        known = self._background
        if known is None or known.shape != cells.shape:
            self._background = cells
            return False
        change = cells - known
        change -= np.median(change)
        self._background = _MEMORY * known + (1 - _MEMORY) * cells
        different = int(np.count_nonzero(np.abs(change) > _DIFFERENT))
        return different >= max(_CELLS, _SHARE * cells.size)


class MotionWatch:
    """Some cameras, five times a second each."""

    def __init__(self, directory: Path) -> None:
        """directory: the run's, where the rings are."""
        self._rings = RingReader(directory)
        self._motion: dict[str, Motion] = {}
        self._due_ns: dict[str, int] = {}

    def see(self, frame: FrameReady) -> bool:
        """Whether anything moves on a frame; False too where its pixels are gone, or it comes soon after the last."""
        since = frame.media_ns - self._due_ns.get(frame.camera, 0)
        if -_EVERY_NS <= since < 0:
            return False
        ring = self._rings.ring(frame.camera, frame.ring)
        i420 = ring.read(Place(frame.slot, frame.generation)) if ring else None
        if i420 is None:
            return False
        self._due_ns[frame.camera] = frame.media_ns + _EVERY_NS
        return self._motion.setdefault(frame.camera, Motion()).see(i420[: frame.height])

    def close(self) -> None:
        """Let go of the rings."""
        self._rings.close()
