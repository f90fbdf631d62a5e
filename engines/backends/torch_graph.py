"""An ONNX graph as a torch module, with the operators of engines/backends/torch_operators.py.

Small and literal on purpose: it is the reference that the other runtimes are measured against.
"""

from __future__ import annotations

from typing import Any

import torch
from onnx import ModelProto, TensorProto, helper, numpy_helper
from torch import Tensor, nn

from engines.backends.torch_operators import DTYPES, OPERATORS, Operator, UnknownOperator

__all__ = ["TorchGraph", "UnknownOperator"]

_SHAPES = {"Resize": (1, 2, 3), "Pad": (1, 2)}
"""Inputs of floating-point type that are read where the graph is run, like every integer."""


class TorchGraph(nn.Module):
    """Runs an ONNX graph with one input; weights become buffers, so that .to(device) moves them.

    Shapes do not move: they are read by the processor, which would otherwise wait for the GPU (and could not
    while a CUDA graph is captured). Raises UnknownOperator.
    """

    def __init__(self, proto: ModelProto) -> None:
        super().__init__()
        graph = proto.graph
        self._input = graph.input[0].name
        self._outputs = [o.name for o in graph.output]
        self._weights: list[str] = []
        self._shapes: dict[str, Tensor] = {}
        here = {n.input[i] for n in graph.node for i in _SHAPES.get(n.op_type, ()) if i < len(n.input)}
        for tensor in graph.initializer:
            self._keep(tensor, here)
        self._steps: list[tuple[Operator, list[str], list[str], dict[str, Any]]] = []
        for node in graph.node:
            attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
            if node.op_type == "Constant":
                tensor = attributes.get("value")
                if tensor is None:
                    raise UnknownOperator(f"Constant with {', '.join(attributes)}")
                tensor.name = node.output[0]
                self._keep(tensor, here)
                continue
            if node.op_type not in OPERATORS:
                raise UnknownOperator(node.op_type)
            self._steps.append((OPERATORS[node.op_type], list(node.input), list(node.output), attributes))

    def _keep(self, tensor: TensorProto, here: set[str]) -> None:
        array = numpy_helper.to_array(tensor)
        dtype = DTYPES.get(tensor.data_type)
        if tensor.data_type == TensorProto.BFLOAT16:
            array = array.astype("float32")
        value = torch.as_tensor(array.copy()).to(dtype)
        if value.dtype is torch.int64 or tensor.name in here:
            self._shapes[tensor.name] = value
            return
        self.register_buffer(f"w{len(self._weights)}", value, persistent=False)
        self._weights.append(tensor.name)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """The graph's outputs, in its order."""
        values: dict[str, Any] = {name: getattr(self, f"w{i}") for i, name in enumerate(self._weights)}
        values |= self._shapes
        values[self._input] = x
        values[""] = None  # an optional input that was left out
        for operator, inputs, outputs, attributes in self._steps:
            result = operator(*(values[i] for i in inputs), **attributes)
            results = result if isinstance(result, tuple) else (result,)
            values.update(zip(outputs, results, strict=False))
        return tuple(values[name] for name in self._outputs)
