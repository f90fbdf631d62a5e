"""Where a face lies in its crop: similarity transforms from landmarks to the two frames that the networks use.

The *recognition frame* is the 112 x 112 frame of ArcFace and SFace (five points published with InsightFace).
The *face frame* is the 128 x 128 frame of the unmasking generator: the same frame, cut to x 4..108 and
y 20..124 and enlarged, so that a face from the eyebrows to below the chin fills it.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

RECOGNITION_SIZE = 112
RECOGNITION_POINTS = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]],
    np.float32,
)

FACE_SIZE = 128
_FACE_ORIGIN = np.array([4.0, 20.0], np.float32)
FACE_SCALE = FACE_SIZE / 104.0
"""Pixels of the face frame for one pixel of the recognition frame."""


def to_face_frame(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Points [..., 2] of the recognition frame, in pixels of the face frame."""
    return ((points - _FACE_ORIGIN) * FACE_SCALE).astype(np.float32)


FACE_POINTS = to_face_frame(RECOGNITION_POINTS)


def similarity(source: NDArray[np.floating], target: NDArray[np.floating]) -> NDArray[np.float32]:
    """The least-squares similarity (rotation, one scale, shift; no mirror) that takes source to target.

    source, target: [K, 2] points, K >= 2. Returns float32 [2, 3] for cv2.warpAffine. Raises ValueError
    when all source points fall together. Umeyama, "Least-squares estimation of transformation
    parameters between two point patterns", 1991, in its closed form for the plane.
    """
    s, t = np.asarray(source, np.float64), np.asarray(target, np.float64)
    sm, tm = s.mean(0), t.mean(0)
    s0, t0 = s - sm, t - tm
    spread = float((s0**2).sum())
    if spread < 1e-9:
        raise ValueError("landmarks: at least two must differ, found all at one point")
    a = float((s0 * t0).sum()) / spread
    b = float((s0[:, 0] * t0[:, 1] - s0[:, 1] * t0[:, 0]).sum()) / spread
    rotation = np.array([[a, -b], [b, a]])
    return np.hstack([rotation, (tm - rotation @ sm)[:, None]]).astype(np.float32)


def recognition_transform(landmarks: NDArray[np.float32], masked: bool = False) -> NDArray[np.float32]:
    """Picture -> recognition frame, float32 [2, 3].

    landmarks: [5, 2]. masked: the mouth points are a detector's invention under a mask, so only eyes and nose are used;
    False for landmarks that detection.landmarks has refined.
    """
    used = 3 if masked else 5
    return similarity(landmarks[:used], RECOGNITION_POINTS[:used])


def face_transform(landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Picture -> face frame, float32 [2, 3], from eyes and nose only: the same for masked and unmasked faces."""
    return similarity(landmarks[:3], FACE_POINTS[:3])


def face_to_recognition(landmarks: NDArray[np.float32], masked: bool = False) -> NDArray[np.float32]:
    """Face frame -> recognition frame of the same landmarks [5, 2], float32 [2, 3]."""
    from_picture, to_face = recognition_transform(landmarks, masked), face_transform(landmarks)
    turn = from_picture[:, :2] @ np.linalg.inv(to_face[:, :2])
    return np.hstack([turn, (from_picture[:, 2] - turn @ to_face[:, 2])[:, None]]).astype(np.float32)


def warp(picture: NDArray[np.uint8], transform: NDArray[np.float32], size: int) -> NDArray[np.uint8]:
    """The size x size crop of a uint8 picture [H, W, 3] under a transform; beyond its edge it is mirrored.

    A face larger than the crop is first averaged down, so that it does not alias.
    """
    scale = float(np.hypot(transform[0, 0], transform[1, 0]))
    if scale < 0.5:  # bilinear sampling looks at 2 x 2 pixels only
        factor = int(min(8, np.ceil(0.5 / max(scale, 1e-3))))
        inner = cv2.warpAffine(
            picture,
            scaled(transform, factor),
            (size * factor, size * factor),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REFLECT_101,
        )
        return cv2.resize(inner, (size, size), interpolation=cv2.INTER_AREA)
    return cv2.warpAffine(
        picture, transform, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )


def scaled(transform: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    """The same transform into a crop `factor` times as large, pixel centres kept in place."""
    larger = transform * np.float32(factor)
    larger[:, 2] += (factor - 1) / 2
    return larger
