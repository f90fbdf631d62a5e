"""ONNX graphs from weights that other packages carry: MTCNN's three networks the SFace embedder, and the
single-shot detectors (prepare_detectors.py).

The graphs of MTCNN are written out node by node instead of being traced, so that the same weights give the
same bytes on every machine. What is linear is folded into the weights: the normalisation (x - 127.5) / 128
into the first convolution, and the softmax of two classes into one logit and a sigmoid.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, numpy_helper

from engines.graph import Graph, folded, rename
from engines.prepare_detectors import retinaface, yunet


def network(name: str, weights: Path) -> ModelProto:
    """The graph of one package-borne network, from its weight file (already checked by its hash)."""
    others: dict[str, Callable[[Path], ModelProto]] = {"sface": sface, "ssd": retinaface, "yunet": yunet}
    return others[name](weights) if name in others else mtcnn(name, weights)


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
    graph = Graph()
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
    nodes, constants = folded(proto)
    used = {i for node in nodes for i in node.input}
    rename(nodes, {proto.graph.input[0].name: "picture", proto.graph.output[0].name: "embedding"})
    graph = Graph()
    graph.nodes = nodes
    graph.weights = [numpy_helper.from_array(v, k) for k, v in constants.items() if k in used]
    return graph.model("sface", ["embedding"], [None, 3, 112, 112])
