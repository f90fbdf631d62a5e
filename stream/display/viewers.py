"""Who watches: each viewer says which cameras it wants and how wide, and gets only newest pictures.

A viewer acknowledges what it has shown. While two pictures of a camera are on their way to it, it gets no more
of that camera: a slow viewer skips frames, and neither the overlay nor the other viewers wait for it. Web
handlers live in the event loop of the server; the overlay offers pictures from its own thread.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

_ON_THE_WAY = 2
_MOST_VIEWERS = 64
WIDTHS = (320, 480, 640, 960, 1280, 1920, 3840)
"""The widths pictures are encoded at, so that many viewers cost few encodings."""


@dataclass(frozen=True, slots=True)
class Wish:
    """How large a picture is shown: width in pixels of the page, of which each is `density` pixels of the screen."""

    width: float
    density: float = 1.0

    def served(self, most: int) -> tuple[int, float]:
        """The width to encode at, of WIDTHS and no more than `most`, and its pixels for one of the page.

        The latter is rounded to a quarter, so that viewers with windows of about one size share encodings.
        """
        wanted = self.width * self.density
        width = min(most, next((width for width in WIDTHS if width >= wanted), WIDTHS[-1]))
        return width, max(1.0, round(4 * width / self.width) / 4)


@dataclass(frozen=True, slots=True, eq=False)
class Offer:
    """An encoded picture: header is JSON for the page, data a JPEG or, where the header names a codec, video."""

    camera: str
    header: bytes
    data: bytes


class Viewer:
    """One connection. Made in the event loop that will send what it is offered.

    far: it is reached over a network. decodes: it can show H.264.
    """

    def __init__(self, far: bool = False) -> None:
        self.far, self.decodes = far, False
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[Offer | bytes | None] = asyncio.Queue()
        self._lock = threading.Lock()
        self._wants: dict[str, Wish] = {}
        self._sent: dict[str, int] = {}  # the newest version offered
        self._on_the_way: dict[str, int] = {}
        self._anew: set[str] = set()  # cameras whose video must begin with a key frame
        self._state: bytes | None = None

    def want(self, wants: Mapping[str, Wish]) -> None:
        """Replace what it wants, by camera. What is newly wanted, or at another size, is sent at once."""
        with self._lock:
            for camera, wish in wants.items():
                if self._wants.get(camera) != wish:
                    self._sent.pop(camera, None)
                    self._anew.add(camera)
            self._wants = dict(wants)

    def lost(self, camera: str) -> None:
        """It could not decode a camera's video, and shows nothing more until that begins anew."""
        with self._lock:
            self._anew.add(camera)
            for known in (self._sent, self._on_the_way):
                known.pop(camera, None)

    def begins_anew(self, camera: str) -> bool:
        """Whether a camera's video must begin anew; said once. Called by the overlay's thread."""
        with self._lock:
            anew = camera in self._anew
            self._anew.discard(camera)
            return anew

    def wants(self, camera: str) -> bool:
        """Whether it looks at a camera."""
        with self._lock:
            return camera in self._wants

    def forget(self, camera: str) -> None:
        """A camera has gone; one of its name that comes later counts its pictures anew."""
        with self._lock:
            for known in (self._wants, self._sent, self._on_the_way):
                known.pop(camera, None)

    def acknowledge(self, camera: str) -> None:
        """A picture has been shown."""
        with self._lock:
            self._on_the_way[camera] = max(0, self._on_the_way.get(camera, 0) - 1)

    def wish(self, camera: str, version: int) -> Wish | None:
        """How it wants this version of a camera's picture, or None when it does not (now)."""
        with self._lock:
            busy = self._on_the_way.get(camera, 0) >= _ON_THE_WAY
            return None if busy or self._sent.get(camera, 0) >= version else self._wants.get(camera)

    def offer(self, offer: Offer, version: int) -> None:
        """Send a picture. Called by the overlay's thread."""
        with self._lock:
            self._sent[offer.camera] = version
            self._on_the_way[offer.camera] = self._on_the_way.get(offer.camera, 0) + 1
        self._put(offer)

    def offer_state(self, state: bytes) -> None:
        """Send the state of everything; one that was not yet sent is replaced. Called by the overlay's thread."""
        with self._lock:
            waiting, self._state = self._state is not None, state
        if not waiting:
            self._put(b"")

    async def next(self) -> Offer | bytes | None:
        """What to send next: a picture, a state (bytes), or None when it is over."""
        item = await self._queue.get()
        if isinstance(item, bytes):
            with self._lock:
                item, self._state = self._state or b"{}", None
        return item

    def close(self) -> None:
        """End it, from any thread."""
        self._put(None)

    def _put(self, item: Offer | bytes | None) -> None:
        with suppress(RuntimeError):  # the server's loop may have ended, and the viewer with it
            self._loop.call_soon_threadsafe(self._queue.put_nowait, item)


class Viewers:
    """All viewers of this page."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._viewers: set[Viewer] = set()
        self._closed = False

    def add(self, viewer: Viewer) -> bool:
        """Take in a viewer; False when there are too many, or the end has come."""
        with self._lock:
            if self._closed or len(self._viewers) >= _MOST_VIEWERS:
                return False
            self._viewers.add(viewer)
            return True

    def remove(self, viewer: Viewer) -> None:
        """Forget a viewer."""
        with self._lock:
            self._viewers.discard(viewer)

    def all(self) -> list[Viewer]:
        """Those there are now."""
        with self._lock:
            return list(self._viewers)

    def close(self) -> None:
        """End all viewers and take in no more."""
        with self._lock:
            self._closed = True
        for viewer in self.all():
            viewer.close()
