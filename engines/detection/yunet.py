"""YuNet: a very small single-shot detector without anchors, a few milliseconds for a whole picture.

Wu, Peng and Yu, "YuNet: A Tiny Millisecond-level Face Detector", 2023. A cell tells a box by where its centre lies
and by the logarithms of its sides, in units of the stride.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engines.backends import Array, Engine
from engines.detection.boxes import Boxes, Index
from engines.detection.single_shot import SingleShot

NETWORKS = ("yunet",)


class YuNet(SingleShot):
    """The detector; `SingleShot` says what its arguments mean."""

    count, smallest = 1, 24.0

    def __init__(self, engine: Engine, min_face: float = 40, min_score: float = 0.6) -> None:
        super().__init__(engine, self, min_face, min_score)

    def read(
        self, stride: int, cells: Array, anchor: Index, numbers: Array, points: Array
    ) -> tuple[Boxes, NDArray[np.float32]]:
        """As engines.detection.single_shot.Anchors says."""
        centre = (cells + numbers[:, :2]) * stride
        half = np.exp(numbers[:, 2:]) * stride / 2
        landmarks = (cells[:, None] + points.reshape(-1, 5, 2)) * stride
        return np.hstack([centre - half, centre + half]).astype(np.float32), landmarks.astype(np.float32)
