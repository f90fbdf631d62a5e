"""What the review pages keep from one request to the next: what was noted, files being made, faces to compare with."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from stream.archive.archive import Archive
from stream.archive.database import FILE
from stream.web.account import Account
from stream.web.jobs import Jobs

_REMEMBERED = 20_000
_MOST_PLAYING = 8
_NOTED_FOR_S = 3600.0


class Desk:
    """One an office. Threads may share it."""

    def __init__(self, folder: Path) -> None:
        """folder: of the recordings."""
        self._folder = folder
        self.jobs = Jobs()
        self.noted = Noted()
        self._lock, self._faces_lock = threading.Lock(), threading.Lock()
        self._playing = 0
        self._archive: Archive | None = None
        self._file = (0, 0)

    def close(self) -> None:
        """Stop what is being made, and delete it."""
        self.jobs.close()
        with self._faces_lock:
            if self._archive:
                self._archive.close()
                self._archive = None

    @property
    def room_to_play(self) -> bool:
        """Whether somebody more may play footage."""
        return self._playing < _MOST_PLAYING

    @contextmanager
    def playing(self) -> Iterator[None]:
        """While footage is played."""
        with self._lock:
            self._playing += 1
        try:
            yield
        finally:
            with self._lock:
                self._playing -= 1

    @contextmanager
    def faces(self, account: Account) -> Iterator[Archive]:
        """An archive that stays open, so that its faces are decrypted once and not for each search; for one at a time.

        Raises ArchiveError.
        """
        with self._faces_lock:
            found = self._folder / FILE
            file = (found.stat().st_dev, found.stat().st_ino) if found.exists() else (0, 0)
            if self._archive is None or file != self._file:
                if self._archive:
                    self._archive.close()
                    self._archive = None
                self._archive, self._file = Archive.open(self._folder, actor=account.name), file
            self._archive.actor = account.name
            yield self._archive


class Noted:
    """What is in the journal of an account since less than an hour, and so needs no further line: pictures of sightings
    that were listed, footage that is played again from another moment.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until: OrderedDict[tuple[str, Hashable], float] = OrderedDict()

    def add(self, account: Account, things: Iterable[Hashable]) -> None:
        """There is a line of them."""
        until = time.monotonic() + _NOTED_FOR_S
        with self._lock:
            for thing in things:
                self._until[account.name, thing] = until
                self._until.move_to_end((account.name, thing))
            while len(self._until) > _REMEMBERED:
                self._until.popitem(last=False)

    def holds(self, account: Account, thing: Hashable) -> bool:
        """Whether there is one."""
        with self._lock:
            return self._until.get((account.name, thing), 0.0) > time.monotonic()
