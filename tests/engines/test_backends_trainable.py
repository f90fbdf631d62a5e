"""Networks that a user trains and exports: each runs on torch, and parses and builds for TensorRT."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from engines.backends.engine import Precision
from engines.backends.lowering import lower
from engines.backends.tensorrt_plan import Profile, build
from engines.backends.torch_graph import TorchGraph
from engines.masks.network import MaskState, StateNetwork
from engines.models import Model, from_file, prepare, read_safely
from engines.unmasking.autoencoder import Autoencoder
from engines.unmasking.cyclegan import ResnetGenerator, Translate
from engines.unmasking.network import WIDE, WIDE_DILATIONS, Generator, Unmask
from stream.config import Engines
from tools.attributes.networks import Estimate, ResNetClassifier, SmallNetwork
from tools.attributes.resnet import ResNet
from tools.learning.export import export
from tools.metric_learning.training import SmallEmbedder


def _sface() -> Path:
    return prepare(Engines().cache, ["sface"])["sface"].path


TRAINABLE: dict[str, tuple[Callable[[], nn.Module], int, tuple[str, ...]]] = {
    "unmask": (lambda: Unmask(Generator()), 128, ("composite", "mask")),
    "unmask, wide": (lambda: Unmask(Generator(WIDE, WIDE_DILATIONS)), 128, ("composite", "mask")),
    "autoencoder": (lambda: Unmask(Autoencoder()), 128, ("composite", "mask")),
    "cyclegan at 128": (lambda: Translate(ResnetGenerator(6, width=4), 128), 128, ("composite", "mask")),
    "cyclegan at 256": (lambda: Translate(ResnetGenerator(9, width=4), 256), 128, ("composite", "mask")),
    "cyclegan with batch norm": (
        lambda: Translate(ResnetGenerator(6, "batch", 4), 128),
        128,
        ("composite", "mask"),
    ),
    "mask state": (lambda: MaskState(StateNetwork(), 1.2), 80, ("probabilities",)),
    "gender": (lambda: Estimate(SmallNetwork(_sface()), 1.2), 112, ("probabilities",)),
    "gender by a residual network": (
        lambda: Estimate(ResNetClassifier(None, ResNet((1, 1, 1, 1), (4, 8, 8, 16))), 1.2),
        224,
        ("probabilities",),
    ),
    "small embedder": (SmallEmbedder, 112, ("embedding",)),
}
LIMITS = {Precision.FP32: 1e-4, Precision.FP16: 0.02}
"""Differences to ONNX Runtime, in units of the greatest value."""


pytestmark = pytest.mark.filterwarnings(
    "ignore::UserWarning", "ignore::torch.jit.TracerWarning"
)  # of the exporter


@pytest.fixture(scope="module", params=list(TRAINABLE))
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Model:
    make, side, outputs = TRAINABLE[request.param]
    path = tmp_path_factory.mktemp("trained") / "network.onnx"
    torch.manual_seed(0)
    export(make(), path, (3, side, side), outputs, "not trained")
    return from_file(str(request.param), path)


def _picture(side: int) -> NDArray[np.float32]:
    coarse = np.random.default_rng(3).uniform(0, 255, (1, 3, 6, 6)).astype(np.float32)
    return torch.nn.functional.interpolate(torch.from_numpy(coarse), (side, side), mode="bilinear").numpy()


def test_torch_computes_what_onnx_runtime_does_in_both_precisions(model: Model) -> None:
    picture = _picture(model.input_shape[2] or 0)
    session = onnxruntime.InferenceSession(str(model.path), providers=["CPUExecutionProvider"])
    wanted = session.run(None, {"picture": picture})
    proto = read_safely(model.path, model.name)
    for precision, limit in LIMITS.items():
        with torch.inference_mode():
            found = TorchGraph(lower(proto, precision))(torch.from_numpy(picture))
        for a, b in zip(wanted, found, strict=True):
            assert b.dtype == torch.float32
            difference = np.abs(b.numpy() - a)
            assert difference.mean() <= limit * max(np.abs(a).max(), 1)


@pytest.mark.parametrize("precision", list(Precision))
def test_it_parses_and_builds_without_a_gpu(model: Model, precision: Precision) -> None:
    rtx = pytest.importorskip("tensorrt_rtx")
    height, width = model.input_shape[2:]
    assert len(build(rtx, model, precision, Profile.of(model, height or 0, width or 0))) > 10_000


@pytest.mark.parametrize("precision", [Precision.FP16, Precision.BF16])
def test_instance_norm_and_means_over_planes_stay_in_float32(tmp_path: Path, precision: Precision) -> None:
    path = tmp_path / "cyclegan.onnx"
    export(Translate(ResnetGenerator(1, width=4), 128), path, (3, 128, 128), ("composite", "mask"), "")
    lowered = onnx.shape_inference.infer_shapes(lower(read_safely(path, "cyclegan"), precision))
    kinds = {v.name: v.type.tensor_type.elem_type for v in lowered.graph.value_info}
    kinds |= {w.name: w.data_type for w in lowered.graph.initializer}
    half = {Precision.FP16: TensorProto.FLOAT16, Precision.BF16: TensorProto.BFLOAT16}[precision]
    wanted = {"InstanceNormalization": TensorProto.FLOAT, "ReduceMean": TensorProto.FLOAT, "Conv": half}
    counted = dict.fromkeys(wanted, 0)
    for node in lowered.graph.node:
        if node.op_type in wanted:
            counted[node.op_type] += 1
            floats = [
                kinds[name] for name in node.input if name in kinds and kinds[name] != TensorProto.INT64
            ]
            assert set(floats) == {wanted[node.op_type]}, node.name
    assert min(counted.values()) >= 1 and counted["InstanceNormalization"] == 7
    assert [o.type.tensor_type.elem_type for o in lowered.graph.output] == [TensorProto.FLOAT] * 2


def test_a_graph_of_int8_keeps_its_precisions(tmp_path: Path) -> None:
    """Weights by channel, the input by one scale: as onnxruntime.quantization writes it."""
    rng = np.random.default_rng(4)
    constants = {
        "x.scale": np.float32(2.0),
        "x.zero": np.int8(0),
        "w.levels": rng.integers(-127, 128, (8, 3, 3, 3), np.int8),
        "w.scale": rng.uniform(0.001, 0.01, 8).astype(np.float32),
        "w.zero": np.zeros(8, np.int8),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["picture", "x.scale", "x.zero"], ["x.levels"]),
        helper.make_node("DequantizeLinear", ["x.levels", "x.scale", "x.zero"], ["x"]),
        helper.make_node("DequantizeLinear", ["w.levels", "w.scale", "w.zero"], ["w"], axis=0),
        helper.make_node("Conv", ["x", "w"], ["y"], strides=[2, 2]),
        helper.make_node("Relu", ["y"], ["output"]),
    ]
    graph = helper.make_graph(
        nodes,
        "int8",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, ["batch", 3, 32, 32])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch", 8, 15, 15])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    proto.ir_version = 8
    path = tmp_path / "int8.onnx"
    path.write_bytes(proto.SerializeToString())
    picture = _picture(32)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (wanted,) = session.run(None, {"picture": picture})
    for precision in Precision:
        lowered = lower(read_safely(path, "int8"), precision)
        assert [node.op_type for node in lowered.graph.node] == [node.op_type for node in nodes]
        with torch.inference_mode():
            (found,) = TorchGraph(lowered)(torch.from_numpy(picture))
        np.testing.assert_allclose(found.numpy(), wanted, atol=1e-3)
    rtx = pytest.importorskip("tensorrt_rtx")
    model = from_file("int8", path)
    assert len(build(rtx, model, Precision.FP16, Profile.of(model, 32, 32))) > 10_000
