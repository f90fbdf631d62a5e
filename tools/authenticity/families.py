"""The ways in which pictures of this product, and of others, are painted or generated: one family each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.alignment import FACE_SIZE, face_transform, warp
from engines.masks.pose import estimate_pose
from engines.masks.synthesis import draw_mask
from engines.masks.templates import apply_template, read_templates
from engines.unmasking.generator import Run, Unmasker

Picture = NDArray[np.uint8]
Points = NDArray[np.float32]
Paint = Callable[[Picture, Points, bool, np.random.Generator], Picture]
"""(picture uint8 RGB [H, W, 3], landmarks [5, 2], whether a real mask is worn, rng) -> the painted picture."""


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of painting. masks: whether what comes out wears a mask."""

    name: str
    masks: bool
    paint: Paint


def drawn() -> Family:
    """Our mask synthesis."""

    def paint(picture: Picture, points: Points, masked: bool, rng: np.random.Generator) -> Picture:
        eyes = float(np.hypot(*(points[1] - points[0])))
        return draw_mask(picture, points + rng.normal(0, 0.015 * eyes, points.shape), rng)[0]

    return Family("drawn mask", True, paint)


def templates(name: str, folder: Path, varied: bool = True) -> Family:
    """Photographed masks laid over the face. Raises ValueError when the folder holds none."""
    masks = list(read_templates(folder).values())

    def paint(picture: Picture, points: Points, masked: bool, rng: np.random.Generator) -> Picture:
        views = masks[int(rng.integers(len(masks)))]
        return apply_template(picture, points, views, rng if varied else None)[0]

    return Family(name, True, paint)


def cloned(name: str, folder: Path) -> Family:
    """Photographed masks blended in by another compositor: Poisson cloning (Pérez et al., "Poisson Image Editing",
    2003). Raises ValueError when the folder holds none.
    """
    masks = list(read_templates(folder).values())

    def paint(picture: Picture, points: Points, masked: bool, rng: np.random.Generator) -> Picture:
        views = masks[int(rng.integers(len(masks)))]
        laid, alpha = apply_template(picture, points, views)
        inner = (alpha > 0.9).astype(np.uint8) * 255
        inner[:2], inner[-2:], inner[:, :2], inner[:, -2:] = 0, 0, 0, 0
        x, y, width, height = cv2.boundingRect(inner)
        if width < 8 or height < 8:
            return laid
        middle = (x + width // 2, y + height // 2)
        return np.asarray(cv2.seamlessClone(laid, picture, inner, middle, cv2.NORMAL_CLONE), np.uint8)

    return Family(name, True, paint)


def generated(name: str, engine: Run, masks: bool, on_masked: bool) -> Family:
    """A generator of the face frame, its work put back into the picture where it painted.

    engine: gives composite and mask, as the network `unmask` does. on_masked: it takes faces with masks; a face without
    one gets a drawn one first.
    """
    unmasker = Unmasker(engine)

    def paint(picture: Picture, points: Points, masked: bool, rng: np.random.Generator) -> Picture:
        before = picture if masked or not on_masked else draw_mask(picture, points, rng)[0]
        transform = face_transform(points)
        made = unmasker.unmask(warp(before, transform, FACE_SIZE)[None])
        painted, where = made.pictures[0], np.clip(made.masks[0], 0, 1)
        where = np.maximum(where, cv2.GaussianBlur(where, (0, 0), 1.0))
        back = cv2.invertAffineTransform(transform)
        size = picture.shape[1::-1]
        over = cv2.warpAffine(painted, back, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        share = cv2.warpAffine(where, back, size, flags=cv2.INTER_LINEAR)[..., None]
        return np.clip(np.rint(before * (1 - share) + over * share), 0, 255).astype(np.uint8)

    return Family(name, masks, paint)


def visible(points: Points, shape: tuple[int, ...]) -> bool:
    """Whether a face lies well enough inside a picture [H, W, ...] to be painted on."""
    chin = estimate_pose(points).project(np.array([[0.0, 100.0, 0.0]]))[0]
    return bool((chin >= 0).all() and chin[0] < shape[1] and chin[1] < shape[0] * 1.1)
