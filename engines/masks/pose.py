"""A head from five points: a half-cylinder whose width follows the jaw, turned by the face's yaw.

Local units are those of the 112 x 112 recognition frame: x counts from the middle of the face, eyes lie at
y = 51.6, the mouth at y = 92.3, the chin at y = 118. The jaw is the median of 655 faces.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

EYE_LEVEL, MOUTH_LEVEL, CHIN_LEVEL = 51.6, 92.3, 118.0
_EYE_DISTANCE = 35.2
_JAW_Y = np.array([30, 51, 63, 74, 84, 94, 103, 110, 114, 116.6, 118], np.float32)
_JAW_WIDTH = np.array([38, 40, 39, 38, 35.5, 32, 27, 20.5, 15.5, 10, 4], np.float32)
_FRONT_Y = np.array([30, 51, 72, 92, 118], np.float32)
_FRONT_DEPTH = np.array([6, 8, 18, 13, 8], np.float32)
_NOSE_DEPTH, _MOUTH_DEPTH = 20.0, 12.0


@dataclass(frozen=True, slots=True, eq=False)
class Pose:
    """Where a head lies in a picture.

    to_picture: float64 [2, 3], local units -> pixels. yaw: radians, positive when the nose points to
    larger x. scale: pixels for one local unit.
    """

    to_picture: NDArray[np.float64]
    yaw: float
    scale: float

    def project(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Local points [..., 3] (x, y, depth towards the camera) in pixels [..., 2]."""
        p = np.asarray(points, np.float64)
        x = p[..., 0] * np.cos(self.yaw) + p[..., 2] * np.sin(self.yaw)
        flat = np.stack([x, p[..., 1], np.ones_like(x)], -1)
        return flat @ self.to_picture.T

    def local(self, x0: int, y0: int, x1: int, y1: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Local x and y, float32 [y1 - y0, x1 - x0] each, of the pixels of a window of the picture."""
        inverse = np.linalg.inv(self.to_picture[:, :2])
        px, py = np.meshgrid(np.arange(x0, x1, dtype=np.float32), np.arange(y0, y1, dtype=np.float32))
        px -= np.float32(self.to_picture[0, 2])
        py -= np.float32(self.to_picture[1, 2])
        a = inverse.astype(np.float32)
        return a[0, 0] * px + a[0, 1] * py, a[1, 0] * px + a[1, 1] * py


def estimate_pose(landmarks: NDArray[np.floating]) -> Pose:
    """The pose of a face, from its five landmarks [5, 2] (order of engines.faces.LANDMARK_NAMES).

    Raises ValueError when the shape differs or the eyes fall together.
    """
    points = np.asarray(landmarks, np.float64)
    if points.shape != (5, 2):
        raise ValueError(f"landmarks: the shape must be (5, 2), found {points.shape}")
    middle = points[:2].mean(0)
    across = points[1] - points[0]
    distance = float(np.hypot(*across))
    if distance < 1.0:
        raise ValueError(f"landmarks: the eyes must be at least 1 pixel apart, found {distance:.2f}")
    ex = across / distance
    ey = np.array([-ex[1], ex[0]])
    nose, mouth = points[2] - middle, points[3:].mean(0) - middle
    shift = (nose @ ex + mouth @ ex) / (_NOSE_DEPTH + _MOUTH_DEPTH)
    yaw = float(np.clip(np.arctan(shift * _EYE_DISTANCE / distance), -0.9, 0.9))
    wide = distance / (_EYE_DISTANCE * np.cos(yaw))
    tall = float(np.clip((mouth @ ey) / (MOUTH_LEVEL - EYE_LEVEL), 0.75 * wide, 1.3 * wide))
    matrix = np.zeros((2, 3))
    matrix[:, 0], matrix[:, 1] = ex * wide, ey * tall
    matrix[:, 2] = middle - ey * tall * EYE_LEVEL
    return Pose(matrix, yaw, float(np.sqrt(wide * tall)))


def half_width(y: NDArray[np.float32], chin: float = CHIN_LEVEL) -> NDArray[np.float32]:
    """Half the width of the head at each height, local units; the lower face is stretched to end at `chin`."""
    grown = np.where(y > 84, 84 + (y - 84) * (CHIN_LEVEL - 84) / (chin - 84), y)
    return np.interp(grown, _JAW_Y, _JAW_WIDTH, right=0.0).astype(np.float32)


def front_depth(y: NDArray[np.float32]) -> NDArray[np.float32]:
    """How far the middle line of the face stands before the plane of the eyes, local units."""
    return np.interp(y, _FRONT_Y, _FRONT_DEPTH).astype(np.float32)


def azimuth(
    pose: Pose, x: NDArray[np.float32], y: NDArray[np.float32], width: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Around the head: for local x, y the angle from the middle of the face, and x across the silhouette.

    Returns (angle in radians, position -1..1 from edge to edge of the visible head; beyond it is background).
    """
    safe = np.maximum(width, 1.0)
    centre = (front_depth(y) - safe) * np.float32(np.sin(pose.yaw))
    across = np.asarray((x - centre) / safe, np.float32)
    angle = np.arcsin(np.clip(across, -1, 1)) - np.float32(pose.yaw)
    return angle, across
