"""Verification measured: pairs that a list names, and every probe against every template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.recognition.calibration import Calibration
from tools.recognition.bootstrap import People, Values, estimate, estimates
from tools.recognition.comparisons import Comparisons, Ints, Side, all_against_all, listed
from tools.recognition.failures import failures
from tools.recognition.groups import group_rates, warnings
from tools.recognition.lists import PairList
from tools.recognition.metrics import Roc, accuracy, decisions, folds_of
from tools.recognition.probabilities import cross_fitted, of_pairs
from tools.recognition.scoring import FUSED, Scorer
from tools.recognition.seeing import Sights

FEWEST_PAIRS = 30
"""Pairs of one person, and of two, below which a part of the list gets no figures of its own."""
CURVE = np.logspace(-6, 0, 121)
"""Rates of false matches at which curves are drawn."""


@dataclass(frozen=True, slots=True, eq=False)
class Condition:
    """Both sides of a list under one condition. template_of, probe_of: the files that the rows were made of.

    labels: by column, a text for each file of the list; empty where nothing is known.
    """

    pairs: PairList
    templates: Sights
    probes: Sights
    template_of: Ints
    probe_of: Ints
    labels: Mapping[str, Sequence[str]]


def verify(
    condition: Condition, calibration: Calibration | None, generator_sha256: str, people: People
) -> dict[str, Any]:
    """All figures of one condition. Raises ValueError when not one probe and one template could be made."""
    pairs = condition.pairs
    templates_made, probes_made = (
        np.flatnonzero(condition.templates.made),
        np.flatnonzero(condition.probes.made),
    )
    result: dict[str, Any] = {
        "enrolment": {"templates": failures(condition.templates), "probes": failures(condition.probes)}
    }
    if not len(templates_made) or not len(probes_made):
        raise ValueError("pictures: must show at least one face on either side, found none")
    templates, probes = condition.templates.rows(templates_made), condition.probes.rows(probes_made)
    template_of, probe_of = condition.template_of[templates_made], condition.probe_of[probes_made]
    scorer = Scorer(calibration, generator_sha256, probes, templates)
    result["kinds"] = list(scorer.kinds)

    row_of = np.full((2, len(pairs.files)), -1)
    row_of[0, template_of], row_of[1, probe_of] = np.arange(len(template_of)), np.arange(len(probe_of))
    first, second = row_of[0, pairs.first], row_of[1, pairs.second]
    made = (first >= 0) & (second >= 0)
    scores = {k: _spread(v, made) for k, v in scorer.pairs(second[made], first[made]).items()}
    log_lr = scorer.log_lr(second[made], first[made])
    said = None if log_lr is None else _spread(log_lr, made)
    everything = np.ones(len(pairs.same), bool)
    result["pairs"] = of_list(pairs, everything, scores, said, people)
    result["parts"] = {}
    for column, label in _pair_labels(condition).items():
        for value in sorted(set(label) - {""}):
            part = np.array([one == value for one in label])
            if (
                min(int((part & pairs.same & made).sum()), int((part & ~pairs.same & made).sum()))
                >= FEWEST_PAIRS
            ):
                result["parts"][f"{column} {value}"] = of_list(pairs, part, scores, said, people)

    probe_person, template_person = pairs.person[probe_of], pairs.person[template_of]
    if pairs.named:
        sides = Side(probe_of, probe_person), Side(template_of, template_person)
        compared = all_against_all(*sides, scorer.block)
        possible = len(condition.probe_of) * len(condition.template_of)
        lost = 1 - len(probes_made) * len(templates_made) / possible
        genuine = _genuine(pairs, condition.probe_of, condition.template_of)
        genuine_lost = 1 - _genuine(pairs, probe_of, template_of) / max(genuine, 1)
    else:
        compared = {
            k: listed(v[made], pairs.same[made], second[made], first[made]) for k, v in scores.items()
        }
        lost = 1 - float(made.mean())
        genuine_lost = 1 - float(made[pairs.same].mean()) if pairs.same.any() else 0.0
    result["all_against_all"] = pairs.named
    result["compared"] = of_comparisons(compared, probe_person, template_person, people)
    result["compared"] |= {"lost_to_failures": lost, "genuine_lost": genuine_lost}
    for row in result["compared"]["kinds"].values():
        row["counting_failures"] = {
            name: row[name].value * (1 - genuine_lost) for name in row if name.startswith("tar@")
        }
    result["groups"], result["warnings"] = _groups(
        condition, compared, probe_of, template_of, probe_person, template_person, people
    )
    return result


def _genuine(pairs: PairList, probe_of: Ints, template_of: Ints) -> int:
    """Comparisons of different photographs of one person."""
    size = int(pairs.person.max()) + 1
    probes, templates = (
        np.bincount(pairs.person[files], minlength=size) for files in (probe_of, template_of)
    )
    return int(probes @ templates) - len(np.intersect1d(probe_of, template_of))


def of_list(
    pairs: PairList,
    part: NDArray[np.bool_],
    scores: Mapping[str, NDArray[np.floating]],
    log_lr: NDArray[np.float64] | None,
    people: People,
) -> dict[str, Any]:
    """Accuracy and calibration of a part of the pairs, by kind. Scores are NaN where a picture has no face."""
    same, a, b = pairs.same[part], pairs.person[pairs.first[part]], pairs.person[pairs.second[part]]
    folds = folds_of(a, b, pairs.fold[part] if pairs.fold is not None else None)
    made = np.isfinite(next(iter(scores.values()))[part])
    result: dict[str, Any] = {
        "genuine": int(same.sum()),
        "impostor": int((~same).sum()),
        "not_compared": int((~made).sum()),
        "kinds": {},
    }
    drawn = {}
    for kind, all_scores in scores.items():
        score = np.asarray(all_scores[part], np.float64)
        right = decisions(score, same, folds)
        value, drawn[kind] = people.again(partial(accuracy, right, same, a, b))
        by_fold = [float(right[test].mean()) for _, test in folds]
        own = kind == FUSED and log_lr is not None
        ratios = (
            log_lr[part]
            if own and log_lr is not None
            else cross_fitted(score, same & made, _made(folds, made))
        )
        known = made & np.isfinite(ratios)
        held = of_pairs(ratios[known], same[known], a[known], b[known], people)
        roc = Roc(listed(score, same, np.arange(len(a)), np.arange(len(a))), b, a)
        result["kinds"][kind] = {
            "accuracy": estimate(value[0], drawn[kind][:, 0]),
            "accuracy_deviation_of_folds": float(np.std(by_fold, ddof=1)) if len(by_fold) > 1 else 0.0,
            **_rates(roc, people)[0],
            "probabilities_by": "the product" if own else "a logistic model fitted on the other folds",
            "calibration": held,
        }
    if FUSED in scores:
        result["fused_minus"] = {
            kind: estimate(
                result["kinds"][FUSED]["accuracy"].value - result["kinds"][kind]["accuracy"].value,
                drawn[FUSED][:, 0] - drawn[kind][:, 0],
            )
            for kind in scores
            if kind != FUSED
        }
    return result


def of_comparisons(
    compared: Mapping[str, Comparisons], probe_person: Ints, template_person: Ints, people: People
) -> dict[str, Any]:
    """EER and TAR by kind with the curve of each, and what the fusion gains on each."""
    some = next(iter(compared.values()))
    result: dict[str, Any] = {"genuine": some.genuine, "impostor": some.impostor, "kinds": {}}
    drawn: dict[str, tuple[Values, Values]] = {}
    names: tuple[str, ...] = ()
    for kind, comparisons in compared.items():
        roc = Roc(comparisons, probe_person, template_person)
        figures, drawn[kind], names = *_rates(roc, people), _names(roc)
        result["kinds"][kind] = figures | {"curve": roc.curve(CURVE), "false_match_rates": CURVE}
    if FUSED in compared:
        result["fused_minus"] = {
            kind: estimates(names, drawn[FUSED][0] - drawn[kind][0], drawn[FUSED][1] - drawn[kind][1])
            for kind in compared
            if kind != FUSED
        }
    return result


def _rates(roc: Roc, people: People) -> tuple[dict[str, Any], tuple[Values, Values]]:
    value, again = people.again(roc.figures)
    return {
        **estimates(_names(roc), value, again),
        "thresholds": {f"{rate:g}": roc.threshold(rate) for rate in roc.rates},
    }, (value, again)


def _names(roc: Roc) -> tuple[str, ...]:
    return ("eer", *(f"tar@{rate:g}" for rate in roc.rates))


def _groups(
    condition: Condition,
    compared: Mapping[str, Comparisons],
    probe_of: Ints,
    template_of: Ints,
    probe_person: Ints,
    template_person: Ints,
    people: People,
) -> tuple[dict[str, Any], list[str]]:
    """By column, kind and rate of false matches, what each group meets at the common threshold; and what to say."""
    result: dict[str, Any] = {}
    said: list[str] = []
    for column, label in condition.labels.items():
        here, there = [label[i] for i in probe_of], [label[i] for i in template_of]
        for kind, comparisons in compared.items():
            roc = Roc(comparisons, probe_person, template_person)
            for rate in roc.rates:
                if rate > comparisons.exact_to:
                    continue
                rates = group_rates(
                    comparisons,
                    roc.threshold(rate),
                    probe_person,
                    template_person,
                    here,
                    there,
                    people,
                    condition.pairs.named,
                )
                result.setdefault(column, {}).setdefault(kind, {})[f"{rate:g}"] = rates
                if kind == FUSED or FUSED not in compared:
                    said += [f"{kind}: {text}" for text in warnings(column, rates, rate, rate)]
    return result, said


def _pair_labels(condition: Condition) -> dict[str, Sequence[str]]:
    """By column, a text for each pair: of the list itself, of pictures that agree, and whether a mask was seen."""
    pairs, result = condition.pairs, dict[str, Sequence[str]](condition.pairs.labels)
    for column, label in condition.labels.items():
        sides = zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)
        result[column] = tuple(label[i] if label[i] == label[j] else "" for i, j in sides)
    seen = np.full(len(pairs.files), "", dtype=object)
    made = condition.probes.made
    seen[condition.probe_of[made]] = np.where(condition.probes.masked[made], "masked", "unmasked")
    if len(set(seen[condition.probe_of[made]])) > 1:
        result["second seen as"] = tuple(seen[pairs.second])
    return result


def _made(
    folds: list[tuple[NDArray[np.bool_], NDArray[np.bool_]]], made: NDArray[np.bool_]
) -> list[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    return [(training & made, test & made) for training, test in folds]


def _spread(values: NDArray[np.floating], made: NDArray[np.bool_]) -> NDArray[np.float64]:
    result = np.full(len(made), np.nan)
    result[made] = values
    return result
