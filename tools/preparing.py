"""Making the engines ready before the stages start, with progress that a person can see."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from engines.backends import Building
from stream.calibration import calibration_of
from stream.config import Settings
from stream.networks import load_networks


def progress_bar(console: Console) -> Progress:
    """The bar that every longer job of the command line shows."""
    return Progress(
        TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=console, transient=True
    )


def prepare_with_progress(settings: Settings, console: Console, live: bool = True) -> None:
    """Make every network's file and compiled engine, so that the stages start warm.

    live: an engine that takes minutes to build is left to the stage, which serves on another one meanwhile.
    Says once which better runtime was passed over and why. Raises ModelError, EngineError, and
    CalibrationError for a calibration of another embedder than the settings'.
    """
    with progress_bar(console) as progress:
        task = progress.add_task("Preparing engines", total=1.0)
        loaded = load_networks(
            settings,
            lambda name, share: progress.update(
                task, completed=share, description=f"Preparing {name or 'engines'}"
            ),
            Building.LATER if live else Building.NOW,
        )
    calibration_of(settings.recognition, loaded.evidence.space)
    for note in loaded.notes:
        console.print(f"[yellow]{note}[/yellow]", highlight=False)
    served = sorted({f"{info.backend} ({info.precision})" for info in loaded.engines.values()})
    console.print(f"{len(loaded.engines)} engines ready on {', '.join(served)}", highlight=False)
