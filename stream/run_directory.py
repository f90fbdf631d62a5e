"""The directory of one run: sockets and frame rings, in shared memory, for this user only.

A run holds a lock on its directory while it lives. Directories whose lock is free were left by a run that was
killed; the next start deletes them.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from types import TracebackType

_PREFIX = "unvizard-"
_LOCK = "lock"


def shared_memory_root() -> Path:
    """/dev/shm where there is one, else the directory for temporary files (slower, but it works)."""
    root = Path("/dev/shm")
    return root if os.access(root, os.W_OK) else Path(tempfile.gettempdir())


class RunDirectory:
    """Made on entry, deleted on exit."""

    def __init__(self, root: Path | None = None) -> None:
        self._root = root or shared_memory_root()
        remove_stale(self._root)
        made = Path(tempfile.mkdtemp(prefix=f".{_PREFIX}", dir=self._root))
        self._lock = os.open(made / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        # It gets its name only once it is locked: another start never takes it for a stale one.
        self.path = made.rename(made.with_name(made.name[1:]))

    def __enter__(self) -> Path:
        return self.path

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def remove_stale(root: Path) -> list[Path]:
    """Delete what killed runs of this user left behind; returns what was deleted."""
    removed = []
    for directory in root.glob(f"{_PREFIX}*"):
        try:
            if directory.stat().st_uid != os.getuid():
                continue
            handle = os.open(directory / _LOCK, os.O_RDWR)
        except OSError:
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(directory, ignore_errors=True)
            removed.append(directory)
        except BlockingIOError:
            pass
        finally:
            os.close(handle)
    return removed
