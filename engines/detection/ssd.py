"""An SSD-type detector: RetinaFace on MobileNet 0.25.

Deng et al., "RetinaFace: Single-shot Multi-level Face Localisation in the Wild", 2020. Every cell has two square
anchors; a box is told by how far its centre lies from the anchor's and by the logarithms of its sides.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engines.backends import Array, Engine
from engines.detection.boxes import Boxes, Index
from engines.detection.single_shot import SingleShot

NETWORKS = ("ssd",)
_SIDES = {8: (16.0, 32.0), 16: (64.0, 128.0), 32: (256.0, 512.0)}
_CENTRE, _SIZE = 0.1, 0.2  # the variances by which the network's numbers were divided in its training


class SSD(SingleShot):
    """The detector; `SingleShot` says what its arguments mean."""

    count, smallest = 2, 24.0

    def __init__(self, engine: Engine, min_face: float = 40, min_score: float = 0.5) -> None:
        super().__init__(engine, self, min_face, min_score)

    def read(
        self, stride: int, cells: Array, anchor: Index, numbers: Array, points: Array
    ) -> tuple[Boxes, NDArray[np.float32]]:
        """As engines.detection.single_shot.Anchors says."""
        side = np.array(_SIDES[stride], np.float32)[anchor][:, None]
        middle = (cells + np.float32(0.5)) * stride
        centre = middle + numbers[:, :2] * _CENTRE * side
        half = side * np.exp(numbers[:, 2:] * _SIZE) / 2
        landmarks = middle[:, None] + points.reshape(-1, 5, 2) * _CENTRE * side[:, None]
        return np.hstack([centre - half, centre + half]).astype(np.float32), landmarks.astype(np.float32)
