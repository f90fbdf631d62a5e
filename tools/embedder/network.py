"""SFace as a torch network that can learn, read from its ONNX file.

A MobileNet of 13 depthwise-separable blocks with PReLU, and one dense layer over its 7 x 7 maps. Each BatchNorm is
folded into the convolution before it (or into the dense layer after it): the student starts as exactly the teacher's
function, and what it learns does not hang on the statistics of a batch.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import NodeProto, helper, numpy_helper
from torch import Tensor, nn
from torch.nn import functional as F

FROZEN = 8
"""The first convolutions, down to maps of 28 x 28, stay the teacher's: they see edges, with a mask or without one,
and would take two thirds of the time to train."""

_MEAN, _SCALE = 127.5, 1 / 128


class SFaceNetwork(nn.Module):
    """Float32 [N, 3, 112, 112], RGB 0..255, recognition frame -> embeddings [N, 128], not normalised."""

    def __init__(self, weights: Path) -> None:
        """weights: SFace's ONNX file as engines.prepare makes it. Raises ValueError for another network."""
        super().__init__()
        graph = onnx.load(str(weights), load_external_data=False).graph
        constants = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
        nodes = list(graph.node)
        kinds = [n.op_type for n in nodes]
        blocks = kinds.count("Conv")
        wanted = ["Sub", "Mul", *["Conv", "BatchNormalization", "PRelu"] * blocks]
        wanted += ["BatchNormalization", "Flatten", "Gemm", "BatchNormalization"]
        if kinds != wanted:
            raise ValueError(f"{weights}: must be SFace's graph, found {' '.join(kinds[:8])} …")
        layers = [_block(nodes[i : i + 3], constants) for i in range(2, 2 + 3 * blocks, 3)]
        self.front = nn.Sequential(*layers[:FROZEN]).requires_grad_(False)
        self.back = nn.Sequential(*layers[FROZEN:])
        self.dense = _dense(nodes[-4:], constants)

    def forward(self, picture: Tensor) -> Tensor:
        """As the class says."""
        with torch.no_grad():
            low: Tensor = self.front((picture - _MEAN) * _SCALE)
        maps: Tensor = self.dense(self.back(low))
        return maps.flatten(1)

    def trainable(self) -> list[nn.Parameter]:
        """What learns."""
        return [weight for weight in self.parameters() if weight.requires_grad]


def between(teacher: SFaceNetwork, student: SFaceNetwork, share: float) -> SFaceNetwork:
    """The network whose weights lie at a share, 0 to 1, of the way from the teacher's to the student's.

    It keeps more of what the teacher knows of people and pictures that the student never saw, and has most of what the
    student learnt: Wortsman et al., "Robust fine-tuning of zero-shot models", 2022.
    """
    mixed = copy.deepcopy(student)
    known = teacher.state_dict()
    mixed.load_state_dict(
        {name: torch.lerp(known[name], learnt, share) for name, learnt in student.state_dict().items()}
    )
    return mixed


class PReLU(nn.Module):
    """With slopes that stay as they are. Its backward step is several times quicker than torch's on a CPU."""

    slope: Tensor

    def __init__(self, slope: NDArray[np.float32]) -> None:
        super().__init__()
        self.register_buffer("slope", torch.tensor(slope).reshape(-1))

    def forward(self, x: Tensor) -> Tensor:
        """Maps of any shape [N, C, H, W]."""
        slope = self.slope.to(x.dtype)
        if torch.is_grad_enabled() and x.requires_grad:
            result: Tensor = _QuickPReLU.apply(x, slope)  # type: ignore[no-untyped-call]
            return result
        return F.prelu(x, slope)


class _QuickPReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, slope: Tensor) -> Tensor:
        ctx.save_for_backward(x, slope)
        return F.prelu(x, slope)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        x, slope = ctx.saved_tensors
        slope = slope.view(1, -1, 1, 1)
        passed: Tensor = torch.ops.aten.threshold_backward(gradient, x, 0)
        return passed.mul_(1 - slope).addcmul_(gradient, slope), None


def _block(nodes: Sequence[NodeProto], constants: dict[str, NDArray[np.float32]]) -> nn.Sequential:
    """Convolution with its BatchNorm folded in, and PReLU."""
    conv, norm, activation = nodes
    options = {a.name: helper.get_attribute_value(a) for a in conv.attribute}
    kernel = constants[conv.input[1]]
    scale, shift = _affine(norm, constants)
    groups, size = int(options.get("group", 1)), kernel.shape[2]
    layer = nn.Conv2d(
        kernel.shape[1] * groups, len(kernel), size, options["strides"][0], size // 2, groups=groups
    )
    bias = constants[conv.input[2]] * scale if len(conv.input) > 2 else 0
    _set(layer, kernel * scale[:, None, None, None], shift + bias)
    return nn.Sequential(layer, PReLU(constants[activation.input[1]]))


def _dense(nodes: Sequence[NodeProto], constants: dict[str, NDArray[np.float32]]) -> nn.Conv2d:
    """BatchNorm, Flatten, Gemm and BatchNorm as one convolution over the whole map."""
    before, _, gemm, after = nodes
    scale, shift = _affine(before, constants)
    weight, bias = constants[gemm.input[1]], constants[gemm.input[2]]
    side = round((weight.shape[1] / len(scale)) ** 0.5)
    kernel = weight.reshape(len(weight), len(scale), side, side)
    bias = bias + (kernel * shift[None, :, None, None]).sum((1, 2, 3))
    out_scale, out_shift = _affine(after, constants)
    layer = nn.Conv2d(len(scale), len(weight), side)
    kernel = kernel * scale[None, :, None, None] * out_scale[:, None, None, None]
    _set(layer, kernel, bias * out_scale + out_shift)
    return layer


def _affine(
    norm: NodeProto, constants: dict[str, NDArray[np.float32]]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What a BatchNorm does: scale and shift."""
    gain, shift, mean, variance = (constants[name] for name in norm.input[1:])
    epsilon = next((a.f for a in norm.attribute if a.name == "epsilon"), 1e-5)
    scale = (gain / np.sqrt(variance + epsilon)).astype(np.float32)
    return scale, shift - mean * scale


def _set(layer: nn.Conv2d, weight: NDArray[np.float32], bias: NDArray[np.float32]) -> None:
    if layer.bias is None:
        raise ValueError("layer: must have a bias")
    layer.weight.data = torch.tensor(np.asarray(weight, np.float32))
    layer.bias.data = torch.tensor(np.asarray(bias, np.float32))
