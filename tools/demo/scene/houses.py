"""The houses along the street of the demo clip: fronts, windows, shops and awnings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.demo.scene.view import HAZE, Colour, Field, Picture, View, clouds, fade, fixed_point, haziness

_TEXEL: Final = 40
"""Of a front's texture, pixels a metre."""
_STOREY: Final = 3.1
_GROUND_STOREY: Final = 3.7


@dataclass(frozen=True, slots=True)
class _Building:
    """One house: from z0 to z1 along the street."""

    z0: float
    z1: float
    storeys: int
    wall: Colour
    awning: tuple[Colour, Colour] | None


LEFT: Final = -6.2
RIGHT: Final = 6.6
_CREAM: Final = (244, 238, 226)
_LEFT_HOUSES: Final = (
    _Building(6, 21, 4, (214, 178, 138), ((176, 58, 46), _CREAM)),
    _Building(21, 32, 3, (232, 214, 182), ((54, 98, 88), _CREAM)),
    _Building(32, 44, 4, (188, 112, 88), None),
    _Building(44, 60, 3, (206, 196, 178), ((62, 84, 128), _CREAM)),
    _Building(60, 90, 4, (222, 190, 150), None),
)
_RIGHT_HOUSES: Final = (
    _Building(6, 19, 3, (176, 150, 138), ((58, 76, 112), _CREAM)),
    _Building(19, 34, 4, (158, 98, 82), ((208, 160, 70), _CREAM)),
    _Building(34, 47, 3, (214, 206, 192), None),
    _Building(47, 66, 4, (186, 164, 132), ((150, 62, 58), _CREAM)),
    _Building(66, 90, 3, (168, 134, 116), None),
)


def draw_houses(canvas: Field, view: View, rng: np.random.Generator) -> None:
    """Both sides of the street, in place: the sun lights the left one."""
    _side(canvas, view, rng, RIGHT, _RIGHT_HOUSES, light=0.66)
    _side(canvas, view, rng, LEFT, _LEFT_HOUSES, light=1.04)


def _side(
    canvas: Field,
    view: View,
    rng: np.random.Generator,
    wall_x: float,
    houses: tuple[_Building, ...],
    light: float,
) -> None:
    """One side of the street, far houses first, seen along the ray of every pixel."""
    for house in reversed(houses):
        near, _ = view.project(wall_x, 0, house.z0)
        far, _ = view.project(wall_x, 0, house.z1)
        x0, x1 = sorted((int(np.clip(near, 0, view.width)), int(np.clip(far, 0, view.width))))
        if x1 - x0 < 2:
            continue
        tall = _GROUND_STOREY + _STOREY * (house.storeys - 1) + 0.7
        texture = _facade(house, rng, tall)
        columns = np.arange(x0, x1, dtype=np.float32) + 0.5
        z = view.focal * wall_x / (columns - view.centre)
        rows = np.arange(view.height, dtype=np.float32)[:, None]
        y = view.eye - (rows - view.horizon) * z[None] / view.focal
        u = np.broadcast_to((z - house.z0)[None] * _TEXEL, y.shape).astype(np.float32)
        v = ((tall - y) * _TEXEL).astype(np.float32)
        seen = cv2.remap(texture, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
        seen *= light * (0.78 + 0.22 * np.clip(y / 3.0, 0, 1))[..., None]
        seen = fade(seen, np.broadcast_to(z[None], y.shape))
        inside = ((y >= 0) & (y <= tall))[..., None]
        canvas[:, x0:x1] = np.where(inside, seen, canvas[:, x0:x1])


def _facade(house: _Building, rng: np.random.Generator, tall: float) -> Picture:
    """A flat front, uint8 RGB, _TEXEL pixels a metre, the roof's edge at row 0."""
    wide = house.z1 - house.z0
    rows, columns = int(tall * _TEXEL), int(wide * _TEXEL)
    wall = np.array(house.wall, np.float32)
    noise = clouds((rows, columns), rng, 5, 6) * 3.2
    front = np.clip(wall + noise[..., None], 0, 255).astype(np.uint8)
    for y in range(0, rows, 6):  # courses
        front[y] = (front[y] * 0.955).astype(np.uint8)
    trim = _tone(house.wall, 1.16, 18)
    dark = _tone(house.wall, 0.62, 0)

    def box(x0: float, y0: float, x1: float, y1: float, colour: Colour) -> None:
        """Metres from the left end and above the ground."""
        cv2.rectangle(
            front,
            (int(x0 * _TEXEL), rows - int(y1 * _TEXEL)),
            (int(x1 * _TEXEL) - 1, rows - int(y0 * _TEXEL) - 1),
            colour,
            -1,
        )

    bays = max(2, round(wide / 2.3))
    bay = wide / bays
    for storey in range(1, house.storeys):
        base = _GROUND_STOREY + _STOREY * (storey - 1)
        box(0, base - 0.16, wide, base + 0.02, trim)
        box(0, base - 0.22, wide, base - 0.16, dark)
        for n in range(bays):
            x = (n + 0.5) * bay
            box(x - 0.66, base + 0.62, x + 0.66, base + 2.62, trim)
            box(x - 0.72, base + 0.54, x + 0.72, base + 0.64, _tone(trim, 1.05, 4))
            box(x - 0.72, base + 0.46, x + 0.72, base + 0.54, dark)
            _window(front, rows, (x - 0.52, base + 0.74, x + 0.52, base + 2.5), rng)
    box(0, tall - 0.42, wide, tall, trim)
    box(0, tall - 0.52, wide, tall - 0.42, dark)
    shop = _tone(rng.choice([(46, 60, 58), (74, 40, 38), (40, 48, 66), (88, 74, 54)]), 1.0, 0)
    box(0, 0, wide, 3.35, shop)
    box(0.3, 2.72, wide - 0.3, 3.2, _tone(shop, 1.35, 14))
    panes = max(3, round(wide / 1.9))
    pane = wide / panes
    for n in range(panes):
        floor = 0.08 if n % 3 == 1 else 0.55
        _window(front, rows, (n * pane + 0.14, floor, (n + 1) * pane - 0.14, 2.6), rng, shop=True)
    return front


def _window(
    front: Picture,
    rows: int,
    place: tuple[float, float, float, float],
    rng: np.random.Generator,
    shop: bool = False,
) -> None:
    """Glass that mirrors the sky, darker below, with a curtain or a lit room behind it."""
    x0, y0, x1, y1 = (round(p * _TEXEL) for p in place)
    top, bottom = rows - y1, rows - y0
    height, width = bottom - top, x1 - x0
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    glass = np.array([128, 146, 160], np.float32) * (1 - down) + np.array([48, 56, 64], np.float32) * down
    glass = np.repeat(glass * rng.uniform(0.75, 1.1), width, 1)
    kind = rng.uniform()
    if shop or kind < 0.2:
        warm = np.array([255, 208, 146], np.float32) * rng.uniform(0.45, 0.95)
        glow = np.exp(-(((np.linspace(-1, 1, width)[None] - rng.uniform(-0.4, 0.4)) / 0.8) ** 2))[..., None]
        glass = glass * 0.6 + warm * glow * 0.55 * (1 - 0.45 * down)
        for x in range(4, width - 12, 11) if shop else ():  # what the shop sells
            tall = int(rng.uniform(0.08, 0.32) * height)
            goods = rng.uniform(90, 190) * rng.uniform(0.72, 1.1, 3) * (0.5 + 0.5 * glow[0, x])
            glass[height - tall :, x : x + int(rng.uniform(6, 11))] = goods
    elif kind < 0.55:
        cloth = np.array([214, 208, 196], np.float32) * rng.uniform(0.6, 0.85)
        half = int(width * rng.uniform(0.15, 0.34))
        folds = (1 + 0.08 * np.sin(np.arange(width) * 1.7))[None, :, None]
        drawn = np.zeros((1, width, 1), np.float32)
        drawn[:, :half] = drawn[:, width - half :] = 0.75
        glass = glass * (1 - drawn) + cloth * folds * drawn
    front[top:bottom, x0:x1] = np.clip(glass, 0, 255).astype(np.uint8)
    bar = (232, 228, 220) if not shop else (52, 50, 48)
    middle = (x0 + x1) // 2
    if not shop:
        cv2.line(front, (middle, top), (middle, bottom), bar, 3)
        cv2.line(front, (x0, top + height // 3), (x1, top + height // 3), bar, 3)
    cv2.rectangle(front, (x0, top), (x1, bottom), bar, 3)


def _tone(colour: Colour | NDArray[np.int_], gain: float, lift: int) -> Colour:
    r, g, b = (int(np.clip(int(c) * gain + lift, 0, 255)) for c in colour)
    return r, g, b


def draw_awnings(picture: Picture, view: View) -> None:
    """Striped cloth over the shops, far ones first."""
    for wall_x, houses, light in ((LEFT, _LEFT_HOUSES, 1.0), (RIGHT, _RIGHT_HOUSES, 0.68)):
        out = wall_x + (1.3 if wall_x < 0 else -1.3)
        for house in reversed(houses):
            if house.awning is None:
                continue
            stripes = np.arange(house.z1 - 0.8, house.z0 + 0.6, -0.42)
            for n, z in enumerate(stripes):
                corners = [(wall_x, 3.05, z), (wall_x, 3.05, z - 0.42), (out, 2.5, z - 0.42), (out, 2.5, z)]
                hem = [(out, 2.5, z), (out, 2.5, z - 0.42), (out, 2.28, z - 0.42), (out, 2.28, z)]
                share = haziness(float(z))
                cloth = np.array(house.awning[n % 2], np.float32) * light
                for shape, shade in ((corners, 1.0), (hem, 0.8)):
                    colour = cloth * shade * (1 - share) + HAZE * share
                    points = np.array([view.project(*corner) for corner in shape])
                    cv2.fillPoly(picture, [fixed_point(points)], colour.tolist(), cv2.LINE_AA, 3)
