"""The people of the demo clip: cut out of the committed pictures, dressed, masked and turned in space."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.demo.scene.view import Field, Picture, View

PICTURES: Final = Path(__file__).parents[1] / "pictures"
_HIPS: Final = 0.75
"""Metres from the face down to the point that people sway about."""


@dataclass(frozen=True, slots=True)
class Portrait:
    """A committed picture and where the person stands in it.

    All coordinates are pixels of the picture after it has been resized to `height` rows. outline: the person's
    edge to within about ten pixels. box and landmarks: the face as MTCNN finds it. cloth: below this row
    everything is clothing or hands. suit: what is dyed when the person changes clothes. face_metres: height of the
    face box in the street. tall: metres from the ground to its middle.
    """

    person: str
    file: str
    height: int
    outline: tuple[tuple[int, int], ...]
    box: tuple[float, float, float, float]
    landmarks: tuple[tuple[float, float], ...]
    cloth: int
    suit: Literal["dark", "orange"]
    face_metres: float
    tall: float


COLLINS: Final = Portrait(
    person="Eileen Collins",
    file="astronaut.png",
    height=512,
    outline=(
        (228, 15), (262, 23), (286, 42), (300, 78), (298, 108), (286, 127), (270, 134), (260, 160), (268, 176),
        (290, 195), (302, 224), (306, 244), (332, 260), (350, 290), (360, 342), (400, 343), (450, 358), (485, 395),
        (500, 440), (505, 511), (22, 511), (26, 430), (32, 350), (48, 290), (75, 243), (106, 205), (112, 185),
        (126, 163), (150, 150), (180, 148), (184, 132), (166, 120), (155, 95), (156, 68), (172, 38), (196, 20),
    ),
    box=(180.3, 60.7, 268.4, 172.2),
    landmarks=((205.4, 101.5), (246.9, 103.1), (225.1, 129.2), (201.2, 139.6), (245.1, 141.1)),
    cloth=190,
    suit="orange",
    face_metres=0.182,
    tall=1.56,
)  # fmt: skip
BIDEN: Final = Portrait(
    person="Joe Biden",
    file="biden.jpg",
    height=1100,
    outline=(
        (265, 48), (300, 53), (340, 70), (366, 96), (376, 122), (374, 165), (360, 195), (354, 225), (346, 244),
        (322, 280), (320, 292), (360, 325), (430, 355), (455, 375), (468, 420), (476, 470), (477, 540), (472, 600),
        (455, 612), (412, 614), (416, 650), (426, 700), (450, 765), (473, 960), (474, 1000), (428, 1012), (416, 1099),
        (14, 1099), (18, 1000), (28, 800), (34, 770), (50, 650), (50, 612), (31, 560), (22, 450), (18, 380),
        (30, 325), (100, 305), (165, 293), (200, 262), (209, 214), (196, 206), (192, 160), (195, 130), (203, 92),
        (222, 63),
    ),
    box=(213.9, 82.6, 357.0, 278.9),
    landmarks=((266.8, 159.2), (327.2, 172.1), (298.1, 202.1), (259.4, 229.6), (312.8, 238.6)),
    cloth=300,
    suit="dark",
    face_metres=0.2,
    tall=1.66,
)  # fmt: skip
OBAMA: Final = Portrait(
    person="Barack Obama",
    file="obama3.jpg",
    height=1160,
    outline=(
        (380, 109), (415, 119), (444, 144), (456, 178), (461, 225), (458, 256), (446, 276), (433, 296), (423, 318),
        (426, 338), (470, 369), (550, 388), (570, 405), (576, 440), (580, 500), (600, 560), (610, 590), (590, 650),
        (566, 686), (546, 690), (554, 750), (568, 810), (576, 950), (583, 1036), (553, 1040), (549, 1092),
        (176, 1092), (174, 1045), (127, 1033), (150, 900), (165, 800), (182, 750), (196, 706), (140, 701),
        (122, 650), (116, 590), (135, 500), (135, 460), (150, 420), (166, 386), (240, 370), (300, 340), (312, 318),
        (321, 300), (316, 263), (298, 256), (288, 222), (292, 205), (304, 204), (304, 178), (315, 145), (345, 116),
    ),
    box=(314.2, 122.6, 453.2, 302.6),
    landmarks=((366.3, 191.4), (427.6, 199.3), (403.8, 219.0), (365.1, 253.8), (421.1, 262.2)),
    cloth=335,
    suit="dark",
    face_metres=0.2,
    tall=1.68,
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Figure:
    """A flat cut-out that can stand in the street.

    layers: the same cut-out at 1, 1/2 and 1/4 of its size, uint8 RGBA [h, w, 4], colours premultiplied by
    alpha. pivot: the middle of the face in pixels of the first layer. metres: of a pixel there.
    """

    person: str
    masked: bool
    layers: tuple[Picture, ...]
    pivot: tuple[float, float]
    metres: float
    box: tuple[float, float, float, float]
    landmarks: NDArray[np.float64]


def read_picture(portrait: Portrait) -> Picture:
    """The committed picture, uint8 RGB, `portrait.height` rows. Raises FileNotFoundError."""
    path = PICTURES / portrait.file
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise FileNotFoundError(f"{path}: the demo's picture is missing or is not an image")
    scale = portrait.height / picture.shape[0]
    size = (round(picture.shape[1] * scale), portrait.height)
    return cv2.cvtColor(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB)


def cut_out(picture: Picture, outline: tuple[tuple[int, int], ...]) -> Field:
    """How much of each pixel belongs to the person, float32 [H, W], 0 to 1.

    The outline says what is surely inside and surely outside; GrabCut (Rother et al., SIGGRAPH 2004) decides
    the band between, and a guided filter (He et al., ECCV 2010) finds the hair.
    """
    shape = np.zeros(picture.shape[:2], np.uint8)
    cv2.fillPoly(shape, [np.array(outline, np.int32)], 1)
    reach = max(3, round(picture.shape[0] * 0.011))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    grown = cv2.dilate(shape, kernel)
    shrunk = cv2.erode(shape, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=1)
    labels = np.full(shape.shape, cv2.GC_BGD, np.uint8)
    labels[(grown == 1) & (shape == 0)] = cv2.GC_PR_BGD
    labels[shape == 1] = cv2.GC_PR_FGD
    labels[shrunk == 1] = cv2.GC_FGD
    half = cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    labels = np.ascontiguousarray(labels[::2, ::2][: half.shape[0], : half.shape[1]])
    cv2.setRNGSeed(7)
    cv2.grabCut(half, labels, None, np.zeros((1, 65)), np.zeros((1, 65)), 3, cv2.GC_INIT_WITH_MASK)
    decided = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8) * 255
    person = cv2.resize(cv2.medianBlur(decided, 3), picture.shape[1::-1]).astype(np.float32) / 255
    guide = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    fine = _guided(guide, person, max(2, reach // 3), 1e-4)
    fine[shrunk == 1] = 1
    fine[grown == 0] = 0
    return np.clip((fine - 0.12) / 0.76, 0, 1)


def _guided(guide: Field, target: Field, radius: int, smooth: float) -> Field:
    def mean(values: Field) -> Field:
        return cv2.blur(values, (2 * radius + 1, 2 * radius + 1))

    m_guide, m_target = mean(guide), mean(target)
    slope = (mean(guide * target) - m_guide * m_target) / (mean(guide * guide) - m_guide**2 + smooth)
    return mean(slope) * guide + mean(m_target - slope * m_guide)


def _without_background(picture: Picture, alpha: Field, reach: float) -> Field:
    """Colours of the person up to the edge, where the picture's own pixels are mixed with its background."""
    sure = (alpha > 0.97).astype(np.float32)
    sure = cv2.erode(sure, np.ones((3, 3), np.uint8))
    colours = picture.astype(np.float32)
    near = cv2.GaussianBlur(colours * sure[..., None], (0, 0), reach)
    weight = cv2.GaussianBlur(sure, (0, 0), reach)[..., None]
    spread = near / np.maximum(weight, 1e-4)
    keep = np.clip((alpha - 0.9) / 0.1, 0, 1)[..., None] * 0.85 + 0.15
    keep = np.where(weight > 1e-3, keep, 1)
    return colours * keep + spread * (1 - keep)


def _dress(colours: Field, portrait: Portrait, costume: tuple[float, float, float] | None) -> Field:
    """The suit below the collar in another colour, folds and all."""
    if costume is None:
        return colours
    below = np.clip((np.arange(len(colours), dtype=np.float32) - portrait.cloth) / 12, 0, 1)[:, None]
    light = colours @ np.array([0.299, 0.587, 0.114], np.float32)
    warm = colours[..., 0] - colours[..., 2]
    if portrait.suit == "dark":
        share = np.clip((78 - light) / 30, 0, 1) * np.clip((38 - warm) / 16, 0, 1)
        rim = np.clip((-warm - 14) / 20, 0, 1)  # blue, of a light behind the person
        share = np.maximum(share, rim)
        shade = 0.42 + np.minimum(light, 64) / 62
    else:
        share = np.clip((warm - 45) / 40, 0, 1)
        shade = light / 118
    share = (share * below)[..., None]
    dye = np.array(costume) * np.clip(shade, 0.1, 1.5)[..., None]
    return (colours * (1 - share) + dye * share).astype(np.float32)


def make_figure(
    portrait: Portrait,
    picture: Picture,
    alpha: Field,
    *,
    masked: bool,
    mirrored: bool,
    costume: tuple[float, float, float] | None,
) -> Figure:
    """A figure from a picture (which may have a mask drawn on its face) and its cut-out."""
    colours = _without_background(picture, alpha, 0.004 * portrait.height)
    colours = _dress(colours, portrait, costume)
    colours = colours * np.array([1.03, 1.0, 0.96], np.float32) + 2  # the light of the street
    full = np.clip(np.dstack([colours * alpha[..., None], alpha * 255]), 0, 255).astype(np.uint8)
    x1, y1, x2, y2 = portrait.box
    landmarks = np.array(portrait.landmarks)
    if mirrored:
        full = np.ascontiguousarray(full[:, ::-1])
        wide = full.shape[1]
        x1, x2 = wide - x2, wide - x1
        landmarks = np.column_stack([wide - landmarks[:, 0], landmarks[:, 1]])[[1, 0, 2, 4, 3]]
    half = cv2.resize(full, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    quarter = cv2.resize(half, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    return Figure(
        portrait.person,
        masked,
        (full, half, quarter),
        ((x1 + x2) / 2, (y1 + y2) / 2),
        portrait.face_metres / (y2 - y1),
        (x1, y1, x2, y2),
        landmarks,
    )


@dataclass(frozen=True, slots=True)
class Pose:
    """Where a face is, and how the person is turned. Metres and radians.

    yaw: to the person's side; roll: the head's lean, about the hips.
    """

    x: float
    y: float
    z: float
    yaw: float = 0.0
    roll: float = 0.0


def homography(figure: Figure, pose: Pose, view: View) -> NDArray[np.float64]:
    """Pixels of the figure's first layer to pixels of the frame, [3, 3]: the cut-out is a board in space."""
    m, f = figure.metres, view.focal
    to_board = np.array([[m, 0, -m * figure.pivot[0]], [0, -m, m * figure.pivot[1]], [0, 0, 1]])
    cos_r, sin_r = np.cos(pose.roll), np.sin(pose.roll)
    lean = np.array([[cos_r, sin_r, sin_r * _HIPS], [-sin_r, cos_r, cos_r * _HIPS - _HIPS], [0, 0, 1]])
    x = np.array([np.cos(pose.yaw), 0, pose.x])
    z = np.array([np.sin(pose.yaw), 0, pose.z])
    below_eye = np.array([0, -1, view.eye - pose.y])
    to_frame = np.stack([f * x + view.centre * z, f * below_eye + view.horizon * z, z])
    return to_frame @ lean @ to_board


def place(points: NDArray[np.float64], transform: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points [N, 2] under a homography."""
    moved = np.column_stack([points, np.ones(len(points))]) @ transform.T
    return moved[:, :2] / moved[:, 2:]
