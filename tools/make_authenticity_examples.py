"""Makes the examples that authenticity networks learn from: photographed faces, and painted or generated ones.

    python -m tools.make_authenticity_examples EXAMPLES --faces FACES/fairface/train --masked REAL_MASKED/with_mask \
        --templates TEMPLATES/FMA-3D --generator mask=runs/cyclegan/mask.onnx

Any folders of real faces will do. Painted are, in turn: masks drawn by our synthesis, photographed masks laid over the
face (--templates), reconstructions of our generator, and what other generators make (--generator). Pictures that look
alike never come into two of the three parts (80 / 10 / 10 %). For a set that tests what was left out of training, name
its families:

    python -m tools.make_authenticity_examples LEFT_OUT --faces FACES/fairface/val --masked REAL_MASKED \
        --templates TEMPLATES/MaskTheFace --family templates --family cloned
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cv2
import typer
from rich.console import Console
from rich.progress import Progress

from engines.backends import open_engine
from engines.detection.mtcnn import MTCNN
from engines.masks.state import MaskStateClassifier
from engines.models import ModelError, prepare
from stream.config import Engines
from tools.authenticity.examples import build
from tools.authenticity.families import Family, cloned, drawn, generated, templates
from tools.authenticity.report import write_data_report
from tools.authenticity.sources import Reader, divided
from tools.learning.runtime import open_file

console = Console(stderr=True)
FAMILIES = ("drawn", "reconstruction", "templates", "cloned")
_KINDS = {"mask": (True, False), "unmask": (False, True)}


def families_of(names: list[str], template_folder: Path | None, generators: list[str]) -> list[Family]:
    """The families that were named, and a generator each. Raises ValueError for one that cannot be had."""
    found = []
    for name in names:
        if name not in FAMILIES:
            raise ValueError(f"--family: must be one of {', '.join(FAMILIES)}, found {name!r}")
        if name in ("templates", "cloned"):
            if template_folder is None:
                raise ValueError(f"--templates: must be given for the family {name}")
            make = templates if name == "templates" else cloned
            found.append(make(f"{name} {template_folder.name}", template_folder))
        elif name == "drawn":
            found.append(drawn())
        else:
            unmask = open_engine(prepare(Engines().cache, ["unmask"])["unmask"], threads=1)
            found.append(generated("our reconstruction", unmask, masks=False, on_masked=True))
    for text in generators:
        kind, _, file = text.partition("=")
        if kind not in _KINDS or not Path(file).is_file():
            raise ValueError(f"--generator: must be mask=FILE.onnx or unmask=FILE.onnx, found {text!r}")
        masks, on_masked = _KINDS[kind]
        try:
            engine = open_file(Path(file))
        except ModelError as error:
            raise ValueError(f"--generator: {error}") from None
        found.append(generated(f"CycleGAN {kind}", engine, masks, on_masked))
    return found


def main(
    out: Annotated[Path, typer.Argument(help="Folder for the examples and the report about them")],
    faces: Annotated[list[Path] | None, typer.Option(help="Folder of faces without masks")] = None,
    masked: Annotated[list[Path] | None, typer.Option(help="Folder of faces with real masks")] = None,
    leave_out: Annotated[
        list[str] | None,
        typer.Option(help="Pattern of file names that are no photographs, such as 'Augmented*'"),
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="Most pictures of each folder; 0: all")] = 0,
    template_folder: Annotated[
        Path | None, typer.Option("--templates", help="Folder of photographed masks to paint with")
    ] = None,
    generator: Annotated[
        list[str] | None, typer.Option(help="mask=FILE.onnx or unmask=FILE.onnx: another generator")
    ] = None,
    family: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Of {', '.join(FAMILIES)}; without: the first two, and templates where --templates is"
        ),
    ] = None,
    variants: Annotated[int, typer.Option(min=1, help="Painted examples of each photograph")] = 2,
    seed: Annotated[int, typer.Option(min=0, help="Of everything that is drawn")] = 0,
) -> None:
    """Make examples for tools.train_authenticity, and a report about them."""
    cv2.setNumThreads(1)
    wanted = [(folder, False) for folder in faces or ()] + [(folder, True) for folder in masked or ()]
    if not wanted:
        raise typer.BadParameter("--faces or --masked: at least one folder must be given, found none")
    for folder, _ in wanted:
        if not folder.is_dir():
            raise typer.BadParameter(f"--faces, --masked: must be folders, found {folder}")
    models = prepare(Engines().cache, ("pnet", "rnet", "onet", "maskstate"))
    engines = {name: open_engine(model, threads=1) for name, model in models.items()}
    reader = Reader(MTCNN(engines, 30), MaskStateClassifier(engines["maskstate"]))
    try:
        usual = ["drawn", "reconstruction", *(["templates"] if template_folder else [])]
        painters = families_of(family or usual, template_folder, generator or [])
        found = [
            (face, worn, folder.resolve().name)
            for folder, worn in wanted
            for face in reader.read(folder, worn, limit, leave_out or ())
        ]
        sources = divided(found)
        made_of: dict[str, object] = {
            "folders": [str(folder) for folder, _ in wanted],
            "families": [family.name for family in painters],
            "left_out": reader.left_out,
            "seed": seed,
        }
        with Progress(console=console) as progress:
            examples = build(out, sources, painters, variants, seed, made_of, progress)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    write_data_report(out, examples)
    print(f"{out}: {len(examples.rows)} examples of {len(sources)} photographs; see {out / 'data.md'}")


if __name__ == "__main__":
    typer.run(main)
