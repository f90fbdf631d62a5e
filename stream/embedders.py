"""The two embedders of a run: for faces as they are, and for masked ones."""

from __future__ import annotations

from collections.abc import Mapping

from engines.backends import Engine
from engines.models import prepare
from engines.recognition.embedder import SFace
from engines.recognition.evidence import EvidenceMaker
from stream.chosen_engines import open_engines
from stream.config import Engines

EMBEDDERS = ("sface", "sface-masked")


def evidence_of(opened: Mapping[str, Engine]) -> EvidenceMaker:
    """What makes evidence, of engines that hold EMBEDDERS."""
    return EvidenceMaker(*(SFace(opened[name]) for name in EMBEDDERS))


def open_evidence(chosen: Engines) -> EvidenceMaker:
    """The same with engines of its own. Raises ModelError, EngineError."""
    models = prepare(chosen.cache, EMBEDDERS)
    return evidence_of(open_engines(chosen, models))
