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
    as_json: Annotated[bool, typer.Option("--json", help="Say what was found as JSON.")] = False,
    config: Annotated[Path | None, typer.Option(help="Settings in YAML.")] = None,
) -> None:
    """Guess what the masks on photographs hide: for each masked face a picture, the original beside the guess.

    The guess is invented: a face that would fit what is visible, not the face that is there. It is marked as such in
    the picture, in the file and in its pixels, and cannot be enrolled. Ends with 0 when there was a mask to take off, 1
    when there was none, 2 when a picture cannot be read; the others are done all the same.
    """
    try:
        unmasker = PictureUnmasker.open(load(config) if config else Settings())
        output.mkdir(parents=True, exist_ok=True)
    except (ConfigError, EngineError, ModelError) as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"--output: {output}: cannot be made: {error.strerror}")
    for note in unmasker.notes:
        typer.echo(note, err=True)
    said: list[dict[str, Any]] = []
    unreadable = False
    for path in pictures:
        try:
            faces = unmasker.unmask(read_photo(path).pixels)
        except Refused as refusal:
            typer.echo(f"{path}: {refusal}", err=True)
            unreadable = True
            continue
        entry = {
            "picture": str(path),
            "faces": [_kept(path, n, face, output) for n, face in enumerate(faces, 1)],
        }
        said.append(entry)
        if not as_json:
            _tell(entry)
    if as_json:
        typer.echo(json.dumps(said, indent=2))
    done = any(face["file"] for entry in said for face in entry["faces"])
    raise typer.Exit(_UNREADABLE if unreadable else _UNMASKED if done else _NOTHING)


def _kept(path: Path, number: int, face: UnmaskedFace, folder: Path) -> dict[str, Any]:
    """What is said of a face, whose picture is written. Ends the command where that cannot be done."""
    file = folder / f"{path.stem}.face-{number}.png" if face.png else None
    if file and face.png:
        try:
            file.write_bytes(face.png)
        except OSError as error:
            _fail(f"--output: {file}: cannot be written: {error.strerror}")
    return {
        "box": [round(v, 1) for v in face.box],
        "mask": face.mask.value,
        "probability": round(face.probability, 3),
        "painted": round(face.painted, 3),
        "file": None if file is None else str(file),
    }


def _tell(entry: dict[str, Any]) -> None:
    typer.echo(
        f"{entry['picture']}: {len(entry['faces']) or 'no'} face{'s' if len(entry['faces']) != 1 else ''}"
    )
    for number, face in enumerate(entry["faces"], 1):
        state = f"{_WORDS[MaskState(face['mask'])]} ({100 * face['probability']:.0f} %)"
        made = f": a guess of what it hides is in {face['file']}" if face["file"] else ""
        typer.echo(f"  {number} at x {face['box'][0]:.0f}, y {face['box'][1]:.0f}: {state}{made}")


def _fail(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(_UNREADABLE)
