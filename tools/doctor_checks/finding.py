"""One thing that was looked at: how it stands, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from stream.config import Settings


class Level(StrEnum):
    """From good to bad."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Finding:
    """check: what was looked at. found: how it stands, a sentence or a figure. remedy: what to do, empty when ok.

    Raises ValueError for anything but ok without a remedy: a complaint that leaves people alone is none.
    """

    check: str
    level: Level
    found: str
    remedy: str = ""

    def __post_init__(self) -> None:
        if (self.level is not Level.OK) != bool(self.remedy):
            raise ValueError(f"{self.check}: {self.level} must {'not ' if self.remedy else ''}have a remedy")


Check = Callable[[Settings], Iterator[Finding]]


def ok(check: str, found: str) -> Finding:
    """All is well."""
    return Finding(check, Level.OK, found)


def warning(check: str, found: str, remedy: str) -> Finding:
    """It runs, but worse than it could, or will break."""
    return Finding(check, Level.WARNING, found, remedy)


def fault(check: str, found: str, remedy: str) -> Finding:
    """It does not run as the settings want it."""
    return Finding(check, Level.FAULT, found, remedy)
