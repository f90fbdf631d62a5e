"""What lies in the cache of compiled engines, and whether this machine can use it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from engines import gate
from engines.backends import EngineError, place
from engines.cache import EngineKey, Refused, engines, read, read_header
from engines.gate import Verdict

_WITHOUT_FILES = ("onnxruntime", "torch")
"""Backends that compile when they are opened, and keep nothing."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A compiled engine, or the verdict on one that leaves no file (ONNX Runtime's).

    key: None when the file cannot be read. made_s: wall time, seconds since 1970. problem: why it is not used, "" when
    it is. instead_of: why the engine before it was refused. verdict: the gate's, None before it is taken.
    """

    path: Path
    key: EngineKey | None
    size: int
    made_s: float
    problem: str
    instead_of: str
    verdict: Verdict | None

    @property
    def backend(self) -> str:
        """Its name in the settings."""
        name = self.key.runtime.split(" ")[0] if self.key else ""
        return "tensorrt" if name == "tensorrt_rtx" else name


def stock(folder: Path, models: Mapping[str, Collection[str]], thorough: bool = False) -> Iterator[Entry]:
    """Each engine in a cache, by name, then the verdicts that belong to none.

    models: the sha256 of the networks in use, by name; engines of others are of no more use. thorough: each file is
    read and checked as a whole.
    """
    verdicts = gate.verdicts(folder)
    spoken: set[Path] = set()
    for path in engines(folder):
        try:
            header = read(path)[0] if thorough else read_header(path)
        except FileNotFoundError:
            continue
        except Refused as reason:
            status = path.stat()
            yield Entry(path, None, status.st_size, status.st_mtime, str(reason), "", None)
            continue
        found = next((file for file, verdict in verdicts.items() if _about(verdict.key, header.key)), None)
        spoken |= {file for file, verdict in verdicts.items() if _about(verdict.key, header.key)}
        yield Entry(
            path,
            header.key,
            header.size,
            header.made_s,
            _problem(header.key, models),
            header.instead_of,
            verdicts[found] if found else None,
        )
    for path, verdict in verdicts.items():
        if path not in spoken:
            kept = verdict.key.runtime.split(" ")[0] not in _WITHOUT_FILES
            problem = "its engine is not here" if kept else _problem(verdict.key, models)
            yield Entry(path, verdict.key, 0, verdict.taken_s, problem, "", verdict)


def _about(verdict: EngineKey, engine: EngineKey) -> bool:
    """Whether a verdict is about an engine; an engine's device may say more, such as its instructions."""
    return engine.device.startswith(verdict.device) and (
        (verdict.model_name, verdict.model_sha256, verdict.runtime, verdict.precision)
        == (engine.model_name, engine.model_sha256, engine.runtime, engine.precision)
    )


def _problem(key: EngineKey, models: Mapping[str, Collection[str]]) -> str:
    """Why an engine that is whole is not used here; "" when it is."""
    if key.model_sha256 and key.model_sha256 not in models.get(key.model_name, ()):
        return "made of weights that are not in use"
    backend = key.runtime.split(" ")[0]
    try:
        runtime, device = place("tensorrt" if backend == "tensorrt_rtx" else backend)
    except (EngineError, ImportError) as error:
        return f"{backend} does not run here: {error}"
    if key.runtime != runtime:
        return f"made by {key.runtime}, here is {runtime}"
    if not device.startswith(key.device):
        return f"made for {key.device}, here is {device}"
    return ""
