"""The filters of a half-mask respirator: one or two canisters that stand off the face and hide more than its mask does.

Each is a short cylinder in the space of the head (pose.py), at the cheeks or before the mouth, so that it turns with
the face and covers what lies behind it, cheek, jaw and background alike.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.masks.pose import Pose

_COLOURS = (
    (205, 60, 110),
    (228, 228, 224),
    (34, 34, 36),
    (92, 94, 98),
    (196, 176, 60),
    (110, 122, 80),
    (60, 90, 150),
)
_CORNERS = 40
_FINE = 16  # cv2's fixed point: sixteenths of a pixel


def draw_filters(
    part: NDArray[np.float32],
    cover: NDArray[np.float32],
    pose: Pose,
    corner: tuple[int, int],
    exposure: NDArray[np.float32],
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A picture with filters on a mask that is drawn already.

    part: float32 RGB [h, w, 3], 0 to 255. cover: float32 [h, w], 0 to 1, where the mask is. corner: x and y of the
    part in the picture. exposure: the colour [3], 0 to 1, that something white has here. Returns both anew.
    """
    colour = np.array(_COLOURS[int(rng.integers(len(_COLOURS)))], np.float32) + rng.normal(0, 10, 3).astype(
        np.float32
    )
    second = colour * 0.45 if rng.random() < 0.5 else np.array((230, 230, 228), np.float32)
    for base, out, radius, depth in _places(pose, rng):
        front, back = (_ring(pose, base + out * far, out, radius, corner) for far in (depth, 0.0))
        side = cv2.convexHull(np.concatenate([front, back]))
        shade = float(rng.uniform(0.5, 0.8))
        part, cover = _laid(part, cover, side, colour * shade * exposure)
        part, cover = _laid(part, cover, front, colour * exposure * float(rng.uniform(0.85, 1.1)))
        for share in (0.8, 0.5)[: int(rng.integers(0, 3))]:
            face = _ring(pose, base + out * depth, out, radius * share, corner)
            part, cover = _laid(part, cover, face, (second if share == 0.5 else colour * 0.8) * exposure)
    return part, cover


def _places(
    pose: Pose, rng: np.random.Generator
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64], float, float]]:
    """Of each filter the middle of its foot, where it points, its radius and its depth; the farther one first."""
    radius, depth = float(rng.uniform(10, 19)), float(rng.uniform(4, 14))
    level, droop = float(rng.uniform(84, 101)), float(rng.uniform(-0.2, 0.5))
    if rng.random() < 0.2:
        yield np.array([0.0, level + 4, 17.0]), _unit(0.0, droop), radius * 0.9, depth
        return
    aside, turned = float(rng.uniform(17, 29)), float(rng.uniform(0.3, 1.0))
    for sign in (-1.0, 1.0) if pose.yaw < 0 else (1.0, -1.0):
        yield np.array([sign * aside, level, 12.0 - 0.2 * aside]), _unit(sign * turned, droop), radius, depth


def _unit(turned: float, droop: float) -> NDArray[np.float64]:
    out = np.array([np.sin(turned), droop, np.cos(turned)])
    return out / np.linalg.norm(out)


def _ring(
    pose: Pose, middle: NDArray[np.float64], out: NDArray[np.float64], radius: float, corner: tuple[int, int]
) -> NDArray[np.int32]:
    """A circle around an axis as it is seen, int32 [corners, 2] in sixteenths of a pixel of the part."""
    across = np.cross(out, [0.0, 1.0, 0.0])
    across /= np.linalg.norm(across)
    up = np.cross(across, out)
    turn = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)[:, None]
    points = pose.project(middle + radius * (np.cos(turn) * across + np.sin(turn) * up))
    return np.rint((points - corner) * _FINE).astype(np.int32)


def _laid(
    part: NDArray[np.float32],
    cover: NDArray[np.float32],
    shape: NDArray[np.int32],
    colour: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A patch of one colour, brighter towards its top, over both."""
    canvas = np.zeros(cover.shape, np.uint8)
    cv2.fillPoly(canvas, [shape], 255, cv2.LINE_AA, 4)
    alpha = canvas.astype(np.float32) / 255
    y = np.arange(cover.shape[0], dtype=np.float32)
    top, bottom = float(shape[..., 1].min()) / _FINE, float(shape[..., 1].max()) / _FINE
    light = 1.12 - 0.3 * np.clip((y - top) / max(bottom - top, 1.0), 0, 1)
    ink = colour[None, None] * light[:, None, None]
    part = part * (1 - alpha[..., None]) + ink * alpha[..., None]
    return part.astype(np.float32), np.maximum(cover, alpha)
