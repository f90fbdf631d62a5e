"""`unvizard people`: enrol people from photographs, list them, remove them. Works beside a running pipeline too."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from engines.backends import EngineError
from engines.models import ModelError
from engines.recognition.audit import AuditError
from engines.recognition.calibration import CalibrationError
from engines.recognition.enrolment import Enroller, Refused, check_identity
from engines.recognition.gallery import Gallery, GalleryError, Receipt
from engines.recognition.names import clean_ground, clean_name
from stream.archive.archive import ArchiveError
from stream.archive.archive import Receipt as ArchiveReceipt
from stream.calibration import calibration_of
from stream.config import ConfigError, Settings, load
from stream.enroller import enroller_of, open_for_photographs
from stream.erasing import erase_person
from tools.preparing import progress_bar

people = typer.Typer(no_args_is_help=True)

Config = Annotated[Path | None, typer.Option(help="Settings in YAML; says where the gallery is.")]
At = Annotated[Path | None, typer.Option("--gallery", help="The gallery's file, instead of the settings'.")]


@people.command("add")
def add(
    name: Annotated[str, typer.Argument(help="The person's name, at most 80 characters.")],
    photos: Annotated[
        list[Path], typer.Argument(help="Photographs of this person alone; several are better.")
    ],
    ground: Annotated[
        str, typer.Option(help='Why this person may be enrolled, such as "consent". Stored with them.')
    ],
    although_like: Annotated[
        list[str] | None, typer.Option(help="Enrol although the person looks like this one (a twin).")
    ] = None,
    config: Config = None,
    gallery: At = None,
) -> None:
    """Enrol a person from photographs, or add photographs to one who is enrolled."""
    settings = _settings(config)
    with _sentences(), Gallery(gallery or settings.recognition.gallery) as book:
        name, ground = clean_name(name), clean_ground(ground)
        enroller = open_enroller(settings)
        calibration = calibration_of(settings.recognition, enroller.space)
        refused = 0
        for photo in photos:
            try:
                template = enroller.template(photo)
                if owner := book.owner_of_picture(template.digest):
                    raise Refused(f"the very same photograph is already enrolled as {owner}")
                check_identity(template, name, book.load(template.space), calibration, although_like or ())
                person = book.add(name, template, ground, _actor())
                typer.echo(f"{photo}: enrolled as {person.name} (picture {person.pictures})")
            except Refused as refusal:
                refused += 1
                typer.echo(f"{photo}: refused: {refusal}", err=True)
    if refused:
        raise typer.Exit(1)


@people.command("list")
def show(config: Config = None, gallery: At = None) -> None:
    """List the people enrolled."""
    with _sentences(), Gallery(gallery or _settings(config).recognition.gallery) as book:
        found = book.people()
    if not found:
        typer.echo("nobody is enrolled")
        return
    table = Table("name", "pictures", "since", "ground", "revoked")
    for person in found:
        revoked = "" if person.revoked_wall_ns is None else _when(person.revoked_wall_ns)
        table.add_row(person.name, str(person.pictures), _when(person.since_wall_ns), person.ground, revoked)
    Console(markup=False, highlight=False).print(table)


@people.command("remove")
def remove(
    name: Annotated[str, typer.Argument(help="Whom to erase.")],
    config: Config = None,
    gallery: At = None,
    archive: Annotated[
        Path | None, typer.Option(help="The folder of the recordings, instead of the settings'.")
    ] = None,
) -> None:
    """Erase a person everywhere in the gallery and in what was recorded, and print a receipt.

    With a gallery of your own and neither settings nor a folder of recordings, only the gallery is touched.
    """
    settings = _settings(config)
    if archive is None and (gallery is None or config is not None):
        archive = settings.recording.folder
    with _sentences(), Gallery(gallery or settings.recognition.gallery) as book:
        erased = erase_person(book, archive, name, _actor())
    receipt = erased.gallery
    typer.echo(
        f"removed {receipt.name}: {receipt.pictures} picture{'s' if receipt.pictures != 1 else ''} erased"
    )
    _show_receipt("the log", receipt)
    typer.echo(
        "the person's key was destroyed: copies of the gallery that were sealed with it cannot be read for this person,"
        " unless the keyring was copied too"
    )
    if not receipt.scrubbed:
        typer.echo(
            "note: another process was reading; the next command on this gallery overwrites the erased bytes"
        )
    for each in erased.recordings:
        typer.echo(
            f"recordings: {each.sightings} sightings, {each.frames} frames and {each.events} events named"
            f" {each.name} and do no longer; the footage itself stays until it expires"
        )
        _show_receipt("the recordings' log", each)
        if not each.scrubbed:
            typer.echo(
                "note: another process was reading; the next command on these recordings overwrites the erased bytes"
            )
    for former in erased.left:
        typer.echo(
            f"note: {receipt.name} was once called {former}, as somebody else is now: recordings of that name were left"
        )
    if erased.problem:
        _fail(
            f"{erased.problem}\nThe gallery has forgotten {receipt.name}, the recordings have not: mend this, then run"
            f' unvizard footage erase-person "{receipt.name}"'
        )


def _show_receipt(log: str, receipt: Receipt | ArchiveReceipt) -> None:
    typer.echo(
        f"receipt: person {receipt.person}, {_when(receipt.wall_ns)}, line {receipt.sequence} of {log}, "
        f"mark {receipt.mark.hex()}"
    )


@people.command("log")
def log(
    receipt: Annotated[
        str | None, typer.Option(help="The mark of a receipt; its line must be there.")
    ] = None,
    config: Config = None,
    gallery: At = None,
) -> None:
    """Show who enrolled and removed whom, after checking that the log was not altered."""
    with _sentences(), Gallery(gallery or _settings(config).recognition.gallery) as book:
        try:
            known = bytes.fromhex(receipt) if receipt else None
        except ValueError:
            _fail("receipt: must be the hexadecimal mark that a receipt shows")
        count = book.audit.verify(known)
        for entry in book.audit.entries():
            detail = f" ({entry.detail})" if entry.detail else ""
            typer.echo(
                f"{entry.sequence}  {_when(entry.wall_ns)}  {entry.actor}  {entry.action}  {entry.person}{detail}"
            )
    typer.echo(f"{count} lines, unaltered")


def open_enroller(settings: Settings) -> Enroller:
    """What turns photographs into templates, with the detector and on the runtime that the settings choose.

    Raises ModelError, EngineError.
    """
    with progress_bar(Console(stderr=True)) as progress:
        task = progress.add_task("Preparing networks", total=1.0)
        opened = open_for_photographs(
            settings,
            lambda name, share: progress.update(
                task, completed=share, description=f"Preparing {name or 'networks'}"
            ),
        )
    return enroller_of(settings, opened)


def _settings(config: Path | None) -> Settings:
    try:
        return load(config) if config else Settings()
    except ConfigError as error:
        _fail(str(error))


@contextmanager
def _sentences() -> Iterator[None]:
    """Ends the command with one line for everything that can go wrong."""
    try:
        yield
    except (
        ArchiveError,
        AuditError,
        CalibrationError,
        EngineError,
        GalleryError,
        ModelError,
        ValueError,
    ) as error:
        _fail(str(error))


def _fail(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(1)


def _actor() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def _when(wall_ns: int) -> str:
    return datetime.fromtimestamp(wall_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M UTC")
