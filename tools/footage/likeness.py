"""The face on a photograph file that recordings are to be searched for."""

from __future__ import annotations

from pathlib import Path

from engines.detection.detectors import networks_of
from engines.models import prepare
from engines.recognition.photo import read_photo
from stream.chosen_engines import open_engines
from stream.config import Settings
from stream.likeness import FaceMeasurer, Likeness, MeasuredFace

__all__ = ["Likeness", "MeasuredFace", "measure_face"]


def measure_face(path: Path, settings: Settings) -> MeasuredFace:
    """The largest face on a photograph file. Raises Refused, ModelError, EngineError."""
    photo = read_photo(path)
    engines = settings.engines
    models = prepare(
        engines.cache, (*networks_of(settings.detection.detector), "landmarks", "maskstate", "sface")
    )
    return FaceMeasurer(settings, open_engines(engines, models)).measure(photo)
