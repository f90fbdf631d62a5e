"""The networks that learn an attribute: the paper's ResNet-152 with a new head, and a small one for the edge."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engines.alignment import RECOGNITION_SIZE
from engines.attributes.gender import GENDERS
from tools.attributes.resnet import ResNet
from tools.embedder.network import SFaceNetwork

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_BLOCKS = 17
"""Of the embedder's second half: up to its first layer of 1024 channels, on maps of 7 x 7. Pooled and read by a linear
layer alone, that one told the genders apart best; the embedding itself, which is made to be of one person, worst."""
_KEPT = 13
"""Of these the first always stay as they are: they see faces in general, and learning them takes most of the time."""
_NARROW = 64


class Kind(StrEnum):
    """Which network."""

    SMALL = "small"
    RESNET152 = "resnet152"


SIDES = {Kind.SMALL: RECOGNITION_SIZE, Kind.RESNET152: 2 * RECOGNITION_SIZE}
"""Pixels of the recognition frame's side: 112 as it is, or 224."""


class SmallNetwork(nn.Module):
    """RGB 0..255 [N, 3, H, W] -> logits [N, 2]. Convolutions, a mean over the last map, and a narrow head over that,
    which is two convolutions of 1 x 1: any size goes in.

    It begins as the face embedder's layers below its last: their features tell people apart, and so genders. They stay
    as they are while the head learns; the upper ones may learn with it afterwards.
    """

    def __init__(self, embedder: Path) -> None:
        """embedder: SFace's ONNX file. Raises ValueError for another network."""
        super().__init__()
        trunk = SFaceNetwork(embedder)
        self.front = nn.Sequential(*trunk.front.children(), *trunk.back[:_KEPT].children()).requires_grad_(
            False
        )
        self.back = trunk.back[_KEPT:_BLOCKS]
        channels = [layer for layer in self.back.modules() if isinstance(layer, nn.Conv2d)][-1].out_channels
        self.head = nn.Sequential(
            nn.BatchNorm1d(channels), nn.Dropout(0.3), nn.Linear(channels, _NARROW), nn.ReLU(),
            nn.Dropout(0.3), nn.Linear(_NARROW, len(GENDERS)),
        )  # fmt: skip
        _he(self.head)

    @property
    def frozen(self) -> bool:
        """Whether the head can learn by itself, since what is below it has learnt already."""
        return True

    def features(self, picture: Tensor) -> Tensor:
        """What the head reads, float32 [N, 1024]."""
        with torch.no_grad():
            low = self.front((picture - 127.5) * (1 / 128))
        maps: Tensor = self.back(low)
        return maps.mean((2, 3)).float()

    def forward(self, picture: Tensor) -> Tensor:
        """As the class says."""
        logits: Tensor = self.head(self.features(picture))
        return logits

    def groups(self, rate: float) -> list[dict[str, object]]:
        """What learns, and how fast: the layers below the head slower than it."""
        return [
            {"params": list(self.back.parameters()), "lr": rate * 0.1},
            {"params": list(self.head.parameters()), "lr": rate},
        ]


class ResNetClassifier(nn.Module):
    """RGB 0..255 [N, 3, 224, 224] -> logits [N, 2]: ResNet-152 and a new last layer.

    With weights given, all but the last layer stays as it is, its statistics too. Without, all of it learns.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, weights: Path | None = None, trunk: ResNet | None = None) -> None:
        """trunk: another one than ResNet-152's. Raises ValueError for weights of another network."""
        super().__init__()
        self.trunk = trunk or ResNet()
        self.frozen = weights is not None
        if weights is not None:
            self.trunk.load(weights)
            self.trunk.requires_grad_(False)
        self.head = nn.Linear(self.trunk.outputs, len(GENDERS))
        _he(self.head)
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(_STD).view(1, 3, 1, 1))

    def train(self, mode: bool = True) -> ResNetClassifier:
        """Training mode; a frozen trunk stays in evaluation mode, or its statistics would move."""
        super().train(mode)
        if self.frozen:
            self.trunk.eval()
        return self

    def features(self, picture: Tensor) -> Tensor:
        """What the head reads, float32 [N, 2048]."""
        maps: Tensor = self.trunk((picture / 255 - self.mean) / self.std)
        return maps.float()

    def forward(self, picture: Tensor) -> Tensor:
        """As the class says."""
        logits: Tensor = self.head(self.features(picture))
        return logits

    def groups(self, rate: float) -> list[dict[str, object]]:
        """What learns, and how fast."""
        return [{"params": [weight for weight in self.parameters() if weight.requires_grad], "lr": rate}]


Network = SmallNetwork | ResNetClassifier


class Estimate(nn.Module):
    """The exported graph: RGB 0..255 [N, 3, S, S] -> probabilities [N, 2], calibrated by one temperature."""

    def __init__(self, network: nn.Module, temperature: float) -> None:
        super().__init__()
        self.network, self.temperature = network, temperature

    def forward(self, picture: Tensor) -> Tensor:
        """As the class says."""
        return torch.softmax(self.network(picture) / self.temperature, 1)


def calibrate(logits: Tensor, labels: Tensor) -> float:
    """The softmax temperature of least cross entropy (Guo et al., 2017), 0.3 to 5."""
    choices: Sequence[float] = torch.logspace(-0.523, 0.699, 120).tolist()
    return min(choices, key=lambda t: F.cross_entropy(logits / t, labels).item())


def _he(head: nn.Module) -> None:
    """He et al., "Delving Deep into Rectifiers", 2015."""
    for layer in head.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
