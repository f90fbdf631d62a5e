"""What the overlay answers on the socket of its run: states, pictures and cards, for the process of the pages.

Who may ask is checked there (stream/web/gate.py); nobody else reaches this socket.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Query, Response, WebSocket, WebSocketDisconnect
from starlette.responses import StreamingResponse

from stream.display.board import Board
from stream.display.viewers import Offer, Viewer, Wish
from stream.display.views import CameraView
from stream.messages import FaceCard
from stream.report import Report

_BOUNDARY = "frame"
_ANSWER_WITHIN_S = 5.0
_QUIET_S = 2.0


def create_app(board: Board, report: Report, processes: Callable[[], Mapping[str, object]]) -> FastAPI:
    """The application over what the overlay puts up. processes: a callable that gives each process's memory."""
    app = FastAPI(title="Unvizard overlay", openapi_url=None, docs_url=None, redoc_url=None)

    @app.get("/api/state")
    def state() -> Response:
        return Response(board.state, media_type="application/json")

    @app.get("/api/report")
    async def whole_report() -> dict[str, Any]:
        answer = board.ask(lambda: report.build(processes(), final=False))
        try:
            return await asyncio.wait_for(asyncio.wrap_future(answer), _ANSWER_WITHIN_S)
        except TimeoutError:
            raise HTTPException(503, "the overlay is busy") from None

    @app.get("/api/cameras/{name}/snapshot.jpg")
    def snapshot(name: str) -> Response:
        view = _camera(board, name).view
        return Response(board.jpeg(view.picture(time.time_ns())), media_type="image/jpeg")

    @app.get("/api/cameras/{name}/stream.mjpg")
    async def stream(name: str, width: Annotated[int, Query(gt=0, le=10000)] = 1280) -> StreamingResponse:
        _camera(board, name)
        viewer = Viewer()
        viewer.want({name: Wish(width)})
        if not board.viewers.add(viewer):
            raise HTTPException(503, "too many viewers")
        return StreamingResponse(
            _multipart(board, viewer, name), media_type=f"multipart/x-mixed-replace; boundary={_BOUNDARY}"
        )

    @app.get("/api/cards/{camera}/{track}/original.png")
    def original(camera: str, track: int) -> Response:
        return Response(_card(board, camera, track).original_png, media_type="image/png")

    @app.get("/api/cards/{camera}/{track}/reconstruction.png")
    def reconstruction(camera: str, track: int) -> Response:
        card = _card(board, camera, track)
        if not card.reconstruction_png:
            raise HTTPException(404, f"no reconstruction of that track: {card.no_reconstruction}")
        return Response(card.reconstruction_png, media_type="image/png")

    @app.websocket("/ws")
    async def live(socket: WebSocket, far: bool = False) -> None:
        viewer = Viewer(far)
        await socket.accept()
        if not board.viewers.add(viewer):
            await socket.close(1013, "too many viewers")
            return
        sending = asyncio.create_task(_send(socket, viewer))
        try:
            viewer.offer_state(board.state)
            while True:
                _take_word(board, viewer, await socket.receive_text())
        except (WebSocketDisconnect, RuntimeError):
            pass  # it is gone, or was closed from this side
        except ValueError as error:
            await socket.close(1008, str(error)[:120])
        finally:
            board.viewers.remove(viewer)
            sending.cancel()

    return app


def _take_word(board: Board, viewer: Viewer, text: str) -> None:
    """What a page says: {"want": {camera: width, …}, "density": number, "video": can it decode H.264?},
    {"ack": camera} or, when its decoder failed, {"lost": camera}. Raises ValueError.
    """
    word = json.loads(text)
    match word:
        case {"ack": str(camera)}:
            viewer.acknowledge(camera)
        case {"lost": str(camera)}:
            viewer.lost(camera)
        case {"want": dict(wants), "density": density}:
            viewer.decodes = word.get("video") is True
            known = {name: width for name, width in wants.items() if name in board.cameras}
            ratio = _number("density", density, 0.5, 4)
            viewer.want(
                {name: Wish(_number("width", width, 16, 10000), ratio) for name, width in known.items()}
            )
        case _:
            raise ValueError(
                'a message must be {"want": {camera: width}, "density": number}, {"ack": camera} or {"lost": camera}'
            )


def _number(name: str, value: object, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name}: must be a number, found {value!r}")
    return min(max(value, least), most)


async def _send(socket: WebSocket, viewer: Viewer) -> None:
    """One message a picture: the header's length (4 bytes, big-endian), the header, the JPEG or the video's chunk."""
    try:
        while (item := await viewer.next()) is not None:
            if isinstance(item, Offer):
                await socket.send_bytes(len(item.header).to_bytes(4, "big") + item.header + item.data)
            else:
                await socket.send_text(item.decode())
        await socket.close(1001, "Unvizard has stopped")
    except (WebSocketDisconnect, RuntimeError):
        pass


async def _multipart(board: Board, viewer: Viewer, camera: str) -> AsyncIterator[bytes]:
    """Pictures for as long as there is the camera; one that shows nothing new says so once a second."""
    try:
        while camera in board.cameras:
            try:
                item = await asyncio.wait_for(viewer.next(), _QUIET_S)
            except TimeoutError:
                continue
            if item is None:
                return
            if isinstance(item, Offer):
                length = len(item.data)
                head = f"--{_BOUNDARY}\r\ncontent-type: image/jpeg\r\ncontent-length: {length}\r\n\r\n"
                yield head.encode() + item.data + b"\r\n"
                viewer.acknowledge(item.camera)
    finally:
        board.viewers.remove(viewer)


def _camera(board: Board, name: str) -> CameraView:
    view = board.cameras.get(name)
    if view is None:
        raise HTTPException(404, "no camera of that name")
    return view


def _card(board: Board, camera: str, track: int) -> FaceCard:
    _camera(board, camera)
    card = board.cards.get(camera, track)
    if card is None:
        raise HTTPException(404, "no card of that track")
    return card
