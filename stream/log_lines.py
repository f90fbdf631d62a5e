"""What the stages say while they run: the newest lines of each, in the run directory, without passwords.

It lies in shared memory with the rest of the run, bounded, and is gone with the run.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from logging.handlers import RotatingFileHandler
from pathlib import Path

from stream.capture.address import redact

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_MOST_BYTES = 128 << 10  # of a stage, and as much again of the file before
_SUFFIX = ".log"


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line. moment: UTC, to the millisecond, as 2026-11-21T05:42:07.125Z; level: INFO, WARNING, ERROR, …"""

    moment: str
    stage: str
    level: str
    text: str


class Redacted(logging.Formatter):
    """Formats lines without the users and passwords of addresses in them."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        return redact(super().format(record))


def keep(directory: Path, stage: str) -> logging.Handler:
    """Keep what this process logs from now on as the lines of a stage; the handler may be removed again."""
    path = directory / f"{stage}{_SUFFIX}"
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
    handler = RotatingFileHandler(path, maxBytes=_MOST_BYTES, backupCount=1, encoding="utf-8")
    formatter = Redacted("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    logging.getLogger().addHandler(handler)
    return handler


@contextmanager
def kept(directory: Path, stage: str) -> Iterator[None]:
    """Keep lines for a while."""
    handler = keep(directory, stage)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()


def newest(directory: Path, most: int, least_level: str = "INFO") -> list[LogLine]:
    """The newest lines of all stages, oldest first; at least of a level. Lines of a traceback belong to theirs."""
    least = logging.getLevelNamesMapping()[least_level]
    found: list[LogLine] = []
    for path in directory.glob(f"*{_SUFFIX}*"):
        stage = path.name.partition(_SUFFIX)[0]
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        for line in text.splitlines():
            moment, _, rest = line.partition(" ")
            level, _, said = rest.partition(" ")
            if moment.endswith("Z") and level in logging.getLevelNamesMapping():
                found.append(LogLine(moment, stage, level, said))
            elif found and found[-1].stage == stage:
                before = found.pop()
                found.append(LogLine(before.moment, stage, before.level, f"{before.text}\n{line}"))
    kept = [line for line in found if logging.getLevelNamesMapping()[line.level] >= least]
    return sorted(kept, key=lambda line: line.moment)[-most:]
