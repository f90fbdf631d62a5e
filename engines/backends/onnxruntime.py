"""ONNX Runtime on the processor: runs anywhere, about half as fast as OpenVINO."""

from __future__ import annotations

import onnxruntime

from engines.backends.engine import Array, EngineError, EngineInfo, OutOfMemory, Precision, checked
from engines.models import Model


class OnnxRuntimeEngine:
    """One network as an ONNX Runtime session; Engine has the interface.

    Raises EngineError for any precision but fp32, or when the session cannot be made.
    """

    def __init__(self, model: Model, precision: Precision, threads: int) -> None:
        if precision is not Precision.FP32:
            raise EngineError(f"onnxruntime: {model.name} runs in fp32 only, found {precision}; choose fp32")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        # A thread that spins while it waits takes the core away from the other stages.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                str(model.path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its exception types derive from Exception alone
            raise EngineError(
                f"onnxruntime: {model.name} ({model.path}) does not load: {error}; "
                "remove the file so that it is made again"
            ) from error
        self._model = model
        self._input = self._session.get_inputs()[0].name
        self.info = EngineInfo(model.name, "onnxruntime", "cpu", precision.value, model.sha256)

    def __call__(self, batch: Array) -> tuple[Array, ...]:
        """The outputs for a batch, as Engine says."""
        batch = checked(batch, self._model)
        try:
            return tuple(self._session.run(None, {self._input: batch}))
        except Exception as error:
            kind = OutOfMemory if _without_memory(error) else EngineError
            reason = str(error).splitlines()[0]
            raise kind(f"onnxruntime: {self._model.name} failed on {batch.shape}: {reason}") from error


def _without_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or any(
        words in str(error) for words in ("Failed to allocate memory", "bad_alloc")
    )
