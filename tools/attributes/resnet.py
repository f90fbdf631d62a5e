"""ResNet-152 (He et al., "Deep Residual Learning", 2016), with the names of torchvision's weights.

Weights are a file of the user's: torchvision's `resnet152` state dict, .pth. None come with this project.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_REPEATS = (3, 8, 36, 3)
_WIDTHS = (64, 128, 256, 512)


class _Bottleneck(nn.Module):
    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = 4 * width
        self.conv1, self.bn1 = nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        self.downsample = (
            nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
            if stride != 1 or inputs != outputs
            else nn.Sequential()
        )

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.bn1(self.conv1(x)))
        h = F.relu(self.bn2(self.conv2(h)))
        return F.relu(self.bn3(self.conv3(h)) + self.downsample(x))


class ResNet(nn.Module):
    """Normalised pictures [N, 3, H, W] -> pooled maps [N, 2048]."""

    def __init__(self, repeats: tuple[int, ...] = _REPEATS, widths: tuple[int, ...] = _WIDTHS) -> None:
        """repeats, widths: of the four stages; those of ResNet-152 where none are given."""
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, widths[0], 7, 2, 3, bias=False), nn.BatchNorm2d(widths[0])
        inputs = widths[0]
        for number, (count, width) in enumerate(zip(repeats, widths, strict=True), 1):
            blocks = []
            for i in range(count):
                blocks.append(_Bottleneck(inputs, width, 2 if number > 1 and i == 0 else 1))
                inputs = 4 * width
            setattr(self, f"layer{number}", nn.Sequential(*blocks))
        self.outputs = inputs
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """As the class says."""
        h = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for number in range(1, 5):
            h = getattr(self, f"layer{number}")(h)
        return h.mean((2, 3))

    def load(self, path: Path) -> None:
        """Take ImageNet weights from a state dict with torchvision's names; its last layer is left out.

        Raises ValueError when the file is none, or of another network.
        """
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # torch has many kinds for a file that is damaged or no file of weights
            raise ValueError(f"{path}: must be a state dict of torch, found {type(error).__name__}") from None
        found = {name: value for name, value in dict(state).items() if not name.startswith("fc.")}
        wanted = {n: v.shape for n, v in self.state_dict().items() if not n.endswith("num_batches_tracked")}
        wrong = [n for n, shape in wanted.items() if n not in found or found[n].shape != shape]
        unknown = found.keys() - self.state_dict().keys()
        if wrong or unknown:
            name = (wrong or sorted(unknown))[0]
            raise ValueError(f"{path}: must hold the weights of ResNet-152, found otherwise at {name}")
        self.load_state_dict(found, strict=False)
