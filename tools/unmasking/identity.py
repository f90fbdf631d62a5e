"""The embedders that say how like a person a guess is: SFace, and one that nothing here was trained or tuned with.

The second is dlib's residual network (King, "High Quality Face Recognition with Deep Metric Learning", 2017), whose
weights come in the package `face_recognition_models` (CC0 1.0) and run in `dlib-bin` (Boost licence), both with
`pip install unvizard[evaluate]`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.alignment import FACE_POINTS, RECOGNITION_SIZE, recognition_transform, warp
from engines.recognition.embedder import SFace, unit

Embed = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Faces in the face frame, uint8 RGB [N, 128, 128, 3] -> float32 [N, D], rows of unit length."""

_MODULE, _PACKAGE = "dlib", "face_recognition_models"
_FILE = "models/dlib_face_recognition_resnet_model_v1.dat"
_SHA256 = "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30"
_CHIP_SIZE = 150
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
    """dlib's network, or None where its packages are not installed. Raises ValueError when its file is another one."""
    spec = find_spec(_PACKAGE)  # found, not imported: it asks for a pkg_resources that may not be there
    if not find_spec(_MODULE) or spec is None or not spec.submodule_search_locations:
        return None
    path = Path(spec.submodule_search_locations[0]) / _FILE
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != _SHA256:
        raise ValueError(f"{path}: sha256 must be {_SHA256}, found {found}")
    import dlib

    network = dlib.face_recognition_model_v1(str(path))
    onto = (_TO_CHIP @ np.vstack([_TO_RECOGNITION, [0, 0, 1]]))[:2].astype(np.float32)

    def embed(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        vectors = [network.compute_face_descriptor(warp(p, onto, _CHIP_SIZE)) for p in pictures]
        return unit(np.array(vectors, np.float32))

    return embed


def identities(embedder: SFace) -> dict[str, Embed]:
    """All that are here, by name."""
    second = dlib_identity()
    return {"sface": sface_identity(embedder)} | ({"dlib": second} if second else {})
