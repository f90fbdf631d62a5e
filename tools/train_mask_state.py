"""Trains the classifier none / worn / worn wrongly, calibrates it and exports it.

    python -m tools.train_mask_state --faces FACES/index.csv --real REAL_MASKED --minutes 40

Faces without masks get drawn masks (rightly and wrongly worn), with --templates photographed ones too, and
distractors; real pictures join from two public sets under REAL_MASKED: `chandrikadeb7` (crops, MIT) and `andrewmvd`
(boxes, CC0), and their masks slip (tools/learning/slipped.py). Of the real ones 75 % are for training, 10 % for the
temperature of the softmax and 15 % are left for tools.evaluate_mask_state.
"""

from __future__ import annotations

import pickle
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor
from torch.nn import functional as F

from engines.masks.network import MaskState, StateNetwork
from engines.masks.state import CROP_SIZE
from engines.masks.templates import read_templates
from tools.learning.curve import draw_curve
from tools.learning.export import export
from tools.learning.faces import read_index
from tools.learning.features import PACKAGE, weights_file
from tools.learning.optimise import channels_last, cosine_rate, follow
from tools.learning.pool import Pool
from tools.learning.states import StateDrawer, lift_masks, real_parts

_TRUNK_RATE = 0.3
"""Share of the learning rate for the trunk, which begins with what it knows."""
WEIGHTS = Path(__file__).parent.parent / "engines" / "weights" / "maskstate.onnx"


def as_tensors(rows: NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
    """Rows of StateDrawer as pictures float32 [N, 3, 80, 80], 0..255, and labels int64 [N]."""
    pictures = torch.from_numpy(np.ascontiguousarray(rows[:, :, 1:-1])).permute(0, 3, 1, 2)
    pictures = pictures.contiguous(memory_format=torch.channels_last).float()
    return pictures, torch.from_numpy(rows[:, 0, 0, 0].astype(np.int64))


def fresh(begin_with: Path | None = None) -> StateNetwork:
    """A network with the weights of another run, or one whose trunk knows ImageNet where its weights are installed
    (unvizard[evaluate]), else nothing yet. Raises typer.BadParameter.
    """
    network = StateNetwork()
    if begin_with:
        try:
            network.load_state_dict(torch.load(begin_with, map_location="cpu", weights_only=True))
        except (OSError, RuntimeError, pickle.UnpicklingError) as error:
            raise typer.BadParameter(
                f"--begin-with: must be a maskstate.pt of this command, found {begin_with}: {error}"
            ) from None
    elif find_spec(PACKAGE):
        network.trunk.load_imagenet(weights_file())
    return network


def train(
    network: StateNetwork, pool: Pool, minutes: float, batch: int, rate: float, work: Path
) -> StateNetwork:
    """The network trained for `minutes`: a copy whose weights are the moving average, saved now and then."""
    average = StateNetwork()
    average.load_state_dict(network.state_dict())
    channels_last(network)
    average.eval().requires_grad_(False)
    heads = [*network.reduce.parameters(), *network.head.parameters()]
    groups = [
        {"params": list(network.trunk.parameters()), "share": _TRUNK_RATE},
        {"params": heads, "share": 1.0},
    ]
    optimizer = torch.optim.AdamW(groups, rate, weight_decay=0.05, fused=True)
    rng, began, step, loss_mean, hit_mean = np.random.default_rng(), time.monotonic(), 0, 1.1, 0.33
    curve: list[tuple[float, float, float]] = []
    columns = ("{task.description}", BarColumn(), TimeRemainingColumn(), TextColumn("{task.fields[state]}"))
    with Progress(*columns) as progress:
        bar = progress.add_task("mask state", total=round(minutes * 60), state="")
        while (passed := time.monotonic() - began) < minutes * 60:
            for group in optimizer.param_groups:
                group["lr"] = group["share"] * cosine_rate(rate, step, passed / (minutes * 60))
            pictures, labels = as_tensors(pool.take(batch, rng))
            gain = 1 + 0.15 * torch.randn(batch, 1, 1, 1) + 0.06 * torch.randn(batch, 3, 1, 1)
            with torch.autocast("cpu", torch.bfloat16):
                logits = network((pictures * gain).clamp(0, 255))
            loss = F.cross_entropy(logits.float(), labels, label_smoothing=0.02)
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimizer.step()
            step += 1
            follow(average, network, step, 0.998)
            hits = float((logits.argmax(1) == labels).float().mean())
            loss_mean, hit_mean = loss_mean * 0.98 + 0.02 * loss.item(), hit_mean * 0.98 + 0.02 * hits
            curve.append((passed / 60, loss.item(), 1 - hits + 1e-3))
            state = f"step {step} loss {loss_mean:.3f} right {hit_mean:.3f} pool {pool.drawn}"
            progress.update(bar, completed=passed, state=state)
            if step % 500 == 0:
                torch.save(average.state_dict(), work / "maskstate.pt")
                progress.console.print(f"{passed / 60:.1f} min {state}")
    torch.save(average.state_dict(), work / "maskstate.pt")
    draw_curve(work / "maskstate_curve.png", curve, ("cross entropy", "share wrong"))
    return average


def temperature(network: StateNetwork, rows: NDArray[np.uint8]) -> float:
    """The softmax temperature of least cross entropy on held-out rows (Guo et al., "On Calibration of Modern
    Neural Networks", 2017), 0.3 to 5.
    """
    pictures, labels = as_tensors(rows)
    with torch.no_grad():
        logits = torch.cat([network(part) for part in torch.split(pictures, 256)])
    choices = np.exp(np.linspace(np.log(0.3), np.log(5), 120))
    return float(min(choices, key=lambda t: F.cross_entropy(logits / t, labels).item()))


def main(
    faces: Annotated[Path, typer.Option(help="CSV of unmasked faces with landmarks")] = Path(
        "faces/index.csv"
    ),
    folder: Annotated[
        str, typer.Option(help="Only faces whose name in the index begins so")
    ] = "fairface/train",
    real: Annotated[Path, typer.Option(help="Folder of real pictures with index.csv")] = Path("real_masked"),
    templates: Annotated[
        Path | None, typer.Option(help="Folder of photographed masks to use beside the drawn ones")
    ] = None,
    minutes: Annotated[float, typer.Option(help="Training time")] = 40,
    batch: Annotated[int, typer.Option(help="Pictures a step")] = 64,
    rate: Annotated[float, typer.Option(help="Highest learning rate of AdamW")] = 2e-3,
    pool: Annotated[int, typer.Option(help="Examples kept in memory (20 kB each)")] = 30000,
    work: Annotated[Path, typer.Option(help="Folder for weights and curve")] = Path("runs/maskstate"),
    begin_with: Annotated[
        Path | None, typer.Option(help="Weights of another run, its maskstate.pt, to begin with")
    ] = None,
    threads: Annotated[int, typer.Option(help="Threads of torch")] = 1,
    out: Annotated[Path, typer.Option(help="Where the ONNX file goes")] = WEIGHTS,
) -> None:
    """Trains the mask state classifier and exports it as ONNX."""
    torch.set_num_threads(threads)
    work.mkdir(parents=True, exist_ok=True)
    training, holding, _ = real_parts(real)
    people = read_index(faces, folder)
    kept = len(people) * 19 // 20  # the last faces are for the temperature
    shape = (CROP_SIZE, CROP_SIZE + 2, 3)
    drawer = StateDrawer(
        people[:kept], training, 0.6, read_templates(templates) if templates else None, lift_masks(training)
    )
    examples = Pool(drawer, shape, pool, int(time.time()), 0.9, 0.3)
    try:
        examples.wait(20 * batch)
        network = train(fresh(begin_with), examples, minutes, batch, rate, work)
    finally:
        examples.close()
    held = StateDrawer(people[kept:], holding, share_real=0.6)
    rng = np.random.default_rng(1)
    heat = temperature(network, np.stack([held(rng) for _ in range(2000)]))
    source = f"trained by this project for {minutes:g} minutes, temperature {heat:.2f}; see maskstate.md"
    export(MaskState(network, heat), out, (3, CROP_SIZE, CROP_SIZE), ("probabilities",), source)
    print(f"{out}: {out.stat().st_size / 1e3:.0f} kB, temperature {heat:.2f}")


if __name__ == "__main__":
    typer.run(main)
