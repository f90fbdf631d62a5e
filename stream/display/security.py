"""What keeps other web sites away from the pages.

A site that a person on this machine visits can make the browser send requests here. It cannot read the answers
unless it has its own name resolved to this machine (DNS rebinding): so where the pages serve this machine only, the
Host header must be a name of it; elsewhere nothing is served without a session, which that site has not. WebSockets
have no such fence at all: so their Origin must be this page. And nothing may be embedded.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_THIS_MACHINE = frozenset({"127.0.0.1", "localhost", "::1"})
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cache-control": "no-store",
}
_RAW_HEADERS = [(name.encode(), value.encode()) for name, value in HEADERS.items()]


class ThisMachineOnly:
    """ASGI middleware: refuses foreign hosts and origins with 403, and adds the headers above to every answer."""

    def __init__(self, app: ASGIApp, network: bool = False) -> None:
        """network: whether the pages may be asked for under other names than this machine's own ones."""
        self._app, self._network = app, network

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        problem = _problem(scope, self._network)
        if problem and scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": problem[:120]})
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", []), *_RAW_HEADERS]}
            await send(message)

        app = PlainTextResponse(problem, 403) if problem else self._app
        await app(scope, receive, send_with_headers)


def _problem(scope: Scope, network: bool) -> str:
    """Why a request is refused; empty when it is not."""
    hosts = _values(scope, b"host")
    if len(hosts) != 1 or not (network or _host(hosts[0]) in _THIS_MACHINE):
        return f"the Host header must name this machine (127.0.0.1, localhost or [::1]), found {hosts}"
    if scope["type"] == "websocket":
        for origin in _values(scope, b"origin"):
            if urlsplit(origin).netloc.lower() != hosts[0].lower():
                return f"the Origin header must be this page's, found {origin!r}"
    return ""


def _values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def _host(header: str) -> str | None:
    try:
        return urlsplit(f"//{header}").hostname if "@" not in header else None
    except ValueError:
        return None
