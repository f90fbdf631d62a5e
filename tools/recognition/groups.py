"""The errors that each group of people meets at the threshold that holds for all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tools.recognition.bootstrap import Estimate, People, Values, Weights, estimate
from tools.recognition.comparisons import Comparisons, Ints

FEWEST_PEOPLE = 20
"""A group of fewer people is left out."""
WARN_ABOVE = 2.0
"""A rate of false matches above so many times the average is said in the report."""


@dataclass(frozen=True, slots=True)
class GroupRates:
    """One group at one threshold. people: in it. tar: of comparisons of one person. fmr: of its probes with everybody
    else. fmr_within: of two people of the group. None where there is nothing to compare.
    """

    people: int
    tar: Estimate | None
    fmr: Estimate | None
    fmr_within: Estimate | None


def group_rates(
    comparisons: Comparisons,
    threshold: float,
    probe_person: Ints,
    template_person: Ints,
    probe_label: Sequence[str],
    template_label: Sequence[str],
    people: People,
    complete: bool,
) -> dict[str, GroupRates]:
    """The rates of each label, when scores above the threshold are taken for one person.

    complete: the comparisons are of every probe with every template; then the rates are exact where the threshold's
    rate of false matches is at most comparisons.exact_to.
    """
    of_probe, of_template = np.array(probe_label), np.array(template_label)
    c = comparisons
    accepted = c.score > threshold
    result = {}
    for label in sorted(set(probe_label) - {""}):
        count = len(np.unique(probe_person[of_probe == label]))
        if count < FEWEST_PEOPLE:
            continue
        mine, theirs = of_probe == label, of_template == label
        genuine = c.same & mine[c.probe]
        owner, hit = probe_person[c.probe[genuine]], accepted[genuine]

        def tar(weights: Weights, owner: Ints = owner, hit: NDArray[np.bool_] = hit) -> Values:
            total = weights[owner].sum()
            return np.array([weights[owner[hit]].sum() / total if total else np.nan])

        two = ~c.same & mine[c.probe]
        within = two & theirs[c.template]
        everybody = np.ones_like(theirs)
        false = [
            _Pairs(c, probe_person, template_person, which, accepted, (mine, templates) if complete else None)
            for which, templates in ((two, everybody), (within, theirs))
        ]
        result[label] = GroupRates(
            count,
            _estimated(tar, people) if genuine.any() else None,
            *(_estimated(pairs.rate, people) if pairs.any else None for pairs in false),
        )
    return result


def warnings(column: str, rates: dict[str, GroupRates], average: float, rate: float) -> list[str]:
    """A sentence for each group with far more false matches than the average."""
    said = []
    for label, group in rates.items():
        for found, whom in ((group.fmr, "with everybody else"), (group.fmr_within, "among themselves")):
            if found and found.value > WARN_ABOVE * average:
                said.append(
                    f"{column} {label}: false matches {whom} {found.value / average:.1f} times the average at the "
                    f"threshold for FMR {rate:g} ({found})"
                )
    return said


class _Pairs:
    """Comparisons of two people, some of which are taken for one. whole: the probes and templates, bool, of which they
    are all pairs, so that those that were not kept can be counted too.
    """

    def __init__(
        self,
        c: Comparisons,
        probe_person: Ints,
        template_person: Ints,
        which: NDArray[np.bool_],
        accepted: NDArray[np.bool_],
        whole: tuple[NDArray[np.bool_], NDArray[np.bool_]] | None,
    ) -> None:
        kept = which & accepted if whole else which
        self._a, self._b = probe_person[c.probe[kept]], template_person[c.template[kept]]
        self._times, self._accepted = c.times[kept], accepted[kept]
        self._counts: tuple[Ints, Ints] | None = None
        self.any = bool(kept.any())
        if whole:
            size = int(max(probe_person.max(), template_person.max())) + 1
            probes = np.bincount(probe_person[whole[0]], minlength=size)
            templates = np.bincount(template_person[whole[1]], minlength=size)
            self._counts = probes, templates
            self.any = bool(probes.sum() * templates.sum() > (probes * templates).sum())

    def rate(self, weights: Weights) -> Values:
        """[1]: the share of them that is taken for one person."""
        weight = self._times * weights[self._a] * weights[self._b]
        if self._counts:
            probes, templates = self._counts
            w = weights[: len(probes)]
            total = (w @ probes) * (w @ templates) - (w**2) @ (probes * templates)
        else:
            total = weight.sum()
        return np.array([weight[self._accepted].sum() / total if total > 0 else np.nan])


def _estimated(figures: Callable[[Weights], Values], people: People) -> Estimate:
    value, again = people.again(figures)
    return estimate(value[0], again[:, 0])
