"""What masks hide on photographs: a guess for each masked face, marked as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.alignment import FACE_SIZE, face_transform, warp
from engines.backends import Engine
from engines.detection.detectors import networks_of
from engines.detection.landmarks import LandmarkRefiner
from engines.masks.state import STATES, MaskState, MaskStateClassifier, crop
from engines.models import from_file, prepare
from engines.unmasking.claim import Signer
from engines.unmasking.generator import Unmasker
from engines.unmasking.mark import marked_png, sheet_png
from engines.unmasking.refusal import refusal
from stream.chosen_engines import open_engines
from stream.config import Settings
from stream.inference_stage import open_signer
from stream.networks import open_detector
from stream.photo_faces import SMALLEST_FACE, find_faces


@dataclass(frozen=True, slots=True)
class UnmaskedFace:
    """One face of a photograph. box: x1, y1, x2, y2 in its pixels. mask, probability: how it is worn, and how sure.

    png: original and guess side by side, marked, outlined, signed where there is a key; None without a mask, and where
    too little is seen to guess from. refused: why, then. painted: share of the face frame that the guess covers.
    """

    box: tuple[float, float, float, float]
    mask: MaskState
    probability: float
    refused: str | None = None
    painted: float = 0.0
    png: bytes | None = None


class PictureUnmasker:
    """Unmasks the faces of photographs; one thread at a time. notes: why nothing is signed, where that is so."""

    def __init__(self, settings: Settings, opened: Mapping[str, Engine]) -> None:
        """opened: at least the detector's networks, `landmarks`, `maskstate` and `unmask`."""
        self._limits = settings.quality
        self._detector = open_detector(settings.detection, opened, SMALLEST_FACE)
        self._landmarks = LandmarkRefiner(opened["landmarks"])
        self._mask_state = MaskStateClassifier(opened["maskstate"])
        self._unmasker = Unmasker(opened["unmask"])
        self._signer: Signer | None
        self._signer, self.notes = open_signer(settings, opened["unmask"].info.model_sha256)

    @classmethod
    def open(cls, settings: Settings) -> PictureUnmasker:
        """With engines of its own. Raises ModelError, EngineError."""
        chosen = settings.engines
        names = (*networks_of(settings.detection.detector), "landmarks", "maskstate", "unmask")
        models = prepare(chosen.cache, names)
        if settings.unmasking.generator:
            models["unmask"] = from_file("unmask", settings.unmasking.generator)
        return cls(settings, open_engines(chosen, models))

    def unmask(self, pixels: NDArray[np.uint8]) -> list[UnmaskedFace]:
        """The faces of a photograph, uint8 RGB [H, W, 3], from left to right."""
        found = find_faces(self._detector, pixels)
        faces = found[np.argsort(found.boxes[:, 0], kind="stable")]
        if not len(faces):
            return []
        beliefs = self._mask_state.classify(np.stack([crop(pixels, box) for box in faces.boxes]))
        return [self._face(pixels, *each) for each in zip(faces.boxes, faces.landmarks, beliefs, strict=True)]

    def sheet(self, faces: Sequence[UnmaskedFace], columns: int = 4) -> bytes:
        """A numbered contact sheet (PNG) of what was unmasked, marked and signed. Raises ValueError without any."""
        files = [np.frombuffer(face.png, np.uint8) for face in faces if face.png]
        marked = [cv2.cvtColor(cv2.imdecode(file, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB) for file in files]
        return sheet_png([np.asarray(picture, np.uint8) for picture in marked], columns, self._signer)

    def _face(
        self,
        pixels: NDArray[np.uint8],
        box: NDArray[np.float32],
        landmarks: NDArray[np.float32],
        belief: NDArray[np.float32],
    ) -> UnmaskedFace:
        x1, y1, x2, y2 = (float(v) for v in box)
        mask, probability = STATES[int(belief.argmax())], float(belief.max())
        if mask is MaskState.NONE:
            return UnmaskedFace((x1, y1, x2, y2), mask, probability)
        refined = self._landmarks.refine(pixels, landmarks[None])[0]
        original = warp(pixels, face_transform(refined), FACE_SIZE)
        if refused := refusal(original, landmarks, self._limits):
            return UnmaskedFace((x1, y1, x2, y2), mask, probability, refused)
        made = self._unmasker.unmask(original[None])
        guess, painted = made.pictures[0], made.masks[0]
        png = marked_png(guess, painted, original, self._signer)
        share = float((painted > 0.5).mean())
        return UnmaskedFace((x1, y1, x2, y2), mask, probability, None, share, png)
