"""The ONNX operators that the product's networks use, each in torch's own functions.

Inputs that say shapes (sizes, axes, pads, scales) are tensors in the processor's memory, wherever the data are:
reading them then never waits for a GPU.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from onnx import TensorProto
from torch import Tensor
from torch.nn import functional as F

Operator = Callable[..., Tensor | tuple[Tensor, ...]]

DTYPES: dict[int, torch.dtype] = {
    TensorProto.FLOAT: torch.float32,
    TensorProto.FLOAT16: torch.float16,
    TensorProto.BFLOAT16: torch.bfloat16,
    TensorProto.INT64: torch.int64,
    TensorProto.INT32: torch.int32,
    TensorProto.INT8: torch.int8,
    TensorProto.UINT8: torch.uint8,
}


class UnknownOperator(ValueError):
    """The graph uses an ONNX operator, or a form of one, that is not written here."""


def _symmetric(pads: list[int]) -> list[int]:
    """ONNX pads (all begins, then all ends) as torch's padding. Raises UnknownOperator when begin != end."""
    half = len(pads) // 2
    if list(pads[:half]) != list(pads[half:]):
        raise UnknownOperator(f"uneven padding {list(pads)}")
    return list(pads[:half])


def _automatic(auto_pad: bytes) -> None:
    if auto_pad not in (b"NOTSET", b"VALID"):
        raise UnknownOperator(f"auto_pad {auto_pad.decode()}")


def _conv(
    x: Tensor,
    w: Tensor,
    b: Tensor | None = None,
    *,
    strides: list[int] | None = None,
    pads: list[int] | None = None,
    dilations: list[int] | None = None,
    group: int = 1,
    kernel_shape: Any = None,
    auto_pad: bytes = b"NOTSET",
) -> Tensor:
    _automatic(auto_pad)
    return F.conv2d(x, w, b, strides or 1, _symmetric(pads or [0] * 4), dilations or 1, group)


def _conv_transpose(
    x: Tensor,
    w: Tensor,
    b: Tensor | None = None,
    *,
    strides: list[int] | None = None,
    pads: list[int] | None = None,
    dilations: list[int] | None = None,
    output_padding: list[int] | None = None,
    group: int = 1,
    kernel_shape: Any = None,
    auto_pad: bytes = b"NOTSET",
) -> Tensor:
    _automatic(auto_pad)
    padding = _symmetric(pads or [0] * 4)
    return F.conv_transpose2d(x, w, b, strides or 1, padding, output_padding or 0, group, dilations or 1)


def _max_pool(
    x: Tensor,
    *,
    kernel_shape: list[int],
    strides: list[int] | None = None,
    pads: list[int] | None = None,
    ceil_mode: int = 0,
    dilations: list[int] | None = None,
    auto_pad: bytes = b"NOTSET",
    storage_order: int = 0,
) -> Tensor:
    _automatic(auto_pad)
    padding = _symmetric(pads or [0] * 4)
    return F.max_pool2d(x, kernel_shape, strides or 1, padding, dilations or 1, bool(ceil_mode))


def _average_pool(
    x: Tensor,
    *,
    kernel_shape: list[int],
    strides: list[int] | None = None,
    pads: list[int] | None = None,
    ceil_mode: int = 0,
    count_include_pad: int = 0,
    auto_pad: bytes = b"NOTSET",
) -> Tensor:
    _automatic(auto_pad)
    padding = _symmetric(pads or [0] * 4)
    return F.avg_pool2d(x, kernel_shape, strides or 1, padding, bool(ceil_mode), bool(count_include_pad))


def _gemm(
    a: Tensor,
    b: Tensor,
    c: Tensor | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,
    transB: int = 0,
) -> Tensor:
    product = alpha * ((a.T if transA else a) @ (b.T if transB else b))
    return product if c is None else product + beta * c


def _batch_norm(
    x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, var: Tensor, *, epsilon: float = 1e-5, **_: Any
) -> Tensor:
    return F.batch_norm(x, mean, var, scale, bias, training=False, eps=epsilon)


def _instance_norm(x: Tensor, scale: Tensor, bias: Tensor, *, epsilon: float = 1e-5) -> Tensor:
    return F.instance_norm(x, weight=scale, bias=bias, eps=epsilon)


def _flatten(x: Tensor, *, axis: int = 1) -> Tensor:
    return x.flatten(axis) if axis == 1 else x.reshape(x.shape[:axis].numel(), -1)


def _clip(x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    return torch.clamp(x, low, high)


def _resize(
    x: Tensor,
    roi: Tensor | None = None,
    scales: Tensor | None = None,
    sizes: Tensor | None = None,
    *,
    mode: bytes = b"nearest",
    coordinate_transformation_mode: bytes = b"half_pixel",
    nearest_mode: bytes = b"round_prefer_floor",
    cubic_coeff_a: float = -0.75,
    **_: Any,
) -> Tensor:
    if sizes is not None and sizes.numel():
        size = [int(s) for s in sizes[2:]]
    elif scales is not None:
        size = [int(n * float(s)) for n, s in zip(x.shape[2:], scales[2:], strict=True)]
    else:
        raise UnknownOperator("Resize without scales or sizes")
    form = (mode, coordinate_transformation_mode)
    whole = all(s % n == 0 for n, s in zip(x.shape[2:], size, strict=True))
    # Enlarged by a whole factor, every coordinate transformation takes the same nearest pixel.
    if mode == b"nearest" and whole and (form[1] != b"asymmetric" or nearest_mode == b"floor"):
        return F.interpolate(x, size, mode="nearest")
    if form in ((b"linear", b"half_pixel"), (b"linear", b"pytorch_half_pixel")):
        return F.interpolate(x, size, mode="bilinear", align_corners=False)
    if form == (b"linear", b"align_corners"):
        return F.interpolate(x, size, mode="bilinear", align_corners=True)
    raise UnknownOperator(f"Resize {mode.decode()} {coordinate_transformation_mode.decode()}")


def _depth_to_space(x: Tensor, *, blocksize: int, mode: bytes = b"DCR") -> Tensor:
    if mode == b"CRD":
        return F.pixel_shuffle(x, blocksize)
    n, c, h, w = x.shape
    depth = c // blocksize**2
    x = x.reshape(n, blocksize, blocksize, depth, h, w).permute(0, 3, 4, 1, 5, 2)
    return x.reshape(n, depth, h * blocksize, w * blocksize)


def _space_to_depth(x: Tensor, *, blocksize: int) -> Tensor:
    n, c, h, w = x.shape
    x = x.reshape(n, c, h // blocksize, blocksize, w // blocksize, blocksize).permute(0, 3, 5, 1, 2, 4)
    return x.reshape(n, c * blocksize**2, h // blocksize, w // blocksize)


def _reshape(x: Tensor, shape: Tensor, *, allowzero: int = 0) -> Tensor:
    return x.reshape([x.shape[i] if s == 0 and not allowzero else s for i, s in enumerate(shape.tolist())])


def _slice(
    x: Tensor, starts: Tensor, ends: Tensor, axes: Tensor | None = None, steps: Tensor | None = None
) -> Tensor:
    chosen = range(len(starts)) if axes is None else axes.tolist()
    strides = [1] * len(starts) if steps is None else steps.tolist()
    index = [slice(None)] * x.dim()
    for axis, start, end, step in zip(chosen, starts.tolist(), ends.tolist(), strides, strict=True):
        index[axis] = slice(start, end, step)
    return x[tuple(index)]


def _split(
    x: Tensor, sizes: Tensor | None = None, *, axis: int = 0, num_outputs: int = 0
) -> tuple[Tensor, ...]:
    if sizes is None:
        return torch.split(x, -(-x.shape[axis] // num_outputs), axis)
    return torch.split(x, sizes.tolist(), axis)


def _reduce_mean(
    x: Tensor, given: Tensor | None = None, *, axes: list[int] | None = None, keepdims: int = 1, **_: Any
) -> Tensor:
    dims = given.tolist() if given is not None else axes or list(range(x.dim()))
    return x.mean(dims, keepdim=bool(keepdims))


def _squeeze(x: Tensor, axes: Tensor) -> Tensor:
    return x.squeeze(tuple(axes.tolist()))


def _unsqueeze(x: Tensor, axes: Tensor) -> Tensor:
    for axis in sorted(axes.tolist()):
        x = x.unsqueeze(axis)
    return x


def _pad(x: Tensor, pads: Tensor, value: Tensor | None = None, *, mode: bytes = b"constant") -> Tensor:
    begins, ends = pads.reshape(2, -1).tolist()
    if any(begins[:2] + ends[:2]):
        raise UnknownOperator(f"Pad over batch or channels {pads.tolist()}")
    padding = [n for pair in zip(reversed(begins[2:]), reversed(ends[2:]), strict=True) for n in pair]
    if mode == b"constant":
        return F.pad(x, padding, value=0.0 if value is None else float(value))
    if mode not in (b"reflect", b"edge"):
        raise UnknownOperator(f"Pad {mode.decode()}")
    return F.pad(x, padding, mode="reflect" if mode == b"reflect" else "replicate")


def _along(values: Tensor, x: Tensor, axis: int) -> Tensor:
    """One scale or zero point for each place along an axis, shaped so that it broadcasts over x."""
    return (
        values
        if values.dim() == 0
        else values.reshape([-1 if i == axis % x.dim() else 1 for i in range(x.dim())])
    )


def _quantize(x: Tensor, scale: Tensor, zero: Tensor | None = None, *, axis: int = 1) -> Tensor:
    kind = torch.uint8 if zero is None else zero.dtype
    limits = torch.iinfo(kind)
    level = torch.round(x / _along(scale, x, axis))
    if zero is not None:
        level = level + _along(zero, x, axis).to(x.dtype)
    return torch.clamp(level, limits.min, limits.max).to(kind)


def _dequantize(x: Tensor, scale: Tensor, zero: Tensor | None = None, *, axis: int = 1) -> Tensor:
    level = x.to(scale.dtype)
    if zero is not None:
        level = level - _along(zero, x, axis).to(scale.dtype)
    return level * _along(scale, x, axis)


OPERATORS: dict[str, Operator] = {
    "Abs": torch.abs,
    "Add": torch.add,
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_norm,
    "Cast": lambda x, to, **_: x.to(DTYPES[to]),
    "Clip": _clip,
    "Concat": lambda *x, axis: torch.cat(x, axis),
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "DepthToSpace": _depth_to_space,
    "DequantizeLinear": _dequantize,
    "Div": torch.div,
    "Flatten": _flatten,
    "Gemm": _gemm,
    "GlobalAveragePool": lambda x: x.mean((2, 3), keepdim=True),
    "HardSigmoid": lambda x, alpha=0.2, beta=0.5: torch.clamp(alpha * x + beta, 0, 1),
    "HardSwish": F.hardswish,
    "Identity": lambda x: x,
    "InstanceNormalization": _instance_norm,
    "LeakyRelu": lambda x, alpha=0.01: F.leaky_relu(x, alpha),
    "MatMul": torch.matmul,
    "MaxPool": _max_pool,
    "Mul": torch.mul,
    "PRelu": lambda x, slope: torch.where(x >= 0, x, x * slope),
    "Pad": _pad,
    "QuantizeLinear": _quantize,
    "ReduceMean": _reduce_mean,
    "Relu": torch.relu,
    "Reshape": _reshape,
    "Resize": _resize,
    "Shape": lambda x: torch.tensor(x.shape),
    "Sigmoid": torch.sigmoid,
    "Slice": _slice,
    "Softmax": lambda x, axis=-1: torch.softmax(x, axis),
    "SpaceToDepth": _space_to_depth,
    "Split": _split,
    "Sqrt": torch.sqrt,
    "Squeeze": _squeeze,
    "Sub": torch.sub,
    "Tanh": torch.tanh,
    "Transpose": lambda x, perm: x.permute(perm),
    "Unsqueeze": _unsqueeze,
}
