"""What the student sees while it learns: masked faces as cameras show them, in the recognition frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.alignment import RECOGNITION_SIZE, recognition_transform, warp
from engines.masks.degradation import choose_degradation
from engines.masks.occluders import draw_occluder
from engines.masks.synthesis import WORN_WRONGLY, Kind, Wearing, draw_mask
from engines.masks.templates import apply_template
from tools.learning.faces import LabelledFace
from tools.learning.pairs import RESPIRATOR, Templates

UNMASKED, WRONGLY, PHOTOGRAPHED, OCCLUDED = 0.08, 0.06, 0.4, 0.5
"""Shares: without a mask; worn wrongly; with a photographed mask where templates are given; of those without a mask,
with something else before the face."""
_FILLED = 0.5
_OFF = np.array([0.02, 0.02, 0.02, 0.035, 0.035], np.float32)[:, None]
"""How far refined landmarks are off under a mask, of the distance between the eyes (landmarks.md)."""
_FAR_OFF, _FAR = 0.2, 3.0  # so often so much farther: poor light, faces turned away
ROW = (RECOGNITION_SIZE + 1, RECOGNITION_SIZE, 3)
"""An example in the pool: the picture, and below it a line that holds the number of the face (its two lower bytes)."""


def masked_view(
    picture: NDArray[np.uint8],
    landmarks: NDArray[np.float32],
    rng: np.random.Generator,
    templates: Templates | None = None,
) -> NDArray[np.uint8]:
    """One look at a face, uint8 RGB [112, 112, 3]: mostly masked, laid as refined landmarks lay it."""
    transform = _laid(landmarks, rng)
    clean = warp(picture, transform, RECOGNITION_SIZE)
    if rng.random() < _FILLED:
        clean = filled(clean, picture.shape[:2], transform, rng)
    points = landmarks @ transform[:, :2].T + transform[:, 2]
    points = (points + rng.normal(0, 0.7, points.shape)).astype(np.float32)
    camera = choose_degradation(rng, smallest=28, clean=0.4)
    if rng.random() < UNMASKED:
        seen = draw_occluder(clean, points, rng) if rng.random() < OCCLUDED else clean
    elif templates and rng.random() < PHOTOGRAPHED:
        views = templates[sorted(templates)[int(rng.integers(len(templates)))]]
        seen, _ = apply_template(clean, points, views, rng)
    else:
        wrongly = rng.random() < WRONGLY
        wearing = WORN_WRONGLY[int(rng.integers(len(WORN_WRONGLY)))] if wrongly else Wearing.WORN
        kind = Kind.RESPIRATOR if rng.random() < RESPIRATOR else None
        seen, _ = draw_mask(clean, points, rng, kind=kind, wearing=wearing)
    return camera.spoil(camera.expose(seen), rng)


def _laid(landmarks: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """The transform to the recognition frame as detection.landmarks would give it, float32 [2, 3]."""
    distance = float(np.hypot(*(landmarks[1] - landmarks[0])))
    off = _OFF * distance * (_FAR if rng.random() < _FAR_OFF else 1.0)
    return recognition_transform(landmarks + rng.normal(0, 1, landmarks.shape).astype(np.float32) * off)


def filled(
    crop: NDArray[np.uint8],
    size: tuple[int, ...],
    transform: NDArray[np.float32],
    rng: np.random.Generator,
) -> NDArray[np.uint8]:
    """The crop with something else where the picture ends: photographs of faces are tight, cameras' pictures not."""
    there = cv2.warpAffine(np.full(size, 255, np.uint8), transform, (RECOGNITION_SIZE, RECOGNITION_SIZE))
    gone = (there < 128)[..., None]
    if rng.random() < 0.5:
        filler: NDArray[np.uint8] = np.broadcast_to(rng.integers(0, 256, 3).astype(np.uint8), crop.shape)
    else:
        coarse = rng.integers(0, 256, (int(rng.integers(2, 9)),) * 2 + (3,)).astype(np.uint8)
        filler = np.asarray(cv2.resize(coarse, crop.shape[1::-1], interpolation=cv2.INTER_CUBIC), np.uint8)
    return np.where(gone, filler, crop)


def view_drawer(
    faces: Sequence[LabelledFace], templates: Templates | None = None
) -> Callable[[np.random.Generator], NDArray[np.uint8]]:
    """Draws a look at a random face, as ROW."""

    def draw(rng: np.random.Generator) -> NDArray[np.uint8]:
        number = int(rng.integers(len(faces)))
        face = faces[number]
        view = masked_view(face.read(), face.landmarks, rng, templates)
        label = np.zeros((1, *ROW[1:]), np.uint8)
        label[..., 0], label[..., 1] = number & 255, number >> 8
        return np.concatenate([view, label])

    return draw


def split(rows: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.intp]]:
    """Pool rows [N, *ROW] as pictures uint8 [N, 112, 112, 3] and numbers of faces [N]."""
    label = rows[:, -1, 0].astype(np.intp)
    return rows[:, :-1], label[:, 0] + 256 * label[:, 1]
