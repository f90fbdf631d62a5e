"""ONNX graphs from weights that other packages carry: MTCNN's three networks and the SFace embedder.

The graphs of MTCNN are written out node by node instead of being traced, so that the same weights give the
same bytes on every machine. What is linear is folded into the weights: the normalisation (x - 127.5) / 128
into the first convolution, and the softmax of two classes into one logit and a sigmoid.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

OPSET, IR_VERSION = 17, 8
"""Old enough for every runtime in use (TensorRT 8.6 included), new enough for what the graphs need."""


def network(name: str, weights: Path) -> ModelProto:
    """The graph of one package-borne network, from its weight file (already checked by its hash)."""
    return sface(weights) if name == "sface" else mtcnn(name, weights)


# (kernel, stride) of the pooling after each convolution, and the heads: (layer of the logits, other outputs).
_POOLS: dict[str, list[tuple[int, int] | None]] = {
    "pnet": [(2, 2), None, None],
    "rnet": [(3, 2), (3, 2), None],
    "onet": [(3, 2), (3, 2), (2, 2), None],
}
_HEADS = {
    "pnet": ("conv4_1", {"regression": "conv4_2"}),
    "rnet": ("dense5_1", {"regression": "dense5_2"}),
    "onet": ("dense6_1", {"regression": "dense6_2", "landmarks": "dense6_3"}),
}
_SIZES = {"pnet": None, "rnet": 24, "onet": 48}


def mtcnn(name: str, weights: Path) -> ModelProto:
    """P-, R- or O-Net (Zhang et al., "Joint Face Detection and Alignment using Multi-task Cascaded
    Convolutional Networks", 2016) with the weights of facenet-pytorch.

    Outputs: "regression" [N, 4, h, w] or [N, 4], for O-Net "landmarks" [N, 10] (five x, then five y), and
    last "probability" of a face [N, 1, h, w] or [N, 1].
    """
    import torch

    state = {k: v.numpy() for k, v in torch.load(weights, map_location="cpu", weights_only=True).items()}
    graph = _Graph()
    x, size = "picture", _SIZES[name]
    for index, pool in enumerate(_POOLS[name], start=1):
        w, b = state[f"conv{index}.weight"], state[f"conv{index}.bias"]
        if index == 1:  # no padding here, so the shift by 127.5 goes into the bias exactly
            b = b - 127.5 / 128 * w.sum((1, 2, 3), dtype=np.float64)
            w = w / 128
        x = graph.add("Conv", x, w, b)
        x = graph.add("PRelu", x, state[f"prelu{index}.weight"][:, None, None])
        if pool:
            kernel, stride = pool
            x = graph.add("MaxPool", x, kernel_shape=[kernel] * 2, strides=[stride] * 2, ceil_mode=1)
    if size:
        last = len(_POOLS[name]) + 1
        dense = state[f"dense{last}.weight"]
        channels = state[f"conv{last - 1}.bias"].size
        side = int(np.sqrt(dense.shape[1] / channels))
        # The weights expect (W, H, C) as Caffe's column-major Matlab had it; ONNX flattens (C, H, W).
        dense = dense.reshape(-1, side, side, channels).transpose(0, 3, 2, 1).reshape(len(dense), -1)
        x = graph.add("Gemm", graph.add("Flatten", x, axis=1), dense, state[f"dense{last}.bias"], transB=1)
        x = graph.add("PRelu", x, state[f"prelu{last}.weight"])
    logits, others = _HEADS[name]
    operator: dict[str, Any] = {"op": "Gemm", "transB": 1} if size else {"op": "Conv"}
    for output, layer in others.items():
        graph.add(inputs=x, w=state[f"{layer}.weight"], b=state[f"{layer}.bias"], output=output, **operator)
    w, b = state[f"{logits}.weight"], state[f"{logits}.bias"]
    x = graph.add(inputs=x, w=w[1:] - w[:1], b=b[1:] - b[:1], **operator)
    graph.add("Sigmoid", x, output="probability")
    return graph.model(name, [*others, "probability"], [None, 3, size, size])


def sface(weights: Path) -> ModelProto:
    """SFace (Zhong et al., "SFace: Sigmoid-Constrained Hypersphere Loss for Robust Face Recognition", 2021)
    from OpenCV Zoo's block-quantised file: weights in float32, batch axis dynamic.

    The original loads in few runtimes: it lists folded weights as inputs. Each node whose inputs are all
    constant is computed here once. Input [N, 3, 112, 112], recognition frame; output "embedding" [N, 128],
    not normalised.
    """
    proto = onnx.load(str(weights), load_external_data=False)
    source = proto.graph
    constants = {t.name: numpy_helper.to_array(t) for t in source.initializer}
    aliases: dict[str, str] = {}
    nodes: list[NodeProto] = []
    for node in source.node:
        inputs = [aliases.get(i, i) for i in node.input]
        if node.op_type == "Dropout":  # nothing at inference time
            aliases[node.output[0]] = inputs[0]
        elif all(i in constants for i in inputs):
            constants[node.output[0]] = _evaluate(node, constants, proto.opset_import[0].version)
        else:
            del node.input[:]
            node.input.extend(inputs)
            nodes.append(node)
    used = {i for node in nodes for i in node.input}
    last = aliases.get(source.output[0].name, source.output[0].name)
    names = {source.input[0].name: "picture", last: "embedding"}
    for node in nodes:
        inputs, outputs = list(node.input), list(node.output)
        del node.input[:], node.output[:]
        node.input.extend(names.get(i, i) for i in inputs)
        node.output.extend(names.get(o, o) for o in outputs)
    graph = _Graph()
    graph.nodes = nodes
    graph.weights = [numpy_helper.from_array(v, k) for k, v in constants.items() if k in used]
    return graph.model("sface", ["embedding"], [None, 3, 112, 112])


def _evaluate(node: NodeProto, constants: dict[str, NDArray[Any]], opset: int) -> NDArray[Any]:
    names = list(node.input)
    inputs = [helper.make_tensor_value_info(i, _type(constants[i]), constants[i].shape) for i in names]
    output = helper.make_tensor_value_info(node.output[0], TensorProto.UNDEFINED, None)
    graph = helper.make_graph([node], "fold", inputs, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    results: Any = ReferenceEvaluator(model).run(None, {i: constants[i] for i in names})
    return np.asarray(results[0])


def _type(value: NDArray[Any]) -> int:
    return int(helper.np_dtype_to_tensor_dtype(value.dtype))


class _Graph:
    """Nodes and weights, named in the order in which they are added."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.weights: list[TensorProto] = []

    def add(
        self,
        op: str,
        inputs: str,
        w: NDArray[Any] | None = None,
        b: NDArray[Any] | None = None,
        output: str | None = None,
        **attributes: Any,
    ) -> str:
        """One node on one tensor with up to two weights (stored as float32); returns its output's name."""
        name = f"{op.lower()}{len(self.nodes)}"
        names = [inputs]
        for suffix, value in (("weight", w), ("bias", b)):
            if value is not None:
                names.append(f"{name}.{suffix}")
                self.weights.append(
                    numpy_helper.from_array(np.ascontiguousarray(value, np.float32), names[-1])
                )
        self.nodes.append(helper.make_node(op, names, [output or name], name, **attributes))
        return output or name

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
