"""What if: the same footage under the recorded settings and under others, and who would have been found or missed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from stream.archive.archive import Archive
from stream.archive.footage import Run
from stream.config import ConfigError, Settings, parse
from stream.replay.pairing import Findings, Pairing
from stream.replay.playback import PlayedFrame
from stream.replay.processing import Laboratory, Progress, ReplayError, settings_of
from stream.replay.selection import Selection
from stream.replay.steps import Step, every_frame, recorded_steps

COMPARED = ("detection", "tracking", "quality", "unmasking", "recognition", "engines")
"""The parts of the settings that what is seen hangs on."""


def other_settings(recorded: Settings, path: Path) -> Settings:
    """The recorded settings with what a YAML file says laid over them. Raises ConfigError."""
    try:
        said = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(said, dict):
        raise ConfigError(f"{path}: must be a mapping of keys to values, found {type(said).__name__}")
    return parse(_laid_over(recorded.model_dump(mode="json"), said), str(path))


def changes(recorded: Settings, other: Settings) -> dict[str, tuple[Any, Any]]:
    """Which settings differ, of those that what is seen hangs on."""
    old, new = (
        _flat(settings.model_dump(mode="json", include=set(COMPARED))) for settings in (recorded, other)
    )
    return {key: (old[key], new[key]) for key in old if old[key] != new[key]}


def compare(
    archive: Archive,
    selection: Selection,
    path: Path,
    cameras: list[str],
    progress: Progress = lambda name, share: None,
    on_frame: Callable[[PlayedFrame], None] = lambda frame: None,
) -> Findings:
    """Run footage under the settings it was recorded with and under those of a file.

    cameras: whose sightings are told of; all are processed, since they share the networks' time. Raises ReplayError,
    ConfigError, ArchiveError.
    """
    findings = Findings(cameras=cameras, every_frame=selection.every_frame)
    watch = Pairing(findings)
    laboratories: tuple[Laboratory, Laboratory] | None = None
    recorded: Settings | None = None
    for run in archive.runs():
        steps = _steps(archive, run, selection, findings.notes)
        for step in steps:
            if laboratories is None or recorded != settings_of(run):
                recorded = settings_of(run)
                laboratories = _laboratories(recorded, path, progress, findings)
            results = [laboratory.process(step) for laboratory in laboratories]
            for frame, old, new in zip(step.frames, *results, strict=True):
                if frame.camera in cameras and (selection.from_ns or 0) <= frame.wall_ns:
                    on_frame(frame)
                    watch.take(run.id, step.epoch, frame, old, new)
    if not findings.frames:
        raise ReplayError("there is no footage of these cameras and this time")
    findings.pairs = sorted(watch.pairs(), key=lambda pair: (pair.first_ns, pair.camera))
    findings.notes = list(dict.fromkeys(findings.notes))
    return findings


def _steps(archive: Archive, run: Run, selection: Selection, notes: list[str]) -> Iterator[Step]:
    if selection.to_ns is not None and run.began_ns >= selection.to_ns:
        return iter(())
    if run.ended_ns is not None and selection.from_ns is not None and run.ended_ns < selection.from_ns:
        return iter(())
    if selection.every_frame:
        span = selection.from_ns, selection.to_ns
        return every_frame(archive, run.id, archive.cameras(), *span, notes)
    return recorded_steps(archive, run.id, selection.to_ns, notes)


def _laboratories(
    recorded: Settings, path: Path, progress: Progress, findings: Findings
) -> tuple[Laboratory, Laboratory]:
    other = other_settings(recorded, path)
    findings.changes |= changes(recorded, other)
    first = Laboratory(recorded, progress)
    alike = all(
        getattr(recorded, part) == getattr(other, part) for part in ("detection", "unmasking", "engines")
    )
    second = Laboratory(other, progress, first.networks if alike else None)
    for name, laboratory in (("recorded settings", first), ("other settings", second)):
        findings.notes += [f"{name}: {note}" for note in laboratory.notes]
    return first, second


def _laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    made = dict(below)
    for key, value in above.items():
        old = made.get(key)
        made[key] = _laid_over(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return made


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, value in values.items():
        made |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return made
