"""Engines that go on: while a better one is built, when memory is short, and when a device is lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engines import backends
from engines.backends import (
    BACKENDS,
    Array,
    Building,
    DeviceLost,
    Engine,
    EngineError,
    OutOfMemory,
    Precision,
    open_engine,
)
from engines.models import Model, prepare

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path.home() / ".cache" / "unvizard" / "engines"
PATIENCE_S = 30.0


@pytest.fixture(scope="module")
def rnet() -> Model:
    return prepare(CACHE, ["rnet"])["rnet"]


@pytest.fixture
def batch() -> Array:
    return np.random.default_rng(5).uniform(0, 255, (13, 3, 24, 24)).astype(np.float32)


class Gpu:
    """A real ONNX Runtime engine that stands for one on a GPU: with so much memory, and lost at some call.

    room: the most pictures a batch may have. lost_at: the number of the call, from 0 on, at which the device is gone.
    """

    def __init__(self, model: Model, precision: Precision, room: int = 999, lost_at: int = -1) -> None:
        self._engine = BACKENDS["onnxruntime"](model, Precision.FP32, 1, None)
        self.info = replace(self._engine.info, backend="tensorrt", device="GPU", precision=precision.value)
        self.room, self.lost_at = room, lost_at
        self.batches: list[int] = []

    def __call__(self, batch: Array) -> tuple[Array, ...]:
        self.batches.append(len(batch))
        if len(self.batches) > self.lost_at >= 0:
            raise DeviceLost("tensorrt: rnet failed: the GPU is lost: unspecified launch failure")
        if len(batch) > self.room:
            raise OutOfMemory(f"tensorrt: rnet failed on {batch.shape}: too little memory")
        return self._engine(batch)


Offer = Callable[[str, Callable[[Model, Precision], Engine]], None]


@pytest.fixture
def offer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Offer]:
    """Puts an engine in a backend's place on a machine that has a GPU, as far as anybody can tell."""
    names = ["openvino"]

    def put(name: str, opened: Callable[[Model, Precision], Engine]) -> None:
        monkeypatch.setitem(BACKENDS, name, lambda model, precision, threads, cache: opened(model, precision))
        if name not in names:
            names.insert(len(names) - 1, name)

    monkeypatch.setattr(backends, "nvidia_gpus", lambda: 1)
    monkeypatch.setattr(backends, "_candidates", lambda: list(names))
    yield put


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.005)


def test_a_build_in_progress_serves_on_the_fall_back_and_swaps_without_a_gap(
    rnet: Model, batch: Array, offer: Offer
) -> None:
    may_end, began = threading.Event(), threading.Event()

    def slowly(model: Model, precision: Precision) -> Engine:
        began.set()
        assert may_end.wait(PATIENCE_S)
        return Gpu(model, precision)

    offer("tensorrt", slowly)
    engine = open_engine(rnet, building=Building.BEHIND)
    assert began.wait(PATIENCE_S)
    assert engine.info.backend == "openvino"
    assert engine.info.notes == ("rnet: tensorrt (fp32) is being built; openvino (fp32) serves meanwhile",)
    wanted = {
        name: BACKENDS[name](rnet, Precision.FP32, 1, None)(batch) for name in ("openvino", "onnxruntime")
    }
    assert any(np.any(a != b) for a, b in zip(*wanted.values(), strict=True))  # to tell who has answered
    served: list[str] = []

    def once() -> bool:
        outputs = engine(batch)
        by = [
            name
            for name, expected in wanted.items()
            if all(np.array_equal(a, b) for a, b in zip(outputs, expected, strict=True))
        ]
        assert by  # each batch is one backend's, whole
        served.append(by[0])
        return len(served) >= 10

    _until(once)
    may_end.set()
    _until(lambda: once() and served[-1] == "onnxruntime")
    for _ in range(5):
        once()
    change = served.index("onnxruntime")
    assert change >= 10
    assert set(served[:change]) == {"openvino"} and set(served[change:]) == {"onnxruntime"}
    assert (engine.info.backend, engine.info.notes) == ("tensorrt", ())


def test_a_build_that_fails_behind_is_a_note(rnet: Model, batch: Array, offer: Offer) -> None:
    def fails(model: Model, precision: Precision) -> Engine:
        raise EngineError("tensorrt: rnet does not build: no tactic; choose another backend")

    offer("tensorrt", fails)
    engine = open_engine(rnet, building=Building.BEHIND)

    def told() -> bool:
        assert len(engine(batch)[0]) == 13
        return engine.info.notes == (
            "runs on openvino, because tensorrt: rnet does not build: no tactic; choose another backend",
        )

    _until(told)


def test_what_another_process_will_build_is_left_alone(rnet: Model, offer: Offer) -> None:
    offer("tensorrt", lambda model, precision: pytest.fail("was opened"))
    engine = open_engine(rnet, building=Building.LATER)
    assert (engine.info.backend, engine.info.notes) == ("openvino", ())


def test_a_build_is_waited_for_where_nobody_serves_meanwhile(rnet: Model, batch: Array, offer: Offer) -> None:
    offer("tensorrt", Gpu)
    assert open_engine(rnet, building=Building.NOW).info.backend == "tensorrt"


def test_a_new_picture_size_is_built_for_behind(rnet: Model, batch: Array, offer: Offer) -> None:
    may_end = threading.Event()

    class Sized(Gpu):
        prepared: tuple[int, ...] = (1, 3, 24, 24)
        used = False

        def ready(self, shape: tuple[int, ...]) -> bool:
            return len(batch) != shape[0] or self.prepared == shape

        def prepare(self, shape: tuple[int, ...]) -> None:
            assert may_end.wait(PATIENCE_S)
            self.prepared = shape

    offer("tensorrt", Sized)
    engine = open_engine(rnet, building=Building.BEHIND)
    _until(lambda: engine(batch[:2])[0].shape == (2, 4) and engine.info.backend == "tensorrt")
    assert len(engine(batch)[0]) == 13
    assert engine.info.backend == "openvino"
    assert engine.info.notes == ("rnet: tensorrt (fp32) is being built; openvino (fp32) serves meanwhile",)
    may_end.set()
    _until(lambda: len(engine(batch)[0]) == 13 and engine.info.backend == "tensorrt")
    assert engine.info.notes == ()


def test_a_device_lost_in_mid_run_loses_no_batch_and_takes_its_engines_along(
    rnet: Model, batch: Array, offer: Offer
) -> None:
    gpu = Gpu(rnet, Precision.FP32, lost_at=3)
    offer("tensorrt", lambda model, precision: gpu)
    offer("torch", lambda model, precision: pytest.fail("the same GPU is asked again"))
    engine = open_engine(rnet)
    wanted = BACKENDS["onnxruntime"](rnet, Precision.FP32, 1, None)(batch)
    for number in range(6):
        for a, b in zip(engine(batch), wanted, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-5)
        assert engine.info.backend == ("tensorrt" if number < 3 else "openvino")
    assert gpu.batches == [13] * 4
    assert engine.info.notes == (
        "runs on openvino, because tensorrt: rnet failed: the GPU is lost: unspecified launch failure",
    )


def test_without_memory_the_batch_halves_and_every_picture_is_answered_in_order(
    rnet: Model, batch: Array, offer: Offer
) -> None:
    gpu = Gpu(rnet, Precision.FP32, room=3)
    offer("tensorrt", lambda model, precision: gpu)
    engine = open_engine(rnet)
    wanted = BACKENDS["onnxruntime"](rnet, Precision.FP32, 1, None)(batch)
    for _ in range(2):
        for a, b in zip(engine(batch), wanted, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-5)
    assert gpu.batches == [13, 6, 3, 3, 3, 3, 1] + [3, 3, 3, 3, 1]  # learnt once
    assert engine.info.backend == "tensorrt"
    assert engine.info.notes == (
        "rnet: batches are cut to 3, because tensorrt: rnet failed on (6, 3, 24, 24): too little memory",
    )


def test_without_memory_for_one_picture_the_next_backend_takes_over(
    rnet: Model, batch: Array, offer: Offer
) -> None:
    gpu = Gpu(rnet, Precision.FP32, room=0)
    offer("tensorrt", lambda model, precision: gpu)
    engine = open_engine(rnet)
    assert len(engine(batch)[0]) == 13
    assert gpu.batches == [13, 6, 3, 1]
    assert engine.info.backend == "openvino"
    assert engine.info.notes == (
        "runs on openvino, because tensorrt: rnet failed on (1, 3, 24, 24): too little memory",
    )


def test_with_a_backend_that_was_named_a_lost_device_is_an_error(
    rnet: Model, batch: Array, offer: Offer
) -> None:
    offer("tensorrt", lambda model, precision: Gpu(model, precision, lost_at=1))
    engine = open_engine(rnet, "tensorrt")
    assert len(engine(batch)[0]) == 13
    with pytest.raises(DeviceLost, match="tensorrt: rnet failed: the GPU is lost"):
        engine(batch)


def test_when_nothing_is_left_every_reason_is_told(rnet: Model, batch: Array, offer: Offer) -> None:
    offer("tensorrt", lambda model, precision: Gpu(model, precision, lost_at=1))

    def broken(model: Model, precision: Precision) -> Engine:
        raise ImportError("libopenvino.so.2650: cannot open shared object file")

    offer("openvino", broken)
    engine = open_engine(rnet)
    engine(batch)
    with pytest.raises(EngineError) as error:
        engine(batch)
    assert str(error.value) == (
        "auto: no runtime can run rnet: tensorrt: rnet failed: the GPU is lost: unspecified launch failure | "
        "openvino: rnet does not open: ImportError('libopenvino.so.2650: cannot open shared object file'); "
        "run: pip install openvino"
    )


def test_a_wrong_batch_is_the_callers_error_and_no_reason_to_fall_back(rnet: Model, offer: Offer) -> None:
    offer("tensorrt", Gpu)
    engine = open_engine(rnet)
    with pytest.raises(ValueError, match="rnet: a batch must be float32"):
        engine(np.zeros((2, 3, 48, 48), np.float32))
    assert (engine.info.backend, engine.info.notes) == ("tensorrt", ())
