"""The two clocks of a segment's packets, small: differences from packet to packet, compressed."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Pairs = Sequence[tuple[int, int]] | NDArray[np.int64]
"""(media_ns, wall_ns) of packets, in the order in which they were sent."""


def pack(pairs: Pairs) -> bytes:
    """At least one pair, as bytes."""
    times = np.array(pairs, "<i8").reshape(-1, 2)
    return zlib.compress(np.diff(times, axis=0, prepend=np.zeros((1, 2), "<i8")).tobytes(), 3)


def unpack(data: bytes) -> NDArray[np.int64]:
    """The pairs again, int64 [N, 2]. Raises zlib.error, ValueError."""
    return np.frombuffer(zlib.decompress(data), "<i8").reshape(-1, 2).cumsum(axis=0)
