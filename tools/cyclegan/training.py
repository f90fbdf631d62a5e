"""CycleGAN's training: two generators, two discriminators, eight losses, and a watch for collapse.

As published: LSGAN or vanilla loss, cycle and identity losses in L1, a pool of earlier fakes for the discriminators,
Adam, and a learning rate that stays for half of the epochs and then falls.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from engines.unmasking.cyclegan import Norm, PatchDiscriminator, ResnetGenerator
from tools.cyclegan.domains import as_tensor
from tools.learning.optimise import channels_last

CURVES = ("D_A", "G_A", "cycle_A", "idt_A", "D_B", "G_B", "cycle_B", "idt_B")
COLLAPSED, UNCHANGED = 0.35, 0.02
"""Fakes that differ from each other less than this share of what real pictures do; fakes that differ from their
inputs by less than this (of 2, the range)."""
_WATCHED = 24


@dataclass(frozen=True, slots=True)
class Options:
    """One trial. The defaults are the published ones; blocks 0: six below 256 pixels, nine from there on."""

    size: int = 128
    blocks: int = 0
    width: int = 64
    norm: Norm = "instance"
    gan: Literal["vanilla", "lsgan"] = "lsgan"
    policy: Literal["linear", "cosine"] = "linear"
    batch: int = 1
    epochs: int = 200
    rate: float = 2e-4
    cycle_a: float = 10.0
    cycle_b: float = 10.0
    identity: float = 0.5
    pool: int = 50

    @property
    def residual_blocks(self) -> int:
        """As many as there are."""
        return self.blocks or (9 if self.size >= 256 else 6)


class Pool:
    """Earlier fakes: half of the time the discriminator sees one of them instead of the newest (Shrivastava, 2017)."""

    def __init__(self, capacity: int, rng: np.random.Generator) -> None:
        self._capacity, self._rng = capacity, rng
        self._kept: list[Tensor] = []

    def exchange(self, fakes: Tensor) -> Tensor:
        """As many fakes as were given, some of them older."""
        given = []
        for fake in fakes.detach():
            if len(self._kept) < self._capacity:
                self._kept.append(fake)
                given.append(fake)
            elif self._rng.random() < 0.5:
                at = int(self._rng.integers(self._capacity))
                given.append(self._kept[at])
                self._kept[at] = fake
            else:
                given.append(fake)
        return torch.stack(given)


@dataclass(slots=True)
class CycleGan:
    """All that is trained. g_a: A -> B and d_a judges B; g_b: B -> A and d_b judges A (the names of the curves)."""

    options: Options
    device: torch.device
    rng: np.random.Generator
    epoch: int = 0
    seconds: float = 0.0
    curve: list[list[float]] = field(default_factory=list)
    networks: dict[str, nn.Module] = field(default_factory=dict)
    optimizers: dict[str, torch.optim.Optimizer] = field(default_factory=dict)
    pools: dict[str, Pool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        o = self.options
        for side in ("a", "b"):
            self.networks[f"g_{side}"] = ResnetGenerator(o.residual_blocks, o.norm, o.width)
            self.networks[f"d_{side}"] = PatchDiscriminator(o.norm, o.width)
            self.pools[side] = Pool(o.pool, self.rng)
        for network in self.networks.values():
            network.to(self.device)
            channels_last(network)
        for kind in ("g", "d"):
            weights = [w for name, n in self.networks.items() if name[0] == kind for w in n.parameters()]
            self.optimizers[kind] = torch.optim.Adam(weights, o.rate, (0.5, 0.999))

    @property
    def g_a(self) -> nn.Module:
        """A -> B."""
        return self.networks["g_a"]

    @property
    def g_b(self) -> nn.Module:
        """B -> A."""
        return self.networks["g_b"]

    def step(self, a: Tensor, b: Tensor) -> dict[str, float]:
        """One step on [N, 3, S, S] of each domain; the eight losses."""
        losses = self._generators(a, b)
        self.optimizers["g"].zero_grad(set_to_none=True)
        torch.autograd.backward(torch.stack(list(losses["all"].values())).sum())
        self.optimizers["g"].step()
        judged = {
            "D_A": self._judge("d_a", b, self.pools["b"].exchange(losses["fake_b"])),
            "D_B": self._judge("d_b", a, self.pools["a"].exchange(losses["fake_a"])),
        }
        self.optimizers["d"].zero_grad(set_to_none=True)
        torch.autograd.backward(judged["D_A"] + judged["D_B"])
        self.optimizers["d"].step()
        every = {**losses["all"], **judged}
        return {name: float(every[name].detach()) for name in CURVES}

    def set_rate(self, done: float) -> None:
        """The learning rate when `done`, 0..1, of the training is over."""
        if self.options.policy == "cosine":
            share = 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
        else:
            share = min(1.0, 2 * (1 - min(done, 1.0)))
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = self.options.rate * share

    def _generators(self, a: Tensor, b: Tensor) -> dict[str, Any]:
        o = self.options
        for name in ("d_a", "d_b"):
            self.networks[name].requires_grad_(False)
        with self._cast():
            fake_b, fake_a = self.g_a(a), self.g_b(b)
            back_a, back_b = self.g_b(fake_b), self.g_a(fake_a)
            same_b, same_a = self.g_a(b), self.g_b(a)
            told_b, told_a = self.networks["d_a"](fake_b), self.networks["d_b"](fake_a)
        for name in ("d_a", "d_b"):
            self.networks[name].requires_grad_(True)
        return {
            "fake_a": fake_a,
            "fake_b": fake_b,
            "all": {
                "G_A": self._adversarial(told_b, real=True),
                "G_B": self._adversarial(told_a, real=True),
                "cycle_A": o.cycle_a * (back_a.float() - a).abs().mean(),
                "cycle_B": o.cycle_b * (back_b.float() - b).abs().mean(),
                "idt_A": o.identity * o.cycle_b * (same_b.float() - b).abs().mean(),
                "idt_B": o.identity * o.cycle_a * (same_a.float() - a).abs().mean(),
            },
        }

    def _judge(self, name: str, real: Tensor, fake: Tensor) -> Tensor:
        with self._cast():
            of_real, of_fake = self.networks[name](real), self.networks[name](fake)
        return 0.5 * (self._adversarial(of_real, real=True) + self._adversarial(of_fake, real=False))

    def _adversarial(self, verdict: Tensor, real: bool) -> Tensor:
        verdict = verdict.float()
        wanted = torch.full_like(verdict, float(real))
        if self.options.gan == "lsgan":
            return F.mse_loss(verdict, wanted)
        return F.binary_cross_entropy_with_logits(verdict, wanted)

    def _cast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16)

    @torch.no_grad()
    def translate(self, which: Literal["g_a", "g_b"], x: Tensor) -> Tensor:
        """Fakes of [N, 3, S, S] without training."""
        network = self.networks[which].eval()
        with self._cast():
            made = torch.cat([network(part) for part in torch.split(x, 8)]).float()
        network.train()
        return made

    def health(self, a: NDArray[np.uint8], b: NDArray[np.uint8]) -> dict[str, dict[str, float]]:
        """Whether a direction has collapsed, from the first pictures of each domain.

        diversity: how much fakes differ from each other, over how much real pictures of that domain do.
        change: mean difference of fakes from their inputs, of 2.
        """
        reals = {"A->B": (a, b, "g_a"), "B->A": (b, a, "g_b")}
        found = {}
        for name, (source, target, which) in reals.items():
            x = as_tensor(source[:_WATCHED], self.device)
            fakes = self.translate(which, x)  # type: ignore[arg-type]
            wanted = as_tensor(target[:_WATCHED], self.device)
            found[name] = {
                "diversity": _spread(fakes) / max(_spread(wanted), 1e-6),
                "change": float((fakes - x).abs().mean()),
            }
        return found

    def save(self, path: Path) -> None:
        """Writes a checkpoint atomically."""
        state = {
            "options": asdict(self.options),
            "epoch": self.epoch,
            "seconds": self.seconds,
            "curve": self.curve,
            **{name: network.state_dict() for name, network in self.networks.items()},
            **{f"optimizer_{name}": o.state_dict() for name, o in self.optimizers.items()},
        }
        part = path.with_suffix(".tmp")
        torch.save(state, part)
        part.replace(path)

    def load(self, path: Path) -> None:
        """Goes on from a checkpoint. Raises ValueError when it is of other options."""
        state = torch.load(path, map_location=self.device, weights_only=True)
        mine, its = asdict(self.options), state["options"]
        for name in ("size", "blocks", "width", "norm", "gan", "policy", "batch"):
            if mine[name] != its[name]:
                raise ValueError(f"{path}: {name} must be {its[name]} as it was begun, found {mine[name]}")
        self.epoch, self.seconds, self.curve = state["epoch"], state["seconds"], state["curve"]
        for name, network in self.networks.items():
            network.load_state_dict(state[name])
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state[f"optimizer_{name}"])


def warnings(health: dict[str, dict[str, float]]) -> list[str]:
    """What a person should know of the health of a training, in sentences."""
    said = []
    for way, found in health.items():
        if found["diversity"] < COLLAPSED:
            said.append(
                f"{way} seems to have collapsed: its fakes differ from each other {found['diversity']:.2f} times as "
                "much as real pictures do"
            )
        if found["change"] < UNCHANGED:
            said.append(
                f"{way} changes almost nothing: fakes differ from their inputs by {found['change']:.3f} of 2"
            )
    return said


def _spread(x: Tensor) -> float:
    """Mean absolute difference of every two pictures."""
    apart = (x[:, None] - x[None]).abs().mean((2, 3, 4))
    count = len(x)
    return float(apart.sum() / max(count * (count - 1), 1))
