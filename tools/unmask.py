"""`unvizard unmask`: a guess of what the masks on photographs hide."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from engines.backends import EngineError
from engines.masks.state import MaskState
from engines.models import ModelError
from engines.recognition.photo import Refused, read_photo
from stream.config import ConfigError, Settings, load
from stream.unmasking import PictureUnmasker, UnmaskedFace

_UNMASKED, _NOTHING, _UNREADABLE = 0, 1, 2
_WORDS = {
    MaskState.NONE: "no mask",
    MaskState.WORN: "mask worn",
    MaskState.WORN_WRONGLY: "mask worn wrongly",
}


def unmask(
    pictures: Annotated[list[Path], typer.Argument(help="Photographs.")],
    output: Annotated[
        Path, typer.Option(help="Folder for NAME.face-1.png, …; made if it is not there.")
    ] = Path(),
    sheet: Annotated[
        Path | None,
        typer.Option(help="All in one numbered contact sheet (PNG) here, and no picture for each face."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Say what was found as JSON.")] = False,
    config: Annotated[Path | None, typer.Option(help="Settings in YAML.")] = None,
) -> None:
    """Guess what the masks on photographs hide: for each masked face a picture, the original beside the guess.

    The guess is invented: a face that would fit what is visible, not the face that is there. It is marked as such in
    the picture, in the file and in its pixels, and cannot be enrolled. Where too little is seen to guess from, there is
    none, and the reason is said. Ends with 0 when there was a mask to take off, 1 when there was none, 2 when a picture
    cannot be read; the others are done all the same.
    """
    try:
        unmasker = PictureUnmasker.open(load(config) if config else Settings())
        if sheet is None:
            output.mkdir(parents=True, exist_ok=True)
    except (ConfigError, EngineError, ModelError) as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"--output: {output}: cannot be made: {error.strerror}")
    for note in unmasker.notes:
        typer.echo(note, err=True)
    said: list[dict[str, Any]] = []
    every: list[UnmaskedFace] = []
    unreadable = False
    for path in pictures:
        try:
            faces = unmasker.unmask(read_photo(path).pixels)
        except Refused as refusal:
            typer.echo(f"{path}: {refusal}", err=True)
            unreadable = True
            continue
        entry: dict[str, Any] = {"picture": str(path), "faces": []}
        for number, face in enumerate(faces, 1):
            file: str | None = None
            if face.png and sheet:
                every.append(face)
                file = f"{sheet}#{len(every)}"
            elif face.png:
                file = str(output / f"{path.stem}.face-{number}.png")
                _write("--output", Path(file), face.png)
            entry["faces"].append(_said(face, file))
        said.append(entry)
        if not as_json:
            _tell(entry)
    if sheet and every:
        _write("--sheet", sheet, unmasker.sheet(every))
    if as_json:
        typer.echo(json.dumps(said, indent=2))
    done = any(face["file"] for entry in said for face in entry["faces"])
    raise typer.Exit(_UNREADABLE if unreadable else _UNMASKED if done else _NOTHING)


def _said(face: UnmaskedFace, file: str | None) -> dict[str, Any]:
    return {
        "box": [round(v, 1) for v in face.box],
        "mask": face.mask.value,
        "probability": round(face.probability, 3),
        "refused": face.refused,
        "painted": round(face.painted, 3),
        "file": file,
    }


def _write(option: str, file: Path, data: bytes) -> None:
    """Ends the command where that cannot be done."""
    try:
        file.write_bytes(data)
    except OSError as error:
        _fail(f"{option}: {file}: cannot be written: {error.strerror}")


def _tell(entry: dict[str, Any]) -> None:
    typer.echo(
        f"{entry['picture']}: {len(entry['faces']) or 'no'} face{'s' if len(entry['faces']) != 1 else ''}"
    )
    for number, face in enumerate(entry["faces"], 1):
        state = f"{_WORDS[MaskState(face['mask'])]} ({100 * face['probability']:.0f} %)"
        made = f": a guess of what it hides is in {face['file']}" if face["file"] else ""
        if face["refused"]:
            made = f": no guess, {face['refused']}"
        typer.echo(f"  {number} at x {face['box'][0]:.0f}, y {face['box'][1]:.0f}: {state}{made}")


def _fail(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(_UNREADABLE)
