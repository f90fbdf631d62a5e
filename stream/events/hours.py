"""Whether a rule is in force by the clock on the wall."""

from __future__ import annotations

from datetime import datetime, time, timedelta, tzinfo
from typing import get_args

from stream.config import Weekday

DAYS: tuple[str, ...] = get_args(Weekday)


def local_time(wall_ns: int, zone: tzinfo | None = None) -> datetime:
    """What the clocks showed. wall_ns: UTC since 1970. zone: of the clocks, by default this machine's."""
    return datetime.fromtimestamp(wall_ns / 1e9, zone).astimezone(zone)


def in_force(
    local: datetime, from_time: str | None = None, to_time: str | None = None, days: tuple[str, ...] = ()
) -> bool:
    """Whether a local time lies in the hours from from_time ("HH:MM", included) to to_time (excluded) of the days.

    Without from_time they begin at midnight, without to_time they end there. Hours that go over midnight belong
    to the day on which they begin: 22:00 to 06:00 on "fri" holds on Saturday at 5. What counts is what the
    clocks show: the hour that daylight saving repeats counts both times, the one it leaves out never comes.
    """
    now, first = local.time(), _time(from_time) or time.min
    last = _time(to_time) or time.min  # midnight, as an end
    began = local.date()
    if first < last or last == time.min:
        inside = first <= now and (now < last or last == time.min)
    else:
        inside = now >= first or now < last
        if now < last:
            began -= timedelta(days=1)
    return inside and (not days or DAYS[began.weekday()] in days)


def _time(text: str | None) -> time | None:
    return None if text is None else time.fromisoformat(text)
