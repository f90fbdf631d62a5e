"""The rings of one camera: a new one when the picture's size changes, and none left behind."""

from __future__ import annotations

from pathlib import Path

from stream.capture.counter import Counter
from stream.capture.cover import Cover
from stream.capture.source import Picture
from stream.ring import FrameRing, Place


class Rings:
    """Puts pictures into the ring of their size.

    A ring's name is never used twice. Where frames are awaited (keep_until_consumed), an older ring stays until a
    frame of the newer one has been consumed, since what is in it may still be wanted; else it goes at once. The
    same holds for the rings of a process of this camera that was killed.
    """

    def __init__(
        self,
        directory: Path,
        camera: str,
        slots: int,
        counter: Counter,
        keep_until_consumed: bool,
        cover: Cover | None = None,
    ) -> None:
        """cover: what is blacked out of each picture before anybody sees it."""
        self._cover = cover
        self._directory, self._camera, self._slots, self._counter = directory, camera, slots, counter
        self._keep = keep_until_consumed
        self._ring: FrameRing | None = None
        self._old = list(directory.glob(f"{camera}.*.ring"))
        self._first = 0  # sequence of the first frame of the ring

    @property
    def consumed(self) -> int:
        """The newest sequence that the last stage is done with."""
        return self._ring.consumed if self._ring else self._counter.sequence

    def place(self, picture: Picture) -> tuple[str, Place]:
        """Store a picture; the name of its ring, and where it is there. Raises OSError when memory is short."""
        ring = self._ring
        if ring is None or (ring.width, ring.height) != (picture.width, picture.height):
            ring = self._renew(picture.width, picture.height)
        if self._old and (not self._keep or ring.consumed >= self._first):
            self._delete_old()
        i420 = self._cover.over(picture.i420) if self._cover else picture.i420
        return ring.path.name, ring.write(i420)

    def close(self) -> None:
        """Delete all rings; readers that have one open keep what they have."""
        if self._ring:
            self._old.append(self._ring.path)
            self._ring.close()
            self._ring = None
        self._delete_old()

    def _renew(self, width: int, height: int) -> FrameRing:
        path = self._directory / f"{self._camera}.{self._counter.next_ring()}.ring"
        ring = FrameRing.create(path, width, height, self._slots)
        if self._ring:
            self._old.append(self._ring.path)
            self._ring.close()
        ring.consumed = self._counter.sequence
        self._first = self._counter.sequence + 1
        self._ring = ring
        return ring

    def _delete_old(self) -> None:
        for path in self._old:
            path.unlink(missing_ok=True)
        self._old.clear()
