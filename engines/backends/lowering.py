"""The same graph in a smaller floating-point type, for runtimes that take the precision from the graph."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from engines.backends.engine import Precision

_TYPES = {Precision.FP16: TensorProto.FLOAT16, Precision.BF16: TensorProto.BFLOAT16}
_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16)
_IN_FP32 = {"InstanceNormalization"}
"""Sums over a whole plane, which half precision cannot hold."""
_FP32_INPUTS = {"Resize": (1, 2)}
"""Inputs that ONNX wants in float32 whatever the data are."""


def lower(source: ModelProto, precision: Precision) -> ModelProto:
    """A copy of the graph that computes in `precision`; its inputs and outputs stay float32.

    Weights that are stored in half precision behind a Cast become plain weights, in fp32 too.
    """
    proto = ModelProto()
    proto.CopyFrom(source)
    graph = proto.graph
    target = _TYPES.get(precision, TensorProto.FLOAT)
    weights = {w.name: w for w in graph.initializer}
    keep = {n.input[i] for n in graph.node for i in _FP32_INPUTS.get(n.op_type, ()) if i < len(n.input)}
    keep |= {name for n in graph.node if n.op_type in _IN_FP32 for name in list(n.input)[1:]}
    nodes: list[NodeProto] = []
    for node in graph.node:
        if node.op_type == "Cast" and node.input[0] in weights:
            kind = node.attribute[0].i
            if kind == TensorProto.FLOAT:
                kind = TensorProto.FLOAT if node.output[0] in keep else target
            weights[node.output[0]] = _cast(weights[node.input[0]], node.output[0], kind)
        elif node.op_type == "Constant" and node.attribute[0].name == "value":
            weights[node.output[0]] = _named(node.attribute[0].t, node.output[0])
        else:
            nodes.append(node)
    used = {name for node in nodes for name in node.input}
    weights = {
        name: _cast(w, name, target) if w.data_type in _FLOATS and name not in keep else w
        for name, w in weights.items()
        if name in used
    }
    if target != TensorProto.FLOAT:
        nodes = list(_cast_around(nodes, graph.input[0].name, [o.name for o in graph.output], target))
    inner = helper.make_graph(
        nodes, graph.name, list(graph.input), list(graph.output), list(weights.values())
    )
    lowered = helper.make_model(inner, producer_name="unvizard", opset_imports=list(source.opset_import))
    lowered.ir_version = source.ir_version
    return lowered


def _cast_around(nodes: list[NodeProto], source: str, outputs: list[str], target: int) -> Iterable[NodeProto]:
    """The nodes in `target`: Casts behind the input, before the outputs, around what stays float32."""
    names = {source: f"{source}.lowered", **{o: f"{o}.lowered" for o in outputs}}
    yield helper.make_node("Cast", [source], [names[source]], to=target)
    for node in nodes:
        copy = NodeProto()
        copy.CopyFrom(node)
        _rename(copy, [names.get(i, i) for i in node.input], [names.get(o, o) for o in node.output])
        if copy.op_type == "Cast" and copy.attribute[0].i == TensorProto.FLOAT:
            copy.attribute[0].i = target
        if copy.op_type not in _IN_FP32:
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
        return _named(tensor, name)
    values: Any = np.asarray(numpy_helper.to_array(tensor))
    return numpy_helper.from_array(values.astype(helper.tensor_dtype_to_np_dtype(kind)), name)


def _named(tensor: TensorProto, name: str) -> TensorProto:
    copy = TensorProto()
    copy.CopyFrom(tensor)
    copy.name = name
    return copy
