"""Things before a mouth that are no mask: hands, cups, microphones, scarves, beards. Distractors for training."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.masks.pose import Pose, estimate_pose


def draw_occluder(
    picture: NDArray[np.uint8], landmarks: NDArray[np.floating], rng: np.random.Generator
) -> NDArray[np.uint8]:
    """A copy of a uint8 RGB picture [H, W, 3] with a hand, a round thing, a beard or sunglasses on a face.

    landmarks: [5, 2] pixels. Raises ValueError on a wrong shape.
    """
    pose = estimate_pose(landmarks)
    draw = (_hand, _round_thing, _beard, _glasses)[int(rng.choice(4, p=[0.4, 0.2, 0.25, 0.15]))]
    cover = np.zeros(picture.shape[:2], np.uint8)
    colour = draw(picture, cover, pose, rng)
    sigma = max(0.4, 0.5 * pose.scale)
    alpha = cv2.GaussianBlur(cover, (0, 0), sigma).astype(np.float32)[..., None] / 255
    return np.clip(picture * (1 - alpha) + colour * alpha, 0, 255).astype(np.uint8)


def _at(pose: Pose, x: float, y: float, depth: float = 14) -> tuple[int, int]:
    px, py = pose.project(np.array([x, y, depth]))
    return int(px), int(py)


def _skin(picture: NDArray[np.uint8], pose: Pose) -> NDArray[np.float32]:
    x, y = _at(pose, 0, 66, 18)
    reach = max(1, int(6 * pose.scale))
    patch = picture[max(0, y - reach) : y + reach, max(0, x - reach) : x + reach]
    return np.asarray(np.median(patch.reshape(-1, 3), 0) if patch.size else np.full(3, 120.0), np.float32)


def _textured(
    shape: tuple[int, ...], colour: NDArray[np.float32], rng: np.random.Generator, strength: float
) -> NDArray[np.float32]:
    coarse = cv2.resize(rng.standard_normal((9, 9), np.float32), shape[1::-1], interpolation=cv2.INTER_CUBIC)
    return np.asarray(colour * (1 + strength * coarse[..., None]), np.float32)


def _hand(
    picture: NDArray[np.uint8], cover: NDArray[np.uint8], pose: Pose, rng: np.random.Generator
) -> NDArray[np.float32]:
    """A fist or palm with fingers across mouth and chin, of the face's own skin."""
    x, y, turn = rng.uniform(-18, 18), rng.uniform(86, 112), rng.uniform(-70, 70)
    unit = pose.scale
    shade = np.zeros(picture.shape[:2], np.float32)
    axes = (max(1, int(rng.uniform(14, 22) * unit)), max(1, int(rng.uniform(11, 16) * unit)))
    cv2.ellipse(cover, _at(pose, x, y), axes, float(turn), 0, 360, 255, -1, cv2.LINE_AA)
    along = np.array([np.cos(np.radians(turn)), np.sin(np.radians(turn))])
    across = np.array([-along[1], along[0]])
    for finger in range(int(rng.integers(2, 5))):
        base = np.array([x, y]) + across * (finger * 6.5 - 11)
        tip = base + along * float(rng.uniform(20, 34))
        a, b = _at(pose, *base), _at(pose, *tip)
        cv2.line(cover, a, b, 255, max(1, int(6.4 * unit)), cv2.LINE_AA)
        cv2.line(shade, a, b, 0.25, max(1, int(1.2 * unit)), cv2.LINE_AA)
    colour = _textured(picture.shape, _skin(picture, pose) * float(rng.uniform(0.8, 1.15)), rng, 0.06)
    return np.asarray(colour * (1 - shade[..., None]), np.float32)


def _round_thing(
    picture: NDArray[np.uint8], cover: NDArray[np.uint8], pose: Pose, rng: np.random.Generator
) -> NDArray[np.float32]:
    """A cup, a microphone, a telephone: a small thing that hides the mouth and leaves the cheeks free."""
    at = _at(pose, rng.uniform(-12, 12), rng.uniform(90, 112))
    size = rng.uniform(8, 15, 2) * pose.scale
    if rng.random() < 0.5:
        cv2.ellipse(cover, at, (max(1, int(size[0])), max(1, int(size[1]))), 0, 0, 360, 255, -1, cv2.LINE_AA)
    else:
        tall = int(size[1] * 2)
        cv2.rectangle(cover, (at[0] - int(size[0]), at[1]), (at[0] + int(size[0]), at[1] + tall), 255, -1)
    return _textured(picture.shape, rng.uniform(10, 245, 3).astype(np.float32), rng, 0.12)


def _beard(
    picture: NDArray[np.uint8], cover: NDArray[np.uint8], pose: Pose, rng: np.random.Generator
) -> NDArray[np.float32]:
    """A full beard: rough hair over jaw, chin and upper lip, the lips left free."""
    rim = [(-36, 74), (-32, 84), (-22, 86), (-14, 82), (14, 82), (22, 86), (32, 84), (36, 74)]
    rim += [(35, 92), (28, 108), (14, 126), (-14, 122), (-28, 108), (-35, 92)]
    cv2.fillPoly(cover, [np.array([_at(pose, x, y, 14 - abs(x) * 0.6) for x, y in rim])], 255, cv2.LINE_AA)
    mouth = (max(1, int(9 * pose.scale)), max(1, int(3.5 * pose.scale)))
    cv2.ellipse(cover, _at(pose, 0, 92.5), mouth, 0, 0, 360, 0, -1, cv2.LINE_AA)
    hair = rng.uniform(15, 60) if rng.random() < 0.7 else rng.uniform(100, 210)
    colour = np.array([hair, hair * rng.uniform(0.8, 1), hair * rng.uniform(0.6, 1)], np.float32)
    grain = cv2.resize(rng.standard_normal((64, 48), np.float32), picture.shape[1::-1])
    return _textured(picture.shape, colour, rng, 0.15) * (1 + 0.3 * grain[..., None])


def _glasses(
    picture: NDArray[np.uint8], cover: NDArray[np.uint8], pose: Pose, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Sunglasses: dark, yet not where a mask is."""
    size = (max(1, int(rng.uniform(11, 15) * pose.scale)), max(1, int(rng.uniform(7, 12) * pose.scale)))
    for x in (-18, 18):
        cv2.ellipse(cover, _at(pose, x, 53, 4), size, 0, 0, 360, 255, -1, cv2.LINE_AA)
    cv2.line(
        cover, _at(pose, -36, 50, -10), _at(pose, 36, 50, -10), 255, max(1, int(2 * pose.scale)), cv2.LINE_AA
    )
    return _textured(picture.shape, rng.uniform(5, 70, 3).astype(np.float32), rng, 0.2)
