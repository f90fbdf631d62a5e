"""How often an attribute is told rightly: accuracy, precision, recall, confusion, and their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.attributes.gender import GENDERS
from tools.recognition.bootstrap import Estimate, People, Values, Weights, estimates

NAMES = (
    "accuracy",
    "balanced accuracy",
    *(f"{kind} {gender}" for gender in GENDERS for kind in ("precision", "recall")),
)
FEWEST = 30
"""A group of fewer faces is left out."""
PUBLISHED = (
    ("Inception v3", 0.78, 0.78, 0.81),
    ("VGG16", 0.61, 0.60, 0.87),
    ("ResNet50", 0.65, 0.60, 0.86),
    ("EfficientNet", 0.71, 0.78, 0.89),
    ("HyperFace", 0.92, 0.91, 0.91),
    ("HF-ResNet", 0.84, 0.86, 0.93),
    ("ResNet-152, the paper's", 0.97, 0.98, 0.99),
)
"""Network, recall, precision, accuracy as published for LFW. The paper does not say of which gender recall and
precision are, nor which pictures it left out."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one set. confusion: int [2][2], rows true and columns told, in the order of GENDERS. values: by NAMES."""

    faces: int
    confusion: tuple[tuple[int, ...], ...]
    values: dict[str, Estimate]


def confusion(truth: NDArray[np.intp], told: NDArray[np.intp], weights: Values | None = None) -> Values:
    """float64 [2, 2], rows true and columns told. weights: how often each face counts."""
    count = len(GENDERS)
    table: Values = np.bincount(truth * count + told, weights, count * count).astype(np.float64)
    return table.reshape(count, count)


def measured(table: Values) -> Values:
    """The figures of a confusion matrix in the order of NAMES; NaN where a class has no faces, or none was told."""
    right = np.diag(table)
    with np.errstate(invalid="ignore", divide="ignore"):
        recall, precision = right / table.sum(1), right / table.sum(0)
        both = [value for pair in zip(precision, recall, strict=True) for value in pair]
        return np.array([right.sum() / table.sum(), recall.mean(), *both])


def figures(
    truth: NDArray[np.intp], probabilities: NDArray[np.float32], person: NDArray[np.intp], draws: int
) -> Figures:
    """All figures of a set. truth: int [N], places in GENDERS. person: int [N], 0 upwards; intervals are of draws
    of people. Raises ValueError for an empty set.
    """
    if not len(truth):
        raise ValueError("faces: must be at least one, found none")
    told = probabilities.argmax(1)
    _, number = np.unique(person, return_inverse=True)

    def again(weights: Weights) -> Values:
        return measured(confusion(truth, told, weights[number]))

    value, drawn = People(int(number.max()) + 1, draws).again(again)
    table = confusion(truth, told).astype(int)
    return Figures(len(truth), tuple(map(tuple, table.tolist())), estimates(NAMES, value, drawn))


def by_group(
    truth: NDArray[np.intp],
    probabilities: NDArray[np.float32],
    person: NDArray[np.intp],
    labels: Sequence[str],
    draws: int,
) -> dict[str, Figures]:
    """The figures of each label that enough faces have."""
    label = np.array(labels)
    return {
        name: figures(truth[label == name], probabilities[label == name], person[label == name], draws)
        for name in sorted(set(labels) - {""})
        if int((label == name).sum()) >= FEWEST
    }


def calibration_error(truth: NDArray[np.intp], probabilities: NDArray[np.float32]) -> float:
    """Expected calibration error of the gender that is told, ten bins (Guo et al., 2017)."""
    sure, right = probabilities.max(1), probabilities.argmax(1) == truth
    bins = np.minimum((sure * 10).astype(int), 9)
    return float(
        sum(
            abs(right[bins == b].mean() - sure[bins == b].mean()) * (bins == b).mean()
            for b in np.unique(bins)
        )
    )
