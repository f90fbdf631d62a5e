"""What there is to see of each camera now: its newest annotated frame, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from stream.messages import CameraState, CameraStatus, FrameResult
from stream.overlay import draw, stub, to_width
from stream.replay.anonymise import Box, Veil, hide

_SILENT_AFTER_NS = 2_000_000_000
_NO_SIGN_AFTER_NS = 3_500_000_000  # a capture process says once a second how it does
_ENDED_AFTER_NS = 500_000_000  # the last frames of a recording come after the word that it has ended
SILENT = "silent"


@dataclass(frozen=True, slots=True)
class Absence:
    """Why a camera shows no live picture."""

    state: str
    since_wall_ns: int
    detail: str


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """One thing to look at. version grows with each new one of the same camera.

    i420: uint8 [H * 3 / 2, W], or None before the first frame; result: what was seen on it; absence: set when
    this picture is the last one there was. hidden: boxes in pixels of the frame that nobody is to make out.
    """

    camera: str
    version: int = 0
    i420: NDArray[np.uint8] | None = None
    result: FrameResult | None = None
    absence: Absence | None = None
    size: tuple[int, int] = (1280, 720)
    hidden: tuple[Box, ...] = ()

    def picture(self, now_wall_ns: int, width: int | None = None, density: float = 1.0) -> NDArray[np.uint8]:
        """The picture, uint8 BGR [H, W, 3], annotated; no wider than `width` pixels. density: see overlay."""
        full_width, full_height = self.size
        wanted = min(width or full_width, full_width)
        bgr = None
        if self.i420 is not None:
            bgr = to_width(np.asarray(cv2.cvtColor(self.i420, cv2.COLOR_YUV2BGR_I420), np.uint8), wanted)
            if self.hidden:
                scale = bgr.shape[1] / full_width
                hide(
                    bgr, [(scale * x1, scale * y1, scale * x2, scale * y2) for x1, y1, x2, y2 in self.hidden]
                )
        if self.absence:
            height = max(2, round(full_height * wanted / full_width))
            return stub(
                wanted,
                height,
                self.camera,
                self.absence.state,
                self.absence.since_wall_ns,
                self.absence.detail,
                now_wall_ns,
                bgr,
                density,
            )
        assert bgr is not None and self.result is not None
        draw(bgr, self.result.faces, bgr.shape[1] / full_width, density)
        return bgr


class CameraView:
    """Follows one camera and keeps its newest view. One thread writes; `view` may be read by any."""

    def __init__(self, camera: str, now_ns: int, now_wall_ns: int, blur_others: bool = False) -> None:
        """blur_others: who is not recognised as somebody enrolled is made unrecognisable."""
        self._veil = Veil() if blur_others else None
        self._began_wall_ns = now_wall_ns
        self._status: CameraStatus | None = None
        self._status_ns = self._changed_ns = self._began_ns = now_ns
        self._frame_ns = self._frame_wall_ns = 0  # when the newest frame was shown
        self._stub_ns = 0
        self.view = View(camera, 1, absence=Absence(CameraState.CONNECTING, now_wall_ns, ""))

    def status(self, status: CameraStatus, now_ns: int) -> None:
        """Take in how the camera does."""
        if self._status is None or (status.state, status.since_wall_ns) != (
            self._status.state,
            self._status.since_wall_ns,
        ):
            self._changed_ns = now_ns
        self._status, self._status_ns = status, now_ns

    def frame(self, i420: NDArray[np.uint8], result: FrameResult, now_ns: int, now_wall_ns: int) -> View:
        """Show a frame: uint8 [H * 3 / 2, W] with what was seen on it."""
        size = (result.frame.width, result.frame.height)
        self._frame_ns, self._frame_wall_ns = now_ns, now_wall_ns
        hidden = self._hidden(result) if self._veil else ()
        self.view = View(self.view.camera, self.view.version + 1, i420, result, None, size, hidden)
        return self.view

    def _hidden(self, result: FrameResult) -> tuple[Box, ...]:
        """The faces to hide on a frame, and the places that one may be in which has just been lost."""
        assert self._veil is not None
        self._veil.see(result.frame.media_ns, result.epoch, result.faces)
        return tuple(self._veil.boxes(result.frame.media_ns) or ())

    def look(self, now_ns: int, now_wall_ns: int) -> None:
        """Find out whether the newest frame is still live; if it is not, renew the words over it once a second."""
        absence = self._absence(now_ns)
        if absence is None:
            return
        if absence != self.view.absence or now_ns - self._stub_ns >= 1_000_000_000:
            self._stub_ns = now_ns
            size = self.view.size
            if self.view.i420 is None and self._status and self._status.width:
                size = (self._status.width, self._status.height)
            self.view = replace(self.view, version=self.view.version + 1, absence=absence, size=size)

    def _absence(self, now_ns: int) -> Absence | None:
        status, frame = self._status, self.view.result
        quiet_ns = now_ns - max(self._frame_ns, self._began_ns)
        if self._frame_ns and quiet_ns < _SILENT_AFTER_NS and frame is not None:
            stopped = status is not None and status.state is not CameraState.RUNNING
            if not stopped or frame.frame.captured_ns > self._changed_ns:
                return None
            if status and status.state is CameraState.ENDED and quiet_ns < _ENDED_AFTER_NS:
                return None
        if status is None:
            return Absence(CameraState.CONNECTING, self._began_wall_ns, "")
        if now_ns - self._status_ns > _NO_SIGN_AFTER_NS and status.state is not CameraState.ENDED:
            since = self._frame_wall_ns or status.since_wall_ns
            return Absence(CameraState.LOST, since, "Its process gives no sign of life and is started again.")
        if status.state is not CameraState.RUNNING:
            return Absence(status.state, status.since_wall_ns, status.detail)
        if not self._frame_ns or frame is None:
            return Absence(CameraState.RUNNING, status.since_wall_ns, "The networks are being made ready.")
        if quiet_ns < _SILENT_AFTER_NS:
            return None
        detail = "The camera sends, but nothing comes back from inference."
        return Absence(SILENT, self._frame_wall_ns, detail)
