"""Opens a shipped or just exported network for an evaluation."""

from __future__ import annotations

from pathlib import Path

from engines.backends import Engine, open_engine
from engines.models import from_file


def open_file(path: Path, backend: str = "auto", threads: int = 1) -> Engine:
    """An engine for an ONNX file. Raises ModelError when it is damaged, EngineError when it cannot run here."""
    return open_engine(from_file(path.stem, path), backend, threads=threads)
