"""The `landmarks` network: for training and export only; the live path runs the exported graph."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engines.detection.landmarks import CROP_POINTS

_REACH = 8.0
"""Pixels of the crop that one unit of the last layer means."""


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


class LandmarkNetwork(nn.Module):
    """RGB 0..255 [N, 3, 112, 112] -> landmarks [N, 10], x and y by turns, pixels: 0.75 M parameters, 35 MMAC.

    The last map (7 x 7) is flattened, not averaged: where something is is all that is asked.
    """

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            _conv(3, 16, 2), _conv(16, 32, 2), _conv(32, 32), _conv(32, 64, 2), _conv(64, 64), _conv(64, 96, 2),
            _conv(96, 96), _conv(96, 96),
        )  # fmt: skip
        self.reduce = nn.Sequential(
            nn.Conv2d(96, 48, 1, bias=False), nn.BatchNorm2d(48), nn.ReLU(inplace=True)
        )
        last = nn.Linear(192, 10)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.head = nn.Sequential(nn.Linear(48 * 49, 192), nn.ReLU(inplace=True), last)
        self.register_buffer("mean", torch.from_numpy(CROP_POINTS.reshape(1, 10)))

    def forward(self, x: Tensor) -> Tensor:
        """Landmarks [N, 10] in pictures [N, 3, 112, 112]."""
        h = self.reduce(self.features(x * (1 / 127.5) - 1))
        return self.head(h.flatten(1)) * _REACH + self.mean
