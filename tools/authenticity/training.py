"""One network's training: epochs over balanced examples, a validation that stops it early, and a checkpoint."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from tools.authenticity.augment import Preparation
from tools.authenticity.examples import Examples, balanced
from tools.authenticity.material import Given, Material, Numbers
from tools.learning.optimise import cosine_rate

_SAVE_EVERY_S = 120.0
_NOTED_EVERY = 20  # steps
_CHECKED_AT_ONCE = 32
_SHUFFLED = (
    1  # sets the stream of random numbers that orders an epoch apart from those that change its pictures
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a training does. rate: highest learning rate of Adam. per_epoch: examples an epoch; 0: as many as there are.

    patience: epochs without a better validation after which it stops. minutes: of training in all; 0: no such end.
    held_epochs: for so many epochs the parts that were trained elsewhere keep their weights. views: so many views of
    each example are looked at once by the light network's trunk, which keeps its weights; 0: it learns as others do.
    """

    network: str
    size: int
    epochs: int = 16
    batch: int = 16
    rate: float = 1e-3
    patience: int = 4
    per_epoch: int = 0
    minutes: float = 0.0
    seed: int = 0
    preparations: tuple[Preparation, ...] = ()
    workers: int = 1
    held_epochs: int = 0
    views: int = 0


@dataclass(slots=True)
class Training:
    """All that a checkpoint holds. position: batches done of the epoch that goes on. best: the weights to be kept."""

    network: nn.Module
    optimizer: torch.optim.Optimizer
    epoch: int = 0
    position: int = 0
    step: int = 0
    seconds: float = 0.0
    best_loss: float = float("inf")
    best_epoch: int = 0
    best: dict[str, Tensor] = field(default_factory=dict)
    curve: list[list[float]] = field(default_factory=list)
    checks: list[dict[str, float]] = field(default_factory=list)

    held: tuple[nn.Module, ...] = ()

    @classmethod
    def fresh(cls, network: nn.Module, rate: float, held: tuple[nn.Module, ...] = ()) -> Training:
        """Nothing learnt yet, but by the parts `held`, which were trained elsewhere."""
        return cls(network, torch.optim.Adam(network.parameters(), rate), held=held)

    def begin_epoch(self, plan: Plan) -> None:
        """Makes the network ready to learn, the parts `held` only when their time has come."""
        self.network.train()
        holding = self.epoch < plan.held_epochs
        for part in self.held:
            part.requires_grad_(not holding).train(not holding)

    def save(self, path: Path, plan: Plan) -> None:
        """Writes a checkpoint atomically."""
        state: dict[str, Any] = {
            name: getattr(self, name)
            for name in (
                "epoch", "position", "step", "seconds", "best_loss", "best_epoch", "best", "curve", "checks",
            )
        }  # fmt: skip
        state |= {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict()}
        state["kind"] = [plan.network, plan.size, plan.seed]
        draft = path.with_suffix(".tmp")
        torch.save(state, draft)
        draft.replace(path)

    def load(self, path: Path, plan: Plan) -> None:
        """Goes on from a checkpoint. Raises ValueError when it is of another network, size or seed."""
        state = torch.load(path, map_location="cpu", weights_only=True)
        wanted = [plan.network, plan.size, plan.seed]
        if state["kind"] != wanted:
            raise ValueError(
                f"{path}: network, size and seed must be {state['kind']} as it was begun, found {wanted}"
            )
        self.network.load_state_dict(state.pop("network"))
        self.optimizer.load_state_dict(state.pop("optimizer"))
        del state["kind"]
        for name, value in state.items():
            setattr(self, name, value)

    def finished(self, plan: Plan) -> str:
        """Why there is nothing more to do; empty while there is."""
        if self.epoch >= plan.epochs:
            return f"all {plan.epochs} epochs are done"
        if self.epoch - self.best_epoch >= plan.patience and self.checks:
            return f"no better validation in {plan.patience} epochs"
        if plan.minutes and self.seconds >= plan.minutes * 60:
            return f"{plan.minutes:g} minutes of training are over"
        return ""


def train(
    training: Training, material: Material, plan: Plan, checkpoint: Path, told: Callable[[str, float], None]
) -> str:
    """Trains to the end of the plan; returns why it ended. told: called with a sentence and the share that is done."""
    cv2.setNumThreads(1)  # a forked copy of OpenCV's threads can be neither used nor ended
    examples = material.examples
    learnt = examples.part("train")
    saved = time.monotonic()
    while not (why := training.finished(plan)):
        count = min(plan.per_epoch or len(learnt), len(learnt))
        order = balanced(examples.rows, learnt, np.random.default_rng([plan.seed, training.epoch, _SHUFFLED]))
        order = order[:count]
        left = order[training.position * plan.batch :]
        steps, mean = -(-len(order) // plan.batch), 0.0
        training.begin_epoch(plan)
        began = time.monotonic()
        for pictures, labels in _batches(material, left, plan, training.epoch):
            if plan.minutes and training.seconds >= plan.minutes * 60:
                break
            done = (training.epoch + training.position / max(steps, 1)) / plan.epochs
            spent = training.seconds / (plan.minutes * 60) if plan.minutes else 0.0
            for group in training.optimizer.param_groups:
                group["lr"] = cosine_rate(plan.rate, training.step, max(done, spent))
            loss = step(training.network, training.optimizer, pictures, labels)
            mean = loss if not mean else 0.98 * mean + 0.02 * loss
            training.position, training.step = training.position + 1, training.step + 1
            training.seconds += time.monotonic() - began
            began = time.monotonic()
            if training.step % _NOTED_EVERY == 0:
                held = training.checks[-1]["loss"] if training.checks else float(np.log(2))
                training.curve.append([training.seconds / 60, mean, held])
                speed = f"epoch {training.epoch + 1}, step {training.position} of {steps}, loss {mean:.3f}"
                told(speed, min(1.0, max(done, spent)))
            if time.monotonic() - saved > _SAVE_EVERY_S:
                saved = time.monotonic()
                training.save(checkpoint, plan)
        _validate(training, material, plan)
        training.epoch, training.position = training.epoch + 1, 0
        training.save(checkpoint, plan)
        check = training.checks[-1]
        told(
            f"epoch {training.epoch}: validation loss {check['loss']:.4f}, accuracy {check['accuracy']:.4f}",
            min(1.0, training.epoch / plan.epochs),
        )
    return why


def step(network: nn.Module, optimizer: torch.optim.Optimizer, pictures: Tensor, labels: Tensor) -> float:
    """One step of Adam on binary cross-entropy; returns the loss."""
    if pictures.dim() == 4:
        pictures = pictures.contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        logits = network(pictures)
    loss = F.binary_cross_entropy_with_logits(logits.float(), labels)
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    nn.utils.clip_grad_norm_(network.parameters(), 5.0)
    optimizer.step()
    return float(loss.detach())


@torch.no_grad()
def logits_of(network: nn.Module, given: Given) -> Tensor:
    """Logits [N] of a validation's examples, in float32."""
    network.eval()
    loader = DataLoader(given, _CHECKED_AT_ONCE)
    return torch.cat([network(batch) for batch, _ in loader])[:, 0]


def temperature(logits: Tensor, labels: Tensor) -> float:
    """By what logits are to be divided so that probabilities are true (Guo et al., 2017): the best of a fine grid."""
    grid = torch.logspace(-1, 1, 201)
    losses = [F.binary_cross_entropy_with_logits(logits / t, labels) for t in grid]
    return float(grid[int(torch.stack(losses).argmin())])


def validation(examples: Examples, plan: Plan) -> tuple[NDArray[np.intp], Tensor]:
    """The validation's examples, the same each time, and their labels [N]. Raises ValueError when there are none."""
    which = examples.part("validation")
    if not len(which):
        raise ValueError("examples: must have a validation part, found none; give more pictures")
    which = balanced(examples.rows, which, np.random.default_rng(plan.seed))
    return which, torch.from_numpy(examples.labels[which])


def _validate(training: Training, material: Material, plan: Plan) -> None:
    which, labels = validation(material.examples, plan)
    logits = logits_of(training.network, material.checking(which))
    loss = float(F.binary_cross_entropy_with_logits(logits, labels))
    accuracy = float(((logits > 0) == (labels > 0.5)).float().mean())
    training.checks.append({"epoch": training.epoch + 1.0, "loss": loss, "accuracy": accuracy})
    if loss < training.best_loss:
        training.best_loss, training.best_epoch = loss, training.epoch + 1
        training.best = {name: value.clone() for name, value in training.network.state_dict().items()}


def _batches(material: Material, which: Numbers, plan: Plan, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of an epoch. The last one is left out when it holds a single example: it has no variance."""
    if len(which) % plan.batch == 1:
        which = which[:-1]
    context = "fork" if material.workers else None
    given = material.learning(which, epoch)
    yield from DataLoader(given, plan.batch, num_workers=material.workers, multiprocessing_context=context)
