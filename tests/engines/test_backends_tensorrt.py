"""TensorRT without a GPU: every network that this project makes parses and builds with tensorrt_rtx."""

from __future__ import annotations

import ast
import inspect
import os
import signal
import threading
from pathlib import Path

import pytest

from engines.backends import tensorrt, tensorrt_plan, tensorrt_run
from engines.backends.engine import EngineError, Precision
from engines.backends.tensorrt_plan import BuildStopped, Profile, build
from engines.models import NETWORKS, WEIGHTS, Model, Shipped, prepare


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Model]:
    names = [n for n, o in NETWORKS.items() if not isinstance(o, Shipped) or (WEIGHTS / o.file).is_file()]
    return prepare(tmp_path_factory.mktemp("models"), names)


@pytest.mark.parametrize("precision", list(Precision))
def test_every_network_parses_and_builds_without_a_gpu(
    models: dict[str, Model], precision: Precision
) -> None:
    rtx = pytest.importorskip("tensorrt_rtx")
    for name, model in models.items():
        height, width = model.input_shape[2:]
        size = (217, 385) if name == "pnet" else (224, 416)
        plan = build(rtx, model, precision, Profile.of(model, height or size[0], width or size[1]))
        assert len(plan) > 10_000, name


def test_a_graph_that_does_not_parse_is_refused_in_the_parsers_words(
    models: dict[str, Model], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rtx = pytest.importorskip("tensorrt_rtx")
    import onnx

    proto = onnx.load(str(models["rnet"].path))
    proto.graph.node[0].op_type = "Det"
    del proto.graph.node[0].input[1:], proto.graph.node[0].attribute[:]
    path = tmp_path / "rnet.onnx"
    path.write_bytes(proto.SerializeToString())
    monkeypatch.setattr("engines.backends.tensorrt_plan.read_safely", lambda file, name: onnx.load(str(file)))
    broken = Model("rnet", path, "", (None, 3, 24, 24), ("regression", "probability"))
    with pytest.raises(EngineError, match="tensorrt: rnet does not parse: "):
        build(rtx, broken, Precision.FP32, Profile.of(broken, 24, 24))


def test_a_size_that_the_network_cannot_have_is_refused_in_the_builders_words(
    models: dict[str, Model],
) -> None:
    rtx = pytest.importorskip("tensorrt_rtx")
    with pytest.raises(
        EngineError, match=r"tensorrt: ssd in fp32 does not build: .*profile 0.*another backend"
    ):
        build(rtx, models["ssd"], Precision.FP32, Profile.of(models["ssd"], 217, 385))


def test_a_build_says_how_far_it_is(models: dict[str, Model]) -> None:
    rtx = pytest.importorskip("tensorrt_rtx")
    told: list[float] = []

    def progress(share: float) -> bool:
        told.append(share)
        return True

    plan = build(rtx, models["onet"], Precision.FP16, Profile.of(models["onet"], 48, 48), progress)
    assert len(plan) > 10_000
    assert told == sorted(told) and 0 < told[0] < 0.5 < told[-1] <= 1 and len(set(told)) > 10


def test_a_build_can_be_stopped_and_leaves_nothing(models: dict[str, Model], tmp_path: Path) -> None:
    rtx = pytest.importorskip("tensorrt_rtx")
    told: list[float] = []

    def progress(share: float) -> bool:
        told.append(share)
        return share < 0.3

    profile = Profile.of(models["onet"], 48, 48)
    with pytest.raises(BuildStopped, match="tensorrt: the build of onet was stopped"):
        build(rtx, models["onet"], Precision.FP32, profile, progress, tmp_path, "a GPU")
    assert told[-1] >= 0.3 and all(share < 0.3 for share in told[:-1])
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_ends_a_build(models: dict[str, Model], tmp_path: Path) -> None:
    rtx = pytest.importorskip("tensorrt_rtx")
    told: list[float] = []

    def progress(share: float) -> bool:
        if not told:
            os.kill(os.getpid(), signal.SIGINT)
        told.append(share)
        return True

    with pytest.raises(KeyboardInterrupt):
        build(rtx, models["sface"], Precision.FP32, Profile.of(models["sface"], 112, 112), progress, tmp_path)
    assert told[-1] < 0.9
    assert "tensorrt build" not in [thread.name for thread in threading.enumerate()]
    assert list(tmp_path.iterdir()) == []


def test_the_levels_of_one_pyramid_share_a_plan() -> None:
    pnet = Model("pnet", Path("pnet.onnx"), "", (None, 3, None, None), ("regression", "probability"))
    profile = Profile.of(pnet, 217, 385)
    assert profile == Profile((1, 3, 12, 12), (4, 3, 217, 385), (16, 3, 256, 512))
    assert all(profile.holds((1, 3, h, w)) for h, w in ((217, 385), (154, 273), (12, 21)))
    assert not profile.holds((1, 3, 260, 385)) and not profile.holds((17, 3, 217, 385))


def test_a_fixed_size_has_a_profile_of_batches_only() -> None:
    rnet = Model("rnet", Path("rnet.onnx"), "", (None, 3, 24, 24), ("regression", "probability"))
    assert Profile.of(rnet, 24, 24) == Profile((1, 3, 24, 24), (4, 3, 24, 24), (16, 3, 24, 24))


_OWNERS = (
    *("Builder", "IBuilderConfig", "INetworkDefinition", "IOptimizationProfile", "OnnxParser", "ParserError"),
    *(
        "Runtime",
        "ICudaEngine",
        "IExecutionContext",
        "IRuntimeConfig",
        "IRuntimeCache",
        "ITimingCache",
        "ITensor",
    ),
    *("IProgressMonitor", "ILogger"),
)
_HANDLES = {"builder", "parser", "network", "config", "shapes", "times", "engine", "context", "settings"}
"""What the adapter calls TensorRT's objects."""


def test_all_that_the_adapter_asks_of_tensorrt_is_there() -> None:
    """What cannot run without a GPU at least calls nothing that the module does not have."""
    rtx = pytest.importorskip("tensorrt_rtx")
    members = {name for owner in _OWNERS for name in dir(getattr(rtx, owner))}
    asked: set[str] = set()
    for source in (tensorrt, tensorrt_plan, tensorrt_run):
        for node in ast.walk(ast.parse(inspect.getsource(source))):
            if not isinstance(node, ast.Attribute):
                continue
            of = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
            if of in _HANDLES:
                assert node.attr in members, f"{of}.{node.attr}"
                asked.add(node.attr)
            if of in ("trt", "_trt") and node.attr not in ("__name__", "__version__"):
                assert hasattr(rtx, node.attr), f"trt.{node.attr}"
                asked.add(node.attr)
    assert {"execute_async_v3", "CudaGraphStrategy", "set_runtime_cache", "create_timing_cache"} <= asked
    assert hasattr(rtx.CudaGraphStrategy, "WHOLE_GRAPH_CAPTURE")
    assert hasattr(rtx.DynamicShapesKernelSpecializationStrategy, "EAGER")
    assert hasattr(rtx.BuilderFlag, "TF32") and hasattr(rtx.MemoryPoolType, "WORKSPACE")
