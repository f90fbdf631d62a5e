"""The gate: an engine is tried on real pictures against torch in float32 before it is used for the first time.

Runtimes fold, fuse and round as they like, and now and then wrongly. What was found is kept in the cache beside the
engine, under the same key, and holds until weights, runtime, device, precision, references or rules change.
"""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import numpy as np

from engines.backends.engine import Engine, NotFaithful
from engines.cache import EngineKey, write_atomically
from engines.gate.references import origin, reference
from engines.gate.rules import Measure, compare
from engines.models import Model

__all__ = ["Measure", "Verdict", "admit", "key", "known", "tried", "verdicts"]

SUFFIX = ".verdict"
_RULES = 1
"""Raise it when rules or limits change: every engine is then tried again."""


class Verdict(msgspec.Struct, frozen=True):
    """What the gate found. by: the references and rules it was found with. taken_s: wall time, seconds since 1970."""

    key: EngineKey
    by: str
    measures: list[Measure]
    taken_s: float

    @property
    def passed(self) -> bool:
        """Whether the engine may be used."""
        return bool(self.measures) and all(measure.passed for measure in self.measures)

    def __str__(self) -> str:
        """The figures, those that fail alone when some do."""
        failed = [measure for measure in self.measures if not measure.passed]
        return "; ".join(map(str, failed or self.measures))


def admit(engine: Engine, model: Model, runtime: str, folder: Path, anew: bool = False) -> Verdict:
    """Lets an engine pass. Raises NotFaithful when it may not be used, ModelError, EngineError when it cannot be tried.

    runtime: backend and version. folder: the cache. anew: it was just compiled, so what was found before is void.
    """
    info = engine.info
    verdict = None if anew else known(folder, key(model, runtime, info.device, info.precision), _by(model))
    if verdict is None:
        verdict = tried(engine, model, runtime, folder)
    if not verdict.passed:
        raise NotFaithful(
            f"{info.backend}: {model.name} in {info.precision} differs from the reference: {verdict}"
        )
    return verdict


def tried(engine: Engine, model: Model, runtime: str, folder: Path) -> Verdict:
    """What is found now; it is kept. Raises ModelError, EngineError when the engine or the reference does not run."""
    right, info = reference(model), engine.info
    found = engine(right.inputs.astype(np.float32))
    measures = compare(model.name, right.inputs, right.outputs, found)
    verdict = Verdict(key(model, runtime, info.device, info.precision), _by(model), measures, time.time())
    _keep(folder, verdict)
    return verdict


def key(model: Model, runtime: str, device: str, precision: str) -> EngineKey:
    """Where the verdict about an engine is kept; one verdict holds for all shapes."""
    return EngineKey(model.name, model.sha256, runtime, device, precision, "gate")


def known(folder: Path, key: EngineKey, by: str | None = None) -> Verdict | None:
    """What was found before, or None. by: only with these references and rules."""
    try:
        verdict = msgspec.json.decode((folder / f"{key.stem}{SUFFIX}").read_bytes(), type=Verdict)
    except (OSError, msgspec.MsgspecError):
        return None  # missing or damaged: it is tried again
    return verdict if verdict.key == key and by in (None, verdict.by) else None


def verdicts(folder: Path) -> dict[Path, Verdict]:
    """All that a cache holds and that can be read, by file."""
    found = {}
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            found[path] = msgspec.json.decode(path.read_bytes(), type=Verdict)
        except (OSError, msgspec.MsgspecError):
            continue
    return found


def _by(model: Model) -> str:
    return f"rules {_RULES}, {origin(model)}"


def _keep(folder: Path, verdict: Verdict) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / f"{verdict.key.stem}{SUFFIX}", msgspec.json.encode(verdict))
    except OSError:
        pass  # a disk that is full or read-only: it is tried again at the next start
