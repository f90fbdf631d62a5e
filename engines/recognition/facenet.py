"""FaceNet: another embedder, for those who bring its weights. 512 dimensions, crops of 160 x 160, a space of its own.

Schroff et al., "FaceNet: A Unified Embedding for Face Recognition and Clustering", 2015; the network is
Inception-ResNet-v1 (Szegedy et al., "Inception-v4, Inception-ResNet and the Impact of Residual Connections on
Learning", 2017) as facenet-pytorch 2.5.3 has it. The weights are its files trained on VGGFace2 or CASIA-WebFace,
or any state dict of the same network.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.alignment import similarity
from engines.cache import write_atomically
from engines.models import Model, ModelError, check, file_sha256
from engines.recognition.embedder import EmbedderEngine, unit

CROP_SIZE, DIMENSIONS = 160, 512
_NAME = "facenet"
_RECIPE = 1
"""Raise it when another graph is made from the same weights: caches then make theirs anew."""

_SQUASH = 1.32
_POINTS = np.array([[47.4, 62.4], [119.0, 61.4], [83.8, 93.5], [52.0, 121.3], [115.9, 120.6]], np.float32)
"""facenet-pytorch cuts out MTCNN's box and makes it square: faces are pressed together from above by this factor.
Here the landmarks lie in such crops, the mean of 400 pictures of LFW."""


class FaceNet:
    """Embeds faces with one engine of facenet_model()'s network.

    space: names the space that the embeddings live in, by the weights; see embedder.SFace. crop_size: of the crops'
    sides, in pixels.
    """

    crop_size = CROP_SIZE

    def __init__(self, engine: EmbedderEngine, weights_sha256: str) -> None:
        """weights_sha256: of the weight file, hexadecimal (models.file_sha256)."""
        self._engine = engine
        self.space = f"{_NAME}:{weights_sha256}"

    def embed(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """float32 [N, 512] of unit length, for uint8 RGB crops [N, 160, 160, 3] cut by facenet_transform().

        An embedding without length comes back as zeros: similar to nobody. Raises ValueError for another shape or type.
        """
        if crops.dtype != np.uint8 or crops.ndim != 4 or crops.shape[1:] != (CROP_SIZE, CROP_SIZE, 3):
            raise ValueError(
                f"crops: must be uint8 [N, 160, 160, 3], found {crops.dtype} {list(crops.shape)}"
            )
        if not len(crops):
            return np.zeros((0, DIMENSIONS), np.float32)
        batch = np.ascontiguousarray(crops.transpose(0, 3, 1, 2), np.float32)
        return unit(self._engine(batch)[0])


def facenet_transform(landmarks: NDArray[np.float32], masked: bool = False) -> NDArray[np.float32]:
    """Picture -> FaceNet's crop, float32 [2, 3] for alignment.warp().

    landmarks: [5, 2]; of a masked face only eyes and nose are used. Raises ValueError when all fall together.
    """
    used = 3 if masked else 5
    transform = similarity(landmarks[:used], _POINTS[:used] * (1, _SQUASH))
    transform[1] /= _SQUASH
    return transform


def facenet_model(weights: Path, cache: Path) -> Model:
    """The network with the weights of a file, as ONNX, made where the cache does not hold it whole.

    weights: a state dict saved by torch, read without running any code in it. cache: a folder, created when missing.
    The model takes RGB 0..255 and gives "embedding" [N, 512], not normalised. Raises ModelError.
    """
    try:
        origin = file_sha256(weights)
    except OSError as error:
        raise ModelError(f"{_NAME}: {weights}: cannot be read: {error.strerror}") from None
    start = f"{_NAME}-{_RECIPE}-{origin[:16]}-"
    for path in sorted(cache.glob(f"{start}*.onnx")):
        digest = file_sha256(path)
        if path.name == f"{start}{digest[:16]}.onnx":  # its name says what it was when it was made
            return _model(path, digest)
        path.unlink()
    from engines.inception_resnet import inception_resnet_v1

    try:
        proto = inception_resnet_v1(_read(weights), CROP_SIZE)
    except ValueError as error:
        raise ModelError(f"{_NAME}: {weights}: no weights of InceptionResnetV1: {error}") from error
    check(proto, _NAME)
    data = proto.SerializeToString(deterministic=True)
    digest = hashlib.sha256(data).hexdigest()
    path = cache / f"{start}{digest[:16]}.onnx"
    cache.mkdir(parents=True, exist_ok=True)
    write_atomically(path, data)
    return _model(path, digest)


def _read(weights: Path) -> dict[str, NDArray[Any]]:
    """A state dict, by name. Raises ModelError."""
    import torch

    try:
        state = torch.load(weights, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged or foreign file leads torch's reader to
        raise ModelError(
            f"{_NAME}: {weights}: must be a state dict saved by torch, nothing else; it cannot be read "
            f"({type(error).__name__})"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ModelError(f"{_NAME}: {weights}: must be a state dict, found {type(state).__name__}")
    return {str(name): value.double().numpy() for name, value in state.items()}


def _model(path: Path, digest: str) -> Model:
    return Model(_NAME, path, digest, (None, 3, CROP_SIZE, CROP_SIZE), ("embedding",))
