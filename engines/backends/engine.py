"""What every runtime offers: one network, opened for one device and precision, called with a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engines.models import Model

Array = NDArray[np.float32]


class Precision(StrEnum):
    """What the runtime computes in; inputs and outputs are float32 always."""

    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"


class EngineError(RuntimeError):
    """An engine cannot be opened or run; the text names backend and network, the reason, and what to do."""


class OutOfMemory(EngineError):
    """The device has no memory for this batch; a smaller one may fit."""


class DeviceLost(EngineError):
    """The device is gone or its state is beyond use: nothing runs there any more in this process."""


class NotFaithful(EngineError):
    """The outputs are not the network's: the gate (engines/gate) refuses the engine. The text says by how much."""


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What runs, for reports. notes: why it is not what was looked for first, one sentence each."""

    network: str
    backend: str
    device: str
    precision: str
    model_sha256: str
    notes: tuple[str, ...] = ()


class Engine(Protocol):
    """A network that is ready to run. One thread at a time may call it."""

    @property
    def info(self) -> EngineInfo:
        """What runs here."""
        ...

    def __call__(self, batch: Array) -> tuple[Array, ...]:
        """The network's outputs, in the order of Model.outputs, each float32 [N, ...] and the caller's own.

        batch: float32 [N, C, H, W], RGB, values 0..255, N >= 1. Any N will do, as will any H and W where
        the model's input_shape has None. Raises ValueError for another shape or dtype, EngineError when the
        runtime fails.
        """
        ...


def checked(batch: Array, model: Model) -> Array:
    """The batch, contiguous. Raises ValueError when it is not what the network takes."""
    check(batch.shape, str(batch.dtype), model)
    return np.ascontiguousarray(batch)


def check(shape: Sequence[int], dtype: str, model: Model) -> None:
    """Raises ValueError when a batch of this shape and type is not what the network takes."""
    fits = len(shape) == len(model.input_shape) and all(
        size > 0 and wanted in (None, size) for wanted, size in zip(model.input_shape, shape, strict=True)
    )
    if not fits or dtype != "float32":
        wanted = ", ".join("any" if s is None else str(s) for s in model.input_shape)
        raise ValueError(f"{model.name}: a batch must be float32 [{wanted}], found {dtype} {list(shape)}")
