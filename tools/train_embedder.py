"""Teaches a copy of the embedder to see through masks, without knowing who anybody is.

    python -m tools.train_embedder --index FACES/index.csv --folder fairface/train --minutes 60
    python -m tools.train_embedder --export

Distillation: the student gets a face with a mask drawn on it, spoilt as cameras do, and learns to give what the teacher
gives for the same face without a mask. Two losses: the angle between the two, and picking the right face among all the
faces of the training set by their teacher's embeddings (each face is a class of its own, whose centre is known
beforehand). Embeddings of the gallery stay as they are. The first command can be stopped and run again: it goes on from
its checkpoint.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor
from torch.nn import functional as F

from engines.alignment import RECOGNITION_SIZE, recognition_transform, warp
from engines.backends import open_engine
from engines.masks.templates import read_templates
from engines.models import Model, prepare
from engines.recognition.embedder import SFace, unit
from stream.config import Settings
from tools.embedder.network import SFaceNetwork, between
from tools.embedder.views import ROW, masked_view, split, view_drawer
from tools.learning.checkpoint import load_checkpoint, save_checkpoint
from tools.learning.curve import draw_curve
from tools.learning.export import export
from tools.learning.faces import LabelledFace, read_index
from tools.learning.optimise import channels_last, cosine_rate, follow
from tools.learning.pairs import Templates
from tools.learning.pool import Pool

WEIGHTS = Path(__file__).parent.parent / "engines" / "weights" / "sface-masked.onnx"
_SHARPNESS, _MARGIN, _ANGLE = 24.0, 0.1, 4.0
_HELD_OUT, _LOOKS = 400, 2
"""So many of the last faces of the index are for checking alone (a fifth, where there are few), with so many looks."""
_FALSE = 1e-4
_PARTS = ("student", "average", "optimizer")


@dataclass(slots=True)
class Training:
    """All that a checkpoint holds."""

    student: SFaceNetwork
    average: SFaceNetwork
    optimizer: torch.optim.Optimizer
    step: int = 0
    seconds: float = 0.0
    checks: list[tuple[float, float, float]] = field(default_factory=list)

    @classmethod
    def fresh(cls, teacher: Path) -> Training:
        """Student and moving average as copies of the teacher.

        Each weight's rate is in proportion to its own size: the network has no normalisation left that would make
        it indifferent to them.
        """
        student, average = SFaceNetwork(teacher), SFaceNetwork(teacher)
        for network in (student, average):
            channels_last(network)
        groups: list[dict[str, Any]] = []
        for weight in student.trainable():
            size = float(weight.detach().square().mean().sqrt())
            groups.append({"params": [weight], "size": max(size, 1e-3)})
        optimizer = torch.optim.Adam(groups, 1e-4, (0.9, 0.99))
        return cls(student, average.eval().requires_grad_(False), optimizer)

    def save(self, path: Path) -> None:
        """Writes a checkpoint atomically."""
        save_checkpoint(self, _PARTS, path)

    def load(self, path: Path) -> None:
        """Goes on from a checkpoint; raises RuntimeError when it is of another network."""
        load_checkpoint(self, _PARTS, path)


def embed_clean(
    faces: Sequence[LabelledFace], teacher: Model, path: Path, progress: Progress
) -> NDArray[np.float32]:
    """The teacher's embedding of each face without a mask and its mirror image, added: float32 [N, 128], unit length.

    Kept in `path`, and read from there when it was made of the same faces by the same teacher.
    """
    names = np.array([f"{teacher.sha256} {face.path.name}" for face in faces])
    if path.is_file():
        with np.load(path) as kept:
            if np.array_equal(kept["names"], names):
                return np.asarray(kept["targets"], np.float32)
    network = SFace(open_engine(teacher, threads=2))
    found = []
    bar = progress.add_task("teacher", total=len(faces), state="")
    for face in faces:
        progress.advance(bar)
        crop = warp(face.read(), recognition_transform(face.landmarks), RECOGNITION_SIZE)
        found.append(network.embed(np.stack([crop, crop[:, ::-1]])).sum(0))
    targets = unit(np.stack(found))
    np.savez(path, names=names, targets=targets)
    return targets


def as_tensor(pictures: NDArray[np.uint8]) -> Tensor:
    """uint8 RGB [N, 112, 112, 3] as float32 [N, 3, 112, 112], channels last."""
    return torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float()


def step(training: Training, pictures: Tensor, numbers: Tensor, targets: Tensor) -> dict[str, float]:
    """One step on a batch. targets: unit float32 [faces, 128]. Returns the losses."""
    with torch.autocast("cpu", torch.bfloat16):
        found = training.student(pictures)
    found = F.normalize(found.float())
    cosines = found @ targets.T
    right = cosines.gather(1, numbers[:, None])
    picked = cosines.scatter(1, numbers[:, None], right - _MARGIN)
    losses = {
        "angle": _ANGLE * (1 - right).mean(),
        "pick": F.cross_entropy(_SHARPNESS * picked, numbers),
    }
    training.optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(torch.stack(list(losses.values())).sum())
    torch.nn.utils.clip_grad_norm_(training.student.trainable(), 5.0)
    training.optimizer.step()
    training.step += 1
    follow(training.average, training.student, training.step)
    return {name: float(value.detach()) for name, value in losses.items()}


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """Looks at faces that nothing learns from, which begin with number `first`.

    pictures: float32 [N, 3, 112, 112]; numbers: of their faces.
    """

    first: int
    pictures: Tensor
    numbers: Tensor

    @classmethod
    def draw(cls, faces: Sequence[LabelledFace], first: int, templates: Templates | None) -> HeldOut:
        """Two looks at each of faces[first:], the same ones every time."""
        rng = np.random.default_rng(5)
        chosen = [i for i in range(first, len(faces)) for _ in range(_LOOKS)]
        looks = [masked_view(faces[i].read(), faces[i].landmarks, rng, templates) for i in chosen]
        return cls(first, as_tensor(np.stack(looks)), torch.tensor(chosen))

    @torch.no_grad()
    def check(self, network: SFaceNetwork, targets: Tensor) -> tuple[float, float]:
        """(mean cosine to the teacher's, share above what 1 of 10,000 other faces reaches)."""
        with torch.autocast("cpu", torch.bfloat16):
            found = torch.cat([network(part) for part in torch.split(self.pictures, 50)])
        cosines = F.normalize(found.float()) @ targets.T
        right = cosines.gather(1, self.numbers[:, None])[:, 0]
        others = cosines.scatter(1, self.numbers[:, None], -2.0).flatten()
        limit = others.kthvalue(int(others.numel() * (1 - _FALSE))).values
        return float(right.mean()), float((right > limit).float().mean())


def train(
    training: Training,
    pool: Pool,
    targets: Tensor,
    held_out: HeldOut,
    work: Path,
    minutes: float,
    batch: int,
    rate: float,
    progress: Progress,
) -> None:
    """Trains until `minutes` of training time are over; saves and checks every few minutes."""
    rng = np.random.default_rng()
    total, mean = minutes * 60, dict[str, float]()
    bar = progress.add_task("student", total=round(total), completed=round(training.seconds), state="")
    checked = time.monotonic() if training.checks else 0.0
    known = targets[: held_out.first]
    while training.seconds < total:
        if time.monotonic() - checked > 240:
            _check(training, held_out, targets, work, progress)
            checked = time.monotonic()
        began = time.monotonic()
        for group in training.optimizer.param_groups:
            group["lr"] = group["size"] * cosine_rate(rate, training.step, training.seconds / total)
        pictures, numbers = split(pool.take(batch, rng))
        losses = step(training, as_tensor(pictures), torch.from_numpy(numbers), known)
        training.seconds += time.monotonic() - began
        for name, value in losses.items():
            mean[name] = mean.get(name, value) * 0.98 + 0.02 * value
        text = " ".join(f"{name} {value:.3f}" for name, value in mean.items())
        speed = batch / (time.monotonic() - began)
        state = f"step {training.step} {speed:.0f}/s drawn {pool.drawn} {text}"
        progress.update(bar, completed=training.seconds, state=state)
        if training.step % 100 == 0:
            progress.console.print(f"{training.seconds / 60:.1f} min {state}")
    _check(training, held_out, targets, work, progress)


def _check(training: Training, held_out: HeldOut, targets: Tensor, work: Path, progress: Progress) -> None:
    cosine, found = held_out.check(training.average, targets)
    training.checks.append((training.seconds / 60, cosine, found))
    training.save(work / "embedder.pt")
    labels = ("cosine of masked to clean", "found at 1 false in 10,000")
    draw_curve(work / "embedder_curve.png", training.checks, labels)
    progress.console.print(
        f"{training.seconds / 60:.1f} min: held-out faces: cosine {cosine:.4f}, found at {_FALSE}: {found:.4f}"
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
    minutes: Annotated[
        float, typer.Option(help="Training time in all; the learning rate's cosine ends there")
    ] = 60,
    work: Annotated[Path, typer.Option(help="Folder for checkpoint and curve")] = Path("runs/embedder"),
    batch: Annotated[int, typer.Option(help="Looks a step")] = 64,
    rate: Annotated[float, typer.Option(help="Highest change of a weight in one step, of its size")] = 4e-3,
    pool: Annotated[int, typer.Option(help="Looks kept in memory (38 kB each)")] = 40000,
    threads: Annotated[int, typer.Option(help="Threads of torch")] = 2,
    share: Annotated[
        float,
        typer.Option(min=0, max=1, help="Of what was learnt, in the exported weights; the rest is SFace's"),
    ] = 0.5,
    export_only: Annotated[bool, typer.Option("--export", help="Only write the checkpoint as ONNX")] = False,
    out: Annotated[Path, typer.Option(help="Where the ONNX file goes")] = WEIGHTS,
) -> None:
    """Trains the mask-robust embedder and exports it as ONNX."""
    torch.set_num_threads(threads)
    work.mkdir(parents=True, exist_ok=True)
    checkpoint = work / "embedder.pt"
    if export_only and not checkpoint.is_file():
        raise typer.BadParameter(f"{checkpoint} must be there to be exported, found nothing")
    teacher = prepare(Settings().engines.cache, ["sface"])["sface"]
    training = Training.fresh(teacher.path)
    if checkpoint.is_file():
        training.load(checkpoint)
    if not export_only:
        faces = read_index(index, folder)
        if len(faces) < 10:
            raise typer.BadParameter(f"{index}: must list at least 10 faces, found {len(faces)}")
        learnt = len(faces) - min(_HELD_OUT, len(faces) // 5)
        masks = read_templates(templates) if templates else None
        columns = (
            "{task.description}",
            BarColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[state]}"),
        )
        drawer = Pool(view_drawer(faces[:learnt], masks), ROW, pool, seed=int(time.time()), renewal=0.2)
        try:
            with Progress(*columns) as progress:
                targets = torch.from_numpy(embed_clean(faces, teacher, work / "targets.npz", progress))
                held_out = HeldOut.draw(faces, learnt, masks)
                drawer.wait(20 * batch)
                train(training, drawer, targets, held_out, work, minutes, batch, rate, progress)
        finally:
            drawer.close()
    source = f"trained by this project, {training.step} steps, {training.seconds / 60:.0f} minutes, "
    source += f"{share:g} of the way from SFace; see sface-masked.md"
    mixed = between(SFaceNetwork(teacher.path), training.average, share)
    export(mixed, out, (3, RECOGNITION_SIZE, RECOGNITION_SIZE), ("embedding",), source)
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB after {training.step} steps")


if __name__ == "__main__":
    typer.run(main)
