"""Brings events to one receiver, oldest first, for as long as it takes.

What is to be delivered lies in the archive before it is sent, and is crossed off there after it was taken. So every
event arrives at least once, also when this process is killed in between; its id tells a receiver that it came twice.
Nothing overtakes: while the oldest cannot be delivered, the others wait behind it, until it is taken, refused or
expired.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter

from stream.events.channel import Backoff, Channel, Undelivered
from stream.events.shelf import Parcel, Shelf, ShelfError

log = logging.getLogger(__name__)

_REFUSALS = 3  # so many times no is no
_LOOK_EVERY_S = 1.0  # also for pictures that did not come
_ARCHIVE_AGAIN_S = 1.0


class Courier(threading.Thread):
    """Serves one receiver until `stop`."""

    def __init__(self, target: str, channel: Channel, shelf: Shelf, backoff: Backoff | None = None) -> None:
        super().__init__(name=f"courier-{target}", daemon=True)
        self.target, self._channel, self._shelf = target, channel, shelf
        self._backoff = backoff or Backoff()
        self._wake, self._finish, self._end = threading.Event(), threading.Event(), threading.Event()
        self._failures = 0
        self._refused = (0, 0)  # (delivery, how often it was refused)
        self.delivered = 0
        self.refused: Counter[str] = Counter()  # by rule
        self.expired: Counter[str] = Counter()
        self.trouble = ""  # why nothing goes out at the moment

    def wake(self) -> None:
        """There is something new."""
        self._wake.set()

    def finish(self) -> None:
        """End when nothing is left that can be delivered at once."""
        self._finish.set()
        self._wake.set()

    def stop(self) -> None:
        """End; what was not delivered stays in the archive."""
        self._end.set()
        self.finish()

    def run(self) -> None:
        """Deliver."""
        try:
            while not self._end.is_set():
                self._wake.clear()
                try:
                    parcel = self._shelf.oldest(self.target)
                    if parcel is not None:
                        self._serve(parcel)
                    elif self._finish.is_set():
                        return
                    else:
                        self._wake.wait(_LOOK_EVERY_S)
                except ShelfError as error:
                    self._say(f"events wait: {error}")
                    self._rest(_ARCHIVE_AGAIN_S)
                except Exception as error:  # whatever it is: events must not stay undelivered without a word
                    log.exception("%s", self.target)
                    self._say(f"an error that was not foreseen ({type(error).__name__})")
                    self._rest(self._backoff.longest_s)
        finally:
            self._channel.close()

    def _serve(self, parcel: Parcel) -> None:
        if time.time_ns() >= parcel.expires_ns:
            self._shelf.given_up(parcel, "expired")
            self.expired[parcel.rule] += 1
            log.warning("%s: event %s has expired undelivered", self.target, parcel.event)
            return
        try:
            self._channel.send(parcel.event, parcel.document)
        except Undelivered as error:
            self._failed(parcel, error)
        else:
            self._failures, self.delivered = 0, self.delivered + 1
            self._say("")
            self._cross_off(parcel)

    def _cross_off(self, parcel: Parcel) -> None:
        """Insist: while the archive cannot be written, what was taken must not be sent again and again."""
        while not self._end.is_set():
            try:
                return self._shelf.delivered(parcel)
            except ShelfError as error:
                self._say(f"events wait: {error}")
                self._rest(_ARCHIVE_AGAIN_S)

    def _failed(self, parcel: Parcel, error: Undelivered) -> None:
        self._failures += 1
        before = self._refused[1] if self._refused[0] == parcel.delivery else 0
        self._refused = (parcel.delivery, before + error.refused)
        if self._refused[1] >= _REFUSALS:
            self._shelf.given_up(parcel, f"refused: {error}")
            self.refused[parcel.rule] += 1
            self._failures = 0
            log.warning("%s: event %s was refused: %s", self.target, parcel.event, error)
            return
        self._say(str(error))
        pause_s = max(self._backoff.pause_s(self._failures), error.retry_after_s)
        self._shelf.failed(parcel, str(error), time.time_ns() + int(pause_s * 1e9))
        self._rest(pause_s)

    def _rest(self, seconds: float) -> None:
        """Wait before the next try; who is to finish does not wait, and leaves the rest to the next process."""
        if self._finish.wait(seconds):
            self._end.set()

    def _say(self, trouble: str) -> None:
        if trouble != self.trouble:
            level = logging.WARNING if trouble else logging.INFO
            log.log(level, "%s: %s", self.target, trouble or "delivers again")
        self.trouble = trouble
