"""Recall, precision and average precision with their intervals, by mask state and size of the face."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tools.detection.matching import Flags, Matched
from tools.recognition.bootstrap import Estimate, People, Values, Weights, estimate

SIZES = ((0.0, 20.0), (20.0, 40.0), (40.0, 80.0), (80.0, np.inf))
"""Bands of the longer side of a face, pixels, the upper end not included."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one detector. recall: by group of faces, "all" first. against: what recall gains over the first detector, by
    the same groups. counts: how many faces each group has. curve: precision [R] at each recall of CURVE.
    """

    precision: Estimate
    average_precision: Estimate
    recall: dict[str, Estimate]
    against: dict[str, Estimate]
    counts: dict[str, int]
    curve: NDArray[np.float64]


CURVE = np.linspace(0, 1, 101)


def figures_of(matched: Mapping[str, Matched], pictures: People) -> dict[str, Figures]:
    """By detector. The intervals hold 95 % of draws of pictures; draws are the same for all detectors."""
    first = next(iter(matched.values()))
    groups = {name: which for name, which in _groups(first).items() if which.any()}
    drawn = {
        name: pictures.again(lambda w, m=found: _measured(m, groups, w))  # type: ignore[misc]
        for name, found in matched.items()
    }
    base, base_again = next(iter(drawn.values()))
    result = {}
    for name, (value, again) in drawn.items():
        recall = {
            group: estimate(float(value[2 + i]), again[:, 2 + i], int(which.sum()))
            for i, (group, which) in enumerate(groups.items())
        }
        against = {
            group: estimate(float(value[2 + i] - base[2 + i]), again[:, 2 + i] - base_again[:, 2 + i])
            for i, group in enumerate(groups)
        }
        result[name] = Figures(
            estimate(float(value[0]), again[:, 0]),
            estimate(float(value[1]), again[:, 1]),
            recall,
            against if name != next(iter(matched)) else {},
            {group: int(which.sum()) for group, which in groups.items()},
            _curve(matched[name]),
        )
    return result


def average_precision(right: Flags, weights: NDArray[np.float64], faces: float) -> float:
    """The area under precision over recall; nothing is added for recall that no score reaches.

    right: bool [K] by falling score. weights: how often each counts. faces: how many there are to find.
    """
    recall, precision = _precision_of(right, weights, faces)
    return float((np.diff(recall, prepend=0) * precision).sum())


def _precision_of(right: Flags, weights: NDArray[np.float64], faces: float) -> tuple[Values, Values]:
    """Recall [K] and the best precision [K] that is to be had from there on."""
    hits, told = np.cumsum(right * weights), np.cumsum(weights)
    precision = hits / np.maximum(told, 1e-9)
    return hits / max(faces, 1e-9), np.maximum.accumulate(precision[::-1])[::-1]


def _curve(found: Matched) -> NDArray[np.float64]:
    recall, precision = _precision_of(found.right, np.ones(len(found.right)), len(found.seen))
    place = np.searchsorted(recall, CURVE)
    return np.where(place < len(recall), np.append(precision, np.nan)[place], np.nan)


def _measured(found: Matched, groups: Mapping[str, Flags], drawn: Weights) -> Values:
    """Precision, average precision, then the recall of each group, with pictures weighted as they were drawn."""
    of_finds, of_faces = drawn[found.finder], drawn[found.owner]
    with np.errstate(invalid="ignore"):
        precision = (found.right * of_finds).sum() / of_finds.sum() if len(of_finds) else np.nan
        recalls = [(found.seen * of_faces)[which].sum() / of_faces[which].sum() for which in groups.values()]
    return np.array([precision, average_precision(found.right, of_finds, of_faces.sum()), *recalls])


def _groups(found: Matched) -> dict[str, Flags]:
    states = sorted(set(found.states.tolist()))
    bands = {_band(*band): (found.sides >= band[0]) & (found.sides < band[1]) for band in SIZES}
    groups: dict[str, Flags] = {"all": np.ones(len(found.seen), bool)}
    groups |= {state: np.asarray(found.states == state) for state in states}
    groups |= bands
    return groups | {f"{state}, {band}": groups[state] & bands[band] for state in states for band in bands}


def _band(low: float, high: float) -> str:
    return f"{low:.0f} px and more" if np.isinf(high) else f"{low:.0f} to {high:.0f} px"
