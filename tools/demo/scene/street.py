"""The street of the demo clip: drawn here with NumPy and OpenCV, nothing photographed.

A pedestrian street seen by a camera at head height. Walls and ground are found by casting a ray through every
pixel, so that perspective, haze and shadows follow from metres.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from tools.demo.scene.greenery import draw_tree
from tools.demo.scene.houses import LEFT, RIGHT, draw_awnings, draw_houses
from tools.demo.scene.view import HAZE, Field, Picture, View, clouds, fade, fixed_point, hazy, waves

_TREES: Final = ((4.4, 9.5), (-4.2, 12.5), (4.5, 17.0), (-4.2, 22.0), (4.5, 28.0), (-4.2, 36.0), (4.5, 45.0))
_LAMPS: Final = ((-3.3, 9.0), (3.6, 22.0), (-3.3, 30.0), (3.6, 40.0))


def draw_street(width: int, height: int, rng: np.random.Generator) -> Picture:
    """The empty street, uint8 RGB [height, width, 3]; the same for the same generator state."""
    view = View(width * 2, height * 2)  # drawn twice as large, then averaged: no jagged edges
    canvas = _sky(view, rng)
    _ground(canvas, view, rng)
    _distance(canvas, view, rng)
    draw_houses(canvas, view, rng)
    picture = np.clip(canvas, 0, 255).astype(np.uint8)
    draw_awnings(picture, view)
    standing = [(z, x, draw_tree) for x, z in _TREES] + [(z, x, _lamp) for x, z in _LAMPS]
    for z, x, draw in sorted(standing, key=lambda item: -item[0]):
        draw(picture, view, rng, x, z)
    small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    soft = cv2.GaussianBlur(small, (0, 0), 1.3 * height / 720)  # the lens is focused on the people
    return _vignette(soft)


def _sky(view: View, rng: np.random.Generator) -> Field:
    """Float32 RGB [H, W, 3]: blue above, haze at the horizon, thin clouds."""
    down = np.linspace(0, 1, view.height, dtype=np.float32)[:, None] * view.height / view.horizon
    share = np.clip(down, 0, 1)[..., None] ** 1.2
    blue = np.array([150, 186, 218], np.float32)
    canvas = np.broadcast_to(
        blue * (1 - share) + (HAZE + (14, 8, -4)) * share, (view.height, view.width, 3)
    ).copy()
    veil = np.clip(clouds((view.height, view.width), rng, 4, 5) * 0.22 + 0.2, 0, 0.6)[..., None]
    return canvas * (1 - veil) + np.array([246, 244, 240], np.float32) * veil


def _distance(canvas: Field, view: View, rng: np.random.Generator) -> None:
    """What closes the street far away: roofs, a church tower and the tops of trees, nearly lost in the haze."""
    x = np.arange(view.width, dtype=np.float32)
    metre = view.focal / 150.0
    roofs = 7.0 + 1.6 * np.round(1.4 * waves(view.width, rng, 3.5 * metre))
    offset = (x - view.centre) / metre + 3.2
    tower = np.where(np.abs(offset) < 1.3, 12.0 + np.maximum(0, 8.0 - 7.3 * np.abs(offset)), 0.0)
    trees = 3.4 + 0.8 * np.abs(waves(view.width, rng, 1.1 * metre))
    y = view.eye - (np.arange(view.height, dtype=np.float32)[:, None] - view.horizon) / metre
    far = np.array([204, 203, 202], np.float32)
    for tops, colour in ((np.maximum(roofs, tower), far), (trees, far * (0.92, 0.97, 0.9))):
        canvas[(y < tops[None]) & (y > -1)] = colour


def _ground(canvas: Field, view: View, rng: np.random.Generator) -> None:
    """Stone slabs with joints, a gutter along the middle, the shadow of the houses on the right."""
    first = int(view.horizon) + 1
    rows = np.arange(first, view.height, dtype=np.float32)
    z = view.focal * view.eye / (rows - view.horizon + 0.5)
    zz = np.repeat(z[:, None], view.width, 1)
    xx = (np.arange(view.width, dtype=np.float32)[None] - view.centre) * zz / view.focal
    row = np.floor(zz / 0.62)
    shift = np.mod(row, 2) * 0.45
    column = np.floor((xx + shift) / 0.9)
    shade = rng.normal(0, 1, (64, 64)).astype(np.float32)
    slab = shade[np.mod(row, 64).astype(int), np.mod(column, 64).astype(int)]
    across = np.abs(np.mod(xx + shift, 0.9) - 0.45)
    along = np.abs(np.mod(zz, 0.62) - 0.31)
    pixel = zz / view.focal  # metres a pixel across; along the street a pixel covers more
    joint = np.clip((across - 0.45) / np.maximum(pixel * 1.6, 0.012) + 1, 0, 1)
    joint = np.maximum(joint, np.clip((along - 0.31) / np.maximum(pixel * zz / view.eye, 0.012) + 1, 0, 1))
    joint *= np.clip(1.5 - zz / 26, 0.15, 1)
    fine = np.clip(1.4 - zz / 30, 0, 1)
    stain = clouds(zz.shape, rng, 4, 7)
    light = 176 + 7 * slab * fine + 5 * stain
    colour = light[..., None] * np.array([1.0, 0.965, 0.905], np.float32)
    gutter = np.abs(xx - 0.3) < 0.2
    colour[gutter] *= 0.84
    colour *= (1 - 0.3 * joint)[..., None]
    kerb = (np.abs(np.abs(xx - 0.2) - 5.1) < 0.12)[..., None]
    colour = np.where(kerb, colour * 1.1 + 6, colour)
    # The houses on the right stand in the sun's way; the edge of their shadow is soft and follows their roofs.
    edge = 1.1 + 0.9 * np.sign(np.sin(zz / 6.1)) * np.clip(np.abs(np.sin(zz / 6.1)) * 5, 0, 1)
    shadow = 0.5 + 0.5 * np.tanh((xx - edge) / 0.2)
    tint = np.array([0.60, 0.645, 0.72], np.float32)
    colour *= 1 - shadow[..., None] * (1 - tint)
    wall = np.minimum(np.abs(xx - LEFT), np.abs(xx - RIGHT))
    colour *= (0.72 + 0.28 * np.clip(wall / 1.1, 0, 1))[..., None]
    canvas[first:] = fade(colour.astype(np.float32), zz)


def _lamp(picture: Picture, view: View, rng: np.random.Generator, x: float, z: float) -> None:
    """A cast-iron lamp post with two globes."""
    iron = hazy((44, 48, 50), z)
    scale = view.focal / z
    shape = [(-0.1, 0.0), (-0.05, 0.6), (-0.035, 3.3), (0.035, 3.3), (0.05, 0.6), (0.1, 0.0)]
    points = np.array([view.project(x + dx, y, z) for dx, y in shape])
    cv2.fillPoly(picture, [fixed_point(points)], iron, cv2.LINE_AA, 3)
    for side in (-1, 1):
        arm = np.array([view.project(x, 3.2, z), view.project(x + side * 0.42, 3.3, z)])
        cv2.polylines(picture, [fixed_point(arm)], False, iron, max(1, int(0.05 * scale)), cv2.LINE_AA, 3)
        gx, gy = view.project(x + side * 0.42, 3.48, z)
        cv2.circle(
            picture,
            (int(gx * 8), int(gy * 8)),
            int(0.19 * scale * 8),
            hazy((246, 240, 222), z),
            -1,
            cv2.LINE_AA,
            3,
        )


def _vignette(picture: Picture) -> Picture:
    """Corners a little darker, as lenses make them."""
    height, width = picture.shape[:2]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    gain = (1.03 - 0.13 * (x**2 + y**2) ** 1.4)[..., None]
    return np.clip(picture * gain, 0, 255).astype(np.uint8)
