"""What both training loops do with a network besides their losses."""

from __future__ import annotations

import math

import torch
from torch import nn


def cosine_rate(rate: float, step: int, done: float, last: float = 0.02) -> float:
    """The learning rate after `step` steps, `done` (0..1) of the time: 100 steps of warming up, then half a
    cosine from `rate` down to `last` of it.
    """
    fall = last + (1 - last) * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
    return rate * min(1.0, (step + 1) / 100) * fall


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, step: int, keep: float = 0.999) -> None:
    """The moving average of the weights takes one step towards them; quicker at first. Buffers are copied."""
    share = 1 - min(keep, (1 + step) / (10 + step))
    for slow, fast in zip(average.parameters(), network.parameters(), strict=True):
        slow.data.lerp_(fast.data, share)
    for held, new in zip(average.buffers(), network.buffers(), strict=True):
        held.copy_(new)


def channels_last(network: nn.Module) -> None:
    """Lays the weights out as convolutions on a CPU like them best."""
    for weight in network.parameters():
        if weight.dim() == 4:
            weight.data = weight.data.contiguous(memory_format=torch.channels_last)
