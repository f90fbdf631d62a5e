"""Several guesses of one face made into one that is steadier, and how far they agree on each pixel.

All reconstructions of a track lie in the face frame, so that the same place of the face is the same pixel of each:
moving one onto the other by what is seen of it blurs more than it wins. What is learnt of a face is a
running mean and variance under weights that fade with every look: memory and time do not grow with the track.

A mean takes away what changes from look to look, not what the generator gets wrong in all of them: the uncertainty
says how far the looks differ, and is no probability of being right.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.alignment import FACE_SIZE

Plane = NDArray[np.float32]
"""float32 [128, 128]."""

_MEMORY = (
    0.8  # share of its weight that a look keeps when the next one comes: about nine looks count in the end
)
_ONE_LOOK = 12.0  # grey levels by which the guess of one look is held to be uncertain
_ALIKE, _STRANGE = 0.95, 0.75  # correlation of the parts that are seen: counts in full, does not count
_VISIBLE = 0.02  # painted less than this, a pixel is the camera's
_LEAST_SEEN = 60  # pixels of the upper face in view; fewer say nothing of exposure or likeness
_DARKEST = 4.0  # grey levels; a level below it is noise and no exposure
_INNER = np.ones((9, 9), np.uint8)  # fine detail is measured so far inside what was painted
_REGAINED, _SHARPEST = (
    2.0,
    0.3,
)  # how much fine detail is added again for what is lost; at most, as it may be noise
_HALF_SHOWN = 24.0  # grey levels of uncertainty at which half of what is shown is the soft, pale picture
_SOFT = 11  # pixels; over so many that picture is blurred
_PALE = 0.6  # how far it has gone to the one mean colour of all that was painted


@dataclass(frozen=True, slots=True, eq=False)
class Fused:
    """One guess of several looks, laid into the newest of them. To be shown through mark.mark only.

    picture: uint8 RGB [128, 128, 3], where mask is 0 equal to the newest reconstruction, and so to the camera's crop.
    mask: float32 [128, 128], 0 to 1, how far each pixel was painted in the newest. uncertainty: float32 [128, 128],
    grey levels, 0 where mask is: the standard deviation over looks, and what few looks cannot know. looks: how many
    count in it, the faded and the unlike in part; 1 or more.
    """

    picture: NDArray[np.uint8]
    mask: Plane
    uncertainty: Plane
    looks: int

    def shown(self) -> NDArray[np.uint8]:
        """The picture as people are to see it, uint8 RGB [128, 128, 3]: soft and pale where it is uncertain."""
        painted, mask = self.picture.astype(np.float32), cv2.merge([self.mask] * 3)
        square = cv2.blur(self.uncertainty, (5, 5)) ** 2
        doubt = square / (square + _HALF_SHOWN**2) * self.mask
        area = (_SOFT, _SOFT)
        soft = cv2.blur(painted * mask, area) / np.maximum(cv2.blur(mask, area), 1e-3)
        share = _PALE / max(cv2.mean(self.mask)[0], 1e-6)
        pale = cv2.add((1 - _PALE) * soft, tuple(share * colour for colour in cv2.mean(painted * mask)))
        return _whole(painted + cv2.merge([doubt] * 3) * (pale - painted))


class Fusion:
    """What the looks at one face come to. Begin anew when the face may be another's, or its mask came off."""

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        planes = np.zeros((8, FACE_SIZE, FACE_SIZE), np.float32)
        self._mean: NDArray[np.float32] = planes[:3]  # R, G, B in shares of the look's level
        self._spread, self._weight, self._squares = planes[3:6]
        self._seen, self._seen_weight = planes[6:]
        self._detail = self._detail_weight = 0.0  # fine detail of the looks, as _detail
        self._strange = False

    @property
    def begun(self) -> bool:
        """Whether any look was taken in."""
        return self._detail_weight > 0

    def add(self, picture: NDArray[np.uint8], mask: Plane, weight: float) -> Fused | None:
        """Take in one look and give what all come to, laid into it; None for a look that is left out.

        picture, mask: a reconstruction of engines.unmasking.generator. weight: what the look counts, above 0. A look
        whose visible part is unlike that of the looks before is left out, for something may pass before the face; when
        the next is unlike them too, all begins anew with that one. Raises ValueError on another shape, dtype or weight.
        """
        _check(picture, mask, weight)
        visible = _UPPER_FACE * (mask < _VISIBLE)
        level = _level(picture, visible)
        bright = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) * np.float32(1 / level.mean())
        alike = self._agreement(bright, visible)
        if alike <= 0 and not self._strange:
            self._strange = True
            return None
        if alike <= 0:
            self._forget()
            alike = 1.0
        self._strange = False
        planes = np.stack(cv2.split(picture)).astype(np.float32)
        self._take_in(planes / level, bright, mask, visible, weight * alike)
        self._remember_detail(_detail(picture, mask), weight * alike)
        return self._laid_into(planes, mask, level)

    def _agreement(self, bright: Plane, visible: Plane) -> float:
        """0 to 1: how far the visible part is like that of the looks before."""
        shared = visible * (self._seen_weight > 0)
        total = float(shared.sum())
        if total < _LEAST_SEEN:
            return 1.0
        new, old = (
            (plane - float((plane * shared).sum()) / total) * shared for plane in (bright, self._seen)
        )
        norm = float((new * new).sum()) * float((old * old).sum())
        correlation = float((new * old).sum()) / max(norm, 1e-12) ** 0.5
        return float(np.clip((correlation - _STRANGE) / (_ALIKE - _STRANGE), 0.0, 1.0))

    def _take_in(
        self, look: NDArray[np.float32], bright: Plane, mask: Plane, visible: Plane, weight: float
    ) -> None:
        """The weighted running mean and variance of West (1979), with weights that fade."""
        added = weight * mask
        self._weight = _MEMORY * self._weight + added
        self._squares = _MEMORY**2 * self._squares + added * added
        share = added / np.maximum(self._weight, 1e-9)
        apart = look - self._mean
        self._mean = self._mean + share * apart
        self._spread = _MEMORY * self._spread + added * (1 - share) * (apart * apart).mean(0)
        self._seen_weight = _MEMORY * self._seen_weight + weight * visible
        share = weight * visible / np.maximum(self._seen_weight, 1e-9)
        self._seen = self._seen + share * (bright - self._seen)

    def _remember_detail(self, detail: float, weight: float) -> None:
        self._detail_weight = _MEMORY * self._detail_weight + weight
        self._detail += weight / self._detail_weight * (detail - self._detail)

    def _laid_into(self, newest: NDArray[np.float32], mask: Plane, level: NDArray[np.float32]) -> Fused:
        mean = self._as_sharp_as_looks(cv2.merge(list(self._mean * level)), mask)
        picture = cv2.merge(list(newest))
        fused = _whole(picture + cv2.merge([mask] * 3) * (mean - picture))
        weight = np.maximum(self._weight, 1e-9)
        looks = np.maximum(weight * weight / np.maximum(self._squares, 1e-18), 1)  # Kish's effective number
        variance = self._spread / weight * (looks / np.maximum(looks - 1, 0.5)) * float(level.mean()) ** 2
        uncertainty = np.sqrt(variance + _ONE_LOOK**2 / looks) * (mask > 0)
        counted = float((looks * mask).sum()) / max(float(mask.sum()), 1e-3)
        return Fused(fused, mask, uncertainty, max(1, round(counted)))

    def _as_sharp_as_looks(self, mean: NDArray[np.float32], mask: Plane) -> NDArray[np.float32]:
        """The mean [128, 128, 3] of looks that lie a fraction of a pixel apart is softer than each of them."""
        lost = (self._detail / max(_detail(_whole(mean), mask), 1e-3)) ** 0.5 - 1
        if lost <= 0:
            return mean
        return mean + min(_REGAINED * lost, _SHARPEST) * (mean - cv2.GaussianBlur(mean, (5, 5), 1.0))


def _upper_face() -> Plane:
    """1 where eyes and forehead are in the face frame, else 0."""
    plane = np.zeros((FACE_SIZE, FACE_SIZE), np.float32)
    cv2.ellipse(plane, (FACE_SIZE // 2, 46), (44, 42), 0, 0, 360, 1.0, -1)
    return plane


_UPPER_FACE = _upper_face()


def _level(picture: NDArray[np.uint8], visible: Plane) -> NDArray[np.float32]:
    """The mean colour of what is visible, float32 [3, 1, 1]: looks are compared in shares of it, and so exposure and
    white balance cancel.
    """
    seen = visible.astype(np.uint8)
    mean = cv2.mean(picture, seen if np.count_nonzero(seen) >= _LEAST_SEEN else None)
    return np.maximum(np.array(mean[:3], np.float32), np.float32(_DARKEST)).reshape(3, 1, 1)


def _detail(picture: NDArray[np.uint8], mask: Plane) -> float:
    """Variance of the Laplacian well within what was painted, squared grey levels."""
    inner = cv2.erode((mask > 0.5).astype(np.uint8), _INNER)
    edges = cv2.Laplacian(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.CV_32F)
    return float(cv2.meanStdDev(edges, mask=inner)[1][0, 0]) ** 2


def _whole(picture: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def _check(picture: NDArray[np.uint8], mask: Plane, weight: float) -> None:
    size = (FACE_SIZE, FACE_SIZE)
    if picture.shape != (*size, 3) or picture.dtype != np.uint8:
        raise ValueError(f"picture: must be uint8 [128, 128, 3], found {picture.dtype} {picture.shape}")
    if mask.shape != size or mask.dtype != np.float32:
        raise ValueError(f"mask: must be float32 [128, 128], found {mask.dtype} {mask.shape}")
    if not (np.isfinite(weight) and weight > 0):
        raise ValueError(f"weight: must be above 0, found {weight}")
