"""The face on a photograph file that recordings are to be searched for."""

from __future__ import annotations

from pathlib import Path

from engines.recognition.photo import read_photo
from stream.config import Settings
from stream.enroller import open_for_photographs
from stream.likeness import FaceMeasurer, Likeness, MeasuredFace

__all__ = ["Likeness", "MeasuredFace", "measure_face"]


def measure_face(path: Path, settings: Settings) -> MeasuredFace:
    """The largest face on a photograph file. Raises Refused, ModelError, EngineError."""
    photo = read_photo(path)
    return FaceMeasurer(settings, open_for_photographs(settings)).measure(photo)
