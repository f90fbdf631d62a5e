"""What goes on for long is asked again whether it still may."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_EVERY_S = 5.0


class Watched:
    """One connection whose account is looked up again every few seconds, and which is cut off when that has changed."""

    def __init__(self, kind: str, receive: Receive, send: Send, holds: Callable[[], bool]) -> None:
        """kind: "http" or "websocket". holds: whether the account is still the one that was let in."""
        self._kind, self._receive, self._send, self._holds = kind, receive, send, holds
        self._asked_s, self._cut = time.monotonic(), False
        self._handling: asyncio.Future[None] | None = None

    async def run(self, app: ASGIApp, scope: Scope) -> None:
        """Let the application handle the connection."""
        self._handling = asyncio.ensure_future(app(scope, self._take, self._give))
        try:
            await self._handling
        except asyncio.CancelledError:
            if not self._cut or not self._handling.cancelled():
                raise

    async def _take(self) -> Message:
        if not self._cut:
            message = await self._receive()
            if message["type"] != "websocket.receive" or await self._may_go_on():
                return message
        return {"type": f"{self._kind}.disconnect", "code": 1008}

    async def _give(self, message: Message) -> None:
        goes_on = message["type"] == "websocket.send" or message.get("more_body", False)
        if self._cut or (goes_on and not await self._may_go_on()):
            return  # it will not be told: it is about to be cancelled
        await self._send(message)

    async def _may_go_on(self) -> bool:
        now_s = time.monotonic()
        if now_s - self._asked_s >= _EVERY_S:
            self._asked_s = now_s
            if not self._holds():
                await self._cut_off()
        return not self._cut

    async def _cut_off(self) -> None:
        """Cancel the application where it waits, so that it lets go of what it holds; the rest is never sent."""
        self._cut = True
        if self._kind == "websocket":
            await self._send({"type": "websocket.close", "code": 1008, "reason": "signed out"})
        if self._handling:
            asyncio.get_running_loop().call_soon(self._handling.cancel)
