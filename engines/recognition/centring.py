"""What all faces of a condition have in common, taken off their embeddings before they are compared.

Embeddings of different people are not spread evenly around nothing: masks, blanked halves, small and dark pictures each
pull all of them one way, so that strangers seen under one condition are alike. Half of the mean under that condition is
subtracted, and the length brought back to one (after Garcia-Romero and Espy-Wilson, "Analysis of i-vector Length
Normalization in Speaker Recognition Systems", 2011, who subtract all of it). Half, because sharp photographs, which are
less like the mean, lose by more; on the people that the calibration is fitted on both were tried.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from engines.recognition.embedder import unit
from engines.recognition.evidence import RAW, VIEWS

_SHARE = np.float32(0.5)
_DECIMALS = 5


@dataclass(frozen=True, slots=True, eq=False)
class Centres:
    """Means of unit vectors, float32 [D] each: of looks without a mask and with one, by the names in evidence.LOOKS,
    and of views, by those in evidence.VIEWS.
    """

    clean: Mapping[str, NDArray[np.float32]]
    masked: Mapping[str, NDArray[np.float32]]
    views: Mapping[str, NDArray[np.float32]]

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Self:
        """From JSON's lists. Raises ValueError, KeyError, TypeError."""
        parts = {
            part: {name: np.asarray(mean, np.float32) for name, mean in values[part].items()}
            for part in ("clean", "masked", "views")
        }
        means = [mean for part in parts.values() for mean in part.values()]
        for part, needed in (("clean", (RAW,)), ("masked", (RAW,)), ("views", VIEWS)):
            if missing := set(needed) - parts[part].keys():
                raise ValueError(f"centres.{part}: must hold {', '.join(sorted(missing))}")
        if len({mean.shape for mean in means}) != 1 or means[0].ndim != 1:
            raise ValueError("centres: must be lists of one length")
        if not all(np.isfinite(mean).all() for mean in means):
            raise ValueError("centres: all numbers must be finite")
        return cls(**parts)

    def lists(self) -> dict[str, dict[str, list[float]]]:
        """For JSON."""
        parts = {"clean": self.clean, "masked": self.masked, "views": self.views}
        return {
            part: {name: [round(float(x), _DECIMALS) for x in mean] for name, mean in means.items()}
            for part, means in parts.items()
        }

    def looks(self, looks: Mapping[str, NDArray[np.float32]], masked: bool) -> dict[str, NDArray[np.float32]]:
        """Unit vectors float32 [..., D] by the names in evidence.LOOKS, without what is common to them."""
        means = self.masked if masked else self.clean
        return {name: _without(vectors, means.get(name, means[RAW])) for name, vectors in looks.items()}

    def of_views(self, views: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        """The same of views, by the names in evidence.VIEWS."""
        return {name: _without(vectors, self.views[name]) for name, vectors in views.items()}


def _without(vectors: NDArray[np.float32], mean: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows that hold nothing (zeros, nan) stay as they are."""
    if not vectors.size:
        return vectors
    holds = np.abs(vectors).sum(-1, keepdims=True) > 0
    return np.where(holds, unit(vectors - _SHARE * mean), vectors).astype(np.float32)
