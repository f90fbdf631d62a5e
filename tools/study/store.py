"""What people answered, in SQLite: sittings of so many pictures, each answer kept the moment it is given."""

from __future__ import annotations

import csv
import io
import math
import sqlite3
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_SCHEMA = """
CREATE TABLE IF NOT EXISTS sittings (id TEXT PRIMARY KEY, began_ns INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS pictures (
    sitting TEXT NOT NULL REFERENCES sittings(id), number INTEGER NOT NULL, file TEXT NOT NULL,
    fake INTEGER NOT NULL, said_fake INTEGER, answered_ns INTEGER, PRIMARY KEY (sitting, number)
) STRICT;
"""
COLUMNS = ("sitting", "number", "file", "was", "said", "answered_utc_ns")
_Z = 1.959964  # of a two-sided interval of 95 %


class StudyError(ValueError):
    """An answer that cannot be taken; the text says why."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One picture of a sitting."""

    file: str
    fake: bool


class Store:
    """An open study; may be used from several threads."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def begin(self, sitting: str, pictures: Sequence[Asked]) -> None:
        """A person begins."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute("INSERT INTO sittings VALUES (?, ?)", (sitting, time.time_ns()))
            rows = [(sitting, n, p.file, int(p.fake)) for n, p in enumerate(pictures, 1)]
            self._db.executemany("INSERT INTO pictures VALUES (?, ?, ?, ?, NULL, NULL)", rows)
            self._db.execute("COMMIT")

    def picture(self, sitting: str, number: int) -> Asked:
        """What is asked. Raises StudyError for an unknown sitting or number."""
        with self._lock:
            row = self._db.execute(
                "SELECT file, fake FROM pictures WHERE sitting = ? AND number = ?", (sitting, number)
            ).fetchone()
        if row is None:
            raise StudyError(f"picture: must be one of this sitting, found number {number}")
        return Asked(row[0], bool(row[1]))

    def answer(self, sitting: str, number: int, said_fake: bool) -> bool:
        """Keep an answer; whether it was right. Raises StudyError when it was given before: a first look counts."""
        asked = self.picture(sitting, number)
        with self._lock:
            done = self._db.execute(
                "UPDATE pictures SET said_fake = ?, answered_ns = ? WHERE sitting = ? AND number = ? "
                "AND said_fake IS NULL",
                (int(said_fake), time.time_ns(), sitting, number),
            )
        if done.rowcount != 1:
            raise StudyError(f"answer: picture {number} was answered before, and the first answer counts")
        return asked.fake == said_fake

    def results(self) -> dict[str, object]:
        """Of the sittings that were finished: scores, and how often fakes fooled people, with its interval."""
        with self._lock:
            rows = self._db.execute(
                "SELECT sitting, count(*), sum(said_fake = fake), sum(fake), sum(fake AND NOT said_fake), "
                "sum(NOT fake AND said_fake) FROM pictures GROUP BY sitting HAVING count(said_fake) = count(*)"
            ).fetchall()
            unfinished = self._db.execute(
                "SELECT count(DISTINCT sitting) FROM pictures WHERE said_fake IS NULL"
            ).fetchone()[0]
        asked, right, fakes, fooled, doubted = (sum(row[i] for row in rows) for i in range(1, 6))
        histogram: dict[str, int] = {}
        for _, count, score, *_ in rows:
            key = f"{score} of {count}"
            histogram[key] = histogram.get(key, 0) + 1
        return {
            "people": len(rows),
            "unfinished": unfinished,
            "histogram": dict(sorted(histogram.items(), key=lambda item: int(item[0].split()[0]))),
            "right": share(right, asked),
            "fakes_taken_for_photographs": share(fooled, fakes),
            "photographs_taken_for_fakes": share(doubted, asked - fakes),
        }

    def export(self) -> str:
        """Every answer, as CSV."""
        out = io.StringIO()
        writer = csv.writer(out)
        writer.writerow(COLUMNS)
        words = {0: "photograph", 1: "reconstruction", None: ""}
        with self._lock:
            for sitting, number, file, fake, said, at in self._db.execute(
                "SELECT p.* FROM pictures p JOIN sittings s ON s.id = p.sitting ORDER BY s.began_ns, p.number"
            ):
                writer.writerow([sitting, number, file, words[fake], words[said], at or ""])
        return out.getvalue()


def share(count: int, of: int) -> dict[str, float | int | None]:
    """A share with its 95 % interval after Wilson (1927), which holds for small numbers too."""
    if not of:
        return {"count": 0, "of": 0, "share": None, "low": None, "high": None}
    p, square = count / of, _Z * _Z
    middle = (p + square / (2 * of)) / (1 + square / of)
    half = _Z / (1 + square / of) * math.sqrt(p * (1 - p) / of + square / (4 * of * of))
    return {
        "count": count,
        "of": of,
        "share": p,
        "low": max(0.0, middle - half),
        "high": min(1.0, middle + half),
    }
