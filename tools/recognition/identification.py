"""Figures of identification: who is found, who is not, and which strangers are taken for somebody.

Terms of ISO/IEC 19795-1: FPIR, the share of searches for people not enrolled that give a candidate; FNIR, the share of
searches for people enrolled that do not give that person as the first candidate above the threshold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tools.recognition.bootstrap import Estimate, People, Values, Weights, estimate, estimates
from tools.recognition.comparisons import Ints
from tools.recognition.failures import failures
from tools.recognition.groups import FEWEST_PEOPLE
from tools.recognition.lists import SearchList
from tools.recognition.metrics import ROUNDING
from tools.recognition.probabilities import of_claims
from tools.recognition.scoring import FUSED
from tools.recognition.searches import Named, Product, Ranked, Sides, joined_names, joined_ranks, name, rank
from tools.recognition.seeing import Sights

RATES = (1e-1, 1e-2, 1e-3)
RANKS = (1, 5)
ENOUGH = 10
"""A rate of false alarms is measured only where so many are expected."""
FEWEST_SEARCHES = 30
CURVE = np.logspace(-4, 0, 81)


def ranked_figures(ranked: Ranked, mated: NDArray[np.bool_], person: Ints, people: People) -> dict[str, Any]:
    """Rank 1 and 5, and FNIR at those rates of false alarms for which there are enough searches; with the curves.

    A picture of which nothing could be made is a miss for somebody enrolled and no alarm for anybody else.
    """
    rates = tuple(rate for rate in RATES if rate * int((~mated).sum()) >= ENOUGH)
    strangers = np.flatnonzero(~mated)
    strangers = strangers[np.argsort(-ranked.top[strangers])]
    first = mated & (ranked.rank == 1)
    known = np.flatnonzero(mated)

    def threshold(rate: float, weights: Weights) -> float:
        alarms = np.concatenate([[0.0], np.cumsum(weights[person[strangers]])])
        most = int(np.searchsorted(alarms, rate * alarms[-1] * (1 + ROUNDING), side="right")) - 1
        return float(ranked.top[strangers[most]]) if most < len(strangers) else -np.inf

    def missed(rate: float, weights: Weights) -> float:
        found = first & (ranked.mate > threshold(rate, weights))
        weight = weights[person[known]]
        return float(1 - weight[found[known]].sum() / weight.sum()) if weight.any() else np.nan

    def figures(weights: Weights) -> Values:
        weight = weights[person[known]]
        total = weight.sum()
        by_rank = [weight[ranked.rank[known] <= k].sum() / total if total else np.nan for k in RANKS]
        return np.array([*by_rank, *(missed(rate, weights) for rate in rates)])

    names = (*(f"rank-{k}" for k in RANKS), *(f"fnir@{rate:g}" for rate in rates))
    everybody = np.ones(people.count)
    result: dict[str, Any] = {}
    if len(known):
        result |= estimates(names, *people.again(figures))
        result["hits_by_rank"] = [float((ranked.rank[known] <= k).mean()) for k in range(1, 21)]
        if len(strangers):
            enough = [rate >= 1 / len(strangers) for rate in CURVE]
            result["curve"] = {
                "fpir": CURVE,
                "fnir": np.array(
                    [missed(r, everybody) if e else np.nan for r, e in zip(CURVE, enough, strict=True)]
                ),
            }
    result["thresholds"] = {f"{rate:g}": threshold(rate, everybody) for rate in rates}
    return result


def named_figures(
    asked: float, named: Named, mated: NDArray[np.bool_], person: Ints, prior: float, people: People
) -> dict[str, Any]:
    """What the product's own decisions on single looks are worth, when it is asked for a rate of false alarms.

    false_alarms: strangers more alike to somebody than that rate allows; met: whether their share is that rate, or
    less, within its interval. strangers_named: by the whole rule. named_right, named_wrong: of those enrolled.
    wrong_of_named: at the prior.
    """

    def share(what: NDArray[np.bool_], among: NDArray[np.bool_]) -> Estimate | None:
        def figures(weights: Weights) -> Values:
            total = weights[person[among]].sum()
            return np.array([weights[person[among & what]].sum() / total if total else np.nan])

        value, again = people.again(figures)
        return estimate(value[0], again[:, 0], len(np.unique(person[among]))) if among.any() else None

    worth = np.zeros(len(person))
    if mated.any():
        worth[mated] = (prior if (~mated).any() else 1) / mated.sum()
    if (~mated).any():
        worth[~mated] = (1 - prior if mated.any() else 1) / (~mated).sum()
    right = named.right & mated
    wrong, total = float(worth[named.named & ~right].sum()), float(worth[named.named].sum())
    alarms = share(named.score_reached, ~mated)
    return {
        "false_alarms": alarms,
        "met": bool(alarms.low <= asked) if alarms else None,
        "strangers_named": share(named.named, ~mated),
        "named_right": share(named.named & right, mated),
        "named_wrong": share(named.named & ~right, mated),
        "wrong_of_named": wrong / total if total else None,
        "calibration": of_claims(named.probability, right, worth, person, people),
    }


def _figures(
    ranked: Mapping[str, Ranked],
    named: Mapping[str, Named],
    mated: NDArray[np.bool_],
    person: Ints,
    part: NDArray[np.bool_],
    prior: float,
    people: People,
) -> dict[str, Any]:
    """All figures of a part of the searches. named: by the rate of false alarms that was asked for."""
    kinds = {
        kind: ranked_figures(
            Ranked(r.mate[part], r.rank[part], r.top[part]), mated[part], person[part], people
        )
        for kind, r in ranked.items()
    }
    result: dict[str, Any] = {
        "mated": int((part & mated).sum()),
        "nonmated": int((part & ~mated).sum()),
        "kinds": kinds,
        "product": {
            rate: named_figures(
                float(rate),
                Named(n.probability[part], n.right[part], n.score_reached[part], n.named[part]),
                mated[part],
                person[part],
                prior,
                people,
            )
            for rate, n in named.items()
        },
    }
    if FUSED in ranked:
        result["fused_minus"] = {
            kind: _difference(ranked[FUSED], ranked[kind], mated & part, person, people)
            for kind in ranked
            if kind != FUSED
        }
    return result


def identify(
    lists: Sequence[SearchList],
    of_gallery: Sights,
    seen: Sights,
    enrolled: Sequence[int],
    searched: Sequence[int],
    labels: Mapping[str, Sequence[str]],
    product: Product,
    people: People,
) -> dict[str, Any]:
    """All figures of one condition, over all lists, which are of the same files.

    enrolled, searched: the files that the rows of of_gallery and seen were made of. labels: by column, a text for each
    file. Raises ValueError when a gallery or its searches have not one face.
    """
    files = len(lists[0].files)
    template_row, probe_row = np.full(files, -1), np.full(files, -1)
    for rows, of, sights in ((template_row, enrolled, of_gallery), (probe_row, searched, seen)):
        rows[np.asarray(of)[sights.made]] = np.flatnonzero(sights.made)
    ranks: list[dict[str, Ranked]] = []
    names: dict[str, list[Named]] = {}
    places: list[Ints] = []
    mated: list[NDArray[np.bool_]] = []
    for each in lists:
        place = np.concatenate([each.places("probe"), each.places("nonmate")])
        sides = _sides(each, place, of_gallery, seen, template_row, probe_row)
        ranks.append(rank(product, sides))
        if product.calibration:
            for rate in product.asked:
                names.setdefault(f"{rate:g}", []).append(name(product, product.calibration, rate, sides))
        places.append(place)
        mated.append(np.arange(len(place)) < len(each.places("probe")))
    where, is_mated = np.concatenate(places), np.concatenate(mated)
    ranked, named = joined_ranks(ranks), {rate: joined_names(found) for rate, found in names.items()}
    person = lists[0].person[where]
    parts = {"all": np.ones(len(where), bool)}
    for column, label in {"condition": lists[0].condition, **labels}.items():
        of_search = np.array([label[i] for i in where])
        for value in sorted(set(of_search) - {""}):
            part = of_search == value
            if (
                int((part & is_mated).sum()) >= FEWEST_SEARCHES
                and len(np.unique(person[part])) >= FEWEST_PEOPLE
            ):
                parts[f"{column} {value}"] = part
    return {
        "enrolment": {"gallery": failures(of_gallery), "searches": failures(seen)},
        "kinds": list(ranked),
        "parts": {
            part: _figures(ranked, named, is_mated, person, which, product.prior, people)
            for part, which in parts.items()
        },
    }


def _sides(
    each: SearchList, place: Ints, of_gallery: Sights, seen: Sights, template_row: Ints, probe_row: Ints
) -> Sides:
    gallery = each.places("gallery")
    gallery = gallery[template_row[gallery] >= 0]
    gallery = gallery[np.argsort(each.person[gallery], kind="stable")]
    made = place[probe_row[place] >= 0]
    if not len(gallery) or not len(made):
        raise ValueError("pictures: must show at least one face on either side, found none")
    gallery_person, owner = np.unique(each.person[gallery], return_inverse=True)
    row = np.full(len(each.files), -1)
    row[made] = np.arange(len(made))
    return Sides(
        of_gallery.rows(template_row[gallery]),
        seen.rows(probe_row[made]),
        owner,
        gallery_person,
        each.person[place],
        row[place],
    )


def _difference(
    one: Ranked, other: Ranked, known: NDArray[np.bool_], person: Ints, people: People
) -> Estimate | None:
    """Of rank 1."""

    def figures(weights: Weights) -> Values:
        weight = weights[person[known]]
        gain = (one.rank[known] == 1).astype(float) - (other.rank[known] == 1)
        return np.array([weight @ gain / weight.sum() if weight.any() else np.nan])

    value, again = people.again(figures)
    return estimate(value[0], again[:, 0]) if known.any() else None
