"""`unvizard authenticity`: is what a picture or a clip shows photographed, painted, or our own reconstruction?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from engines.recognition.photo import Refused
from stream.authenticity import Judge, Verdict
from stream.config import ConfigError, Settings, load

_PHOTOGRAPHED, _SYNTHETIC, _UNREADABLE, _NO_FACE = 0, 1, 2, 3
_CODES = {
    "photographed": _PHOTOGRAPHED,
    "synthetic": _SYNTHETIC,
    "reconstruction": _SYNTHETIC,
    "no face": _NO_FACE,
}
_VIDEOS = {".mp4", ".mkv", ".mov", ".avi", ".webm", ".ts", ".m4v"}
_WORDS = {
    "photographed": "looks photographed",
    "synthetic": "looks synthetic: painted or generated",
    "reconstruction": "a reconstruction made by this product",
    "no face": "no face that can be judged",
}


def authenticity(
    file: Annotated[Path, typer.Argument(help="A picture, or a clip.")],
    as_json: Annotated[bool, typer.Option("--json", help="Say it as JSON.")] = False,
    heat_map: Annotated[
        Path | None,
        typer.Option(help="Write the picture (of a clip, its likeliest frame) with the heat map here, PNG."),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="Settings in YAML; flag_at is used.")] = None,
) -> None:
    """Say whether faces in a picture or clip, or the masks on them, look photographed or painted.

    Ends with 0 when they look photographed, 1 when one looks synthetic or the picture carries the mark of our own
    reconstructions, 2 when the file cannot be read, 3 when there is no face that can be judged. A hint, never evidence.
    """
    try:
        judge = Judge.open(load(config) if config else Settings())
        if file.suffix.lower() in _VIDEOS:
            clip = judge.judge_clip(file)
            shown, best = clip.plain(), clip.looks[clip.best or 0][1]
        else:
            best = judge.judge(file.read_bytes())
            shown = best.plain()
    except Refused as refusal:
        _fail(f"{file}: {refusal}")
    except ConfigError as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{file}: cannot be read: {error.strerror}")
    if heat_map:
        if not best.heat_png:
            _fail(f"--heat-map: {file} shows no face that can be judged")
        try:
            heat_map.write_bytes(best.heat_png)
        except OSError as error:
            _fail(f"--heat-map: {heat_map}: cannot be written: {error.strerror}")
    if as_json:
        typer.echo(json.dumps(shown, indent=2))
    else:
        _tell(file, shown["conclusion"], best, shown.get("looks"))
    raise typer.Exit(_CODES[shown["conclusion"]])


def _tell(file: Path, conclusion: str, best: Verdict, looks: list[dict[str, object]] | None) -> None:
    typer.echo(f"{file}: {_WORDS[conclusion]}")
    typer.echo("")
    for look in looks or ():
        said = "no face" if look["probability"] is None else f"{100 * float(str(look['probability'])):.0f} %"
        typer.echo(f"  at {look['seconds']} s: {said}")
    if looks:
        typer.echo("  Of the frame that looks painted most:")
    for line in best.said:
        typer.echo(f"  {line}")


def _fail(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(_UNREADABLE)
