"""The best picture of each track for the archive: made when it is better than the one before, and at no other time.

Looking on changes nothing of what is decided: a recording processed anew without an archive gives the same annotations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from stream.messages import FaceLook, FrameReady

_BETTER = 1.1
_SIDE = 320
SURROUNDINGS = 1.8
"""Side of the picture in sides of the face's box."""
_JPEG_QUALITY = 90


@dataclass(slots=True)
class BestLook:
    """What is kept of one track: the quality of its newest look, None before the first; its embedding, None of a face
    that was not recognised, and whether it wore a mask.
    """

    quality: float | None = None
    embedding: NDArray[np.float32] | None = None
    masked: bool = False
    due_ns: int = (
        0  # media time before which nothing is tried, where looks are not a by-product of recognition
    )

    def surpassed_by(self, quality: float) -> bool:
        """Whether a look of this quality is worth keeping."""
        return self.quality is None or quality > _BETTER * self.quality


def make_look(
    frame: FrameReady,
    rgb: NDArray[np.uint8],
    track: int,
    box: Sequence[float] | NDArray[np.float32],
    quality: float,
    masked: bool,
    embedding: NDArray[np.float32] | None,
    space: str,
) -> FaceLook:
    """The message. rgb: uint8 [H, W, 3]; box: x1, y1, x2, y2 in its pixels; embedding: float32 [D] or None."""
    return FaceLook(
        camera=frame.camera,
        track=track,
        sequence=frame.sequence,
        media_ns=frame.media_ns,
        wall_ns=frame.wall_ns,
        quality=quality,
        masked=masked,
        picture_jpeg=face_jpeg(rgb, box),
        embedding=b"" if embedding is None else embedding.astype("<f4").tobytes(),
        space="" if embedding is None else space,
    )


def face_jpeg(rgb: NDArray[np.uint8], box: Sequence[float] | NDArray[np.float32]) -> bytes:
    """A face with its surroundings as a JPEG file, square where the picture's edge lets it, never enlarged."""
    x1, y1, x2, y2 = (float(value) for value in box)
    half = SURROUNDINGS * max(x2 - x1, y2 - y1, 2.0) / 2
    x, y = (x1 + x2) / 2, (y1 + y2) / 2
    height, width = rgb.shape[:2]
    left, right = (int(np.clip(value, 0, width)) for value in (x - half, x + half))
    top, bottom = (int(np.clip(value, 0, height)) for value in (y - half, y + half))
    crop = rgb[top : max(bottom, top + 1), left : max(right, left + 1)]
    scale = min(1.0, _SIDE / max(crop.shape[:2], default=1))
    if scale < 1.0:
        size = max(1, round(crop.shape[1] * scale)), max(1, round(crop.shape[0] * scale))
        crop = np.asarray(cv2.resize(crop, size, interpolation=cv2.INTER_AREA), np.uint8)
    bgr = cv2.cvtColor(crop, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].tobytes()
