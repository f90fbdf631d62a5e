"""How often pairs of photographs are told apart rightly by an embedder, detection and alignment being the product's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engines.alignment import RECOGNITION_SIZE, recognition_transform, warp
from engines.detection.mtcnn import MTCNN
from engines.masks.synthesis import draw_mask
from tools.learning.faces import read_picture
from tools.recognition.lists import PairList, read_pairs
from tools.recognition.metrics import decisions, folds_of

WHOLE, MASKED = "no mask", "second masked"
_AT_ONCE = 8


class Embedder(Protocol):
    """engines.recognition.embedder.SFace, on any engine."""

    def embed(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Unit vectors [N, D] for uint8 RGB crops [N, 112, 112, 3]."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Pairs of aligned faces. crops: uint8 [files, 112, 112, 3]; masked: the second of each pair with a mask drawn,
    uint8 [pairs, 112, 112, 3], or None. found: bool [files], whether there is a face; without one a pair counts as
    "another person", whatever the embedder.
    """

    listed: PairList
    crops: NDArray[np.uint8]
    found: NDArray[np.bool_]
    masked: NDArray[np.uint8] | None

    def __len__(self) -> int:
        return len(self.listed.same)

    @classmethod
    def read(
        cls,
        file: Path,
        root: Path,
        detector: MTCNN,
        masked: bool,
        progress: Callable[[float], None],
        seed: int = 1,
    ) -> Pairs:
        """The faces nearest the middle of the pictures in a list (tools.recognition.lists). Raises ValueError."""
        listed = read_pairs(file, root)
        side = RECOGNITION_SIZE
        crops = np.zeros((len(listed.files), side, side, 3), np.uint8)
        landmarks: list[NDArray[np.float32] | None] = []
        for number, name in enumerate(listed.files):
            progress(number / len(listed.files))
            picture = read_picture(root / name)
            points = _middle_face(detector, picture)
            landmarks.append(points)
            if points is not None:
                crops[number] = warp(picture, recognition_transform(points), side)
        found = np.array([points is not None for points in landmarks])
        covered = np.zeros((len(listed.same), side, side, 3), np.uint8) if masked else None
        for number, second in enumerate(listed.second if masked else ()):
            points = landmarks[second]
            if points is not None and covered is not None:
                picture = read_picture(root / listed.files[second])
                worn, _ = draw_mask(picture, points, np.random.default_rng((seed, number)))
                covered[number] = warp(worn, recognition_transform(points, masked=True), side)
        progress(1.0)
        return cls(listed, crops, found, covered)

    def right(self, embedder: Embedder) -> dict[str, float]:
        """The share of right decisions (ten folds, each threshold from the other nine) by condition, 0 to 1."""
        listed = self.listed
        made = _embedded(embedder, self.crops)
        seconds = {WHOLE: made[listed.second]}
        if self.masked is not None:
            seconds[MASKED] = _embedded(embedder, self.masked)
        both = self.found[listed.first] & self.found[listed.second]
        folds = folds_of(listed.person[listed.first], listed.person[listed.second], listed.fold)
        return {
            condition: float(
                decisions(
                    np.where(both, (made[listed.first] * second).sum(1), np.nan), listed.same, folds
                ).mean()
            )
            for condition, second in seconds.items()
        }


def _middle_face(detector: MTCNN, picture: NDArray[np.uint8]) -> NDArray[np.float32] | None:
    faces = detector.detect([picture])[0]
    if not len(faces):
        return None
    centres = (faces.boxes[:, :2] + faces.boxes[:, 2:]) / 2
    middle = np.array(picture.shape[1::-1]) / 2
    return faces.landmarks[int(np.hypot(*(centres - middle).T).argmin())]


def _embedded(embedder: Embedder, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    starts = range(0, len(crops), _AT_ONCE)
    return np.concatenate([embedder.embed(crops[start : start + _AT_ONCE]) for start in starts])
