"""The `authenticity` network: for training and export only; the live path runs the exported graph."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engines.lite0 import TO_A_SIXTEENTH, Lite0

_TAPS = (0, 2, 4, 10)
"""Blocks whose maps are kept: a half, a quarter, an eighth and a sixteenth of the size."""
_CELLS = 3
_KEPT = (16, 24, 40, 112)
SEEN = 3 * _CELLS**2 * sum(_KEPT)
"""Numbers that the trunk gives of a picture."""


class Trunk(Lite0):
    """EfficientNet-Lite0 up to a sixteenth of the size, and how its maps are distributed.

    RGB 0..1 [N, 3, S, S] -> [N, SEEN]: of each channel of four maps mean, maximum and deviation in 3 x 3 cells.
    """

    def __init__(self) -> None:
        super().__init__(TO_A_SIXTEENTH)

    def forward(self, x: Tensor) -> Tensor:
        """What is seen, [N, SEEN]."""
        kept = (h for index, h in enumerate(self.maps(x)) if index in _TAPS)
        return torch.cat([part for h in kept for part in _distribution(h)], 1)


def _distribution(maps: Tensor) -> list[Tensor]:
    """Mean, maximum and deviation of maps [N, C, s, s] in cells that overlap by a place at most, each [N, 9 C]."""
    side = int(maps.shape[2])
    stride = (side - 1) // _CELLS if side % _CELLS else side // _CELLS
    kernel = side - (_CELLS - 1) * stride
    apart = maps - maps.mean((2, 3), keepdim=True)
    mean, spread = (F.avg_pool2d(m, kernel, stride) for m in (maps, apart * apart))
    deviation = torch.sqrt(spread + 1e-4)
    return [h.flatten(1) for h in (mean, F.max_pool2d(maps, kernel, stride), deviation)]


class LightNetwork(nn.Module):
    """RGB 0..1 [N, 3, S, S] -> logits [N, 1]; 0.9 M parameters, 65 MMAC at 112 pixels.

    A trunk that knows pictures, and a small head. Paint differs from light in grain, edges and relief, wherever on the
    face it is: the trunk's first maps tell these, and the cells tell where.
    """

    def __init__(self) -> None:
        super().__init__()
        self.trunk = Trunk()
        self.head = nn.Sequential(
            nn.BatchNorm1d(SEEN), nn.Dropout(0.4), nn.Linear(SEEN, 96), nn.ReLU(inplace=True), nn.Dropout(0.2),
            nn.Linear(96, 1),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Logits [N, 1]."""
        return self.head(self.trunk(x))


class Authenticity(nn.Module):
    """The exported graph: RGB 0..255 -> probability [N, 1] that it is painted, calibrated by one temperature."""

    def __init__(self, network: nn.Module, temperature: float) -> None:
        super().__init__()
        self.network, self.temperature = network, temperature

    def forward(self, x: Tensor) -> Tensor:
        """Probabilities [N, 1] of pictures [N, 3, S, S]."""
        return torch.sigmoid(self.network(x * (1 / 255)) / self.temperature)
