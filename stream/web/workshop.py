"""Looks at pictures that people upload, in a process of its own: it is started when it is needed, ends when it is idle,
and is killed when it hangs. Whatever a picture does there, the pages stay up.
"""

from __future__ import annotations

import logging
import os
import selectors
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from engines.recognition.photo import Refused
from stream.config import Settings
from stream.web.looking import Answer, Job, Judged, Kind, Looked, Measured, Start

log = logging.getLogger(__name__)

MOST_UPLOADED = 32 << 20
"""Bytes of one picture."""
_MOST_WAITING = 8
_LONGER = 4  # so many times the patience for a picture may a clip take; each step of it may take that once
_MOST_ANSWERED = 64 << 20
_LENGTH = 8
_END_S = 5.0


class WorkshopError(RuntimeError):
    """No picture can be looked at now; the text says why."""


class WorkshopBusy(WorkshopError):
    """Too many pictures wait already."""


class Workshop:
    """The process, as the pages see it. Any thread may use it; pictures are looked at one after the other."""

    def __init__(
        self, settings: Settings, idle_s: float = 120.0, patience_s: float = 30.0, start_s: float = 180.0
    ) -> None:
        """idle_s: after so long without a picture the process ends. patience_s: a picture that takes longer has it
        killed. start_s: so long the networks may take to open.
        """
        self._start = Start(settings.model_dump_json(), idle_s)
        self.patience_s, self._start_s = patience_s, start_s
        self._turn, self._places = threading.Lock(), threading.BoundedSemaphore(_MOST_WAITING)
        self._process: subprocess.Popen[bytes] | None = None

    def examine(self, picture: bytes) -> Looked:
        """Every face on a picture with its quality, and the template for enrolment or the reason why there is none.

        picture: a file's content. Raises Refused for what cannot be read as a photograph, WorkshopError.
        """
        answer = self._ask("examine", picture)
        assert answer.looked is not None
        return answer.looked

    def measure(self, picture: bytes) -> Measured:
        """The largest face on a picture, to search by. Raises Refused, WorkshopError."""
        answer = self._ask("measure", picture)
        assert answer.measured is not None
        return answer.measured

    def judge(self, picture: bytes) -> Judged:
        """Whether the faces on a picture look photographed or painted. Raises Refused, WorkshopError."""
        answer = self._ask("judge", picture)
        assert answer.judged is not None
        return answer.judged

    def judge_clip(self, path: Path, progress: Callable[[float], None]) -> Judged:
        """The same of a clip. progress: told the share that is done, 0..1. Raises Refused, WorkshopError."""
        answer = self._ask("judge_clip", os.fsencode(path), progress)
        assert answer.judged is not None
        return answer.judged

    @property
    def pid(self) -> int | None:
        """The process, while it lives."""
        process = self._process
        return process.pid if process and process.poll() is None else None

    def close(self) -> None:
        """End the process."""
        with self._turn:
            self._end()

    def _ask(self, kind: Kind, picture: bytes, progress: Callable[[float], None] | None = None) -> Answer:
        if len(picture) > MOST_UPLOADED:
            raise Refused(f"is too large: at most {MOST_UPLOADED >> 20} MiB, found {len(picture) >> 20}")
        if not self._places.acquire(blocking=False):
            raise WorkshopBusy(f"{_MOST_WAITING} pictures are waiting to be looked at: try again in a moment")
        try:
            with self._turn:
                answer = self._answer(msgspec.msgpack.encode(Job(kind, picture)), progress)
        finally:
            self._places.release()
        if answer.refusal:
            raise Refused(answer.refusal)
        if answer.fault:
            raise WorkshopError(answer.fault)
        return answer

    def _answer(self, job: bytes, progress: Callable[[float], None] | None) -> Answer:
        process = self._running()
        try:
            return self._exchange(process, job, self.patience_s, progress)
        except EOFError:
            with suppress(subprocess.TimeoutExpired):
                process.wait(_END_S)
            if process.returncode == 0:  # it had just gone because it was idle
                return self._again(job, progress)
            log.warning("the workshop ended with status %s while it looked at a picture", process.returncode)
            self._end()
            raise Refused(
                "ended the program that looked at it: it is damaged, or too large to decode"
            ) from None
        except TimeoutError:
            self._end()
            log.warning("the workshop hung at a picture: killed")
            raise Refused(f"could not be decoded within {self.patience_s:.0f} s") from None

    def _again(self, job: bytes, progress: Callable[[float], None] | None) -> Answer:
        self._end()
        try:
            return self._exchange(self._running(), job, self.patience_s, progress)
        except (EOFError, TimeoutError):
            self._end()
            raise WorkshopError("the program that looks at pictures does not stay: see the log") from None

    def _running(self) -> subprocess.Popen[bytes]:
        """The process, with its networks open. Raises WorkshopError."""
        if self._process and self._process.poll() is None:
            return self._process
        self._end()
        calm = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
        process = self._process = subprocess.Popen(
            [sys.executable, "-m", "stream.web.workbench"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **calm},
            start_new_session=True,
        )
        threading.Thread(target=process.wait, daemon=True).start()  # so that an idle one is not left a zombie
        try:
            answer = self._exchange(process, msgspec.msgpack.encode(self._start), self._start_s)
        except (EOFError, TimeoutError):
            self._end()
            raise WorkshopError("the program that looks at pictures did not start: see the log") from None
        if answer.fault:
            self._end()
            raise WorkshopError(answer.fault)
        return process

    def _exchange(
        self,
        process: subprocess.Popen[bytes],
        sent: bytes,
        within_s: float,
        progress: Callable[[float], None] | None = None,
    ) -> Answer:
        """Send and await the answer. Raises EOFError when the process is gone, TimeoutError."""
        assert process.stdin and process.stdout
        began = time.monotonic()
        deadline = began + within_s
        _send(process.stdin.fileno(), len(sent).to_bytes(_LENGTH, "big") + sent, deadline)
        while True:
            length = int.from_bytes(_receive(process.stdout.fileno(), _LENGTH, deadline), "big")
            if length > _MOST_ANSWERED:
                raise EOFError
            answer = msgspec.msgpack.decode(_receive(process.stdout.fileno(), length, deadline), type=Answer)
            if answer.share is None or progress is None:
                return answer
            progress(answer.share)
            deadline = min(time.monotonic() + within_s, began + _LONGER * within_s)

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe:
                with suppress(OSError):
                    pipe.close()


def _send(handle: int, data: bytes, deadline: float) -> None:
    os.set_blocking(handle, False)
    left = memoryview(data)
    with selectors.DefaultSelector() as selector:
        selector.register(handle, selectors.EVENT_WRITE)
        while left:
            _await(selector, deadline)
            try:
                left = left[os.write(handle, left) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                raise EOFError from None


def _receive(handle: int, length: int, deadline: float) -> bytes:
    received = bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(handle, selectors.EVENT_READ)
        while len(received) < length:
            _await(selector, deadline)
            part = os.read(handle, min(length - len(received), 1 << 20))
            if not part:
                raise EOFError
            received += part
    return bytes(received)


def _await(selector: selectors.BaseSelector, deadline: float) -> None:
    left = deadline - time.monotonic()
    if left <= 0 or not selector.select(left):
        raise TimeoutError
