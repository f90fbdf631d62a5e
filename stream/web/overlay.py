"""The way to the overlay: its answers are handed on, and while it is started again, the pages wait for it a moment."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse
from websockets.asyncio.client import ClientConnection, unix_connect
from websockets.exceptions import InvalidHandshake

from stream.display.server import OVERLAY_SOCKET

_BACK_WITHIN_S = 3.0
_AGAIN_S = 0.05
_ANSWER_WITHIN_S = 10.0
AWAY = "the overlay is being started again"


class OverlayAway(Exception):
    """The overlay does not answer."""


class Overlay:
    """Asks the overlay of a run."""

    def __init__(self, directory: Path) -> None:
        self._socket = str(directory / OVERLAY_SOCKET)
        self._over = False
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        self._client = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=self._socket, limits=limits),
            base_url="http://overlay",
            timeout=httpx.Timeout(_ANSWER_WITHIN_S, read=None),
            trust_env=False,
        )

    def close(self) -> None:
        """The overlay has stopped for good: nobody waits for it any more."""
        self._over = True

    async def answer(self, path: str, query: Mapping[str, str] | None = None) -> Response:
        """The overlay's answer to GET, as it gave it. Raises HTTPException 503 when it is away."""
        try:
            async with asyncio.timeout(_ANSWER_WITHIN_S):
                got = await self._sent(path, query)
                content = await got.aread()
        except (OverlayAway, TimeoutError, httpx.TransportError):
            raise HTTPException(503, AWAY) from None
        return Response(content, got.status_code, media_type=got.headers.get("content-type"))

    async def stream(self, path: str, query: Mapping[str, str]) -> Response:
        """An answer that goes on for as long as somebody looks. Raises HTTPException 503 when it is away."""
        try:
            got = await self._sent(path, query)
            kind = got.headers.get("content-type")
            if got.is_error:
                return Response(await got.aread(), got.status_code, media_type=kind)
        except (OverlayAway, httpx.TransportError):
            raise HTTPException(503, AWAY) from None
        return StreamingResponse(_parts(got), got.status_code, media_type=kind)

    @asynccontextmanager
    async def socket(self, far: bool) -> AsyncIterator[ClientConnection]:
        """A WebSocket to it, for a viewer that is reached over a network or is not. Raises OverlayAway."""
        address = f"ws://overlay/ws?far={far}"
        deadline = time.monotonic() + _BACK_WITHIN_S
        while True:
            try:
                connection = await unix_connect(
                    self._socket, address, compression=None, max_size=None, ping_interval=None
                )
                break
            except (OSError, EOFError, InvalidHandshake):
                await self._wait(deadline)
        async with connection:
            yield connection

    async def _sent(self, path: str, query: Mapping[str, str] | None) -> httpx.Response:
        """An answer whose head has come; one that nobody could be asked for yet is asked for again for a while."""
        deadline = time.monotonic() + _BACK_WITHIN_S
        while True:
            request = self._client.build_request("GET", path, params=query)
            try:
                return await self._client.send(request, stream=True)
            except (httpx.ConnectError, httpx.RemoteProtocolError, httpx.ReadError):
                await self._wait(deadline)

    async def _wait(self, deadline: float) -> None:
        if self._over or time.monotonic() >= deadline:
            raise OverlayAway(AWAY)
        await asyncio.sleep(_AGAIN_S)


async def _parts(got: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for part in got.aiter_raw():
            yield part
    except httpx.TransportError:
        pass  # the overlay has gone; so does the stream
    finally:
        await got.aclose()
