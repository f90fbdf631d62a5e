"""An engine that goes on: it serves on the next best backend while a better one is built, or when one breaks down.

Who calls it never waits for a build that takes minutes, and never loses a batch: each is answered whole by one backend.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol, runtime_checkable

import numpy as np

from engines.backends.engine import (
    Array,
    DeviceLost,
    Engine,
    EngineError,
    EngineInfo,
    NotFaithful,
    OutOfMemory,
)
from engines.cache import watching

log = logging.getLogger(__name__)

_WHOLE_AGAIN_S = 300.0  # memory that was short may be free again
_one_build = threading.Lock()  # builds are hungry: one at a time in a process


class Building(StrEnum):
    """What to do about an engine that takes minutes to build."""

    NOW = "now"
    """Wait for it: ahead of time, and where the same input must give the same output."""
    BEHIND = "behind"
    """Build it in a thread, and serve on the next best meanwhile."""
    LATER = "later"
    """Do without it: another process will build it."""


@runtime_checkable
class Preparable(Protocol):
    """An engine that has to be built for each size of pictures."""

    def ready(self, shape: tuple[int, ...]) -> bool:
        """Whether a batch of this shape can run at once."""
        ...

    def prepare(self, shape: tuple[int, ...]) -> None:
        """Makes it so, in minutes perhaps. Raises EngineError."""
        ...


@dataclass(frozen=True, slots=True)
class Opener:
    """One way to run a network. device: engines on the same one are lost together.

    slow: it has to be built, which takes minutes. open: gives the engine, or raises EngineError.
    """

    backend: str
    precision: str
    device: str
    slow: bool
    open: Callable[[], Engine]

    def __str__(self) -> str:
        """For people."""
        return f"{self.backend} ({self.precision})"


@dataclass(slots=True, eq=False)
class _Candidate:
    """An opener and what became of it. thread: works on the engine, which nobody else may touch then."""

    opener: Opener
    engine: Engine | None = None
    failure: EngineError | None = None
    thread: threading.Thread | None = None


@dataclass(frozen=True, slots=True)
class _Cut:
    """Batches are cut to so many pictures, until some time (monotonic)."""

    most: int
    until_s: float
    note: str


class ServingEngine:
    """The best of several engines that can be used at the moment; Engine has the interface.

    A batch that the device has no memory for is halved, down to single pictures, before the next engine takes over. An
    engine whose device is lost, or that fails for another reason, is not used again in this process. `info` says what
    serves now, and its notes why it is not the first choice.
    """

    def __init__(
        self,
        network: str,
        openers: Sequence[Opener],
        building: Building = Building.NOW,
        strict: bool = False,
    ) -> None:
        """openers: best first. strict: only an engine that the gate refuses is passed over, all else is an error.

        Raises EngineError when none can be opened, as do calls when none is left.
        """
        self._network, self._building, self._strict = network, building, strict
        self._candidates = [_Candidate(opener) for opener in openers]
        self._said: list[str] = []  # by the cache
        self._cut: _Cut | None = None
        self._serving: _Candidate | None = None
        self._best(None)

    @property
    def info(self) -> EngineInfo:
        """What serves at the moment, and why no better one."""
        serving = self._serving
        assert serving is not None and serving.engine is not None
        info, notes = serving.engine.info, list(self._said)
        for candidate in self._candidates:
            if candidate.thread:
                notes.append(
                    f"{self._network}: {candidate.opener} is being built; {serving.opener} serves meanwhile"
                )
            elif candidate.failure:
                same = candidate.opener.backend == info.backend
                instead = f"in {info.precision}" if same else f"on {info.backend}"
                notes.append(f"runs {instead}, because {candidate.failure}")
        if self._cut:
            notes.append(self._cut.note)
        return replace(info, notes=(*info.notes, *dict.fromkeys(notes)))

    @property
    def engine(self) -> Engine:
        """The engine that serves at the moment."""
        assert self._serving is not None and self._serving.engine is not None
        return self._serving.engine

    def __call__(self, batch: Array) -> tuple[Array, ...]:
        """The outputs for a batch, as Engine says."""
        while True:
            serving = self._best(batch.shape)
            assert serving.engine is not None
            try:
                return self._run(serving.engine, batch)
            except EngineError as error:
                self._give_up(serving, error)

    def _best(self, shape: tuple[int, ...] | None) -> _Candidate:
        """The first candidate that can run now, with a batch of this shape; it serves from now on."""
        while True:
            threads = self._threads()
            for candidate in self._candidates:
                if not candidate.failure and not candidate.thread and self._at_hand(candidate, shape):
                    self._take_over(candidate)
                    return candidate
            threads += self._threads()  # also of one that has ended meanwhile: its engine has not been asked
            if not threads:
                break
            threads[0].join()
        failures = [candidate.failure for candidate in self._candidates if candidate.failure]
        reasons = " | ".join(map(str, failures)) or "none is installed"
        raise EngineError(
            f"auto: no runtime can run {self._network}: {reasons}; run: pip install openvino"
        ) from next(iter(failures), None)

    def _threads(self) -> list[threading.Thread]:
        return [thread for candidate in self._candidates if (thread := candidate.thread)]

    def _at_hand(self, candidate: _Candidate, shape: tuple[int, ...] | None) -> bool:
        """Whether a candidate can run without being built; its build is begun where it can not."""
        if candidate.engine is None:
            if candidate.opener.slow and self._may_wait(candidate):
                if self._building is Building.BEHIND:
                    self._work(candidate, candidate.opener.open)
                return False
            return self._done(candidate, candidate.opener.open)
        engine = candidate.engine
        if shape is None or not isinstance(engine, Preparable) or engine.ready(shape):
            return True

        def prepared() -> Engine:
            engine.prepare(shape)
            return engine

        if self._building is Building.BEHIND and self._may_wait(candidate):
            self._work(candidate, prepared)
            return False
        return self._done(candidate, prepared)

    def _may_wait(self, candidate: _Candidate) -> bool:
        """Whether somebody else can serve while a candidate is built."""
        return self._building is not Building.NOW and any(
            other is not candidate and not other.failure and not other.opener.slow
            for other in self._candidates
        )

    def _work(self, candidate: _Candidate, job: Callable[[], Engine]) -> None:
        """Does a job in a thread, which belongs to nobody: at the end of the process it ends too."""

        def work() -> None:
            try:
                with _one_build:
                    self._done(candidate, job, strict=False)
            finally:
                candidate.thread = None

        log.info("engines: %s: building %s", self._network, candidate.opener)
        candidate.thread = threading.Thread(target=work, name=f"build {self._network}", daemon=True)
        candidate.thread.start()

    def _done(self, candidate: _Candidate, job: Callable[[], Engine], strict: bool | None = None) -> bool:
        """Does a job whose result is the candidate's engine; whether that went well."""
        try:
            with watching() as dealings:
                candidate.engine = job()
            self._said += [note for note in dealings.notes if note not in self._said]
            return True
        except EngineError as error:
            failure = error
        except (
            RuntimeError,
            MemoryError,
            ImportError,
            OSError,
        ) as error:  # of a runtime that is installed in part
            failure = EngineError(f"{candidate.opener.backend}: {self._network} does not open: {error!r}")
        candidate.engine, candidate.failure = None, failure
        if (self._strict if strict is None else strict) and not isinstance(failure, NotFaithful):
            raise failure
        return False

    def _take_over(self, candidate: _Candidate) -> None:
        """From now on this one serves; the memory of the others is given back."""
        if candidate is self._serving:
            return
        if self._serving:
            log.info(
                "engines: %s: %s takes over from %s", self._network, candidate.opener, self._serving.opener
            )
        self._serving, self._cut = candidate, None
        for other in self._candidates:
            if other is not candidate and not other.thread:
                other.engine = None

    def _run(self, engine: Engine, batch: Array) -> tuple[Array, ...]:
        """The outputs for a batch, in as many parts as the device's memory asks for."""
        if self._cut and time.monotonic() > self._cut.until_s:
            self._cut = None
        if not self._cut or len(batch) <= self._cut.most:
            try:
                return engine(batch)
            except OutOfMemory as error:
                if len(batch) <= 1:
                    raise
                most = len(batch) // 2
                note = f"{self._network}: batches are cut to {most}, because {error}"
                self._cut = _Cut(most, time.monotonic() + _WHOLE_AGAIN_S, note)
                log.warning(note)
        most = self._cut.most
        parts = [self._run(engine, batch[start : start + most]) for start in range(0, len(batch), most)]
        return tuple(map(np.concatenate, zip(*parts, strict=True)))

    def _give_up(self, serving: _Candidate, error: EngineError) -> None:
        """Never uses a candidate again, nor others on its device when that is lost. Raises what cannot be mended."""
        if self._strict:
            raise error
        log.warning("engines: %s", error)
        for candidate in self._candidates:
            together = isinstance(error, DeviceLost) and candidate.opener.device == serving.opener.device
            if candidate is serving or (together and not candidate.failure):
                candidate.failure, candidate.engine = error, None
