"""The training loop of verification: batches of some people with some pictures each, until the time is over."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import Progress
from torch import Tensor, nn
from torch.nn import functional as F

from tools.embedder.network import SFaceNetwork
from tools.learning.curve import draw_curve
from tools.learning.optimise import channels_last, cosine_rate, follow
from tools.metric_learning.losses import LOSSES, MARGINS, Loss, Mining
from tools.metric_learning.people import People, draw_batch

_SAVED_EVERY_S = 60.0


class Kind(StrEnum):
    """Which network learns: the product's embedder goes on, or a small one begins."""

    SFACE = "sface"
    SMALL = "small"


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to learn. crowd, each: people in a batch, looks at each. masked: share of looks with a mask."""

    kind: Kind
    loss: Loss
    mining: Mining
    rate: float
    crowd: int
    each: int
    masked: float
    seed: int


class SmallEmbedder(nn.Module):
    """RGB 0..255 [N, 3, 112, 112] -> embeddings [N, 128], not normalised: 0.7 M parameters, to begin from nothing."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 32, 64, 96, 128, 192)
        self.maps = nn.Sequential(
            *(_convolution(a, b) for a, b in pairwise(widths)), _convolution(192, 192, 1)
        )
        self.dense = nn.Linear(192, 128)

    def forward(self, picture: Tensor) -> Tensor:
        """As the class says."""
        embedding: Tensor = self.dense(self.maps((picture - 127.5) * (1 / 128)).mean((2, 3)))
        return embedding


def _convolution(inputs: int, outputs: int, stride: int = 2) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


def network_of(kind: Kind, embedder: Path) -> nn.Module:
    """A network as it begins. embedder: SFace's ONNX file."""
    return SFaceNetwork(embedder) if kind is Kind.SFACE else SmallEmbedder()


@dataclass(slots=True)
class Training:
    """All that a checkpoint holds. average: the moving average of the weights, which is measured and exported."""

    recipe: Recipe
    network: nn.Module
    average: nn.Module
    optimizer: torch.optim.Optimizer
    step: int = 0
    seconds: float = 0.0
    curve: list[tuple[float, float]] = field(default_factory=list)

    @classmethod
    def fresh(cls, recipe: Recipe, embedder: Path) -> Training:
        """Each weight's rate is in proportion to its own size: SFace has no normalisation left to even them out."""
        torch.manual_seed(recipe.seed)
        network, average = network_of(recipe.kind, embedder), network_of(recipe.kind, embedder)
        average.load_state_dict(network.state_dict())
        groups: list[dict[str, Any]] = []
        for each in (network, average):
            channels_last(each)
        for weight in network.parameters():
            if weight.requires_grad:
                groups.append(
                    {"params": [weight], "size": max(float(weight.detach().square().mean().sqrt()), 1e-3)}
                )
        optimizer = torch.optim.Adam(groups, recipe.rate, (0.9, 0.99))
        return cls(recipe, network, average.eval().requires_grad_(False), optimizer)

    def save(self, path: Path) -> None:
        """Writes a checkpoint atomically."""
        state: dict[str, Any] = {
            n: getattr(self, n).state_dict() for n in ("network", "average", "optimizer")
        }
        state |= {
            "recipe": repr(self.recipe),
            "step": self.step,
            "seconds": self.seconds,
            "curve": self.curve,
        }
        draft = path.with_suffix(".tmp")
        torch.save(state, draft)
        draft.replace(path)

    def load(self, path: Path) -> None:
        """Goes on from a checkpoint. Raises ValueError when it is of another recipe."""
        state = torch.load(path, map_location="cpu", weights_only=True)
        if state["recipe"] != repr(self.recipe):
            raise ValueError(
                f"{path}: must be of {self.recipe}, found {state['recipe']}; choose another --work folder"
            )
        for name in ("network", "average", "optimizer"):
            getattr(self, name).load_state_dict(state[name])
        self.step, self.seconds = int(state["step"]), float(state["seconds"])
        self.curve = [(float(a), float(b)) for a, b in state["curve"]]


def learn(training: Training, looks: NDArray[np.uint8], people: NDArray[np.intp]) -> float:
    """One step on a batch; returns its loss."""
    training.network.train()
    with torch.autocast("cpu", torch.bfloat16):
        found = training.network(as_tensor(looks))
    recipe = training.recipe
    loss = LOSSES[recipe.loss](
        F.normalize(found.float()), torch.from_numpy(people), recipe.mining, MARGINS[recipe.loss]
    )
    training.optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    torch.nn.utils.clip_grad_norm_(training.network.parameters(), 5.0)
    training.optimizer.step()
    training.step += 1
    follow(training.average, training.network, training.step, 0.99)
    return float(loss.detach())


def train(training: Training, people: People, minutes: float, path: Path, progress: Progress) -> None:
    """Trains until `minutes` of training time are over. path: of the checkpoint; its curve is drawn beside it."""
    recipe = training.recipe
    rng = np.random.default_rng((recipe.seed, training.step))
    bar = progress.add_task(path.stem, total=round(minutes * 60), completed=round(training.seconds), state="")
    saved = time.monotonic()
    while training.seconds < minutes * 60:
        began = time.monotonic()
        for group in training.optimizer.param_groups:
            rate = cosine_rate(recipe.rate, training.step + 50, training.seconds / (minutes * 60))
            group["lr"] = group["size"] * rate
        loss = learn(training, *draw_batch(people, recipe.crowd, recipe.each, recipe.masked, rng))
        training.seconds += time.monotonic() - began
        training.curve.append((training.seconds / 60, loss + 1e-4))
        progress.update(bar, completed=training.seconds, state=f"step {training.step} loss {loss:.3f}")
        if time.monotonic() - saved > _SAVED_EVERY_S:
            training.save(path)
            saved = time.monotonic()
    training.save(path)
    draw_curve(path.with_suffix(".png"), training.curve, (f"{recipe.loss} loss",))
    progress.console.print(
        f"{path.stem}: {training.step} steps, loss {np.mean([y for _, y in training.curve[-20:]]):.4f}"
    )


@torch.no_grad()
def embed(network: nn.Module, pictures: NDArray[np.uint8], batch: int = 32) -> NDArray[np.float32]:
    """Unit embeddings float32 [N, 128] of uint8 RGB [N, 112, 112, 3], each with its mirror image added."""
    network.eval()
    found = []
    for start in range(0, len(pictures), batch):
        part = as_tensor(pictures[start : start + batch])
        with torch.autocast("cpu", torch.bfloat16):
            both = network(part).float() + network(part.flip(3)).float()
        found.append(F.normalize(both).numpy())
    return np.concatenate(found)


def as_tensor(pictures: NDArray[np.uint8]) -> Tensor:
    """uint8 RGB [N, 112, 112, 3] as float32 [N, 3, 112, 112], channels last."""
    return torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float()
