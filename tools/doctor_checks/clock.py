"""The clocks: latencies are told by the monotonic one, recordings and evidence by the wall clock."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from stream.config import Settings
from tools.doctor_checks.finding import Finding, fault, ok, warning

_BUILT = datetime(2026, 1, 1, tzinfo=UTC)  # nothing of this program was there before
_UNSYNCHRONISED = 0x0040  # STA_UNSYNC of adjtimex(2)
_SLOW_SOURCES = ("hpet", "acpi_pm", "jiffies", "refined-jiffies")
_WIDE_S = 1.0
_TIMEX_BYTES = 208


class _Timex(ctypes.Structure):
    """The head of struct timex of adjtimex(2); the kernel writes all of its 208 bytes."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * _TIMEX_BYTES),
    )


def clock(settings: Settings) -> Iterator[Finding]:
    """Monotonic clock, wall clock, whether it is kept right, and the time zone."""
    info = time.get_clock_info("monotonic")
    source = _text("/sys/devices/system/clocksource/clocksource0/current_clocksource")
    found = f"{info.implementation}, resolution {info.resolution * 1e9:.0f} ns{f', from {source}' if source else ''}"
    if source in _SLOW_SOURCES:
        advice = (
            "reading this clock is slow; see dmesg why the kernel gave up tsc, or start it with tsc=reliable"
        )
        yield warning("monotonic clock", found, advice)
    else:
        yield ok("monotonic clock", found)
    now = datetime.now(UTC)
    if now < _BUILT:
        advice = "set it: timedatectl set-ntp true; recordings would carry wrong times, and retention delete wrongly"
        yield fault("wall clock", f"{now:%Y-%m-%d %H:%M} UTC, which is in the past", advice)
    else:
        yield ok("wall clock", f"{now:%Y-%m-%d %H:%M:%S} UTC")
    yield _kept_right()
    yield _zone(settings)


def _kept_right() -> Finding:
    name, advice = (
        "synchronised",
        "run an NTP client (chrony, or timedatectl set-ntp true): times of sightings drift apart otherwise",
    )
    state = _Timex()
    try:
        answer = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(state))
    except AttributeError:
        return warning(name, "cannot be told on this system", advice)
    if answer < 0:
        return warning(name, f"the kernel does not say: {os.strerror(ctypes.get_errno())}", advice)
    error_s = state.maxerror / 1e6
    if state.status & _UNSYNCHRONISED:
        return warning(name, "the kernel says that nothing keeps the wall clock right", advice)
    if error_s > _WIDE_S:
        return warning(name, f"yes, but may be wrong by {error_s:.1f} s", advice)
    return ok(name, f"yes, to within {error_s * 1e3:.0f} ms")


def _zone(settings: Settings) -> Finding:
    here = datetime.now().astimezone()
    found = f"{here.tzname()} (UTC{here:%z})"
    timed = [rule.name for rule in settings.events.rules if rule.from_time or rule.days]
    if timed and here.utcoffset() == UTC.utcoffset(None) and here.tzname() in ("UTC", "Etc/UTC"):
        advice = (
            f"rules go by local time ({', '.join(timed)}): timedatectl set-timezone, or TZ in the container"
        )
        return warning("time zone", found, advice)
    return ok("time zone", found)


def _text(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
