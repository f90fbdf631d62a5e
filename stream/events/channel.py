"""How an event gets to a receiver: what web hooks and brokers have in common."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Protocol


class Undelivered(Exception):
    """The receiver did not take an event; it is tried again. The text is for people and holds no secret.

    refused: the receiver was there and said no, so that trying again for ever is of no use. retry_after_s: what
    the receiver asked for.
    """

    def __init__(self, reason: str, refused: bool = False, retry_after_s: float = 0.0) -> None:
        super().__init__(reason)
        self.refused, self.retry_after_s = refused, retry_after_s


class Channel(Protocol):
    """A receiver. One thread uses it."""

    def send(self, event: str, document: bytes) -> None:
        """Hand an event over; returns when the receiver has taken it. event: its id. Raises Undelivered."""

    def close(self) -> None:
        """Let go of connections."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses that double from first_s to longest_s, each shortened at random by up to half, so that many senders
    do not come back to a receiver at the same moment.
    """

    first_s: float = 1.0
    longest_s: float = 60.0
    chance: random.Random = field(default_factory=random.Random)

    def pause_s(self, failures: int) -> float:
        """How long to wait after so many failures in a row, from 1."""
        whole = min(self.longest_s, self.first_s * 2.0 ** min(failures - 1, 60))
        return whole * (0.5 + 0.5 * self.chance.random())
