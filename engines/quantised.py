"""int8 twins of networks: kept beside the compiled engines, with the evidence that recognition is as good with them.

A twin belongs to one float32 network, by its sha256, and is used only while its evidence keeps the rule: on at least
LEAST_PAIRS pairs of photographs, no more than LARGEST_LOSS of decisions lost under any condition. `python -m
tools.quantise` makes twins.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import msgspec

from engines.cache import write_atomically
from engines.models import Model

LARGEST_LOSS = 0.001
LEAST_PAIRS = 1000
_ROUNDING = 1e-9


class Condition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Right decisions on pairs, 0 to 1, of the float32 network and of its twin, both by thresholds of their own."""

    pairs: int
    float32: float
    int8: float


class Evidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was measured. model_sha256: of the float32 ONNX file; twin_sha256: of the int8 one."""

    network: str
    model_sha256: str
    twin_sha256: str
    conditions: dict[str, Condition]


def complaints(evidence: Evidence) -> list[str]:
    """Why a twin may not be used, a sentence each; empty when it may."""
    found = (
        [] if evidence.conditions else [f"{evidence.network}: recognition must be measured, found no figures"]
    )
    for name, figures in evidence.conditions.items():
        if figures.pairs < LEAST_PAIRS:
            found.append(
                f"{evidence.network}, {name}: at least {LEAST_PAIRS} pairs must be compared to see a loss of "
                f"{LARGEST_LOSS:.1%}, found {figures.pairs}"
            )
        loss = figures.float32 - figures.int8
        if not loss <= LARGEST_LOSS + _ROUNDING:
            found.append(
                f"{evidence.network}, {name}: int8 may lose at most {LARGEST_LOSS:.1%} of right decisions, "
                f"found {loss:.2%} ({figures.float32:.2%} in float32, {figures.int8:.2%} in int8)"
            )
    return found


def install(folder: Path, model: Model, content: bytes, conditions: dict[str, Condition]) -> Path:
    """Keep a twin; gives its ONNX file. Raises ValueError, and keeps nothing, when the evidence breaks the rule.

    folder: the cache of engines. content: the twin's ONNX file.
    """
    evidence = Evidence(model.name, model.sha256, hashlib.sha256(content).hexdigest(), conditions)
    if wrong := complaints(evidence):
        raise ValueError("; ".join(wrong))
    folder.mkdir(parents=True, exist_ok=True)
    path = _path(folder, model)
    # The network first: evidence without its network is of no use, and a network without evidence is not used.
    write_atomically(path, content)
    write_atomically(path.with_suffix(".json"), msgspec.json.format(msgspec.json.encode(evidence)))
    return path


def installed(folder: Path | None, model: Model) -> Model | None:
    """The twin of a network, or None where there is none whose file and evidence are whole and keep the rule."""
    if folder is None:
        return None
    path = _path(folder, model)
    try:
        evidence = msgspec.json.decode(path.with_suffix(".json").read_bytes(), type=Evidence)
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except (OSError, msgspec.MsgspecError):
        return None
    if (evidence.model_sha256, evidence.twin_sha256) != (model.sha256, found) or complaints(evidence):
        return None
    return replace(model, path=path, sha256=found)


def _path(folder: Path, model: Model) -> Path:
    return folder / f"{model.name}-int8-{model.sha256[:16]}.onnx"
