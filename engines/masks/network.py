"""The `maskstate` network: for training and export only; the live path runs the exported graph."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engines.masks.state import STATES


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


class StateNetwork(nn.Module):
    """RGB 0..255 [N, 3, 64, 64] -> logits [N, 3]: 0.36 M parameters, 13 MMAC.

    The last map (4 x 4) is flattened through a narrow layer instead of being averaged: where something
    covers the face is what tells the states apart.
    """

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            _conv(3, 16, 2), _conv(16, 32, 2), _conv(32, 32), _conv(32, 64, 2), _conv(64, 64), _conv(64, 96, 2),
            _conv(96, 96),
        )  # fmt: skip
        self.reduce = nn.Sequential(
            nn.Conv2d(96, 48, 1, bias=False), nn.BatchNorm2d(48), nn.ReLU(inplace=True)
        )
        self.drop = nn.Dropout(0.2)
        self.head = nn.Sequential(nn.Linear(48 * 16, 64), nn.ReLU(inplace=True), nn.Linear(64, len(STATES)))

    def forward(self, x: Tensor) -> Tensor:
        """Logits [N, 3] of pictures [N, 3, 64, 64]."""
        h = self.reduce(self.features(x * (1 / 127.5) - 1))
        return self.head(self.drop(h.flatten(1)))


class MaskState(nn.Module):
    """The exported graph: RGB 0..255 -> probabilities [N, 3], calibrated by one temperature."""

    def __init__(self, network: StateNetwork, temperature: float) -> None:
        super().__init__()
        self.network, self.temperature = network, temperature

    def forward(self, x: Tensor) -> Tensor:
        """Probabilities [N, 3] of pictures [N, 3, 64, 64]."""
        return torch.softmax(self.network(x) / self.temperature, 1)
