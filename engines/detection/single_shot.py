"""What the single-shot detectors share: a picture is looked at once, and every cell of three grids says what it sees.

Liu et al., "SSD: Single Shot MultiBox Detector", 2016. The time hangs on the size of the picture and not on how
many faces there are, and a picture is made as small as the smallest face that is looked for allows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.backends import Array, Engine
from engines.detection import boxes as geometry
from engines.detection.boxes import Boxes, Index
from engines.faces import Faces

Picture = NDArray[np.uint8]

STRIDES = (8, 16, 32)
_MULTIPLE = STRIDES[-1]
_OVERLAP = 0.4  # intersection over union above which two boxes are one face
_NEARLY = 0.8  # share of the smallest face's side from which a face is taken for large enough
_VIEW, _MARGIN = 96, 2.0  # pixels of the picture of one expected face, and how many times its box that shows
_ASTRAY = 0.25  # intersection over union under which what was found is not what was expected


class Anchors(Protocol):
    """Where a network's cells look, and what their numbers mean.

    count: anchors to a cell. smallest: the side of the smallest face that the network finds well, in its pixels.
    """

    count: int
    smallest: float

    def read(
        self, stride: int, cells: Array, anchor: Index, numbers: Array, points: Array
    ) -> tuple[Boxes, NDArray[np.float32]]:
        """Boxes float32 [K, 4] and landmarks float32 [K, 5, 2], pixels of the network's picture.

        cells: float32 [K, 2], column and row. anchor: int [K]. numbers [K, 4], points [K, 10]: what the network said.
        """


class SingleShot:
    """A detector around one network in the form of engines/prepare_detectors.py.

    min_face: the smallest face that is looked for, in pixels, >= 12. min_score: the least probability, 0 to 1.
    Raises ValueError for a value out of range.
    """

    def __init__(self, engine: Engine, anchors: Anchors, min_face: float, min_score: float) -> None:
        if not min_face >= 12:
            raise ValueError(f"min_face: must be at least 12 pixels, found {min_face}")
        if not 0 <= min_score <= 1:
            raise ValueError(f"min_score: must lie between 0 and 1, found {min_score}")
        self._engine, self._anchors = engine, anchors
        self._min_face, self._scale = min_face, min(1.0, anchors.smallest / min_face)
        self._min_score = min_score

    def detect(self, pictures: Sequence[Picture]) -> list[Faces]:
        """The faces in each picture, most certain first.

        pictures: uint8 [H, W, 3] RGB each, of any sizes; those of one size are looked at in one batch.
        Raises ValueError for another shape or dtype.
        """
        results = [Faces.none() for _ in pictures]
        for (height, width), owners in _by_size(pictures).items():
            scaled = max(1, round(height * self._scale)), max(1, round(width * self._scale))
            batch = np.zeros(
                (len(owners), 3, *(-(-side // _MULTIPLE) * _MULTIPLE for side in scaled)), np.float32
            )
            for canvas, owner in zip(batch, owners, strict=True):
                canvas[:, : scaled[0], : scaled[1]] = _resized(pictures[owner], scaled).transpose(2, 0, 1)
            found, whose = self._found(batch)
            kept = geometry.suppress(found.boxes, found.scores, whose, _OVERLAP)
            side = (found.boxes[kept, 2:] - found.boxes[kept, :2]).max(1)
            kept = kept[side >= _NEARLY * self._min_face * self._scale]
            back = np.array([width / scaled[1], height / scaled[0]], np.float32)
            for place, owner in enumerate(owners):
                own = kept[whose[kept] == place]
                boxes, landmarks = found.boxes[own] * np.tile(back, 2), found.landmarks[own] * back
                results[owner] = Faces(boxes, found.scores[own], landmarks)
        return results

    def refine(self, pictures: Sequence[Picture], boxes: Sequence[NDArray[np.floating]]) -> list[Faces]:
        """What the network sees where faces are expected, such as where tracks should be.

        boxes: for each picture float [K, 4]. Returns for each picture K faces in the order of its boxes: no threshold
        and no suppression, so the score says whether there is a face. A box near which nothing is seen, or with no
        pixel inside the picture, comes back as given with score 0 and its landmarks at its centre.
        Raises ValueError when a shape does not fit.
        """
        if len(pictures) != len(boxes):
            raise ValueError(f"boxes: one array a picture is needed, found {len(boxes)} for {len(pictures)}")
        results, views, corners, scales, places = [], [], [], [], []
        for picture, given in zip(pictures, boxes, strict=True):
            check(picture)
            if given.ndim != 2 or given.shape[1] != 4:
                raise ValueError(f"boxes: the shape must be [K, 4], found {list(given.shape)}")
            faces = untouched(given)
            results.append(faces)
            for k in np.flatnonzero(_inside(given, picture)):
                view, corner, scale = _view(picture, given[k])
                places.append((faces, k))
                views.append(view)
                corners.append(corner)
                scales.append(scale)
        if not views:
            return results
        given = np.stack([faces.boxes[k] for faces, k in places])
        expected = (given - np.tile(corners, 2)) * np.array(scales)[:, None]
        best = self._best(np.stack(views), expected.astype(np.float32))
        for i, (faces, k) in enumerate(places):
            if best.scores[i] > 0:
                faces.boxes[k] = best.boxes[i] / scales[i] + np.tile(corners[i], 2)
                faces.landmarks[k] = best.landmarks[i] / scales[i] + corners[i]
                faces.scores[k] = best.scores[i]
        return results

    def _found(self, batch: Array) -> tuple[Faces, Index]:
        """All that the network sees with the least probability, in pixels of the batch, and in which picture."""
        outputs = self._engine(batch)
        parts = []
        for level, stride in enumerate(STRIDES):
            score, numbers, points = outputs[3 * level : 3 * level + 3]
            n, anchor, row, column = np.nonzero(score >= np.float32(self._min_score))
            parts.append(
                (
                    *self._read(stride, numbers, points, n, anchor, row, column),
                    score[n, anchor, row, column],
                    n,
                )
            )
        boxes, landmarks, scores, whose = (np.concatenate(part) for part in zip(*parts, strict=True))
        return Faces(boxes, scores, landmarks), whose

    def _best(self, views: Array, expected: Boxes) -> Faces:
        """Of what is seen in each view [K, 3, _VIEW, _VIEW], that which most probably is the expected face."""
        outputs = self._engine(views)
        parts = []
        for level, stride in enumerate(STRIDES):
            score, numbers, points = outputs[3 * level : 3 * level + 3]
            n, anchor, row, column = (each.ravel() for each in np.indices(score.shape))
            boxes, landmarks = self._read(stride, numbers, points, n, anchor, row, column)
            k = len(views)
            parts.append((boxes.reshape(k, -1, 4), landmarks.reshape(k, -1, 5, 2), score.reshape(k, -1)))
        boxes, landmarks, scores = (np.concatenate(part, axis=1) for part in zip(*parts, strict=True))
        shared = overlap(boxes, expected[:, None])
        chosen = np.where(shared >= _ASTRAY, scores * shared, 0).argmax(1)
        each = np.arange(len(views))
        near = shared[each, chosen] >= _ASTRAY
        return Faces(boxes[each, chosen], np.where(near, scores[each, chosen], 0), landmarks[each, chosen])

    def _read(
        self, stride: int, numbers: Array, points: Array, n: Index, anchor: Index, row: Index, column: Index
    ) -> tuple[Boxes, NDArray[np.float32]]:
        cells = np.stack([column, row], 1).astype(np.float32)
        count, (height, width) = self._anchors.count, numbers.shape[2:]
        of_box = numbers.reshape(-1, count, 4, height, width)[n, anchor, :, row, column]
        of_points = points.reshape(-1, count, 10, height, width)[n, anchor, :, row, column]
        return self._anchors.read(stride, cells, anchor, of_box, of_points)


def check(picture: Picture) -> None:
    """Raises ValueError unless the picture is uint8 [H, W, 3] and not empty."""
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8 or picture.size == 0:
        raise ValueError(
            f"picture: must be uint8 [H, W, 3] and not empty, found {picture.dtype} {list(picture.shape)}"
        )


def untouched(boxes: NDArray[np.floating]) -> Faces:
    """Boxes [K, 4] in which no face has been seen: score 0, landmarks at the centre."""
    boxes = boxes.astype(np.float32)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    return Faces(boxes, np.zeros(len(boxes), np.float32), np.repeat(centres[:, None], 5, 1))


def _by_size(pictures: Sequence[Picture]) -> dict[tuple[int, int], list[int]]:
    """(height, width) -> which pictures have it."""
    sizes: dict[tuple[int, int], list[int]] = {}
    for index, picture in enumerate(pictures):
        check(picture)
        sizes.setdefault((picture.shape[0], picture.shape[1]), []).append(index)
    return sizes


def _resized(picture: Picture, size: tuple[int, int]) -> Picture:
    return np.asarray(cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)


def _inside(boxes: NDArray[np.floating], picture: Picture) -> NDArray[np.bool_]:
    """Which boxes [K, 4] have a pixel in the picture."""
    height, width = picture.shape[:2]
    return np.asarray((boxes[:, 2:] > 0).all(1) & (boxes[:, :2] < (width, height)).all(1))


def _view(picture: Picture, box: NDArray[np.floating]) -> tuple[Array, Array, float]:
    """The square about a box as the network shall see it, float32 [3, _VIEW, _VIEW], its upper left corner [2] in the
    picture, and its scale.
    """
    centre, side = (box[:2] + box[2:]) / 2, max(float((box[2:] - box[:2]).max()), 1.0) * _MARGIN
    scale = _VIEW / side
    corner = np.round(centre - side / 2).astype(np.float32)
    height, width = picture.shape[:2]
    x1, y1 = (max(0, int(c)) for c in corner)
    x2, y2 = min(width, int(corner[0] + side)), min(height, int(corner[1] + side))
    view = np.zeros((3, _VIEW, _VIEW), np.float32)
    if x2 > x1 and y2 > y1:
        shift = np.array([[scale, 0, (x1 - corner[0]) * scale], [0, scale, (y1 - corner[1]) * scale]])
        part, reduced = picture[y1:y2, x1:x2], max(1, int(1 / scale))
        if reduced > 1:  # warping leaves pixels out: what is much too large is averaged first
            part = _resized(part, (max(1, (y2 - y1) // reduced), max(1, (x2 - x1) // reduced)))
            shift[:, 0] *= (x2 - x1) / part.shape[1]
            shift[:, 1] *= (y2 - y1) / part.shape[0]
        view[:] = cv2.warpAffine(part, shift, (_VIEW, _VIEW), flags=cv2.INTER_LINEAR).transpose(2, 0, 1)
    return view, corner, scale


def overlap(a: Boxes, b: Boxes) -> NDArray[np.float32]:
    """Intersection over union of boxes [..., 4] with boxes [..., 4]."""
    size = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    shared = np.clip(size, 0, None).prod(-1)
    area_a, area_b = ((c[..., 2:] - c[..., :2]).prod(-1) for c in (a, b))
    return np.asarray(shared / np.maximum(area_a + area_b - shared, 1e-9), np.float32)
