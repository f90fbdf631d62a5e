"""The networks of CycleGAN: unpaired translation between faces without masks (A) and with masks (B).

Zhu et al., "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks", 2017. For training and
export only. Pictures are RGB in -1..1, [N, 3, S, S].
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Norm = Literal["instance", "batch"]
_SPREAD = 0.02  # standard deviation of the weights at the start


def _norm(kind: Norm) -> Callable[[int], nn.Module]:
    return nn.BatchNorm2d if kind == "batch" else partial(nn.InstanceNorm2d, affine=False)


class _Block(nn.Module):
    """x + two 3 x 3 convolutions, mirrored at the edge."""

    def __init__(self, width: int, kind: Norm) -> None:
        super().__init__()
        norm = _norm(kind)
        self.layers = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(width, width, 3),
            norm(width),
            nn.ReLU(inplace=True),
            nn.ReflectionPad2d(1),
            nn.Conv2d(width, width, 3),
            norm(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Keeps the shape."""
        made: Tensor = self.layers(x)
        return x + made


class ResnetGenerator(nn.Module):
    """Three convolutions down, residual blocks, two fractionally strided convolutions up, one to RGB.

    blocks: 6 at 128 pixels, 9 from 256 on. width: channels after the first convolution, 64 in the paper.
    """

    def __init__(self, blocks: int = 6, norm: Norm = "instance", width: int = 64) -> None:
        super().__init__()
        make = _norm(norm)
        layers: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(3, width, 7), make(width), nn.ReLU(True)]
        for step in (1, 2):
            layers += [
                nn.Conv2d(width * step, width * step * 2, 3, 2, 1),
                make(width * step * 2),
                nn.ReLU(True),
            ]
        layers += [_Block(width * 4, norm) for _ in range(blocks)]
        for step in (4, 2):
            up = nn.ConvTranspose2d(width * step, width * step // 2, 3, 2, 1, output_padding=1)
            layers += [up, make(width * step // 2), nn.ReLU(True)]
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(width, 3, 7), nn.Tanh()]
        self.layers = nn.Sequential(*layers)
        self.apply(_begin)

    def forward(self, x: Tensor) -> Tensor:
        """The picture as it would look in the other domain."""
        made: Tensor = self.layers(x)
        return made


class PatchDiscriminator(nn.Module):
    """Says of each 70 x 70 patch whether it is real: logits [N, 1, S / 8 - 2, S / 8 - 2]."""

    def __init__(self, norm: Norm = "instance", width: int = 64) -> None:
        super().__init__()
        make = _norm(norm)
        layers: list[nn.Module] = [nn.Conv2d(3, width, 4, 2, 1), nn.LeakyReLU(0.2, True)]
        for step, stride in ((1, 2), (2, 2), (4, 1)):
            layers += [nn.Conv2d(width * step, width * step * 2, 4, stride, 1), make(width * step * 2)]
            layers.append(nn.LeakyReLU(0.2, True))
        self.layers = nn.Sequential(*layers, nn.Conv2d(width * 8, 1, 4, 1, 1))
        self.apply(_begin)

    def forward(self, x: Tensor) -> Tensor:
        """One logit a patch."""
        verdict: Tensor = self.layers(x)
        return verdict


class Translate(nn.Module):
    """The exported graph, with the interface of every generator: RGB 0..255 [N, 3, 128, 128] -> composite 0..255 and
    mask 0..1 [N, 1, 128, 128].

    CycleGAN paints the whole picture anew; `mask` says where that changed it by more than some 10 grey levels.
    """

    def __init__(self, generator: ResnetGenerator, size: int) -> None:
        super().__init__()
        self.generator, self._size = generator, size

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Composite and mask of x."""
        inner = x if self._size == x.shape[2] else _resized(x, self._size)
        made = self.generator(inner * (1 / 127.5) - 1) * 127.5 + 127.5
        composite = made if self._size == x.shape[2] else _resized(made, 128)
        changed = F.avg_pool2d((composite - x).abs().mean(1, keepdim=True), 5, 1, 2)
        return composite, torch.clamp((changed - 10) * 0.1, 0, 1)


def _resized(x: Tensor, size: int) -> Tensor:
    return F.interpolate(x, (size, size), mode="bilinear", align_corners=False)


def _begin(layer: nn.Module) -> None:
    """Weights as the paper begins: normal with a standard deviation of 0.02."""
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(layer.weight, 0.0, _SPREAD)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    elif isinstance(layer, nn.BatchNorm2d):
        nn.init.normal_(layer.weight, 1.0, _SPREAD)
        nn.init.zeros_(layer.bias)
