"""The networks and the gallery of a run, made ready from the settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from engines.attributes.gender import GenderEstimator
from engines.backends import Building, Engine, open_engine
from engines.detection.detectors import Detector, make_detector, networks_of
from engines.detection.landmarks import LandmarkRefiner
from engines.masks.authenticity import AuthenticityClassifier
from engines.masks.state import MaskStateClassifier
from engines.models import Model, from_file
from engines.recognition.evidence import EvidenceMaker
from engines.unmasking.generator import Unmasker
from stream.config import Detection, Settings
from stream.embedders import evidence_of, models_with_embedders
from stream.messages import EngineInfo


@dataclass(frozen=True, slots=True)
class Networks:
    """The networks of the pipeline, ready to run. What is switched off is None.

    opened: the engine of each, by name.
    """

    detector: Detector
    landmarks: LandmarkRefiner
    mask_state: MaskStateClassifier
    unmasker: Unmasker | None
    evidence: EvidenceMaker
    opened: Mapping[str, Engine]
    gender: GenderEstimator | None = None
    authenticity: AuthenticityClassifier | None = None

    @property
    def engines(self) -> dict[str, EngineInfo]:
        """Which runtime serves each network at the moment."""
        infos = {name: engine.info for name, engine in self.opened.items()}
        return {
            name: EngineInfo(info.backend, info.precision, info.model_sha256, info.device)
            for name, info in infos.items()
        }

    @property
    def notes(self) -> tuple[str, ...]:
        """What is being built, and what fell back and why, a sentence each."""
        return tuple(dict.fromkeys(note for engine in self.opened.values() for note in engine.info.notes))


def models_of(settings: Settings, progress: Callable[[str, float], None]) -> dict[str, Model]:
    """The networks that these settings need, by name, made where the cache lacks them. Raises ModelError."""
    names = [*networks_of(settings.detection.detector), "landmarks", "maskstate"]
    names += ["unmask"] if settings.unmasking.enabled else []
    names += ["gender"] if settings.attributes.enabled else []
    names += ["authenticity"] if settings.authenticity.enabled else []
    models = models_with_embedders(settings, names, progress)
    if settings.unmasking.enabled and settings.unmasking.generator:
        models["unmask"] = from_file("unmask", settings.unmasking.generator)
    return models


def open_detector(
    detection: Detection, opened: Mapping[str, Engine], min_face: float | None = None
) -> Detector:
    """The detector of the settings. opened: at least its networks. min_face: another one than the settings', pixels."""
    smallest = detection.min_face if min_face is None else min_face
    return make_detector(detection.detector, opened, smallest, detection.thresholds, detection.min_score)


def load_networks(
    settings: Settings, progress: Callable[[str, float], None], building: Building = Building.NOW
) -> Networks:
    """Open an engine for each network, making what the cache lacks.

    progress: called with (network, share of the whole done, 0..1). building: what to do about engines that take
    minutes to build. Raises ModelError, EngineError.
    """
    chosen = settings.engines
    models = models_of(settings, lambda name, share: progress(name, share / 2))
    opened: dict[str, Engine] = {}
    for done, (name, model) in enumerate(models.items()):
        progress(name, 0.5 + done / len(models) / 2)
        opened[name] = open_engine(
            model, chosen.backend, chosen.precision, chosen.threads, chosen.cache, building
        )
    progress("", 1.0)
    return Networks(
        detector=open_detector(settings.detection, opened),
        landmarks=LandmarkRefiner(opened["landmarks"]),
        mask_state=MaskStateClassifier(opened["maskstate"]),
        unmasker=Unmasker(opened["unmask"]) if "unmask" in opened else None,
        evidence=evidence_of(settings, opened),
        opened=opened,
        gender=GenderEstimator(opened["gender"]) if "gender" in opened else None,
        authenticity=AuthenticityClassifier(opened["authenticity"]) if "authenticity" in opened else None,
    )
