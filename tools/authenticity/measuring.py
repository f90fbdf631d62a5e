"""Figures of telling painted from photographed, each with the interval that redrawn photographs give."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.masks.authenticity import CROP_SIZE
from engines.unmasking.generator import Run
from tools.authenticity.augment import Preparation, cut, treat
from tools.authenticity.compression import h264, jpeg
from tools.authenticity.examples import PHOTOGRAPHED, Example, Examples
from tools.recognition.bootstrap import Estimate, People, Values, Weights, estimates

NAMES = ("accuracy", "precision", "recall", "f1", "auc")
CONDITIONS: dict[str, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    "as it is": lambda view: view,
    "JPEG q70": lambda view: jpeg(view, 70),
    "H.264 crf 28": lambda view: h264(view, 28),
}
"""What is done to the picture around the face before its crop is cut."""
_AT_ONCE = 32

Truth = NDArray[np.bool_]
Scores = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Judge:
    """A network to be measured. size: pixels that it takes; preparations: as it was trained with."""

    name: str
    engine: Run
    size: int = CROP_SIZE
    preparations: tuple[Preparation, ...] = ()

    def scores(self, crops: NDArray[np.uint8]) -> Scores:
        """Probabilities [N] of crops uint8 [N, 112, 112, 3] that they are painted."""
        made = [treat(crop, self.preparations) for crop in crops]
        if self.size != CROP_SIZE:
            made = [cv2.resize(m, (self.size, self.size), interpolation=cv2.INTER_AREA) for m in made]
        batch = np.ascontiguousarray(np.stack(made).transpose(0, 3, 1, 2), np.float32)
        parts = [self.engine(batch[i : i + _AT_ONCE])[0][:, 0] for i in range(0, len(batch), _AT_ONCE)]
        return np.concatenate(parts)


def crops_under(examples: Examples, which: Sequence[int], condition: str) -> NDArray[np.uint8]:
    """Crops uint8 [N, 112, 112, 3] of some examples under one of CONDITIONS."""
    spoil = CONDITIONS[condition]
    return np.stack([cut(spoil(np.asarray(examples.pictures[i]))) for i in which])


def auc(scores: NDArray[np.floating], painted: Truth, weights: Values | None = None) -> float:
    """The chance that a painted example scores higher than a photographed one; equal scores count half.

    weights: of each example. NaN where one of the two classes is missing.
    """
    weight = np.ones(len(scores)) if weights is None else weights
    values, place = np.unique(scores, return_inverse=True)
    above, below = (np.bincount(place, weight * side, len(values)) for side in (painted, ~painted))
    if above.sum() <= 0 or below.sum() <= 0:
        return float("nan")
    lower = np.cumsum(below) - below / 2
    return float((above * lower).sum() / above.sum() / below.sum())


def figures(scores: Scores, painted: Truth, source: NDArray[np.intp], people: People) -> dict[str, Estimate]:
    """Accuracy, precision, recall and F1 at a probability of .5, and AUC, with intervals.

    Both classes count equally, however many examples each has. source: number of the photograph behind each example;
    `people` draws photographs anew, since what was made of one is not independent.
    """
    said = scores >= 0.5

    def once(drawn: Weights) -> Values:
        weight = drawn[source]
        positive, negative = weight[painted].sum(), weight[~painted].sum()
        if positive <= 0 or negative <= 0:
            return np.full(len(NAMES), np.nan)
        hit, false = weight[painted & said].sum() / positive, weight[~painted & said].sum() / negative
        precision = hit / (hit + false) if hit + false else np.nan
        f1 = 2 * hit / (hit + false + 1)
        return np.array([(hit + 1 - false) / 2, precision, hit, f1, auc(scores, painted, weight)])

    return estimates(NAMES, *people.again(once))


def by_part(scores: Scores, rows: Sequence[Example], draws: int) -> dict[str, dict[str, Estimate]]:
    """Figures of all examples, of each family against all photographs, and of masked faces alone.

    Of each collection the share of its photographs that were rightly taken for photographs.
    """
    painted = np.array([row.painted for row in rows])
    masked = np.array([row.masked for row in rows])
    names = {name: i for i, name in enumerate(sorted({f"{r.collection}/{r.source}" for r in rows}))}
    source = np.array([names[f"{row.collection}/{row.source}"] for row in rows])
    people = People(len(names), draws)
    chosen = {
        "all": np.ones(len(rows), bool),
        "masked faces alone": masked,
        "faces without masks alone": ~masked,
    }
    for family in sorted({row.family for row in rows} - {PHOTOGRAPHED}):
        chosen[family] = ~painted | np.array([row.family == family for row in rows])
    found = {}
    for name, which in chosen.items():
        if (which & painted).any() and (which & ~painted).any():
            found[name] = figures(scores[which], painted[which], source[which], people)
    for collection in sorted({row.collection for row in rows}):
        for worn in (False, True):
            which = ~painted & (masked == worn) & np.array([row.collection == collection for row in rows])
            if which.sum() >= 20:
                label = f"photographs of {collection}, {'masked' if worn else 'not masked'}"
                found[label] = _right(scores[which], source[which], people)
    return found


def _right(scores: Scores, source: NDArray[np.intp], people: People) -> dict[str, Estimate]:
    def once(drawn: Weights) -> Values:
        weight = drawn[source]
        return np.array([weight[scores < 0.5].sum() / weight.sum() if weight.sum() else np.nan])

    return estimates(("accuracy",), *people.again(once))


def roc(scores: Scores, painted: Truth, rates: Values) -> Values:
    """Share of painted ones found at shares of photographs falsely called painted."""
    limits = np.quantile(scores[~painted], 1 - np.clip(rates, 0, 1), method="higher")
    found = np.array([(scores[painted] > limit).mean() for limit in limits])
    return np.where(rates >= 1, 1.0, found)
