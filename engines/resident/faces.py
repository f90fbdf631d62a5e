"""Faces on frames that lie on the device: crops, reconstructions and embeddings, one network's output the next one's
input.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engines.alignment import (
    FACE_SIZE,
    RECOGNITION_SIZE,
    face_transform,
    recognition_transform,
)
from engines.backends.cuda import Resident
from engines.resident.sampling import warp

_PATCH = 104  # side of the face frame in pixels of the recognition frame; see engines.alignment
_TOP, _LEFT = 20, 4  # where it lies there


class ResidentFaces:
    """The generator and the embedder on faces of a frame, without a copy to the host between them.

    unmask, embedder: engines of the networks "unmask" and "sface" (or one like it) on one device.
    """

    def __init__(self, unmask: Resident, embedder: Resident) -> None:
        self._unmask, self._embedder = unmask, embedder
        area = torch.from_numpy(_area_weights(FACE_SIZE, _PATCH))
        self._shrink = area.to(embedder.device)

    def reconstruct(self, frame: Tensor, landmarks: NDArray[np.float32]) -> tuple[Tensor, Tensor]:
        """What the generator makes of faces: pictures float32 [K, 3, 128, 128], whole numbers 0..255, and masks float32
        [K, 128, 128], 0 to 1, on the device; as engines.unmasking.generator.Unmasker gives them on the host.

        frame: uint8 RGB [H, W, 3] on the device. landmarks: [K, 5, 2], K >= 1.
        """
        with torch.inference_mode():
            crops = torch.round(warp(frame, [face_transform(points) for points in landmarks], FACE_SIZE))
            composite, masks = self._unmask.on_device(crops)
            return torch.clamp(torch.round(composite), 0, 255), masks[:, 0]

    def crops(self, frame: Tensor, landmarks: NDArray[np.float32], masked: Sequence[bool]) -> Tensor:
        """Faces in the recognition frame: float32 [K, 3, 112, 112], whole numbers 0..255."""
        transforms = [recognition_transform(points, m) for points, m in zip(landmarks, masked, strict=True)]
        with torch.inference_mode():
            return torch.round(warp(frame, transforms, RECOGNITION_SIZE))

    def unmasked(self, crops: Tensor, reconstructions: Tensor) -> Tensor:
        """Recognition crops [K, 3, 112, 112] of masked faces with their reconstructions [K, 3, 128, 128] put in place,
        as engines.recognition.embedder.unmasked_crop does.
        """
        with torch.inference_mode():
            patch = torch.round(self._shrink @ reconstructions @ self._shrink.T)
            joined = crops.clone()
            joined[:, :, _TOP:, _LEFT : _LEFT + _PATCH] = patch[:, :, : RECOGNITION_SIZE - _TOP]
            return joined

    def embed(self, crops: Tensor) -> NDArray[np.float32]:
        """float32 [K, D] of unit length, on the host: the one thing that leaves the device. crops: as crops() gives."""
        with torch.inference_mode():
            unit = torch.nn.functional.normalize(self._embedder.on_device(crops)[0])
            embeddings: NDArray[np.float32] = unit.cpu().numpy()
            return embeddings


def _area_weights(source: int, target: int) -> NDArray[np.float32]:
    """float32 [target, source]: each output is the mean over its share of the inputs, edges counted by their part."""
    edges = np.arange(target + 1) * (source / target)
    pixels = np.arange(source)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    weights: NDArray[np.float32] = (np.clip(overlap, 0, None) * (target / source)).astype(np.float32)
    return weights
