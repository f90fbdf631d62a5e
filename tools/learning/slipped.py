"""Masks that slip: photographs of masked faces on which the mask is lower than it was.

Of masks worn wrongly there are few pictures, so most are drawn, and a network soon knows drawn cloth from real cloth
instead of a bare nose from a covered one. Here cloth, face and light are real: the product's own generator finds the
mask and paints the face behind it, and the mask is laid over that again, further down.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.alignment import FACE_POINTS, FACE_SIZE, face_transform, to_face_frame, warp
from engines.backends import open_engine
from engines.detection.detectors import networks_of
from engines.detection.landmarks import LandmarkRefiner
from engines.masks.pose import CHIN_LEVEL
from engines.models import prepare
from engines.unmasking.generator import Unmasker
from stream.config import Settings
from stream.networks import open_detector

_SMALLEST, _SIDE = 40.0, 160
"""Longer side of the smallest faces that are lifted, pixels; and of what is kept of a picture around one."""
_NEAR = 0.15
"""How far from the middle of its box, as a share of _SIDE, a face may be found and be the one."""
_SEEN = 0.06
"""The least share of a face's box that a mask must cover to be seen."""
_NOSE, _CHIN = float(FACE_POINTS[2, 1]), float(to_face_frame(np.array([[56.0, CHIN_LEVEL]]))[0, 1])
_MIDDLE = slice(int(FACE_POINTS[2, 0]) - 6, int(FACE_POINTS[2, 0]) + 7)


@dataclass(frozen=True, slots=True, eq=False)
class Lifted:
    """A masked face and what is guessed to be behind its mask.

    masked, bare: uint8 RGB [h, w, 3]. cover: float32 [h, w], 0 to 1, where the mask is. box: of the face, float32 [4].
    to_face: float64 [3, 3], from pixels to the face frame. top: of the mask's middle, in the face frame.
    """

    masked: NDArray[np.uint8]
    bare: NDArray[np.uint8]
    cover: NDArray[np.float32]
    box: NDArray[np.float32]
    to_face: NDArray[np.float64]
    top: float

    def slipped(self, rng: np.random.Generator) -> NDArray[np.uint8]:
        """The face with its mask below the tip of the nose, or about the chin, somewhat crumpled."""
        tall, lowest, size = float(rng.uniform(0.5, 1.0)), _CHIN - 4, self.cover.shape[::-1]
        left, top, right, bottom = np.rint(self.box).astype(int).clip(0, _SIDE).tolist()
        while True:
            level = float(rng.uniform(_NOSE + 3, lowest))
            down = np.array([[1, 0, 0], [0, tall, level - tall * self.top], [0, 0, 1]])
            move = (np.linalg.inv(self.to_face) @ down @ self.to_face)[:2]
            cover = cv2.warpAffine(self.cover, move, size)
            if cover[top:bottom, left:right].mean() > _SEEN or lowest < _NOSE + 6:
                break
            lowest = max(level, _NOSE + 5)  # on a tight photograph it would be beyond the edge
        cloth = cv2.warpAffine(self.masked, move, size, borderMode=cv2.BORDER_REFLECT_101)
        return np.rint(self.bare * (1 - cover[..., None]) + cloth * cover[..., None]).astype(np.uint8)


class Lifter:
    """The product's networks, taking masks off photographs."""

    def __init__(self) -> None:
        settings = Settings()
        names = (*networks_of(settings.detection.detector), "landmarks", "unmask")
        models = prepare(settings.engines.cache, names)
        engines = {name: open_engine(models[name], threads=1, cache=settings.engines.cache) for name in names}
        self._detector = open_detector(settings.detection, engines)
        self._refiner, self._unmasker = LandmarkRefiner(engines["landmarks"]), Unmasker(engines["unmask"])

    def lift(self, picture: NDArray[np.uint8], box: NDArray[np.float32]) -> Lifted | None:
        """A masked face of a picture; None where it is too small, or no face or no mask to be moved is found."""
        side = float((box[2:] - box[:2]).max())
        if side < _SMALLEST:
            return None
        scale = _SIDE / (2 * side)
        shift = _SIDE / 2 - scale * (box[:2] + box[2:]) / 2
        around = warp(picture, np.array([[scale, 0, shift[0]], [0, scale, shift[1]]], np.float32), _SIDE)
        box = (box.reshape(2, 2) * scale + shift).astype(np.float32).ravel()
        found = self._detector.detect([around])[0]
        if not len(found):
            return None
        away = np.hypot(*((found.boxes[:, :2] + found.boxes[:, 2:]) / 2 - _SIDE / 2).T)
        best = int(away.argmin())
        if away[best] > _NEAR * _SIDE:
            return None
        landmarks = self._refiner.refine(around, found.landmarks[best : best + 1])[0]
        transform = face_transform(landmarks)
        made = self._unmasker.unmask(warp(around, transform, FACE_SIZE)[None])
        covered = made.masks[0] > 0.5
        rows = np.flatnonzero(covered[:, _MIDDLE].mean(1) > 0.5)
        if covered.mean() < 0.08 or not len(rows) or rows[0] > _NOSE:
            return None
        back = cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR
        paint = cv2.warpAffine(made.pictures[0], transform, (_SIDE, _SIDE), flags=back)
        cover = cv2.warpAffine(made.masks[0], transform, (_SIDE, _SIDE), flags=back)
        bare = np.where(cover[..., None] > 0, paint, around)
        square = np.vstack([transform, [0, 0, 1]]).astype(np.float64)
        return Lifted(around, bare, np.clip(cover * 2 - 0.5, 0, 1), box, square, float(rows[0]))
