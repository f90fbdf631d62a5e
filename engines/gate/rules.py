"""What each network's outputs must share with the reference: measured where it matters to the product.

A plain distance between outputs says little. P-Net looks at thousands of windows of which a handful are faces, and an
embedder's length means nothing; so each rule measures what the next step of the pipeline reads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Measure(msgspec.Struct, frozen=True):
    """One figure and its limit. unit: as it is said behind the figure, such as " dB"."""

    name: str
    value: float
    limit: float
    at_least: bool
    unit: str = ""

    @property
    def passed(self) -> bool:
        """Whether the limit is kept; what is not a number keeps none."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def __str__(self) -> str:
        """The figure, and where it fails the limit."""
        figure = f"{self.name} {self.value:.{_DIGITS}g}{self.unit}"
        bound = "at least" if self.at_least else "at most"
        return figure if self.passed else f"{figure}, {bound} {self.limit:g}{self.unit} is needed"


Rule = Callable[[Array, Sequence[Array], Sequence[Array]], list[Measure]]
"""(inputs uint8 [N, C, H, W], the reference's outputs, the engine's) -> measures, each a condition."""

_DIGITS = 5  # so that a cosine of .99999 does not read 1
_MOST_DB = 120.0  # of equal pictures


def proposals(inputs: Array, wanted: Sequence[Array], found: Sequence[Array]) -> list[Measure]:
    """P-Net: outputs regression [N, 4, h, w] and probability [N, 1, h, w].

    Its windows only choose what R-Net looks at, and each face is found by many of them. So one in fifty may be
    gained or lost at the threshold, and the boxes of the others must lie on each other: 5 % of a window's side is what
    one pixel of the level is to a face of 20.
    """
    (offsets, probability), (offsets_found, probability_found) = wanted, found
    a, b = probability[:, 0] >= 0.6, probability_found[:, 0] >= 0.6
    near = np.abs(probability[:, 0] - 0.6) < 0.01  # either answer is right there
    gained_or_lost = float(((a != b) & ~near).sum()) / max(int(a.sum()), 1)
    shift = np.abs(offsets - offsets_found).max(1)[a]
    return [
        Measure("windows gained or lost", 100 * gained_or_lost, 2, False, " %"),
        Measure("boxes off by", 100 * _greatest(shift), 5, False, " %"),
    ]


def faces(inputs: Array, wanted: Sequence[Array], found: Sequence[Array]) -> list[Measure]:
    """R-Net and O-Net: outputs regression [N, 4], O-Net's landmarks [N, 10], and last probability [N, 1].

    The probability decides, so it must be the same within .02 everywhere. Boxes and landmarks are read of faces only,
    and those of O-Net are what all later crops are cut by: 2 % of the box's side is half a pixel between the eyes of a
    small face. R-Net's boxes are only where O-Net looks.
    """
    face = wanted[-1][:, 0] >= 0.5
    measures = [Measure("probability off by", _greatest(np.abs(wanted[-1] - found[-1])), 0.02, False)]
    limits = (("boxes", 2 if len(wanted) == 3 else 5), ("landmarks", 2))
    for (name, limit), a, b in zip(limits, wanted[:-1], found[:-1], strict=False):
        measures.append(Measure(f"{name} off by", 100 * _greatest(np.abs(a - b)[face]), limit, False, " %"))
    return measures


def embedding(inputs: Array, wanted: Sequence[Array], found: Sequence[Array]) -> list[Measure]:
    """Embedders: one output [N, D], of which only the direction counts.

    The cosine of one face with itself in two engines; .999 moves no pair's similarity by more than .045, and mostly by
    a hundredth of that.
    """
    a, b = (np.asarray(x[0], np.float64) for x in (wanted, found))
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosines = np.divide((a * b).sum(1), lengths, out=np.zeros(len(a)), where=lengths > 0)
    return [Measure("least cosine", float(cosines.min()), 0.999, True)]


def reconstruction(inputs: Array, wanted: Sequence[Array], found: Sequence[Array]) -> list[Measure]:
    """The generator: outputs composite [N, 3, H, W] in 0..255 and mask [N, 1, H, W].

    45 dB is a difference that nobody sees in a picture. Where nothing was painted the picture must be the camera's own
    to the last bit of its eight, or a person without a mask would be shown retouched.
    """
    difference = np.asarray(wanted[0], np.float64) - np.clip(found[0], 0, 255)
    error = float((difference**2).mean())
    psnr = min(_MOST_DB, 10 * np.log10(255**2 / error)) if error > 0 else _MOST_DB
    untouched = np.broadcast_to((wanted[1] == 0) & (found[1] == 0), inputs.shape)
    changed = int((np.rint(found[0]) != inputs)[untouched].sum())
    masks = (wanted[1] > 0.5) != (found[1] > 0.5)
    return [
        Measure("PSNR", float(psnr), 45.0, True, " dB"),
        Measure("pixels changed outside the mask", changed, 0, False),
        Measure("mask differs in", 100 * float(masks.mean()), 0.5, False, " %"),
    ]


def classes(inputs: Array, wanted: Sequence[Array], found: Sequence[Array]) -> list[Measure]:
    """Classifiers: one output [N, K] of calibrated probabilities. The same class, and what is shown the same to 2 %."""
    differing = int((wanted[0].argmax(1) != found[0].argmax(1)).sum())
    return [
        Measure("other classes", differing, 0, False),
        Measure("probability off by", _greatest(np.abs(wanted[0] - found[0])), 0.02, False),
    ]


def painted(inputs: Array, wanted: Sequence[Array], found: Sequence[Array]) -> list[Measure]:
    """Authenticity: one output [N, 1], a calibrated probability that people are shown."""
    return [Measure("probability off by", _greatest(np.abs(wanted[0] - found[0])), 0.02, False)]


def landmarks(inputs: Array, wanted: Sequence[Array], found: Sequence[Array]) -> list[Measure]:
    """Landmarks: one output [N, 10], pixels of a crop where the eyes of a mean face are 26 apart. Half a pixel is what
    two looks at the same face differ by anyway.
    """
    return [Measure("landmarks off by", _greatest(np.abs(wanted[0] - found[0])), 0.5, False, " px")]


def outputs(inputs: Array, wanted: Sequence[Array], found: Sequence[Array]) -> list[Measure]:
    """Any other network: each output the same to 1 % of the range that it has."""
    off = [_greatest(np.abs(a - b)) / max(float(np.ptp(a)), 1e-6) for a, b in zip(wanted, found, strict=True)]
    return [Measure("outputs off by", 100 * max(off), 1, False, " %")]


RULES: dict[str, Rule] = {
    "pnet": proposals,
    "rnet": faces,
    "onet": faces,
    "sface": embedding,
    "sface-masked": embedding,
    "facenet": embedding,
    "unmask": reconstruction,
    "landmarks": landmarks,
    "maskstate": classes,
    "authenticity": painted,
    "gender": classes,
}
"""By the network's name; one that is not here is held to `outputs`."""


def compare(network: str, inputs: Array, wanted: Sequence[Array], found: Sequence[Array]) -> list[Measure]:
    """How far an engine is from the reference. Outputs of another form, or not finite, are far whatever they hold."""
    forms = [[list(output.shape) for output in side] for side in (wanted, found)]
    if forms[0] != forms[1]:
        return [Measure("outputs of another shape", 1, 0, False)]
    strange = sum(int((~np.isfinite(output)).sum()) for output in found)
    if strange:
        return [Measure("values that are no numbers", strange, 0, False)]
    return RULES.get(network, outputs)(inputs, wanted, found)


def _greatest(values: Array) -> float:
    return float(values.max(initial=0.0))
