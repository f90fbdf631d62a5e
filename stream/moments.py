"""Times for people and programs: always with their zone, to the millisecond where it matters."""

from __future__ import annotations

from datetime import UTC, datetime


def iso(wall_ns: int) -> str:
    """UTC, to the millisecond: 2026-11-21T05:42:07.125Z."""
    moment = datetime.fromtimestamp(wall_ns / 1e9, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def utc(wall_ns: int) -> str:
    """2026-11-21 09:20:11.123 UTC."""
    seconds, rest = divmod(wall_ns, 1_000_000_000)
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S}.{rest // 1_000_000:03d} UTC"


def local(wall_ns: int) -> str | None:
    """10:20:11 CET, in the zone of this machine; None where that is UTC."""
    moment = datetime.fromtimestamp(wall_ns // 1_000_000_000, UTC).astimezone()
    return f"{moment:%Y-%m-%d %H:%M:%S %Z}" if moment.utcoffset() else None
