"""Makes an embedder's int8 twin, and installs it only where recognition stays as good.

    python -m tools.quantise sface --crops PICTURES --pairs pairs.txt --root LFW --masked --json runs/int8.json

Ranges of activations are taken from the faces in the pictures of --crops. Then pairs of other photographs are compared
in float32 and in int8; where int8 loses more than 0.1 % of right decisions, nothing is installed and the command ends
with 1. Fewer pairs than a thousand, by which such a loss could not be seen, are refused.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from engines.backends import EngineError, open_engine
from engines.detection.mtcnn import MTCNN, NETWORKS
from engines.models import Model, ModelError, prepare
from engines.quantised import LARGEST_LOSS, LEAST_PAIRS, Condition, install
from engines.recognition.embedder import SFace
from tools.benchmarks.inputs import CACHE, find_faces, inputs
from tools.preparing import progress_bar
from tools.quantising.int8 import quantise
from tools.quantising.recognition import Pairs
from tools.recognition.lists import read_pairs

EMBEDDERS = ("sface", "sface-masked")
_MIN_FACE = 40


def measured(pairs: Pairs, model: Model, twin: Model, backend: str) -> dict[str, Condition]:
    """Right decisions with a network and with its twin, by condition."""
    before, after = (pairs.right(SFace(open_engine(each, backend))) for each in (model, twin))
    return {name: Condition(len(pairs), before[name], after[name]) for name in before}


def main(
    network: Annotated[str, typer.Argument(help=f"One of {', '.join(EMBEDDERS)}.")],
    crops: Annotated[Path, typer.Option(help="A folder of photographs with faces, other than the pairs'.")],
    pairs: Annotated[Path, typer.Option(help="Pairs: CSV (file_a,file_b,same) or LFW's pairs.txt.")],
    root: Annotated[Path, typer.Option(help="The folder that the pairs' pictures lie in.")],
    count: Annotated[int, typer.Option(min=16, help="Faces by which ranges are found.")] = 128,
    masked: Annotated[
        bool, typer.Option(help="Compare with a mask drawn on the second picture too.")
    ] = False,
    backend: Annotated[str, typer.Option(help="What runs both: openvino or onnxruntime.")] = "openvino",
    cache: Annotated[
        Path, typer.Option(help="engines.cache of the settings: where it is installed.")
    ] = CACHE,
    report: Annotated[Path | None, typer.Option("--json", help="Write the figures here.")] = None,
) -> None:
    """Make, measure, install or refuse."""
    console = Console(stderr=True)
    if network not in EMBEDDERS:
        console.print(f"network: must be one of {', '.join(EMBEDDERS)}, found {network!r}", highlight=False)
        raise typer.Exit(2)
    try:
        listed = len(read_pairs(pairs, root).same)
        if listed < LEAST_PAIRS:
            raise ValueError(
                f"pairs: must be at least {LEAST_PAIRS}, for a loss of {LARGEST_LOSS:.1%} to be seen, found {listed}"
            )
        model = prepare(cache, [network])[network]
        with tempfile.TemporaryDirectory() as scratch, progress_bar(console) as progress:
            progress.add_task("Finding ranges", total=None)
            faces = find_faces(crops, most=count)
            twin = quantise(model, inputs(network, faces, count), Path(scratch) / "int8.onnx")
            task = progress.add_task("Finding the pairs' faces", total=1.0)
            found = Pairs.read(
                pairs, root, _detector(cache), masked, lambda share: progress.update(task, completed=share)
            )
            progress.add_task("Comparing", total=None)
            conditions = measured(found, model, twin, backend)
            content = twin.path.read_bytes()
    except (EngineError, ModelError, OSError, ValueError) as error:
        console.print(str(error), highlight=False, markup=False)
        raise typer.Exit(2) from None
    for name, figures in conditions.items():
        typer.echo(f"{name}: {figures.pairs} pairs, float32 {figures.float32:.3%}, int8 {figures.int8:.3%}")
    if report:
        written = {name: {f: getattr(c, f) for f in c.__struct_fields__} for name, c in conditions.items()}
        report.write_text(json.dumps({"network": network, "conditions": written}, indent=1))
    try:
        typer.echo(f"installed: {install(cache, model, content, conditions)}")
    except ValueError as error:
        typer.echo(f"not installed: {error}")
        raise typer.Exit(1) from None


def _detector(cache: Path) -> MTCNN:
    models = prepare(cache, NETWORKS)
    return MTCNN({name: open_engine(models[name], cache=cache) for name in NETWORKS}, min_face=_MIN_FACE)


if __name__ == "__main__":
    typer.run(main)
