"""The detectors by name: which networks each needs, and one way to make it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engines.backends import Engine
from engines.detection import mtcnn, ssd, yunet
from engines.detection.fused import Fused
from engines.detection.mtcnn import MTCNN
from engines.detection.ssd import SSD
from engines.detection.yunet import YuNet
from engines.faces import Faces

DETECTORS: dict[str, tuple[str, ...]] = {
    "fused": (*mtcnn.NETWORKS, *yunet.NETWORKS),
    "mtcnn": mtcnn.NETWORKS,
    "ssd": ssd.NETWORKS,
    "yunet": yunet.NETWORKS,
}
"""Names of detectors, and of the networks of each (engines.models.NETWORKS)."""

_SEEN_AT_ALL = 0.3  # by the finder of the fused detector, where O-Net has a say too


class Detector(Protocol):
    """Finds faces. Every detector gives boxes and five landmarks in pixels of the picture."""

    def detect(self, pictures: Sequence[NDArray[np.uint8]], /) -> list[Faces]:
        """The faces of each uint8 RGB picture [H, W, 3], most certain first."""

    def refine(
        self, pictures: Sequence[NDArray[np.uint8]], boxes: Sequence[NDArray[np.floating]], /
    ) -> list[Faces]:
        """For each picture one face for each of its boxes float [K, 4], in their order, with a score."""


def networks_of(name: str) -> tuple[str, ...]:
    """The networks that a detector needs. Raises ValueError for an unknown name."""
    if name not in DETECTORS:
        raise ValueError(f"detector: must be one of {', '.join(DETECTORS)}, found {name!r}")
    return DETECTORS[name]


def make_detector(
    name: str,
    engines: Mapping[str, Engine],
    min_face: float = 40,
    thresholds: tuple[float, float, float] = (0.6, 0.7, 0.7),
    min_score: float = 0.6,
) -> Detector:
    """The detector of that name.

    engines: at least networks_of(name). min_face: the smallest face that is looked for, in pixels, >= 12.
    thresholds: of MTCNN's three networks. min_score: the least probability of a face that a single-shot network found.
    Raises ValueError for an unknown name or a value out of range.
    """
    networks_of(name)
    if name == "ssd":
        return SSD(engines["ssd"], min_face, min_score)
    if name == "yunet":
        return YuNet(engines["yunet"], min_face, min_score)
    cascade = MTCNN(engines, min_face, thresholds)
    if name == "mtcnn":
        return cascade
    return Fused(cascade, YuNet(engines["yunet"], min_face, min(min_score, _SEEN_AT_ALL)), min_score)
