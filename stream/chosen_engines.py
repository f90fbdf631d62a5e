"""Engines on the runtime, in the precision and with the threads that the settings choose."""

from __future__ import annotations

from collections.abc import Mapping

from engines.backends import Engine, open_engine
from engines.models import Model
from stream.config import Engines


def open_engines(chosen: Engines, models: Mapping[str, Model]) -> dict[str, Engine]:
    """An engine for each network, by name. Raises EngineError."""
    return {
        name: open_engine(model, chosen.backend, chosen.precision, chosen.threads, chosen.cache)
        for name, model in models.items()
    }
