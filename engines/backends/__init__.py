"""One small interface over the runtimes: open_engine() gives a callable Engine for a Model.

No runtime is imported before it is asked for, so that a machine needs only the one that it uses.
"""

from __future__ import annotations

import ctypes
import importlib.util
from collections.abc import Callable
from dataclasses import replace
from functools import cache as once
from pathlib import Path

from engines.backends.engine import Array, Engine, EngineError, EngineInfo, Precision
from engines.models import Model

__all__ = [
    "BACKENDS",
    "Array",
    "Engine",
    "EngineError",
    "EngineInfo",
    "Precision",
    "nvidia_gpus",
    "open_engine",
]


def open_engine(
    model: Model,
    backend: str = "auto",
    precision: str = "fp32",
    threads: int = 1,
    cache: Path | None = None,
) -> Engine:
    """A network, ready to run.

    backend: one of BACKENDS, or "auto": TensorRT when it is installed and there is an NVIDIA GPU, else torch
    on such a GPU, else OpenVINO, else ONNX Runtime; info.notes says which better one was found but failed.
    precision: "fp32", "bf16" or "fp16", of the computation only.
    threads: processor threads that one call may use, >= 1.
    cache: a folder where runtimes keep what they compiled; None for none.
    Raises ValueError for an unknown name, EngineError when the backend cannot run the network here.
    """
    if backend != "auto" and backend not in BACKENDS:
        raise ValueError(f"backend: must be one of auto, {', '.join(BACKENDS)}, found {backend!r}")
    if precision not in list(Precision):
        raise ValueError(f"precision: must be one of {', '.join(Precision)}, found {precision!r}")
    if threads < 1:
        raise ValueError(f"threads: must be at least 1, found {threads}")
    if backend != "auto":
        return BACKENDS[backend](model, Precision(precision), threads, cache)
    failures: list[str] = []
    for candidate in _candidates():
        try:
            engine = BACKENDS[candidate](model, Precision(precision), threads, cache)
            if candidate == "torch" and engine.info.device == "cpu":
                raise EngineError("torch: the torch that is installed cannot use the GPU")
        except EngineError as error:
            failures.append(str(error))
            continue
        return _Noted(engine, failures) if failures else engine
    raise EngineError(
        f"auto: no runtime can run {model.name}: {' | '.join(failures) or 'none is installed'}; "
        "run: pip install openvino"
    )


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


class _Noted:
    """An engine that stands in for better ones, with the reasons in its info."""

    def __init__(self, engine: Engine, failures: list[str]) -> None:
        self._engine = engine
        notes = tuple(f"runs on {engine.info.backend}, because {failure}" for failure in failures)
        self.info = replace(engine.info, notes=notes)

    def __call__(self, batch: Array) -> tuple[Array, ...]:
        return self._engine(batch)


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
