"""Enrols an album in the background, one picture after the other, and keeps the result of each."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from engines.recognition.enrolment import Refused
from engines.recognition.gallery import GalleryError
from stream.web.album import AlbumError, Leaf
from stream.web.workshop import WorkshopBusy, WorkshopError

log = logging.getLogger(__name__)

_MOST_SHOWN = 1000
_PAUSE_S = 0.5

Enrol = Callable[[str, bytes], str]
"""Enrols a picture for a name, and gives the name as it is enrolled. Raises Refused, ValueError: this picture will not
do; GalleryError, WorkshopError: none will."""


class BulkError(RuntimeError):
    """Nothing was begun; the text says why."""


@dataclass(slots=True)
class Progress:
    """How far it is. refused: file and reason, of the first thousand; refusals: how many. problem: what ended it."""

    total: int = 0
    done: int = 0
    enrolled: int = 0
    people: set[str] = field(default_factory=set)
    refusals: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)
    running: bool = True
    cancelled: bool = False
    problem: str = ""


class Bulk:
    """One at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.progress: Progress | None = None

    def start(self, leaves: Sequence[Leaf], enrol: Enrol, then: Callable[[Progress], None]) -> None:
        """Begin. then: called at the end, whatever it was. Raises BulkError while another goes on."""
        with self._lock:
            if self.progress and self.progress.running:
                raise BulkError("an album is being enrolled already: wait for its end, or stop it")
            self.progress = progress = Progress(len(leaves))
            self._stop.clear()
            self._thread = threading.Thread(
                target=self._run, args=(leaves, enrol, then, progress), name="album", daemon=True
            )
            self._thread.start()

    def cancel(self) -> None:
        """Stop after the picture at hand. What is enrolled stays."""
        self._stop.set()

    def close(self) -> None:
        """The same, and wait for it."""
        self.cancel()
        if self._thread:
            self._thread.join(10)

    def _run(
        self, leaves: Sequence[Leaf], enrol: Enrol, then: Callable[[Progress], None], progress: Progress
    ) -> None:
        try:
            for leaf in leaves:
                if self._stop.is_set():
                    progress.cancelled = True
                    break
                self._one(leaf, enrol, progress)
                progress.done += 1
        except (GalleryError, WorkshopError, OSError) as error:
            progress.problem = str(error)
        except Exception as error:
            progress.problem = f"it ended unexpectedly: {error}"
            log.exception("an album could not be enrolled")
        finally:
            progress.running = False
            then(progress)

    def _one(self, leaf: Leaf, enrol: Enrol, progress: Progress) -> None:
        try:
            data = leaf.read()
            while not self._stop.is_set():
                try:
                    progress.people.add(enrol(leaf.person, data))
                    progress.enrolled += 1
                    return
                except WorkshopBusy:
                    time.sleep(_PAUSE_S)  # others at the pages go first
        except (AlbumError, Refused, ValueError) as refusal:
            progress.refusals += 1
            if len(progress.refused) < _MOST_SHOWN:
                progress.refused.append((leaf.file, str(refusal)))
