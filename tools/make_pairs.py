"""Makes a paired data set from any folder of faces: each face without a mask, with one, and where the mask is.

    python -m tools.make_pairs PICTURES PAIRS
    python -m tools.make_pairs PICTURES PAIRS --size 256 --copies 3 --wrongly 0.1 --camera 0.5 --seed 7
    python -m tools.make_pairs PICTURES PAIRS --templates TEMPLATES/MaskTheFace

PAIRS then holds unmasked/, masked/ and region/ with PNG files of the same names, pairs.csv with one row a pair (source
and its sha256, landmarks, yaw, sharpness, how mask and camera were drawn), left_out.csv with every picture that was not
used and why, and made.json with the command's choices. The same folder, choices and seed give the same files, in
whatever order and however often the command was interrupted: what is there is kept.

Masks are drawn (engines/masks/synthesis.py) to fit pose, light, glasses and beard of each face. A picture is used when
it shows one sharp face, turned by no more than --max-yaw, with nose and mouth free.
"""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path
from typing import Annotated, Any

import cv2
import typer
from rich.console import Console
from rich.progress import Progress

from engines.backends import open_engine
from engines.masks.synthesis import Kind
from engines.masks.templates import read_templates
from engines.masks.textures import Style
from engines.models import prepare
from stream.config import Engines
from tools.learning.faces import read_picture
from tools.pairs.curation import Curator, Fit, Limits
from tools.pairs.making import Choice, Made, generator, make, png
from tools.unmasking.cases import PICTURES

FOLDERS = ("unmasked", "masked", "region")
_POINTS = ("rex", "rey", "lex", "ley", "nx", "ny", "rmx", "rmy", "lmx", "lmy")
COLUMNS = ("file", "source", "source_sha256", *_POINTS, "size", "yaw", "sharpness", "made")


def _row(name: str, source: str, digest: str, fit: Fit, made: Made) -> list[Any]:
    points = [round(float(v), 2) for v in made.landmarks.ravel()]
    measured = (round(fit.size, 1), round(fit.yaw_degrees, 1), round(fit.sharpness, 1))
    return [name, source, digest, *points, *measured, json.dumps(made.facts)]


def _write(out: Path, name: str, made: Made) -> None:
    """All three files of a pair; the masked one last, since its being there says that the pair is whole."""
    files = {"unmasked": made.unmasked, "region": made.region, "masked": made.masked}
    for folder, picture in files.items():
        path = out / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_bytes(png(picture))
        part.replace(path)


def _paths(pictures: Path, out: Path) -> list[Path]:
    if not pictures.is_dir():
        raise typer.BadParameter(f"PICTURES: must be a folder, found {pictures}")
    inside = out.resolve()
    found = sorted(path for path in pictures.rglob("*") if path.suffix.lower() in PICTURES)
    found = [path for path in found if inside not in path.resolve().parents]
    if not found:
        raise typer.BadParameter(f"PICTURES: must hold pictures, found none in {pictures}")
    return found


def _same_choices(out: Path, choices: dict[str, Any]) -> None:
    """Ends the command when the folder holds pairs that were made with other choices."""
    path = out / "made.json"
    if path.is_file() and json.loads(path.read_text()) != choices:
        raise typer.BadParameter(
            f"PAIRS: {out} holds pairs made with other choices (see {path.name}); take another folder"
        )
    out.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(choices, indent=1) + "\n")


def main(
    pictures: Annotated[Path, typer.Argument(help="Folder of pictures of faces, searched with all below it")],
    out: Annotated[Path, typer.Argument(metavar="PAIRS", help="Folder for the pairs")],
    size: Annotated[
        int, typer.Option(min=0, max=2048, help="Side of the aligned crop; 0: whole pictures")
    ] = 0,
    copies: Annotated[int, typer.Option(min=1, max=1000, help="Pairs of each face")] = 1,
    kind: Annotated[list[Kind] | None, typer.Option(help="Only these kinds of mask; repeatable")] = None,
    style: Annotated[list[Style] | None, typer.Option(help="Only these looks of cloth; repeatable")] = None,
    templates: Annotated[
        Path | None, typer.Option(help="Folder of photographed masks, used instead of drawn ones")
    ] = None,
    wrongly: Annotated[float, typer.Option(min=0, max=1, help="Share of masks that are worn wrongly")] = 0.0,
    camera: Annotated[
        float, typer.Option(min=0, max=1, help="Share of pairs as a cheap camera shows them")
    ] = 0.0,
    min_size: Annotated[int, typer.Option(min=24, help="Smallest face, pixels")] = 64,
    max_yaw: Annotated[float, typer.Option(min=0, max=60, help="How far a face may be turned, degrees")] = 45,
    min_sharpness: Annotated[
        float, typer.Option(min=0, help="As quality.min_sharpness of the settings")
    ] = 20,
    several: Annotated[bool, typer.Option(help="Take the largest face of pictures with several")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, other masks")] = 0,
) -> None:
    """Makes pairs of faces with and without masks."""
    cv2.setNumThreads(1)
    try:
        masks = read_templates(templates) if templates else {}
    except ValueError as error:
        raise typer.BadParameter(f"--templates: {error}") from None
    paths = _paths(pictures, out)
    choice = Choice(tuple(kind or ()), tuple(style or ()), wrongly, camera, size)
    limits = Limits(min_size, max_yaw, min_sharpness, several=several)
    _same_choices(
        out,
        {
            "seed": seed,
            "copies": copies,
            "templates": sorted(masks),
            "choice": {
                "kinds": [k.value for k in choice.kinds],
                "styles": [s.value for s in choice.styles],
                "wrongly": wrongly,
                "camera": camera,
                "size": size,
            },
            "limits": {"size": min_size, "yaw": max_yaw, "sharpness": min_sharpness, "several": several},
        },
    )
    prepared = prepare(Engines().cache, ("pnet", "rnet", "onet", "maskstate"))
    curator = Curator(
        {name: open_engine(model, "auto", threads=1) for name, model in prepared.items()}, limits
    )
    rows: list[list[Any]] = []
    left_out: list[tuple[str, str]] = []
    with Progress(console=Console(stderr=True)) as progress:
        bar = progress.add_task("pairs", total=len(paths))
        for path in paths:
            source = path.relative_to(pictures).as_posix()
            try:
                picture = read_picture(path)
            except ValueError as error:
                left_out.append((source, str(error)))
                progress.advance(bar)
                continue
            found = curator.look(picture)
            if isinstance(found, str):
                left_out.append((source, found))
            else:
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
                for copy in range(copies):
                    name = f"{source.replace('/', '__')}.{copy}.png"
                    made = make(picture, found.landmarks, choice, masks, generator(seed, source, copy))
                    if not (out / "masked" / name).is_file():
                        _write(out, name, made)
                    rows.append(_row(name, source, digest, found, made))
            progress.update(bar, advance=1, description=f"{len(rows)} pairs, {len(left_out)} left out")
    for name, head, lines in (("pairs.csv", COLUMNS, rows), ("left_out.csv", ("source", "why"), left_out)):
        with (out / name).open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(head)
            writer.writerows(lines)
    print(f"{out}: {len(rows)} pairs of {len(paths)} pictures; {len(left_out)} left out, see left_out.csv")


if __name__ == "__main__":
    typer.run(main)
