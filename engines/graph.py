"""Writing ONNX graphs: nodes and weights in the order in which they are added, and constants folded away.

What is written here is the same to the last byte on every machine, so that a network's sha256 names it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

OPSET, IR_VERSION = 17, 8
"""Old enough for every runtime in use (TensorRT 8.6 included), new enough for what the graphs need."""

Constants = dict[str, NDArray[Any]]


class Graph:
    """Nodes and weights, named in the order in which they are added."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.weights: list[TensorProto] = []

    def add(
        self,
        op: str,
        inputs: str | Sequence[str],
        w: NDArray[Any] | None = None,
        b: NDArray[Any] | None = None,
        output: str | None = None,
        **attributes: Any,
    ) -> str:
        """One node on one tensor or several, with up to two weights (stored as float32); returns its output's
        name.
        """
        name = f"{op.lower()}{len(self.nodes)}"
        names = [inputs] if isinstance(inputs, str) else list(inputs)
        for suffix, value in (("weight", w), ("bias", b)):
            if value is not None:
                names.append(f"{name}.{suffix}")
                self.weights.append(
                    numpy_helper.from_array(np.ascontiguousarray(value, np.float32), names[-1])
                )
        self.nodes.append(helper.make_node(op, names, [output or name], name, **attributes))
        return output or name

    def constant(self, value: NDArray[Any]) -> str:
        """The name of a weight (stored as float32) for a node that does not take it as its last input."""
        name = f"constant{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(value, np.float32), name))
        return name

    def model(self, name: str, outputs: list[str], shape: list[int | None]) -> ModelProto:
        """The model around the nodes; an axis of None becomes a dynamic one."""
        axes = [s or a for s, a in zip(shape, ("batch", "channels", "height", "width"), strict=True)]
        graph = helper.make_graph(
            self.nodes,
            name,
            [helper.make_tensor_value_info("picture", TensorProto.FLOAT, axes)],
            [helper.make_tensor_value_info(o, TensorProto.FLOAT, None) for o in outputs],
            self.weights,
        )
        model = helper.make_model(
            graph, producer_name="unvizard", opset_imports=[helper.make_opsetid("", OPSET)]
        )
        model.ir_version = IR_VERSION
        return onnx.shape_inference.infer_shapes(model, strict_mode=True)


def folded(proto: ModelProto) -> tuple[list[NodeProto], Constants]:
    """The nodes that hang on the input, and the values of all that does not.

    Each node whose inputs are all constant is computed once; a Dropout, nothing at inference time, is left out.
    """
    constants = {t.name: numpy_helper.to_array(t) for t in proto.graph.initializer}
    aliases: dict[str, str] = {}
    nodes: list[NodeProto] = []
    for node in proto.graph.node:
        inputs = [aliases.get(i, i) for i in node.input]
        if node.op_type == "Dropout":
            aliases[node.output[0]] = inputs[0]
        elif all(i in constants for i in inputs):
            constants[node.output[0]] = _evaluate(node, constants, proto.opset_import[0].version)
        else:
            del node.input[:]
            node.input.extend(inputs)
            nodes.append(node)
    for output in proto.graph.output:
        output.name = aliases.get(output.name, output.name)
    return nodes, constants


def leading_to(nodes: Iterable[NodeProto], outputs: Iterable[str]) -> list[NodeProto]:
    """The nodes, in their order, without which the named tensors cannot be computed."""
    wanted, kept = set(outputs), []
    for node in reversed(list(nodes)):
        if wanted & set(node.output):
            wanted |= set(node.input)
            kept.append(node)
    return kept[::-1]


def rename(nodes: Iterable[NodeProto], names: dict[str, str]) -> None:
    """Give tensors other names, in place."""
    for node in nodes:
        inputs, outputs = list(node.input), list(node.output)
        del node.input[:], node.output[:]
        node.input.extend(names.get(i, i) for i in inputs)
        node.output.extend(names.get(o, o) for o in outputs)


def _evaluate(node: NodeProto, constants: Constants, opset: int) -> NDArray[Any]:
    names = list(node.input)
    inputs = [helper.make_tensor_value_info(i, _type(constants[i]), constants[i].shape) for i in names]
    output = helper.make_tensor_value_info(node.output[0], TensorProto.UNDEFINED, None)
    graph = helper.make_graph([node], "fold", inputs, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    results: Any = ReferenceEvaluator(model).run(None, {i: constants[i] for i in names})
    return np.asarray(results[0])


def _type(value: NDArray[Any]) -> int:
    return int(helper.np_dtype_to_tensor_dtype(value.dtype))
