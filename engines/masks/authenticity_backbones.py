"""The three backbones of the authenticity ensemble, without their tops: for training and export only.

Names of weights are those under which they are published, so that ImageNet weights load: torchvision's for ResNet50
(He et al., "Deep Residual Learning for Image Recognition", 2016) and VGG19 (Simonyan and Zisserman, "Very Deep
Convolutional Networks for Large-Scale Image Recognition", 2015), timm's for Xception (Chollet, "Xception: Deep Learning
with Depthwise Separable Convolutions", 2017). Each takes float32 [N, 3, S, S] as its weights were trained for and gives
features [N, width] by global average pooling.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

_TOPS = ("fc.", "classifier.", "last_linear.", "head.")
"""What the tops of the published networks are called: left out."""


class _Bottleneck(nn.Module):
    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = 4 * width
        self.conv1, self.bn1 = nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.bn1(self.conv1(x)))
        h = torch.relu(self.bn2(self.conv2(h)))
        return torch.relu(self.bn3(self.conv3(h)) + (x if self.downsample is None else self.downsample(x)))


def _stage(inputs: int, width: int, blocks: int, stride: int) -> nn.Sequential:
    first = _Bottleneck(inputs, width, stride)
    return nn.Sequential(first, *(_Bottleneck(4 * width, width, 1) for _ in range(blocks - 1)))


class ResNet50(nn.Module):
    """23.5 M parameters, 4.1 GMAC at 224 pixels."""

    width = 2048
    mean, deviation = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1, self.layer2 = _stage(64, 64, 3, 1), _stage(256, 128, 4, 2)
        self.layer3, self.layer4 = _stage(512, 256, 6, 2), _stage(1024, 512, 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Features [N, 2048]."""
        h = self.maxpool(torch.relu(self.bn1(self.conv1(x))))
        return self.layer4(self.layer3(self.layer2(self.layer1(h)))).mean((2, 3))


class VGG19(nn.Module):
    """20.0 M parameters, 19.6 GMAC at 224 pixels; without batch normalisation, as published."""

    width = 512
    mean, deviation = ResNet50.mean, ResNet50.deviation

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3
        for outputs, count in ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4)):
            for _ in range(count):
                layers += [nn.Conv2d(inputs, outputs, 3, 1, 1), nn.ReLU(True)]
                inputs = outputs
            layers.append(nn.MaxPool2d(2, 2))
        self.features = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Features [N, 512]."""
        return self.features(x).mean((2, 3))


class _Separable(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, inputs, 3, 1, 1, groups=inputs, bias=False)
        self.pointwise = nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.pointwise(self.conv1(x))


class _XceptionBlock(nn.Module):
    """Separable convolutions with a shortcut. widths: of their outputs; begins: with a ReLU."""

    def __init__(self, inputs: int, widths: tuple[int, ...], stride: int, begins: bool = True) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        last = inputs
        for i, outputs in enumerate(widths):
            if i or begins:
                layers.append(nn.ReLU(inplace=bool(i)))
            layers += [_Separable(last, outputs), nn.BatchNorm2d(outputs)]
            last = outputs
        if stride != 1:
            layers.append(nn.MaxPool2d(3, stride, 1))
        self.rep = nn.Sequential(*layers)
        self.skip: nn.Conv2d | None = None
        if last != inputs or stride != 1:
            self.skip, self.skipbn = nn.Conv2d(inputs, last, 1, stride, bias=False), nn.BatchNorm2d(last)

    def forward(self, x: Tensor) -> Tensor:
        return self.rep(x) + (x if self.skip is None else self.skipbn(self.skip(x)))


class Xception(nn.Module):
    """20.8 M parameters, 8.4 GMAC at 299 pixels; 36 convolutions in 14 modules."""

    width = 2048
    mean, deviation = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 32, 3, 2, 0, bias=False), nn.BatchNorm2d(32)
        self.conv2, self.bn2 = nn.Conv2d(32, 64, 3, bias=False), nn.BatchNorm2d(64)
        self.block1 = _XceptionBlock(64, (128, 128), 2, begins=False)
        self.block2, self.block3 = _XceptionBlock(128, (256, 256), 2), _XceptionBlock(256, (728, 728), 2)
        for number in range(4, 12):
            setattr(self, f"block{number}", _XceptionBlock(728, (728, 728, 728), 1))
        self.block12 = _XceptionBlock(728, (728, 1024), 2)
        self.conv3, self.bn3 = _Separable(1024, 1536), nn.BatchNorm2d(1536)
        self.conv4, self.bn4 = _Separable(1536, 2048), nn.BatchNorm2d(2048)

    def forward(self, x: Tensor) -> Tensor:
        """Features [N, 2048]."""
        h = torch.relu(self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x))))))
        for number in range(1, 13):
            h = getattr(self, f"block{number}")(h)
        h = torch.relu(self.bn3(self.conv3(h)))
        return torch.relu(self.bn4(self.conv4(h))).mean((2, 3))


Backbone = Xception | ResNet50 | VGG19


def load_imagenet(network: Backbone, path: Path) -> None:
    """Published weights from a torch file; its top is left out.

    Raises ValueError when it cannot be read as plain weights, or holds another network.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch names neither its kinds of errors nor the file
        raise ValueError(f"{path}: must be a file of torch weights, found {type(error).__name__}") from None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"{path}: must hold names and tensors, found {type(state).__name__}")
    kept = {name: value for name, value in state.items() if not name.startswith(_TOPS)}
    own = network.state_dict()
    # Cadene's first files keep the 1 x 1 kernels of Xception as matrices.
    kept = {
        name: value.reshape(own[name].shape)
        if name in own and value.dim() == 2 and value.numel() == own[name].numel()
        else value
        for name, value in kept.items()
    }
    missing = [
        name
        for name, value in own.items()
        if not name.endswith("num_batches_tracked") and (name not in kept or kept[name].shape != value.shape)
    ]
    if missing:
        raise ValueError(
            f"{path}: must hold the weights of {type(network).__name__}, found none that fit {missing[0]}"
            + (f" and {len(missing) - 1} others" if len(missing) > 1 else "")
        )
    network.load_state_dict({name: kept.get(name, value) for name, value in own.items()})
