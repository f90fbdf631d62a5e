"""What a detector found against what is there, picture by picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.detection.single_shot import overlap
from engines.faces import Faces
from tools.detection.scenes import Scene

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Matched:
    """All pictures in one, faces too small to count left out.

    Of what was found, by falling score: scores float32 [K], right bool [K] (it is a face of the list), finder int [K]
    (the picture's number). Of the list's faces: seen bool [N], sides float32 [N], states [N], owner int [N].
    """

    scores: NDArray[np.float32]
    right: Flags
    finder: NDArray[np.intp]
    seen: Flags
    sides: NDArray[np.float32]
    states: NDArray[np.str_]
    owner: NDArray[np.intp]


def match(
    scenes: Sequence[Scene], found: Sequence[Faces], least_overlap: float, least_side: float
) -> Matched:
    """Each found face, the most certain first, takes the face of the list that it overlaps most and nobody has taken.

    least_overlap: intersection over union from which they are one. least_side: pixels; a smaller face of the list need
    not be found, and finding it, or something as small, is no mistake.
    """
    scores, right, seen, finder = [], [], [], []
    for number, (scene, faces) in enumerate(zip(scenes, found, strict=True)):
        counts = scene.sides >= least_side
        taker = _taken(overlap(faces.boxes[:, None], scene.boxes[None]), faces.scores, counts, least_overlap)
        small = (faces.boxes[:, 2:] - faces.boxes[:, :2]).max(1, initial=0) < least_side
        hit = taker >= 0
        told = np.where(hit, counts[taker], ~small)
        scores.append(faces.scores[told])
        right.append(hit[told])
        finder.append(np.full(int(told.sum()), number))
        reached = np.zeros(len(counts), bool)
        reached[taker[hit]] = True
        seen.append(reached[counts])
    order = np.argsort(-np.concatenate(scores), kind="stable")
    kept = [scene.sides >= least_side for scene in scenes]
    return Matched(
        np.concatenate(scores)[order],
        np.concatenate(right)[order],
        np.concatenate(finder)[order],
        np.concatenate(seen),
        np.concatenate([scene.sides[k] for scene, k in zip(scenes, kept, strict=True)]),
        np.concatenate([np.array(scene.states, np.str_)[k] for scene, k in zip(scenes, kept, strict=True)]),
        np.concatenate([np.full(int(k.sum()), number) for number, k in enumerate(kept)]),
    )


def _taken(
    shared: NDArray[np.float32], scores: NDArray[np.float32], counts: Flags, least: float
) -> NDArray[np.intp]:
    """For each found face [K] the number of the face that it takes, or -1; those that count are preferred."""
    taker = np.full(len(scores), -1, np.intp)
    free = np.ones(len(counts), bool)
    for k in np.argsort(-scores, kind="stable"):
        for wanted in (counts, ~counts):
            near = np.where(free & wanted, shared[k], 0)
            if near.max(initial=0) >= least:
                taker[k] = near.argmax()
                free[taker[k]] = False
                break
    return taker
