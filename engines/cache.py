"""Compiled engines on disk. Runtimes load damaged ones without a word and compute nonsense (OpenVINO does),
so each file carries the sha256 of its content, and one that does not agree counts as absent.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

_DIGEST = hashlib.sha256().digest_size


@dataclass(frozen=True, slots=True)
class EngineKey:
    """What a compiled engine was made for; any difference means another engine.

    runtime: backend and version. device: with its architecture. shapes: the shape profile, or "dynamic".
    """

    model_name: str
    model_sha256: str
    runtime: str
    device: str
    precision: str
    shapes: str

    @property
    def filename(self) -> str:
        """Readable in front, unique through the digest of the whole key."""
        text = "\n".join((self.model_sha256, self.runtime, self.device, self.precision, self.shapes))
        runtime = re.sub(r"[^A-Za-z0-9.]+", "-", self.runtime.split("-")[0])
        return f"{self.model_name}-{runtime}-{hashlib.sha256(text.encode()).hexdigest()[:16]}.engine"


def load(folder: Path | None, key: EngineKey) -> bytes | None:
    """The compiled engine, or None when there is none, no folder, or the file is damaged."""
    if folder is None:
        return None
    try:
        data = (folder / key.filename).read_bytes()
    except OSError:
        return None
    digest, content = data[:_DIGEST], data[_DIGEST:]
    return content if hashlib.sha256(content).digest() == digest else None


def save(folder: Path | None, key: EngineKey, content: bytes) -> None:
    """Keeps a compiled engine; does nothing without a folder. Other processes see all of it or nothing."""
    if folder is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / key.filename, hashlib.sha256(content).digest() + content)


def write_atomically(path: Path, data: bytes) -> None:
    """Written beside and renamed, so that nobody ever reads half a file."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
