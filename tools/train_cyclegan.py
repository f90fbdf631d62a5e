"""Trains CycleGAN between faces without masks (A) and with masks (B), both ways, from unpaired pictures.

    python -m tools.train_cyclegan --a FACES/fairface/train --b REAL_MASKED/chandrikadeb7/with_mask --work runs/cyclegan
    python -m tools.train_cyclegan --a … --b … --size 64 --width 32 --batch 4 --minutes 60        # what a CPU can do
    python -m tools.train_cyclegan --a … --b … --grid --minutes 600                               # the ten trials

The first is the published schedule (128 pixels, six blocks, 200 epochs): some days of a CPU, some hours of a GPU, which
is used where there is one. A stopped command goes on from its checkpoint. In the work folder: eight loss curves, fakes
both ways with the changed region outlined and the way back (progress/, at the epochs of the paper), the worst fakes,
health.json with what was noticed of collapse, and in the end mask.onnx (A -> B) and unmask.onnx (B -> A), which
evaluate_unmasking can measure.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from engines.backends import open_engine
from engines.detection.mtcnn import MTCNN
from engines.models import prepare
from engines.unmasking.cyclegan import Translate
from stream.config import Engines
from tools.cyclegan.domains import as_pictures, as_tensor, draw, read_domain
from tools.cyclegan.grid import trials, write_table
from tools.cyclegan.pictures import PROGRESS_EPOCHS, bad_ones, cycle_sheet, write_picture
from tools.cyclegan.training import CURVES, CycleGan, Options, warnings
from tools.learning.curve import draw_curve
from tools.learning.export import export
from tools.learning.features import NAME, Features, frechet

Domain = NDArray[np.uint8]
_SAVE_EVERY_S = 180.0
_FOR_DISTANCE = 400
console = Console()


def train(options: Options, a: Domain, b: Domain, work: Path, minutes: float, seed: int) -> CycleGan:
    """One trial, to the end of its epochs or of `minutes` of training (0: no such end)."""
    work.mkdir(parents=True, exist_ok=True)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = CycleGan(options, device, np.random.default_rng(seed))
    checkpoint = work / "cyclegan.pt"
    if checkpoint.is_file():
        model.load(checkpoint)
    steps = max(1, min(len(a), len(b)) // options.batch)
    saved = time.monotonic()
    with Progress(console=console) as progress:
        bar = progress.add_task(work.name, total=options.epochs * steps, completed=model.epoch * steps)
        while model.epoch < options.epochs and not _over(model, minutes):
            for number in range(steps):
                began = time.monotonic()
                spent = model.seconds / (minutes * 60) if minutes else 0.0
                model.set_rate(max((model.epoch + number / steps) / options.epochs, spent))
                losses = model.step(
                    draw(a, options.batch, model.rng, device), draw(b, options.batch, model.rng, device)
                )
                model.seconds += time.monotonic() - began
                model.curve.append([model.seconds / 60, *(losses[name] for name in CURVES)])
                progress.update(bar, advance=1, description=f"{work.name} epoch {model.epoch + 1}")
                if time.monotonic() - saved > _SAVE_EVERY_S:
                    saved = time.monotonic()
                    model.save(checkpoint)
                    write_picture(work / "cycle.png", cycle_sheet(model, a, b))
                if _over(model, minutes):
                    break
            model.epoch += 1
            _look(model, a, b, work)
            model.save(checkpoint)
    return model


def _over(model: CycleGan, minutes: float) -> bool:
    return bool(minutes) and model.seconds >= minutes * 60


def _look(model: CycleGan, a: Domain, b: Domain, work: Path) -> None:
    """After each epoch: curves, pictures, and whether a direction has collapsed."""
    health = model.health(a, b)
    said = warnings(health)
    (work / "health.json").write_text(
        json.dumps({"epoch": model.epoch, **health, "warnings": said}, indent=1)
    )
    for sentence in said:
        console.print(f"[yellow]epoch {model.epoch}: {sentence}[/yellow]")
    for at, side in ((0, "A"), (4, "B")):
        rows = [(row[0], *row[1 + at : 5 + at]) for row in model.curve]
        draw_curve(work / f"curves_{side}.png", rows, CURVES[at : at + 4])
    if model.epoch in PROGRESS_EPOCHS:
        write_picture(work / "progress" / f"epoch_{model.epoch:03d}.png", cycle_sheet(model, a, b))


def finish(model: CycleGan, a: Domain, b: Domain, work: Path) -> dict[str, float]:
    """Pictures, exports and figures of a trained model."""
    write_picture(work / "cycle.png", cycle_sheet(model, a, b))
    write_picture(work / "bad_ones.png", bad_ones(model, a, b))
    source = f"trained by this project, {model.epoch} epochs, {model.seconds / 60:.0f} minutes"
    for name, network in (("mask", model.g_a), ("unmask", model.g_b)):
        graph = Translate(network.cpu(), model.options.size)  # type: ignore[arg-type]
        export(graph, work / f"{name}.onnx", (3, 128, 128), ("composite", "mask"), source)
        network.to(model.device)
    figures = {"epochs": float(model.epoch), "minutes": model.seconds / 60}
    for way, found in model.health(a, b).items():
        figures |= {f"{name} {way}": value for name, value in found.items()}
    try:
        features = Features()
    except ValueError as error:
        console.print(f"[yellow]{error}[/yellow]")
        return figures
    for way, source_domain, target, which in (("A->B", a, b, "g_a"), ("B->A", b, a, "g_b")):
        count = min(_FOR_DISTANCE, len(source_domain), len(target) // 2)
        x = as_tensor(source_domain[:count], model.device)
        fakes = as_pictures(model.translate(which, x))  # type: ignore[arg-type]
        of_fake, of_real, of_other = (
            np.concatenate([features.see(p[i : i + 16])[1] for i in range(0, count, 16)])
            for p in (fakes, target[:count], target[count : 2 * count])
        )
        figures[f"frechet[{NAME}] {way}"] = frechet(of_fake, of_other)
        figures[f"frechet[{NAME}] {way} floor"] = frechet(of_real, of_other)
    return figures


def main(
    a: Annotated[Path, typer.Option(help="Folder of faces without masks")],
    b: Annotated[Path, typer.Option(help="Folder of faces with masks")],
    work: Annotated[Path, typer.Option(help="Folder for everything that is made")] = Path("runs/cyclegan"),
    size: Annotated[int, typer.Option(help="Pixels; a multiple of 4")] = 128,
    blocks: Annotated[int, typer.Option(help="Residual blocks; 0: 6 below 256 pixels, 9 from there on")] = 0,
    width: Annotated[int, typer.Option(help="Channels of the first layer")] = 64,
    norm: Annotated[Literal["instance", "batch"], typer.Option(help="Normalisation")] = "instance",
    gan: Annotated[Literal["vanilla", "lsgan"], typer.Option(help="Adversarial loss")] = "lsgan",
    policy: Annotated[
        Literal["linear", "cosine"], typer.Option(help="How the learning rate falls")
    ] = "linear",
    batch: Annotated[int, typer.Option(min=1, help="Pictures of each domain a step")] = 1,
    epochs: Annotated[int, typer.Option(min=1, help="Rounds over the smaller domain")] = 200,
    rate: Annotated[float, typer.Option(help="Learning rate of Adam")] = 2e-4,
    cycle: Annotated[float, typer.Option(help="Weight of the cycle losses")] = 10.0,
    identity: Annotated[float, typer.Option(help="Weight of the identity losses, of the cycle's")] = 0.5,
    pool: Annotated[int, typer.Option(min=1, help="Earlier fakes kept for each discriminator")] = 50,
    minutes: Annotated[
        float, typer.Option(min=0, help="End after so much training; 0: after the epochs")
    ] = 0,
    limit: Annotated[int, typer.Option(min=0, help="Most pictures of each domain; 0: all")] = 0,
    grid: Annotated[
        bool, typer.Option(help="The paper's ten trials one after the other, sharing --minutes")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of the order of pictures")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="Threads of torch on a CPU")] = 2,
) -> None:
    """Trains CycleGAN both ways and exports it as ONNX."""
    if size < 32 or size % 4:
        raise typer.BadParameter(f"--size: must be a multiple of 4 from 32 on, found {size}")
    for name, folder in (("--a", a), ("--b", b)):
        if not folder.is_dir():
            raise typer.BadParameter(f"{name}: must be a folder, found {folder}")
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    prepared = prepare(Engines().cache, ("pnet", "rnet", "onet"))
    detector = MTCNN({name: open_engine(model, "auto", threads=1) for name, model in prepared.items()}, 30)
    try:
        domains = read_domain(a, size, detector, limit), read_domain(b, size, detector, limit)
        base = Options(
            size, blocks, width, norm, gan, policy, batch, epochs, rate, cycle, cycle, identity, pool
        )
        chosen = trials(base) if grid else {"": base}
        table = {}
        for name, options in chosen.items():
            folder = work / name
            model = train(options, *domains, folder, minutes / len(chosen), seed)
            table[name or "trial"] = finish(model, *domains, folder)
            write_table(work / "figures.csv", table)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    for name, figures in table.items():
        print(name, " ".join(f"{key}: {value:.3f}" for key, value in figures.items()))


if __name__ == "__main__":
    typer.run(main)
