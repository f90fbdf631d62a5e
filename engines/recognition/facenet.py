"""FaceNet: another embedder, for those who bring its weights. 512 dimensions, a space of its own.

Schroff et al., "FaceNet: A Unified Embedding for Face Recognition and Clustering", 2015; the network is
Inception-ResNet-v1 (Szegedy et al., "Inception-v4, Inception-ResNet and the Impact of Residual Connections on
Learning", 2017) as facenet-pytorch 2.5.3 has it. The weights are its files trained on VGGFace2 or CASIA-WebFace,
or any state dict of the same network.

It is given faces in the recognition frame, as every embedder is; the step to the crop that it was trained on is the
first of its graph.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.alignment import RECOGNITION_POINTS, RECOGNITION_SIZE, recognition_transform
from engines.cache import write_atomically
from engines.models import Model, ModelError, check, file_sha256

NAME = "facenet"
_CROP_SIZE = 160
_RECIPE = 2
"""Raise it when another graph is made from the same weights: caches then make theirs anew."""

_SQUASH = 1.32
_POINTS = np.array([[47.4, 62.4], [119.0, 61.4], [83.8, 93.5], [52.0, 121.3], [115.9, 120.6]], np.float32)
"""facenet-pytorch cuts out MTCNN's box and makes it square: faces are pressed together from above by this factor.
Here the landmarks lie in such crops, the mean of 400 pictures of LFW."""


def facenet_space(weights: Path) -> str:
    """The name of the space that FaceNet's embeddings live in with these weights; see embedder.Embedder.

    Raises ModelError.
    """
    return f"{NAME}:{_origin(weights)}"


def placing() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scale and shift, [2] each, of x and y from the recognition frame to FaceNet's crop.

    The mean face of such crops, made as long again as it was, is laid into the recognition frame as every face is; this
    is the way back. Faces then come as long and as wide as in training, which a fit of either axis by itself, to the
    longer face that the recognition frame is drawn for, would not give. The third of a degree of rotation is left out.
    """
    laid = recognition_transform((_POINTS * (1, _SQUASH)).astype(np.float32))
    scale = np.array([1, 1 / _SQUASH]) / np.hypot(laid[0, 0], laid[1, 0])
    return scale, _POINTS.mean(0) - scale * RECOGNITION_POINTS.mean(0)


def sampling(axis: int) -> NDArray[np.float64]:
    """[160, 112]: the weights of the recognition frame's columns (axis 0) or rows (1) in those of FaceNet's crop.

    Bilinear; beyond the edge it is repeated (the crop ends below the chin, some pixels lower than the frame).
    """
    scale, shift = (float(values[axis]) for values in placing())
    place = ((np.arange(_CROP_SIZE) - shift) / scale).clip(0, RECOGNITION_SIZE - 1)
    return np.maximum(0, 1 - np.abs(place[:, None] - np.arange(RECOGNITION_SIZE)))


def facenet_model(weights: Path, cache: Path) -> Model:
    """The network with the weights of a file, as ONNX, made where the cache does not hold it whole.

    weights: a state dict saved by torch, read without running any code in it. cache: a folder, created when missing.
    The model takes faces in the recognition frame, [N, 3, 112, 112], RGB 0..255, and gives "embedding" [N, 512], not
    normalised. Raises ModelError.
    """
    origin = _origin(weights)
    start = f"{NAME}-{_RECIPE}-{origin[:16]}-"
    for path in sorted(cache.glob(f"{start}*.onnx")):
        digest = file_sha256(path)
        if path.name == f"{start}{digest[:16]}.onnx":  # its name says what it was when it was made
            return _model(path, digest)
        path.unlink()
    from engines.inception_resnet import inception_resnet_v1

    try:
        proto = inception_resnet_v1(_read(weights), sampling(1), sampling(0))
    except ValueError as error:
        raise ModelError(f"{NAME}: {weights}: no weights of InceptionResnetV1: {error}") from error
    check(proto, NAME)
    data = proto.SerializeToString(deterministic=True)
    digest = hashlib.sha256(data).hexdigest()
    path = cache / f"{start}{digest[:16]}.onnx"
    cache.mkdir(parents=True, exist_ok=True)
    write_atomically(path, data)
    return _model(path, digest)


def _origin(weights: Path) -> str:
    """The sha256 of a weight file. Raises ModelError."""
    try:
        return file_sha256(weights)
    except OSError as error:
        raise ModelError(f"{NAME}: {weights}: cannot be read: {error.strerror}") from None


def _read(weights: Path) -> dict[str, NDArray[Any]]:
    """A state dict, by name. Raises ModelError."""
    import torch

    try:
        state = torch.load(weights, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged or foreign file leads torch's reader to
        raise ModelError(
            f"{NAME}: {weights}: must be a state dict saved by torch, nothing else; it cannot be read "
            f"({type(error).__name__})"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ModelError(f"{NAME}: {weights}: must be a state dict, found {type(state).__name__}")
    return {str(name): value.double().numpy() for name, value in state.items()}


def _model(path: Path, digest: str) -> Model:
    return Model(NAME, path, digest, (None, 3, RECOGNITION_SIZE, RECOGNITION_SIZE), ("embedding",))
