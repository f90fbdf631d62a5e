"""Labelled faces for the mask state: real pictures with boxes, and drawn masks on unmasked faces.

Real pictures come from folders in the layouts of three public sets: two sub-folders `with_mask` and
`without_mask` of tight crops (chandrikadeb7), `boxes.csv` over street scenes with the columns file, class,
xmin, ymin, xmax, ymax (andrewmvd), and crops of 1.5 times the face's box named in an index (jolignier).
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from engines.alignment import warp
from engines.masks.degradation import choose_degradation
from engines.masks.occluders import draw_occluder
from engines.masks.pose import estimate_pose
from engines.masks.state import CROP_SIZE, STATES, MaskState, crop_transform
from engines.masks.synthesis import WORN_WRONGLY, Kind, Wearing, draw_mask
from engines.masks.templates import apply_template
from tools.learning.faces import LabelledFace, read_picture
from tools.learning.pairs import PHOTOGRAPHED, RESPIRATOR, Templates
from tools.learning.slipped import Lifted, Lifter

LABELS = {
    "without_mask": MaskState.NONE,
    "with_mask": MaskState.WORN,
    "mask_weared_incorrect": MaskState.WORN_WRONGLY,
    "with_incorrect_mask": MaskState.WORN_WRONGLY,
}


_REAL_WRONGLY, _BARED = 0.4, 0.1
"""Of the real pictures of masks worn wrongly, those that are not made of other real ones; and of all faces without a
mask, those that a mask was taken off: what is painted behind a mask must not tell that it is worn wrongly."""


@dataclass(frozen=True, slots=True, eq=False)
class RealFace:
    """One labelled face in a picture. box: float32 (x1, y1, x2, y2), pixels of the stored picture.

    pixels: longer side of the face where the picture was taken from, before it was stored smaller.
    """

    path: Path
    box: NDArray[np.float32]
    state: MaskState
    pixels: float


def read_boxes(folder: Path) -> list[RealFace]:
    """Faces of street scenes: folder/boxes.csv."""
    faces = []
    with (folder / "boxes.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            box = np.array([float(row[k]) for k in ("xmin", "ymin", "xmax", "ymax")], np.float32)
            path = folder / row["file"]
            if path.is_file():
                faces.append(RealFace(path, box, LABELS[row["class"]], float((box[2:] - box[:2]).max())))
    return faces


def read_crops(index: Path, folder: str, margin: float, largest: float = 260) -> list[RealFace]:
    """Faces of an index (columns file, label, width, height) whose names begin with `folder`.

    The face is the middle of each picture: its shorter side over `margin`. `largest`: pictures that were
    wider than this many pixels are left out; use it where only small pictures are tight crops.
    """
    faces = []
    with index.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if not row["file"].startswith(folder) or float(row["width"]) > largest:
                continue
            path, original = index.parent / row["file"], float(min(int(row["width"]), int(row["height"])))
            if not path.is_file():
                continue
            height, width = read_picture(path).shape[:2]
            half, middle = min(height, width) / margin / 2, np.array([width, height]) / 2
            box = np.concatenate([middle - half, middle + half]).astype(np.float32)
            faces.append(RealFace(path, box, LABELS[row["label"]], original / margin))
    return faces


def split(faces: Sequence[RealFace], parts: Sequence[float], near: int = 8) -> list[list[RealFace]]:
    """Faces in as many parts as there are shares, pictures that look alike always in the same part.

    Alike: their difference hashes of 64 bits differ in at most `near` bits. The split is the same each time.
    """
    paths = sorted({face.path for face in faces})
    hashes = np.array([_hash(path) for path in paths], np.uint64)
    group = np.arange(len(paths))
    for i in range(len(paths)):
        same = np.flatnonzero(np.bitwise_count(hashes ^ hashes[i]) <= near)
        old = np.unique(group[same])
        group[np.isin(group, old)] = old[0]
    rng = np.random.default_rng(20)
    draw = rng.random(len(paths))[group]
    limits = np.cumsum(parts) / sum(parts)
    part = dict(zip(paths, np.searchsorted(limits, draw).clip(0, len(parts) - 1), strict=True))
    result: list[list[RealFace]] = [[] for _ in parts]
    for face in faces:
        result[int(part[face.path])].append(face)
    return result


def _hash(path: Path) -> int:
    grey = cv2.cvtColor(read_picture(path), cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (9, 8), interpolation=cv2.INTER_AREA).astype(int)
    bits = (small[:, 1:] > small[:, :-1]).ravel()
    return int(sum(1 << i for i, bit in enumerate(bits) if bit))


def detector_box(landmarks: NDArray[np.floating]) -> NDArray[np.float32]:
    """The box that a face detector would draw around five landmarks, float32 (x1, y1, x2, y2)."""
    pose = estimate_pose(landmarks)
    corners = pose.project(np.array([[x, y, 0.0] for x in (-38, 38) for y in (10, 119)]))
    shift = np.array([np.sin(pose.yaw) * -8 * pose.scale, 0])
    return np.concatenate([corners.min(0) + shift, corners.max(0) + shift]).astype(np.float32)


def jitter(box: NDArray[np.float32], rng: np.random.Generator, strength: float = 0.06) -> NDArray[np.float32]:
    """A box as another detector would have drawn it."""
    size = box[2:] - box[:2]
    middle = (box[:2] + box[2:]) / 2 + size * rng.normal(0, strength, 2)
    half = size / 2 * np.exp(rng.normal(0, strength * 1.3, 2))
    return np.concatenate([middle - half, middle + half]).astype(np.float32)


class StateDrawer:
    """Draws training examples uint8 [80, 82, 3]: a crop between two columns that hold its label."""

    def __init__(
        self,
        drawn: Sequence[LabelledFace],
        real: Sequence[RealFace],
        share_real: float = 0.55,
        templates: Templates | None = None,
        lifted: Sequence[Lifted] = (),
    ) -> None:
        """templates: photographed masks, which a part of the masks that are worn rightly then are. lifted: real masks,
        of which a part of those that are worn wrongly then are made.
        """
        self._drawn, self._share, self._templates, self._lifted = drawn, share_real, templates, lifted
        pictures = {path: read_picture(path) for path in {face.path for face in real}}
        self._real = {s: [(pictures[f.path], f.box) for f in real if f.state is s] for s in STATES}

    def __call__(self, rng: np.random.Generator) -> NDArray[np.uint8]:
        """One example."""
        state = STATES[int(rng.choice(3, p=[0.36, 0.34, 0.3]))]
        wrongly, draw = state is MaskState.WORN_WRONGLY, float(rng.random())
        share = self._share * (_REAL_WRONGLY if wrongly else 1)
        if draw < share and self._real[state]:
            found = self._real[state]
            picture, box = found[int(rng.integers(len(found)))]
        elif self._lifted and draw < self._share + (0 if wrongly else _BARED) and state is not MaskState.WORN:
            one = self._lifted[int(rng.integers(len(self._lifted)))]
            picture, box = (one.slipped(rng) if wrongly else one.bare), one.box
        else:
            picture, box = self._synthetic(state, rng)
        view = warp(picture, _turned(crop_transform(jitter(box, rng)), rng), CROP_SIZE)
        camera = choose_degradation(rng, smallest=14, clean=0.4)
        view = camera.spoil(camera.expose(view), rng)
        row = np.zeros((CROP_SIZE, CROP_SIZE + 2, 3), np.uint8)
        row[:, 1:-1] = view
        row[:, (0, -1)] = STATES.index(state)
        return row

    def _synthetic(
        self, state: MaskState, rng: np.random.Generator
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        face = self._drawn[int(rng.integers(len(self._drawn)))]
        picture, points = _halved(face.read(), face.landmarks)
        if state is MaskState.NONE:
            if rng.random() < 0.35:
                picture = draw_occluder(picture, points, rng)
            return picture, detector_box(points)
        noisy = points + rng.normal(0, 0.8, points.shape)
        if state is MaskState.WORN and self._templates and rng.random() < PHOTOGRAPHED:
            views = self._templates[sorted(self._templates)[int(rng.integers(len(self._templates)))]]
            picture, _ = apply_template(picture, noisy, views, rng)
        else:
            wearing = Wearing.WORN
            if state is MaskState.WORN_WRONGLY:
                wearing = WORN_WRONGLY[int(rng.random() < 0.4)]
            kind = Kind.RESPIRATOR if wearing is Wearing.WORN and rng.random() < RESPIRATOR else None
            picture, _ = draw_mask(picture, noisy, rng, kind=kind, wearing=wearing)
        return picture, detector_box(points)


def _turned(transform: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """A transform into the crop with the head held otherwise: tilted, and narrower or wider."""
    angle = float(np.clip(rng.normal(0, 0.16), -0.5, 0.5))
    stretch = float(np.exp(rng.normal(0, 0.06)))
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.array([[cos, -sin], [sin, cos]]) @ np.diag([stretch, 1 / stretch])
    middle = (CROP_SIZE - 1) / 2
    turned = turn @ transform
    turned[:, 2] += middle - turn @ np.array([middle, middle])
    return turned.astype(np.float32)


def _halved(
    picture: NDArray[np.uint8], landmarks: NDArray[np.float32]
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Half the size (drawing is four times as quick, and the crop is smaller still), with a mirrored rim."""
    small = cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    rim = 16
    wide = cv2.copyMakeBorder(small, rim, rim, rim, rim, cv2.BORDER_REFLECT_101)
    return np.asarray(wide, np.uint8), np.asarray(landmarks / 2 + rim, np.float32)


def lift_masks(faces: Sequence[RealFace]) -> list[Lifted]:
    """Of the faces whose mask is worn, those that the product's networks can take it off of."""
    lifter, found = Lifter(), []
    worn = sorted((face for face in faces if face.state is MaskState.WORN), key=lambda face: str(face.path))
    for path, group in groupby(track(worn, "taking masks off"), key=lambda face: face.path):
        picture = read_picture(path)
        found += [one for face in group if (one := lifter.lift(picture, face.box))]
    return found


def real_parts(real: Path) -> tuple[list[RealFace], list[RealFace], list[RealFace]]:
    """The real faces under a folder for training, calibration and test: 75, 10 and 15 % of the pictures."""
    faces = read_boxes(real / "andrewmvd") + read_crops(real / "index.csv", "chandrikadeb7/", 1.15)
    training, holding, testing = split(faces, (0.75, 0.10, 0.15))
    return training, holding, testing
