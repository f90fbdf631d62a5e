"""The calibration that the settings name, for the embedder that they name."""

from __future__ import annotations

from pathlib import Path

from engines.recognition.calibration import PATH, Calibration, CalibrationError
from stream.config import Recognition


def calibration_file(chosen: Recognition) -> Path:
    """Where it lies: the settings' own, or the one that is shipped."""
    return chosen.calibration or PATH


def calibration_of(chosen: Recognition, space: str) -> Calibration:
    """Read and checked. space: of the embedder in use (EvidenceMaker.space). Raises CalibrationError."""
    path = calibration_file(chosen)
    if chosen.calibration and not path.exists():
        raise CalibrationError(
            f"recognition.calibration: must be a file that exists, found {str(path)!r}; {_REMEDY}"
        )
    calibration = Calibration.load(path)
    if calibration.space != space:
        raise CalibrationError(
            f"recognition.calibration: must be of the embedder in use, {space[:24]}, found one of "
            f"{calibration.space[:24]} in {path}; {_REMEDY}"
        )
    return calibration


_REMEDY = "make it: python -m tools.calibrate --config FILE --data FOLDER"
