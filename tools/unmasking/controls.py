"""What a generator has to beat: guesses that know nothing of the person, or nothing of faces."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.unmasking.cases import Case

_EYES = np.s_[34:56, 34:94]


def mask_left_on(case: Case) -> NDArray[np.uint8]:
    """The input."""
    return case.masked


def mean_face(case: Case, mean: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The mean face pasted under the true mask, its colour matched to the face's visible middle."""
    return _pasted(case, mean)


def other_person(cases: Sequence[Case], index: int) -> NDArray[np.uint8]:
    """The lower face of the next person of the set, its colour matched likewise: sharp, and of somebody else.

    Where people are known, photographs of the same person are passed over.
    """
    case = cases[index]
    others = (cases[(index + step) % len(cases)] for step in range(1, len(cases)))
    person = case.group.get("identity")
    another = next((other for other in others if not person or other.group.get("identity") != person), case)
    return _pasted(case, another.truth)


def inpainting(case: Case) -> NDArray[np.uint8]:
    """Telea's inpainting (2004) with the true mask given to it."""
    wide = cv2.dilate(case.mask.astype(np.uint8), np.ones((5, 5), np.uint8))
    return np.asarray(cv2.inpaint(case.masked, wide, 3, cv2.INPAINT_TELEA), np.uint8)


def _pasted(case: Case, face: NDArray[np.uint8]) -> NDArray[np.uint8]:
    free = ~case.mask[_EYES]
    if free.sum() < 50:
        free = np.ones_like(free)
    shift = case.masked[_EYES][free].mean(0) - face[_EYES][free].mean(0)
    painted = np.clip(face + shift, 0, 255).astype(np.uint8)
    return np.where(case.mask[..., None], painted, case.masked)
