"""What speaks for or against a face being somebody's: vectors of the face seen, and of a person's photograph.

A face seen without a mask gives one vector. One with a mask gives four, none of which is the truth: the embedder on
the face as it is ("raw"), on its upper half alone ("upper"), a copy of the embedder that was taught to see through
masks ("robust"), and the embedder on the reconstruction ("unmasked"). An embedder that has no such copy, no *masked
twin*, is its own twin: "robust" then is "raw". A photograph that is enrolled gives three *views*: the whole face, its
upper half, and the mean of the face with several masks drawn on it, as the twin sees them ("rendered").

A *term* compares one of the first with one of the second. engines.recognition.calibration says what each is worth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines.alignment import RECOGNITION_POINTS, RECOGNITION_SIZE
from engines.masks.synthesis import draw_mask
from engines.recognition.embedder import Embedder, unit, unmasked_crop

Vector = NDArray[np.float32]

RAW, UPPER, ROBUST, UNMASKED = "raw", "upper", "robust", "unmasked"
WHOLE, RENDERED = "whole", "rendered"
LOOKS: Final = (RAW, UPPER, ROBUST, UNMASKED)
VIEWS: Final = (WHOLE, UPPER, RENDERED)
TERMS: Final[Mapping[str, tuple[str, str]]] = {
    "raw": (RAW, WHOLE),
    "upper": (UPPER, UPPER),
    "robust": (ROBUST, WHOLE),
    "rendered": (ROBUST, RENDERED),
    "unmasked": (UNMASKED, WHOLE),
}
"""Name of a term: of which look, with which view."""

_COVERED = 64
"""Row of the recognition frame below which the upper face ends: between the eyes (52) and the tip of the nose (72),
where most masks begin."""
_GREY = 128  # what the embedder takes for nothing: its input is centred there
_MASKS = 4
_RECIPE = 1
"""Raise it when views are made in another way: galleries then make theirs anew."""


@dataclass(frozen=True, slots=True, eq=False)
class SeenFace:
    """A face in the recognition frame, uint8 RGB [112, 112, 3], and its reconstruction, laid into the same frame
    (embedder.laid), where there is one. masked: compared as a masked face.
    """

    crop: NDArray[np.uint8]
    masked: bool
    reconstruction: NDArray[np.uint8] | None = None


class EvidenceMaker:
    """Makes the vectors with an embedder and its masked twin."""

    def __init__(self, embedder: Embedder, twin: Embedder | None = None) -> None:
        """twin: None where the embedder has none and looks at masked faces itself."""
        self._embedder, self._twin = embedder, twin or embedder
        self.space = embedder.space
        self.views_space = f"{embedder.space} {self._twin.space} recipe {_RECIPE}"

    def looks(self, faces: Sequence[SeenFace]) -> list[dict[str, Vector]]:
        """For each face its vectors, unit float32 [D], by the names in LOOKS; "raw" alone without a mask.

        One batch for each of the two networks.
        """
        crops: list[NDArray[np.uint8]] = []
        kinds: list[list[str]] = []
        for face in faces:
            made = {RAW: face.crop}
            if face.masked:
                made[UPPER] = upper_half(face.crop)
                if face.reconstruction is not None:
                    made[UNMASKED] = unmasked_crop(face.crop, face.reconstruction)
            crops.extend(made.values())
            kinds.append(list(made))
        vectors = iter(self._embedder.embed(np.stack(crops))) if crops else iter(())
        found = [{kind: next(vectors) for kind in names} for names in kinds]
        masked = [i for i, face in enumerate(faces) if face.masked]
        if self._twin is self._embedder:
            for i in masked:
                found[i][ROBUST] = found[i][RAW]
        elif masked:
            seen = self._twin.embed(np.stack([faces[i].crop for i in masked]))
            for i, vector in zip(masked, seen, strict=True):
                found[i][ROBUST] = vector
        return found

    def views(self, crop: NDArray[np.uint8]) -> dict[str, Vector]:
        """The views of a photograph's face, uint8 RGB [112, 112, 3] without a mask: unit float32 [D] by the names in
        VIEWS. The same picture gives the same vectors.
        """
        whole, upper = self._embedder.embed(np.stack([crop, upper_half(crop)]))
        rng = np.random.default_rng(0)
        masked = [draw_mask(crop, RECOGNITION_POINTS, rng)[0] for _ in range(_MASKS)]
        return {WHOLE: whole, UPPER: upper, RENDERED: unit(self._twin.embed(np.stack(masked)).sum(0))}


def crops_of(masked: bool, reconstructed: bool) -> int:
    """How many crops an embedder and its masked twin are given for a face: what a look at it costs."""
    return 1 if not masked else 3 + reconstructed


def upper_half(crop: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A face in the recognition frame with all below the middle of the nose blanked out."""
    covered = crop.copy()
    covered[_COVERED:RECOGNITION_SIZE] = _GREY
    return covered


def cosines(
    looks: Mapping[str, Vector], views: Mapping[str, NDArray[np.float32]]
) -> dict[str, NDArray[np.float32]]:
    """By term, what can be compared: float32 [...] for views [..., D]."""
    return {
        term: views[view] @ looks[look]
        for term, (look, view) in TERMS.items()
        if look in looks and view in views
    }
