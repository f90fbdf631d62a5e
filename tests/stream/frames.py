"""Frames as capture announces them, without a ring."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stream.messages import FrameReady
from stream.watching import Picture


def announced(number: int, rgb: NDArray[np.uint8], camera: str = "street") -> Picture:
    """Frame `number`, counted from 0, of 25 a second."""
    frame = FrameReady(
        camera=camera,
        sequence=number + 1,
        ring="ring",
        slot=0,
        generation=2,
        width=rgb.shape[1],
        height=rgb.shape[0],
        media_ns=number * 40_000_000,
        wall_ns=0,
        received_ns=0,
        captured_ns=0,
    )
    return Picture(frame, rgb, {})
