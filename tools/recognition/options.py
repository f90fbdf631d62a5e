"""The options that the two evaluation commands have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Root = Annotated[Path, typer.Option(help="Folder that the files of the list lie in.")]
Templates = Annotated[
    Path | None, typer.Option(help="Folder of photographed mask templates; drawn masks without it.")
]
IndexFile = Annotated[
    Path | None, typer.Option(help="CSV that tells of files: identity, and columns to tell groups by.")
]
By = Annotated[
    list[str] | None, typer.Option(help="Column of the index that makes groups; gender, race, age without.")
]
Gate = Annotated[
    bool, typer.Option(help="Hold what is seen of people to the live pipeline's limits of quality.")
]
Config = Annotated[Path | None, typer.Option(help="Configuration of the product; its defaults without.")]
CalibrationFile = Annotated[
    Path | None, typer.Option(help="Calibration to measure; the configuration's own without.")
]
Keep = Annotated[Path | None, typer.Option(help="File that keeps what was seen, for the next evaluation.")]
Draws = Annotated[int, typer.Option(min=20, help="Draws of people for the intervals.")]
JsonFile = Annotated[Path | None, typer.Option("--json", help="Where to write all figures.")]
Plots = Annotated[Path | None, typer.Option(help="Folder for the curves, as pictures.")]
