"""Trains the landmark network and exports it; goes on where it was stopped.

    python -m tools.train_landmarks --index FACES/index.csv --minutes 40

Faces with landmarks get drawn masks, off their place so that a mask's edge tells nothing, and photographed ones where
templates are given; the network learns where the landmarks are from crops that lie as a detector would lay them.
The last twentieth of the faces is held out: what is printed as "off by" is measured there, in per cent of the distance
between the eyes.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor
from torch.nn import functional as F

from engines.detection.landmarks import CROP_POINTS, CROP_SIZE
from engines.detection.landmarks_network import LandmarkNetwork
from engines.masks.templates import read_templates
from tools.landmarks.views import ROW, detected, read_rows, view_drawer
from tools.learning.checkpoint import load_checkpoint, save_checkpoint
from tools.learning.curve import draw_curve
from tools.learning.export import export
from tools.learning.faces import read_index
from tools.learning.optimise import channels_last, cosine_rate, follow
from tools.learning.pool import Pool

WEIGHTS = Path(__file__).parent.parent / "engines" / "weights" / "landmarks.onnx"
_EYES = float(np.hypot(*(CROP_POINTS[1] - CROP_POINTS[0])))
_CHECK_S = 120.0
_PARTS = ("network", "average", "optimizer")


@dataclass(slots=True)
class Training:
    """A training as it is kept. seconds: of training so far. checks: (minutes, mean, 90th percentile off by, %)."""

    network: LandmarkNetwork
    average: LandmarkNetwork
    optimizer: torch.optim.Optimizer
    step: int = 0
    seconds: float = 0.0
    checks: list[tuple[float, float, float]] = field(default_factory=list)

    @classmethod
    def fresh(cls) -> Training:
        """A network that knows the mean face."""
        network, average = LandmarkNetwork(), LandmarkNetwork()
        average.load_state_dict(network.state_dict())
        channels_last(network)
        optimizer = torch.optim.AdamW(network.parameters(), 1e-3, weight_decay=0.02, fused=True)
        return cls(network, average.eval().requires_grad_(False), optimizer)

    def save(self, path: Path) -> None:
        """Writes a checkpoint atomically."""
        save_checkpoint(self, _PARTS, path)

    def load(self, path: Path) -> None:
        """Goes on from a checkpoint; raises RuntimeError when it is of another network."""
        load_checkpoint(self, _PARTS, path)


def batch_of(rows: NDArray[np.uint8], rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Pool rows as crops float32 [N, 3, 112, 112], 0..255, and landmarks float32 [N, 10] in them."""
    squares, points = read_rows(rows)
    crops = np.empty((len(rows), CROP_SIZE, CROP_SIZE, 3), np.uint8)
    truth = np.empty((len(rows), 5, 2), np.float32)
    for i, (square, of_square) in enumerate(zip(squares, points, strict=True)):
        crops[i], truth[i] = detected(square, of_square, rng)
    pictures = torch.from_numpy(crops).permute(0, 3, 1, 2).float()
    return pictures, torch.from_numpy(truth.reshape(-1, 10))


def step(training: Training, pictures: Tensor, truth: Tensor) -> float:
    """One step on a batch; the loss."""
    gain = 1 + 0.15 * torch.randn(len(pictures), 1, 1, 1)
    with torch.autocast("cpu", torch.bfloat16):
        found = training.network((pictures * gain).clamp(0, 255))
    off = (found.float() - truth) / _EYES
    loss = F.smooth_l1_loss(off, torch.zeros_like(off), beta=0.02)
    training.optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    torch.nn.utils.clip_grad_norm_(training.network.parameters(), 1.0)
    training.optimizer.step()
    training.step += 1
    follow(training.average, training.network, training.step, 0.998)
    return float(loss.detach())


def off_by(network: LandmarkNetwork, pictures: Tensor, truth: Tensor) -> NDArray[np.float32]:
    """Distances from the truth, [N, 5], in per cent of the distance between the eyes of a mean face."""
    with torch.no_grad():
        found = torch.cat([network(part) for part in torch.split(pictures, 128)])
    away = (found - truth).reshape(-1, 5, 2).norm(dim=2) / _EYES * 100
    return away.numpy()


def train(
    training: Training,
    pool: Pool,
    held_out: tuple[Tensor, Tensor],
    minutes: float,
    batch: int,
    rate: float,
    work: Path,
) -> None:
    """Trains until `minutes` of training are over in all; checks and saves now and then."""
    rng, total, mean, checked = np.random.default_rng(), minutes * 60, 0.1, 0.0
    columns = ("{task.description}", BarColumn(), TimeRemainingColumn(), TextColumn("{task.fields[state]}"))
    with Progress(*columns) as progress:
        bar = progress.add_task("landmarks", total=round(total), state="")
        while training.seconds < total:
            began = time.monotonic()
            for group in training.optimizer.param_groups:
                group["lr"] = cosine_rate(rate, training.step, training.seconds / total)
            mean = mean * 0.98 + 0.02 * step(training, *batch_of(pool.take(batch, rng), rng))
            training.seconds += time.monotonic() - began
            state = f"step {training.step} loss {mean:.4f} drawn {pool.drawn}"
            progress.update(bar, completed=training.seconds, state=state)
            if time.monotonic() - checked > _CHECK_S or training.seconds >= total:
                checked = time.monotonic()
                away = off_by(training.average, *held_out)
                row = training.seconds / 60, float(away.mean()), float(np.percentile(away, 90))
                training.checks.append(row)
                training.save(work / "landmarks.pt")
                draw_curve(work / "landmarks_curve.png", training.checks, ("off by, %", "90th percentile, %"))
                points = " ".join(f"{value:.2f}" for value in away.mean(0))
                progress.console.print(
                    f"{row[0]:.1f} min {state}: off by {row[1]:.2f} % ({points}), p90 {row[2]:.2f}"
                )


def main(
    index: Annotated[Path, typer.Option(help="CSV of faces with landmarks (tools/learning/faces.py)")] = Path(
        "faces/index.csv"
    ),
    folder: Annotated[
        str, typer.Option(help="Only pictures whose name in the index begins so")
    ] = "fairface/train",
    templates: Annotated[
        Path | None, typer.Option(help="Folder of photographed masks to use beside the drawn ones")
    ] = None,
    minutes: Annotated[float, typer.Option(help="Training time in all, earlier sittings included")] = 40,
    batch: Annotated[int, typer.Option(help="Pictures a step")] = 64,
    rate: Annotated[float, typer.Option(help="Highest learning rate of AdamW")] = 2e-3,
    pool: Annotated[int, typer.Option(help="Examples kept in memory (77 kB each)")] = 20000,
    work: Annotated[Path, typer.Option(help="Folder for checkpoint and curve")] = Path("runs/landmarks"),
    threads: Annotated[int, typer.Option(help="Threads of torch")] = 1,
    out: Annotated[Path, typer.Option(help="Where the ONNX file goes")] = WEIGHTS,
) -> None:
    """Trains the landmark network and exports it as ONNX."""
    torch.set_num_threads(threads)
    work.mkdir(parents=True, exist_ok=True)
    people = read_index(index, folder)
    kept = len(people) * 19 // 20
    photographed = read_templates(templates) if templates else None
    rng = np.random.default_rng(1)
    draw = view_drawer(people[kept:], photographed)
    held_out = batch_of(np.stack([draw(rng) for _ in range(min(1000, 20 * (len(people) - kept)))]), rng)
    training = Training.fresh()
    if (work / "landmarks.pt").is_file():
        training.load(work / "landmarks.pt")
        print(f"going on after step {training.step}, {training.seconds / 60:.1f} minutes")
    examples = Pool(view_drawer(people[:kept], photographed), ROW, pool, int(time.time()), 0.9, 0.3)
    try:
        examples.wait(20 * batch)
        train(training, examples, held_out, minutes, batch, rate, work)
    finally:
        examples.close()
    source = f"trained by this project, {training.step} steps, {training.seconds / 60:.0f} minutes; see landmarks.md"
    export(training.average, out, (3, CROP_SIZE, CROP_SIZE), ("landmarks",), source)
    print(f"{out}: {out.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    typer.run(main)
