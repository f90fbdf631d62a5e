"""The ONNX graph of InceptionResnetV1 from a state dict of facenet-pytorch 2.5.3.

Batch normalisation, the scale of the residual branches and the normalisation (x - 127.5) / 128 of the input are
folded into the convolutions, in float64. Before them the input is resampled into the crop that the network knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto
from onnx.shape_inference import InferenceError

from engines.graph import Graph

Array = NDArray[Any]
_EPSILON = 1e-3


def inception_resnet_v1(state: Mapping[str, Array], rows: Array, columns: Array) -> ModelProto:
    """Input [N, 3, h, w], RGB 0..255; output "embedding" [N, 512], not normalised.

    rows [H, h], columns [W, w]: of each row and column of the network's own crop the weights of the input's, which add
    up to 1. Raises ValueError, with the name of the weight, for a state dict of another network.
    """
    return _Writer(state).model(rows, columns)


class _Writer:
    """Writes the network's parts in their order; each takes its weights out of the state dict by their names."""

    def __init__(self, state: Mapping[str, Array]) -> None:
        self._graph, self._state = Graph(), dict(state)
        self._channels = {"picture": 3}

    def model(self, rows: Array, columns: Array) -> ModelProto:
        x = self._stem(self._resampled("picture", rows, columns))
        for block in range(5):
            x = self._residual(f"repeat_1.{block}", x, 0.17, [[""], ["0", "1"], ["0", "1", "2"]])
        x = self._reduction("mixed_6a", x, [[""], ["0", "1", "2"]])
        for block in range(10):
            x = self._residual(f"repeat_2.{block}", x, 0.10, [[""], ["0", "1", "2"]])
        x = self._reduction("mixed_7a", x, [["0", "1"], ["0", "1"], ["0", "1", "2"]])
        for block in range(5):
            x = self._residual(f"repeat_3.{block}", x, 0.20, [[""], ["0", "1", "2"]])
        x = self._residual("block8", x, 1.0, [[""], ["0", "1", "2"]], last=True)
        w = self._weight("last_linear.weight", 2, x)
        scale, shift = self._normalisation("last_bn")
        w = self._scaled("last_linear.weight", w, scale)
        x = self._graph.add("Flatten", self._graph.add("GlobalAveragePool", x), axis=1)
        self._graph.add("Gemm", x, w, shift, output="embedding", transB=1)
        for name in self._state:  # besides the head that tells the people trained on apart, and counters
            if not name.startswith("logits.") and not name.endswith(".num_batches_tracked"):
                raise ValueError(f"{name}: does not belong to it")
        if len(w) != 512:
            raise ValueError(f"last_linear.weight: must give 512 numbers, found {len(w)}")
        try:
            return self._graph.model("facenet", ["embedding"], [None, 3, rows.shape[1], columns.shape[1]])
        except InferenceError as error:
            raise ValueError(f"the sizes of its layers do not fit: {str(error).splitlines()[0]}") from error

    def _resampled(self, x: str, rows: Array, columns: Array) -> str:
        """As two products of matrices, which every runtime computes in the same way."""
        across = self._graph.add("MatMul", x, columns.T)
        return self._counted(self._graph.add("MatMul", [self._graph.constant(rows[None, None]), across]), 3)

    def _stem(self, x: str) -> str:
        x = self._convolution("conv2d_1a", x, stride=2, picture=True)
        x = self._convolution("conv2d_2a", x)
        x = self._convolution("conv2d_2b", x, padded=True)
        x = self._pool(x)
        x = self._convolution("conv2d_3b", x)
        x = self._convolution("conv2d_4a", x)
        return self._convolution("conv2d_4b", x, stride=2)

    def _residual(
        self, name: str, x: str, scale: float, branches: list[list[str]], last: bool = False
    ) -> str:
        """Branches side by side, joined by a convolution and added to the input, a share of them."""
        ends = [
            self._branch(f"{name}.branch{number}", x, steps, reduces=False)
            for number, steps in enumerate(branches)
        ]
        together = self._side_by_side(ends)
        w = self._weight(f"{name}.conv2d.weight", 4, together) * scale
        b = self._take(f"{name}.conv2d.bias", 1) * scale
        if not len(w) == len(b) == self._channels[x]:
            raise ValueError(
                f"{name}.conv2d: must give {self._channels[x]} channels, found {len(w)}, {len(b)}"
            )
        added = self._graph.add("Add", [self._graph.add("Conv", together, w, b), x])
        return self._counted(added if last else self._graph.add("Relu", added), len(w))

    def _reduction(self, name: str, x: str, branches: list[list[str]]) -> str:
        """Branches side by side that each halve the picture, and a pooling beside them."""
        ends = [
            self._branch(f"{name}.branch{number}", x, steps, reduces=True)
            for number, steps in enumerate(branches)
        ]
        return self._side_by_side([*ends, self._pool(x)])

    def _branch(self, name: str, x: str, steps: list[str], reduces: bool) -> str:
        for step in steps:
            halves = reduces and step == steps[-1]
            x = self._convolution(
                f"{name}.{step}" if step else name, x, stride=2 if halves else 1, padded=not halves
            )
        return x

    def _convolution(
        self, name: str, x: str, stride: int = 1, padded: bool = False, picture: bool = False
    ) -> str:
        """Convolution, batch normalisation, ReLU. padded: so that the size stays; picture: x is in 0..255."""
        w = self._weight(f"{name}.conv.weight", 4, x)
        scale, shift = self._normalisation(f"{name}.bn")
        w = self._scaled(f"{name}.conv.weight", w, scale)
        if picture:  # no padding here, so the shift by 127.5 goes into the bias exactly
            w = w / 128
            shift = shift - 127.5 * w.sum((1, 2, 3))
        pads = [size // 2 if padded else 0 for size in w.shape[2:]] * 2
        x = self._graph.add("Conv", x, w, shift, strides=[stride] * 2, pads=pads)
        return self._counted(self._graph.add("Relu", x), len(w))

    def _pool(self, x: str) -> str:
        pooled = self._graph.add("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2])
        return self._counted(pooled, self._channels[x])

    def _side_by_side(self, ends: list[str]) -> str:
        return self._counted(
            self._graph.add("Concat", ends, axis=1), sum(self._channels[end] for end in ends)
        )

    def _counted(self, x: str, channels: int) -> str:
        self._channels[x] = channels
        return x

    def _normalisation(self, name: str) -> tuple[Array, Array]:
        """Batch normalisation as a factor and a summand of each channel."""
        mean, variance = self._take(f"{name}.running_mean", 1), self._take(f"{name}.running_var", 1)
        gain, bias = self._take(f"{name}.weight", 1), self._take(f"{name}.bias", 1)
        if len({len(mean), len(variance), len(gain), len(bias)}) > 1 or variance.min(initial=0) < 0:
            raise ValueError(f"{name}: must have a mean, a variance, a weight and a bias for each channel")
        scale = gain / np.sqrt(variance + _EPSILON)
        return scale, bias - mean * scale

    def _scaled(self, name: str, w: Array, scale: Array) -> Array:
        if len(w) != len(scale):
            raise ValueError(f"{name}: must have {len(scale)} channels, found {len(w)}")
        return w * scale.reshape(-1, *[1] * (w.ndim - 1))

    def _weight(self, name: str, axes: int, x: str) -> Array:
        """The weight of a layer that reads x."""
        w = self._take(name, axes)
        if w.shape[1] != self._channels[x]:
            raise ValueError(f"{name}: must take {self._channels[x]} channels, found {w.shape[1]}")
        return w

    def _take(self, name: str, axes: int) -> Array:
        """One weight, float64, taken out."""
        if name not in self._state:
            raise ValueError(f"{name}: is missing")
        value = np.asarray(self._state.pop(name), np.float64)
        if value.ndim != axes or not value.size or not np.isfinite(value).all():
            raise ValueError(f"{name}: must be finite numbers with {axes} axes, found {list(value.shape)}")
        return value
