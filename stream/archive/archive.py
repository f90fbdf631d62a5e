"""The archive: what lies where, what was seen, what happened, in one SQLite file beside the footage.

The recorder has it open for writing and puts a second's worth into one transaction. Anybody else reads beside it,
and every search and every view of a person is a line of its log, which shows when it was altered. Names, candidates,
embeddings, pictures and the run's settings are sealed with the key in `archive.key`; without it the file tells when and
on which camera faces were seen, and no more.
"""

from __future__ import annotations

import getpass
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from engines.recognition.audit import Action, Audit, Entry
from stream.archive.database import (
    FILE,
    KEY,
    SUSPECT,
    ArchiveDamaged,
    ArchiveError,
    NotInArchive,
)
from stream.archive.database_file import check, open_connection, open_vault
from stream.archive.erasure import Erasure, Receipt
from stream.archive.footage import Segment, Span
from stream.archive.listing import Listing
from stream.archive.resemblance import Resemblance
from stream.archive.retention import Retention, Retired
from stream.archive.sightings import Query, Sighting
from stream.archive.verdict_table import VerdictTable
from stream.archive.verdicts import Said, Verdict

__all__ = ["Archive", "ArchiveDamaged", "ArchiveError", "NotInArchive", "Receipt", "Retired"]
_ANYTHING = Query()


class Archive(Erasure, Retention, Resemblance, Listing, VerdictTable):
    """An open archive; a context manager. Threads take turns. All methods raise ArchiveError.

    notes: what people should know of this archive, a sentence each.
    """

    notes: tuple[str, ...] = ()

    @classmethod
    def open(
        cls,
        folder: Path,
        write: bool = False,
        actor: str | None = None,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> Self:
        """The archive of a folder.

        write: for the recorder, one process at a time: the archive is made when it is not there, and a damaged
        database is set aside and its footage read in again, with a note. Without it there must be one, which is read
        beside the recorder, or from a disk that cannot be written; then nothing can be logged, and `read_only` is True.
        actor: who, for the log; by default the user of this process.
        """
        if not write:
            return cls._open(folder, write, actor, clock_ns)
        try:
            if _is_lost(folder):
                raise ArchiveDamaged(f"{folder / FILE}: is missing or empty although its key is there")
            return cls._open(folder, write, actor, clock_ns)
        except ArchiveDamaged as damage:
            aside = set_aside(folder)
            archive = cls._open(folder, write, actor, clock_ns)
            archive.notes = (
                f"{damage}; {f'it is now {aside.name}' if aside else 'a new one was made'}: what was seen, searched and"
                " protected before is lost, the footage is taken in again from its files",
                *archive.reconcile(clock_ns(), settled_ns=0),
            )
            return archive

    @classmethod
    def reindex(cls, folder: Path, actor: str | None = None) -> tuple[str, ...]:
        """Take all footage into the archive whose files have no row, however long that takes; what was done, a sentence
        each. A damaged database is set aside first. To be called while nothing is recorded.
        """
        with cls.open(folder, write=True, actor=actor) as archive:
            return (*archive.notes, *archive.reconcile(time.time_ns(), settled_ns=0, budget_s=math.inf))

    @classmethod
    def _open(cls, folder: Path, write: bool, actor: str | None, clock_ns: Callable[[], int]) -> Self:
        connection, read_only = open_connection(folder, write)
        try:
            if write:
                check(connection, folder)
            archive = cls(folder, connection, open_vault(connection, folder, read_only), read_only, clock_ns)
            archive.actor = actor or _user()
            archive.audit = Audit(connection, archive._vault, clock_ns)
            if not read_only and archive._meta("scrub"):
                archive._scrub()
            return archive
        except BaseException:
            connection.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def log(self, action: Action, person: str = "", detail: str = "") -> Entry | None:
        """Write a line of the log: who (the actor), what, when. None on a disk that cannot be written.

        person: a name; the log gets a mark in its place that only the key's holder can make. detail: without names.
        """
        if self.read_only:
            return None
        with self.transaction():
            return self.audit.append(action, self._mark(person).hex() if person else "", self.actor, detail)

    def sightings(self, query: Query) -> list[Sighting]:
        """Sightings that meet a query, without pictures. A line of the log says what was searched for."""
        self.log(Action.SEARCHED, query.person or "", _said(query))
        return self._list(query)

    def sighting(self, identity: int) -> Sighting:
        """A sighting with its pictures and embedding. A line of the log says that it was viewed."""
        found = self._whole(identity)
        self.log(Action.VIEWED, found.person or "", f"sighting {identity}")
        return found

    def like(
        self, embedding: NDArray[np.float32], space: str, query: Query = _ANYTHING, limit: int = 20
    ) -> list[tuple[Sighting, float]]:
        """Who looks like this: the sightings that meet a query, most similar first, with their cosine similarity.

        embedding: float32 [D] in the named space. A line of the log says that a face was searched for.
        """
        self.log(Action.SEARCHED, "", "; ".join(filter(None, ("by a face", _said(query)))))
        return self._like(embedding, space, query, limit)

    def judge(self, identity: int, said: Said, note: str = "") -> Verdict:
        """The actor's own verdict on the name that a sighting was given; it takes the place of an earlier one.

        A line of the log says it. Raises ArchiveError for a sighting that has no name.
        """
        with self.transaction():
            sighting = self._whole(identity)
            verdict = self._judge(sighting, self.actor, said, note)
            action = Action.CONFIRMED if said == "confirmed" else Action.REFUSED
            self.log(action, sighting.person or "", f"sighting {identity}")
            return verdict

    def protect(self, what: Segment | Sighting | Span, on: bool = True) -> None:
        """Keep footage, frames and sightings whatever their age; or, with on=False, no longer.

        What is protected by something else too (a sighting within a span) stays so. A line of the log says it.
        """
        with self.transaction():
            target = self._protect(what, on)
            self.log(Action.PROTECTED if on else Action.RELEASED, "", target)


def set_aside(folder: Path) -> Path | None:
    """Give a damaged database another name; that name, or None when there is nothing in it. Raises ArchiveError."""
    path = folder / FILE
    aside = folder / f"{FILE}.damaged-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
    try:
        for tail in ("-wal", "-shm", ""):
            part = Path(f"{path}{tail}")
            if part.exists() and part.stat().st_size:
                part.rename(f"{aside}{tail}")
            else:
                part.unlink(missing_ok=True)
        (folder / SUSPECT).unlink(missing_ok=True)
    except OSError as error:
        raise ArchiveError(f"{path}: is damaged and cannot be set aside: {error.strerror}") from None
    return aside if aside.exists() else None


def _is_lost(folder: Path) -> bool:
    """Whether there was an archive here whose database is gone."""
    path = folder / FILE
    return (folder / KEY).exists() and not (path.exists() and path.stat().st_size)


def _said(query: Query) -> str:
    parts = [
        f"{name} {', '.join(value) if isinstance(value, tuple) else value}"
        for name, value in (
            ("from", query.from_ns),
            ("to", query.to_ns),
            ("sightings", tuple(map(str, query.ids))),
            ("cameras", query.cameras),
            ("decision", query.decision),
            ("masks", query.masks),
        )
        if value
    ]
    return "; ".join(parts)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
