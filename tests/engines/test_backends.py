"""The runtimes behind open_engine(): they agree, and say clearly what they cannot do."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from engines import backends
from engines.backends import Engine, EngineError, Precision, open_engine
from engines.backends.lowering import lower
from engines.backends.openvino import computes_in
from engines.backends.torch_graph import TorchGraph
from engines.models import Model, prepare, read_safely

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("pnet", "rnet", "onet", "sface")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Model]:
    return prepare(tmp_path_factory.mktemp("models"), NAMES)


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def _batch(model: Model, count: int, height: int = 40, width: int = 61) -> NDArray[np.float32]:
    """Smooth pictures: neighbouring pixels of real ones are alike, and noise makes networks answer nothing."""
    shape = (count, 3, model.input_shape[2] or height, model.input_shape[3] or width)
    coarse = np.random.default_rng(3).uniform(0, 255, (count, 3, 6, 6)).astype(np.float32)
    return torch.nn.functional.interpolate(
        torch.from_numpy(coarse), shape[2:], mode="bilinear", align_corners=True
    ).numpy()


def test_auto_computes_in_bf16_where_the_processor_does_and_the_network_bears_it(
    models: dict[str, Model],
) -> None:
    narrow = "bf16" if computes_in(Precision.BF16) else "fp32"
    found = {name: open_engine(models[name], "openvino", "auto").info for name in NAMES}
    assert {name: info.precision for name, info in found.items()} == {
        "pnet": "fp32",
        "rnet": narrow,
        "onet": narrow,
        "sface": narrow,
    }
    assert open_engine(models["sface"], "onnxruntime", "auto").info.precision == "fp32"
    assert not any(info.notes for info in found.values())


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("name", NAMES)
def test_every_runtime_agrees_with_torch(models: dict[str, Model], name: str, backend: str) -> None:
    reference, engine = open_engine(models[name], "torch"), open_engine(models[name], backend)
    assert (engine.info.backend, engine.info.precision) == (backend, "fp32")
    assert engine.info.model_sha256 == models[name].sha256
    for count in (1, 5, 2):
        batch = _batch(models[name], count)
        wanted, found = reference(batch), engine(batch)
        assert len(found) == len(models[name].outputs)
        for a, b in zip(wanted, found, strict=True):
            assert b.dtype == np.float32 and len(b) == count
            np.testing.assert_allclose(b, a, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime", "torch"])
def test_pnet_takes_pictures_of_any_size(models: dict[str, Model], backend: str) -> None:
    engine = open_engine(models["pnet"], backend)
    for height, width in ((12, 12), (33, 50), (12, 13), (64, 21)):
        regression, probability = engine(_batch(models["pnet"], 2, height, width))
        cells = -(-(height - 2) // 2) - 4, -(-(width - 2) // 2) - 4
        assert regression.shape == (2, 4, *cells) and probability.shape == (2, 1, *cells)
        assert 0 <= probability.min() <= probability.max() <= 1


def test_results_stay_when_the_engine_runs_again(models: dict[str, Model]) -> None:
    engine = open_engine(models["rnet"], "openvino")
    batch = _batch(models["rnet"], 3)
    first = engine(batch)
    before = [output.copy() for output in first]
    engine(255 - batch)
    for a, b in zip(before, first, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_batch_of_the_wrong_shape_or_type_is_refused(models: dict[str, Model]) -> None:
    engine = open_engine(models["rnet"], "openvino")
    for batch, found in (
        (np.zeros((1, 3, 48, 48), np.float32), "float32 [1, 3, 48, 48]"),
        (np.zeros((3, 24, 24), np.float32), "float32 [3, 24, 24]"),
        (np.zeros((0, 3, 24, 24), np.float32), "float32 [0, 3, 24, 24]"),
        (np.zeros((1, 3, 24, 24), np.uint8), "uint8 [1, 3, 24, 24]"),
    ):
        with pytest.raises(ValueError) as error:
            engine(batch)
        assert str(error.value) == f"rnet: a batch must be float32 [any, 3, 24, 24], found {found}"


def test_without_a_gpu_auto_is_openvino_and_torch_is_never_imported(models: dict[str, Model]) -> None:
    program = (
        "import sys, engines.backends as b; from engines.models import Model; from pathlib import Path\n"
        "b.nvidia_gpus = lambda: 0\n"
        f"e = b.open_engine(Model('rnet', Path({str(models['rnet'].path)!r}), '', (None, 3, 24, 24), ()))\n"
        "print(e.info.backend, e.info.notes, 'torch' in sys.modules, 'onnxruntime' in sys.modules)"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=50, check=True)
    assert done.stdout.strip() == "openvino () False False"


def test_a_fall_back_says_what_it_stands_in_for(
    models: dict[str, Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> Engine:
        raise EngineError("openvino: rnet does not compile: out of luck; choose backend onnxruntime")

    monkeypatch.setattr(backends, "nvidia_gpus", lambda: 0)
    monkeypatch.setitem(backends.BACKENDS, "openvino", broken)
    engine = open_engine(models["rnet"])
    assert engine.info.backend == "onnxruntime"
    assert engine.info.notes == (
        "runs on onnxruntime, because openvino: rnet does not compile: out of luck; choose backend onnxruntime",
    )
    assert len(engine(_batch(models["rnet"], 2))[0]) == 2


@pytest.mark.skipif(backends.nvidia_gpus() > 0, reason="this machine has an NVIDIA GPU")
def test_tensorrt_without_a_gpu_says_what_to_do_instead(models: dict[str, Model]) -> None:
    with pytest.raises(EngineError, match=r"^tensorrt: .*(pip install tensorrt-rtx|choose backend openvino)"):
        open_engine(models["rnet"], "tensorrt")


def test_names_that_are_unknown_are_refused(models: dict[str, Model]) -> None:
    with pytest.raises(ValueError) as error:
        open_engine(models["rnet"], "caffe")
    assert str(error.value) == (
        "backend: must be one of auto, tensorrt, torch, openvino, onnxruntime, found 'caffe'"
    )
    with pytest.raises(ValueError, match="precision: must be one of auto, fp32, bf16, fp16, found 'int3'"):
        open_engine(models["rnet"], "openvino", "int3")
    with pytest.raises(ValueError, match="threads: must be at least 1, found 0"):
        open_engine(models["rnet"], "openvino", threads=0)
    with pytest.raises(EngineError, match="onnxruntime: rnet runs in fp32 only, found fp16"):
        open_engine(models["rnet"], "onnxruntime", "fp16")


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime", "torch"])
def test_a_file_that_is_no_network_is_an_engine_error_or_a_model_error(tmp_path: Path, backend: str) -> None:
    path = tmp_path / "rnet.onnx"
    path.write_bytes(b"not a network")
    with pytest.raises(RuntimeError, match="rnet"):
        open_engine(Model("rnet", path, "", (None, 3, 24, 24), ("probability",)), backend)


def test_a_damaged_compiled_engine_is_compiled_again(models: dict[str, Model], tmp_path: Path) -> None:
    batch = _batch(models["onet"], 4)
    wanted = open_engine(models["onet"], "openvino", cache=tmp_path)(batch)
    (compiled,) = tmp_path.glob("*.engine")
    whole = compiled.read_bytes()
    for damaged in (
        whole[:-5000],
        whole[: len(whole) // 2] + bytes(200) + whole[len(whole) // 2 + 200 :],
        b"",
    ):
        compiled.write_bytes(damaged)
        for a, b in zip(wanted, open_engine(models["onet"], "openvino", cache=tmp_path)(batch), strict=True):
            np.testing.assert_array_equal(a, b)
        assert len(compiled.read_bytes()) > 0.99 * len(whole)
        assert compiled.read_bytes() != damaged


def test_a_compiled_engine_is_used_again(models: dict[str, Model], tmp_path: Path) -> None:
    open_engine(models["onet"], "openvino", cache=tmp_path)
    (compiled,) = tmp_path.glob("*.engine")
    before = compiled.stat().st_mtime_ns
    engine = open_engine(models["onet"], "openvino", cache=tmp_path)
    assert compiled.stat().st_mtime_ns == before
    batch = _batch(models["onet"], 2)
    for a, b in zip(open_engine(models["onet"], "openvino")(batch), engine(batch), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("precision", list(Precision))
@pytest.mark.parametrize("name", NAMES)
def test_a_lowered_graph_is_the_same_network(
    models: dict[str, Model], name: str, precision: Precision
) -> None:
    proto = read_safely(models[name].path, name)
    batch = torch.from_numpy(_batch(models[name], 2))
    with torch.inference_mode():
        wanted = TorchGraph(proto)(batch)
        found = TorchGraph(lower(proto, precision))(batch)
    for a, b in zip(wanted, found, strict=True):
        assert b.dtype == torch.float32
        scale = float(a.abs().max())
        limit = {Precision.FP32: 1e-6, Precision.FP16: 0.01, Precision.BF16: 0.08}[precision]
        assert float((a - b).abs().max()) <= limit * max(scale, 1.0)
