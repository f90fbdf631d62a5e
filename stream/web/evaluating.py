"""The process that evaluates recognition on the installation's own faces: `python -m stream.web.evaluating`.

It reads the settings as JSON from standard input and writes lines of JSON: {"doing": …, "share": …} while it works, and
at the end {"result": …} or {"fault": sentence}.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any, TextIO

import msgspec

from engines.backends import EngineError
from engines.models import ModelError
from engines.recognition.calibration import CalibrationError
from engines.recognition.gallery import Gallery, GalleryError
from stream import drift, own_faces
from stream.archive.archive import Archive, ArchiveError
from stream.calibration import calibration_of
from stream.config import Settings
from stream.embedders import open_evidence

_NICE = 10


def main() -> int:
    """Evaluate once."""
    os.nice(_NICE)
    told, sys.stdout = sys.stdout, sys.stderr  # whatever a library prints must not come between
    settings = Settings.model_validate_json(sys.stdin.readline())
    try:
        result = _evaluated(settings, told)
    except (CalibrationError, EngineError, GalleryError, ModelError) as error:
        _say(told, {"fault": str(error)})
        return 1
    _say(told, {"result": result})
    return 0


def _evaluated(settings: Settings, told: TextIO) -> dict[str, Any]:
    _say(told, {"doing": "Reading the archive", "share": 0.0})
    weeks, strangers_a_day = _recorded(settings)
    _say(told, {"doing": "Opening the networks", "share": 0.05})
    evidence = open_evidence(settings)
    calibration = calibration_of(settings.recognition, evidence.space)
    with Gallery(settings.recognition.gallery) as gallery:
        snapshot = gallery.load(evidence.space, evidence.views_space)
        pictures = gallery.pictures()
        rows = [
            pictures.get(template)
            for person in snapshot.ids
            for _, template in sorted((added, identity) for identity, _, added in gallery.templates(person))
        ]
        if gallery.version != snapshot.version or len(rows) != len(snapshot.owner):
            raise GalleryError("the gallery was changed in the meantime: evaluate again")
    crops = [own_faces.crop_of(picture) for picture in rows]

    def progress(share: float) -> None:
        _say(told, {"doing": "Comparing every picture with all others", "share": 0.1 + 0.9 * share})

    found = own_faces.measure(snapshot, crops, evidence, calibration, settings.recognition, progress)
    return {
        "wall_ms": time.time_ns() // 1_000_000,
        "faces": msgspec.to_builtins(found),
        "weeks": msgspec.to_builtins(weeks),
        "strangers_a_day": strangers_a_day,
    }


def _recorded(settings: Settings) -> tuple[list[drift.Week], float | None]:
    """The weeks, none where nothing was recorded; and how many faces a day were not named, where that can be told."""
    try:
        with Archive.open(settings.recording.folder, actor="evaluation") as archive:
            weeks = drift.weeks(archive)
            return weeks, drift.strangers_a_day(archive, weeks)
    except ArchiveError:
        return [], None


def _say(told: TextIO, what: dict[str, Any]) -> None:
    told.write(json.dumps(what) + "\n")
    told.flush()


if __name__ == "__main__":
    sys.exit(main())
