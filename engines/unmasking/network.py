"""The `unet` generator: a masked face in, a guess of the face and where it was painted out.

For training and export only; the live path runs the exported graph and never imports torch.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SIZE = 128
WIDTHS = (32, 64, 128, 256)
DILATIONS = (1, 2, 4, 1)


def _conv(inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, dilation, dilation, bias=False),
        nn.BatchNorm2d(outputs),
        nn.LeakyReLU(0.1, inplace=True),
    )


class Residual(nn.Module):
    """x + two dilated 3 x 3 convolutions."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.first = _conv(width, width, dilation=dilation)
        self.second = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation, bias=False), nn.BatchNorm2d(width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Keeps the shape."""
        return F.leaky_relu(x + self.second(self.first(x)), 0.1)


class Generator(nn.Module):
    """x -> (rgb, mask logit): 7 M parameters, 1 GMAC at 128 x 128.

    Space-to-depth stem (no pixel is thrown away), 32-64-128-256 channels at 64, 32, 16 and 8 pixels,
    dilated residual blocks at the bottom, nearest x2 and 3 x 3 on the way up (no checkerboards) with
    skips, pixel-shuffle head with four channels. BatchNorm folds away on export. In the face frame a mouth
    is always about where mouths are: two learned maps say so, one of features after the first level and
    one of the four output channels (`prior`, best started from the mean face), which convolutions alone
    need many times as long to learn.
    """

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList()
        before = 12
        for level, width in enumerate(WIDTHS):
            self.down.append(nn.Sequential(_conv(before, width, 2 if level else 1), _conv(width, width)))
            before = width
        self.bottom = nn.Sequential(*(Residual(WIDTHS[-1], d) for d in DILATIONS))
        self.lift, self.join = nn.ModuleList(), nn.ModuleList()
        for low, high in zip(WIDTHS[:0:-1], WIDTHS[-2::-1], strict=True):
            self.lift.append(_conv(low, high))
            self.join.append(_conv(2 * high, high))
        self.head = nn.Conv2d(WIDTHS[0], 16, 3, padding=1)
        self.place = nn.Parameter(torch.zeros(1, WIDTHS[0], SIZE // 2, SIZE // 2))
        self.prior = nn.Parameter(torch.zeros(1, 16, SIZE // 2, SIZE // 2))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x: [N, 3, 128, 128] in -1..1. Returns rgb [N, 3, 128, 128] in -1..1 and logit [N, 1, 128, 128]."""
        h = F.pixel_unshuffle(x, 2)
        skips: list[Tensor] = []
        for level, block in enumerate(self.down):
            h = block(h) if level else block(h) + self.place
            skips.append(h)
        h = self.bottom(h)
        for lift, join, skip in zip(self.lift, self.join, skips[-2::-1], strict=True):
            h = lift(F.interpolate(h, scale_factor=2.0, mode="nearest"))
            h = join(torch.cat([h, skip], 1))
        out = F.pixel_shuffle(self.head(h) + self.prior, 2)
        return torch.tanh(out[:, :3]), out[:, 3:]


def blend(x: Tensor, rgb: Tensor, logit: Tensor) -> tuple[Tensor, Tensor]:
    """(composite, mask): composite = m rgb + (1 - m) x. The ends of m are stretched to exactly 0 and 1,
    so that what the network leaves alone is left alone to the last bit.
    """
    mask = torch.clamp(torch.sigmoid(logit) * 1.1 - 0.05, 0, 1)
    return mask * rgb + (1 - mask) * x, mask


class Unmask(nn.Module):
    """The exported graph: RGB 0..255 [N, 3, 128, 128] -> composite 0..255 and mask 0..1 [N, 1, 128, 128]."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Composite and mask of x."""
        rgb, logit = self.generator(x * (1 / 127.5) - 1)
        return blend(x, rgb * 127.5 + 127.5, logit)


class Discriminator(nn.Module):
    """Says of each patch of a lower face whether it is a photograph: hinge PatchGAN with spectral norm."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        norm = nn.utils.parametrizations.spectral_norm
        layers: list[nn.Module] = []
        before = 3
        for step in range(3):
            layers += [norm(nn.Conv2d(before, width << step, 4, 2, 1)), nn.LeakyReLU(0.2, inplace=True)]
            before = width << step
        layers += [norm(nn.Conv2d(before, before, 3, 1, 1)), nn.LeakyReLU(0.2, inplace=True)]
        layers.append(norm(nn.Conv2d(before, 1, 3, 1, 1)))
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Verdicts [N, 1, H / 8, W / 8]: above 0 for a photograph."""
        return self.layers(x)
