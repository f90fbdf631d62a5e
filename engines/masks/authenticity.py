"""Is a face photographed, or is it (or the mask on it) painted or generated? A small network over the face frame."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.alignment import FACE_SIZE, RECOGNITION_SIZE, face_transform, warp
from engines.unmasking.generator import Run

CROP_SIZE = RECOGNITION_SIZE
"""Pixels of the crop: the face frame, from eyebrows to below the chin, where masks and reconstructions are."""

PATCH = 28
"""Side in pixels of what `heat_map` hides at a time."""
_STEP = 14


def crop(picture: NDArray[np.uint8], landmarks: NDArray[np.floating]) -> NDArray[np.uint8]:
    """The network's view of a face: uint8 RGB [112, 112, 3], aligned by eyes and nose.

    picture: uint8 RGB [H, W, 3]. landmarks: [5, 2] pixels (engines.faces.LANDMARK_NAMES). Raises ValueError when the
    landmarks fall together.
    """
    points = np.asarray(landmarks, np.float32)
    return warp(picture, face_transform(points) * np.float32(CROP_SIZE / FACE_SIZE), CROP_SIZE)


class AuthenticityClassifier:
    """Runs the network `authenticity` over crops."""

    def __init__(self, engine: Run) -> None:
        self._engine = engine

    def classify(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities float32 [N] that a face, or the mask on it, is painted or generated.

        crops: uint8 RGB [N, 112, 112, 3] from `crop`; N may be 0. Raises ValueError on another shape or dtype.
        """
        if crops.ndim != 4 or crops.shape[1:] != (CROP_SIZE, CROP_SIZE, 3) or crops.dtype != np.uint8:
            raise ValueError(f"crops: must be uint8 [N, 112, 112, 3], found {crops.dtype} {crops.shape}")
        if not len(crops):
            return np.zeros(0, np.float32)
        return self._engine(np.ascontiguousarray(crops.transpose(0, 3, 1, 2), np.float32))[0][:, 0]

    def heat_map(self, view: NDArray[np.uint8]) -> NDArray[np.float32]:
        """How much each place of a crop speaks for "painted": float32 [112, 112], -1 to 1.

        Occlusion (Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", 2014): each patch is
        blurred in turn, and what the evidence (the logit) loses by it is what the patch said. Weak heat stays weak: it
        is scaled down where it exceeds 1, never up. Raises ValueError as `classify`.
        """
        starts = range(0, CROP_SIZE - PATCH + 1, _STEP)
        blurred = np.asarray(cv2.GaussianBlur(view, (0, 0), 5), np.uint8)
        soft = _softness()
        views, places = [view], []
        for y in starts:
            for x in starts:
                hidden = np.zeros((CROP_SIZE, CROP_SIZE), np.float32)
                hidden[y : y + PATCH, x : x + PATCH] = soft
                mixed = view + (blurred.astype(np.float32) - view) * hidden[..., None]
                views.append(np.clip(np.rint(mixed), 0, 255).astype(np.uint8))
                places.append(hidden)
        sure = np.clip(self.classify(np.stack(views)).astype(np.float64), 1e-7, 1 - 1e-7)
        evidence = np.log(sure / (1 - sure))
        lost = (evidence[0] - evidence[1:]).astype(np.float32)
        weights = np.stack(places)
        heat = (weights * lost[:, None, None]).sum(0) / np.maximum(weights.sum(0), 1e-3)
        return np.clip(heat / max(float(np.abs(heat).max()), 1.0), -1, 1).astype(np.float32)


def _softness() -> NDArray[np.float32]:
    """How much of the patch is hidden, 0 at its rim: a hard edge would look painted itself."""
    ramp = np.clip((PATCH / 2 - np.abs(np.arange(PATCH) - (PATCH - 1) / 2)) / (PATCH / 4), 0, 1)
    return np.outer(ramp, ramp).astype(np.float32)
