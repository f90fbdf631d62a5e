"""The live page, and what it asks the overlay for; an account that may see some cameras only gets nothing of others."""

from __future__ import annotations

import asyncio
import html
import json
import logging
from collections.abc import Mapping
from contextlib import suppress
from ipaddress import ip_address
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response, WebSocket, WebSocketDisconnect
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from stream.web.account import Account
from stream.web.asking import account_of, office_of
from stream.web.overlay import AWAY, Overlay, OverlayAway
from stream.web.pages import respond

log = logging.getLogger(__name__)

router = APIRouter()

_RESTARTING, _TRY_LATER, _REFUSED = 1012, 1013, 1008  # codes of RFC 6455 and its registry
_LOST = 1006


@router.get("/")
def live_page(request: Request) -> Response:
    """The page; without scripts it shows plain streams."""
    account = account_of(request)
    names = [camera.name for camera in office_of(request).settings.cameras if account.sees(camera.name)]
    plain = "".join(
        f'<figure><img src="/api/cameras/{html.escape(name)}/stream.mjpg" alt="{html.escape(name)}">'
        f"<figcaption>{html.escape(name)}</figcaption></figure>"
        for name in names
    )
    return respond("live", account, more={"plain streams": plain})


@router.get("/api/state")
async def state(request: Request) -> Response:
    """What the live page shows beside the pictures, as JSON."""
    answer = await _overlay(request).answer("/api/state")
    return _limited(answer, account_of(request))


@router.get("/api/report")
async def report(request: Request) -> Response:
    """The report of the run so far, as JSON."""
    answer = await _overlay(request).answer("/api/report")
    return _limited(answer, account_of(request))


@router.get("/api/cameras/{camera}/snapshot.jpg")
async def snapshot(request: Request, camera: str) -> Response:
    """The newest picture of a camera, annotated."""
    return await _overlay(request).answer(f"/api/cameras/{quote(camera, safe='')}/snapshot.jpg")


@router.get("/api/cameras/{camera}/stream.mjpg")
async def stream(
    request: Request, camera: str, width: Annotated[int, Query(gt=0, le=10000)] = 1280
) -> Response:
    """A camera as pictures one after the other (MJPEG), no wider than `width`."""
    path = f"/api/cameras/{quote(camera, safe='')}/stream.mjpg"
    return await _overlay(request).stream(path, {"width": str(width)})


@router.get("/api/cards/{camera}/{track}/{which}.png")
async def card(
    request: Request, camera: str, track: int, which: Literal["original", "reconstruction"]
) -> Response:
    """A picture of a masked face: as it was seen, or as a network guesses it from several looks, what is uncertain soft
    and pale. 404, with the reason, for a guess that cannot be made honestly.
    """
    return await _overlay(request).answer(f"/api/cards/{quote(camera, safe='')}/{track}/{which}.png")


@router.websocket("/ws")
async def live(socket: WebSocket) -> None:
    """Pictures and states, the newest only; the viewer says what it wants and what it has shown."""
    overlay: Overlay = socket.app.state.overlay
    account: Account = socket.state.account
    await socket.accept()
    try:
        async with overlay.socket(_far(socket)) as connection:
            code, reason = await _pump(socket, connection, account)
    except OverlayAway:
        code, reason = _TRY_LATER, AWAY
    with suppress(RuntimeError, WebSocketDisconnect):  # the viewer may have gone first
        await socket.close(code, reason)


def _far(socket: WebSocket) -> bool:
    """Whether a viewer sits at another machine, by the address that its connection comes from."""
    try:
        return not ip_address(socket.client.host).is_loopback if socket.client else False
    except ValueError:
        return False


async def _pump(socket: WebSocket, connection: ClientConnection, account: Account) -> tuple[int, str]:
    """Hand on what both sides say until one of them ends; gives the code and reason to close with."""
    tasks = [
        asyncio.create_task(_to_viewer(connection, socket, account)),
        asyncio.create_task(_to_overlay(socket, connection, account)),
    ]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return next(iter(done)).result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _to_viewer(connection: ClientConnection, socket: WebSocket, account: Account) -> tuple[int, str]:
    """One picture after another: while the viewer's connection is full, the next is not asked for."""
    try:
        while True:
            word = await connection.recv()
            if isinstance(word, bytes):
                await socket.send_bytes(word)
            else:
                await socket.send_text(word if account.cameras is None else for_account(word, account))
    except ConnectionClosed as closed:
        if closed.rcvd is None:
            return _RESTARTING, AWAY
        return closed.rcvd.code, closed.rcvd.reason
    except (WebSocketDisconnect, RuntimeError):
        return _LOST, ""


async def _to_overlay(socket: WebSocket, connection: ClientConnection, account: Account) -> tuple[int, str]:
    try:
        while True:
            word = await socket.receive_text()
            await connection.send(word if account.cameras is None else _wishes(word, account))
    except ConnectionClosed as closed:
        if closed.rcvd is None:
            return _RESTARTING, AWAY
        return closed.rcvd.code, closed.rcvd.reason
    except (ValueError, KeyError) as error:
        return _REFUSED, str(error)[:120]
    except (WebSocketDisconnect, RuntimeError):
        return _LOST, ""


def _overlay(request: Request) -> Overlay:
    overlay = request.app.state.overlay
    assert isinstance(overlay, Overlay)
    return overlay


def _limited(answer: Response, account: Account) -> Response:
    """An answer of the overlay, without the cameras that the account may not see."""
    if account.cameras is None or answer.status_code != 200:
        return answer
    return Response(for_account(bytes(answer.body), account), media_type=answer.media_type)


def for_account(text: str | bytes, account: Account) -> str:
    """A state or a report, as JSON. Notes and processes speak of all cameras, so they are left out whole."""
    told: dict[str, Any] = json.loads(text)
    cameras = told.get("cameras", [])
    if isinstance(cameras, Mapping):
        told["cameras"] = {name: value for name, value in cameras.items() if account.sees(name)}
    else:
        told["cameras"] = [camera for camera in cameras if account.sees(camera["name"])]
    if "cards" in told:
        told["cards"] = [card for card in told["cards"] if account.sees(card["camera"])]
    for part in ("notes", "restarts", "processes"):
        if part in told:
            told[part] = type(told[part])()
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"))


def _wishes(text: str, account: Account) -> str:
    """What a viewer wants, without what it may not. Raises ValueError and KeyError, which end the connection."""
    word = json.loads(text)
    if not isinstance(word, dict):
        raise ValueError("a message must be an object")
    if isinstance(word.get("want"), dict):
        word["want"] = {name: width for name, width in word["want"].items() if account.sees(name)}
    return json.dumps(word)
