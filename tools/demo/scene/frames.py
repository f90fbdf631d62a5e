"""The frames of the demo clip before they are encoded, and which faces are on them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.masks.synthesis import draw_mask
from engines.masks.textures import Style
from tools.demo.scene.figures import Figure, Pose, cut_out, homography, make_figure, place, read_picture
from tools.demo.scene.greenery import HEDGE_Z, draw_hedge
from tools.demo.scene.street import draw_street
from tools.demo.scene.view import Picture, View
from tools.demo.scene.walk import Pass, Role, plan, pose

_NOISE: Final = 2.0
"""Standard deviation of the sensor's noise in luma, of 255."""


@dataclass(frozen=True, slots=True)
class TrueFace:
    """A face that was drawn.

    box and landmarks are in pixels of the frame, as MTCNN would give them for the picture that was drawn.
    visible: share of the box, 0 to 1, that lies in the frame and that nothing hides.
    """

    person: str
    masked: bool
    visible: float
    box: tuple[float, float, float, float]
    landmarks: tuple[tuple[float, float], ...]


def draw_frames(
    width: int, height: int, fps: int, seconds: float, seed: int
) -> Iterator[tuple[Picture, list[TrueFace]]]:
    """The frames before encoding, I420 uint8 [H * 3 / 2, W], and the faces on each, far ones first."""
    view = View(width, height)
    # Each part has a generator of its own, so that a change to one leaves the others as they are.
    paint, leaves, people, sensor = (np.random.default_rng([seed, part]) for part in range(4))
    background = draw_street(width, height, paint)
    hedge = draw_hedge(width, height, leaves)
    passes = plan(view, seconds, people)
    cast = _cast([walker.role for walker in passes])
    noise = sensor.normal(0, _NOISE, (height + 64, width + 64)).astype(np.int16)
    for n in range(round(fps * seconds)):
        time = n / fps
        canvas = background.copy()
        faces = _people(canvas, view, passes, cast, hedge, time, seconds)
        canvas = cv2.GaussianBlur(canvas, (3, 3), 0.55 * height / 720)
        yuv = cv2.cvtColor(canvas, cv2.COLOR_RGB2YUV_I420)
        drift = 1 + 0.035 * np.sin(2 * np.pi * time / seconds) + 0.02 * np.sin(6 * np.pi * time / seconds + 1)
        dy, dx = sensor.integers(0, 64, 2)
        luma = yuv[:height].astype(np.float32) * np.float32(drift) + noise[dy : dy + height, dx : dx + width]
        yuv[:height] = np.clip(luma + 0.5, 16, 235).astype(np.uint8)
        yield yuv, faces


def _cast(roles: list[Role]) -> dict[Role, Figure]:
    """A figure for every role, each picture cut out once."""
    cast: dict[Role, Figure] = {}
    cut: dict[str, tuple[Picture, NDArray[np.float32]]] = {}
    for role in roles:
        if role in cast:
            continue
        portrait = role.portrait
        if portrait.file not in cut:
            picture = read_picture(portrait)
            cut[portrait.file] = picture, cut_out(picture, portrait.outline)
        picture, alpha = cut[portrait.file]
        if role.mask:
            kind, cloth = role.mask
            landmarks = np.array(portrait.landmarks, np.float32)
            picture, cover = draw_mask(
                picture, landmarks, np.random.default_rng(cloth), kind=kind, style=Style.PLAIN
            )
            alpha = np.maximum(alpha, cover)
        cast[role] = make_figure(
            portrait,
            picture,
            alpha,
            masked=role.mask is not None,
            mirrored=role.costume is not None,  # another day, another side
            costume=role.costume,
        )
    return cast


def _people(
    canvas: Picture,
    view: View,
    passes: tuple[Pass, ...],
    cast: dict[Role, Figure],
    hedge: tuple[Picture, Picture, int],
    time: float,
    period: float,
) -> list[TrueFace]:
    """Draw everyone who is there at a time, far ones first, and the hedge between them."""
    present: list[tuple[Figure, Pose]] = []
    for walker in passes:
        moment = walker.moment(time, period)
        if moment is not None:
            present.append((cast[walker.role], pose(walker, moment)))
    present.sort(key=lambda item: -item[1].z)
    clear: list[_Clear] = []
    hedge_drawn = False
    for figure, where in present:
        if not hedge_drawn and where.z < HEDGE_Z:
            _draw_hedge_over(canvas, hedge, clear)
            hedge_drawn = True
        transform = homography(figure, where, view)
        _draw_figure(canvas, figure, transform, clear)
        clear.append(_Clear.of(figure, transform, canvas.shape[1], canvas.shape[0]))
    if not hedge_drawn:
        _draw_hedge_over(canvas, hedge, clear)
    return [face.truth() for face in clear if face.truth().visible > 0]


@dataclass(slots=True)
class _Clear:
    """A face that has been drawn, and how much of it is still clear to see."""

    figure: Figure
    box: NDArray[np.float64]
    landmarks: NDArray[np.float64]
    corner: tuple[int, int]
    share: NDArray[np.float32]
    area: float

    @classmethod
    def of(cls, figure: Figure, transform: NDArray[np.float64], width: int, height: int) -> _Clear:
        x1, y1, x2, y2 = figure.box
        corners = place(np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]]), transform)
        # the middles of the sides, not the corners: a turned face is not wider than itself
        left, right = corners[[0, 3], 0].mean(), corners[[1, 2], 0].mean()
        top, bottom = corners[[0, 1], 1].mean(), corners[[2, 3], 1].mean()
        u1, v1 = int(np.clip(left, 0, width)), int(np.clip(top, 0, height))
        u2, v2 = int(np.clip(right, 0, width)), int(np.clip(bottom, 0, height))
        return cls(
            figure,
            np.array([left, top, right, bottom]),
            place(figure.landmarks, transform),
            (u1, v1),
            np.ones((max(0, v2 - v1), max(0, u2 - u1)), np.float32),
            float((right - left) * (bottom - top)),
        )

    def hide(self, alpha: Picture, x: int, y: int) -> None:
        """Something with this alpha was drawn over the frame at (x, y)."""
        u, v = self.corner
        height, width = self.share.shape
        x0, x1 = max(u, x), min(u + width, x + alpha.shape[1])
        y0, y1 = max(v, y), min(v + height, y + alpha.shape[0])
        if x0 < x1 and y0 < y1:
            self.share[y0 - v : y1 - v, x0 - u : x1 - u] *= 1 - alpha[
                y0 - y : y1 - y, x0 - x : x1 - x
            ] / np.float32(255)

    def truth(self) -> TrueFace:
        """As it goes into the file."""
        x1, y1, x2, y2 = (round(float(value), 1) for value in self.box)
        return TrueFace(
            self.figure.person,
            self.figure.masked,
            round(float(min(1.0, self.share.sum() / self.area)), 3),
            (x1, y1, x2, y2),
            tuple((round(float(x), 1), round(float(y), 1)) for x, y in self.landmarks),
        )


def _draw_figure(
    canvas: Picture, figure: Figure, transform: NDArray[np.float64], clear: list[_Clear]
) -> None:
    height, width = canvas.shape[:2]
    rows, columns = figure.layers[0].shape[:2]
    corners = place(np.array([[0, 0], [columns, 0], [columns, rows], [0, rows]], float), transform)
    x0, y0 = np.maximum(np.floor(corners.min(0)).astype(int), 0)
    x1, y1 = np.minimum(np.ceil(corners.max(0)).astype(int) + 1, (width, height))
    if x1 <= x0 or y1 <= y0:
        return
    scale = (corners[:, 1].max() - corners[:, 1].min()) / rows
    layer = min(len(figure.layers) - 1, max(0, int(np.floor(-np.log2(scale) + 0.3))))
    factor = 2.0**layer
    # pixel centres: a pixel of a smaller layer is the mean of factor x factor pixels
    enlarge = np.array([[factor, 0, (factor - 1) / 2], [0, factor, (factor - 1) / 2], [0, 0, 1]])
    shift = np.array([[1, 0, -x0], [0, 1, -y0], [0, 0, 1.0]])
    drawn = cv2.warpPerspective(
        figure.layers[layer],
        shift @ transform @ enlarge,
        (int(x1 - x0), int(y1 - y0)),
        flags=cv2.INTER_LINEAR,
    )
    _over(canvas[y0:y1, x0:x1], drawn[..., :3], drawn[..., 3])
    for face in clear:
        face.hide(drawn[..., 3], int(x0), int(y0))


def _draw_hedge_over(canvas: Picture, hedge: tuple[Picture, Picture, int], clear: list[_Clear]) -> None:
    colours, alpha, top = hedge
    _over(canvas[top:], colours, alpha)
    for face in clear:
        face.hide(alpha, 0, top)


def _over(canvas: Picture, colours: Picture, alpha: Picture) -> None:
    """Premultiplied colours over a part of the canvas, in place."""
    rest = cv2.cvtColor(cv2.bitwise_not(alpha), cv2.COLOR_GRAY2RGB)
    canvas[:] = cv2.add(cv2.multiply(canvas, rest, scale=1 / 255), np.ascontiguousarray(colours))
