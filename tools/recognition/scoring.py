"""How alike faces and enrolled pictures are: by every term of the evidence, and by the product's fusion of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from engines.recognition.calibration import CLEAN, COMPLETED, MASKED, MODELS, Calibration, Strength
from engines.recognition.centring import Centres
from engines.recognition.evidence import RAW, TERMS, UNMASKED
from tools.recognition.seeing import Sights

FUSED = "fused"
Rows = slice | NDArray[np.intp]
Scores = dict[str, NDArray[np.float32]]
_Dot = Callable[[str, str], NDArray[np.float32]]
"""The cosines of a look with a view."""


def terms_of(probes: Sights, templates: Sights) -> tuple[str, ...]:
    """The terms that at least half of the faces have; in the others the face as seen stands in."""
    made = probes.made

    def has(term: str) -> bool:
        look, view = TERMS[term]
        there = look in probes.has and view in templates.has
        return there and 2 * int(probes.has[look][made].sum()) >= int(made.sum())

    return tuple(term for term in TERMS if has(term))


class Scorer:
    """Scores of probes with templates. Every row of both must hold something (Sights.made).

    kinds: the terms and, with a calibration, the fusion. generator_sha256: of the network that reconstructs; what it
    made counts only when the calibration was fitted with it.
    """

    def __init__(
        self, calibration: Calibration | None, generator_sha256: str, probes: Sights, templates: Sights
    ) -> None:
        if calibration:
            probes, templates = _centred(calibration.centres, probes, templates)
        self._probes, self._templates = probes, templates
        self._terms = terms_of(probes, templates)
        self.kinds = (*self._terms, FUSED) if calibration else self._terms
        models = dict(calibration.models) if calibration else {}
        if calibration and generator_sha256 != calibration.generator_sha256:
            models.pop(COMPLETED, None)
        self._bounded = models
        self._free = {name: replace(model, lower=-np.inf, upper=np.inf) for name, model in models.items()}

    def block(self, rows: slice) -> Scores:
        """Of some probes with all templates, float32 [rows, T] by kind. The fusion is the log likelihood ratio without
        its bounds, which say how much may be claimed and not who is likelier.
        """

        @cache
        def dot(look: str, view: str) -> NDArray[np.float32]:
            return self._looks(look, rows) @ self._templates.vectors[view].T

        return self._scores(dot, rows)

    def pairs(self, probe: NDArray[np.intp], template: NDArray[np.intp]) -> Scores:
        """The same of pairs of rows, float32 [R] by kind."""
        return self._scores(self._of_pairs(probe, template), probe)

    def log_lr(self, probe: NDArray[np.intp], template: NDArray[np.intp]) -> NDArray[np.float64] | None:
        """The product's log likelihood ratios of pairs of rows, float64 [R]; None without a calibration."""
        return self._fused(self._bounded, self._of_pairs(probe, template), probe) if self._bounded else None

    def _scores(self, dot: _Dot, rows: Rows) -> Scores:
        raw = dot(*TERMS[RAW])
        found = {}
        for term in self._terms:
            values = raw if term == RAW else dot(*TERMS[term])
            found[term] = np.where(_beside(self._probes.has[TERMS[term][0]][rows], raw), values, raw)
        if self._free:
            found[FUSED] = self._fused(self._free, dot, rows).astype(np.float32)
        return found

    def _fused(self, models: Mapping[str, Strength], dot: _Dot, rows: Rows) -> NDArray[np.float64]:
        """By the matcher's rule: of the face as seen, and never more than that with the reconstruction."""

        def log_lr(name: str) -> NDArray[np.float64]:
            shares = zip(MODELS[name], models[name].shares, strict=True)
            score = sum(np.float32(share) * dot(*TERMS[term]) for term, share in shares if share)
            return models[name](np.asarray(score))

        clean, covered = log_lr(CLEAN), log_lr(MASKED)
        if COMPLETED in models and UNMASKED in self._probes.has:
            both = np.minimum(covered, log_lr(COMPLETED))
            covered = np.where(_beside(self._probes.has[UNMASKED][rows], both), both, covered)
        return np.where(_beside(self._probes.masked[rows], clean), covered, clean)

    def _of_pairs(self, probe: NDArray[np.intp], template: NDArray[np.intp]) -> _Dot:
        @cache
        def dot(look: str, view: str) -> NDArray[np.float32]:
            return np.asarray(
                (self._looks(look, probe) * self._templates.vectors[view][template]).sum(1), np.float32
            )

        return dot

    def _looks(self, look: str, rows: Rows) -> NDArray[np.float32]:
        """Vectors of a look, float32 [rows, D]; where it is missing, the face as seen stands in, as in the matcher."""
        raw = self._probes.vectors[RAW][rows]
        if look not in self._probes.vectors:
            return raw
        return np.where(self._probes.has[look][rows][:, None], self._probes.vectors[look][rows], raw)


def _centred(centres: Centres, probes: Sights, templates: Sights) -> tuple[Sights, Sights]:
    """Both as the product compares them."""
    clean, masked = (centres.looks(probes.vectors, masked) for masked in (False, True))
    looks = {name: np.where(probes.masked[:, None], masked[name], clean[name]) for name in probes.vectors}
    return replace(probes, vectors=looks), replace(templates, vectors=centres.of_views(templates.vectors))


def _beside(rows: NDArray[np.bool_], values: NDArray[np.generic]) -> NDArray[np.bool_]:
    """One truth a row, in a shape that goes with values [rows] or [rows, T]."""
    return rows.reshape(-1, *[1] * (values.ndim - 1))
