"""Searches of a gallery, and what came of them: by every kind of evidence, and by the product's own matcher."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.recognition.calibration import Calibration
from engines.recognition.enrolled import GallerySnapshot
from engines.recognition.evidence import LOOKS, VIEWS, WHOLE
from engines.recognition.matcher import Matcher
from tools.recognition.comparisons import Ints
from tools.recognition.scoring import FUSED, Scorer
from tools.recognition.seeing import Sights

BLOCK = 128
SUPPORT = float(np.log(10))
"""A name needs a face at least ten times likelier for that person, as in engines.recognition.track."""


@dataclass(frozen=True, slots=True, eq=False)
class Ranked:
    """Searches by one kind of score. mate: float64 [N], the score of the person searched for, -inf where there is none.

    rank: int [N], that person's place, a tie counting against it; a large number where there is none. top: float64 [N],
    the highest score of anybody, -inf where nothing could be made of the picture.
    """

    mate: NDArray[np.float64]
    rank: Ints
    top: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Named:
    """What the matcher said of each search. probability: float64 [N], of its first candidate. right: bool [N], that
    this is who it is. score_reached: bool [N], somebody is more alike than strangers are at the rate asked for.
    named: bool [N], the first candidate would be named.
    """

    probability: NDArray[np.float64]
    right: NDArray[np.bool_]
    score_reached: NDArray[np.bool_]
    named: NDArray[np.bool_]


_LAST = np.iinfo(np.intp).max


@dataclass(frozen=True, slots=True)
class Product:
    """What the product decides by. asked: rates of false alarms that it is asked for."""

    calibration: Calibration | None
    generator_sha256: str
    prior: float
    decide_at: float
    asked: tuple[float, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Sides:
    """A gallery and its searches. owner: int [T], rising, whose each template is; gallery_person: int [owners].

    probe_person: int [N], of each search; probe_row: int [N], its row in `probes`, -1 where nothing could be made.
    """

    templates: Sights
    probes: Sights
    owner: Ints
    gallery_person: Ints
    probe_person: Ints
    probe_row: Ints


def rank(product: Product, sides: Sides) -> dict[str, Ranked]:
    """What came of the searches, by kind."""
    scorer = Scorer(product.calibration, product.generator_sha256, sides.probes, sides.templates)
    owner, gallery_person = sides.owner, sides.gallery_person
    probe_person, probe_row = sides.probe_person, sides.probe_row
    starts = np.flatnonzero(np.diff(owner, prepend=-1))
    count = np.diff(np.append(starts, len(owner)))
    column = np.full(int(max(gallery_person.max(), probe_person.max())) + 1, -1)
    column[gallery_person] = np.arange(len(gallery_person))
    n = len(probe_person)
    found = {
        kind: Ranked(np.full(n, -np.inf), np.full(n, _LAST), np.full(n, -np.inf)) for kind in scorer.kinds
    }
    at = np.full(int(probe_row.max()) + 1, -1)
    at[probe_row[probe_row >= 0]] = np.flatnonzero(probe_row >= 0)
    for begin in range(0, len(at), BLOCK):
        search = at[begin : begin + BLOCK]
        mate = column[probe_person[search]]
        for kind, scores in scorer.block(slice(begin, begin + BLOCK)).items():
            best = np.maximum.reduceat(scores, starts, 1)
            if kind == FUSED:  # as the matcher has it: the mean of the ratios of a person's pictures
                shares = np.exp(scores - np.repeat(best, count, 1))
                best = best + np.log(np.add.reduceat(shares, starts, 1) / count)
            into, has = found[kind], mate >= 0
            into.top[search] = best.max(1)
            own = best[np.flatnonzero(has), mate[has]]
            into.mate[search[has]] = own
            into.rank[search[has]] = (best[has] >= own[:, None]).sum(1)
    return found


def name(product: Product, calibration: Calibration, rate: float, sides: Sides) -> Named:
    """What the matcher says, when a share `rate` of strangers may be taken for somebody."""
    ids = tuple(str(person) for person in sides.gallery_person)
    vectors = sides.templates.vectors
    views = {view: vectors.get(view, vectors[WHOLE]) for view in VIEWS}
    snapshot = GallerySnapshot(0, calibration.space, ids, ids, views, sides.owner)
    matcher = Matcher(snapshot, calibration, product.prior, product.generator_sha256, rate)
    n, probes = len(sides.probe_person), sides.probes
    result = Named(np.zeros(n), np.zeros(n, bool), np.zeros(n, bool), np.zeros(n, bool))
    for i in np.flatnonzero(sides.probe_row >= 0):
        row = sides.probe_row[i]
        looks = {
            look: probes.vectors[look][row] for look in LOOKS if look in probes.has and probes.has[look][row]
        }
        match = matcher.match(looks, bool(probes.masked[row]))
        first = match.candidates[0]
        sure = first.probability >= product.decide_at and first.log_lr > SUPPORT
        result.probability[i] = first.probability
        result.right[i] = first.person_id == str(sides.probe_person[i])
        result.score_reached[i] = max(c.score for c in match.candidates) >= match.needed
        result.named[i] = sure and first.score >= match.needed
    return result


def joined_ranks(parts: Sequence[Mapping[str, Ranked]]) -> dict[str, Ranked]:
    """The searches of several galleries, one after the other; of the kinds that all of them have."""
    kinds = [kind for kind in parts[0] if all(kind in part for part in parts)]
    return {
        kind: Ranked(
            *(np.concatenate([getattr(part[kind], f) for part in parts]) for f in ("mate", "rank", "top"))
        )
        for kind in kinds
    }


def joined_names(parts: Sequence[Named]) -> Named:
    """The same of what the matcher said."""
    return Named(
        *(
            np.concatenate([getattr(part, f) for part in parts])
            for f in ("probability", "right", "score_reached", "named")
        )
    )
