"""A training as a file, from which it can go on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import torch


class Resumable(Protocol):
    """What every training has beside its networks. checks: what was measured now and then, three figures each."""

    step: int
    seconds: float
    checks: list[tuple[float, float, float]]


def save_checkpoint(training: Resumable, parts: Sequence[str], path: Path) -> None:
    """Writes a training atomically. parts: the names of its networks and its optimizer."""
    state: dict[str, Any] = {"step": training.step, "seconds": training.seconds, "checks": training.checks}
    for name in parts:
        state[name] = getattr(training, name).state_dict()
    draft = path.with_suffix(".tmp")
    torch.save(state, draft)
    draft.replace(path)


def load_checkpoint(training: Resumable, parts: Sequence[str], path: Path) -> None:
    """Goes on from a checkpoint; raises RuntimeError when it is of another network."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    for name in parts:
        getattr(training, name).load_state_dict(state[name])
    training.step, training.seconds = int(state["step"]), float(state["seconds"])
    training.checks = [(float(a), float(b), float(c)) for a, b, c in state["checks"]]
