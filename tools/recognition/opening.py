"""What both evaluation commands begin and end with: the product opened, lists read, figures written."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import typer
from rich.console import Console

from engines.backends import EngineError
from engines.models import ModelError
from engines.recognition.calibration import Calibration, CalibrationError
from stream.calibration import calibration_file
from stream.config import ConfigError, Settings, load
from stream.networks import Networks, load_networks
from tools.benchmarks.report import machine, versions
from tools.preparing import progress_bar
from tools.recognition.bootstrap import Estimate
from tools.recognition.lists import Index
from tools.recognition.masks import SYNTHETIC, Masks, drawn_masks, template_masks

_BY = ("gender", "race", "age")


@dataclass(frozen=True, slots=True)
class Opened:
    """The product as its settings make it. calibration: None when there is none for these networks; notes say so."""

    settings: Settings
    networks: Networks
    calibration: Calibration | None
    notes: tuple[str, ...]

    @property
    def generator_sha256(self) -> str:
        """Of the network that reconstructs; empty without one."""
        found = self.networks.engines.get("unmask")
        return found.model_sha256 if found else ""

    def protocol(self) -> dict[str, Any]:
        """What a report says of the product and the machine."""
        return {
            "space": self.networks.evidence.space,
            "views_space": self.networks.evidence.views_space,
            "calibration_sha256": self.calibration.sha256 if self.calibration else None,
            "models": {
                name: {"sha256": info.model_sha256, "backend": info.backend, "precision": info.precision}
                for name, info in self.networks.engines.items()
            },
            "machine": machine(),
            "versions": versions(),
            "notes": list(self.notes),
        }


def open_product(config: Path | None, calibration: Path | None) -> Opened:
    """The networks of a configuration, and the calibration (its own without) when it fits them.

    Raises typer.BadParameter.
    """
    try:
        settings = load(config) if config else Settings()
    except ConfigError as error:
        raise typer.BadParameter(f"--config: {error}") from None
    try:
        networks = load_networks(settings, lambda name, share: None)
    except (ModelError, EngineError) as error:
        raise typer.BadParameter(f"the networks of the configuration cannot run here: {error}") from None
    notes = list(networks.notes)
    fitted: Calibration | None = None
    try:
        fitted = Calibration.load(calibration or calibration_file(settings.recognition))
        if fitted.space != networks.evidence.space:
            notes.append(
                "the calibration is of another embedder: no fusion and no probabilities are measured"
            )
            fitted = None
        else:
            generator = networks.engines.get("unmask")
            if fitted.views_space != networks.evidence.views_space:
                notes.append("the calibration is of another masked embedder: its fusion is measured as it is")
            if generator and fitted.generator_sha256 != generator.model_sha256:
                notes.append(
                    "the calibration is of another unmasking network: the fusion leaves reconstructions out"
                )
    except CalibrationError as error:
        notes.append(f"no fusion and no probabilities are measured: {error}")
    return Opened(settings, networks, fitted, tuple(notes))


def masks_for(option: str, wanted: str | None, templates: Path | None) -> Masks | None:
    """The masks to put on pictures, or None. Raises typer.BadParameter."""
    if wanted is None and templates is None:
        return None
    if wanted not in (None, SYNTHETIC):
        raise typer.BadParameter(f"{option}: must be {SYNTHETIC}, found {wanted!r}")
    try:
        return template_masks(templates) if templates else drawn_masks()
    except ValueError as error:
        raise typer.BadParameter(f"--templates: {error}") from None


def labels_of(
    files: Sequence[str], root: Path, index: Index | None, by: Sequence[str] | None
) -> dict[str, tuple[str, ...]]:
    """By column of the index, a text for each file. Raises typer.BadParameter for a column that is not there."""
    if index is None:
        return {}
    unknown = set(by or ()) - set(index.columns)
    if unknown:
        raise typer.BadParameter(
            f"--by: must be a column of the index ({', '.join(index.columns)}), found {', '.join(sorted(unknown))}"
        )
    found = {column: index.of(root, files, column) for column in by or _BY if column in index.columns}
    return {column: label for column, label in found.items() if any(label)}


def wide_console() -> Console:
    """Where tables go: in a file or a pipe nothing is cut off."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=200)


class Progress:
    """A bar on the error stream for each thing that takes long."""

    def __init__(self) -> None:
        self._bar = progress_bar(Console(stderr=True))
        self._task = self._bar.add_task("", total=1.0)

    def __enter__(self) -> Progress:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def of(self, description: str) -> Callable[[float], None]:
        """What to call with the share of this thing that is done."""
        self._bar.update(self._task, description=description, completed=0)
        return lambda share: self._bar.update(self._task, completed=share)


def write_json(path: Path, report: Mapping[str, Any]) -> None:
    """Write all figures at once; a figure that could not be had is null."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.new")
    draft.write_text(json.dumps(_plain(report), indent=1, allow_nan=False), encoding="utf-8")
    draft.replace(path)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    if isinstance(value, str | int | bool | None):
        return value
    if isinstance(value, Iterable):
        return [_plain(entry) for entry in value]
    return _plain(msgspec.structs.asdict(value) if isinstance(value, msgspec.Struct) else _fields(value))


def _fields(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__dataclass_fields__}


def cell(found: Estimate | float | int | None) -> str:
    """A figure in a table: with its interval, or empty."""
    if found is None:
        return ""
    if isinstance(found, bool):
        return "yes" if found else "no"
    if isinstance(found, Estimate):
        return f"{found.value:.4f} [{found.low:.4f}, {found.high:.4f}]"
    return f"{found:.4f}" if isinstance(found, float) else str(found)
