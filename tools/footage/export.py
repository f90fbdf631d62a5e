"""`unvizard footage export`: a stretch of a camera's footage as one MP4 to hand over."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stream.capture.cover import Cover
from stream.replay.export import ExportError, Style
from stream.replay.export import export as write
from tools.footage.local_times import show_time
from tools.footage.options import Config, Folder, fail, known_cameras, opened, span


def export(
    output: Annotated[Path, typer.Argument(help="The MP4 to write; it must not be there yet.")],
    camera: Annotated[str, typer.Option(help="Whose footage.")],
    start: Annotated[
        str, typer.Option("--from", help='First moment: "2026-11-21 14:00", "today 14:00", -2h.')
    ],
    end: Annotated[str, typer.Option("--to", help="Last moment, in the same forms.")],
    names: Annotated[
        bool, typer.Option("--names", help="Boxes and names as live showed them (usual).")
    ] = False,
    blur_others: Annotated[
        bool,
        typer.Option("--blur-others", help="Everyone who is not enrolled made unrecognisable, for good."),
    ] = False,
    plain: Annotated[
        bool, typer.Option("--plain", help="The camera's own packets, from the key picture before.")
    ] = False,
    config: Config = None,
    folder: Folder = None,
) -> None:
    """Write a stretch of footage for somebody else. The recordings' log keeps that it was done, and by whom.

    --blur-others hides the faces that were found, also between and around their finds, and whole pictures where nobody
    looked. Faces that were never found (too small, turned away) stay, so look through what you hand over.
    """
    given = {Style.NAMES: names, Style.BLUR_OTHERS: blur_others, Style.PLAIN: plain}
    wanted = [style for style, asked in given.items() if asked]
    if len(wanted) > 1:
        fail(f"only one of --names, --blur-others and --plain may be given, found --{' --'.join(wanted)}")
    with opened(config, folder) as (archive, settings):
        if settings.privacy.blur_others and (names or plain):
            fail(f"--{wanted[0]}: cannot be given while privacy.blur_others is set")
        usual = Style.BLUR_OTHERS if settings.privacy.blur_others else Style.NAMES
        known_cameras(archive, [camera])
        from_ns, to_ns = span(start, end)
        assert from_ns is not None and to_ns is not None
        try:
            cover = Cover.of(settings, camera)
            style = wanted[0] if wanted else usual
            done = write(archive, camera, from_ns, to_ns, output, style, cover=cover)
        except (ExportError, OSError) as error:
            fail(str(error))
    typer.echo(
        f"{output}: {done.frames} pictures of {camera}, {show_time(done.began_ns)} to {show_time(done.ended_ns)}"
    )
    for note in done.notes:
        typer.echo(f"note: {note}", err=True)
