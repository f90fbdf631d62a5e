"""The networks that photographs are looked at with, and the enroller made of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from engines.backends import Engine
from engines.detection.detectors import networks_of
from engines.masks.state import MaskStateClassifier, crop
from engines.recognition.enrolment import Enroller
from stream.chosen_engines import open_engines
from stream.config import Settings
from stream.embedders import evidence_of, models_with_embedders
from stream.networks import open_detector
from stream.photo_faces import SMALLEST_FACE


def open_for_photographs(
    settings: Settings, progress: Callable[[str, float], None] | None = None
) -> dict[str, Engine]:
    """An engine for each, on the runtime that the settings choose. Raises ModelError, EngineError."""
    names = (*networks_of(settings.detection.detector), "landmarks", "maskstate")
    return open_engines(settings.engines, models_with_embedders(settings, names, progress))


def enroller_of(settings: Settings, opened: Mapping[str, Engine]) -> Enroller:
    """What turns photographs into templates, of engines from `open_for_photographs`. Raises ModelError."""
    classifier = MaskStateClassifier(opened["maskstate"])

    def no_mask(picture: NDArray[np.uint8], box: NDArray[np.float32]) -> float:
        return float(classifier.classify(crop(picture, box)[None])[0, 0])

    detector = open_detector(settings.detection, opened, SMALLEST_FACE)
    return Enroller(detector, evidence_of(settings, opened), no_mask)
