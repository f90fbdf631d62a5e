"""Footage played on the review page: pictures with what live drew on them, one after the other over one request.

Each picture is four bytes of the header's length, four of the JPEG's (big-endian), the header (JSON) and the JPEG. The
page shows each when it is due and reads no faster than it shows, so that nothing is decoded that nobody sees. The last
one has no JPEG: its header says why it ended.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from typing import Annotated, Any

import cv2
import numpy as np
from fastapi import APIRouter, HTTPException, Query, Request
from numpy.typing import NDArray
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from engines.recognition.audit import Action
from stream.archive.archive import ArchiveError
from stream.capture.cover import Cover
from stream.moments import iso
from stream.overlay import draw, to_width
from stream.replay.playback import Playback, PlayedFrame, as_live
from stream.replay.veiled import veiled
from stream.web.asking import account_of, office_of
from stream.web.footage import MS, opened
from stream.web.review_values import clock

router = APIRouter()

_LONGEST_MS = _STRETCH_MS = 600_000
_JPEG_QUALITY = 80


@router.get("/api/review/cameras/{camera}/playback")
def play(
    request: Request,
    camera: str,
    from_ms: int,
    to_ms: int,
    width: Annotated[int, Query(ge=160, le=3840)] = 960,
    boxes: bool = True,
    every: bool = False,
    track: int | None = None,
    epoch: int | None = None,
) -> StreamingResponse:
    """The footage of a camera from from_ms to to_ms (ms UTC), ten minutes at most.

    boxes: with what live drew. every: also pictures that live passed over. track, epoch: whose face's place each header
    is to say, as shares of the picture.
    """
    if not 0 < to_ms - from_ms <= _LONGEST_MS:
        raise HTTPException(422, f"to_ms: must lie 1 to {_LONGEST_MS} after from_ms, found {to_ms - from_ms}")
    account, desk, office = account_of(request), office_of(request).desk, office_of(request)
    if not desk.room_to_play:
        raise HTTPException(503, "too many people play footage now: try again in a moment")
    with opened(request) as archive:
        if not archive.recorded(camera, from_ms * MS, to_ms * MS):
            raise HTTPException(404, f"{camera}: nothing was recorded then, or it has expired")
        # A line for each stretch, however often somebody goes back and forth in it.
        stretches = range(from_ms // _STRETCH_MS, (to_ms - 1) // _STRETCH_MS + 1)
        new = [each for each in stretches if not desk.noted.holds(account, (camera, each))]
        if new:
            span = new[0] * _STRETCH_MS, (new[-1] + 1) * _STRETCH_MS
            archive.log(Action.VIEWED, "", f"footage of {camera} from {span[0] * MS} to {span[1] * MS}")
            office.journal.write(
                account, "viewed", f"footage of {camera}, {iso(span[0] * MS)} to {iso(span[1] * MS)}"
            )
            desk.noted.add(account, [(camera, each) for each in new])

    blurred = office.settings.privacy.blur_others

    def pictures() -> Generator[bytes, None, None]:
        notes: list[str] = []
        try:
            with desk.playing(), office.archive(account) as archive:
                playback = Playback(archive, camera, notes=notes, cover=Cover.of(office.settings, camera))
                for frame, picture in _shown(playback, from_ms * MS, to_ms * MS, every, blurred):
                    yield _packed(_header(frame, track, epoch), _jpeg(frame, picture, width, boxes))
        except ArchiveError as error:
            notes.append(str(error))
        yield _packed({"end": True, "notes": notes}, b"")

    return Played(pictures())


class Played(StreamingResponse):
    """Lets go of the footage as soon as nobody watches any more."""

    def __init__(self, pictures: Generator[bytes, None, None]) -> None:
        super().__init__(pictures, media_type="application/octet-stream")
        self._pictures = pictures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._pictures.close()


def _header(frame: PlayedFrame, track: int | None, epoch: int | None) -> dict[str, Any]:
    header: dict[str, Any] = {"ms": frame.wall_ns / MS, "clock": clock(frame.wall_ns)}
    seen = frame.annotation
    if seen is None:
        return header | {"looked": False}
    face = next((face for face in seen.faces if (face.track, seen.epoch) == (track, epoch)), None)
    if face:
        x1, y1, x2, y2 = face.box
        header["face"] = [x1 / seen.width, y1 / seen.height, x2 / seen.width, y2 / seen.height]
    return header | {"looked": True, "faces": len(seen.faces)}


def _shown(
    playback: Playback, from_ns: int, to_ns: int, every: bool, blurred: bool
) -> Iterator[tuple[PlayedFrame, NDArray[np.uint8]]]:
    if blurred:  # which takes every picture to tell where a face was
        yield from veiled(playback, from_ns, to_ns)
        return
    frames = playback.frames(from_ns, to_ns)
    for frame in frames if every else as_live(frames):
        yield frame, frame.bgr()


def _jpeg(frame: PlayedFrame, picture: NDArray[np.uint8], width: int, boxes: bool) -> bytes:
    if picture.shape[1] > width:
        picture = to_width(picture, width)
    if boxes and frame.annotation:
        draw(picture, frame.annotation.faces, picture.shape[1] / frame.annotation.width)
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].tobytes()


def _packed(header: dict[str, Any], jpeg: bytes) -> bytes:
    head = json.dumps(header).encode()
    return len(head).to_bytes(4, "big") + len(jpeg).to_bytes(4, "big") + head + jpeg
