"""One small interface over the runtimes: open_engine() gives a callable Engine for a Model.

No runtime is imported before it is asked for, so that a machine needs only the one that it uses.
"""

from __future__ import annotations

import ctypes
import importlib.util
from collections.abc import Callable
from functools import cache as once
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from engines.backends.engine import (
    Array,
    DeviceLost,
    Engine,
    EngineError,
    EngineInfo,
    NotFaithful,
    OutOfMemory,
    Precision,
)
from engines.backends.serving import Building, Opener, ServingEngine
from engines.cache import holds, watching
from engines.models import Model

if TYPE_CHECKING:
    from engines.gate import Verdict

__all__ = [
    "BACKENDS",
    "Array",
    "Building",
    "DeviceLost",
    "Engine",
    "EngineError",
    "EngineInfo",
    "NotFaithful",
    "OutOfMemory",
    "Precision",
    "nvidia_gpus",
    "open_engine",
    "place",
    "verify_engine",
]

_ON_GPU = ("tensorrt", "torch")
_SLOW = ("tensorrt",)
"""Backends that take minutes to build an engine."""

_NARROW = (
    "rnet",
    "onet",
    "unmask",
    "sface",
    "sface-masked",
    "landmarks",
    "maskstate",
    "gender",
)
"""Networks that "auto" runs in bf16 on a processor that computes in it: .6 to .75 of the time, and nothing lost that
counts (python -m tools.benchmark precision; of the detectors, python -m tools.evaluate_detection). P-Net stays in
float32, since it finds other faces in bf16, and so does YuNet. Authenticity too: its probabilities move by up to .03.
"""


def open_engine(
    model: Model,
    backend: str = "auto",
    precision: str = "fp32",
    threads: int = 1,
    cache: Path | None = None,
    building: Building = Building.NOW,
) -> Engine:
    """A network, ready to run.

    backend: one of BACKENDS, or "auto": TensorRT when it is installed and there is an NVIDIA GPU, else torch
    on such a GPU, else OpenVINO, else ONNX Runtime; info.notes says which better one was found but failed.
    precision: "fp32", "bf16" or "fp16", of the computation only; "auto": bf16 where the network loses nothing by it
    and the processor computes in it, else float32.
    threads: processor threads that one call may use, >= 1.
    cache: a folder where runtimes keep what they compiled, and the gate its verdicts. An engine that the gate
    refuses is passed over: the next precision serves, then the next backend. None: nothing is kept, nothing tried.
    building: what to do about an engine that takes minutes to build.
    Raises ValueError for an unknown name, EngineError when the backend cannot run the network here.
    """
    if backend != "auto" and backend not in BACKENDS:
        raise ValueError(f"backend: must be one of auto, {', '.join(BACKENDS)}, found {backend!r}")
    if precision != "auto" and precision not in list(Precision):
        raise ValueError(f"precision: must be one of auto, {', '.join(Precision)}, found {precision!r}")
    if threads < 1:
        raise ValueError(f"threads: must be at least 1, found {threads}")
    auto = backend == "auto"
    openers = [
        Opener(
            name,
            kind.value,
            "gpu" if name in _ON_GPU and nvidia_gpus() else "cpu",
            name in _SLOW and not holds(cache, model.name, model.sha256, name, kind),
            partial(_open, model, name, kind, threads, cache, auto),
        )
        for name in (_candidates() if auto else [backend])
        for kind in _precisions(precision, model, name)
    ]
    return ServingEngine(model.name, openers, building, strict=not auto)


def _precisions(wanted: str, model: Model, backend: str) -> tuple[Precision, ...]:
    """Those that are tried with a backend, best first."""
    if wanted == "auto":
        narrow = backend == "openvino" and model.name in _NARROW and _computes_in_bf16()
        wanted = Precision.BF16 if narrow else Precision.FP32
    return tuple(dict.fromkeys((Precision(wanted), Precision.FP32)))


@once
def _computes_in_bf16() -> bool:
    if not _installed("openvino"):
        return False
    from engines.backends.openvino import computes_in

    return computes_in(Precision.BF16)


@once
def place(backend: str) -> tuple[str, str]:
    """Runtime (name and version) and device, as the cache knows them. Raises EngineError where it cannot run."""
    if backend == "tensorrt":
        import engines.backends.tensorrt as gpu

        return gpu.place()
    _require(backend, backend, f"run: pip install {backend}")
    if backend == "openvino":
        import engines.backends.openvino as cpu

        return cpu.place()
    version = f"{backend} {importlib.import_module(backend).__version__}"
    return version, "cpu" if backend == "onnxruntime" else _torch_device()


def verify_engine(model: Model, backend: str, precision: str, threads: int, cache: Path) -> Verdict:
    """What the gate finds of an engine now, whatever it found before. Raises EngineError when it does not run."""
    from engines.gate import tried

    engine = BACKENDS[backend](model, Precision(precision), threads, cache)
    return tried(engine, model, place(backend)[0], cache)


def _open(
    model: Model, backend: str, precision: Precision, threads: int, cache: Path | None, auto: bool
) -> Engine:
    """One engine, let through by the gate where there is a cache."""
    with watching() as dealings:
        engine = BACKENDS[backend](model, precision, threads, cache)
    on_cpu = backend == "torch" and engine.info.device == "cpu"
    if on_cpu and auto:
        raise EngineError("torch: the torch that is installed cannot use the GPU")
    if cache is not None and not on_cpu:  # torch in float32 on the processor is the reference itself
        from engines.gate import admit

        admit(engine, model, place(backend)[0], cache, dealings.compiled)
    return engine


def nvidia_gpus() -> int:
    """How many NVIDIA GPUs the driver offers to this process; 0 without a driver. Loads no runtime."""
    return _nvidia_gpus()


@once
def _nvidia_gpus() -> int:
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value


def _candidates() -> list[str]:
    gpu = nvidia_gpus() > 0
    found = {
        "tensorrt": gpu and (_installed("tensorrt") or _installed("tensorrt_rtx")),
        "torch": gpu and _installed("torch"),
        "openvino": _installed("openvino"),
        "onnxruntime": _installed("onnxruntime"),
    }
    return [name for name, present in found.items() if present]


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _require(backend: str, module: str, remedy: str) -> None:
    if not _installed(module):
        raise EngineError(f"{backend}: the module {module} is not installed; {remedy}")


def _openvino(model: Model, precision: Precision, threads: int, cache: Path | None) -> Engine:
    _require("openvino", "openvino", "run: pip install openvino")
    from engines.backends.openvino import OpenVinoEngine

    return OpenVinoEngine(model, precision, threads, cache)


def _onnxruntime(model: Model, precision: Precision, threads: int, cache: Path | None) -> Engine:
    _require("onnxruntime", "onnxruntime", "run: pip install onnxruntime")
    from engines.backends.onnxruntime import OnnxRuntimeEngine

    return OnnxRuntimeEngine(model, precision, threads)


def _torch_device() -> str:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"


def _torch(model: Model, precision: Precision, threads: int, cache: Path | None) -> Engine:
    _require("torch", "torch", "run: pip install torch")
    from engines.backends.torch import TorchEngine

    return TorchEngine(model, precision, threads)


def _tensorrt(model: Model, precision: Precision, threads: int, cache: Path | None) -> Engine:
    from engines.backends.tensorrt import TensorRtEngine

    return TensorRtEngine(model, precision, cache)


BACKENDS: dict[str, Callable[[Model, Precision, int, Path | None], Engine]] = {
    "tensorrt": _tensorrt,
    "torch": _torch,
    "openvino": _openvino,
    "onnxruntime": _onnxruntime,
}
