"""What the attribute networks see while they learn: faces as cameras show them, with masks and without."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.alignment import RECOGNITION_SIZE, recognition_transform, warp
from engines.attributes.gender import GENDERS, Gender
from engines.masks.degradation import choose_degradation
from engines.masks.occluders import draw_occluder
from engines.masks.synthesis import WORN_WRONGLY, Wearing, draw_mask
from engines.masks.templates import apply_template
from tools.embedder.views import filled
from tools.learning.faces import LabelledFace
from tools.learning.pairs import Templates, jittered

MASKED, WRONGLY, OCCLUDED, PHOTOGRAPHED = 0.35, 0.06, 0.12, 0.4
"""Shares: with a mask; of these worn wrongly; of the others with something else before the face; of the masks
photographed ones, where templates are given."""
_FILLED = 0.5
Cells = Mapping[Gender, Mapping[str, Sequence[LabelledFace]]]
"""Faces by gender and then by the group that sampling is balanced over."""


def row_shape(side: int) -> tuple[int, int, int]:
    """An example in the pool: the picture, and below it a line that holds the label."""
    return side + 1, side, 3


def labelled(faces: Sequence[LabelledFace]) -> list[LabelledFace]:
    """Those whose index says a gender. Raises ValueError for a word that is no label, and when none is left."""
    for face in faces:
        if face.group["gender"] not in ("", *GENDERS):
            raise ValueError(f"{face.path}: gender must be female or male, found {face.group['gender']!r}")
    found = [face for face in faces if face.group["gender"]]
    if not found:
        raise ValueError("index: must have a column gender with female or male in it, found none")
    return found


def split(
    faces: Sequence[LabelledFace], share: float, seed: int
) -> tuple[list[LabelledFace], list[LabelledFace]]:
    """(training, held out): `share` of each gender for training, the same split for the same seed."""
    order = np.random.default_rng(seed).permutation(len(faces))
    parts: tuple[list[LabelledFace], list[LabelledFace]] = ([], [])
    for gender in GENDERS:
        mine = [faces[i] for i in order if faces[i].group["gender"] == gender]
        cut = round(len(mine) * share)
        parts[0].extend(mine[:cut])
        parts[1].extend(mine[cut:])
    return parts


def cells(faces: Sequence[LabelledFace], column: str = "race") -> Cells:
    """Faces sorted for balanced sampling. Raises ValueError when a gender has none."""
    found: dict[Gender, dict[str, list[LabelledFace]]] = {gender: {} for gender in GENDERS}
    for face in faces:
        found[Gender(face.group["gender"])].setdefault(face.group.get(column, ""), []).append(face)
    for gender, groups in found.items():
        if not groups:
            raise ValueError(f"faces: must hold some of each gender, found none of {gender}")
    return found


def view(
    picture: NDArray[np.uint8],
    landmarks: NDArray[np.float32],
    rng: np.random.Generator,
    side: int,
    templates: Templates | None = None,
    masked: float = MASKED,
) -> NDArray[np.uint8]:
    """One look at a face as a camera gives it, uint8 RGB [side, side, 3], by imprecise landmarks.

    masked: the share of looks with a mask on it.
    """
    worn = rng.random() < masked
    transform = jittered(landmarks, rng, lambda points: recognition_transform(points, worn))
    clean = warp(picture, transform, RECOGNITION_SIZE)
    if rng.random() < _FILLED:
        clean = filled(clean, picture.shape[:2], transform, rng)
    points = landmarks @ transform[:, :2].T + transform[:, 2]
    points = (points + rng.normal(0, 0.7, points.shape)).astype(np.float32)
    camera = choose_degradation(rng, smallest=24, clean=0.45)
    if not worn:
        seen = draw_occluder(clean, points, rng) if rng.random() < OCCLUDED else clean
    elif templates and rng.random() < PHOTOGRAPHED:
        views = templates[sorted(templates)[int(rng.integers(len(templates)))]]
        seen, _ = apply_template(clean, points, views, rng)
    else:
        wearing = WORN_WRONGLY[int(rng.integers(2))] if rng.random() < WRONGLY else Wearing.WORN
        seen, _ = draw_mask(clean, points, rng, wearing=wearing)
    seen = camera.spoil(camera.expose(seen), rng)
    return seen if side == RECOGNITION_SIZE else np.asarray(cv2.resize(seen, (side, side)), np.uint8)


def drawer(
    faces: Cells, side: int, templates: Templates | None = None
) -> Callable[[np.random.Generator], NDArray[np.uint8]]:
    """Draws balanced examples as row_shape(side): each gender as often, and within it each group."""

    def draw(rng: np.random.Generator) -> NDArray[np.uint8]:
        number = int(rng.integers(len(GENDERS)))
        groups = faces[GENDERS[number]]
        group = groups[sorted(groups)[int(rng.integers(len(groups)))]]
        face = group[int(rng.integers(len(group)))]
        label = np.full((1, side, 3), number, np.uint8)
        return np.concatenate([view(face.read(), face.landmarks, rng, side, templates), label])

    return draw
