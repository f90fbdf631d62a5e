"""Files that take a while to make: one after the other, at low priority, with progress, until they are fetched.

A job's work is a function that is given a path to write and a callable to tell how far it is; that callable raises
Cancelled when nobody wants the file any more.
"""

from __future__ import annotations

import logging
import os
import queue
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import psutil

from stream.web.account import Account, Role

log = logging.getLogger(__name__)

State = Literal["waiting", "working", "done", "failed", "cancelled"]
Progress = Callable[[float], None]
"""Called with the share that is done, 0 to 1. Raises Cancelled."""
Work = Callable[[Path, Progress], str]
"""Writes the file; a sentence about it."""

_MOST_OPEN = 16
_KEPT_S = 3600.0
_TIDY_S = 60.0
_NICE = 10
_PREFIX = "unvizard-files-"


class Cancelled(Exception):
    """Nobody wants it any more."""


class TooManyJobs(RuntimeError):
    """No more files can be made now; the text says why."""


@dataclass(slots=True, eq=False)
class Job:
    """One file. share: 0 to 1. sentence: what was made, or why not. path: where it lies once it is done."""

    id: str
    account: str
    title: str
    file: str
    work: Work
    state: State = "waiting"
    share: float = 0.0
    sentence: str = ""
    path: Path | None = None
    size: int = 0
    ended: float = 0.0  # monotonic
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def over(self) -> bool:
        """Whether nothing more happens to it."""
        return self.state in ("done", "failed", "cancelled")


class Jobs:
    """All of them. Any thread may ask; one thread works."""

    def __init__(self, kept_s: float = _KEPT_S) -> None:
        """kept_s: for so long a file is kept after it is done."""
        self._kept_s = kept_s
        self._lock = threading.Lock()
        self._jobs: dict[str, Job] = {}
        self._queue: queue.Queue[Job | None] = queue.Queue()
        self._folder: Path | None = None
        self._thread: threading.Thread | None = None

    def start(self, account: Account, title: str, file: str, work: Work) -> Job:
        """Have a file made. file: the name to give it when it is fetched. Raises TooManyJobs."""
        self._tidy()
        job = Job(secrets.token_urlsafe(9), account.name, title, file, work)
        with self._lock:
            if sum(not other.over for other in self._jobs.values()) >= _MOST_OPEN:
                raise TooManyJobs(f"{_MOST_OPEN} files are being made already: wait, or cancel some")
            self._jobs[job.id] = job
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="files", daemon=True)
                self._thread.start()
        self._queue.put(job)
        return job

    def of(self, account: Account) -> list[Job]:
        """Those an account may see, newest first: its own; an administrator's are all."""
        self._tidy()
        with self._lock:
            return [job for job in reversed(self._jobs.values()) if _may_see(account, job)]

    def get(self, account: Account, identity: str) -> Job | None:
        """One of them."""
        return next((job for job in self.of(account) if job.id == identity), None)

    def cancel(self, job: Job) -> None:
        """Stop it if it goes on; otherwise delete its file and forget it."""
        with self._lock:
            job.stop.set()
            if job.state == "waiting":
                job.state, job.ended = "cancelled", time.monotonic()
            elif job.over:
                self._forget(job)

    def close(self) -> None:
        """Stop working, and delete every file."""
        with self._lock:
            for job in self._jobs.values():
                job.stop.set()
            thread, folder = self._thread, self._folder
        self._queue.put(None)
        if thread:
            thread.join(10)
        if folder:
            shutil.rmtree(folder, ignore_errors=True)

    def _run(self) -> None:
        with suppress(OSError):  # of this thread alone, and of those that its encoder starts
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        while True:
            try:
                job = self._queue.get(timeout=_TIDY_S)
            except queue.Empty:
                self._tidy()
                continue
            if job is None:
                return
            self._do(job)

    def _do(self, job: Job) -> None:
        with self._lock:
            if job.state != "waiting":
                return
            job.state = "working"
        path: Path | None = None
        try:
            path = self._place(job)
            job.sentence = job.work(path, lambda share: _tell(job, share))
            job.size = path.stat().st_size
            job.path, state = path, "done"
        except Cancelled:
            state = "cancelled"
        except Exception as error:  # the next file must be made all the same
            if not isinstance(error, RuntimeError | OSError | ValueError):
                log.exception("%s", job.title)
            job.sentence, state = str(error) or type(error).__name__, "failed"
        if state != "done" and path:
            path.unlink(missing_ok=True)
        with self._lock:
            job.state, job.ended = state, time.monotonic()  # type: ignore[assignment]

    def _place(self, job: Job) -> Path:
        """A path that only this user can read. Not in the run's directory: that is memory."""
        if self._folder is None or not self._folder.is_dir():
            roomy = Path("/var/tmp")
            root = roomy if os.access(roomy, os.W_OK) else Path(tempfile.gettempdir())
            _remove_stale(root)
            self._folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=root))
        return self._folder / f"{job.id}{Path(job.file).suffix}"

    def _tidy(self) -> None:
        now = time.monotonic()
        with self._lock:
            for job in list(self._jobs.values()):
                if job.over and now - job.ended > self._kept_s:
                    self._forget(job)

    def _forget(self, job: Job) -> None:
        if job.path:
            job.path.unlink(missing_ok=True)
        self._jobs.pop(job.id, None)


def _remove_stale(root: Path) -> None:
    """What a process left that was killed."""
    for folder in root.glob(f"{_PREFIX}*-*"):
        number = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if number.isdigit() and not psutil.pid_exists(int(number)) and folder.stat().st_uid == os.getuid():
            shutil.rmtree(folder, ignore_errors=True)


def _tell(job: Job, share: float) -> None:
    if job.stop.is_set():
        raise Cancelled
    job.share = min(max(share, 0.0), 1.0)


def _may_see(account: Account, job: Job) -> bool:
    return job.account == account.name or account.role.covers(Role.ADMINISTRATOR)
