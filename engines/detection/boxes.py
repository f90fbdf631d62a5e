"""Arithmetic on boxes (x1, y1, x2, y2), float32 [N, 4], as MTCNN's cascade needs it."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float32]
Index = NDArray[np.intp]


def suppress(boxes: Boxes, scores: NDArray[np.float32], groups: Index, limit: float) -> Index:
    """Greedy non-maximum suppression inside each group: which boxes stay, highest score first.

    Of two boxes of one group whose intersection over union is above the limit, the one with the lower score
    goes. groups: int [N], such as the number of the picture.
    """
    corner_and_size = boxes.copy()
    corner_and_size[:, 2:] -= boxes[:, :2]
    nms: Any = cv2.dnn.NMSBoxes  # its type hints know sequences only
    kept = [np.zeros(0, np.intp)]
    for group in np.unique(groups):
        own = np.flatnonzero(groups == group)
        # P-Net's boxes lie on a grid, so that an overlap of exactly the limit is common; such a box must stay,
        # and OpenCV's comparison is in float32.
        kept.append(own[np.asarray(nms(corner_and_size[own], scores[own], 0.0, limit + 1e-6), np.intp)])
    stay = np.concatenate(kept)
    return stay[np.argsort(-scores[stay], kind="stable")]


def suppress_contained(boxes: Boxes, scores: NDArray[np.float32], groups: Index, limit: float) -> Index:
    """As suppress(), but the intersection is measured against the smaller box, sides counted inclusively.

    Removes a box inside another. Meant for the few boxes that are left at the end: N x N in memory.
    """
    order = np.argsort(scores, kind="stable")[
        ::-1
    ]  # of equal scores the last goes first, as in the reference
    x1, y1, x2, y2 = boxes[order].T
    area = (x2 - x1 + 1) * (y2 - y1 + 1)
    width = np.minimum(x2[:, None], x2) - np.maximum(x1[:, None], x1) + 1
    height = np.minimum(y2[:, None], y2) - np.maximum(y1[:, None], y1) + 1
    shared = np.maximum(width, 0) * np.maximum(height, 0)
    rival = shared > limit * np.minimum(area[:, None], area)
    rival &= groups[order][:, None] == groups[order]
    rival = np.triu(rival, 1)
    kept = np.ones(len(order), bool)
    while True:  # each round settles at least one more box for good; two or three rounds are usual
        settled = ~(rival & kept[:, None]).any(0)
        if (settled == kept).all():
            return order[kept]
        kept = settled


def regress(boxes: Boxes, offsets: Boxes) -> Boxes:
    """Each side moved by its offset, which is in units of the box's width or height (counted inclusively)."""
    size = boxes[:, 2:] - boxes[:, :2] + 1
    return boxes + offsets * np.hstack([size, size])


def square(boxes: Boxes) -> Boxes:
    """The boxes made square about their centres, as large as their longer side."""
    size = boxes[:, 2:] - boxes[:, :2]
    side = size.max(1, keepdims=True)
    corner = boxes[:, :2] + size * np.float32(0.5) - side * np.float32(0.5)
    return np.hstack([corner, corner + side])


def windows(boxes: Boxes, height: int, width: int) -> tuple[Index, NDArray[np.bool_]]:
    """The whole pixels under each box inside its picture: int [N, 4], x2 and y2 excluded; and which exist.

    MTCNN was trained in Matlab, whose first pixel is 1: the window begins one pixel before the box.
    """
    x1, y1, x2, y2 = np.trunc(boxes).astype(np.intp).T
    x1, y1 = np.maximum(x1, 1) - 1, np.maximum(y1, 1) - 1
    x2, y2 = np.minimum(x2, width), np.minimum(y2, height)
    return np.stack([x1, y1, x2, y2], 1), (x2 > x1) & (y2 > y1)
