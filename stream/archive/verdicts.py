"""What people say of the name that a sighting was given: confirmed or refused, each by one account."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

Said = Literal["confirmed", "refused"]
State = Literal["open", "waiting", "confirmed", "refused", "disputed"]


class Verdict(msgspec.Struct, frozen=True):
    """What one account said. at_ns: wall ns UTC. note: why, in the account's own words."""

    account: str
    said: Said
    note: str
    at_ns: int


class Standing(msgspec.Struct, frozen=True):
    """What the verdicts come to.

    state: "open" (nobody has said anything), "waiting" (for another person to confirm it), "confirmed", "refused", or
    "disputed" (some confirm, others refuse). verdicts: the newest of each account, oldest first. needed: how many
    accounts have to confirm.
    """

    state: State
    verdicts: tuple[Verdict, ...]
    needed: int


def standing(verdicts: Sequence[Verdict], needed: int) -> Standing:
    """What verdicts, oldest first, come to. One account counts once, whatever it said before."""
    newest: dict[str, Verdict] = {}
    for verdict in verdicts:
        newest.pop(verdict.account, None)
        newest[verdict.account] = verdict
    counted = tuple(newest.values())
    confirmed = sum(verdict.said == "confirmed" for verdict in counted)
    refused = len(counted) - confirmed
    state: State = "open"
    if refused:
        state = "disputed" if confirmed else "refused"
    elif confirmed:
        state = "confirmed" if confirmed >= needed else "waiting"
    return Standing(state, counted, needed)
