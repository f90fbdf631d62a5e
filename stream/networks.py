"""The networks and the gallery of a run, made ready from the settings."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from engines.backends import Engine, open_engine
from engines.detection.mtcnn import MTCNN
from engines.masks.state import MaskStateClassifier
from engines.models import from_file, prepare
from engines.recognition.embedder import SFace
from engines.unmasking.generator import Unmasker
from stream.config import Settings
from stream.messages import EngineInfo

_DETECTOR = ("pnet", "rnet", "onet")


@dataclass(frozen=True, slots=True)
class Networks:
    """The networks of the pipeline, ready to run. unmasker is None when unmasking is switched off.

    engines: which runtime serves each network. notes: what fell back and why, a sentence each.
    """

    detector: MTCNN
    mask_state: MaskStateClassifier
    unmasker: Unmasker | None
    embedder: SFace
    engines: dict[str, EngineInfo]
    notes: tuple[str, ...]


def load_networks(settings: Settings, progress: Callable[[str, float], None]) -> Networks:
    """Open an engine for each network, making what the cache lacks.

    progress: called with (network, share of the whole done, 0..1). Raises ModelError, EngineError.
    """
    chosen = settings.engines
    names = [*_DETECTOR, "maskstate", *(["unmask"] if settings.unmasking.enabled else []), "sface"]
    models = prepare(chosen.cache, names, lambda name, share: progress(name, share / 2))
    if settings.unmasking.enabled and settings.unmasking.generator:
        models["unmask"] = from_file("unmask", settings.unmasking.generator)
    opened: dict[str, Engine] = {}
    for done, name in enumerate(names):
        progress(name, 0.5 + done / len(names) / 2)
        opened[name] = open_engine(
            models[name], chosen.backend, chosen.precision, chosen.threads, chosen.cache
        )
    progress("", 1.0)
    detection = settings.detection
    return Networks(
        detector=MTCNN({name: opened[name] for name in _DETECTOR}, detection.min_face, detection.thresholds),
        mask_state=MaskStateClassifier(opened["maskstate"]),
        unmasker=Unmasker(opened["unmask"]) if "unmask" in opened else None,
        embedder=SFace(opened["sface"]),
        engines={
            name: EngineInfo(e.info.backend, e.info.precision, e.info.model_sha256, e.info.device)
            for name, e in opened.items()
        },
        notes=_each_once(note for engine in opened.values() for note in engine.info.notes),
    )


def _each_once(notes: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(notes))
