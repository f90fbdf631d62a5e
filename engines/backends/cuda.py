"""What the backends on NVIDIA GPUs share: a stream of their own, pinned memory, CUDA graphs, errors told apart.

Frames that NVDEC decoded are on the GPU already, and what one network gives is the next one's input: resident()
engines take and give tensors where they are, and only their few numbers are copied to the host.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from engines.backends.engine import Array, DeviceLost, Engine, EngineError, OutOfMemory, check
from engines.backends.serving import ServingEngine
from engines.models import Model

_cuda: Any = torch.cuda  # half of its functions have no annotations
Launch = Callable[[], tuple[Tensor, ...]]
_NO_MEMORY = ("out of memory", "outofmemory", "can't allocate memory", "not enough memory", "alloc_failed")


@runtime_checkable
class Resident(Protocol):
    """An engine that also takes tensors where they are."""

    @property
    def device(self) -> torch.device:
        """Where its network is."""
        ...

    def on_device(self, batch: Tensor) -> tuple[Tensor, ...]:
        """The network's outputs, float32 on `device` and the caller's own, without a copy to the host.

        batch: float32 [N, C, H, W] on `device`, as Engine takes it. The results are in order with the caller's
        stream: what the caller launches next may use them, and nothing waits. Raises as Engine does.
        """
        ...


def resident(engine: Engine) -> Resident | None:
    """The engine as one that takes tensors, or None when its runtime works in the processor's memory.

    Of one that serves on whatever runs, it is what serves now; when that raises EngineError, take the host's way.
    """
    if isinstance(engine, ServingEngine):
        engine = engine.engine
    return engine if isinstance(engine, Resident) else None


def checked_tensor(batch: Tensor, model: Model, device: torch.device) -> Tensor:
    """The batch. Raises ValueError when it is not what the network takes, or lies elsewhere."""
    check(batch.shape, str(batch.dtype).removeprefix("torch."), model)
    if batch.device != device:
        raise ValueError(f"{model.name}: a batch must be on {device}, found {batch.device}")
    return batch


class Lane:
    """One engine's way to the GPU: a stream of its own, so that engines overlap, and pinned memory to and fro."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = _cuda.Stream(device)

    def from_host(self, run: Callable[[Tensor], tuple[Tensor, ...]], batch: Array) -> tuple[Array, ...]:
        """What run() makes of a batch from the host, copied back."""
        staged = torch.empty(batch.shape, dtype=torch.float32, pin_memory=True)
        staged.numpy()[...] = batch
        with _cuda.stream(self._stream):
            outputs = run(staged.to(self._device, non_blocking=True))
            landed = [torch.empty(o.shape, dtype=o.dtype, pin_memory=True) for o in outputs]
            for host, output in zip(landed, outputs, strict=True):
                host.copy_(output, non_blocking=True)
        self._stream.synchronize()
        return tuple(host.numpy() for host in landed)

    def on_device(self, run: Callable[[Tensor], tuple[Tensor, ...]], batch: Tensor) -> tuple[Tensor, ...]:
        """What run() makes of a batch on the GPU, in order with the caller's stream; nothing waits."""
        caller = _cuda.current_stream(self._device)
        self._stream.wait_stream(caller)
        with _cuda.stream(self._stream):
            outputs = run(batch)
        caller.wait_stream(self._stream)
        batch.record_stream(self._stream)
        for output in outputs:
            output.record_stream(caller)
        return outputs


class Slot:
    """A network at one batch size: memory that stays where it is, and the launches that work on it."""

    def __init__(self, picture: Tensor, launch: Launch) -> None:
        """picture: the input [size, C, H, W] that launch() reads; launch: its outputs, the same memory each time."""
        self._picture, self._launch = picture, launch

    def __call__(self, part: Tensor) -> tuple[Tensor, ...]:
        """The outputs for at most `size` pictures, the caller's own; what was left behind them does not matter."""
        self._picture[: len(part)].copy_(part)
        return tuple(output[: len(part)].clone() for output in self._launch())


class Slots:
    """Any number of pictures, through a network that runs at a few batch sizes only."""

    def __init__(self, sizes: Sequence[int], make: Callable[[int], Slot]) -> None:
        """sizes: ascending. make: called once for each, when it is first needed."""
        self._sizes, self._make = sizes, make
        self._slots: dict[int, Slot] = {}

    def slot(self, count: int) -> Slot:
        """The smallest that holds `count` pictures, or else the largest."""
        size = next((size for size in self._sizes if size >= count), self._sizes[-1])
        if size not in self._slots:
            self._slots[size] = self._make(size)
        return self._slots[size]

    def __call__(self, batch: Tensor) -> tuple[Tensor, ...]:
        """The outputs for float32 [N, C, H, W], N >= 1."""
        parts = [self.slot(len(part))(part) for part in torch.split(batch, self._sizes[-1])]
        return parts[0] if len(parts) == 1 else tuple(map(torch.cat, zip(*parts, strict=True)))


def recorded(launch: Launch) -> Launch:
    """The launches as one CUDA graph: a call of the driver instead of one a layer. launch() must keep to its memory.

    It runs a few times first, so that libraries choose their kernels and allocate outside the recording.
    """
    aside = _cuda.Stream()
    aside.wait_stream(_cuda.current_stream())
    with _cuda.stream(aside):
        for _ in range(3):
            launch()
    aside.synchronize()
    graph = _cuda.CUDAGraph()
    # Another thread may be building an engine meanwhile; what it does on the GPU is not to spoil the recording.
    with _cuda.graph(graph, stream=aside, capture_error_mode="thread_local"):
        outputs = launch()

    def replay() -> tuple[Tensor, ...]:
        graph.replay()
        return outputs

    return replay


@contextmanager
def told_apart(what: str) -> Iterator[None]:
    """Errors of torch and CUDA as EngineError: OutOfMemory, DeviceLost, or itself. what: begins the text."""
    try:
        yield
    except EngineError:
        raise
    except (RuntimeError, MemoryError) as error:
        raise failure(what, (str(error).splitlines() or [type(error).__name__])[0], error) from error


def failure(what: str, reason: str, error: BaseException | None = None) -> EngineError:
    """The kind of EngineError that a runtime's words, or torch's exception, stand for."""
    out = isinstance(error, torch.cuda.OutOfMemoryError | MemoryError)
    if out or any(words in reason.lower() for words in _NO_MEMORY):
        if _cuda.is_initialized():
            _cuda.empty_cache()  # what torch holds in reserve may be what the next try needs
        return OutOfMemory(f"{what}: too little memory: {reason}")
    if _lost():
        return DeviceLost(
            f"{what}: the GPU is lost: {reason}; look at dmesg for an Xid, and restart the process"
        )
    return EngineError(f"{what}: {reason}")


def _lost() -> bool:
    """Whether the GPU is beyond use: CUDA then repeats the error at every later call of this process."""
    if not _cuda.is_initialized() or _cuda.is_current_stream_capturing():
        return False
    try:
        _cuda.synchronize()
    except RuntimeError:
        return True
    return False
