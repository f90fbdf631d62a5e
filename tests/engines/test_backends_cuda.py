"""What the GPU's backends are made of, as far as it runs on a processor: batch slots, tensors in place, errors."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from engines.backends import open_engine
from engines.backends.cuda import Resident, Slot, Slots, failure, resident, told_apart
from engines.backends.engine import DeviceLost, EngineError, OutOfMemory
from engines.models import Model, prepare

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Model]:
    return prepare(tmp_path_factory.mktemp("models"), ("pnet", "rnet"))


@pytest.fixture(scope="module")
def rnet(models: dict[str, Model]) -> Resident:
    engine = resident(open_engine(models["rnet"], "torch"))
    assert engine is not None
    return engine


def _doubling(made: list[int]) -> Slots:
    """A network that doubles and sums, at 1, 4 and 16 pictures."""

    def make(size: int) -> Slot:
        made.append(size)
        picture = torch.zeros(size, 3, 2, 2)
        outputs = torch.zeros(size, 3, 2, 2), torch.zeros(size, 1)

        def launch() -> tuple[Tensor, ...]:
            outputs[0].copy_(picture * 2)
            outputs[1].copy_(picture.sum((1, 2, 3))[:, None])
            return outputs

        return Slot(picture, launch)

    return Slots((1, 4, 16), make)


@pytest.mark.parametrize(("count", "used"), [(1, [1]), (3, [4]), (4, [4]), (5, [16]), (16, [16]), (37, [16])])
def test_any_number_of_pictures_runs_through_a_few_batch_sizes(count: int, used: list[int]) -> None:
    made: list[int] = []
    slots = _doubling(made)
    batch = torch.rand(count, 3, 2, 2)
    doubled, summed = slots(batch)
    torch.testing.assert_close(doubled, batch * 2)
    torch.testing.assert_close(summed, batch.sum((1, 2, 3))[:, None])
    assert made == used


def test_results_are_the_callers_own_though_a_slots_memory_is_used_again() -> None:
    slots = _doubling([])
    first = torch.rand(3, 3, 2, 2)
    kept, _ = slots(first)
    slots(torch.rand(4, 3, 2, 2))
    torch.testing.assert_close(kept, first * 2)


def test_tensors_and_arrays_get_the_same_answer(models: dict[str, Model], rnet: Resident) -> None:
    batch = np.random.default_rng(0).uniform(0, 255, (3, 3, 24, 24)).astype(np.float32)
    wanted = open_engine(models["rnet"], "torch")(batch)
    for a, b in zip(wanted, rnet.on_device(torch.from_numpy(batch)), strict=True):
        assert b.device == rnet.device and b.dtype == torch.float32
        np.testing.assert_array_equal(a, b.cpu().numpy())


def test_an_engine_that_works_in_the_processors_memory_takes_no_tensors(models: dict[str, Model]) -> None:
    assert resident(open_engine(models["rnet"], "onnxruntime")) is None


def test_too_little_memory_is_told_from_other_failures_and_a_smaller_batch_then_runs(
    models: dict[str, Model],
) -> None:
    program = f"""
import resource
import numpy as np
from pathlib import Path
from engines.backends.engine import OutOfMemory
from engines.backends.torch import TorchEngine
from engines.backends.engine import Precision
from engines.models import Model
model = Model("pnet", Path({str(models["pnet"].path)!r}), "", (None, 3, None, None), ("regression", "probability"))
engine = TorchEngine(model, Precision.FP32, 1)
engine(np.zeros((1, 3, 64, 64), np.float32))
large = np.zeros((1, 3, 3000, 3000), np.float32)
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 200_000_000, -1))
try:
    engine(large)
except OutOfMemory as error:
    print(error)
print(engine(np.zeros((1, 3, 64, 64), np.float32))[1].shape)
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=True)
    said, shape = done.stdout.splitlines()
    assert said.startswith("torch: pnet failed on (1, 3, 3000, 3000): too little memory: ")
    assert shape == "(1, 1, 27, 27)"


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("CUDA out of memory. Tried to allocate 2.00 GiB", OutOfMemory),
        ("IExecutionContext: Error Code 2: OutOfMemory (requested 12 bytes)", OutOfMemory),
        ("CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate", OutOfMemory),
        ("mat1 and mat2 shapes cannot be multiplied", EngineError),
    ],
)
def test_the_runtimes_words_say_what_kind_of_failure_it_is(words: str, kind: type[EngineError]) -> None:
    with pytest.raises(EngineError) as error, told_apart("torch: rnet failed"):
        raise RuntimeError(f"{words}\nat a place")
    assert type(error.value) is kind
    assert str(error.value).endswith(words)


def test_a_gpu_that_repeats_its_error_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver's own behaviour after a fault; no machine can be made to show it on purpose."""

    def faulty() -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    assert type(failure("torch: rnet failed", "CUDA error: invalid argument")) is EngineError
    monkeypatch.setattr(torch.cuda, "synchronize", faulty)
    lost = failure("torch: rnet failed", "CUDA error: an illegal memory access was encountered")
    assert type(lost) is DeviceLost and "the GPU is lost" in str(lost) and "restart" in str(lost)
