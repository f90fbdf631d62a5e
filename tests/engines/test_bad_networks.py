"""Networks of one's own that cannot be used: refused with a sentence before any runtime sees them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from engines.models import WEIGHTS, ModelError, from_file

GENERATOR = WEIGHTS / "unmask.onnx"


def _external(folder: Path) -> Path:
    """The generator with its weights in a file outside its own folder, as ONNX itself writes and reads them."""
    (folder / "own").mkdir()
    proto = onnx.load(str(GENERATOR))
    onnx.external_data_helper.convert_model_to_external_data(proto, location="weights.bin", size_threshold=0)
    onnx.save(proto, str(folder / "weights.onnx"))
    for tensor in proto.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = "../weights.bin"
    (folder / "own" / "unmask.onnx").write_bytes(proto.SerializeToString())
    return folder / "own" / "unmask.onnx"


def _opset(version: int) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        proto = onnx.load(str(GENERATOR))
        proto.opset_import[0].version = version
        (folder / "unmask.onnx").write_bytes(proto.SerializeToString())
        return folder / "unmask.onnx"

    return write


def _truncated(folder: Path) -> Path:
    (folder / "unmask.onnx").write_bytes(GENERATOR.read_bytes()[:-100_000])
    return folder / "unmask.onnx"


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (_external, "unmask: all weights must lie inside the ONNX file, found external data"),
        (_opset(99), "unmask: its ONNX opset must be from 11 to 23, found 99; export it with another"),
        (_opset(5), "unmask: its ONNX opset must be from 11 to 23, found 5; export it with another"),
        (_truncated, "is not a whole ONNX file (DecodeError)"),
    ],
    ids=["external data outside its folder", "opset of the future", "opset of the past", "truncated"],
)
def test_a_network_that_cannot_be_used_is_refused(
    tmp_path: Path, make: Callable[[Path], Path], sentence: str
) -> None:
    with pytest.raises(ModelError) as error:
        from_file("unmask", make(tmp_path))
    assert sentence in str(error.value)
