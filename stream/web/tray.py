"""Pictures that were looked at and wait to be enrolled: in memory, for a while, for the account that brought them."""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass

from stream.web.account import Account
from stream.web.looking import Looked

_MOST = 400
_KEPT_S = 1800.0


@dataclass(frozen=True, slots=True, eq=False)
class Waiting:
    """One picture. file: the name under which it came; it is shown and never opened."""

    token: str
    account: str
    file: str
    looked: Looked
    until_s: float


class Tray:
    """All of them; the oldest give way. Any thread may use it."""

    def __init__(self, most: int = _MOST, kept_s: float = _KEPT_S) -> None:
        """most: pictures. kept_s: for so long each is kept."""
        self._most, self._kept_s = most, kept_s
        self._lock = threading.Lock()
        self._waiting: OrderedDict[str, Waiting] = OrderedDict()

    def put(self, account: Account, file: str, looked: Looked) -> Waiting:
        """Keep a picture."""
        waiting = Waiting(
            secrets.token_urlsafe(12), account.name, file, looked, time.monotonic() + self._kept_s
        )
        with self._lock:
            self._waiting[waiting.token] = waiting
            while len(self._waiting) > self._most or self._oldest_is_over():
                self._waiting.popitem(last=False)
        return waiting

    def get(self, account: Account, token: str) -> Waiting | None:
        """A picture, for the account that brought it; None when it is not there any more."""
        with self._lock:
            while self._oldest_is_over():
                self._waiting.popitem(last=False)
            found = self._waiting.get(token)
        return found if found and found.account == account.name else None

    def drop(self, account: Account, token: str) -> None:
        """Forget a picture."""
        if self.get(account, token):
            with self._lock:
                self._waiting.pop(token, None)

    def _oldest_is_over(self) -> bool:
        oldest = next(iter(self._waiting.values()), None)
        return oldest is not None and oldest.until_s <= time.monotonic()
