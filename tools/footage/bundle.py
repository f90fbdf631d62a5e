"""`unvizard footage bundle`: hand over what was recorded of one sighting, signed, with a report that can be read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import stream
from engines.signing import SigningError, SigningKey
from stream.evidence.bundle import BundleError
from stream.evidence.bundling import Export, make_bundle
from tools.footage.options import Config, Folder, fail, opened


def bundle(
    sighting: Annotated[int, typer.Argument(help="The sighting's number, as the other commands show it.")],
    out: Annotated[Path, typer.Argument(help="The bundle (ZIP) to write; it must not be there yet.")],
    reason: Annotated[
        str,
        typer.Option(
            help='Why it is handed over, such as "request 2026-118 of the police". It stays in the log for good: '
            "name no person in it."
        ),
    ],
    by: Annotated[
        str | None, typer.Option(help="Who hands it over; the account of this machine otherwise.")
    ] = None,
    before: Annotated[float, typer.Option(help="Seconds of footage before the sighting.")] = 5.0,
    after: Annotated[float, typer.Option(help="Seconds of footage after it.")] = 10.0,
    unblurred_footage: Annotated[
        bool,
        typer.Option(
            "--unblurred-footage",
            help="While privacy.blur_others is set: hand over the camera's own footage all the same. Everybody can be "
            "seen in it.",
        ),
    ] = False,
    config: Config = None,
    folder: Folder = None,
) -> None:
    """Hand over one sighting: original footage, stills, scores and a report, in one signed file.

    Everything that names the person of the sighting is in it, readable by whoever has the file. `unvizard verify`
    checks it anywhere.
    """
    with opened(config, folder) as (archive, settings):
        try:
            needed = 2 if settings.accounts.two_persons else 1
            blurred = settings.privacy.blur_others
            who = by or archive.actor
            export = Export(sighting, who, reason, before, after, needed, blurred, unblurred_footage)
            key = SigningKey.open(settings.signing.key)
            manifest = make_bundle(archive, export, out, key, f"unvizard {stream.__version__}")
        except (BundleError, SigningError) as error:
            fail(str(error))
    size = sum(file.size for file in manifest.files)
    typer.echo(f"{out}: {len(manifest.files)} files, {size / 1e6:.1f} MB, signed by {manifest.installation}")
    if not export.with_footage:
        typer.echo(
            "privacy.blur_others is set: strangers are unrecognisable in it, and the footage was left out."
        )
    typer.echo("It holds faces and perhaps a name: give it to nobody but the one whom it is for.")
