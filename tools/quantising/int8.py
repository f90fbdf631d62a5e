"""A network with its weights and activations in int8 (QDQ), the ranges of activations taken from real inputs.

Weights by channel, activations symmetric around zero: OpenVINO runs those three times as fast as ones with a zero point
where a network has PReLU layers. The range of an activation is where all but one in 100,000 of its values lie; the
greatest value alone would leave seven bits to the others.
"""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from engines.models import Model, file_sha256

_AT_ONCE = 16  # inputs whose activations are in memory together: some 40 MB each


def quantise(model: Model, inputs: NDArray[np.uint8], path: Path) -> Model:
    """Write the int8 twin of a network.

    inputs: uint8 [N, C, H, W] RGB, N >= 16: real ones, such as the network will meet. Raises ValueError for fewer.
    """
    usable = len(inputs) // _AT_ONCE * _AT_ONCE
    if not usable:
        raise ValueError(
            f"{model.name}: ranges must be taken from at least {_AT_ONCE} inputs, found {len(inputs)}"
        )
    with tempfile.TemporaryDirectory() as scratch, _quiet():
        folded = Path(scratch) / "folded.onnx"
        quant_pre_process(str(model.path), str(folded), skip_symbolic_shape=True)
        quantize_static(
            folded,
            path,
            _Inputs(_input_name(folded), inputs[:usable]),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.Percentile,
            # "StridedMinMax" works for every method: so many inputs at once, or all activations would be in memory.
            extra_options={
                "ActivationSymmetric": True,
                "CalibStridedMinMax": _AT_ONCE,
                "CalibPercentile": 99.999,
            },
        )
    return replace(model, path=path, sha256=file_sha256(path))


class _Inputs(CalibrationDataReader):  # type: ignore[misc]
    """One input after the other, as float32."""

    def __init__(self, name: str, inputs: NDArray[np.uint8]) -> None:
        self._name, self._inputs = name, inputs
        self._next, self._end = 0, len(inputs)

    def __len__(self) -> int:
        return len(self._inputs)

    def set_range(self, start_index: int, end_index: int) -> None:
        """Give those from start to end from now on."""
        self._next, self._end = start_index, end_index

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """The next input, or None."""
        if self._next >= self._end:
            return None
        self._next += 1
        return {self._name: self._inputs[self._next - 1 : self._next].astype(np.float32)}


def _input_name(path: Path) -> str:
    import onnx

    proto: Any = onnx.load(str(path))
    return str(proto.graph.input[0].name)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what the quantiser prints of its steps, and its remarks on layers that it leaves as they are."""
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        root.setLevel(before)
