"""What of a recordings folder is to be played."""

from __future__ import annotations

from datetime import datetime

import msgspec


class Selection(msgspec.Struct, frozen=True):
    """Frames of from_ns <= wall time < to_ns; None leaves that end open.

    every_frame: also those that live passed over. Without it a frame that was not processed is shown only where none
    was for half a second, so that boxes do not flicker: this is what the live page showed.
    """

    folder: str
    from_ns: int | None = None
    to_ns: int | None = None
    every_frame: bool = False


def local(wall_ns: int) -> str:
    """A moment for people, in this machine's time zone: 2026-11-21 09:30:05.250."""
    return datetime.fromtimestamp(wall_ns / 1e9).astimezone().isoformat(" ", "milliseconds")[:23]
