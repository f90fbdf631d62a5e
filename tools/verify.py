"""`unvizard verify`: whether a picture or an evidence bundle is genuine and unaltered. Needs the file alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NoReturn

import typer

from engines.recognition.enrolment import Refused
from engines.signing import Expected, SigningError
from engines.unmasking.inspection import inspect, sentences
from stream.evidence.verification import verify_bundle

_GENUINE, _ALTERED, _UNREADABLE, _UNMARKED = 0, 1, 2, 3
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")


def verify(
    file: Annotated[Path, typer.Argument(help="A picture, or an evidence bundle (ZIP).")],
    key: Annotated[
        str | None,
        typer.Option(help="Insist on this installation: its fingerprint, or its public key file."),
    ] = None,
) -> None:
    """Say whether a picture or an evidence bundle is genuine, from which installation, and whether it was altered.

    Ends with 0 when it is genuine and unaltered, 1 when it was altered or its signature is wrong (or is not by --key),
    2 when it cannot be read, 3 when nothing marks it as a reconstruction or a bundle.
    """
    try:
        expected = None if key is None else Expected.parse(key)
        with file.open("rb") as opened:
            bundled = opened.read(4) in _ZIP
    except SigningError as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{file}: cannot be read: {error.strerror}")
    raise typer.Exit(_bundle(file, expected) if bundled else _picture(file, expected))


def _bundle(file: Path, expected: Expected | None) -> int:
    try:
        found = verify_bundle(file, expected)
    except OSError as error:
        _fail(f"{file}: cannot be read: {error.strerror}")
    _say(f"{file}: an evidence bundle, {'unaltered' if found.unaltered else 'NOT as it was signed'}")
    for heading, lines in (
        ("Wrong:", found.wrong),
        ("Right:", found.right),
        ("Not known:", found.limits),
    ):
        if lines:
            _say("", heading, *(f"  {line}" for line in lines))
    return _GENUINE if found.unaltered else _ALTERED


def _picture(file: Path, expected: Expected | None) -> int:
    try:
        found = inspect(file, expected)
    except Refused as refusal:
        _fail(f"{file}: {refusal}")
    if found.unaltered:
        verdict, code = "a reconstruction, genuine and unaltered", _GENUINE
    elif found.marked:
        verdict, code = "marked as a reconstruction, but NOT as it was signed", _ALTERED
    else:
        verdict, code = "no mark was found", _UNMARKED
    _say(f"{file}: {verdict}", "", *(f"  {line}" for line in sentences(found)))
    return code


def _say(*lines: str) -> None:
    for line in lines:
        typer.echo(line)


def _fail(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(_UNREADABLE)
