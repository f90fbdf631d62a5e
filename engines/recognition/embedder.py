"""A face in the recognition frame becomes a direction in space; near directions, probably one person.

SFace: Zhong et al., "SFace: Sigmoid-Constrained Hypersphere Loss for Robust Face Recognition", 2021. Another embedder
is that of engines.recognition.facenet.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engines.alignment import RECOGNITION_SIZE, face_to_recognition, warp
from engines.models import NETWORKS, Borne

_FIRST_ROW, _RIM = 26, 10  # of the recognition frame: within this the face frame surely reaches


class _Info(Protocol):
    @property
    def network(self) -> str: ...
    @property
    def model_sha256(self) -> str: ...


class EmbedderEngine(Protocol):
    """What is needed of an engine; engines.backends makes them."""

    @property
    def info(self) -> _Info:
        """What runs."""

    def __call__(self, batch: NDArray[np.float32], /) -> tuple[NDArray[np.float32], ...]:
        """Its outputs for float32 [N, 3, 112, 112]."""


class Embedder:
    """Embeds faces with one engine.

    space: names the space that the embeddings live in. Embeddings of two spaces must never be compared; a
    gallery remembers its own. It is made from the weights, not from the ONNX file around them, so that a graph
    made anew from the same weights keeps every gallery valid.
    """

    def __init__(self, engine: EmbedderEngine, space: str) -> None:
        self._engine, self.space = engine, space

    def embed(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """float32 [N, D] of unit length, for uint8 RGB crops [N, 112, 112, 3] in the recognition frame, N >= 1.

        D is the network's own. An embedding without length (it has no direction) comes back as zeros: similar to
        nobody.
        Raises ValueError for another shape or type.
        """
        wanted = (RECOGNITION_SIZE, RECOGNITION_SIZE, 3)
        if crops.dtype != np.uint8 or crops.ndim != 4 or crops.shape[1:] != wanted or not len(crops):
            raise ValueError(
                f"crops: must be uint8 [N, 112, 112, 3], found {crops.dtype} {list(crops.shape)}"
            )
        batch = np.ascontiguousarray(crops.transpose(0, 3, 1, 2), np.float32)
        return unit(self._engine(batch)[0])


class SFace(Embedder):
    """SFace, or the copy of it that learnt to see through masks: 128 dimensions."""

    def __init__(self, engine: EmbedderEngine) -> None:
        super().__init__(engine, embedding_space(engine.info.network, engine.info.model_sha256))


def embedding_space(network: str, model_sha256: str) -> str:
    """The name of an embedder's space."""
    origin = NETWORKS.get(network)
    return f"{network}:{origin.sha256 if isinstance(origin, Borne) else model_sha256}"


def unit(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    """Vectors [..., D] brought to length 1; those that are almost zero or not finite become zero."""
    vectors = np.asarray(vectors, np.float32)
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    usable = np.isfinite(length) & (length > 1e-6)
    return np.where(usable, vectors / np.where(usable, length, 1), 0).astype(np.float32)


def laid(
    reconstruction: NDArray[np.uint8], landmarks: NDArray[np.float32], masked: bool = False
) -> NDArray[np.uint8]:
    """A reconstruction, uint8 RGB [128, 128, 3] in the face frame of these landmarks [5, 2], in their recognition
    frame: [112, 112, 3]. masked: as alignment.recognition_transform has it.
    """
    return warp(reconstruction, face_to_recognition(landmarks, masked), RECOGNITION_SIZE)


def unmasked_crop(raw: NDArray[np.uint8], reconstruction: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The recognition crop of a masked face with its reconstruction put in place: evidence "unmasked".

    raw, reconstruction: uint8 RGB [112, 112, 3], the second as laid() gives it, of the same landmarks.
    """
    joined = raw.copy()
    joined[_FIRST_ROW:, _RIM:-_RIM] = reconstruction[_FIRST_ROW:, _RIM:-_RIM]
    return joined
