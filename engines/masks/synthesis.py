"""Draws masks on faces: every shape, cloth and way of wearing that training and the demonstration need.

A mask is computed for each pixel from where that pixel lies on a turned half-cylinder (pose.py), so it is
as sharp on a face of 300 pixels as it is right on one of 30. Templates (MaskTheFace's layout) are an
option of `templates.py`. After Anwar and Raychowdhury, "Masked Face Recognition for Secure
Authentication", 2020, the mask takes its brightness and saturation from the face.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.masks.filters import REACH, draw_filters
from engines.masks.pose import CHIN_LEVEL, Pose, azimuth, estimate_pose, half_width
from engines.masks.textures import Cloth, Style, choose_cloth, paint


class Kind(StrEnum):
    """The shape of a mask."""

    SURGICAL = "surgical"
    KN95 = "kn95"
    CLOTH = "cloth"
    CUP = "cup"
    RESPIRATOR = "respirator"
    """A half-mask of rubber with filters; drawn only where it is asked for."""


class Wearing(StrEnum):
    """How a mask is worn."""

    WORN = "worn"
    BELOW_NOSE = "below_nose"
    CHIN = "chin"


WORN_WRONGLY = (Wearing.BELOW_NOSE, Wearing.CHIN)


@dataclass(frozen=True, slots=True)
class Outline:
    """The edges of a mask in local units (pose.py) and radians around the head."""

    bridge: float
    """Height of the upper edge in the middle."""
    side_top: float
    side_bottom: float
    """Heights of the upper and the lower corner at the side."""
    side: float
    """Angle at which the mask ends on either side."""
    peak: float
    """How narrow the rise over the nose is: 1 is an arc, larger is a peak."""
    chin: float
    """Lowest point of mask and chin."""
    bulge: float
    """How far the cloth stands off the jaw."""
    tilt: float
    """Slant of the whole mask, local units from side to side."""


def draw_mask(
    picture: NDArray[np.uint8],
    landmarks: NDArray[np.floating],
    rng: np.random.Generator,
    *,
    kind: Kind | str | None = None,
    style: Style | str | None = None,
    wearing: Wearing | str = Wearing.WORN,
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """A copy of a picture with a mask on one face.

    picture: uint8 RGB [H, W, 3]. landmarks: [5, 2] pixels (engines.faces.LANDMARK_NAMES). kind and style:
    chosen by `rng` when not given; the same generator state gives the same mask.
    Returns (picture, alpha): alpha float32 [H, W], 0 to 1, covers cloth and ear loops, not the soft
    contact shadow around them. Raises ValueError on wrong shapes or an unknown kind, style or wearing.
    """
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
        raise ValueError(f"picture: must be uint8 [H, W, 3], found {picture.dtype} {picture.shape}")
    pose = estimate_pose(landmarks)
    chosen = Kind(kind) if kind is not None else _choose_kind(rng)
    outline = _outline(chosen, Wearing(wearing), rng)
    cloth = choose_cloth(rng, Style(style) if style is not None else None, pleated=chosen is Kind.SURGICAL)
    window = _window(pose, picture.shape[:2], REACH if chosen is Kind.RESPIRATOR else 56.0)
    result = picture.copy()
    alpha = np.zeros(picture.shape[:2], np.float32)
    x0, y0, x1, y1 = window
    if x1 - x0 < 2 or y1 - y0 < 2:
        return result, alpha
    part = picture[y0:y1, x0:x1].astype(np.float32)
    drawn, cover = _render(part, pose, window, chosen, outline, cloth, rng)
    result[y0:y1, x0:x1] = np.clip(np.rint(drawn), 0, 255).astype(np.uint8)
    alpha[y0:y1, x0:x1] = cover
    return result, alpha


def _choose_kind(rng: np.random.Generator) -> Kind:
    return (Kind.SURGICAL, Kind.KN95, Kind.CLOTH, Kind.CUP)[int(rng.choice(4, p=[0.42, 0.2, 0.3, 0.08]))]


def _outline(kind: Kind, wearing: Wearing, rng: np.random.Generator) -> Outline:
    def around(middle: float, spread: float) -> float:
        return float(middle + spread * np.clip(rng.normal(), -2, 2))

    bridge, side_top, side_bottom, side, peak = {
        Kind.SURGICAL: (57.0, 68.0, 98.0, 1.12, 1.3),
        Kind.KN95: (55.0, 73.0, 91.0, 1.08, 1.7),
        Kind.CLOTH: (57.5, 72.0, 97.0, 1.06, 1.5),
        Kind.CUP: (56.0, 80.0, 92.0, 0.85, 1.2),
        Kind.RESPIRATOR: (57.0, 80.0, 97.0, 0.9, 1.3),
    }[kind]
    chin = around(CHIN_LEVEL + 4.5, 3.5)
    bridge, side_top = around(bridge, 2.0), around(side_top, 2.5)
    side_bottom = around(side_bottom, 2.5)
    if wearing is Wearing.BELOW_NOSE:
        bridge = float(rng.uniform(76, 86))
        side_top, side_bottom = side_top + float(rng.uniform(5, 11)), side_bottom + 3
        chin += float(rng.uniform(1, 4))
    elif wearing is Wearing.CHIN:
        bridge = float(rng.uniform(94, 107))
        side_top, side_bottom = float(rng.uniform(86, 97)), float(rng.uniform(101, 108))
        chin += float(rng.uniform(2, 7))
    return Outline(
        bridge,
        side_top,
        max(side_bottom, side_top + 8),
        float(np.clip(around(side, 0.1), 0.7, 1.35)),
        float(np.clip(around(peak, 0.25), 0.9, 2.4)),
        chin,
        float(np.clip(around(2.2 if kind is not Kind.CUP else 2.8, 1.4), 0.4, 5.5)),
        around(0, 1.0),
    )


def _window(pose: Pose, shape: tuple[int, int], aside: float) -> tuple[int, int, int, int]:
    corners = np.array([[x, y, 1.0] for x in (-aside, aside) for y in (38, 138)]) @ pose.to_picture.T
    x0, y0 = np.maximum(np.floor(corners.min(0)), 0).astype(int)
    x1, y1 = np.minimum(np.ceil(corners.max(0)), shape[::-1]).astype(int)
    return int(x0), int(y0), int(x1), int(y1)


def _render(
    part: NDArray[np.float32],
    pose: Pose,
    window: tuple[int, int, int, int],
    kind: Kind,
    outline: Outline,
    cloth: Cloth,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    x, y = pose.local(*window)
    y = np.asarray(y + outline.tilt * x / 40, np.float32)
    off = outline.bulge * np.clip((outline.chin + 1 - y) / 6, 0, 1)
    width = np.asarray(half_width(y, outline.chin) + off, np.float32)
    angle, across = azimuth(pose, x, y, width)
    along = np.abs(angle) / outline.side
    rise = np.clip(along, 0, 1.2) ** outline.peak
    top = outline.bridge + (outline.side_top - outline.bridge) * rise
    if kind is Kind.KN95 or kind is Kind.CUP:  # the wire is pinched over the nose
        top = (
            top - 2.0 * np.exp(-((angle / 0.16) ** 2)) + 1.0 * np.exp(-(((np.abs(angle) - 0.42) / 0.2) ** 2))
        )
    low = outline.side_bottom + (outline.chin - outline.side_bottom) * np.sqrt(
        np.clip(1 - (along / 1.06) ** 2, 0, 1)
    )
    pixel = np.float32(1.0 / pose.scale)

    def inside(distance: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.clip(distance / (1.4 * pixel) + 0.5, 0, 1)

    edge = np.minimum((1 - np.abs(across)) * np.maximum(width, 1), (outline.side - np.abs(angle)) * 30)
    edge = np.minimum(edge, np.minimum(y - top, low - y))
    cover = inside(edge.astype(np.float32))
    height = np.clip((y - top) / np.maximum(low - top, 4), 0, 1).astype(np.float32)
    colour = paint(cloth, angle, height, edge.astype(np.float32), pose.yaw, kind.value, rng)
    colour = _lit(colour, part, cover, rng)
    loops = _loops(pose, window, outline, kind, rng)
    loop_colour = np.array(cloth.loop, np.float32) * _exposure(part)
    both = np.maximum(cover, loops)[..., None]
    ink = np.where((loops > cover)[..., None], loop_colour, colour)
    shadow = _shadow(cover, pose.scale, rng)[..., None]
    drawn = part * (1 - shadow * (1 - both)) * (1 - both) + ink * both
    covered = both[..., 0].astype(np.float32)
    if kind is Kind.RESPIRATOR:
        return draw_filters(drawn, covered, pose, window[:2], _exposure(part), rng)
    return drawn, covered


def _exposure(part: NDArray[np.float32]) -> NDArray[np.float32]:
    """The colour [3], 0 to 1.1, in which something white would appear here: from the brightest parts of the face."""
    bright = np.percentile(part.reshape(-1, 3)[:: max(1, part.size // 30000)], 92, axis=0).astype(np.float32)
    level = float(np.clip(bright.mean() / 225, 0.12, 1.05))
    tint = bright / max(float(bright.mean()), 1)
    return np.asarray(level * (0.7 + 0.3 * tint), np.float32)


def _lit(
    colour: NDArray[np.float32],
    part: NDArray[np.float32],
    cover: NDArray[np.float32],
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """The cloth's colour under the light that falls on this face, estimated from the face itself."""
    grey = part.mean(2)
    small = cv2.resize(grey, (16, 16), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), 2.5)
    field = cv2.resize(small, grey.shape[::-1], interpolation=cv2.INTER_CUBIC)
    mean = float((field * cover).sum() / max(float(cover.sum()), 1.0))
    relief = np.clip(field / max(mean, 8.0), 0.45, 1.6) ** float(rng.uniform(0.35, 0.8))
    lit = colour * _exposure(part) * relief[..., None] * float(rng.uniform(0.85, 1.12))
    spread = float((part.max(2) - part.min(2)).mean())
    if spread < 4:  # a grey picture (infrared): the mask is grey too
        lit = np.repeat(lit.mean(2, keepdims=True), 3, axis=2)
    return np.asarray(lit, np.float32)


def _loops(
    pose: Pose,
    window: tuple[int, int, int, int],
    outline: Outline,
    kind: Kind,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Ear loops (or bands round the head), float32 [h, w] 0 to 1."""
    x0, y0, x1, y1 = window
    canvas = np.zeros((y1 - y0, x1 - x0), np.uint8)
    thick = float(rng.uniform(0.8, 1.6)) * pose.scale
    ear = float(rng.uniform(58, 66))
    for sign in (-1.0, 1.0):
        if sign * pose.yaw > 0.35:  # the far ear is behind the head
            continue
        for height, end in ((outline.side_top + 1.5, ear - 5), (outline.side_bottom - 2.0, ear + 14)):
            around = np.linspace(outline.side - 0.05, 1.75, 12)
            if kind is Kind.CUP:
                end = height - 14
            share = (around - around[0]) / (around[-1] - around[0])
            level = height + (end - height) * share + 2.0 * np.sin(np.pi * share)
            radius = half_width(level.astype(np.float32), outline.chin).astype(np.float64)
            radius = np.maximum(radius, 34.0) + 0.6
            front = np.interp(level, [51, 72, 92, 118], [8, 18, 13, 8])
            points = np.stack(
                [sign * radius * np.sin(around), level, front - radius + radius * np.cos(around)], -1
            )
            visible = np.abs(sign * around + pose.yaw) < 1.62
            drawn = pose.project(points)[visible] - [x0, y0]
            if len(drawn) > 1:
                cv2.polylines(
                    canvas,
                    [np.rint(drawn * 16).astype(np.int32)],
                    False,
                    255,
                    max(1, round(thick)),
                    cv2.LINE_AA,
                    4,
                )
    return canvas.astype(np.float32) * np.float32(min(1.0, thick) / 255)


def _shadow(cover: NDArray[np.float32], scale: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """The contact shadow around the cloth, mostly below it: how much darker each pixel gets, 0 to 0.5."""
    sigma = max(0.5, float(rng.uniform(0.9, 2.2)) * scale)
    right, down = float(rng.uniform(-0.8, 0.8)) * scale, float(rng.uniform(0.2, 1.4)) * scale
    shift = np.array([[1, 0, right], [0, 1, down]], np.float32)
    moved = cv2.warpAffine(cover, shift, cover.shape[::-1])
    return np.asarray(cv2.GaussianBlur(moved, (0, 0), sigma) * float(rng.uniform(0.15, 0.55)), np.float32)
