"""The two domains as aligned crops in memory."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor

from engines.alignment import FACE_SIZE, face_transform, warp
from engines.detection.mtcnn import MTCNN
from tools.unmasking.cases import find_faces

LEAST = 8
"""Pictures a domain must have, or there is nothing to learn from."""


def read_domain(folder: Path, size: int, detector: MTCNN, limit: int = 0) -> NDArray[np.uint8]:
    """The faces of a folder as uint8 RGB [N, size, size, 3] in the face frame.

    Landmarks come from an index.csv that lists the pictures, or from the detector; pictures without a face are left
    out. Raises ValueError when fewer than LEAST are left.
    """
    faces, _ = find_faces(folder, detector)
    faces = faces[: limit or None]
    crops = []
    for face in track(faces, f"reading {folder.name}", transient=True):
        crop = warp(face.read(), face_transform(face.landmarks), FACE_SIZE)
        crops.append(crop if size == FACE_SIZE else _scaled(crop, size))
    if len(crops) < LEAST:
        raise ValueError(f"{folder}: must hold at least {LEAST} faces, found {len(crops)}")
    return np.stack(crops)


def draw(domain: NDArray[np.uint8], count: int, rng: np.random.Generator, device: torch.device) -> Tensor:
    """Random crops, half of them mirrored, as float32 [count, 3, S, S] in -1..1."""
    picked = domain[rng.integers(0, len(domain), count)]
    flipped = rng.random(count) < 0.5
    picked[flipped] = picked[flipped, :, ::-1]
    return as_tensor(picked, device)


def as_tensor(pictures: NDArray[np.uint8], device: torch.device) -> Tensor:
    """uint8 [N, S, S, 3] -> float32 [N, 3, S, S] in -1..1, channels last."""
    x = torch.from_numpy(pictures).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1
    return x.contiguous(memory_format=torch.channels_last)


def as_pictures(x: Tensor) -> NDArray[np.uint8]:
    """The way back: float [N, 3, S, S] in -1..1 -> uint8 [N, S, S, 3]."""
    return ((x.float() + 1) * 127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()


def _scaled(crop: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    how = cv2.INTER_AREA if size < FACE_SIZE else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(crop, (size, size), interpolation=how), np.uint8)
