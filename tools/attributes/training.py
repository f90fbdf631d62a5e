"""The training loop of the attribute networks: to a plateau, or until the time is over; it can be gone on with."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import Progress
from torch import Tensor, nn
from torch.nn import functional as F

from engines.alignment import recognition_transform, scaled, warp
from engines.attributes.gender import GENDERS, Gender
from tools.attributes.views import view
from tools.learning.curve import draw_curve
from tools.learning.faces import LabelledFace
from tools.learning.optimise import channels_last, follow
from tools.learning.pairs import Templates
from tools.learning.pool import Pool

_LAST = 0.01
"""Training is over when the rate has fallen to this share of what it was."""


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """Looks that nothing learns from, always the same: each face as it was photographed, and as a camera may show it.

    pictures: uint8 RGB [N, S, S, 3]. labels: int64 [N].
    """

    pictures: NDArray[np.uint8]
    labels: Tensor

    @classmethod
    def draw(
        cls, faces: Sequence[LabelledFace], side: int, templates: Templates | None, most: int, seed: int
    ) -> HeldOut:
        """most: so many faces at the most, drawn at random."""
        rng = np.random.default_rng(seed)
        chosen = [faces[i] for i in rng.permutation(len(faces))[:most]]
        plain = [plain_crop(face, side) for face in chosen]
        seen = [view(face.read(), face.landmarks, rng, side, templates) for face in chosen]
        labels = [GENDERS.index(Gender(face.group["gender"])) for face in chosen]
        return cls(np.stack(plain + seen), torch.tensor(labels * 2))


def plain_crop(face: LabelledFace, side: int) -> NDArray[np.uint8]:
    """A face in the recognition frame, enlarged to uint8 RGB [side, side, 3]."""
    transform = scaled(recognition_transform(face.landmarks), side // 112)
    return warp(face.read(), transform, side)


def as_tensor(pictures: NDArray[np.uint8]) -> Tensor:
    """uint8 RGB [N, S, S, 3] as float32 [N, 3, S, S], channels last."""
    return torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float()


@torch.no_grad()
def logits_of(network: nn.Module, pictures: NDArray[np.uint8], batch: int = 32) -> Tensor:
    """float32 [N, 2], in evaluation mode."""
    network.eval()
    parts = [as_tensor(pictures[i : i + batch]) for i in range(0, len(pictures), batch)]
    with torch.autocast("cpu", torch.bfloat16):
        return torch.cat([network(part).float() for part in parts])


@dataclass(slots=True)
class Training:
    """All that a checkpoint holds. network learns; average is the moving average of its weights, which is exported.

    checks: (minutes, loss of training, loss held out, share wrong held out).
    """

    kind: str
    network: nn.Module
    average: nn.Module
    optimizer: torch.optim.Optimizer
    plateau: torch.optim.lr_scheduler.ReduceLROnPlateau
    step: int = 0
    seconds: float = 0.0
    best: float = float("inf")
    checks: list[tuple[float, float, float, float]] = field(default_factory=list)

    @classmethod
    def fresh(cls, kind: str, network: Any, average: nn.Module, rate: float, patience: int) -> Training:
        """network: with `groups(rate)`, which says what learns. average: of the same kind."""
        average.load_state_dict(network.state_dict())
        for each in (network, average):
            channels_last(each)
        optimizer = torch.optim.AdamW(network.groups(rate), weight_decay=0.02)
        for group in optimizer.param_groups:
            group["initial_lr"] = group["lr"]
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.3, patience=patience)
        return cls(kind, network, average.requires_grad_(False), optimizer, plateau)

    @property
    def over(self) -> bool:
        """Whether the plateau has been reached."""
        first = self.optimizer.param_groups[-1]
        return bool(first["lr"] <= _LAST * first["initial_lr"])

    def save(self, path: Path) -> None:
        """Writes a checkpoint atomically."""
        state: dict[str, Any] = {
            name: getattr(self, name).state_dict() for name in ("network", "average", "optimizer", "plateau")
        }
        state |= {name: getattr(self, name) for name in ("kind", "step", "seconds", "best", "checks")}
        draft = path.with_suffix(".tmp")
        torch.save(state, draft)
        draft.replace(path)

    def load(self, path: Path) -> None:
        """Goes on from a checkpoint. Raises ValueError when it is of another network."""
        state = torch.load(path, map_location="cpu", weights_only=True)
        if state["kind"] != self.kind:
            raise ValueError(f"{path}: must be of the network {self.kind}, found {state['kind']}")
        for name in ("network", "average", "optimizer", "plateau"):
            getattr(self, name).load_state_dict(state[name])
        self.step, self.seconds, self.best = int(state["step"]), float(state["seconds"]), float(state["best"])
        self.checks = [tuple(map(float, row)) for row in state["checks"]]  # type: ignore[misc]


def train(
    training: Training,
    pool: Pool,
    held_out: HeldOut,
    work: Path,
    minutes: float,
    batch: int,
    every: int,
    seed: int,
    progress: Progress,
) -> None:
    """Trains until `minutes` of training time are over or the plateau is reached. every: steps between two checks.

    Each check saves the checkpoint; the weights of the best one are kept beside it, as best.pt.
    """
    rng, mean = np.random.default_rng((seed, training.step)), 0.7
    torch.manual_seed(seed + training.step)
    bar = progress.add_task(
        training.kind, total=round(minutes * 60), completed=round(training.seconds), state=""
    )
    while training.seconds < minutes * 60 and not training.over:
        began = time.monotonic()
        rows = pool.take(batch, rng)
        pictures, labels = as_tensor(rows[:, :-1]), torch.from_numpy(rows[:, -1, 0, 0].astype(np.int64))
        loss = learn(training, pictures, labels)
        training.seconds += time.monotonic() - began
        mean = 0.98 * mean + 0.02 * loss
        speed = batch / (time.monotonic() - began)
        state = f"step {training.step} {speed:.0f}/s loss {mean:.3f} drawn {pool.drawn}"
        progress.update(bar, completed=training.seconds, state=state)
        if training.step % every == 0:
            _check(training, held_out, mean, work, progress)
    if training.step % every or not training.checks:
        _check(training, held_out, mean, work, progress)


def learn(training: Training, pictures: Tensor, labels: Tensor) -> float:
    """One step on a batch; returns its loss."""
    training.network.train()
    with torch.autocast("cpu", torch.bfloat16):
        logits = training.network(pictures)
    loss = F.cross_entropy(logits.float(), labels, label_smoothing=0.02)
    training.optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    torch.nn.utils.clip_grad_norm_(training.network.parameters(), 5.0)
    training.optimizer.step()
    training.step += 1
    follow(training.average, training.network, training.step, 0.99)
    return float(loss.detach())


def _check(training: Training, held_out: HeldOut, mean: float, work: Path, progress: Progress) -> None:
    logits = logits_of(training.average, held_out.pictures)
    loss = float(F.cross_entropy(logits, held_out.labels))
    right = (logits.argmax(1) == held_out.labels).float().chunk(2)
    plain, seen = (float(part.mean()) for part in right)
    training.plateau.step(loss)
    training.checks.append((training.seconds / 60, mean, loss, 1 - (plain + seen) / 2))
    if loss < training.best:
        training.best = loss
        draft = work / "best.tmp"
        torch.save(training.average.state_dict(), draft)
        draft.replace(work / "best.pt")
    training.save(work / "attributes.pt")
    names = ("loss of training", "loss held out", "share wrong held out")
    draw_curve(work / "curve.png", training.checks, names)
    rate = training.optimizer.param_groups[-1]["lr"]
    progress.console.print(
        f"{training.seconds / 60:.1f} min, step {training.step}: held out: loss {loss:.4f}, right {plain:.4f} as "
        f"photographed, {seen:.4f} as cameras see them; rate {rate:.1e}"
    )
