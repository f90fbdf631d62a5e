"""The `authenticity` network: for training and export only; the live path runs the exported graph."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112))
"""Repeats, kernel, stride of the first, expansion, channels."""
_TAPS = (0, 2, 4, 10)
"""Blocks whose maps are kept: a half, a quarter, an eighth and a sixteenth of the size."""
_CELLS = 3
_KEPT = (16, 24, 40, 112)
SEEN = 3 * _CELLS**2 * sum(_KEPT)
"""Numbers that the trunk gives of a picture."""


class _Block(nn.Module):
    """An inverted residual of EfficientNet-Lite (Tan and Le, 2019), under the names of its published weights."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self._expands, self._passes = expansion > 1, stride == 1 and inputs == outputs
        if self._expands:
            self._expand_conv = nn.Conv2d(inputs, hidden, 1, bias=False)
            self._bn0 = nn.BatchNorm2d(hidden, eps=1e-3)
        self._depthwise_conv = nn.Conv2d(
            hidden, hidden, kernel, stride, kernel // 2, groups=hidden, bias=False
        )
        self._bn1 = nn.BatchNorm2d(hidden, eps=1e-3)
        self._project_conv = nn.Conv2d(hidden, outputs, 1, bias=False)
        self._bn2 = nn.BatchNorm2d(outputs, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu6(self._bn0(self._expand_conv(x))) if self._expands else x
        h = self._bn2(self._project_conv(F.relu6(self._bn1(self._depthwise_conv(h)))))
        return x + h if self._passes else h


class Trunk(nn.Module):
    """EfficientNet-Lite0 up to a sixteenth of the size, and how its maps are distributed.

    RGB 0..1 [N, 3, S, S] -> [N, SEEN]: of each channel of four maps mean, maximum and deviation in 3 x 3 cells.
    """

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = nn.Conv2d(3, 32, 3, 2, 1, bias=False)
        self._bn0 = nn.BatchNorm2d(32, eps=1e-3)
        blocks: list[nn.Module] = []
        width = 32
        for repeats, kernel, stride, expansion, channels in _STAGES:
            for i in range(repeats):
                blocks.append(_Block(width, channels, kernel, stride if i == 0 else 1, expansion))
                width = channels
        self._blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor) -> Tensor:
        """What is seen, [N, SEEN]."""
        h = F.relu6(self._bn0(self._conv_stem((x - 0.498) / 0.502)))
        seen = []
        for index, block in enumerate(self._blocks):
            h = block(h)
            if index in _TAPS:
                seen += _distribution(h)
        return torch.cat(seen, 1)

    def load_imagenet(self, path: Path) -> None:
        """Published weights of EfficientNet-Lite0; what lies behind the trunk is left out.

        Raises ValueError when a weight is missing.
        """
        state = torch.load(path, map_location="cpu", weights_only=True)
        own = self.state_dict()
        missing = [name for name in own if name not in state]
        if missing:
            raise ValueError(f"{path}: must hold EfficientNet-Lite0, found no {missing[0]}")
        self.load_state_dict({name: state[name] for name in own})


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
