"""The ten trials of the source paper as one command, and what each reached."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from tools.cyclegan.training import Options

TRIALS: tuple[tuple[int, str, str, str], ...] = (
    (16, "instance", "linear", "vanilla"),
    (16, "instance", "linear", "lsgan"),
    (16, "batch", "linear", "vanilla"),
    (16, "batch", "linear", "lsgan"),
    (16, "instance", "cosine", "vanilla"),
    (16, "batch", "cosine", "vanilla"),
    (16, "batch", "cosine", "lsgan"),
    (32, "instance", "linear", "vanilla"),
    (32, "instance", "linear", "lsgan"),
    (32, "batch", "linear", "lsgan"),
)
"""Batch, norm, policy, loss: the combinations for which figures were published."""


def trials(base: Options) -> dict[str, Options]:
    """The options of each trial by its name; what is not part of the grid is as in `base`."""
    return {
        f"{number:02d}-{batch}-{norm}-{policy}-{gan}": replace(
            base,
            batch=batch,
            norm=norm,  # type: ignore[arg-type]
            policy=policy,  # type: ignore[arg-type]
            gan=gan,  # type: ignore[arg-type]
        )
        for number, (batch, norm, policy, gan) in enumerate(TRIALS, 1)
    }


def write_table(path: Path, rows: Mapping[str, Mapping[str, float]]) -> None:
    """One line a trial."""
    columns = sorted({name for row in rows.values() for name in row})
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["trial", *columns])
        for trial, row in rows.items():
            writer.writerow([trial, *(f"{row[name]:.4f}" if name in row else "" for name in columns)])
