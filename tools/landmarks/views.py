"""What the landmark network sees while it learns: faces, most of them masked, where an imprecise detector lays them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.alignment import similarity, warp
from engines.detection.landmarks import CROP_POINTS, CROP_SIZE
from engines.masks.degradation import choose_degradation
from engines.masks.occluders import draw_occluder
from engines.masks.synthesis import WORN_WRONGLY, Wearing, draw_mask
from engines.masks.templates import apply_template
from tools.learning.faces import LabelledFace
from tools.learning.pairs import Templates

MASKED, WRONGLY, PHOTOGRAPHED, OCCLUDED = 0.65, 0.08, 0.3, 0.3
"""Shares: with a mask; of those worn wrongly, and photographed where templates are given; of the others, with something
else before the face."""
SIDE = 160
"""Pixels of the square that is kept of a face, at the scale of the network's crop: room to shift and turn it."""
ROW = (SIDE + 1, SIDE, 3)
"""An example in the pool: the square, and below it a line with the landmarks, readable when Pool has mirrored it."""
_STEPS = 256.0  # of a pixel, in which landmarks are written down
_MIRRORED = [1, 0, 2, 4, 3]
_EDGES = (cv2.BORDER_REFLECT_101, cv2.BORDER_REPLICATE, cv2.BORDER_CONSTANT)


def view_drawer(
    faces: Sequence[LabelledFace], templates: Templates | None = None
) -> Callable[[np.random.Generator], NDArray[np.uint8]]:
    """Draws a random face as ROW."""

    def draw(rng: np.random.Generator) -> NDArray[np.uint8]:
        face = faces[int(rng.integers(len(faces)))]
        square, points = _square(face.read(), face.landmarks, rng)
        return np.concatenate([_seen(square, points, rng, templates), _line(points)])

    return draw


def _square(
    picture: NDArray[np.uint8], landmarks: NDArray[np.float32], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """The face upright in the middle of the square, and its landmarks there."""
    picture, landmarks = _cut(picture, landmarks, rng)
    transform = similarity(landmarks, CROP_POINTS + (SIDE - CROP_SIZE) / 2)
    points = landmarks @ transform[:, :2].T + transform[:, 2]
    return warp(picture, transform, SIDE), points.astype(np.float32)


def _cut(
    picture: NDArray[np.uint8], landmarks: NDArray[np.float32], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """The picture with more or less of its edges replaced. Photographs of faces are cut alike all round them: where one
    ends would tell where the face is.
    """
    height, width = picture.shape[:2]
    reach = 0.45 * float(np.hypot(*(landmarks[1] - landmarks[0])))
    first = np.clip(landmarks.min(0) - reach, 0, None)
    last = np.clip((width, height) - landmarks.max(0) - reach, 0, None)
    left, top, right, bottom = (int(room * rng.random() ** 2) for room in (*first, *last))
    inner = picture[top : height - bottom, left : width - right]
    edge = int(_EDGES[rng.integers(len(_EDGES))])
    pad = 2 * max(picture.shape[:2]) // 3 if edge == cv2.BORDER_CONSTANT else 0
    wider = cv2.copyMakeBorder(
        inner, pad + top, pad + bottom, pad + left, pad + right, edge, value=rng.integers(0, 256, 3).tolist()
    )
    return np.asarray(wider, np.uint8), (landmarks + pad).astype(np.float32)


def _seen(
    square: NDArray[np.uint8],
    points: NDArray[np.float32],
    rng: np.random.Generator,
    templates: Templates | None,
) -> NDArray[np.uint8]:
    camera = choose_degradation(rng, smallest=40, clean=0.4)
    if rng.random() >= MASKED:
        seen = draw_occluder(square, points, rng) if rng.random() < OCCLUDED else square
    elif templates and rng.random() < PHOTOGRAPHED:
        views = templates[sorted(templates)[int(rng.integers(len(templates)))]]
        seen, _ = apply_template(square, _worn_at(points, rng), views, rng)
    else:
        wrongly = rng.random() < WRONGLY
        wearing = WORN_WRONGLY[int(rng.integers(len(WORN_WRONGLY)))] if wrongly else Wearing.WORN
        seen, _ = draw_mask(square, _worn_at(points, rng), rng, wearing=wearing)
    return camera.spoil(camera.expose(seen), rng)


def _worn_at(points: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Where the mask takes the face to be. Drawn exactly by the landmarks, its edges would give them away; people wear
    masks higher, lower, askew, too large and too small.
    """
    middle = points.mean(0)
    spread = points - middle
    distance = float(np.hypot(*(points[1] - points[0])))
    turn = _turn(np.radians(rng.normal(0, 3)), float(np.exp(rng.normal(0, 0.06))))
    shift = rng.normal(0, 0.06 * distance, 2)
    noise = rng.normal(0, 0.03 * distance, points.shape)
    return (spread @ turn.T + middle + shift + noise).astype(np.float32)


def _turn(angle: float, scale: float) -> NDArray[np.float64]:
    return scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def _line(points: NDArray[np.float32]) -> NDArray[np.uint8]:
    values = np.clip(np.rint(points.ravel() * _STEPS), 0, 65535).astype("<u2").view(np.uint8)  # 20 bytes
    line = np.zeros((1, SIDE, 3), np.uint8)
    line[0, :20, 0] = line[0, -1:-21:-1, 0] = values
    line[0, 0, 1] = 1  # this end is the left one
    return line


def read_rows(rows: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Rows [N, *ROW], mirrored or not, as squares uint8 [N, SIDE, SIDE, 3] and landmarks float32 [N, 5, 2] there."""
    lines = rows[:, -1]
    values = np.ascontiguousarray(lines[:, :20, 0]).view("<u2").astype(np.float32) / _STEPS
    points = values.reshape(-1, 5, 2)
    mirrored = lines[:, 0, 1] == 0
    turned = points[mirrored][:, _MIRRORED]
    turned[..., 0] = SIDE - 1 - turned[..., 0]
    points[mirrored] = turned
    return rows[:, :-1], points


def detected(
    square: NDArray[np.uint8], points: NDArray[np.float32], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """The crop, uint8 RGB [112, 112, 3], as a detector's imprecise landmarks lay it, and the landmarks in it."""
    # A detector is off by a few per cent of the eyes' distance mostly, and by far more now and then.
    wide = 2.0 if rng.random() < 0.25 else 1.0
    turn = _turn(np.radians(rng.normal(0, 5 * wide)), float(np.exp(rng.normal(0, 0.07 * wide))))
    middle, target = points.mean(0), CROP_POINTS.mean(0) + rng.normal(0, 2.2 * wide, 2)
    transform = np.hstack([turn, (target - turn @ middle)[:, None]]).astype(np.float32)
    crop = cv2.warpAffine(
        square, transform, (CROP_SIZE, CROP_SIZE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )
    return np.asarray(crop, np.uint8), (points @ transform[:, :2].T + transform[:, 2]).astype(np.float32)
