"""Events as they lie in the archive, and what is still to be delivered of them."""

from __future__ import annotations

import msgspec


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A rule was met. data: whatever the rules keep of it (pictures too), sealed as it is.

    people: everyone named in data, so that it can be erased with them. sighting: its id, or None.
    """

    rule: str
    camera: str
    run: int
    at_ns: int
    sighting: int | None = None
    data: bytes = b""
    people: tuple[str, ...] = ()
    id: int = 0


class Delivery(msgspec.Struct, frozen=True):
    """One event on its way to one receiver. next_ns: when to try (again); done_ns: None until it was taken."""

    id: int
    event: int
    target: str
    attempts: int
    next_ns: int
    done_ns: int | None
    error: str
