"""The gate: an engine whose outputs are not the network's is not used, and the report says why."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from engines import backends, gate
from engines.backends import BACKENDS, Array, Engine, EngineError, Precision, open_engine
from engines.gate.references import FOLDER, inputs_file, inputs_for, reference
from engines.gate.rules import RULES, compare
from engines.models import NETWORKS, WEIGHTS, Model, Shipped, from_file, prepare

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path.home() / ".cache" / "unvizard" / "engines"
NAMES = [n for n, o in NETWORKS.items() if not isinstance(o, Shipped) or (WEIGHTS / o.file).is_file()]


@pytest.fixture(scope="module")
def models() -> dict[str, Model]:
    return prepare(CACHE, NAMES)


@pytest.fixture(autouse=True)
def _without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "nvidia_gpus", lambda: 0)


class Off:
    """A real engine whose outputs are wrong by a factor, as those of a runtime with a fault are."""

    def __init__(self, engine: Engine, factor: float, precision: Precision = Precision.FP32) -> None:
        self._engine, self._factor = engine, factor
        self.info = replace(engine.info, precision=precision.value)

    def __call__(self, batch: Array) -> tuple[Array, ...]:
        return tuple(output * np.float32(self._factor) for output in self._engine(batch))


@pytest.fixture
def bad_openvino(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """OpenVINO with a fault in bf16; gives the precisions that it was opened in."""
    real, opened = BACKENDS["openvino"], list[str]()

    def faulty(model: Model, precision: Precision, threads: int, cache: Path | None) -> Engine:
        opened.append(precision.value)
        engine = real(model, Precision.FP32, threads, cache)
        return Off(engine, 0.8, precision) if precision is Precision.BF16 else engine

    monkeypatch.setitem(BACKENDS, "openvino", faulty)
    yield opened


@pytest.mark.parametrize("name", NAMES)
def test_every_network_of_the_product_has_a_stored_reference_for_its_weights(
    models: dict[str, Model], name: str
) -> None:
    stored = reference(models[name])
    assert stored.origin == "stored", f"run: python -m tools.make_gate {name}"
    assert stored.inputs.dtype == np.uint8 and np.ptp(stored.inputs) > 200
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 700_000


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("name", NAMES)
def test_float32_passes_on_every_runtime(
    models: dict[str, Model], name: str, backend: str, tmp_path: Path
) -> None:
    engine = open_engine(models[name], backend, cache=tmp_path)
    assert engine.info.notes == ()
    (verdict,) = gate.verdicts(tmp_path).values()
    assert verdict.passed and str(verdict)
    assert (verdict.key.model_name, verdict.key.model_sha256) == (name, models[name].sha256)


@pytest.mark.parametrize("name", [name for name in RULES if name in NAMES])
def test_every_rule_finds_outputs_that_are_wrong(models: dict[str, Model], name: str) -> None:
    right = reference(models[name])
    same = compare(name, right.inputs, right.outputs, right.outputs)
    assert all(measure.passed for measure in same)
    rng = np.random.default_rng(4)
    wrong = [o + rng.normal(0, 0.1 * float(np.ptp(o)), o.shape).astype(np.float32) for o in right.outputs]
    assert not all(measure.passed for measure in compare(name, right.inputs, right.outputs, wrong))
    missing = [np.where(o == o.max(), np.nan, o) for o in right.outputs]
    assert [str(m) for m in compare(name, right.inputs, right.outputs, missing)] == [
        f"values that are no numbers {sum(int(np.isnan(o).sum()) for o in missing)}, at most 0 is needed"
    ]
    shorter = [o[:, :-1] for o in right.outputs]
    assert not all(measure.passed for measure in compare(name, right.inputs, right.outputs, shorter))


def test_one_changed_pixel_outside_the_mask_is_enough(models: dict[str, Model]) -> None:
    right = reference(models["unmask"])
    picture, mask = (output.copy() for output in right.outputs)
    n, _, y, x = np.argwhere(mask == 0)[7]
    picture[n, :, y, x] = np.clip(picture[n, :, y, x] + 2, 0, 255) - 1.2
    said = [str(m) for m in compare("unmask", right.inputs, right.outputs, [picture, mask]) if not m.passed]
    assert len(said) == 1 and said[0].startswith("pixels changed outside the mask ")


def test_an_engine_that_fails_is_not_used_and_the_next_precision_is(
    models: dict[str, Model], bad_openvino: list[str], tmp_path: Path
) -> None:
    for backend in ("auto", "openvino"):
        engine = open_engine(models["onet"], backend, "bf16", cache=tmp_path / backend)
        assert (engine.info.backend, engine.info.precision) == ("openvino", "fp32")
        (note,) = engine.info.notes
        assert note.startswith(
            "runs in fp32, because openvino: onet in bf16 differs from the reference: probability off by "
        )
        assert "at most 0.02 is needed" in note
        # What was found is kept: the next start says the same, and tries nothing again.
        assert open_engine(models["onet"], backend, "bf16", cache=tmp_path / backend).info.notes == (note,)
    assert bad_openvino == ["bf16", "fp32"] * 4
    # The length of an embedding does not matter, and its direction is the same.
    engine = open_engine(models["sface"], "openvino", "bf16", cache=tmp_path)
    assert (engine.info.precision, engine.info.notes) == ("bf16", ())


def test_an_engine_that_fails_in_every_precision_gives_way_to_the_next_backend(
    models: dict[str, Model], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    real = BACKENDS["openvino"]
    monkeypatch.setitem(BACKENDS, "openvino", lambda *args: Off(real(*args), 1.5))
    engine = open_engine(models["maskstate"], cache=tmp_path)
    assert engine.info.backend == "onnxruntime"
    (note,) = engine.info.notes
    assert note.startswith(
        "runs on onnxruntime, because openvino: maskstate in fp32 differs from the reference: "
    )
    with pytest.raises(EngineError, match="openvino: maskstate in fp32 differs from the reference"):
        open_engine(models["maskstate"], "openvino", cache=tmp_path)


def test_a_verdict_is_kept_and_taken_anew_when_the_engine_is_compiled_anew(
    models: dict[str, Model], tmp_path: Path
) -> None:
    def taken() -> float:
        open_engine(models["rnet"], "openvino", cache=tmp_path)
        (verdict,) = gate.verdicts(tmp_path).values()
        return verdict.taken_s

    first = taken()
    assert taken() == first
    next(tmp_path.glob("*.engine")).unlink()
    second = taken()
    assert second > first
    next(tmp_path.glob("*.verdict")).write_bytes(b"{")
    assert taken() > second


def test_a_start_with_stored_references_imports_no_torch(models: dict[str, Model], tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from engines.models import prepare\n"
        "import engines.backends as b; b.nvidia_gpus = lambda: 0\n"
        f"m = prepare(Path({str(CACHE)!r}), ['unmask'])['unmask']\n"
        f"e = b.open_engine(m, cache=Path({str(tmp_path)!r}))\n"
        "print(e.info.backend, [x for x in ('torch', 'onnx', 'onnxruntime') if x in sys.modules])"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=50, check=True)
    assert done.stdout.strip() == "openvino []"
    assert len(gate.verdicts(tmp_path)) == 1


def _own_generator(models: dict[str, Model], path: Path) -> Model:
    """The generator with one weight changed: a network that no reference is stored for."""
    proto = onnx.load(str(models["unmask"].path))
    weight = next(w for w in proto.graph.initializer if len(w.dims) == 4)
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * np.float16(0.98), weight.name))
    path.write_bytes(proto.SerializeToString())
    return from_file("unmask", path)


@pytest.mark.parametrize("torch_is_there", [True, False])
def test_a_network_of_ones_own_is_compared_with_what_can_be_computed_now(
    models: dict[str, Model], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, torch_is_there: bool
) -> None:
    own = _own_generator(models, tmp_path / "own.onnx")
    if not torch_is_there:
        monkeypatch.setitem(sys.modules, "torch", None)
        monkeypatch.delitem(sys.modules, "engines.backends.torch_graph", raising=False)
    assert reference(own).origin == ("torch fp32" if torch_is_there else "onnxruntime fp32")
    engine = open_engine(own, "openvino", cache=tmp_path)
    assert engine.info.notes == ()
    (verdict,) = gate.verdicts(tmp_path).values()
    assert verdict.passed and verdict.key.model_sha256 == own.sha256


def test_a_network_of_an_unknown_size_gets_pictures_of_that_size() -> None:
    for shape in ((None, 3, 160, 160), (None, 3, 96, 64)):
        model = Model("other", Path("other.onnx"), "", shape, ("out",))
        assert inputs_for(model).shape[1:] == shape[1:]
    assert inputs_file(Model("other", Path("other.onnx"), "", (None, 3, 160, 160), ())).name == "128.png"
    assert inputs_for(Model("other", Path("other.onnx"), "", (None, 3, None, None), ())).shape == (
        1,
        3,
        128,
        128,
    )
