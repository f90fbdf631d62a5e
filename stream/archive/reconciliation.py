"""Keeps the archive and the files in agreement: no row without its file, no file without a row."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from stream.archive import clocks
from stream.archive.footage_table import FootageTable
from stream.recording.mp4.outline import NoFootage, is_footage, outline

_HOUR_NS = 3600 * 1_000_000_000
_SETTLED_NS = 120 * 1_000_000_000
"""A younger file may be one that the recorder has just begun."""
_BUDGET_S = 5.0
_AT_ONCE = 100
_READ_IN = "read in again from its file"


class Reconciliation(FootageTable):
    """Rows and files."""

    _reconciled_ns: int | None = None

    def reconcile_hourly(self, now_ns: int) -> list[str]:
        """Reconcile when an hour has passed since all agreed; what was done, a sentence each."""
        if self._reconciled_ns is not None and 0 <= now_ns - self._reconciled_ns < _HOUR_NS:
            return []
        return self.reconcile(now_ns)

    def reconcile(self, now_ns: int, settled_ns: int = _SETTLED_NS, budget_s: float = _BUDGET_S) -> list[str]:
        """Take in files that have no row, newest first, remove those without a frame, and forget rows without a file.

        now_ns: this machine's clock; files written within settled_ns before it are left alone. After budget_s the rest
        is left to the next call. Returns what was done, a sentence each.
        """
        deadline = time.monotonic() + budget_s
        rows = {path: segment for segment, path in self._rows("SELECT id, path FROM segments")}
        files = dict(self._files())
        lost = [path for path in rows.keys() - files.keys() if not (self.folder / path).exists()]
        with self.transaction():
            for path in lost:
                self._write("DELETE FROM segments WHERE id = ?", (rows[path],))
        adopted = removed = 0
        done = True
        new = sorted(
            (path for path in files.keys() - rows.keys()), key=lambda p: p.split("/")[1:], reverse=True
        )
        new = [path for path in new if not 0 <= now_ns - files[path] < settled_ns]
        for start in range(0, len(new), _AT_ONCE):
            if time.monotonic() > deadline:
                done = False
                break
            with self.transaction():
                for path in new[start : start + _AT_ONCE]:
                    became = self._adopt(path, files[path])
                    adopted += became == "adopted"
                    removed += became == "removed"
        self._reconciled_ns = now_ns if done else None
        said = (
            (len(lost), "had no file any more and left the archive"),
            (adopted, "had no row in the archive and came into it"),
            (removed, "held no footage and were removed"),
        )
        return [f"{count} segment{'s' * (count != 1)} {what}" for count, what in said if count]

    def delete_file(self, path: str, notes: list[str]) -> bool:
        """Whether the file of a segment is gone now."""
        whole = self.folder / path
        try:
            whole.unlink(missing_ok=True)
        except OSError as error:
            notes.append(f"{whole}: cannot be deleted: {error.strerror}")
            return False
        for folder in whole.parents[:2]:  # of the day and of the camera, when nothing is left in them
            with contextlib.suppress(OSError):
                folder.rmdir()
        return True

    def _files(self) -> Iterator[tuple[str, int]]:
        """(relative path, mtime in ns) of every file named as the recorder names them."""
        for camera in _folders(self.folder):
            for day in _folders(camera):
                with contextlib.suppress(OSError), os.scandir(day) as entries:
                    for entry in entries:
                        relative = Path(camera.name, day.name, entry.name)
                        if is_footage(relative) and entry.is_file(follow_symlinks=False):
                            yield relative.as_posix(), entry.stat().st_mtime_ns

    def _adopt(self, path: str, written_ns: int) -> Literal["adopted", "removed", "left"]:
        """Take a file in if it holds footage, else remove it. One that cannot be read now is left for later."""
        whole = self.folder / path
        try:
            found = outline(whole)
        except NoFootage:
            return "removed" if self.delete_file(path, []) else "left"
        except OSError:
            return "left"
        began_media, began = found.pairs[0]
        ended_media, ended = found.ended
        segment = self._write(
            "INSERT INTO segments (camera, run, connection, path, codec, width, height, began_ns, ended_ns,"
            " began_media_ns, ended_media_ns, bytes, frames, complete, reason, clock, written_ns)"
            " VALUES (?, 0, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'here', ?)",
            (
                path.split("/", 1)[0],
                path,
                found.codec,
                found.width,
                found.height,
                began,
                ended,
                began_media,
                ended_media,
            )
            + (whole.stat().st_size, found.frames, int(found.whole), _READ_IN, written_ns),
        ).lastrowid
        self._write("INSERT INTO clocks VALUES (?, ?, ?)", (segment, began, clocks.pack(found.pairs)))
        return "adopted"


def _folders(parent: Path) -> list[Path]:
    try:
        with os.scandir(parent) as entries:
            return sorted(Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False))
    except OSError:
        return []
