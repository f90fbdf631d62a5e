"""PyTorch: the reference on the processor, and an NVIDIA GPU's runtime where there is no TensorRT."""

from __future__ import annotations

import torch

from engines.backends.engine import Array, EngineError, EngineInfo, Precision, checked
from engines.backends.lowering import lower
from engines.backends.torch_graph import TorchGraph, UnknownOperator
from engines.models import Model, read_safely


class TorchEngine:
    """One network's ONNX graph run with torch operators; Engine has the interface.

    Uses the GPU when torch has CUDA, else the processor. `threads` and the absence of TF32
    (fp32 means fp32) are torch's settings for the whole process.
    Raises EngineError when the graph holds an operator that is not known here, or for half precision
    without a GPU.
    """

    def __init__(self, model: Model, precision: Precision, threads: int) -> None:
        gpu = torch.cuda.is_available()
        if precision is not Precision.FP32 and not gpu:
            raise EngineError(
                f"torch: {model.name} in {precision} needs a CUDA GPU, there is none; choose precision fp32"
            )
        torch.set_num_threads(threads)
        torch.backends.cudnn.allow_tf32 = False  # its default is to round convolutions to 10 bits
        self._device = torch.device("cuda" if gpu else "cpu")
        try:
            graph = TorchGraph(lower(read_safely(model.path, model.name), precision))
        except UnknownOperator as error:
            raise EngineError(
                f"torch: {model.name} uses {error}, which is not known here; choose backend onnxruntime"
            ) from error
        self._graph = graph.to(self._device).eval()
        self._model = model
        device = torch.cuda.get_device_name() if gpu else "cpu"
        self.info = EngineInfo(model.name, "torch", device, precision.value, model.sha256)

    def __call__(self, batch: Array) -> tuple[Array, ...]:
        """The outputs for a batch, as Engine says."""
        batch = checked(batch, self._model)
        try:
            with torch.inference_mode():
                outputs = self._graph(torch.from_numpy(batch).to(self._device))
                return tuple(output.float().cpu().numpy() for output in outputs)
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            raise EngineError(f"torch: {self._model.name} failed on {batch.shape}: {reason}") from error
