"""TensorRT without a GPU: every network of the product parses and builds with tensorrt_rtx."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines.backends.engine import EngineError, Precision
from engines.backends.tensorrt import Profile, build
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
        plan = build(rtx, model, precision, Profile.of(model, height or 217, width or 385))
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
    monkeypatch.setattr("engines.backends.tensorrt.read_safely", lambda file, name: onnx.load(str(file)))
    broken = Model("rnet", path, "", (None, 3, 24, 24), ("regression", "probability"))
    with pytest.raises(EngineError, match="tensorrt: rnet does not parse: "):
        build(rtx, broken, Precision.FP32, Profile.of(broken, 24, 24))


def test_the_levels_of_one_pyramid_share_a_plan() -> None:
    pnet = Model("pnet", Path("pnet.onnx"), "", (None, 3, None, None), ("regression", "probability"))
    profile = Profile.of(pnet, 217, 385)
    assert profile == Profile((1, 3, 12, 12), (4, 3, 217, 385), (16, 3, 256, 512))
    assert all(profile.holds((1, 3, h, w)) for h, w in ((217, 385), (154, 273), (12, 21)))
    assert not profile.holds((1, 3, 260, 385)) and not profile.holds((17, 3, 217, 385))


def test_a_fixed_size_has_a_profile_of_batches_only() -> None:
    rnet = Model("rnet", Path("rnet.onnx"), "", (None, 3, 24, 24), ("regression", "probability"))
    assert Profile.of(rnet, 24, 24) == Profile((1, 3, 24, 24), (4, 3, 24, 24), (16, 3, 24, 24))
