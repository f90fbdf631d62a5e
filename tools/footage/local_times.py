"""Times as people write them at a command line, and as they are shown to them: by the clocks of this machine."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta, tzinfo

_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_AGO = re.compile(r"-(?=\d)(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
_DAY = re.compile(r"(today|yesterday)(?:\s+(\S+))?", re.IGNORECASE)
_FORMS = '2026-11-21T14:00:00+01:00, "2026-11-21 14:00", "today 14:00", "yesterday", now, -2h, -1d12h or -90m'


class TimeError(ValueError):
    """A time that cannot be read; the text says what can."""


@dataclass(frozen=True, slots=True)
class Moment:
    """wall_ns: UTC since 1970. note: a sentence when the clocks of that day leave room for doubt, else empty."""

    wall_ns: int
    note: str = ""


def parse_time(text: str, now: datetime, later: bool = False, zone: tzinfo | None = None) -> Moment:
    """The moment that somebody means. Raises TimeError.

    now: with its zone. later: of two moments that the clocks show alike when daylight saving ends, the second is
    meant (for the end of a span). zone: of the clocks, by default this machine's.
    """
    words = text.strip()
    if words.lower() == "now":
        return Moment(_whole_seconds(now))
    if words.startswith("-") and (ago := _AGO.fullmatch(words)):
        amounts = [int(amount or 0) for amount in ago.groups()]
        seconds = sum(n * unit for n, unit in zip(amounts, _UNITS.values(), strict=True))
        return Moment(_whole_seconds(now) - seconds * 1_000_000_000)
    try:
        if named := _DAY.fullmatch(words):
            day = now.astimezone(zone).date() - timedelta(days=named[1].lower() == "yesterday")
            moment = datetime.combine(day, time.fromisoformat(named[2]) if named[2] else time.min)
        else:
            moment = datetime.fromisoformat(words)
        if moment.tzinfo is not None:
            return Moment(_ns(moment))
        return _local(moment, later, zone)
    except (ValueError, OverflowError, OSError):
        raise TimeError(f"{text!r}: is no time that can be read; write it as {_FORMS}") from None


def show_time(wall_ns: int, zone: tzinfo | None = None) -> str:
    """2026-11-21 14:00:05 CET, by the clocks of the place."""
    return f"{datetime.fromtimestamp(wall_ns / 1e9, zone).astimezone(zone):%Y-%m-%d %H:%M:%S %Z}"


def full_hour(wall_ns: int, zone: tzinfo | None = None) -> int:
    """The moment at which the clocks of the place last showed a full hour."""
    moment = datetime.fromtimestamp(wall_ns / 1e9, zone).astimezone(zone)
    return _ns(moment) - (moment.minute * 60 + moment.second) * 1_000_000_000 - moment.microsecond * 1000


def show_span(seconds: float) -> str:
    """3 d 4 h, 2 h 5 min, 12 s: the two largest units."""
    left, parts = round(seconds), list[str]()
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        if left >= size or (unit == "s" and not parts):
            parts.append(f"{left // size} {unit}")
        left %= size
    return " ".join(parts[:2])


def _local(naive: datetime, later: bool, zone: tzinfo | None) -> Moment:
    first, second = (_ns(naive.replace(tzinfo=zone, fold=fold)) for fold in (0, 1))
    if first == second:
        return Moment(first)
    if first < second:
        chosen = second if later else first
        which = "second" if later else "first"
        other = datetime.fromtimestamp((first + second - chosen) / 1e9, zone).astimezone(zone)
        note = (
            f"{naive} comes twice here, because daylight saving ends; the {which} is taken, "
            f"{show_time(chosen, zone)} (the other is {other.isoformat()})"
        )
        return Moment(chosen, note)
    note = f"{naive} does not exist here, because daylight saving begins; {show_time(first, zone)} is taken"
    return Moment(first, note)


def _whole_seconds(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000_000


def _ns(moment: datetime) -> int:
    """To the microsecond, without the rounding of a float of seconds."""
    return int(moment.replace(microsecond=0).timestamp()) * 1_000_000_000 + moment.microsecond * 1000
