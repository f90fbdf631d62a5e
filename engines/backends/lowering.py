"""The same graph in a smaller floating-point type, for runtimes that take the precision from the graph."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from engines.backends.engine import Precision

_TYPES = {Precision.FP16: TensorProto.FLOAT16, Precision.BF16: TensorProto.BFLOAT16}
_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16)
_IN_FP32 = {"InstanceNormalization", "ReduceMean", "GlobalAveragePool"}
"""Sums over a whole plane, which half precision cannot hold."""
_NOT_IN_BF16 = {"ConvTranspose"}
"""TensorRT has no bf16 kernels for it; it stays in float32 then."""
_INT8 = "DequantizeLinear"
_FP32_INPUTS = {"Resize": (1, 2)}
"""Inputs that ONNX wants in float32 whatever the data are."""


def lower(source: ModelProto, precision: Precision) -> ModelProto:
    """A copy of the graph that computes in `precision`; its inputs and outputs stay float32.

    What hangs on constants alone is computed here, once: weights stored in half precision behind a Cast, and
    the arithmetic of shapes that exporters leave behind. In fp32 too, so that every runtime gets plain weights.
    A graph of int8 says its precisions itself: they stay.
    """
    graph = source.graph
    if any(node.op_type == _INT8 for node in graph.node):
        precision = Precision.FP32
    target = _TYPES.get(precision, TensorProto.FLOAT)
    nodes, weights = _folded(source)
    keep = {n.input[i] for n in nodes for i in _FP32_INPUTS.get(n.op_type, ()) if i < len(n.input)}
    in_fp32 = _IN_FP32 | (_NOT_IN_BF16 if precision is Precision.BF16 else set())
    keep |= {name for n in nodes if n.op_type in in_fp32 for name in list(n.input)[1:]}
    used = {name for node in nodes for name in node.input}
    stored = [
        _cast(tensor, name, TensorProto.FLOAT if name in keep else target)
        if tensor.data_type in _FLOATS
        else tensor
        for name, tensor in weights.items()
        if name in used
    ]
    if target != TensorProto.FLOAT:
        outputs = [o.name for o in graph.output]
        nodes = list(_cast_around(nodes, graph.input[0].name, outputs, target, in_fp32))
    inner = helper.make_graph(nodes, graph.name, list(graph.input), list(graph.output), stored)
    lowered = helper.make_model(inner, producer_name="unvizard", opset_imports=list(source.opset_import))
    lowered.ir_version = source.ir_version
    return lowered


def _folded(source: ModelProto) -> tuple[list[NodeProto], dict[str, TensorProto]]:
    """The nodes that hang on the input, and every constant by name."""
    weights = {w.name: w for w in source.graph.initializer}
    nodes: list[NodeProto] = []
    for node in source.graph.node:
        inputs = [name for name in node.input if name]
        if node.op_type == _INT8 or any(name not in weights for name in inputs):
            nodes.append(node)
            continue
        graph = helper.make_graph(
            [node],
            "constant",
            [helper.make_tensor_value_info(n, weights[n].data_type, list(weights[n].dims)) for n in inputs],
            [helper.make_tensor_value_info(o, TensorProto.UNDEFINED, None) for o in node.output],
        )
        alone = helper.make_model(graph, opset_imports=list(source.opset_import))
        values = {name: numpy_helper.to_array(weights[name]) for name in inputs}
        for name, value in zip(node.output, ReferenceEvaluator(alone).run(None, values), strict=True):
            weights[name] = numpy_helper.from_array(np.asarray(value), name)
    return nodes, weights


def _cast_around(
    nodes: list[NodeProto], source: str, outputs: list[str], target: int, in_fp32: set[str]
) -> Iterable[NodeProto]:
    """The nodes in `target`: Casts behind the input, before the outputs, around what stays float32."""
    names = {source: f"{source}.lowered", **{o: f"{o}.lowered" for o in outputs}}
    yield helper.make_node("Cast", [source], [names[source]], to=target)
    for node in nodes:
        copy = NodeProto()
        copy.CopyFrom(node)
        _rename(copy, [names.get(i, i) for i in node.input], [names.get(o, o) for o in node.output])
        if copy.op_type == "Cast" and copy.attribute[0].i == TensorProto.FLOAT:
            copy.attribute[0].i = target
        if copy.op_type not in in_fp32:
            yield copy
            continue
        data, result = copy.input[0], copy.output[0]
        yield helper.make_node("Cast", [data], [f"{result}.in"], to=TensorProto.FLOAT)
        _rename(copy, [f"{result}.in", *list(copy.input)[1:]], [f"{result}.out"])
        yield copy
        yield helper.make_node("Cast", [f"{result}.out"], [result], to=target)
    for output in outputs:
        yield helper.make_node("Cast", [names[output]], [output], to=TensorProto.FLOAT)


def _rename(node: NodeProto, inputs: list[str], outputs: list[str]) -> None:
    del node.input[:], node.output[:]
    node.input.extend(inputs)
    node.output.extend(outputs)


def _cast(tensor: TensorProto, name: str, kind: int) -> TensorProto:
    if tensor.data_type == kind:
        return tensor
    values: Any = np.asarray(numpy_helper.to_array(tensor))
    return numpy_helper.from_array(values.astype(helper.tensor_dtype_to_np_dtype(kind)), name)
