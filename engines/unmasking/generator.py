"""Unmasked guesses of masked faces, from the face frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.alignment import FACE_SIZE

Run = Callable[[NDArray[np.float32]], tuple[NDArray[np.float32], ...]]
"""An engine of engines.backends: float32 NCHW in, its outputs out."""


@dataclass(frozen=True, slots=True, eq=False)
class Reconstructions:
    """What the generator made of a batch. A guess: to be shown only through mark.mark.

    pictures: uint8 RGB [N, 128, 128, 3] in the face frame; equal to the input where masks is 0.
    masks: float32 [N, 128, 128], 0 to 1, how far each pixel was painted.
    Raises ValueError when the shapes do not fit.
    """

    pictures: NDArray[np.uint8]
    masks: NDArray[np.float32]

    def __post_init__(self) -> None:
        n = len(self.pictures)
        for name, wanted in (
            ("pictures", (n, FACE_SIZE, FACE_SIZE, 3)),
            ("masks", (n, FACE_SIZE, FACE_SIZE)),
        ):
            found = getattr(self, name).shape
            if found != wanted:
                raise ValueError(f"reconstructions.{name}: the shape must be {wanted}, found {found}")

    def __len__(self) -> int:
        return len(self.pictures)


class Unmasker:
    """Runs the generator network `unmask` over crops."""

    def __init__(self, engine: Run) -> None:
        self._engine = engine

    def unmask(self, crops: NDArray[np.uint8]) -> Reconstructions:
        """Guesses what lies under the masks of N faces.

        crops: uint8 RGB [N, 128, 128, 3] in the face frame (engines.alignment.face_transform); N may be 0.
        Raises ValueError on another shape or dtype.
        """
        wanted = (FACE_SIZE, FACE_SIZE, 3)
        if crops.ndim != 4 or crops.shape[1:] != wanted or crops.dtype != np.uint8:
            raise ValueError(f"crops: must be uint8 [N, 128, 128, 3], found {crops.dtype} {crops.shape}")
        if not len(crops):
            return Reconstructions(crops.copy(), np.zeros((0, FACE_SIZE, FACE_SIZE), np.float32))
        batch = np.ascontiguousarray(crops.transpose(0, 3, 1, 2), np.float32)
        composite, masks = self._engine(batch)
        pictures = np.clip(np.rint(composite), 0, 255).astype(np.uint8).transpose(0, 2, 3, 1)
        return Reconstructions(np.ascontiguousarray(pictures), np.ascontiguousarray(masks[:, 0]))
