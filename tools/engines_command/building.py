"""Building engines in a process of their own: a runtime may take minutes in a call, and Ctrl-C does not wait for it."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection

import numpy as np

from engines.backends import EngineError, open_engine
from engines.cache import leftovers
from engines.models import ModelError
from stream.config import Settings
from stream.networks import load_networks, models_of

_POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class Begun:
    """Work on a network begins. share: of the whole work done before, 0 to 1."""

    network: str
    share: float


@dataclass(frozen=True, slots=True)
class Built:
    """A network is ready. runs_on: backend and precision. notes: why it is not what was asked for."""

    network: str
    runs_on: str
    seconds: float
    notes: tuple[str, ...]


class BuildFailed(Exception):
    """An engine could not be built; the text says which and why."""


def build(settings: Settings, sizes: list[tuple[int, int]]) -> Iterator[Begun | Built]:
    """Opens every network of the settings, so that all is compiled and tried; says what happens as it happens.

    sizes: (width, height) of the cameras' pictures, for engines that are built for sizes. When the caller stops, or is
    interrupted, the build is stopped at once; what is ready stays, and nothing half made.
    Raises BuildFailed.
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(there, settings, sizes), name="engines build", daemon=True)
    process.start()
    there.close()
    network = "the first network"
    try:
        while True:
            if not here.poll(_POLL_S):
                continue
            try:
                said = here.recv()
            except EOFError:
                break
            if isinstance(said, str):
                raise BuildFailed(said)
            network = said.network
            yield said
        process.join()
        if process.exitcode:
            raise BuildFailed(
                f"{network}: the build died ({_death(process.exitcode)}); choose another backend"
            )
    finally:
        process.kill()
        process.join()
        if process.pid:
            for path in leftovers(settings.engines.cache, process.pid):
                path.unlink(missing_ok=True)


def _work(out: Connection, settings: Settings, sizes: list[tuple[int, int]]) -> None:
    """The process: sends Begun and Built, or the text of an error."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one who asked decides
    chosen = settings.engines
    by_size = False
    try:
        models = models_of(settings, lambda name, share: out.send(Begun(name or "engines", share * 0.2)))
        for done, (name, model) in enumerate(models.items()):
            out.send(Begun(name, 0.2 + 0.8 * done / len(models)))
            began = time.monotonic()
            engine = open_engine(model, chosen.backend, chosen.precision, chosen.threads, chosen.cache)
            info = engine.info
            by_size |= info.backend == "tensorrt"
            seconds = time.monotonic() - began
            out.send(Built(name, f"{info.backend} ({info.precision})", seconds, info.notes))
        if not by_size:
            return
        detector = load_networks(settings, lambda name, share: None).detector
        for width, height in sizes:
            out.send(Begun(f"detector for {width} x {height}", 1.0))
            detector.detect([np.zeros((height, width, 3), np.uint8)])
    except (EngineError, ModelError, OSError) as error:
        out.send(str(error))


def _death(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
