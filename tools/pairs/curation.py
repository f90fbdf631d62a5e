"""Which pictures are fit for a paired data set: one unmasked, clear face that looks this way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.backends import Engine
from engines.detection.mtcnn import MTCNN
from engines.masks.pose import estimate_pose
from engines.masks.state import STATES, MaskState, MaskStateClassifier, crop
from engines.recognition.quality import measure


@dataclass(frozen=True, slots=True)
class Limits:
    """What a picture must keep to. min_unmasked: least probability that nothing lies before nose and mouth."""

    min_size: int = 64
    max_yaw_degrees: float = 45.0
    min_sharpness: float = 20.0
    min_unmasked: float = 0.8
    several: bool = False  # pictures with several faces are taken too, their largest face is used


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """A face to put a mask on. landmarks: float32 [5, 2], pixels. size: of the box's shorter side, pixels."""

    landmarks: NDArray[np.float32]
    size: float
    yaw_degrees: float
    sharpness: float


class Curator:
    """Looks at pictures with the product's own detector, quality measure and mask-state network."""

    def __init__(self, engines: Mapping[str, Engine], limits: Limits) -> None:
        self._detector = MTCNN(engines, min_face=max(20, limits.min_size / 2))
        self._mask_state = MaskStateClassifier(engines["maskstate"])
        self._limits = limits

    def look(self, picture: NDArray[np.uint8]) -> Fit | str:
        """The face of a picture, uint8 RGB [H, W, 3]; or why the picture is left out."""
        limits = self._limits
        faces = self._detector.detect([picture])[0]
        faces = faces[faces.scores > 0.9]
        if not len(faces):
            return "no face was found"
        if len(faces) > 1 and not limits.several:
            return f"must show one face, found {len(faces)}"
        sides = (faces.boxes[:, 2:] - faces.boxes[:, :2]).min(1)
        largest = int(sides.argmax())
        size, landmarks = float(sides[largest]), faces.landmarks[largest]
        if size < limits.min_size:
            return f"the face must be at least {limits.min_size} pixels, found {size:.0f}"
        yaw = float(np.degrees(estimate_pose(landmarks).yaw))
        if abs(yaw) > limits.max_yaw_degrees:
            return f"the face may be turned by {limits.max_yaw_degrees:g} degrees, found {abs(yaw):.0f}"
        sharpness = measure(picture, landmarks).sharpness
        if sharpness < limits.min_sharpness:
            return f"the sharpness must be at least {limits.min_sharpness:g}, found {sharpness:.1f}"
        states = self._mask_state.classify(crop(picture, faces.boxes[largest])[None])[0]
        free = float(states[STATES.index(MaskState.NONE)])
        if free < limits.min_unmasked:
            return f"nose and mouth must be free (probability {limits.min_unmasked:g}), found {free:.2f}"
        return Fit(landmarks, size, yaw, sharpness)
