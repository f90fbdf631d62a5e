"""Training pairs for the generator: a masked face, the same face without, and where the mask is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.alignment import FACE_SIZE, face_transform, warp
from engines.masks.degradation import choose_degradation
from engines.masks.synthesis import WORN_WRONGLY, Wearing, draw_mask
from tools.learning.faces import LabelledFace

UNMASKED, WRONGLY = 0.12, 0.08
"""Shares of pairs without a mask (which must pass untouched) and with one that is worn wrongly."""


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """shown, wanted: uint8 RGB [128, 128, 3] in the face frame. mask: uint8 [128, 128], 255 where to paint."""

    shown: NDArray[np.uint8]
    wanted: NDArray[np.uint8]
    mask: NDArray[np.uint8]


def jittered_transform(landmarks: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """The transform to the face frame as a detector's imprecise landmarks would give it, float32 [2, 3]."""
    distance = float(np.hypot(*(landmarks[1] - landmarks[0])))
    noisy = landmarks + rng.normal(0, 0.02 * distance, landmarks.shape).astype(np.float32)
    noisy[2] += rng.normal(0, 0.07 * distance, 2)  # under a mask the nose is the detector's guess
    transform = face_transform(noisy)
    turn, scale = np.radians(rng.normal(0, 2.0)), float(np.exp(rng.normal(0, 0.03)))
    spin = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) * scale
    middle = np.full(2, FACE_SIZE / 2)
    shift = middle - spin @ middle + rng.normal(0, 1.5, 2)
    return np.hstack([spin @ transform[:, :2], (spin @ transform[:, 2] + shift)[:, None]]).astype(np.float32)


def make_pair(picture: NDArray[np.uint8], landmarks: NDArray[np.float32], rng: np.random.Generator) -> Pair:
    """One pair from an unmasked face. Tone and sharpness of the camera are shared; its noise is on `shown` only."""
    transform = jittered_transform(landmarks, rng)
    clean = warp(picture, transform, FACE_SIZE)
    camera = choose_degradation(rng, smallest=36)
    wanted = camera.expose(clean)
    if rng.random() < UNMASKED:
        return Pair(camera.spoil(wanted, rng), wanted, np.zeros(clean.shape[:2], np.uint8))
    points = landmarks @ transform[:, :2].T + transform[:, 2]
    points = points + rng.normal(0, 0.8, points.shape)
    wearing = Wearing.WORN
    if rng.random() < WRONGLY / (1 - UNMASKED):
        wearing = WORN_WRONGLY[int(rng.integers(len(WORN_WRONGLY)))]
    masked, alpha = draw_mask(clean, points, rng, wearing=wearing)
    reach = 3 + 2 * round(camera.blur) + (2 * round(FACE_SIZE / camera.width / 2) if camera.width else 0)
    spread = cv2.dilate((alpha * 255).astype(np.uint8), np.ones((reach, reach), np.uint8))
    return Pair(camera.spoil(camera.expose(masked), rng), wanted, spread)


def pair_drawer(faces: Sequence[LabelledFace]) -> Callable[[np.random.Generator], NDArray[np.uint8]]:
    """Draws a pair of a random face as uint8 [128, 128, 7]: shown RGB, wanted RGB, mask."""

    def draw(rng: np.random.Generator) -> NDArray[np.uint8]:
        face = faces[int(rng.integers(len(faces)))]
        pair = make_pair(face.read(), face.landmarks, rng)
        return np.concatenate([pair.shown, pair.wanted, pair.mask[..., None]], 2)

    return draw
