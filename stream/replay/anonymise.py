"""Faces of people who are not enrolled, made unrecognisable: where they are on each picture, and how they are hidden.

A face is hidden wherever it may be: on the frames on which it was found, on those between two finds of its track, and
for a second before the first and after the last. A face is shown only where live was sure of a name: on a frame,
or between two, that say it of this very track.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from stream.archive.annotations import AnnotatedFrame
from stream.messages import TrackedFace

Box = tuple[float, float, float, float]  # x1, y1, x2, y2 in pixels

MARGIN_NS = 1_500_000_000
"""How far behind and ahead of a picture annotations have to be known."""
_BRIDGED_NS = 1_500_000_000  # two finds of one track that are no farther apart
_LINGERS_NS = 1_000_000_000
_PACED_NS = 100_000_000, 500_000_000  # a face's pace is measured over so much time, at least and at most
_FASTEST = 3.0  # of its size a second: a find that was beside the face would make its pace any
_WATCHED_NS = 500_000_000
_GROWN = 0.25  # of its size, to every side
_SPEED = 0.8  # of its size a second, to every side: how fast a face may leave its box unseen
_BLOCKS = 7  # on the longer side of what is hidden


@dataclass(frozen=True, slots=True)
class _Find:
    media_ns: int
    box: Box
    named: bool


class Veil:
    """Follows the annotations of one camera in order, and says what to hide on a picture."""

    def __init__(self) -> None:
        self._watched: deque[int] = deque()
        self._tracks: dict[tuple[int, int], deque[_Find]] = {}

    def add(self, frame: AnnotatedFrame) -> None:
        """Take in what was seen on a frame, also when nobody was."""
        self.see(frame.media_ns, frame.epoch, frame.faces)

    def see(self, media_ns: int, epoch: int, faces: Sequence[TrackedFace]) -> None:
        """The same, in parts. Live, nothing is known of what comes after."""
        if self._watched and media_ns < self._watched[-1]:
            self._watched.clear()  # another recording: its timeline begins anew
            self._tracks.clear()
        self._watched.append(media_ns)
        for face in faces:
            finds = self._tracks.setdefault((epoch, face.track), deque())
            finds.append(_Find(media_ns, face.box, face.decision == "person"))

    def boxes(self, media_ns: int) -> list[Box] | None:
        """The boxes to hide on the picture of a media time; None: all of it, because nobody looked at it.

        Ask in rising order, when all annotations up to MARGIN_NS later have been added.
        """
        self._forget(media_ns - 2 * MARGIN_NS)
        if not any(abs(media_ns - watched) <= _WATCHED_NS for watched in self._watched):
            return None
        found = [_hidden(finds, media_ns) for finds in self._tracks.values()]
        return [_grown(box, _GROWN) for box in found if box is not None]

    def _forget(self, media_ns: int) -> None:
        while self._watched and self._watched[0] < media_ns:
            self._watched.popleft()
        for key, finds in list(self._tracks.items()):
            while finds and finds[0].media_ns < media_ns:
                finds.popleft()
            if not finds:
                del self._tracks[key]


def hide(picture: NDArray[np.uint8], boxes: list[Box] | None) -> None:
    """Hide boxes (None: everything) in a picture, uint8 BGR [H, W, 3], for good.

    At most 7 x 7 averages are left of each, and they are blurred: too little for anybody to be made out by eye or by
    machine.
    """
    height, width = picture.shape[:2]
    for x1, y1, x2, y2 in [(0.0, 0.0, float(width), float(height))] if boxes is None else boxes:
        left, top = max(0, int(x1)), max(0, int(y1))
        right, bottom = min(width, int(np.ceil(x2))), min(height, int(np.ceil(y2)))
        if left >= right or top >= bottom:
            continue
        ground = picture[top:bottom, left:right]
        longer = max(ground.shape[:2])
        size = tuple(max(1, round(_BLOCKS * side / longer)) for side in ground.shape[1::-1])
        blocks = cv2.GaussianBlur(cv2.resize(ground, size, interpolation=cv2.INTER_AREA), (3, 3), 0)
        picture[top:bottom, left:right] = cv2.resize(
            blocks, ground.shape[1::-1], interpolation=cv2.INTER_LINEAR
        )


def _hidden(finds: deque[_Find], media_ns: int) -> Box | None:
    """Where a track's face is to be hidden; None: it is not there, or is enrolled."""
    before = after = None
    for find in finds:
        if find.media_ns <= media_ns:
            before = find
        if find.media_ns >= media_ns:
            after = find
            break
    if before and after and after.media_ns - before.media_ns <= _BRIDGED_NS:
        if before.named and after.named:
            return None
        share = (media_ns - before.media_ns) / max(after.media_ns - before.media_ns, 1)
        between = tuple(a + share * (b - a) for a, b in zip(before.box, after.box, strict=True))
        apart_ns = min(media_ns - before.media_ns, after.media_ns - media_ns)
        return _grown(between, _SPEED * apart_ns / 1e9)
    nearest = min(
        (find for find in (before, after) if find),
        key=lambda find: abs(find.media_ns - media_ns),
        default=None,
    )
    if nearest is None or nearest.named or abs(nearest.media_ns - media_ns) > _LINGERS_NS:
        return None
    return _around(nearest, finds, media_ns)


def _around(nearest: _Find, finds: deque[_Find], media_ns: int) -> Box:
    """Before the first find or after the last: where it was found, where it then is at its pace, and all between."""
    beyond = nearest.media_ns - media_ns
    known = [find for find in finds if (find.media_ns - nearest.media_ns) * beyond > 0]
    least, most = _PACED_NS
    paced = [find for find in known if least <= abs(find.media_ns - nearest.media_ns) <= most]
    box = nearest.box
    wide, tall = box[2] - box[0], box[3] - box[1]
    if paced:
        other = max(paced, key=lambda find: abs(find.media_ns - nearest.media_ns))
        share = beyond / (other.media_ns - nearest.media_ns)
        farthest = _FASTEST * abs(beyond) / 1e9
        right, down = (
            float(np.clip(share * (a + b - c - d) / 2, -farthest * size, farthest * size))
            for a, b, c, d, size in (
                (box[0], box[2], other.box[0], other.box[2], wide),
                (box[1], box[3], other.box[1], other.box[3], tall),
            )
        )
        box = (
            box[0] + min(right, 0),
            box[1] + min(down, 0),
            box[2] + max(right, 0),
            box[3] + max(down, 0),
        )
    grown = _SPEED * abs(beyond) / 1e9
    return box[0] - grown * wide, box[1] - grown * tall, box[2] + grown * wide, box[3] + grown * tall


def _grown(box: tuple[float, ...], share: float) -> Box:
    x1, y1, x2, y2 = box
    dx, dy = share * (x2 - x1), share * (y2 - y1)
    return x1 - dx, y1 - dy, x2 + dx, y2 + dy
