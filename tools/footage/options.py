"""What the commands of `unvizard footage` share: where the recordings are, spans of time, cameras, and clear errors."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from engines.backends import EngineError
from engines.models import ModelError
from engines.recognition.audit import AuditError
from stream.archive.archive import Archive, ArchiveError
from stream.config import ConfigError, Settings, load
from tools.footage.local_times import TimeError, parse_time, show_time

Config = Annotated[Path | None, typer.Option(help="Settings in YAML; says where the recordings are.")]
Folder = Annotated[Path | None, typer.Option(help="The recordings' folder, instead of the settings'.")]
Cameras = Annotated[list[str] | None, typer.Option("--camera", help="Of this camera only; may be repeated.")]
From = Annotated[
    str | None, typer.Option("--from", help='From then on: "2026-11-21 14:00", "today 14:00", -2h.')
]
To = Annotated[str | None, typer.Option("--to", help="Until then, in the same forms.")]
Limit = Annotated[int, typer.Option(min=1, help="At most so many.")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]


@contextmanager
def opened(config: Path | None, folder: Path | None) -> Iterator[tuple[Archive, Settings]]:
    """The archive and the settings. Ends the command with one line for everything that can go wrong."""
    try:
        settings = load(config) if config else Settings()
        with Archive.open(folder or settings.recording.folder) as archive:
            if archive.read_only:
                typer.echo("note: the recordings cannot be written, so this is not in their log", err=True)
            yield archive, settings
    except (ArchiveError, AuditError, ConfigError, EngineError, ModelError, TimeError, ValueError) as error:
        fail(str(error))


def span(start: str | None, end: str | None) -> tuple[int | None, int | None]:
    """Wall times; says where daylight saving leaves room for doubt."""
    now = datetime.now().astimezone()
    ends: list[int | None] = []
    for option, words, later in (("--from", start, False), ("--to", end, True)):
        if words is None:
            ends.append(None)
            continue
        try:
            moment = parse_time(words, now, later)
        except TimeError as error:
            fail(f"{option}: {error}")
        if moment.note:
            typer.echo(f"note: {option}: {moment.note}", err=True)
        ends.append(moment.wall_ns)
    first, last = ends
    if first is not None and last is not None and last <= first:
        fail(f"--to: must come after --from, found {show_time(first)} to {show_time(last)}")
    return first, last


def known_cameras(archive: Archive, wanted: list[str] | None) -> tuple[str, ...]:
    """The cameras asked for, when the recordings know them all."""
    known = archive.cameras()
    for name in wanted or ():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known) or 'none'}"
            fail(f"--camera: {name!r} is not in these recordings; {hint}")
    return tuple(wanted or ())


def fail(message: str) -> NoReturn:
    """One sentence, and the end of the command."""
    typer.echo(message, err=True)
    raise typer.Exit(1)
