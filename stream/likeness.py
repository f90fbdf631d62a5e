"""A face on a photograph, measured so that recordings can be searched for who looks like it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.alignment import FACE_SIZE, RECOGNITION_SIZE, face_transform, recognition_transform, warp
from engines.backends import Engine
from engines.detection.landmarks import LandmarkRefiner
from engines.masks.state import MaskState, MaskStateClassifier, crop
from engines.recognition.calibration import PLAIN, PLAIN_MASKED, CalibrationError
from engines.recognition.evidence import RAW, SeenFace
from engines.recognition.photo import Photo, Refused
from engines.recognition.quality import measure
from engines.unmasking.mark import CAPTION, TILE, is_reconstruction
from stream.calibration import calibration_of
from stream.config import Recognition, Settings
from stream.embedders import evidence_of
from stream.networks import open_detector
from stream.photo_faces import SMALLEST_FACE, find_faces

_RECONSTRUCTION = "is a reconstruction made by this product: a guess is no face that can be searched for"


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredFace:
    """embedding: float32 [D] in `space`. notes: what makes a search by it less reliable, a sentence each."""

    embedding: NDArray[np.float32]
    space: str
    masked: bool
    notes: tuple[str, ...]


class FaceMeasurer:
    """Measures the largest face of photographs."""

    def __init__(self, settings: Settings, opened: Mapping[str, Engine]) -> None:
        """opened: engines from stream.enroller.open_for_photographs. Raises ModelError."""
        self._limits = settings.quality
        self._detector = open_detector(settings.detection, opened, SMALLEST_FACE)
        self._landmarks = LandmarkRefiner(opened["landmarks"])
        self._mask_state = MaskStateClassifier(opened["maskstate"])
        self._evidence = evidence_of(settings, opened)

    def measure(self, photo: Photo) -> MeasuredFace:
        """The largest face. Raises Refused."""
        if any(CAPTION in text for text in photo.texts):
            raise Refused(_RECONSTRUCTION)
        pixels = photo.pixels
        faces = find_faces(self._detector, pixels)
        if not len(faces):
            raise Refused("no face was found")
        largest = int((faces.boxes[:, 3] - faces.boxes[:, 1]).argmax())
        box, landmarks = faces.boxes[largest], faces.landmarks[largest]
        if is_reconstruction(warp(pixels, face_transform(landmarks) * (TILE / FACE_SIZE), TILE)):
            raise Refused(_RECONSTRUCTION)
        notes = (
            [] if len(faces) == 1 else [f"{len(faces)} faces are on the picture; the largest is searched for"]
        )
        belief = self._mask_state.classify(crop(pixels, box)[None])[0]
        masked = bool(belief.argmax() != list(MaskState).index(MaskState.NONE))
        if masked:
            notes.append("the face wears a mask: a search by what is left of it is less reliable")
            landmarks = self._landmarks.refine(pixels, landmarks[None])[0]
        aligned = warp(pixels, recognition_transform(landmarks), RECOGNITION_SIZE)
        if unfit := measure(pixels, landmarks, aligned).unfit(self._limits):
            notes.append(f"the face is {unfit}: a search by it is less reliable")
        embedding = self._evidence.looks([SeenFace(aligned, masked=False)])[0][RAW]
        return MeasuredFace(embedding, self._evidence.space, masked, tuple(notes))


class Likeness:
    """How probable it is that two faces of some similarity are of the same person, where that was measured."""

    def __init__(self, space: str, chosen: Recognition) -> None:
        """space: of the embeddings."""
        self._prior = chosen.prior_enrolled
        try:
            self._models = calibration_of(chosen, space).models
        except CalibrationError:
            self._models = {}

    def probability(self, similarity: float, masked: bool, both_masked: bool) -> float | None:
        """Calibrated; None where the calibration says nothing: of two masked faces, or of another embedder.

        masked: one of the two faces, or both, wear a mask.
        """
        model = None if both_masked else self._models.get(PLAIN_MASKED if masked else PLAIN)
        if model is None:
            return None
        odds = float(np.exp(model(np.array(similarity)))) * self._prior / (1 - self._prior)
        return odds / (1 + odds)
