"""From similarity to strength of evidence: how many times more likely it is for the same person than for another.

One model for each condition (clean or masked) and set of evidence, fitted on people that no network here was trained
on (tools/calibrate.py), gives the natural logarithm of a likelihood ratio. It is straight below the point where
the evidence speaks for neither side and may bend upwards above it: likeness of two people falls off like a
normal distribution, whose logarithm is a parabola. It is kept between an empirical lower and upper bound, since no
number of comparisons supports a claim beyond about their count (Vergeer et al., "Numerical likelihood ratios
outputted by LR systems are often based on extrapolation: when to stop extrapolating?", 2016).

The same file says how alike two people may be: the upper tail of their score follows a normal distribution, from which
comes the score that a stranger reaches only as often as is wanted, however many are enrolled.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engines.models import WEIGHTS
from engines.recognition.centring import Centres

PATH = WEIGHTS / "calibration.json"
CLEAN, MASKED, COMPLETED = "clean", "masked", "masked+unmasked"
PLAIN, PLAIN_MASKED = "plain", "plain masked"
MODELS: Final[Mapping[str, tuple[str, ...]]] = {
    CLEAN: ("raw",),
    MASKED: ("raw", "upper", "robust", "rendered"),
    COMPLETED: ("raw", "upper", "robust", "rendered", "unmasked"),
    PLAIN: ("raw",),
    PLAIN_MASKED: ("raw",),
}
"""Each model's terms: of the face as seen, and with what the generator completed. Their cosines are of centred vectors,
those of the last two of embeddings as they are, where nothing else is known of two faces, one of them masked or not.
"""


class CalibrationError(RuntimeError):
    """The calibration cannot be used; the text names the file, the field and the rule."""


@dataclass(frozen=True, slots=True)
class Strength:
    """log LR = steepness * t + bend * max(t, 0)^2, kept between lower <= 0 and upper >= 0 (natural logarithms),
    where t = score - crossing and score = sum of share * cosine.

    shares: of each term, adding up to 1. crossing: the score that speaks for neither side. strangers: mean and
    standard deviation of the normal distribution that the upper tail of two people's score follows.
    """

    shares: tuple[float, ...]
    crossing: float
    steepness: float
    bend: float
    lower: float
    upper: float
    strangers: tuple[float, float]

    def __call__(self, score: NDArray[np.floating]) -> NDArray[np.float64]:
        """float64 [...] for scores [...]."""
        t = np.asarray(score, np.float64) - self.crossing
        return np.clip(self.steepness * t + self.bend * np.maximum(t, 0) ** 2, self.lower, self.upper)

    @property
    def floor(self) -> float:
        """The score at and below which log LR is `lower`."""
        return self.crossing + self.lower / self.steepness

    def reached_by_strangers(self, rate: float) -> float:
        """The score that a comparison of two people reaches with this probability, 0 < rate < 1/2."""
        mean, deviation = self.strangers
        return NormalDist(mean, deviation).inv_cdf(1 - rate)


@dataclass(frozen=True, slots=True)
class Calibration:
    """The models, and the networks that they were fitted for.

    space, views_space: of the embeddings (evidence.EvidenceMaker). centres: of the vectors that the models compare.
    generator_sha256: of the unmasking network's file, empty when "masked+unmasked" was not fitted. sha256: of this
    file.
    """

    space: str
    views_space: str
    generator_sha256: str
    models: Mapping[str, Strength]
    centres: Centres
    sha256: str = ""

    def cosine(self, likeness: float) -> float:
        """The cosine of two faces without masks that are so alike, in the measure of their embedder: 0 are two
        strangers on average, 1 is where the cosine speaks for neither side. Limits that are given so hold for every
        embedder.
        """
        plain = self.models[PLAIN]
        return plain.strangers[0] + likeness * (plain.crossing - plain.strangers[0])

    @classmethod
    def load(cls, path: Path = PATH) -> Calibration:
        """Read and check a file. Raises CalibrationError."""
        try:
            data = path.read_bytes()
            values = json.loads(data)
        except (OSError, ValueError) as error:
            raise CalibrationError(f"{path}: cannot be read: {error}") from None
        try:
            models = {name: _strength(name, entry) for name, entry in values["models"].items()}
            spaces = values["space"], values["views_space"], values["generator_sha256"]
            centres = Centres.parse(values["centres"])
        except (KeyError, TypeError, AttributeError) as error:
            raise CalibrationError(f"{path}: is not a calibration: {error}") from None
        except ValueError as error:
            raise CalibrationError(f"{path}: {error}") from None
        if not all(isinstance(space, str) for space in spaces):
            raise CalibrationError(f"{path}: space, views_space and generator_sha256 must be text")
        for needed in (CLEAN, MASKED, PLAIN, PLAIN_MASKED):
            if needed not in models:
                raise CalibrationError(f"{path}: models.{needed}: must be there")
        return cls(*spaces, models, centres, hashlib.sha256(data).hexdigest())


def _strength(name: str, entry: Any) -> Strength:
    if name not in MODELS:
        raise ValueError(f"models.{name}: must be one of {', '.join(MODELS)}")
    shares = tuple(float(entry["shares"][term]) for term in MODELS[name])
    strangers = float(entry["strangers"]["mean"]), float(entry["strangers"]["deviation"])
    values = [float(entry[key]) for key in ("crossing", "steepness", "bend", "lower", "upper")]
    if not all(math.isfinite(v) for v in (*shares, *values, *strangers)):
        raise ValueError(f"models.{name}: all numbers must be finite")
    if min(shares) < 0 or abs(sum(shares) - 1) > 1e-3:
        raise ValueError(f"models.{name}.shares: must not be negative and add up to 1, found {shares}")
    crossing, steepness, bend, lower, upper = values
    if steepness <= 0 or bend < 0:
        raise ValueError(
            f"models.{name}: steepness must be above 0 and bend not below, found {steepness}, {bend}"
        )
    if abs(crossing) > 1:
        raise ValueError(
            f"models.{name}.crossing: must lie between -1 and 1, as cosines do, found {crossing}"
        )
    if not lower <= 0 <= upper:
        raise ValueError(
            f"models.{name}: lower must be at most 0 and upper at least 0, found {lower}, {upper}"
        )
    if strangers[1] <= 0:
        raise ValueError(f"models.{name}.strangers.deviation: must be above 0, found {strangers[1]}")
    return Strength(shares, crossing, steepness, bend, lower, upper, strangers)
