"""The engines that are compiled for these settings, as plain values: `python -m stream.engine_list`.

The web stage asks in a process of its own: to tell whether an engine still fits this machine, the runtimes are loaded,
and that takes memory and seconds that the pages have no use for. Settings come as JSON on standard input, and the
answer is JSON on standard output.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from engines.models import Model, from_file, remembered
from engines.recognition.facenet import facenet_model
from engines.stock import Entry, stock
from stream.config import Settings

_WITHIN_S = 60.0


class EngineListError(RuntimeError):
    """The engines cannot be listed; the text says why."""


def models_in_use(settings: Settings) -> list[Model]:
    """The networks that may be in use: the product's that are made, and those of one's own. Raises ModelError."""
    models = list(remembered(settings.engines.cache).values())
    if settings.unmasking.generator:
        models.append(from_file("unmask", settings.unmasking.generator))
    if settings.recognition.facenet_weights:
        models.append(facenet_model(settings.recognition.facenet_weights, settings.engines.cache))
    return models


def engine_list(settings: Settings, thorough: bool = False) -> list[Entry]:
    """Each compiled engine, and the verdicts on those that leave no file. Raises ModelError."""
    hashes: dict[str, set[str]] = {}
    for model in models_in_use(settings):
        hashes.setdefault(model.name, set()).add(model.sha256)
    return list(stock(settings.engines.cache, hashes, thorough))


def plain(entry: Entry) -> dict[str, Any]:
    """An entry, ready for JSON."""
    key, verdict = entry.key, entry.verdict
    return {
        "file": str(entry.path),
        "network": key.model_name if key else None,
        "model_sha256": key.model_sha256 if key else None,
        "runtime": key.runtime if key else None,
        "device": key.device if key else None,
        "precision": key.precision if key else None,
        "shapes": key.shapes if key else None,
        "bytes": entry.size,
        "made_s": entry.made_s,
        "problem": entry.problem,
        "instead_of": entry.instead_of,
        "passed": verdict.passed if verdict else None,
        "measures": {m.name: m.value for m in verdict.measures} if verdict else {},
    }


def ask(settings: Settings) -> list[dict[str, Any]]:
    """The list, made by a process of its own. Raises EngineListError."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "stream.engine_list"],
            input=settings.model_dump_json().encode(),
            capture_output=True,
            timeout=_WITHIN_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise EngineListError(f"the engines could not be listed within {_WITHIN_S:.0f} s") from None
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip().splitlines()
        raise EngineListError(words[-1] if words else f"the listing ended with status {done.returncode}")
    entries: list[dict[str, Any]] = json.loads(done.stdout)
    return entries


def main() -> None:
    """List what the settings on standard input name."""
    os.nice(10)
    answer, sys.stdout = sys.stdout, sys.stderr  # whatever a library prints must not come between
    settings = Settings.model_validate_json(Path("/dev/stdin").read_bytes())
    answer.write(
        json.dumps([plain(entry) for entry in engine_list(settings) if entry.size or not entry.problem])
    )


if __name__ == "__main__":
    main()
