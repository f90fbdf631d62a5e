"""Evidence made from photographs through the product's own chain: detector, quality gate, generator, embedder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engines.alignment import FACE_SIZE, RECOGNITION_SIZE, face_transform, recognition_transform, warp
from engines.detection.detectors import Detector
from engines.detection.landmarks import LandmarkRefiner
from engines.faces import Faces
from engines.recognition.embedder import laid, unit
from engines.recognition.evidence import EvidenceMaker, SeenFace
from engines.recognition.quality import Limits, measure
from tools.calibration.cctv import Look

Picture = NDArray[np.uint8]
Unmask = Callable[[Picture], Picture]
"""uint8 RGB [N, 128, 128, 3] in the face frame, to the same with masks painted over."""


class Masker(Protocol):
    """Draws a mask."""

    def __call__(
        self, picture: Picture, landmarks: NDArray[np.float32], rng: np.random.Generator, /
    ) -> tuple[Picture, NDArray[np.float32]]:
        """The picture with a mask on the face that has these landmarks [5, 2], and the mask's alpha."""


@dataclass(frozen=True, slots=True, eq=False)
class Probe:
    """One face as the pipeline would know it: unit vectors float32 [D] by look (evidence.LOOKS), of one frame
    ("first") and of the track's weighted mean ("mean"). eye_distance: pixels, mean over the looks.
    """

    first: dict[str, NDArray[np.float32]]
    mean: dict[str, NDArray[np.float32]]
    eye_distance: float


class Chain:
    """The networks in the order in which the pipeline uses them."""

    def __init__(
        self,
        detector: Detector,
        landmarks: LandmarkRefiner,
        evidence: EvidenceMaker,
        unmask: Unmask | None,
        limits: Limits,
        least_score: float,
    ) -> None:
        self.detector, self.evidence, self._unmask = detector, evidence, unmask
        self._landmarks = landmarks
        self._limits, self._least_score = limits, least_score

    def face(self, picture: Picture) -> Faces | None:
        """The face nearest the middle of a photograph, or None."""
        found = self.detector.detect([picture])[0]
        if not len(found):
            return None
        middle = np.array(picture.shape[1::-1], np.float32) / 2
        centres = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2
        nearest = int(np.hypot(*(centres - middle).T).argmin())
        return found[nearest : nearest + 1]

    def enrol(self, picture: Picture, face: Faces) -> dict[str, NDArray[np.float32]]:
        """The views float32 [D] of a photograph's face (evidence.VIEWS)."""
        crop = warp(picture, recognition_transform(face.landmarks[0]), RECOGNITION_SIZE)
        return self.evidence.views(crop)

    def look(
        self,
        picture: Picture,
        face: Faces,
        rng: np.random.Generator,
        camera: Look | None = None,
        masker: Masker | None = None,
        frames: int = 1,
    ) -> Probe | None:
        """The face as a camera sees it (as the photograph is, without one), with a mask drawn on it if asked for.

        None when no frame passes the detector and the quality gate.
        """
        if masker:
            picture = masker(picture, face.landmarks[0], rng)[0]
        vectors: list[dict[str, NDArray[np.float32]]] = []
        weights, distances = [], []
        for _ in range(frames):
            seen, box = picture, face.boxes
            if camera:
                seen, transform = camera.see(picture, face.landmarks[0], rng)
                box = _expected(face.boxes[0], transform, rng)[None]
            found = self.detector.refine([seen], [box])[0]
            quality = measure(seen, found.landmarks[0])
            if found.scores[0] < self._least_score or quality.unfit(self._limits):
                continue
            vectors.append(self._evidence(seen, found.landmarks[0], masker is not None))
            weights.append(quality.weight)
            distances.append(quality.eye_distance)
        if not vectors:
            return None
        mean = {
            kind: unit(np.sum([w * v[kind] for w, v in zip(weights, vectors, strict=True)], 0))
            for kind in vectors[0]
        }
        return Probe(vectors[0], mean, float(np.mean(distances)))

    def _evidence(
        self, picture: Picture, landmarks: NDArray[np.float32], masked: bool
    ) -> dict[str, NDArray[np.float32]]:
        guess = None
        if masked:
            landmarks = self._landmarks.refine(picture, landmarks[None])[0]
        if masked and self._unmask:
            shown = warp(picture, face_transform(landmarks), FACE_SIZE)
            guess = laid(self._unmask(shown[None])[0], landmarks)
        crop = warp(picture, recognition_transform(landmarks), RECOGNITION_SIZE)
        return self.evidence.looks([SeenFace(crop, masked, guess)])[0]


def _expected(
    box: NDArray[np.float32], transform: NDArray[np.float32], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Where a tracker expects the face: the box carried over, off by a few per cent."""
    centre = transform[:, :2] @ (box[:2] + box[2:]) / 2 + transform[:, 2]
    size = (box[2:] - box[:2]) * np.sqrt(abs(np.linalg.det(transform[:, :2])))
    centre = centre + rng.normal(0, 0.04, 2) * size
    size = size * np.exp(rng.normal(0, 0.04, 2))
    return np.concatenate([centre - size / 2, centre + size / 2]).astype(np.float32)
