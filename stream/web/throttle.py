"""Guessing passwords: each failure makes the next attempt wait longer, by where it comes from and by whose it is."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv6Address

_KNOWN = 20_000


@dataclass(frozen=True, slots=True)
class Pace:
    """free attempts without a wait; then a second, twice that after each further failure, and never above longest_s."""

    free: int
    longest_s: float


PEER = Pace(free=5, longest_s=900.0)
# Shorter, so that nobody can keep somebody else out for long by failing in their name.
ACCOUNT = Pace(free=10, longest_s=60.0)
_FORGOTTEN_AFTER_S = 3600.0


@dataclass(slots=True)
class _Record:
    failures: int = 0
    last_s: float = 0.0


class Throttle:
    """Kept in memory: a restart forgets. Threads may share one."""

    def __init__(self, clock_s: Callable[[], float]) -> None:
        """clock_s: monotonic, seconds."""
        self._clock_s, self._lock = clock_s, threading.Lock()
        self._records: OrderedDict[Hashable, _Record] = OrderedDict()

    def admit(self, peer: str, account: str) -> float:
        """0 when an attempt may be made now, which counts as a failure until `succeeded`; else the seconds to wait.

        peer: the address that the connection itself comes from. account: in the form in which two spellings are equal.
        """
        with self._lock:
            now_s = self._clock_s()
            keys: list[tuple[Hashable, Pace]] = [
                (("peer", _network(peer)), PEER),
                (("account", account), ACCOUNT),
            ]
            wait_s = max(self._wait_s(key, pace, now_s) for key, pace in keys)
            if wait_s <= 0:
                for key, _ in keys:
                    record = self._records.setdefault(key, _Record())
                    record.failures, record.last_s = record.failures + 1, now_s
                    self._records.move_to_end(key)
                while len(self._records) > _KNOWN:
                    self._records.popitem(last=False)
            return max(wait_s, 0.0)

    def succeeded(self, peer: str, account: str) -> None:
        """An admitted attempt was right: the account begins anew, and the peer has failed once less.

        No more than that: else whoever has one account could guess at others' without end.
        """
        with self._lock:
            self._records.pop(("account", account), None)
            record = self._records.get(("peer", _network(peer)))
            if record is not None:
                record.failures = max(0, record.failures - 1)

    def _wait_s(self, key: Hashable, pace: Pace, now_s: float) -> float:
        record = self._records.get(key)
        if record is None:
            return 0.0
        if now_s - record.last_s > _FORGOTTEN_AFTER_S:
            del self._records[key]
            return 0.0
        beyond = record.failures - pace.free
        if beyond < 0:
            return 0.0
        return record.last_s + min(2.0 ** min(beyond, 30), pace.longest_s) - now_s


def _network(peer: str) -> str:
    """An address; of IPv6, the network of 2^64 that one subscriber has."""
    try:
        address = IPv6Address(peer.partition("%")[0])
    except AddressValueError:
        return peer
    return str(address.ipv4_mapped or int(address) >> 64)
