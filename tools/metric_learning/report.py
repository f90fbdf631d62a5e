"""What training changed: verification of people who were left out, and identification with few pictures enrolled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.recognition.embedder import unit
from tools.recognition.bootstrap import Estimate, People, Values, Weights, estimate, estimates
from tools.recognition.comparisons import Comparisons, listed
from tools.recognition.metrics import Roc, accuracy, decisions, folds_of

ENROLLED = (1, 3, 5)
_DRAWS = 20
"""How often the pictures to enrol are drawn."""
Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Embedded:
    """Faces of a fold (or of all) as two networks see them. person: int [N]; vectors by the network's name: templates
    of pictures as they are and probes, which may be masked: float32 [N, 128], unit length.
    """

    person: NDArray[np.intp]
    templates: Mapping[str, Vectors]
    probes: Mapping[str, Vectors]


@dataclass(frozen=True, slots=True)
class Shots:
    """Identification with so many pictures of each enrolled. people: mean size of the galleries. rank1: by network."""

    enrolled: int
    people: float
    searches: int
    rank1: dict[str, Estimate]
    gain: Estimate


def verify(parts: Sequence[Embedded], draws: int, seed: int = 0) -> dict[str, dict[str, Estimate]]:
    """Figures by network, and of what the second has more than the first under "difference".

    All pairs within each part are compared. accuracy: by a threshold chosen on the other parts (on folds of people when
    there is one part only). Raises ValueError when there is not a pair of one person.
    """
    names = list(parts[0].templates)
    pairs = {name: _pairs(parts, name) for name in names}
    first = pairs[names[0]][0]
    if not first.same.any() or first.same.all():
        raise ValueError("pictures: must make pairs of one person and pairs of two, found only one kind")
    person, fold = pairs[names[0]][1], pairs[names[0]][2]
    people = People(int(person.max()) + 1, draws, seed)
    found, again = dict[str, dict[str, Estimate]](), dict[str, tuple[Values, Values]]()
    for name in names:
        comparisons = pairs[name][0]
        roc = Roc(comparisons, person, person)
        a, b = person[comparisons.probe], person[comparisons.template]
        part = fold[comparisons.probe]
        folds = [(part != f, part == f) for f in np.unique(part)]
        right = decisions(comparisons.score, comparisons.same, folds if len(folds) > 1 else _by_person(a, b))

        def figures(
            weights: Weights,
            roc: Roc = roc,
            right: NDArray[np.bool_] = right,
            same: NDArray[np.bool_] = comparisons.same,
            a: NDArray[np.intp] = a,
            b: NDArray[np.intp] = b,
        ) -> Values:
            return np.concatenate([roc.figures(weights), accuracy(right, same, a, b, weights)])

        labels = ("EER", *(f"TAR@FMR {rate:g}" for rate in roc.rates), "accuracy of pairs")
        again[name] = people.again(figures)
        found[name] = estimates(labels, *again[name])
    if len(names) == 2:
        (v0, d0), (v1, d1) = again[names[0]], again[names[1]]
        found["difference"] = estimates(labels, v1 - v0, d1 - d0)
    return found


def identify(parts: Sequence[Embedded], enrolled: int, draws: int, seed: int = 0) -> Shots | None:
    """Rank 1 among the people of each part when `enrolled` pictures of each make a template and the others are searched
    for. None when no part has two people with more pictures than that.
    """
    names = list(parts[0].templates)
    rng = np.random.default_rng(seed)
    hits: dict[str, list[NDArray[np.bool_]]] = {name: [] for name in names}
    owners: list[NDArray[np.intp]] = []
    sizes = []
    for part in parts:
        rows = {p: np.flatnonzero(part.person == p) for p in np.unique(part.person)}
        several = [p for p, mine in rows.items() if len(mine) > enrolled]
        if len(several) < 2:
            continue
        for _ in range(_DRAWS):
            orders = [rng.permutation(rows[p]) for p in several]
            searched = np.concatenate([order[enrolled:] for order in orders])
            owner = np.repeat(np.arange(len(several)), [len(order) - enrolled for order in orders])
            for name in names:
                gallery = unit(np.stack([part.templates[name][o[:enrolled]].mean(0) for o in orders]))
                hits[name].append((part.probes[name][searched] @ gallery.T).argmax(1) == owner)
            owners.append(np.array(several)[owner])
            sizes.append(len(several))
    if not owners:
        return None
    _, number = np.unique(np.concatenate(owners), return_inverse=True)
    people = People(int(number.max()) + 1, draws, seed)

    def rank1(right: NDArray[np.floating]) -> Estimate:
        def figures(weights: Weights) -> Values:
            weight = weights[number]
            return np.array([weight @ right / weight.sum() if weight.any() else np.nan])

        value, again = people.again(figures)
        return estimate(value[0], again[:, 0])

    right = {name: np.concatenate(hits[name]).astype(float) for name in names}
    return Shots(
        enrolled,
        float(np.mean(sizes)),
        len(number),
        {name: rank1(each) for name, each in right.items()},
        rank1(right[names[-1]] - right[names[0]]),
    )


def text(title: str, verified: Mapping[str, Mapping[str, Estimate]], shots: Sequence[Shots | None]) -> str:
    """Both as Markdown."""
    labels = list(next(iter(verified.values())))
    lines = [f"### {title}", "", "| network | " + " | ".join(labels) + " |", "|---|" + "---|" * len(labels)]
    for name, figures in verified.items():
        lines.append(
            f"| {name} | "
            + " | ".join(str(figures[label]) if label in figures else "" for label in labels)
            + " |"
        )
    made = [each for each in shots if each]
    if made:
        names = list(made[0].rank1)
        lines += [
            "",
            "| enrolled | people | searches | "
            + " | ".join(f"rank 1, {n}" for n in names)
            + " | difference |",
        ]
        lines.append("|---|---|---|" + "---|" * (len(names) + 1))
        for each in made:
            cells = " | ".join(str(each.rank1[name]) for name in names)
            lines.append(f"| {each.enrolled} | {each.people:.0f} | {each.searches} | {cells} | {each.gain} |")
    if len(made) < len(shots):
        missing = [n for n, each in zip(ENROLLED, shots, strict=False) if each is None]
        lines += ["", f"Nobody has pictures enough for {', '.join(map(str, missing))} enrolled."]
    return "\n".join(lines)


def _pairs(parts: Sequence[Embedded], name: str) -> tuple[Comparisons, NDArray[np.intp], NDArray[np.intp]]:
    """(all pairs within the parts, person of each row, part of each row)."""
    scores, same, probe, template, start = [], [], [], [], 0
    for part in parts:
        score = part.probes[name] @ part.templates[name].T
        a, b = np.triu_indices(len(part.person), 1)
        scores.append(score[a, b])
        same.append(part.person[a] == part.person[b])
        probe.append(a + start)
        template.append(b + start)
        start += len(part.person)
    comparisons = listed(*(np.concatenate(each) for each in (scores, same, probe, template)))
    person = np.concatenate([part.person for part in parts])
    fold = np.repeat(np.arange(len(parts)), [len(part.person) for part in parts])
    return comparisons, person, fold


def _by_person(a: NDArray[np.intp], b: NDArray[np.intp]) -> list[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    return folds_of(a, b, None)
