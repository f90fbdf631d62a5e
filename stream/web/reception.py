"""Signing in: slow for whoever guesses, bounded in memory and processors for everybody together."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from anyio import CapacityLimiter, to_thread

from engines.recognition.names import same_name
from stream.web.accounts import Member
from stream.web.office import Office
from stream.web.throttle import Throttle

T = TypeVar("T")

_AT_ONCE, _WAITING = 2, 20


class TooMany(RuntimeError):
    """Not now. after_s: when to try again."""

    def __init__(self, sentence: str, after_s: float) -> None:
        super().__init__(sentence)
        self.after_s = after_s


class Reception:
    """One an application."""

    def __init__(self, office: Office, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._office = office
        self._throttle = Throttle(clock_s)
        self._limiter = CapacityLimiter(_AT_ONCE)

    async def member(self, name: str, password: str, peer: str) -> Member | None:
        """The account that these prove. Raises TooMany, before the password is looked at, after too many attempts.

        peer: the address that the connection itself comes from.
        """
        name = name[:200]
        try:
            key = same_name(name)
        except ValueError:
            key = ""  # no account has it
        wait_s = self._throttle.admit(peer, key)
        if wait_s:
            seconds = math.ceil(wait_s)
            raise TooMany(f"too many attempts failed; try again in {seconds} s", seconds)
        found = await self.slowly(partial(self._office.accounts.check, name, password))
        if found:
            self._throttle.succeeded(peer, key)
        else:
            known = self._office.accounts.find(name)
            # What was typed for a name may be a password: it is not written down unless it is a name.
            actor = known.account.name if known else "somebody without an account"
            await self.slowly(partial(self._office.journal.write, actor, "sign-in refused", f"from {peer}"))
        return found

    async def slowly(self, work: Callable[[], T]) -> T:
        """Do what takes a password hash or a disk, a few at a time. Raises TooMany when too many wait already."""
        if self._limiter.statistics().tasks_waiting >= _WAITING:
            raise TooMany("too many people sign in at once; try again in a moment", 2)
        return await to_thread.run_sync(work, limiter=self._limiter)
