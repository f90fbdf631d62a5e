"""One path of the server: a source, the clients that watch it, and its faults."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing
from typing import Protocol

from tools.rtsp.faults import Faults
from tools.rtsp.media import AccessUnit, session_description
from tools.rtsp.sending import Sender
from tools.rtsp.sources import Source

_log = logging.getLogger(__name__)


class Client(Protocol):
    """A connection as its mount sees it."""

    senders: dict[int, Sender]

    def close(self) -> None:
        """Close the connection once what was written has gone."""
        ...

    def drop(self, reset: bool) -> None:
        """Close the connection without a word; reset: with a TCP RST."""
        ...

    def write(self, data: bytes) -> None:
        """Write bytes as they are, if media travels in this connection."""
        ...


class Mount:
    """Plays its source while somebody watches; a newcomer gets pictures from the next key picture on.

    Every method but the constructor belongs to the server's loop.
    """

    def __init__(
        self, path: str, source: Source, announce_parameters: bool, call: Callable[[Callable[[], None]], None]
    ) -> None:
        self.path, self.source = path, source
        self.faults = Faults(self, call)
        self.clients: set[Client] = set()
        self.players: set[Client] = set()
        self._announce = announce_parameters
        self._pump: asyncio.Task[None] | None = None
        self._last_delivery = 0.0

    def describe(self) -> bytes:
        """The session description."""
        return session_description(self.path.strip("/") or "camera", self.source.tracks, self._announce)

    def play(self, client: Client) -> None:
        """Let the client have the stream."""
        if client in self.players:
            return
        for sender in client.senders.values():
            sender.wait_for_key()
        self.players.add(client)
        if self._pump is None:
            self._start()
        else:
            self.source.request_key()

    def pause(self, client: Client) -> None:
        """Send nothing more to the client; with nobody left, the source rests."""
        self.players.discard(client)
        if not self.players:
            self._rest()

    def leave(self, client: Client) -> None:
        """Forget the client."""
        self.clients.discard(client)
        self.pause(client)

    def _start(self) -> None:
        self._pump = asyncio.create_task(self._run(self.source))

    async def _run(self, source: Source) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with aclosing(source.units()) as units:
                async for unit in units:
                    # Strictly later than the one before: timers of the same instant fire in any order.
                    moment = max(loop.time() + self.faults.lag(), self._last_delivery + 1e-6)
                    if moment <= loop.time():
                        self._deliver(unit)
                    else:
                        self._last_delivery = moment
                        loop.call_at(moment, self._deliver, unit)
        except Exception:
            _log.exception("the source of %s failed", self.path)
            self._pump = None
            self.end()

    def _deliver(self, unit: AccessUnit) -> None:
        for client in tuple(self.players):
            sender = client.senders.get(unit.track)
            if sender is not None and self.faults.stalled:
                sender.miss(unit)
            elif sender is not None:
                sender.send(unit)

    def _rest(self) -> None:
        if self._pump is not None:
            self._pump.cancel()
            self._pump = None

    # The faults that need the loop

    def drop(self, reset: bool = False) -> None:
        """Close every client's connection."""
        for client in tuple(self.clients):
            client.drop(reset)

    def end(self) -> None:
        """Say goodbye to every client, and close."""
        for client in self.players:
            for sender in client.senders.values():
                sender.goodbye()
        for client in tuple(self.clients):
            client.close()

    def garbage(self, data: bytes) -> None:
        """Write bytes that mean nothing into the connections."""
        for client in self.players:
            client.write(data)

    def restart_timestamps(self) -> None:
        """Let the next time stamp be 0."""
        for client in self.players:
            for sender in client.senders.values():
                sender.restart_timestamps()

    def switch(self, source: Source) -> None:
        """Go on with another source."""
        before, self.source = self.source, source
        same = [t.codec for t in before.tracks] == [t.codec for t in self.source.tracks]
        self._rest()
        if not same:
            self.end()
            return
        if self.players:
            self._start()
