"""Sightings in the archive: kept, found again, counted."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from engines.masks.state import MaskState
from stream.archive.database import ArchiveError, Database, NotInArchive
from stream.archive.sightings import DECISIONS, Query, Sighting, Timeline
from stream.messages import Candidate

PICTURES = ("look", "original", "reconstruction")
COLUMNS = (
    "id, camera, run, epoch, track, first_ns, last_ns, first_media_ns, last_media_ns, decision, probability, mask,"
    " versions, revision, sealed,"
    " EXISTS (SELECT 1 FROM protections p WHERE (p.camera IS NULL OR p.camera = sightings.camera)"
    " AND p.from_ns <= sightings.last_ns AND p.to_ns > sightings.first_ns)"
)
_GLIMPSE_NS = 500_000_000
_LONGEST_NS = 24 * 3600 * 1_000_000_000


class _Who(msgspec.Struct, array_like=True):
    person: str | None
    candidates: tuple[Candidate, ...]
    looks: int = 0
    no_reconstruction: str = ""


class SightingTable(Database):
    """Tracks, with who and how they were; pictures and embeddings in tables of their own."""

    def put_sighting(self, sighting: Sighting) -> int:
        """Keep a sighting, or bring the one of the same (run, epoch, camera, track) up to date; its id.

        Pictures or an embedding that are empty leave those that are there.
        """
        with self.transaction():
            erased = self._lately_erased()
            if erased:
                sighting = sighting_without(sighting, lambda name: self._mark(name) in erased)
            revision = self._next_revision()
            key = (sighting.run, sighting.epoch, sighting.camera, sighting.track)
            identity = int(
                self._connection.execute(
                    "INSERT INTO sightings (run, epoch, camera, track, first_ns, last_ns, first_media_ns,"
                    " last_media_ns, decision, person_mark, probability, mask, masked,"
                    " revision, written_ns, versions, people, sealed)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
                    " ON CONFLICT (run, epoch, camera, track) DO UPDATE SET"
                    " first_ns = min(first_ns, excluded.first_ns), last_ns = max(last_ns, excluded.last_ns),"
                    " first_media_ns = min(first_media_ns, excluded.first_media_ns),"
                    " last_media_ns = max(last_media_ns, excluded.last_media_ns), decision = excluded.decision,"
                    " person_mark = excluded.person_mark, probability = excluded.probability, mask = excluded.mask,"
                    " masked = excluded.masked, revision = excluded.revision, versions = excluded.versions,"
                    " written_ns = excluded.written_ns, people = excluded.people,"
                    " sealed = excluded.sealed RETURNING id",
                    (*key, sighting.first_ns, sighting.last_ns, sighting.first_media_ns)
                    + (sighting.last_media_ns, sighting.decision)
                    + (None if sighting.person is None else self._mark(sighting.person),)
                    + (sighting.probability, sighting.mask, int(sighting.masked), revision, self._clock_ns())
                    + (msgspec.json.encode(sighting.versions).decode(), self._marks_of(sighting.names))
                    + (self._vault.seal(pack_who(sighting), bound(*key, "who")),),
                ).fetchone()[0]
            )
            for kind in PICTURES:
                if picture := getattr(sighting, kind):
                    self._write(
                        "INSERT OR REPLACE INTO pictures VALUES (?, ?, ?)",
                        (identity, kind, self._vault.seal(picture, bound(*key, kind))),
                    )
            if sighting.embedding:
                self._write(
                    "INSERT OR REPLACE INTO embeddings VALUES (?, ?, ?, ?)",
                    (identity, sighting.space, revision)
                    + (self._vault.seal(sighting.embedding, bound_embedding(identity, sighting.space)),),
                )
        return identity

    def _list(self, query: Query) -> list[Sighting]:
        """Sightings without pictures and embeddings, by the time at which they began."""
        where, values = self._conditions(query)
        order = "DESC" if query.newest_first else "ASC"
        rows = self._rows(
            f"SELECT {COLUMNS} FROM sightings WHERE id IN (SELECT id FROM sightings WHERE {where}"
            f" ORDER BY first_ns {order}, id {order} LIMIT ? OFFSET ?) ORDER BY first_ns {order}, id {order}",
            (*values, query.limit, query.offset),
        )
        return [self._sighting(row) for row in rows]

    def _whole(self, identity: int) -> Sighting:
        """A sighting with everything. Raises ArchiveError."""
        rows = self._rows(f"SELECT {COLUMNS} FROM sightings WHERE id = ?", (identity,))
        if not rows:
            raise NotInArchive(gone(identity))
        light = self._sighting(rows[0])
        key = (light.run, light.epoch, light.camera, light.track)
        pictures = {
            kind: self._unseal(sealed, bound(*key, kind))
            for kind, sealed in self._rows(
                "SELECT kind, sealed FROM pictures WHERE sighting = ?", (identity,)
            )
        }
        for space, sealed in self._rows(
            "SELECT space, sealed FROM embeddings WHERE sighting = ?", (identity,)
        ):
            embedding = self._unseal(sealed, bound_embedding(identity, space))
            light = msgspec.structs.replace(light, space=space, embedding=embedding)
        return msgspec.structs.replace(light, **pictures)

    def changed_since(self, revision: int, limit: int = 1000) -> list[Sighting]:
        """Sightings put after a revision, in the order of their newest change: for those who follow along."""
        rows = self._rows(
            f"SELECT {COLUMNS} FROM sightings WHERE revision > ? ORDER BY revision LIMIT ?", (revision, limit)
        )
        return [self._sighting(row) for row in rows]

    def timeline(self, from_ns: int, to_ns: int, cameras: tuple[str, ...] = (), bins: int = 200) -> Timeline:
        """How many sightings began when. cameras: empty for all."""
        if to_ns <= from_ns or not 1 <= bins <= 10_000:
            raise ArchiveError(
                f"timeline: must end after it begins and have 1 to 10000 bins, found {from_ns} to {to_ns}, {bins}"
            )
        width = -(-(to_ns - from_ns) // bins)
        counts: dict[str, dict[str, list[int]]] = {}
        for camera in cameras or self._cameras_of("sightings"):
            plain, masked = (
                {kind: self._begun(camera, kind, mask, from_ns, to_ns, width, bins) for kind in DECISIONS}
                for mask in (0, 1)
            )
            counts[camera] = {kind: (plain[kind] + masked[kind]).tolist() for kind in DECISIONS}
            counts[camera]["masked"] = np.sum(list(masked.values()), axis=0).tolist()
        return Timeline(from_ns, to_ns, bins, counts)

    def _begun(
        self, camera: str, decision: str, masked: int, from_ns: int, to_ns: int, width: int, bins: int
    ) -> NDArray[np.int64]:
        """How many began in each bin. One string of bins comes out of the index: a row for each sighting, or SQLite's
        own grouping, would take several times as long.
        """
        text = self._value(
            "SELECT group_concat((first_ns - ?4) / ?6) FROM sightings"
            " WHERE camera = ?1 AND decision = ?2 AND masked = ?3 AND first_ns >= ?4 AND first_ns < ?5",
            (camera, decision, masked, from_ns, to_ns, width),
        )
        return np.bincount(np.fromstring(text or "", np.int64, sep=","), minlength=bins)

    def _conditions(self, query: Query) -> tuple[str, list[Any]]:
        where, values = ["1"], list[Any]()
        if query.from_ns is not None:
            where += ["last_ns >= ? AND first_ns >= ?"]
            values += [query.from_ns, query.from_ns - _LONGEST_NS]
        if query.to_ns is not None:
            where += ["first_ns < ?"]
            values += [query.to_ns]
        for column, wanted in (("id", query.ids), ("camera", query.cameras), ("mask", query.masks)):
            if wanted:
                where += [f"{column} IN ({', '.join('?' * len(wanted))})"]
                values += wanted
        if query.person is not None:
            where += ["person_mark = ?"]
            values += [self._mark(query.person)]
        if query.decision is not None:
            where += ["decision = ?"]
            values += [query.decision]
        if not query.glimpses:
            where += ["(decision != 'undecided' OR last_ns - first_ns >= ?)"]
            values += [_GLIMPSE_NS]
        return " AND ".join(where), values

    def _sighting(self, row: tuple[Any, ...]) -> Sighting:
        (
            identity,
            camera,
            run,
            epoch,
            track,
            *times,
            decision,
            probability,
            mask,
            versions,
            revision,
            sealed,
            kept,
        ) = row
        who = msgspec.msgpack.decode(self._unseal(sealed, bound(run, epoch, camera, track, "who")), type=_Who)
        return Sighting(
            camera=camera,
            run=run,
            epoch=epoch,
            track=track,
            first_ns=times[0],
            last_ns=times[1],
            first_media_ns=times[2],
            last_media_ns=times[3],
            decision=decision,
            person=who.person,
            probability=probability,
            mask=None if mask is None else MaskState(mask),
            candidates=who.candidates,
            looks=who.looks,
            no_reconstruction=who.no_reconstruction,
            versions=json.loads(versions),
            id=identity,
            protected=bool(kept),
            revision=revision,
        )

    def _next_revision(self) -> int:
        revision = int(self._meta("revision") or 0) + 1
        self._set("revision", revision)
        return revision


def gone(identity: int) -> str:
    """Why there is no such sighting."""
    return f"sighting {identity}: is not in the archive (it may have expired)"


def sighting_without(sighting: Sighting, erased: Callable[[str], bool]) -> Sighting:
    """The sighting without people who are erased; one who was decided to be one of them keeps no face either."""
    if sighting.person is not None and erased(sighting.person):
        return msgspec.structs.replace(
            sighting,
            decision="undecided",
            person=None,
            probability=None,
            candidates=(),
            embedding=b"",
            look=b"",
            original=b"",
            reconstruction=b"",
            looks=0,
        )
    kept = tuple(candidate for candidate in sighting.candidates if not erased(candidate.person))
    return (
        sighting
        if len(kept) == len(sighting.candidates)
        else msgspec.structs.replace(sighting, candidates=kept)
    )


def pack_who(sighting: Sighting) -> bytes:
    """Name, candidates and what is said of the reconstruction, before they are sealed."""
    who = _Who(sighting.person, sighting.candidates, sighting.looks, sighting.no_reconstruction)
    return msgspec.msgpack.encode(who)


def bound(run: int, epoch: int, camera: str, track: int, kind: str) -> str:
    """Where a sealed field belongs."""
    return f"{kind} of track {track} of {camera} in {run}, {epoch}"


def bound_embedding(sighting: int, space: str) -> str:
    """Where an embedding belongs."""
    return f"embedding of sighting {sighting} in {space}"
