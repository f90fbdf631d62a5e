"""`unvizard footage protect, unprotect, erase-person, log`: what stays, what goes, and who did what."""

from __future__ import annotations

from typing import Annotated

import typer

from stream.archive.archive import Archive
from stream.archive.footage import Segment, Span
from stream.archive.sightings import Sighting
from tools.footage import text
from tools.footage.local_times import show_time
from tools.footage.options import Config, Folder, From, To, fail, known_cameras, opened, span

OfSighting = Annotated[int | None, typer.Option(help="Number of a sighting.")]
OfSegment = Annotated[int | None, typer.Option(help="Number of a segment.")]
OfCamera = Annotated[str | None, typer.Option(help="With --from and --to: of this camera only.")]


def protect(
    sighting: OfSighting = None,
    segment: OfSegment = None,
    camera: OfCamera = None,
    start: From = None,
    end: To = None,
    config: Config = None,
    folder: Folder = None,
) -> None:
    """Keep a sighting, a segment, or a span of time, however old it gets. Without any of them: list what is kept."""
    with opened(config, folder) as (archive, _):
        if (sighting, segment, camera, start, end) == (None,) * 5:
            for line in text.protections(archive.protections()):
                typer.echo(line)
            return
        what = _protectable(archive, sighting, segment, camera, start, end)
        archive.protect(what)
        typer.echo(f"protected: {text.protectable(what)}")


def unprotect(
    sighting: OfSighting = None,
    segment: OfSegment = None,
    camera: OfCamera = None,
    start: From = None,
    end: To = None,
    config: Config = None,
    folder: Folder = None,
) -> None:
    """Let something that was protected expire as all else does."""
    with opened(config, folder) as (archive, _):
        what = _protectable(archive, sighting, segment, camera, start, end)
        before = len(archive.protections())
        archive.protect(what, on=False)
        if len(archive.protections()) == before:
            fail(f"{text.protectable(what)}: was not protected; `unvizard footage protect` lists what is")
        typer.echo(f"no longer protected: {text.protectable(what)}")


def erase_person(
    name: Annotated[str, typer.Argument(help="Whom to erase.")], config: Config = None, folder: Folder = None
) -> None:
    """Erase a person from all sightings, annotations and events, and print a receipt. The gallery is left alone."""
    with opened(config, folder) as (archive, _):
        for line in text.receipt(archive.erase_person(name)):
            typer.echo(line)


def log(
    verify: Annotated[bool, typer.Option("--verify", help="Check that no line was altered.")] = False,
    receipt: Annotated[
        str | None, typer.Option(help="The mark of a receipt; its line must be there.")
    ] = None,
    config: Config = None,
    folder: Folder = None,
) -> None:
    """Show who searched, viewed, protected, exported and erased what."""
    with opened(config, folder) as (archive, _):
        try:
            known = bytes.fromhex(receipt) if receipt else None
        except ValueError:
            fail("--receipt: must be the hexadecimal mark that a receipt shows")
        count = archive.audit.verify(known) if verify or known else None
        for entry in archive.audit.entries():
            about = f"  person {entry.person}" if entry.person else ""
            detail = f"  ({entry.detail})" if entry.detail else ""
            typer.echo(
                f"{entry.sequence}  {show_time(entry.wall_ns)}  {entry.actor}  {entry.action}{about}{detail}"
            )
        if count is not None:
            typer.echo(f"{count} lines, unaltered")


def _protectable(
    archive: Archive,
    sighting: int | None,
    segment: int | None,
    camera: str | None,
    start: str | None,
    end: str | None,
) -> Segment | Sighting | Span:
    stretch = camera is not None or start is not None or end is not None
    if (sighting is not None) + (segment is not None) + stretch != 1:
        fail("name one thing: --sighting, --segment, or --from and --to (perhaps with --camera)")
    if sighting is not None:
        return archive.sighting(sighting)
    if segment is not None:
        return archive.segment(segment)
    from_ns, to_ns = span(start, end)
    if from_ns is None or to_ns is None:
        fail("a span needs both --from and --to")
    if camera is not None:
        known_cameras(archive, [camera])
    return Span(from_ns, to_ns, camera)
