"""Opens a shipped or just exported network for an evaluation."""

from __future__ import annotations

from pathlib import Path

import onnx

from engines.backends import Engine, open_engine
from engines.models import Model, file_sha256, read_safely


def open_file(path: Path, backend: str = "auto", threads: int = 1) -> Engine:
    """An engine for an ONNX file. Raises ModelError when it is damaged, EngineError when it cannot run here."""
    proto: onnx.ModelProto = read_safely(path, path.stem)
    dims = proto.graph.input[0].type.tensor_type.shape.dim
    shape = tuple(d.dim_value if d.HasField("dim_value") else None for d in dims)
    outputs = tuple(o.name for o in proto.graph.output)
    return open_engine(Model(path.stem, path, file_sha256(path), shape, outputs), backend, threads=threads)
