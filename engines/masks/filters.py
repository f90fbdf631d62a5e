"""The filters of a half-mask respirator: canisters and cartridges that stand off the face and hide more than its mask.

Each is a flat prism in the space of the head (pose.py), beside the cheeks or before the mouth, so that it turns with
the face and covers what lies behind it, cheek, jaw, shoulder and background alike. The measures are those of what is
sold, taking 63 mm between the eyes: discs of 70 to 90 mm, cartridges of some 75 by 95 mm, canisters screwed into the
middle of 60 to 110 mm. Coloured bands tell gases apart, so any colour may appear.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.masks.pose import Pose

REACH = 76.0
"""How far from the middle of the face a filter may reach, local units."""
_BODIES = ((228, 228, 224), (196, 198, 200), (34, 34, 36), (92, 94, 98), (205, 60, 110), (110, 122, 80))
_FINE = 16  # cv2's fixed point: sixteenths of a pixel
_MM = 35.2 / 63.0  # local units in a millimetre

_Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class _Filter:
    """outline: [corners, 2] around its middle, local units, x away from the face's middle and y down. middle: of its
    back, in the space of the head. out: where its front looks, unit length. sign: on which side of the face.
    """

    outline: _Array
    middle: _Array
    out: _Array
    depth: float
    sign: float

    def seen(self, pose: Pose, corner: tuple[int, int], points: _Array, height: float) -> NDArray[np.int32]:
        """Points of its plane, [N, 2], at a share of its depth: int32 [N, 2] in sixteenths of a pixel of the part."""
        across = np.cross([0.0, 1.0, 0.0], self.out)
        across *= self.sign / np.linalg.norm(across)
        down = np.cross(self.out, across) * self.sign
        laid = self.middle + self.out * self.depth * height + points[:, :1] * across + points[:, 1:] * down
        return np.rint((pose.project(laid) - corner) * _FINE).astype(np.int32)


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
    body = np.array(_BODIES[int(rng.integers(len(_BODIES)))], np.float32)
    body = np.clip(body + rng.normal(0, 10, 3), 15, 245).astype(np.float32) * exposure
    band = rng.uniform(20, 235, 3).astype(np.float32) * exposure
    dark = np.float32(rng.uniform(25, 80)) * exposure
    shade, contrast = float(rng.uniform(0.5, 0.85)), float(rng.uniform(0.7, 1.15))
    ribs, rings = int(rng.integers(0, 9)), int(rng.integers(0, 3))
    label = rng.uniform([-0.5, -0.5, 0.25, 0.2], [0.1, 0.1, 0.6, 0.6]) if rng.random() < 0.6 else None
    banded, hub = rng.random() < 0.5, rng.random() < 0.6
    for one in _filters(pose, rng):
        if hub:  # the port that the filter is turned into
            port = _Filter(_disc(9.0), one.middle - one.out * 4.0, one.out, 4.0, one.sign)
            part, cover = _laid(part, cover, _hull(port, pose, corner), dark)
        part, cover = _laid(part, cover, _hull(one, pose, corner), body * shade)
        for rib in range(ribs):
            at = (rib + 0.5) / ribs * len(one.outline)
            edge = one.outline[[int(at), (int(at) + 1) % len(one.outline)]]
            lows, highs = (one.seen(pose, corner, edge, height) for height in (0.1, 0.9))
            part, cover = _laid(part, cover, np.concatenate([lows, highs[::-1]]), body * shade * 0.7)
        if banded:
            low, high = (one.seen(pose, corner, one.outline, height) for height in (0.35, 0.75))
            part, cover = _laid(part, cover, cv2.convexHull(np.concatenate([low, high])), band * shade)
        part, cover = _laid(part, cover, one.seen(pose, corner, one.outline, 1.0), body * contrast)
        for ring in range(rings):
            inner = one.seen(pose, corner, one.outline * (0.86 - 0.3 * ring), 1.0)
            part, cover = _laid(part, cover, inner, body * (contrast * (0.82 if ring % 2 == 0 else 1.05)))
        if label is not None:
            x, y, wide, high = label * float(np.abs(one.outline).max())
            box = np.array([[x, y], [x + wide, y], [x + wide, y + high], [x, y + high]])
            part, cover = _laid(part, cover, one.seen(pose, corner, box, 1.0), band)
            mark = box.mean(0) + (box - box.mean(0)) * 0.45
            part, cover = _laid(part, cover, one.seen(pose, corner, mark, 1.0), np.float32(240) * exposure)
    return part, cover


def _filters(pose: Pose, rng: np.random.Generator) -> Iterator[_Filter]:
    """One before the mouth, or one on either side, the farther one first."""
    level, droop = float(rng.uniform(84, 101)), float(rng.uniform(-0.2, 0.5))
    depth = float(rng.uniform(10, 32)) * _MM
    if rng.random() < 0.2:
        radius = float(rng.uniform(30, 55)) * _MM
        yield _Filter(_disc(radius), np.array([0.0, level + 4, 17.0]), _towards(0.0, droop), depth, 1.0)
        return
    if rng.random() < 0.5:
        outline = _disc(float(rng.uniform(32, 46)) * _MM)
    else:
        outline = _cartridge(float(rng.uniform(34, 50)) * _MM, float(rng.uniform(26, 42)) * _MM, rng)
    out = float(rng.uniform(0.2, 1.25))
    reach = float(np.abs(outline[:, 0]).max())
    aside = float(rng.uniform(14, 30)) + reach * float(rng.uniform(0.2, 0.8)) * np.cos(out)
    back = 12.0 - 0.55 * max(aside - 14.0, 0.0)  # cheeks fall back, and filters lie along them
    for sign in (-1.0, 1.0) if pose.yaw < 0 else (1.0, -1.0):
        yield _Filter(
            outline, np.array([sign * aside, level, back]), _towards(sign * out, droop), depth, sign
        )


def _disc(radius: float) -> _Array:
    turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    return radius * np.stack([np.cos(turn), np.sin(turn)], -1)


def _cartridge(tall: float, wide: float, rng: np.random.Generator) -> _Array:
    """Four rounded corners, half as tall and wide as said, narrower towards the mouth or towards the ear."""
    narrow, lean = float(rng.uniform(0.55, 1.2)), float(rng.uniform(-0.25, 0.25))
    corners = np.array([[-wide, -tall * narrow], [wide, -tall], [wide, tall], [-wide, tall * narrow]])
    corners[:, 0] += lean * corners[:, 1]
    rounded = float(rng.uniform(0.25, 0.6)) * wide
    found = []
    for before, here, after in zip(np.roll(corners, 1, 0), corners, np.roll(corners, -1, 0), strict=True):
        first, last = here + rounded * _unit(before - here), here + rounded * _unit(after - here)
        for share in np.linspace(0, 1, 8):  # a quadratic curve around the corner
            found.append((1 - share) ** 2 * first + 2 * share * (1 - share) * here + share**2 * last)
    return np.array(found)


def _towards(turned: float, droop: float) -> _Array:
    return _unit(np.array([np.sin(turned), droop, np.cos(turned)]))


def _unit(direction: _Array) -> _Array:
    return direction / np.linalg.norm(direction)


def _hull(one: _Filter, pose: Pose, corner: tuple[int, int]) -> NDArray[np.int32]:
    both = [one.seen(pose, corner, one.outline, height) for height in (0.0, 1.0)]
    return np.asarray(cv2.convexHull(np.concatenate(both)), np.int32)


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
