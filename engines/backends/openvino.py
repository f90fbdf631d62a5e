"""OpenVINO: the default on processors without an NVIDIA GPU.

Each network is compiled once with dynamic shapes. Measured on two AVX-512 cores with one thread: P-Net over
the nine levels of 384 x 216 takes 9.5 ms so and 8.9 ms with one static engine a level, but those cost 165 ms
to compile for each picture size.

For every shape that a dynamic network has seen, OpenVINO keeps kernels: R-Net, run with all batches of 1 to 400
crops, grew the process by 240 MB. So batches of crops are cut and padded to a few sizes.
"""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from typing import Any

# Importing openvino makes openvino_telemetry fork this process to send usage statistics: a copy of a process
# with threads can hang for ever, and nothing here talks to the network unasked. Without the module, openvino
# uses its own silent stand-in.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

import numpy as np  # noqa: E402
import openvino  # noqa: E402

from engines.backends.engine import (  # noqa: E402
    Array,
    EngineError,
    EngineInfo,
    OutOfMemory,
    Precision,
    checked,
)
from engines.cache import EngineKey, load, save  # noqa: E402
from engines.models import Model  # noqa: E402

_PRECISIONS = {
    Precision.FP32: ("f32", "FP32"),
    Precision.BF16: ("bf16", "BF16"),
    Precision.FP16: ("f16", "FP16"),
}
_DEVICE = "CPU"
_NO_MEMORY = ("bad_alloc", "out of memory", "could not create a memory")
_SIZES = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 40, 48, 64)
"""Batches that are run: a quarter too large at worst, and 64 crops are as fast each as more."""


class _SignalStack(ctypes.Structure):
    """stack_t of sigaltstack(2)."""

    _fields_ = (("start", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


_DISABLE = 2  # SS_DISABLE


def _take_back_signal_stack() -> None:
    """Let signal handlers of this thread run on its ordinary stack again.

    Loading its CPU plugin, OpenVINO gives the thread a signal stack of 11.5 KB. Python's handlers run on it, and
    where registers are wide (AVX-512) they overflow it: without this, Ctrl-C ends in a segmentation fault.
    """
    ctypes.CDLL(None).sigaltstack(ctypes.byref(_SignalStack(None, _DISABLE, 0)), None)


class OpenVinoEngine:
    """One network compiled for this processor; Engine has the interface.

    cache: a folder for compiled networks (SFace: 75 instead of 270 ms to start), or None for none.
    Raises EngineError when the precision is not one that this processor has, or the graph does not compile.
    """

    def __init__(self, model: Model, precision: Precision, threads: int, cache: Path | None) -> None:
        hint, capability = _PRECISIONS[precision]
        core = openvino.Core()
        able = _able(core)
        if capability not in able:
            raise EngineError(
                f"openvino: {model.name} in {precision} needs a processor with {capability}, this one has "
                f"{', '.join(able)}; choose precision fp32"
            )
        settings: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": threads,
            "ENABLE_CPU_PINNING": False,  # pinned stages would fight for the same cores
            "INFERENCE_PRECISION_HINT": hint,  # unset, it picks bf16 by itself on some processors
        }
        device = str(core.get_property(_DEVICE, "FULL_DEVICE_NAME")).strip()
        key = EngineKey(model.name, model.sha256, *place(core), precision, f"dynamic, {threads} threads")
        try:
            compiled = _compiled(core, model, settings, cache, key)
            self._request = compiled.create_infer_request()
        except RuntimeError as error:
            raise EngineError(
                f"openvino: {model.name} ({model.path}) does not compile: {_first_line(error)}; "
                "choose backend onnxruntime, or remove the file so that it is made again"
            ) from error
        self._model = model
        self._outputs = len(compiled.outputs)
        self.info = EngineInfo(model.name, "openvino", device, precision.value, model.sha256)

    def __call__(self, batch: Array) -> tuple[Array, ...]:
        """The outputs for a batch, as Engine says."""
        batch = checked(batch, self._model)
        if None in self._model.input_shape[1:]:
            return self._infer(batch)  # the batch is of whole pictures: as many as there are cameras
        parts = [batch[start : start + _SIZES[-1]] for start in range(0, len(batch), _SIZES[-1])]
        outputs = [tuple(o[: len(part)] for o in self._infer(_padded(part))) for part in parts]
        return outputs[0] if len(outputs) == 1 else tuple(map(np.concatenate, zip(*outputs, strict=True)))

    def _infer(self, batch: Array) -> tuple[Array, ...]:
        try:
            self._request.infer([batch], share_inputs=True)
        except (RuntimeError, MemoryError) as error:
            what = f"openvino: {self._model.name} failed on {batch.shape}"
            if isinstance(error, MemoryError) or any(words in str(error) for words in _NO_MEMORY):
                raise OutOfMemory(f"{what}: too little memory") from error
            raise EngineError(f"{what}: {_first_line(error)}") from error
        # Copied, because the next call writes into the same memory.
        return tuple(self._request.get_output_tensor(i).data.copy() for i in range(self._outputs))


def computes_in(precision: Precision) -> bool:
    """Whether this processor computes in a precision, rather than imitating it."""
    return _PRECISIONS[precision][1] in _able(openvino.Core())


def place(core: openvino.Core | None = None) -> tuple[str, str]:
    """Runtime and device of a cache's key: what is compiled holds for this version and these instructions only."""
    core = core or openvino.Core()
    device = str(core.get_property(_DEVICE, "FULL_DEVICE_NAME")).strip()
    able = _able(core)
    return f"openvino {openvino.get_version()}", f"{device} {able}"


def _able(core: openvino.Core) -> list[str]:
    able: list[str] = core.get_property(_DEVICE, "OPTIMIZATION_CAPABILITIES")
    _take_back_signal_stack()
    return able


def _padded(part: Array) -> Array:
    """The batch with empty pictures added, up to the next of the sizes that are run."""
    size = next(size for size in _SIZES if size >= len(part))
    return (
        part
        if size == len(part)
        else np.concatenate([part, np.zeros((size - len(part), *part.shape[1:]), part.dtype)])
    )


def _compiled(
    core: openvino.Core, model: Model, settings: dict[str, Any], cache: Path | None, key: EngineKey
) -> openvino.CompiledModel:
    # Not OpenVINO's own CACHE_DIR: it loads a damaged file without complaint, and results are then wrong.
    if content := load(cache, key):
        try:
            return core.import_model(content, _DEVICE, settings)
        except RuntimeError:
            pass  # of another build with the same version: compiled again below
    compiled = core.compile_model(core.read_model(model.path), _DEVICE, settings)
    if cache is not None:
        save(cache, key, compiled.export_model().getvalue())
    return compiled


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
