"""Which gender a face reads as to a small network: an estimate about a picture, and no fact about a person."""

from __future__ import annotations

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from engines.alignment import RECOGNITION_SIZE
from engines.unmasking.generator import Run

_SHAPE = (RECOGNITION_SIZE, RECOGNITION_SIZE, 3)


class Gender(StrEnum):
    """The two labels of the data sets, in the order of the network's output."""

    FEMALE = "female"
    MALE = "male"


GENDERS = tuple(Gender)


class GenderEstimator:
    """Runs the network `gender` over faces in the recognition frame."""

    def __init__(self, engine: Run) -> None:
        self._engine = engine

    def estimate(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Calibrated probabilities float32 [N, 2] in the order of GENDERS; rows sum to 1.

        crops: uint8 RGB [N, 112, 112, 3], masked or not, of engines.alignment.recognition_transform; N may be 0. Raises
        ValueError on another shape or dtype.
        """
        if crops.ndim != 4 or crops.shape[1:] != _SHAPE or crops.dtype != np.uint8:
            raise ValueError(f"crops: must be uint8 [N, 112, 112, 3], found {crops.dtype} {crops.shape}")
        if not len(crops):
            return np.zeros((0, len(GENDERS)), np.float32)
        return self._engine(np.ascontiguousarray(crops.transpose(0, 3, 1, 2), np.float32))[0]
