"""The five landmarks of a face that a detector has found, to within a fraction of a pixel of the recognition frame.

A detector's landmarks come as a by-product, and under a mask those of the mouth, and with them the others, are a
guess. How a face is laid into its crop hangs on them, and on that how much an embedder sees: so a network that does
nothing else looks at the face once more, and at what the whole of it says of where a covered mouth must be.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engines.alignment import RECOGNITION_POINTS, RECOGNITION_SIZE, similarity, warp

CROP_SIZE = 112
_PASSES = (
    2  # the second starts where the first has laid the crop, and is worth half a point of masked recognition
)
_SCALE = 0.75  # of the recognition frame: a third more of the face's surroundings in each direction
_MIDDLE = RECOGNITION_POINTS.mean(0)
CROP_POINTS = ((RECOGNITION_POINTS - _MIDDLE) * _SCALE + CROP_SIZE / 2).astype(np.float32)
"""Where the landmarks of an average face lie in the network's crop."""
assert CROP_SIZE == RECOGNITION_SIZE  # the gate's pictures of that size serve both


class LandmarkEngine(Protocol):
    """What runs the network: float32 [N, 3, 112, 112] of RGB 0..255 -> (float32 [N, 10],), pixels of the crop."""

    def __call__(self, batch: NDArray[np.float32], /) -> tuple[NDArray[np.float32], ...]:
        """One batch; N may be anything."""


class LandmarkRefiner:
    """Lays a detector's landmarks right."""

    def __init__(self, engine: LandmarkEngine) -> None:
        self._engine = engine

    def refine(self, picture: NDArray[np.uint8], landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
        """Landmarks float32 [N, 5, 2], pixels of a uint8 RGB picture [H, W, 3], for a detector's of the same shape.

        Where all five of a face fall together, they stay as they are.
        """
        refined = landmarks.astype(np.float32)
        usable = [i for i, points in enumerate(landmarks) if np.ptp(points, axis=0).max() > 1e-3]
        if usable:
            for _ in range(_PASSES):
                refined[usable] = self._pass(picture, refined[usable])
        return refined

    def _pass(self, picture: NDArray[np.uint8], landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
        transforms = [crop_transform(points) for points in landmarks]
        crops = np.stack([warp(picture, transform, CROP_SIZE) for transform in transforms])
        batch = np.ascontiguousarray(crops.transpose(0, 3, 1, 2), np.float32)
        found = self._engine(batch)[0].reshape(-1, 5, 2).astype(np.float64)
        back = [
            np.linalg.solve(transform[:, :2].astype(np.float64), (points - transform[:, 2]).T).T
            for transform, points in zip(transforms, found, strict=True)
        ]
        return np.stack(back).astype(np.float32)


def crop_transform(landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Picture -> the network's crop, float32 [2, 3], from a detector's landmarks [5, 2]."""
    return similarity(landmarks, CROP_POINTS)
