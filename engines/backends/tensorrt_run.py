"""Running a TensorRT plan on torch's memory: execution contexts, the addresses that they work on, and launches."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from engines.backends.cuda import Launch, Slot, failure
from engines.backends.tensorrt_plan import BATCHES, said


class Execution:
    """One plan on one device.

    engine: a deserialised plan. settings: how RTX is to run it, or None. outputs: their names, in order. what: begins
    the text of errors. stream: the handle of the CUDA stream to launch on, asked at every launch.
    """

    def __init__(
        self,
        trt: ModuleType,
        engine: Any,
        settings: Any,
        outputs: tuple[str, ...],
        device: torch.device,
        stream: Callable[[], int],
        logger: Any,
        what: str,
    ) -> None:
        self._engine, self._settings, self._outputs = engine, settings, outputs
        self._device, self._stream, self._logger, self._what = device, stream, logger, what
        names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
        self._source = next(n for n in names if engine.get_tensor_mode(n) == trt.TensorIOMode.INPUT)
        self._any_size: Any = None

    def slot(self, shape: tuple[int, ...], record: Callable[[Launch], Launch]) -> Slot:
        """For batches of up to this shape, with a context of its own: a CUDA graph keeps the addresses that it was
        recorded with. record: makes the launch one that is replayed, or leaves it as it is.
        """
        picture = torch.zeros(shape, device=self._device)
        return Slot(picture, record(self._bound(self._context(), picture)))

    def chunks(self, batch: Tensor) -> tuple[Tensor, ...]:
        """Pictures of whatever size, as many at a time as a profile holds."""
        self._any_size = self._any_size or self._context()
        parts = [self._bound(self._any_size, part)() for part in torch.split(batch, BATCHES[-1])]
        return parts[0] if len(parts) == 1 else tuple(map(torch.cat, zip(*parts, strict=True)))

    def _context(self) -> Any:
        context = (
            self._engine.create_execution_context(self._settings)
            if self._settings
            else self._engine.create_execution_context()
        )
        if context is None:
            raise failure(f"{self._what} gets no context", said(self._logger))
        return context

    def _bound(self, context: Any, batch: Tensor) -> Launch:
        """The launch over a batch and new memory for its outputs. It holds both: the context knows addresses only."""
        batch = batch.contiguous()
        if not context.set_input_shape(self._source, tuple(batch.shape)):
            raise failure(f"{self._what} takes no batch of {tuple(batch.shape)}", said(self._logger))
        shapes = [tuple(context.get_tensor_shape(name)) for name in self._outputs]
        outputs = tuple(torch.empty(shape, device=self._device) for shape in shapes)
        for name, tensor in zip((self._source, *self._outputs), (batch, *outputs), strict=True):
            context.set_tensor_address(name, tensor.data_ptr())
        return partial(self._launch, context, batch, outputs)

    def _launch(self, context: Any, batch: Tensor, outputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        if not context.execute_async_v3(self._stream()):
            raise failure(f"{self._what} failed on {tuple(batch.shape)}", said(self._logger))
        return outputs
