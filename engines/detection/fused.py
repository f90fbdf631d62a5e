"""MTCNN, and a single-shot network that finds the faces which MTCNN misses, most of them behind masks.

P-Net judges windows of 12 x 12 pixels, in which a masked face looks like little; a single-shot network sees head and
shoulders too. What it finds beside MTCNN's faces goes to O-Net, which gives it box and landmarks like those of all
other faces, and both say how probable it is. MTCNN's own faces stay as they are. `python -m tools.evaluate_detection`
measures what that is worth.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engines.detection.mtcnn import MTCNN
from engines.detection.single_shot import Picture, SingleShot, overlap
from engines.faces import Faces

_SAME = 0.35  # intersection over union from which two boxes are of one face
_AGREED = 0.4  # intersection over union from which O-Net's box is of the face that was shown to it
_WEIGHT = 0.3  # of O-Net's log odds beside the finder's; fitted on real scenes, where O-Net doubts most masked faces
_UNSURE = 0.6  # O-Net's score under which the finder is asked about an expected face


class Fused:
    """The detector.

    mtcnn: finds first, and gives landmarks. finder: its min_score should be low, because the two decide together.
    min_score: the least probability of a face that MTCNN alone has not found, 0 to 1.
    Raises ValueError for a value out of range.
    """

    def __init__(self, mtcnn: MTCNN, finder: SingleShot, min_score: float = 0.6) -> None:
        if not 0 <= min_score <= 1:
            raise ValueError(f"min_score: must lie between 0 and 1, found {min_score}")
        self._mtcnn, self._finder, self._min_score = mtcnn, finder, min_score

    def detect(self, pictures: Sequence[Picture]) -> list[Faces]:
        """The faces in each picture, most certain first; as MTCNN.detect."""
        certain = self._mtcnn.detect(pictures)
        missed = [
            _beside(seen, known) for seen, known in zip(self._finder.detect(pictures), certain, strict=True)
        ]
        looked = self._mtcnn.refine(pictures, [faces.boxes for faces in missed])
        return [
            _sorted(known, self._plausible(_judged(again, seen), known))
            for known, seen, again in zip(certain, missed, looked, strict=True)
        ]

    def refine(self, pictures: Sequence[Picture], boxes: Sequence[NDArray[np.floating]]) -> list[Faces]:
        """What is to be seen where faces are expected; as MTCNN.refine. The finder looks where O-Net is unsure."""
        refined = self._mtcnn.refine(pictures, boxes)
        unsure = [np.flatnonzero(faces.scores < _UNSURE) for faces in refined]
        if not any(len(index) for index in unsure):
            return refined
        asked = [given[index] for given, index in zip(boxes, unsure, strict=True)]
        for faces, index, seen in zip(refined, unsure, self._finder.refine(pictures, asked), strict=True):
            judged = _judged(faces[index], seen)
            better = (seen.scores > 0) & (judged.scores > faces.scores[index])
            for whole, part in (
                (faces.boxes, judged.boxes),
                (faces.scores, judged.scores),
                (faces.landmarks, judged.landmarks),
            ):
                whole[index[better]] = part[better]
        return refined

    def _plausible(self, faces: Faces, known: Faces) -> Faces:
        """Those probable enough; of two that O-Net moved onto one face, or onto a known one, the better stays."""
        faces = faces[np.argsort(-faces.scores, kind="stable")]
        faces = _beside(faces[faces.scores >= self._min_score], known)
        rival = overlap(faces.boxes[:, None], faces.boxes[None]) > _SAME
        return faces[np.flatnonzero(~np.triu(rival, 1).any(0))]


def _judged(looked: Faces, seen: Faces) -> Faces:
    """Faces that the finder saw, as O-Net found them when it looked there, with the probability by both."""
    odds = _WEIGHT * _log_odds(looked.scores) + _log_odds(seen.scores)
    own = overlap(looked.boxes, seen.boxes) < _AGREED  # O-Net strayed: the finder's own box and landmarks
    return Faces(
        np.where(own[:, None], seen.boxes, looked.boxes),
        (1 / (1 + np.exp(-odds))).astype(np.float32),
        np.where(own[:, None, None], seen.landmarks, looked.landmarks),
    )


def _log_odds(probability: NDArray[np.float32]) -> NDArray[np.float32]:
    p = np.clip(probability, 1e-4, 1 - 1e-4)
    return np.asarray(np.log(p / (1 - p)), np.float32)


def _beside(faces: Faces, known: Faces) -> Faces:
    """The faces that are none of the known ones."""
    alone = (overlap(faces.boxes[:, None], known.boxes[None]) <= _SAME).all(1)
    return faces[np.flatnonzero(alone)]


def _sorted(first: Faces, second: Faces) -> Faces:
    both = Faces(
        np.concatenate([first.boxes, second.boxes]),
        np.concatenate([first.scores, second.scores]),
        np.concatenate([first.landmarks, second.landmarks]),
    )
    return both[np.argsort(-both.scores, kind="stable")]
