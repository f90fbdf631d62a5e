"""How far landmarks move when a mask is put on, and whether the face is still found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from zlib import crc32

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.detection.single_shot import overlap
from engines.faces import Faces
from tools.learning.faces import LabelledFace
from tools.recognition.bootstrap import Estimate, People, Values, Weights, estimate
from tools.recognition.masks import Masks, Picture

_AROUND = 1.0
"""Room about a picture, in eye distances: nobody's face fills what a camera sees."""
_FOUND = 0.4
"""Intersection over union of the face under the mask with the face before."""
PARTS = {"eyes": slice(0, 2), "nose": slice(2, 3), "mouth": slice(3, 5)}


class Finder(Protocol):
    """Finds faces; a Detector does, and one whose landmarks are refined."""

    def detect(self, pictures: Sequence[Picture]) -> list[Faces]:
        """The faces of each picture."""


@dataclass(frozen=True, slots=True)
class Moved:
    """Of one detector at one size. faces: found without masks. found: the share of them found with masks too.

    median, p90: by part of the face, how far its landmarks lie from where the same detector saw them without the mask,
    in eye distances.
    """

    faces: int
    found: Estimate
    median: dict[str, Estimate]
    p90: dict[str, Estimate]


def moved(
    faces: Sequence[LabelledFace],
    detectors: Mapping[str, Finder],
    eye_distance: float,
    masks: Masks,
    draws: int,
    progress: Callable[[float], None],
    seed: int = 1,
) -> dict[str, Moved]:
    """By detector, on pictures made so large that the eyes lie so many pixels apart. The same masks each time."""
    errors: dict[str, list[NDArray[np.float64] | None]] = {name: [] for name in detectors}
    for done, face in enumerate(faces):
        progress(done / len(faces))
        rng = np.random.default_rng((seed, crc32(face.path.name.encode())))
        picture, landmarks = _sized(face, eye_distance)
        masked = masks.draw(picture, landmarks, rng)[0]
        for name, detector in detectors.items():
            before, after = detector.detect([picture, masked])
            known = _near(before, landmarks)
            if known is None:
                continue
            errors[name].append(_error(before[known : known + 1], after))
    return {name: _summed(found, draws) for name, found in errors.items()}


def _sized(face: LabelledFace, eye_distance: float) -> tuple[Picture, NDArray[np.float32]]:
    scale = eye_distance / float(np.linalg.norm(face.landmarks[1] - face.landmarks[0]))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    picture = cv2.resize(face.read(), None, fx=scale, fy=scale, interpolation=how)
    room = round(_AROUND * eye_distance)
    wide = cv2.copyMakeBorder(picture, room, room, room, room, cv2.BORDER_REFLECT)
    return np.asarray(wide, np.uint8), (face.landmarks * scale + room).astype(np.float32)


def _near(faces: Faces, landmarks: NDArray[np.float32]) -> int | None:
    """The face whose landmarks are these, at most half an eye distance off; None when there is none."""
    if not len(faces):
        return None
    away = np.linalg.norm(faces.landmarks[:, :2] - landmarks[:2], axis=2).mean(1)
    nearest = int(away.argmin())
    return nearest if away[nearest] < 0.5 * np.linalg.norm(landmarks[1] - landmarks[0]) else None


def _error(before: Faces, after: Faces) -> NDArray[np.float64] | None:
    """How far each part has moved, in eye distances; None when the face is not found any more."""
    shared = overlap(after.boxes, before.boxes) if len(after) else np.zeros(0, np.float32)
    if shared.max(initial=0) < _FOUND:
        return None
    points = before.landmarks[0]
    away = np.linalg.norm(after.landmarks[shared.argmax()] - points, axis=1)
    away = away / np.linalg.norm(points[1] - points[0])
    return np.array([away[part].mean() for part in PARTS.values()], np.float64)


def _summed(errors: Sequence[NDArray[np.float64] | None], draws: int) -> Moved:
    found = np.array([error is not None for error in errors], bool)
    rows = np.array([np.full(len(PARTS), np.nan) if e is None else e for e in errors]).reshape(-1, len(PARTS))

    def measured(drawn: Weights) -> Values:
        times = drawn.astype(np.intp) * found
        share = (drawn * found).sum() / max(drawn.sum(), 1e-9)
        again = np.repeat(rows, times, axis=0)
        if not len(again):
            return np.array([share, *[np.nan] * (2 * len(PARTS))])
        return np.array([share, *np.median(again, axis=0), *np.quantile(again, 0.9, axis=0)])

    if not len(errors):
        nothing = Estimate(np.nan, np.nan, np.nan)
        return Moved(0, nothing, dict.fromkeys(PARTS, nothing), dict.fromkeys(PARTS, nothing))
    value, again = People(len(errors), draws).again(measured)
    all_ = [estimate(float(v), column) for v, column in zip(value, again.T, strict=True)]
    share = estimate(float(value[0]), again[:, 0], len(errors))
    count = len(PARTS)
    return Moved(
        len(errors),
        share,
        dict(zip(PARTS, all_[1 : 1 + count], strict=True)),
        dict(zip(PARTS, all_[1 + count :], strict=True)),
    )
