"""Trains an unmasking generator on unmasked faces with drawn masks, and exports it.

    python -m tools.train_unmask --index FACES/index.csv --folder fairface/train --minutes 60
    python -m tools.train_unmask --export
    python -m tools.train_unmask --network autoencoder --index FACES/index.csv --out autoencoder.onnx

The first command can be stopped and run again: it goes on from its checkpoint. Losses: 3 L1 under the mask,
L1 over all, L1 of gradients under the mask, 0.6 (BCE + Dice) of the mask, and from 45 % of the time on a light
hinge PatchGAN with feature matching on the lower face.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import torch
import typer
from numpy.typing import NDArray
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.nn import functional as F

from engines.masks.templates import read_templates
from engines.unmasking.autoencoder import Autoencoder
from engines.unmasking.network import SIZE, WIDE, WIDE_DILATIONS, Discriminator, Generator, Unmask, blend
from tools.learning.checkpoint import load_checkpoint, save_checkpoint
from tools.learning.curve import draw_curve
from tools.learning.export import export
from tools.learning.faces import mean_face, read_index
from tools.learning.optimise import channels_last, cosine_rate, follow
from tools.learning.pairs import pair_drawer
from tools.learning.pool import Pool

WEIGHTS = Path(__file__).parent.parent / "engines" / "weights" / "unmask.onnx"
LOWER = slice(48, 128)
"""Rows of the face frame that the discriminator sees: from the nose to below the chin."""


_PARTS = ("generator", "average", "critic", "optimizer", "critic_optimizer")


class Network(StrEnum):
    """What can be trained."""

    UNET = "unet"
    UNET_WIDE = "unet-wide"
    AUTOENCODER = "autoencoder"


NETWORKS: Mapping[Network, Callable[[], nn.Module]] = {
    Network.UNET: Generator,
    Network.UNET_WIDE: lambda: Generator(WIDE, WIDE_DILATIONS),
    Network.AUTOENCODER: Autoencoder,
}


@dataclass(slots=True)
class Training:
    """All that a checkpoint holds."""

    generator: nn.Module
    average: nn.Module
    critic: Discriminator
    optimizer: torch.optim.Optimizer
    critic_optimizer: torch.optim.Optimizer
    step: int = 0
    seconds: float = 0.0
    checks: list[tuple[float, float, float]] = field(default_factory=list)

    @classmethod
    def fresh(cls, network: Network, rate: float, mean: NDArray[np.uint8] | None = None) -> Training:
        """Networks with random weights, a Generator's prior from a mean face (see mean_structure), and optimisers."""
        generator, average, critic = NETWORKS[network](), NETWORKS[network](), Discriminator()
        if mean is not None and isinstance(generator, Generator):
            generator.prior.data = mean_structure(mean)
        average.load_state_dict(generator.state_dict())
        for module in (generator, average, critic):
            channels_last(module)
        return cls(
            generator,
            average.eval().requires_grad_(False),
            critic,
            torch.optim.AdamW(generator.parameters(), rate, (0.9, 0.99), weight_decay=0.01, fused=True),
            torch.optim.AdamW(critic.parameters(), rate / 2, (0.5, 0.99), weight_decay=0.0, fused=True),
        )

    def save(self, path: Path) -> None:
        """Writes a checkpoint atomically."""
        save_checkpoint(self, _PARTS, path)

    def load(self, path: Path) -> None:
        """Goes on from a checkpoint; raises RuntimeError when it is of another network."""
        load_checkpoint(self, _PARTS, path)


def mean_structure(mean: NDArray[np.uint8]) -> Tensor:
    """What a mean face (uint8 RGB [128, 128, 3]) has beyond its smooth colour, as Generator.prior."""
    fine = mean.astype(np.float32) - cv2.GaussianBlur(mean.astype(np.float32), (0, 0), 10)
    four = np.concatenate([fine / 127.5, np.zeros((SIZE, SIZE, 1), np.float32)], 2)
    return F.pixel_unshuffle(torch.from_numpy(four).permute(2, 0, 1)[None], 2)


def as_tensors(pairs: NDArray[np.uint8]) -> tuple[Tensor, Tensor, Tensor]:
    """Pool rows [N, 128, 128, 7] as shown and wanted in -1..1 and mask in 0..1, channels last."""
    batch = torch.from_numpy(pairs).permute(0, 3, 1, 2).float()
    shown, wanted = batch[:, :3] / 127.5 - 1, batch[:, 3:6] / 127.5 - 1
    last = torch.channels_last
    return shown.contiguous(memory_format=last), wanted.contiguous(memory_format=last), batch[:, 6:] / 255


def picture_losses(
    shown: Tensor, wanted: Tensor, mask: Tensor, rgb: Tensor, logit: Tensor
) -> dict[str, Tensor]:
    """The paired losses, already weighted; each a scalar."""
    composite, _ = blend(shown, rgb, logit)
    area = mask.sum() * 3 + 1
    gone = (rgb - wanted) * mask
    across = (gone[..., 1:] - gone[..., :-1]).abs().sum() + (gone[..., 1:, :] - gone[..., :-1, :]).abs().sum()
    share = torch.sigmoid(logit)
    dice = 1 - (2 * (share * mask).sum() + 1) / (share.sum() + mask.sum() + 1)
    return {
        "mask": 3 * gone.abs().sum() / area,
        "all": (composite - wanted).abs().mean(),
        "gradient": across / area,
        "area": 0.6 * (F.binary_cross_entropy_with_logits(logit, mask) + dice),
    }


def train(
    training: Training, pool: Pool, folder: Path, minutes: float, batch: int, rate: float, critic_from: float
) -> None:
    """Trains until `minutes` of training time are over, saving every two minutes."""
    rng = np.random.default_rng()
    curve = training.checks
    total, saved = minutes * 60, time.monotonic()
    columns = ("{task.description}", BarColumn(), TimeRemainingColumn(), TextColumn("{task.fields[state]}"))
    with Progress(*columns) as progress:
        bar = progress.add_task("unmask", total=round(total), completed=round(training.seconds), state="")
        mean: dict[str, float] = {}
        while training.seconds < total:
            began = time.monotonic()
            done = training.seconds / total
            for group in training.optimizer.param_groups:
                group["lr"] = cosine_rate(rate, training.step, done)
            losses = _step(training, as_tensors(pool.take(batch, rng)), done >= critic_from)
            training.step += 1
            follow(training.average, training.generator, training.step)
            training.seconds += time.monotonic() - began
            for name, value in losses.items():
                mean[name] = mean.get(name, value) * 0.98 + 0.02 * value
            curve.append((training.seconds / 60, losses["mask"], losses["area"]))
            speed = batch / (time.monotonic() - began)
            text = " ".join(f"{name} {value:.3f}" for name, value in mean.items())
            state = f"step {training.step} {speed:.0f}/s pool {pool.drawn} {text}"
            progress.update(bar, completed=training.seconds, state=state)
            if training.step % 200 == 0:
                progress.console.print(f"{training.seconds / 60:.1f} min {state}")
            if time.monotonic() - saved > 120:
                saved = time.monotonic()
                training.save(folder / "unmask.pt")
                draw_curve(folder / "unmask_curve.png", curve, ("3 L1 under the mask", "mask BCE + Dice"))
                show(training.average, pool, folder / "unmask_samples.png")
    training.save(folder / "unmask.pt")
    draw_curve(folder / "unmask_curve.png", curve, ("3 L1 under the mask", "mask BCE + Dice"))


def _step(training: Training, pairs: tuple[Tensor, Tensor, Tensor], with_critic: bool) -> dict[str, float]:
    shown, wanted, mask = pairs
    critic = training.critic
    with torch.autocast("cpu", torch.bfloat16):
        rgb, logit = training.generator(shown)
    rgb, logit = rgb.float(), logit.float()
    losses = picture_losses(shown, wanted, mask, rgb, logit)
    if with_critic:
        real = wanted[:, :, LOWER]
        guess = torch.where(mask > 0.02, rgb, wanted)[:, :, LOWER]
        with torch.autocast("cpu", torch.bfloat16):
            verdict, _ = critic(torch.cat([real, guess.detach()]))
        told, fooled = verdict.float().chunk(2)
        touched = F.adaptive_max_pool2d(mask[:, :, LOWER], told.shape[2:])
        weight = touched / (touched.mean() + 1e-3)  # only patches that hold painted pixels are judged
        critic_loss = (F.relu(1 - told) * weight).mean() + (F.relu(1 + fooled) * weight).mean()
        training.critic_optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(critic_loss)
        training.critic_optimizer.step()
        critic.requires_grad_(False)
        with torch.autocast("cpu", torch.bfloat16):
            with torch.no_grad():
                _, aims = critic(real)
            score, found = critic(guess)
        losses["fool"] = -0.05 * (score.float() * weight).mean()
        apart = [
            (f.float() - a).abs().mean() / (a.float().abs().mean() + 1e-3)
            for f, a in zip(found, aims, strict=True)
        ]
        losses["alike"] = 0.3 * torch.stack(apart).mean()
        critic.requires_grad_(True)
    loss = torch.stack(list(losses.values())).sum()
    training.optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    torch.nn.utils.clip_grad_norm_(training.generator.parameters(), 1.0)
    training.optimizer.step()
    values = {name: float(value.detach()) for name, value in losses.items()}
    if with_critic:
        values["critic"] = float(critic_loss.detach())
    return values


@torch.no_grad()
def show(network: nn.Module, pool: Pool, path: Path) -> None:
    """A contact sheet of twelve pairs: shown, painted, wanted."""
    shown, wanted, mask = as_tensors(pool.take(12, np.random.default_rng(7)))
    rgb, logit = network(shown)
    composite, found = blend(shown, rgb, logit)
    rows = [shown, composite, wanted, found.expand_as(shown) * 2 - 1, mask.expand_as(shown) * 2 - 1]
    sheet = torch.cat([torch.cat(list(row), 2) for row in rows], 1)
    pixels = ((sheet + 1) * 127.5).clamp(0, 255).byte().permute(1, 2, 0).numpy()
    cv2.imwrite(str(path), np.ascontiguousarray(pixels[..., ::-1]))


def _loaded(checkpoint: Path, network: Network, rate: float) -> Training:
    """Raises typer.BadParameter."""
    training = Training.fresh(network, rate)
    try:
        training.load(checkpoint)
    except FileNotFoundError:
        raise typer.BadParameter(
            f"--begin-with: must be a checkpoint, found nothing at {checkpoint}"
        ) from None
    except RuntimeError:
        raise typer.BadParameter(
            f"--network: must be what {checkpoint} was begun with, found {network}"
        ) from None
    return training


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
    network: Annotated[Network, typer.Option(help="What is trained")] = Network.UNET,
    work: Annotated[
        Path | None, typer.Option(help="Folder for checkpoint, curve and contact sheet; runs/NETWORK without")
    ] = None,
    batch: Annotated[int, typer.Option(help="Pairs a step")] = 32,
    rate: Annotated[float, typer.Option(help="Highest learning rate of AdamW")] = 4e-4,
    pool: Annotated[int, typer.Option(help="Pairs kept in memory (115 kB each)")] = 16000,
    critic_from: Annotated[
        float, typer.Option(help="Share of the time after which the PatchGAN joins; 1: never")
    ] = 0.45,
    begin_with: Annotated[
        Path | None,
        typer.Option(help="Checkpoint of another run to begin with; the schedule is begun anew"),
    ] = None,
    threads: Annotated[int, typer.Option(help="Threads of torch")] = 2,
    export_only: Annotated[bool, typer.Option("--export", help="Only write the checkpoint as ONNX")] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Where the ONNX file goes; without, unet's is the product's, others' in the work folder"
        ),
    ] = None,
) -> None:
    """Trains an unmasking generator and exports it as ONNX."""
    torch.set_num_threads(threads)
    work = work or Path("runs") / network
    work.mkdir(parents=True, exist_ok=True)
    checkpoint = work / "unmask.pt"
    if export_only and not checkpoint.is_file():
        raise typer.BadParameter(f"{checkpoint} must be there to be exported, found nothing")
    faces = [] if export_only else read_index(index, folder)
    drawer = (
        None
        if export_only
        else Pool(
            pair_drawer(faces, read_templates(templates) if templates else None),
            (SIZE, SIZE, 7),
            pool,
            seed=int(time.time()),
        )
    )
    if checkpoint.is_file():
        training = _loaded(checkpoint, network, rate)
    elif begin_with:
        training = _loaded(begin_with, network, rate)
        training.generator.load_state_dict(training.average.state_dict())
        training.seconds, training.checks = 0.0, []
    else:
        training = Training.fresh(network, rate, mean_face(faces[:1000]))
    if drawer is not None:
        drawer.wait(40 * batch)
        try:
            train(training, drawer, work, minutes, batch, rate, critic_from)
        finally:
            drawer.close()
    out = out or (WEIGHTS if network is Network.UNET else work / f"{network}.onnx")
    source = f"{network} trained by this project, {training.step} steps, {training.seconds / 60:.0f} minutes"
    export(Unmask(training.average), out, (3, SIZE, SIZE), ("composite", "mask"), source)
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB after {training.step} steps")


if __name__ == "__main__":
    typer.run(main)
