"""Writes events into the archive, in a thread of its own: a disk that is slow must not hold up who makes them."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from stream.events.document import Event, Snapshot
from stream.events.shelf import Shelf, ShelfError

log = logging.getLogger(__name__)

_MOST_WAITING = 1000
_AGAIN_S = 1.0
PICTURE_WITHIN_S = 2.0


@dataclass(frozen=True, slots=True)
class _New:
    event: Event
    at_ns: int
    wants_picture: bool


@dataclass(frozen=True, slots=True)
class _Picture:
    event: str
    snapshot: Snapshot


class Keeper(threading.Thread):
    """Keeps what it is given, in order, until `finish`."""

    def __init__(self, shelf: Shelf, kept: Callable[[], None]) -> None:
        """kept: called, from the thread, when something new is in the archive."""
        super().__init__(name="events", daemon=True)
        self._shelf, self._kept = shelf, kept
        self._waiting: queue.Queue[_New | _Picture | None] = queue.Queue(_MOST_WAITING)
        self._finishing = threading.Event()
        self.lost = 0
        self.trouble = ""

    def put(self, event: Event, at_ns: int, wants_picture: bool) -> bool:
        """Have an event kept; False, and counted as lost, when a thousand wait already. at_ns: wall time."""
        try:
            self._waiting.put_nowait(_New(event, at_ns, wants_picture))
        except queue.Full:
            self.lost += 1
            return False
        return True

    def add_picture(self, event: str, snapshot: Snapshot) -> None:
        """Have a picture added to an event that waits for one."""
        with suppress(queue.Full):  # an event is worth more than its picture
            self._waiting.put_nowait(_Picture(event, snapshot))

    def finish(self, within_s: float) -> None:
        """Keep what waits, and end."""
        self._finishing.set()
        try:
            self._waiting.put(None, timeout=within_s)
        except queue.Full:
            return
        self.join(within_s)

    def run(self) -> None:
        """Keep."""
        while (item := self._waiting.get()) is not None:
            while not self._keep(item):
                if self._finishing.wait(_AGAIN_S) and not self._keep(item):
                    self.lost += isinstance(item, _New)
                    break
            self._kept()

    def _keep(self, item: _New | _Picture) -> bool:
        try:
            if isinstance(item, _New):
                self._shelf.put(item.event, item.at_ns, PICTURE_WITHIN_S if item.wants_picture else 0.0)
            else:
                self._shelf.add_picture(item.event, item.snapshot)
        except ShelfError as error:
            if not self.trouble:
                log.warning("events cannot be written: %s", error)
            self.trouble = str(error)
            return False
        self.trouble = ""
        return True
