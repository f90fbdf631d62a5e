"""The `unet` generator: a masked face in, a guess of the face and where it was painted out.

For training and export only; the live path runs the exported graph and never imports torch.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SIZE = 128
WIDTHS = (32, 64, 128, 256)
DILATIONS = (1, 2)
WIDE, WIDE_DILATIONS = (64, 128, 256, 384), (1, 2, 4, 2)
"""For machines with a GPU: 14.7 M parameters, 2.4 GMAC."""
COLOURS = 8
_RIM = 0.45


def convolution(inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """3 x 3, BatchNorm (folded away on export), leaky ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, dilation, dilation, bias=False),
        nn.BatchNorm2d(outputs),
        nn.LeakyReLU(0.1, inplace=True),
    )


class Residual(nn.Module):
    """x + two dilated 3 x 3 convolutions."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.first = convolution(width, width, dilation=dilation)
        self.second = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation, bias=False), nn.BatchNorm2d(width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Keeps the shape."""
        return F.leaky_relu(x + self.second(self.first(x)), 0.1)


class Generator(nn.Module):
    """x -> (rgb, mask logit): 3.6 M parameters, 0.6 GMAC at 128 x 128.

    Space-to-depth stem (no pixel is thrown away), 32-64-128-256 channels at 64, 32, 16 and 8 pixels,
    dilated residual blocks at the bottom; on the way up 1 x 1, nearest x2 (no checkerboards) and 3 x 3 over
    what the skip brings, pixel-shuffle head with four channels. BatchNorm folds away on export. In the face
    frame a mouth is always about where mouths are: two learned maps say so, one of features after the first
    level and one of the four output channels (`prior`, best started from the mean face), which convolutions
    alone need many times as long to learn.
    """

    def __init__(self, widths: Sequence[int] = WIDTHS, dilations: Sequence[int] = DILATIONS) -> None:
        """widths: channels at 64 pixels, and at half of that at each further level. dilations: of the blocks at the
        bottom.
        """
        super().__init__()
        self.down = nn.ModuleList()
        before = 12
        for level, width in enumerate(widths):
            blocks = [convolution(before, width, 2 if level else 1)]
            if level < len(widths) - 1:
                blocks.append(convolution(width, width))
            self.down.append(nn.Sequential(*blocks))
            before = width
        self.bottom = nn.Sequential(*(Residual(widths[-1], d) for d in dilations))
        self.lift, self.join = nn.ModuleList(), nn.ModuleList()
        for low, high in zip(widths[:0:-1], widths[-2::-1], strict=True):
            self.lift.append(nn.Conv2d(low, high, 1))
            self.join.append(convolution(2 * high, high))
        self.head = nn.Conv2d(widths[0], 16 + 2 * COLOURS, 3, padding=1)
        self.place = nn.Parameter(torch.zeros(1, widths[0], SIZE // 2, SIZE // 2))
        self.prior = nn.Parameter(torch.zeros(1, 16, SIZE // 2, SIZE // 2))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x: [N, 3, 128, 128] in -1..1. Returns rgb [N, 3, 128, 128], about -1..1, and logit [N, 1, 128, 128]."""
        h = F.pixel_unshuffle(x, 2)
        skips: list[Tensor] = []
        for level, block in enumerate(self.down):
            h = block(h) if level else block(h) + self.place
            skips.append(h)
        h = self.bottom(h)
        for lift, join, skip in zip(self.lift, self.join, skips[-2::-1], strict=True):
            h = F.interpolate(lift(h), scale_factor=2.0, mode="nearest")
            h = join(torch.cat([h, skip], 1))
        detail, sought, mixed = torch.split(self.head(h), [16, COLOURS, COLOURS], 1)
        out = F.pixel_shuffle(detail + self.prior, 2)
        colour = F.interpolate(palette(F.avg_pool2d(x, 2), sought, mixed), scale_factor=2.0, mode="nearest")
        return colour + out[:, :3], out[:, 3:]


def palette(x: Tensor, sought: Tensor, mixed: Tensor) -> Tensor:
    """Each place's colour as a mixture of colours that were sought all over the picture.

    x: [N, 3, 64, 64]. sought: logits [N, K, 64, 64] of where each of K colours is to be taken from. mixed: logits
    [N, K, 64, 64] of the share each has at a place. Returns [N, 3, 64, 64], within the range of x.
    """
    places = SIZE // 2 * (SIZE // 2)  # spelt out, so that the exported graph has no arithmetic of shapes
    pixels = x.reshape(-1, 3, places)
    colours = torch.softmax(sought.reshape(-1, COLOURS, places), 2) @ pixels.transpose(1, 2)  # [N, K, 3]
    shares = torch.softmax(mixed, 1).reshape(-1, COLOURS, places)
    return (colours.transpose(1, 2) @ shares).reshape(-1, 3, SIZE // 2, SIZE // 2)


def stretched(logit: Tensor) -> Tensor:
    """The mask of its logit, its ends stretched to exactly 0 and 1: what the network leaves alone is left alone to the
    last bit.
    """
    return torch.clamp(torch.sigmoid(logit) * 1.1 - 0.05, 0, 1)


def blend(x: Tensor, rgb: Tensor, logit: Tensor) -> tuple[Tensor, Tensor]:
    """(composite, mask) of training: composite = m rgb + (1 - m) x."""
    mask = stretched(logit)
    return mask * rgb + (1 - mask) * x, mask


class Unmask(nn.Module):
    """The exported graph: RGB 0..255 [N, 3, 128, 128] -> composite 0..255 and mask 0..1 [N, 1, 128, 128].

    What is painted reaches some two pixels beyond the mask, over its blurred edge and its shadow on the skin, which
    would stay as a rim. There `mask` is under one half: above it, a mask was seen; above 0, something was painted.
    """

    def __init__(self, generator: nn.Module) -> None:
        """generator: x in -1..1 -> (rgb, mask logit), as Generator."""
        super().__init__()
        self.generator = generator

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Composite and mask of x."""
        rgb, logit = self.generator(x * (1 / 127.5) - 1)
        mask = stretched(logit)
        painted = F.avg_pool2d(F.max_pool2d(mask, 5, 1, 2), 3, 1, 1, count_include_pad=False)
        composite = painted * torch.clamp(rgb * 127.5 + 127.5, 0, 255) + (1 - painted) * x
        return composite, mask + F.relu(_RIM * painted - mask)


class Discriminator(nn.Module):
    """Says of each patch of a lower face whether it is a photograph: hinge PatchGAN with spectral norm."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        norm = nn.utils.parametrizations.spectral_norm
        self.layers = nn.ModuleList()
        before = 3
        for step in range(3):
            self.layers.append(norm(nn.Conv2d(before, width << step, 4, 2, 1)))
            before = width << step
        self.layers.append(norm(nn.Conv2d(before, before, 3, 1, 1)))
        self.verdict = norm(nn.Conv2d(before, 1, 3, 1, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Verdicts [N, 1, H / 8, W / 8], above 0 for a photograph, and the features of each layer below."""
        features = []
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.2)
            features.append(x)
        return self.verdict(x), features
