"""Whether recognition drifts: how sure it was of the people it named, week by week, from the archive of recordings.

Falling likeness of those named, or more faces without a decision, say that cameras, light or faces have changed.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterator

import msgspec
import numpy as np

from stream.archive.archive import Archive
from stream.archive.sightings import Query, Sighting

_HOUR_NS = 3600 * 1_000_000_000
_HOURS = 7 * 24
_WEEK_NS = _HOURS * _HOUR_NS
_WEEKS = 12
_MOST_LOOKED_AT = 400
_FEWEST = 20


class Week(msgspec.Struct, frozen=True):
    """began_ms: UTC. likeness: the median cosine of bare faces to the pictures of whom they were named, None where
    fewer than 20 were; compared: how many.
    """

    began_ms: int
    seen: int
    named: int
    nobody: int
    undecided: int
    likeness: float | None
    compared: int


def weeks(archive: Archive, now_ns: int | None = None) -> list[Week]:
    """The last twelve weeks, oldest first, of all cameras; weeks before anything was recorded are left out."""
    now_ns = now_ns or time.time_ns()
    found = [_week(archive, now_ns - age * _WEEK_NS) for age in range(_WEEKS, 0, -1)]
    first = next((n for n, week in enumerate(found) if week.seen), len(found))
    return found[first:]


def strangers_a_day(archive: Archive, found: list[Week]) -> float | None:
    """Faces a day that were not named, of the weeks in which there were any; None before a whole day has passed since
    the first face was seen. found: as `weeks` gives them.
    """
    busy = [week for week in found if week.seen]
    if not busy:
        return None
    days = (_hours_watched(archive, busy[0]) + _HOURS * (len(busy) - 1)) / 24
    return sum(week.nobody + week.undecided for week in busy) / days if days >= 1 else None


def _hours_watched(archive: Archive, week: Week) -> int:
    """Hours from the first face of a week to its end: before it, nobody may have been watching."""
    began_ns = week.began_ms * 1_000_000

    def seen(hours: int) -> bool:
        return archive.count(Query(from_ns=began_ns, to_ns=began_ns + hours * _HOUR_NS, glimpses=False)) > 0

    return _HOURS - bisect_left(range(_HOURS), True, key=seen) + 1


def _week(archive: Archive, began_ns: int) -> Week:
    whole = Query(from_ns=began_ns, to_ns=began_ns + _WEEK_NS, glimpses=False)
    counts = {
        decision: archive.count(msgspec.structs.replace(whole, decision=decision))
        for decision in ("person", "nobody", "undecided")
    }
    named = archive.sightings(msgspec.structs.replace(whole, decision="person", limit=_MOST_LOOKED_AT))
    alike = list(_likenesses(named))
    likeness = round(float(np.median(alike)), 4) if len(alike) >= _FEWEST else None
    return Week(
        began_ns // 1_000_000,
        sum(counts.values()),
        counts["person"],
        counts["nobody"],
        counts["undecided"],
        likeness,
        len(alike),
    )


def _likenesses(named: list[Sighting]) -> Iterator[float]:
    for sighting in named:
        if not sighting.masked:
            for candidate in sighting.candidates:
                if candidate.person == sighting.person and "raw" in candidate.evidence:
                    yield candidate.evidence["raw"]
