"""The one place where it is checked whether a request may be made: before its body is read, closed when in doubt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Receive, Scope, Send

from stream.web.account import Account, Role
from stream.web.permissions import BEFORE_THE_PASSWORD_IS_CHANGED
from stream.web.revocation import Watched

_FIRST_THE_PASSWORD = (
    "change your password first, on the page of your account or with POST /api/account/password: the one that this "
    "account has was chosen by somebody else"
)
_CHANGES_NOTHING = frozenset({"GET", "HEAD", "OPTIONS"})


class Doorkeeper(Protocol):
    """Knows who asks."""

    def account(self, connection: HTTPConnection) -> Account | None:
        """The account that a request proves to come from; None when it proves nothing."""


class Gate:
    """ASGI middleware: the account goes into `request.state.account`; who may not ask gets 401 or 403.

    What goes on for long (the live WebSocket, a stream of pictures) is asked again and again, and ends when the account
    may no longer have it.
    """

    def __init__(
        self, app: ASGIApp, routes: list[BaseRoute], needed: Mapping[str, Role | None], keeper: Doorkeeper
    ) -> None:
        self._app, self._routes, self._needed, self._keeper = app, routes, needed, keeper

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        account = self._keeper.account(connection)
        refusal = self._refusal(scope, account)
        if refusal is None:
            scope.setdefault("state", {})["account"] = account
            watched = Watched(
                scope["type"], receive, send, lambda: self._keeper.account(connection) == account
            )
            await watched.run(self._app, scope)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": "not allowed"})
        else:
            await refusal(scope, receive, send)

    def _refusal(self, scope: Scope, account: Account | None) -> Response | None:
        """What is answered in the place of the route; None when it may be asked."""
        if _forged(scope):
            return refused(
                "a request that changes something needs the header x-unvizard: page, or an API key", 403
            )
        found = self._route(scope)
        if account and account.must_change and not _before_the_change(found, self._needed):
            return _to_the_page(scope, "/account") or refused(_FIRST_THE_PASSWORD, 403)
        if found is None:
            return None if account else _unknown(scope)  # the application says 404 or 405
        key, camera = found
        if key not in self._needed:
            return refused("this route is in nobody's permissions", 403)
        needed = self._needed[key]
        if needed is None:
            return None
        if account is None:
            return _unknown(scope)
        if not account.role.covers(needed):
            return refused(f"this needs the role {needed}, found {account.role}", 403)
        if camera is not None and not account.sees(camera):
            return refused("this account may not see that camera", 403)
        return None

    def _route(self, scope: Scope) -> tuple[str, str | None] | None:
        """The route's name in the table of permissions, and the camera that its path names."""
        for route in self._routes:
            match, child = route.matches(scope)
            if match is Match.FULL:
                kind = "WS" if scope["type"] == "websocket" else scope["method"].replace("HEAD", "GET")
                return f"{kind} {getattr(route, 'path', '?')}", child.get("path_params", {}).get("camera")
        return None


def refused(sentence: str, status: int) -> Response:
    """An answer that is an error."""
    return JSONResponse({"detail": sentence}, status)


def _forged(scope: Scope) -> bool:
    """Whether another site may have made a browser send this: it can have cookies sent, but not these headers."""
    if scope["type"] != "http" or scope["method"] in _CHANGES_NOTHING:
        return False
    headers = dict(scope["headers"])
    bearer = headers.get(b"authorization", b"").lower().startswith(b"bearer ")
    return not bearer and headers.get(b"x-unvizard") != b"page"


def _before_the_change(found: tuple[str, str | None] | None, needed: Mapping[str, Role | None]) -> bool:
    """Whether a route may be asked for with a password that somebody else chose."""
    if found is None or found[0] not in needed:
        return False
    return needed[found[0]] is None or found[0] in BEFORE_THE_PASSWORD_IS_CHANGED


def _unknown(scope: Scope) -> Response:
    return _to_the_page(scope, "/sign-in") or refused("sign in first", 401)


def _to_the_page(scope: Scope, path: str) -> Response | None:
    """Who asks for a page is led to another; None for whoever asks for something else."""
    wants_page = b"text/html" in dict(scope["headers"]).get(b"accept", b"")
    if wants_page and scope["type"] == "http" and scope["method"] == "GET":
        return RedirectResponse(path, 303)
    return None
