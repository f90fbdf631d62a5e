"""Where footage lies: segments, places in them, and spans of time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

GAP_NS = 2_000_000_000
"""Shorter ones are the pause in which a segment is ended and the next one begun."""


class Segment(msgspec.Struct, frozen=True):
    """One MP4 file of one connection of one camera.

    Times: *_ns wall ns UTC, *_media_ns on the timeline of FrameReady.media_ns; ended is the time of the newest
    packet. path: relative to the archive's folder. complete: False while it is written, or when it was cut off.
    protected: a sighting, a span or this segment itself is to be kept. clock: whose wall clock it is. reason: why it
    was recorded; it lies in plain text, so no name may be in it.
    """

    id: int
    camera: str
    run: int
    connection: int
    path: str
    codec: str
    width: int
    height: int
    began_ns: int
    ended_ns: int
    began_media_ns: int
    ended_media_ns: int
    bytes: int
    frames: int
    complete: bool
    protected: bool
    reason: str
    clock: Literal["camera", "here"]


class Span(msgspec.Struct, frozen=True):
    """A stretch of time: from_ns <= t < to_ns, wall ns UTC. camera: None for all of them."""

    from_ns: int
    to_ns: int
    camera: str | None = None


class Place(msgspec.Struct, frozen=True):
    """The picture that is shown at a time: the segment, and its packet's times."""

    segment: Segment
    media_ns: int
    wall_ns: int

    @property
    def offset_ns(self) -> int:
        """From the segment's first picture."""
        return self.media_ns - self.segment.began_media_ns


class Run(msgspec.Struct, frozen=True):
    """One recorder's process from start to end.

    version: of Unvizard. settings, engines: plain values, as they were; passwords are ***. ended_ns: None while it
    goes on, or when it was cut off.
    """

    id: int
    began_ns: int
    ended_ns: int | None
    version: str
    settings: dict[str, object]
    engines: dict[str, object]


def joined(times: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Stretches (began_ns, ended_ns) without a gap, in order; segments may overlap where a clock was set back."""
    spans: list[tuple[int, int]] = []
    for began, ended in sorted(times):
        if spans and began - spans[-1][1] <= GAP_NS:
            spans[-1] = (spans[-1][0], max(ended, spans[-1][1]))
        else:
            spans.append((began, ended))
    return spans
