"""From a trained torch network to the one-file ONNX that is shipped."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

OPSET = 18


def fold_batchnorm(network: nn.Module) -> nn.Module:
    """Each BatchNorm that follows a convolution inside an nn.Sequential becomes part of it. Changes `network`."""
    network.eval()
    for module in network.modules():
        if not isinstance(module, nn.Sequential):
            continue
        layers = list(module.named_children())
        for (name, layer), (norm_name, norm) in pairwise(layers):
            if isinstance(layer, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, name, fuse_conv_bn_eval(layer, norm))
                setattr(module, norm_name, nn.Identity())
    return network


def halve_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Stores large float32 weights as float16 behind a Cast to float32: half the file, float32 arithmetic."""
    graph, casts = model.graph, []
    for tensor in list(graph.initializer):
        if tensor.data_type != TensorProto.FLOAT or int(np.prod(tensor.dims)) < 256:
            continue
        values = numpy_helper.to_array(tensor).astype(np.float16)
        stored = numpy_helper.from_array(values, tensor.name + "_half")
        casts.append(helper.make_node("Cast", [stored.name], [tensor.name], to=TensorProto.FLOAT))
        graph.initializer.remove(tensor)
        graph.initializer.append(stored)
    nodes = list(graph.node)
    del graph.node[:]
    graph.node.extend(casts + nodes)
    return model


def export(
    network: nn.Module, path: Path, input_shape: tuple[int, int, int], outputs: tuple[str, ...], source: str
) -> None:
    """Writes `network` (input "picture" float32 [N, *input_shape], any N) to one ONNX file, atomically.

    source: one line on where the weights come from, kept in the file. Raises onnx.checker.ValidationError
    when the graph is not valid.
    """
    network = fold_batchnorm(network)
    for weight in network.parameters():
        weight.data = weight.data.contiguous()
    axes = {name: {0: "batch"} for name in ("picture", *outputs)}
    draft = path.with_suffix(f".{os.getpid()}.tmp")
    with torch.no_grad():
        torch.onnx.export(
            network,
            (torch.zeros(2, *input_shape),),
            str(draft),
            input_names=["picture"],
            output_names=list(outputs),
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )
    model = halve_weights(onnx.load(str(draft)))
    model.producer_name, model.producer_version, model.doc_string = "unvizard", "", source
    onnx.checker.check_model(model, full_check=True)
    draft.write_bytes(model.SerializeToString(deterministic=True))
    draft.replace(path)
