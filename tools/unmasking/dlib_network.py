"""dlib's face recognition network in torch, with the weights of the package `face_recognition_models` (CC0 1.0).

King, "High Quality Face Recognition with Deep Metric Learning", 2017: a residual network of 29 convolutions (after He
et al., 2016, with half the filters) to 128 dimensions. Read from dlib's own file, so that dlib is not needed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from engines.models import Borne

CHIP_SIZE = 150
WEIGHTS = Borne(
    "face_recognition_models",
    "face_recognition_models==0.3.0",
    "models/dlib_face_recognition_resnet_model_v1.dat",
    "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
)
_WIDTHS = ((32, 32, 32), (64, 64, 64, 64), (128, 128, 128), (256, 256, 256), (256,))
"""Channels of the residual units; each row but the first begins with a step to half the size."""
_MEAN = (122.782, 117.001, 104.298)


class DlibNetwork(nn.Module):
    """RGB 0..255 [N, 3, 150, 150], a chip as dlib cuts it out -> embeddings [N, 128], not normalised."""

    mean: Tensor

    def __init__(self, path: Path) -> None:
        """path: of WEIGHTS."""
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 7, 2)
        units: list[_Unit] = []
        width = 32
        for row, widths in enumerate(_WIDTHS):
            for i, channels in enumerate(widths):
                units.append(_Unit(width, channels, halves=row > 0 and i == 0))
                width = channels
        self.units = nn.ModuleList(units)
        self.last = nn.Linear(width, 128, bias=False)
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1))
        self._load(path.read_bytes())
        self.eval().requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        """As the class says."""
        h = F.max_pool2d(F.relu(self.stem((x - self.mean) / 256)), 3, 2)
        for unit in self.units:
            h = unit(h)
        embedding: Tensor = self.last(h.mean((2, 3)))
        return embedding

    def _load(self, data: bytes) -> None:
        """The layers lie in the file from the first to the last, each behind its kind's name."""
        convolutions = [module for module in self.modules() if isinstance(module, nn.Conv2d)]
        at = 0
        for convolution in convolutions:
            kernel, at = _floats(data, data.index(b"con_4", at) + 5)
            affine, at = _floats(data, data.index(b"affine_", at) + 7)
            count = convolution.out_channels
            weight = torch.from_numpy(kernel[:-count]).view_as(convolution.weight)
            gamma, beta = torch.split(torch.from_numpy(affine), count)
            convolution.weight.data = weight * gamma.view(-1, 1, 1, 1)
            convolution.bias = nn.Parameter(torch.from_numpy(kernel[-count:]) * gamma + beta)
        at = data.index(b"fc_2", at) + 4
        for _ in range(2):  # how many outputs, and inputs
            _, at = _integer(data, at)
        dense, _ = _floats(data, at)
        self.last.weight.data = torch.from_numpy(dense).view(256, 128).T.contiguous()


class _Unit(nn.Module):
    def __init__(self, inputs: int, outputs: int, halves: bool) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, 2 if halves else 1, 0 if halves else 1)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1)
        self._halves, self._more = halves, outputs - inputs

    def forward(self, x: Tensor) -> Tensor:
        h = self.second(F.relu(self.first(x)))
        if self._halves:  # dlib adds maps of two sizes as if the smaller went on in zeros
            x = F.avg_pool2d(x, 2, 2)
            side = max(x.shape[2], h.shape[2])
            x = F.pad(x, (0, side - x.shape[3], 0, side - x.shape[2], 0, self._more))
            h = F.pad(h, (0, side - h.shape[3], 0, side - h.shape[2]))
        return F.relu(x + h)


def _integer(data: bytes, at: int) -> tuple[int, int]:
    """dlib's whole number: a byte that counts those that follow, the lowest first. And where what is next begins."""
    count = data[at]
    return int.from_bytes(data[at + 1 : at + 1 + count], "little"), at + 1 + count


def _floats(data: bytes, at: int) -> tuple[NDArray[np.float32], int]:
    """dlib's tensor, flat: a version, four sizes, and the numbers. And where what is next begins."""
    sizes = []
    for _ in range(5):
        number, at = _integer(data, at)
        sizes.append(number)
    count = int(np.prod(sizes[1:]))
    return np.frombuffer(data, "<f4", count, at).astype(np.float32), at + 4 * count
