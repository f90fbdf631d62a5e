"""A detector with its landmarks refined, as the pipeline refines those of masked faces, for the tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from engines.detection.detectors import Detector
from engines.detection.landmarks import LandmarkRefiner
from engines.faces import Faces
from tools.recognition.masks import Picture


@dataclass(frozen=True, slots=True)
class Refined:
    """Finds what its detector finds."""

    detector: Detector
    landmarks: LandmarkRefiner

    def detect(self, pictures: Sequence[Picture]) -> list[Faces]:
        """As Detector.detect."""
        return [
            replace(faces, landmarks=self.landmarks.refine(picture, faces.landmarks))
            for picture, faces in zip(pictures, self.detector.detect(pictures), strict=True)
        ]
