"""Training pairs for the generator: a masked face, the same face without, and where the mask is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.alignment import FACE_SIZE, face_transform, warp
from engines.masks.degradation import choose_degradation
from engines.masks.occluders import draw_occluder
from engines.masks.synthesis import WORN_WRONGLY, Kind, Wearing, draw_mask
from engines.masks.templates import Template, apply_template
from tools.learning.faces import LabelledFace

UNMASKED, WRONGLY, PHOTOGRAPHED = 0.12, 0.08, 0.25
"""Shares of pairs without a mask (which must pass untouched), with one that is worn wrongly, and, where templates
are given, with a photographed mask."""
RESPIRATOR = 0.1
"""Share of the drawn masks that are respirators with filters."""
OCCLUDED = 0.35
"""Share of the pairs without a mask that have something else before the face, which must pass untouched too."""
Templates = Mapping[str, list[Template]]


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """shown, wanted: uint8 RGB [128, 128, 3] in the face frame. mask: uint8 [128, 128], 255 where to paint."""

    shown: NDArray[np.uint8]
    wanted: NDArray[np.uint8]
    mask: NDArray[np.uint8]


def jittered(
    landmarks: NDArray[np.float32],
    rng: np.random.Generator,
    frame: Callable[[NDArray[np.float32]], NDArray[np.float32]] = face_transform,
) -> NDArray[np.float32]:
    """The transform to a frame (engines.alignment) as imprecise landmarks would give it, float32 [2, 3]."""
    distance = float(np.hypot(*(landmarks[1] - landmarks[0])))
    noisy = landmarks + rng.normal(0, 0.02 * distance, landmarks.shape).astype(np.float32)
    noisy[2] += rng.normal(0, 0.04 * distance, 2)  # under a mask the nose is a guess
    transform = frame(noisy)
    turn, scale = np.radians(rng.normal(0, 2.0)), float(np.exp(rng.normal(0, 0.03)))
    spin = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) * scale
    middle = transform[:, :2] @ landmarks[:3].mean(0) + transform[:, 2]
    shift = middle - spin @ middle + rng.normal(0, 1.5, 2)
    return np.hstack([spin @ transform[:, :2], (spin @ transform[:, 2] + shift)[:, None]]).astype(np.float32)


def make_pair(
    picture: NDArray[np.uint8],
    landmarks: NDArray[np.float32],
    rng: np.random.Generator,
    templates: Templates | None = None,
) -> Pair:
    """One pair from an unmasked face, with a mask that is drawn or, now and then, one of the templates.

    Tone and sharpness of the camera are shared; its noise is on `shown` only.
    """
    transform = jittered(landmarks, rng)
    clean = warp(picture, transform, FACE_SIZE)
    camera = choose_degradation(rng, smallest=36, clean=0.4)
    points = landmarks @ transform[:, :2].T + transform[:, 2]
    points = points + rng.normal(0, 0.8, points.shape)
    if rng.random() < UNMASKED:
        if rng.random() < OCCLUDED:
            clean = draw_occluder(clean, points, rng)
        wanted = camera.expose(clean)
        return Pair(camera.spoil(wanted, rng), wanted, np.zeros(clean.shape[:2], np.uint8))
    wanted = camera.expose(clean)
    if templates and rng.random() < PHOTOGRAPHED:
        views = templates[sorted(templates)[int(rng.integers(len(templates)))]]
        masked, alpha = apply_template(clean, points, views, rng)
    else:
        masked, alpha = _drawn(clean, points, rng)
    cover = camera.soften((alpha * 255).astype(np.uint8))
    return Pair(camera.spoil(camera.expose(masked), rng), wanted, cover)


def _drawn(
    clean: NDArray[np.uint8], points: NDArray[np.floating], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    wearing = Wearing.WORN
    if rng.random() < WRONGLY / (1 - UNMASKED):
        wearing = WORN_WRONGLY[int(rng.integers(len(WORN_WRONGLY)))]
    kind = Kind.RESPIRATOR if rng.random() < RESPIRATOR else None
    return draw_mask(clean, points, rng, kind=kind, wearing=wearing)


def pair_drawer(
    faces: Sequence[LabelledFace], templates: Templates | None = None
) -> Callable[[np.random.Generator], NDArray[np.uint8]]:
    """Draws a pair of a random face as uint8 [128, 128, 7]: shown RGB, wanted RGB, mask."""

    def draw(rng: np.random.Generator) -> NDArray[np.uint8]:
        face = faces[int(rng.integers(len(faces)))]
        pair = make_pair(face.read(), face.landmarks, rng, templates)
        return np.concatenate([pair.shown, pair.wanted, pair.mask[..., None]], 2)

    return draw
