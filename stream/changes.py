"""Settings that reach a stage while it runs."""

from __future__ import annotations

import queue

from stream.config import Settings


class Changes:
    """What a running stage shall go on with. One thread puts, another takes."""

    def __init__(self) -> None:
        self._settings: queue.SimpleQueue[Settings] = queue.SimpleQueue()

    def put(self, settings: Settings) -> None:
        """These hold from now on, as a whole."""
        self._settings.put(settings)

    def take(self) -> Settings | None:
        """The newest settings that were put since this was last asked; None when there are none."""
        newest = None
        while not self._settings.empty():
            newest = self._settings.get()
        return newest
