"""PyTorch: the reference on the processor, and an NVIDIA GPU's runtime where there is no TensorRT."""

from __future__ import annotations

import torch
from torch import Tensor

from engines.backends.cuda import Lane, Slot, Slots, checked_tensor, recorded, told_apart
from engines.backends.engine import Array, EngineError, EngineInfo, Precision, checked
from engines.backends.lowering import lower
from engines.backends.torch_graph import TorchGraph, UnknownOperator
from engines.models import Model, read_safely

_BATCHES = (1, 4, 16, 64)
"""Batches that are recorded as CUDA graphs, where the network takes pictures of one size."""


class TorchEngine:
    """One network's ONNX graph run with torch operators; Engine and Resident have the interface.

    Uses the GPU when torch has CUDA, else the processor. On the GPU pictures lie channels last, which its matrix
    units want, and networks for pictures of one size are replayed as CUDA graphs. `threads` and the absence of
    TF32 (fp32 means fp32) are torch's settings for the whole process.
    Raises EngineError when the graph holds an operator that is not known here, for a precision that the device
    does not have, OutOfMemory or DeviceLost when the GPU has no room or does not answer.
    """

    def __init__(self, model: Model, precision: Precision, threads: int) -> None:
        gpu = torch.cuda.is_available()
        if precision is not Precision.FP32 and not gpu:
            raise EngineError(
                f"torch: {model.name} in {precision} needs a CUDA GPU, there is none; choose precision fp32"
            )
        if precision is Precision.BF16 and not torch.cuda.is_bf16_supported(including_emulation=False):
            raise EngineError(
                f"torch: {model.name} in bf16 needs a GPU of the Ampere generation or later, found "
                f"{torch.cuda.get_device_name()}; choose precision fp16"
            )
        torch.set_num_threads(threads)
        torch.backends.cudnn.allow_tf32 = False  # its default is to round convolutions to 10 bits
        self.device = torch.device("cuda", torch.cuda.current_device()) if gpu else torch.device("cpu")
        try:
            graph = TorchGraph(lower(read_safely(model.path, model.name), precision)).eval()
        except UnknownOperator as error:
            raise EngineError(
                f"torch: {model.name} uses {error}, which is not known here; choose backend onnxruntime"
            ) from error
        self._model = model
        with told_apart(f"torch: {model.name} does not open"):
            self._graph = graph.to(self.device)
            self._lane: Lane | None = None
            self._slots: Slots | None = None
            if gpu:
                graph.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
                self._lane = Lane(self.device)
                if None not in model.input_shape[1:]:
                    self._slots = Slots(_BATCHES, self._slot)
                    with torch.inference_mode():
                        self._slots.slot(1)
                torch.cuda.synchronize()  # the engine's own stream does not wait for what was copied here
        device = torch.cuda.get_device_name() if gpu else "cpu"
        self.info = EngineInfo(model.name, "torch", device, precision.value, model.sha256)

    def __call__(self, batch: Array) -> tuple[Array, ...]:
        """The outputs for a batch, as Engine says."""
        batch = checked(batch, self._model)
        with told_apart(f"torch: {self._model.name} failed on {batch.shape}"), torch.inference_mode():
            if self._lane:
                return self._lane.from_host(self._run, batch)
            return tuple(output.numpy() for output in self._run(torch.from_numpy(batch)))

    def on_device(self, batch: Tensor) -> tuple[Tensor, ...]:
        """The outputs for a batch, as Resident says."""
        batch = checked_tensor(batch, self._model, self.device)
        with (
            told_apart(f"torch: {self._model.name} failed on {tuple(batch.shape)}"),
            torch.inference_mode(),
        ):
            return self._lane.on_device(self._run, batch) if self._lane else self._run(batch)

    def _run(self, batch: Tensor) -> tuple[Tensor, ...]:
        if self._slots:
            return self._slots(batch)
        if self._lane:
            batch = batch.contiguous(memory_format=torch.channels_last)
        outputs: tuple[Tensor, ...] = self._graph(batch)
        return outputs

    def _slot(self, size: int) -> Slot:
        shape = (size, *(side or 1 for side in self._model.input_shape[1:]))
        picture = torch.zeros(shape, device=self.device).to(memory_format=torch.channels_last)
        with torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=False):
            return Slot(picture, recorded(lambda: self._graph(picture)))
