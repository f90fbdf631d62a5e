"""The ensemble that tells painted faces from photographed ones, and each branch alone: for training and export.

Xception, ResNet50 and VGG19 (without tops, global average pooling) and a small network of its own (convolutions and
pooling, flattened) look at the same picture; what they see is put side by side and goes through 512 and 256 units with
ReLU into one sigmoid. A branch alone has the same top behind it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from engines.masks.authenticity_backbones import VGG19, Backbone, ResNet50, Xception, load_imagenet
from engines.masks.authenticity_network import LightNetwork

BRANCHES = ("xception", "resnet50", "vgg19", "custom")
NETWORKS = ("light", *BRANCHES, "ensemble")
SMALLEST = 64
"""Pixels: below that Xception and VGG19 are left with no map to average."""
_BACKBONES: dict[str, type[Backbone]] = {"xception": Xception, "resnet50": ResNet50, "vgg19": VGG19}


class CustomBranch(nn.Module):
    """Three times convolution and pooling, flattened: features [N, 64 * (S / 8) ** 2]."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.width = 64 * (size // 8) ** 2
        self.features = nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(True), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(True), nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(True), nn.MaxPool2d(2),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Features of pictures [N, 3, S, S] in 0..1."""
        return self.features(x).flatten(1)


class _Normalised(nn.Module):
    """A backbone that takes pixels in 0..1."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone, self.width = backbone, backbone.width
        self.register_buffer("mean", torch.tensor(backbone.mean).view(1, 3, 1, 1))
        self.register_buffer("deviation", torch.tensor(backbone.deviation).view(1, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.backbone((x - self.mean) / self.deviation)
        return features


class Ensemble(nn.Module):
    """RGB 0..1 [N, 3, S, S] -> logits [N, 1], by the branches that are named.

    size: S, pixels; a multiple of 8, at least SMALLEST. imagenet: by branch, a file of published weights.
    Raises ValueError for an unknown branch, another size, or weights that do not fit.
    """

    def __init__(
        self, branches: Sequence[str] = BRANCHES, size: int = 112, imagenet: Mapping[str, Path] | None = None
    ) -> None:
        super().__init__()
        if size % 8 or size < SMALLEST:
            raise ValueError(f"size: must be a multiple of 8 from {SMALLEST} on, found {size}")
        for name in branches:
            if name not in BRANCHES:
                raise ValueError(f"branch: must be one of {', '.join(BRANCHES)}, found {name!r}")
        for name in imagenet or ():
            if name not in branches or name not in _BACKBONES:
                raise ValueError(
                    f"ImageNet weights: must be for a backbone of {', '.join(branches)}, found {name!r}"
                )
        self.branches, seen = nn.ModuleDict(), 0
        for name in branches:
            if name == "custom":
                custom = CustomBranch(size)
                self.branches[name], seen = custom, seen + custom.width
                continue
            backbone = _BACKBONES[name]()
            if imagenet and name in imagenet:
                load_imagenet(backbone, imagenet[name])
            else:
                _begin(backbone)
            self.branches[name], seen = _Normalised(backbone), seen + backbone.width
        self.top = nn.Sequential(
            nn.Linear(seen, 512), nn.ReLU(True), nn.Linear(512, 256), nn.ReLU(True), nn.Linear(256, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Logits [N, 1]."""
        return self.top(torch.cat([branch(x) for branch in self.branches.values()], 1))


def make_network(
    name: str, size: int, imagenet: Mapping[str, Path] | None = None
) -> tuple[nn.Module, tuple[nn.Module, ...]]:
    """One of NETWORKS (the light network, a branch alone, or the ensemble), and its parts that begin trained.

    imagenet: published weights by branch, those of the light network's trunk under "light". Raises ValueError as
    Ensemble does.
    """
    files = imagenet or {}
    if name == "light":
        light = LightNetwork()
        if name not in files:
            return light, ()
        light.trunk.load_imagenet(files[name])
        return light, (light.trunk,)
    made = Ensemble(BRANCHES if name == "ensemble" else (name,), size, files)
    return made, tuple(made.branches[branch] for branch in files)


def _begin(network: nn.Module) -> None:
    """Weights to begin from without ImageNet's: He et al., "Delving Deep into Rectifiers", 2015."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
