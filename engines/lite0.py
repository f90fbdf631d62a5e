"""EfficientNet-Lite0, or its first stages: the trunk of networks that are trained here. Not on the live path.

Tan and Le, "EfficientNet", 2019; Lite has no squeeze-and-excitation, and ReLU6. Its parts go by the names of the
published weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
"""Repeats, kernel, stride of the first, expansion, channels."""
TO_A_SIXTEENTH = 5
"""So many stages end at a sixteenth of the picture's size, with 112 channels."""
_MEAN, _SCALE = 0.498, 0.502


class _Block(nn.Module):
    """An inverted residual."""

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


class Lite0(nn.Module):
    """RGB 0..1 [N, 3, S, S] -> the map of the last block, [N, channels, s, s]."""

    def __init__(self, stages: int = len(_STAGES)) -> None:
        super().__init__()
        self._conv_stem = nn.Conv2d(3, 32, 3, 2, 1, bias=False)
        self._bn0 = nn.BatchNorm2d(32, eps=1e-3)
        blocks: list[nn.Module] = []
        self.channels = 32
        for repeats, kernel, stride, expansion, channels in _STAGES[:stages]:
            for i in range(repeats):
                blocks.append(_Block(self.channels, channels, kernel, stride if i == 0 else 1, expansion))
                self.channels = channels
        self._blocks = nn.ModuleList(blocks)

    def maps(self, x: Tensor) -> Iterator[Tensor]:
        """What each block makes of a picture, one after the other."""
        h = F.relu6(self._bn0(self._conv_stem((x - _MEAN) / _SCALE)))
        for block in self._blocks:
            h = block(h)
            yield h

    def forward(self, x: Tensor) -> Tensor:
        """The last map."""
        *_, last = self.maps(x)
        return last

    def load_imagenet(self, path: Path) -> None:
        """Published weights; those of stages and heads that are not here are left out.

        Raises ValueError when a weight is missing.
        """
        state = torch.load(path, map_location="cpu", weights_only=True)
        own = self.state_dict()
        missing = [name for name in own if name not in state]
        if missing:
            raise ValueError(f"{path}: must hold EfficientNet-Lite0, found no {missing[0]}")
        self.load_state_dict({name: state[name] for name in own})
