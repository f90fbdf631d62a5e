"""The embedders that the settings choose: for faces as they are, and for masked ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from engines.backends import Engine
from engines.models import Model, prepare
from engines.recognition.embedder import Embedder, SFace
from engines.recognition.evidence import EvidenceMaker
from engines.recognition.facenet import NAME as FACENET
from engines.recognition.facenet import facenet_model, facenet_space
from stream.chosen_engines import open_engines
from stream.config import Settings

_SFACE = ("sface", "sface-masked")


def models_with_embedders(
    settings: Settings, names: Sequence[str], progress: Callable[[str, float], None] | None = None
) -> dict[str, Model]:
    """The named networks and the embedders of the settings, by name, made where the cache lacks them.

    progress: as engines.models.prepare has it. Raises ModelError.
    """
    cache, weights = settings.engines.cache, settings.recognition.facenet_weights
    if weights is None:
        return prepare(cache, (*names, *_SFACE), progress)
    if progress:
        progress(FACENET, 0.0)
    facenet = facenet_model(weights, cache)
    return prepare(cache, names, progress) | {FACENET: facenet}


def evidence_of(settings: Settings, opened: Mapping[str, Engine]) -> EvidenceMaker:
    """What makes evidence, of engines that hold those of `models_with_embedders`. Raises ModelError."""
    weights = settings.recognition.facenet_weights
    if weights is not None:
        return EvidenceMaker(Embedder(opened[FACENET], facenet_space(weights)))
    return EvidenceMaker(*(SFace(opened[name]) for name in _SFACE))


def open_evidence(settings: Settings) -> EvidenceMaker:
    """The same with engines of its own. Raises ModelError, EngineError."""
    return evidence_of(settings, open_engines(settings.engines, models_with_embedders(settings, ())))
