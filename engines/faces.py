"""What a detector says of one picture: boxes, scores and five landmarks a face."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LANDMARK_NAMES = ("left eye", "right eye", "nose", "left mouth corner", "right mouth corner")
"""As seen in the picture: "left" is the side with the smaller x in an upright frontal face."""


@dataclass(frozen=True, slots=True, eq=False)
class Faces:
    """The faces of one picture, most certain first.

    boxes: float32 [N, 4], (x1, y1, x2, y2) in pixels of the picture; may reach beyond its edges.
    scores: float32 [N], the detector's probability, 0 to 1.
    landmarks: float32 [N, 5, 2], (x, y) in pixels, in the order of LANDMARK_NAMES.
    Raises ValueError when a shape does not fit.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    landmarks: NDArray[np.float32]

    def __post_init__(self) -> None:
        n = len(self.scores)
        for name, wanted in (("boxes", (n, 4)), ("scores", (n,)), ("landmarks", (n, 5, 2))):
            found = getattr(self, name).shape
            if found != wanted:
                raise ValueError(f"faces.{name}: the shape must be {wanted}, found {found}")

    @classmethod
    def none(cls) -> Faces:
        """The faces of an empty street."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros((0, 5, 2), np.float32))

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, index: NDArray[np.intp] | NDArray[np.bool_] | slice) -> Faces:
        return Faces(self.boxes[index], self.scores[index], self.landmarks[index])
