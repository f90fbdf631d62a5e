"""The `maskstate` network: for training and export only; the live path runs the exported graph."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engines.lite0 import TO_A_SIXTEENTH, Lite0
from engines.masks.state import CROP_SIZE, STATES


class StateNetwork(nn.Module):
    """RGB 0..255 [N, 3, 80, 80] -> logits [N, 3]: 0.8 M parameters, 31 MMAC.

    A trunk that knows pictures. Its last map (5 x 5) is flattened through a narrow layer instead of being averaged:
    where something covers the face is what tells the states apart.
    """

    def __init__(self) -> None:
        super().__init__()
        self.trunk = Lite0(TO_A_SIXTEENTH)
        self.reduce = nn.Sequential(
            nn.Conv2d(self.trunk.channels, 48, 1, bias=False), nn.BatchNorm2d(48), nn.ReLU(inplace=True)
        )
        places = (CROP_SIZE // 16) ** 2
        self.head = nn.Sequential(
            nn.Dropout(0.3), nn.Linear(48 * places, 64), nn.ReLU(inplace=True), nn.Linear(64, len(STATES))
        )

    def forward(self, x: Tensor) -> Tensor:
        """Logits [N, 3] of pictures [N, 3, 80, 80]."""
        return self.head(self.reduce(self.trunk(x * (1 / 255))).flatten(1))


class MaskState(nn.Module):
    """The exported graph: RGB 0..255 -> probabilities [N, 3], calibrated by one temperature."""

    def __init__(self, network: StateNetwork, temperature: float) -> None:
        super().__init__()
        self.network, self.temperature = network, temperature

    def forward(self, x: Tensor) -> Tensor:
        """Probabilities [N, 3] of pictures [N, 3, 80, 80]."""
        return torch.softmax(self.network(x) / self.temperature, 1)
