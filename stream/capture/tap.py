"""The camera's own packets on their way to the recorder, beside the pictures that are made of them.

Sending never waits. Whatever cannot be sent is counted and told with the next key packet, at which recording goes on:
without what it refers to, no packet can be shown.
"""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

from stream.bus import ARCHIVE, Outbox
from stream.capture.source import Unit
from stream.messages import Packet

_BUSY = "recorder busy"
_MOST_HELD = 512  # units before the first picture: more than any camera sends between two key pictures


class Tap:
    """What a source hands its access units to. It places them on the camera's own time line once that is known."""

    def __init__(self, directory: Path, camera: str) -> None:
        self._camera = camera
        self._outbox = Outbox(directory, ARCHIVE)
        self._skipped: Counter[str] = Counter()
        self._begin()

    def _begin(self) -> None:
        self._connection_ns = time.time_ns()
        self._held: list[Unit] = []
        self._shift_ns: int | None = None
        self._size = (0, 0)
        # Why something that the next unit refers to is not there; None: it is. Before the first key packet, no reason.
        self._missing: str | None = ""
        self._unsent = False

    def connected(self) -> None:
        """A connection begins; its units come next."""
        self._begin()

    def pictured(self, shift_ns: int, width: int, height: int) -> None:
        """A picture was made. shift_ns: what its place on the camera's time line is ahead of the source's own."""
        self._shift_ns, self._size = shift_ns, (width, height)
        held, self._held = self._held, []
        for unit in held:
            self._send(unit, shift_ns)

    def take(self, unit: Unit) -> None:
        """One access unit, in decoding order."""
        if unit.key:
            self._missing = None
        if self._missing is not None:
            if self._missing:
                self._skipped[self._missing] += 1
        elif self._shift_ns is not None:
            self._send(unit, self._shift_ns)
        elif len(self._held) < _MOST_HELD:
            self._held.append(unit)
        else:
            self.lose("no picture")

    def lose(self, reason: str) -> None:
        """An access unit did not come whole; what refers to it is of no use either."""
        self._skipped[reason] += 1
        self._missing = reason

    def break_off(self, reason: str) -> None:
        """The next access unit does not go with those before, and is of no use unless decoding can begin with it."""
        self._missing = reason

    def close(self) -> None:
        """Send what waits, for half a second at most."""
        self._outbox.close()

    def _send(self, unit: Unit, shift_ns: int) -> None:
        if self._unsent and not unit.key:
            self._skipped[_BUSY] += 1
            return
        packet = Packet(
            camera=self._camera,
            connection=self._connection_ns,
            codec=unit.codec,
            parameter_sets=unit.parameter_sets if unit.key else b"",
            data=unit.data,
            key=unit.key,
            media_ns=unit.media_ns + shift_ns,
            wall_ns=unit.wall_ns,
            clock=unit.clock,
            received_ns=unit.received_ns,
            width=self._size[0],
            height=self._size[1],
            skipped=dict(self._skipped),
        )
        self._unsent = not self._outbox.send(packet)
        if self._unsent:
            self._skipped[_BUSY] += 1
        else:
            self._skipped.clear()
