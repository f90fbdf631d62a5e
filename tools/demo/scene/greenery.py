"""What grows in the demo clip: trees along the street and the hedge before the camera."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from tools.demo.scene.view import Picture, View, fixed_point, hazy, waves

HEDGE_Z: Final = 2.95
"""Metres to the hedge: people nearer than this walk in front of it."""
_HEDGE_HEIGHT: Final = 1.16


def draw_hedge(width: int, height: int, rng: np.random.Generator) -> tuple[Picture, Picture, int]:
    """The hedge in front: colours premultiplied by alpha, uint8 RGB [h, width, 3], alpha uint8 [h, width], top row."""
    view = View(width, height)
    scale = view.focal / HEDGE_Z
    crown = view.project(0, _HEDGE_HEIGHT, HEDGE_Z)[1]
    top = int(crown - 0.1 * scale)
    rows = height - top
    colour = np.zeros((rows, width, 3), np.uint8)
    alpha = np.zeros((rows, width), np.uint8)
    bumps = np.clip(waves(width, rng, wavelength=0.5 * scale), -1.4, 1.6) * 0.03 * scale
    edge = crown - top + bumps  # row of the crown at each column
    for column in range(width):
        alpha[int(edge[column] + 0.03 * scale) :, column] = 255
    colour[alpha > 0] = (24, 34, 18)
    count = int(8.5 * width * rows / (scale * scale) * 420)
    xs = rng.uniform(-5, width + 5, count)
    depth = np.sort(rng.uniform(0, 1, count))  # later leaves lie nearer the light
    ys = rng.uniform(0, 1, count)
    tints = rng.normal(0, 1, (count, 3))
    angles = rng.uniform(0, 180, count)
    sizes = rng.uniform(0.012, 0.022, count) * scale
    for x, d, v, tint, angle, size in zip(xs, depth, ys, tints, angles, sizes, strict=True):
        base = float(edge[int(np.clip(x, 0, width - 1))])
        y = float(base + v * (rows - base) * 1.02)
        light = (0.3 + 0.7 * d) * (1.05 - 0.6 * v)
        green = np.array([88, 112, 58]) * light + tint * (9, 10, 6) + (18 * d, 20 * d, 0)
        centre = (int(x * 8), int(y * 8))
        axes = (int(size * 8), int(size * 0.52 * 8))
        leaf = tuple(int(c) for c in np.clip(green, 12, 235))
        cv2.ellipse(colour, centre, axes, angle, 0, 360, leaf, -1, cv2.LINE_AA, 3)
        cv2.ellipse(alpha, centre, axes, angle, 0, 360, 255, -1, cv2.LINE_AA, 3)
    for _ in range(width // 40):
        x, y = rng.uniform(0, width), rng.uniform(0.05, 0.9)
        base = float(edge[int(min(x, width - 1))])
        _blossom(colour, (x, base + y * (rows - base)), 0.016 * scale, rng)
    blurred = cv2.GaussianBlur(colour, (0, 0), 0.9 * height / 720)
    soft = cv2.GaussianBlur(alpha, (0, 0), 0.9 * height / 720)
    return (blurred.astype(np.float32) * (soft[..., None] / np.float32(255))).astype(np.uint8), soft, top


def _blossom(colour: Picture, place: tuple[float, float], size: float, rng: np.random.Generator) -> None:
    petal = tuple(int(c) for c in rng.choice([(226, 196, 204), (238, 232, 224), (214, 150, 168)]))
    for turn in range(5):
        angle = turn * 2 * np.pi / 5 + rng.uniform(0, 0.4)
        x, y = place[0] + np.cos(angle) * size * 0.6, place[1] + np.sin(angle) * size * 0.6
        cv2.circle(colour, (int(x * 8), int(y * 8)), int(size * 0.5 * 8), petal, -1, cv2.LINE_AA, 3)
    cv2.circle(
        colour, (int(place[0] * 8), int(place[1] * 8)), int(size * 2.4), (214, 176, 70), -1, cv2.LINE_AA, 3
    )


def draw_tree(picture: Picture, view: View, rng: np.random.Generator, x: float, z: float) -> None:
    """A trunk and a crown of leaves, lit from the upper left."""
    scale = view.focal / z
    foot = view.project(x, 0, z)
    trunk = [(-0.12, 0.0), (-0.07, 2.6), (0.07, 2.6), (0.12, 0.0)]
    points = np.array([view.project(x + dx, y, z) for dx, y in trunk])
    spread = (int(0.9 * scale * 8), int(0.16 * scale * 8))
    shadow = picture.copy()
    cv2.ellipse(
        shadow, (int(foot[0] * 8), int(foot[1] * 8)), spread, 0, 0, 360, (88, 84, 80), -1, cv2.LINE_AA, 3
    )
    cv2.addWeighted(shadow, 0.45, picture, 0.55, 0, picture)
    cv2.fillPoly(picture, [fixed_point(points)], hazy((86, 70, 56), z), cv2.LINE_AA, 3)
    crown_x, crown_y = view.project(x, 3.9, z)
    count = int(np.clip(26 * scale**0.75, 500, 2400))
    leaf = 2.6 / np.sqrt(count)
    angle, radius = rng.uniform(0, 2 * np.pi, count), np.sqrt(rng.uniform(0, 1, count))
    radius *= 1 + 0.09 * np.sin(5 * angle + rng.uniform(0, 6)) + 0.05 * np.sin(11 * angle)
    px, py = np.cos(angle) * radius * 1.25, np.sin(angle) * radius * 1.5
    clump = np.sin(4.1 * px + rng.uniform(0, 6)) * np.sin(3.7 * py + rng.uniform(0, 6))
    order = np.argsort(rng.uniform(0, 1, count) - 0.3 * py)
    for n in order[::-1]:
        light = 0.62 - 0.26 * py[n] / 1.5 - 0.14 * px[n] / 1.25 + 0.1 * clump[n] + rng.normal(0, 0.07)
        colour = hazy((108 * light + 8, 130 * light + 10, 70 * light + 4), z)
        size = rng.uniform(0.7, 1.4) * leaf * scale
        centre = (int((crown_x + px[n] * scale) * 8), int((crown_y + py[n] * scale) * 8))
        axes = (int(size * 8), int(size * 5))
        cv2.ellipse(picture, centre, axes, rng.uniform(0, 180), 0, 360, colour, -1, cv2.LINE_AA, 3)
