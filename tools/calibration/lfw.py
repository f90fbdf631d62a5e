"""What the probabilities are worth on people, photographs and masks that they were not fitted on: LFW.

Huang et al., "Labeled Faces in the Wild", 2007: photographs from the news, years apart. Nothing here feeds back
into the fit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.recognition.calibration import CLEAN, COMPLETED, MASKED, MODELS, Calibration
from engines.recognition.enrolled import GallerySnapshot
from engines.recognition.evidence import LOOKS, RAW, TERMS, VIEWS, WHOLE, Vector
from engines.recognition.matcher import Matcher
from tools.calibration.cctv import Look
from tools.calibration.fit import log_loss, reliability, table
from tools.calibration.probes import Chain, Masker
from tools.learning.faces import read_picture

CONDITIONS = ("as photographed", "as a camera sees it", "masked", "masked, as a camera sees it")
Row = tuple[float, float, float, int]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two photographs, as file names, of the people named."""

    first: str
    second: str
    first_name: str
    second_name: str


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What the chain made of all pairs under one condition, by view and by look; NaN rows where it made nothing."""

    pairs: Sequence[Pair]
    views: dict[str, NDArray[np.float32]]
    probes: dict[str, NDArray[np.float32]]
    masked: bool

    @property
    def made(self) -> NDArray[np.bool_]:
        """Which pairs have a template and a probe."""
        return ~np.isnan(self.views[WHOLE][:, 0]) & ~np.isnan(self.probes[RAW][:, 0])


@dataclass(frozen=True, slots=True)
class Verification:
    """Pairs at even odds. interval: of ECE, 95 %, people drawn anew. false_at, true_at: shares of pairs of two
    people and of one with a probability of at least 0.9.
    """

    pairs: int
    failed: int
    rows: list[Row]
    ece: float
    interval: tuple[float, float]
    log_loss: float
    false_at: float
    true_at: float


@dataclass(frozen=True, slots=True)
class Identification:
    """Faces against a gallery, half of them enrolled. named_right: of the enrolled, named as themselves;
    named_wrong: of all named, not who was said; strangers_named: of those not enrolled, named as someone.
    """

    gallery: int
    probes: int
    rows: list[Row]
    ece: float
    named_right: float
    named_wrong: float
    strangers_named: float


def read_pairs(file: Path, root: Path) -> list[Pair]:
    """LFW's pairs.txt: a line of three for one person's two pictures, of four for two people's."""
    pairs = []
    for line in file.read_text(encoding="utf-8").splitlines()[1:]:
        words = line.split()
        if len(words) not in (3, 4):
            raise ValueError(f"{file}: a line must have 3 or 4 words, found {line!r}")
        name, other = words[0], words[2] if len(words) == 4 else words[0]
        paths = [str(root / n / f"{n}_{int(i):04d}.jpg") for n, i in ((name, words[1]), (other, words[-1]))]
        pairs.append(Pair(paths[0], paths[1], name, other))
    return pairs


def see(
    chain: Chain, pairs: Sequence[Pair], masker: Masker, seed: int, progress: Callable[[float], None]
) -> dict[str, Seen]:
    """Every pair under every condition: the first photograph enrolled, the second seen."""
    views: list[dict[str, Vector]] = [{} for _ in pairs]
    made: dict[str, list[dict[str, Vector]]] = {condition: [{} for _ in pairs] for condition in CONDITIONS}
    for i, pair in enumerate(pairs):
        progress(i / len(pairs))
        first, second = read_picture(Path(pair.first)), read_picture(Path(pair.second))
        face = chain.face(first)
        if face is not None:
            views[i] = chain.enrol(first, face)
        face = chain.face(second)
        if face is None:
            continue
        rng = np.random.default_rng((seed, i))
        for condition in CONDITIONS:
            camera = Look.draw(rng, 18, 44) if "camera" in condition else None
            probe = chain.look(second, face, rng, camera, masker if "masked" in condition else None)
            made[condition][i] = probe.first if probe else {}
    enrolled = _in_rows(views, VIEWS)
    return {c: Seen(pairs, enrolled, _in_rows(made[c], LOOKS), "masked" in c) for c in CONDITIONS}


def _in_rows(vectors: Sequence[Mapping[str, Vector]], names: Sequence[str]) -> dict[str, NDArray[np.float32]]:
    """By name, float32 [N, D] with nan where there is none."""
    size = max((len(vector) for each in vectors for vector in each.values()), default=1)
    nothing = np.full(size, np.nan, np.float32)
    return {name: np.stack([each.get(name, nothing) for each in vectors]) for name in names}


def verify(seen: Seen, calibration: Calibration, rng: np.random.Generator, draws: int = 200) -> Verification:
    """How often pairs are of one person when their probability says so."""
    made = seen.made
    log_lr = _log_lr(seen, calibration)[made]
    same = np.array([p.first_name == p.second_name for p in seen.pairs])[made]
    rows, ece = reliability(log_lr, same)
    names = sorted({p.first_name for p in seen.pairs} | {p.second_name for p in seen.pairs})
    number = {name: i for i, name in enumerate(names)}
    a, b = (
        np.array([number[n] for n in side])[made]
        for side in zip(*((p.first_name, p.second_name) for p in seen.pairs), strict=True)
    )
    again = []
    for _ in range(draws):
        times = rng.multinomial(len(names), np.full(len(names), 1 / len(names)))
        weight = np.where(same, times[a], times[a] * times[b]).astype(np.float64)
        again.append(reliability(log_lr[weight > 0], same[weight > 0], weight[weight > 0])[1])
    low, high = np.quantile(again, [0.025, 0.975])
    sure = log_lr >= np.log(9)
    return Verification(
        int(made.sum()),
        int((~made).sum()),
        rows,
        ece,
        (float(low), float(high)),
        log_loss(log_lr, same, np.ones(len(same))),
        float(sure[~same].mean()),
        float(sure[same].mean()),
    )


def _log_lr(seen: Seen, calibration: Calibration) -> NDArray[np.float64]:
    """By the matcher's rule: from the face as seen, and never more than that with the reconstruction."""
    views = calibration.centres.of_views(seen.views)
    looks = calibration.centres.looks(seen.probes, seen.masked)
    cosine = {
        term: (views[view] * looks[look]).sum(1, dtype=np.float64) for term, (look, view) in TERMS.items()
    }

    def strength(model: str) -> NDArray[np.float64]:
        fitted = calibration.models[model]
        return fitted(np.stack([cosine[term] for term in MODELS[model]], 1) @ np.array(fitted.shares))

    if not seen.masked or COMPLETED not in calibration.models:
        return strength(MASKED if seen.masked else CLEAN)
    return np.fmin(strength(MASKED), strength(COMPLETED))


def identify(
    seen: Seen,
    calibration: Calibration,
    size: int,
    rng: np.random.Generator,
    decide_at: float,
    draws: int = 40,
) -> Identification:
    """Galleries of `size` people drawn from the pairs of one person; as many strangers as enrolled are seen."""
    made = np.flatnonzero(seen.made)
    mates = {
        seen.pairs[i].first_name: int(i)
        for i in rng.permutation(made)
        if seen.pairs[i].first_name == seen.pairs[i].second_name
    }
    others = {seen.pairs[i].second_name: int(i) for i in rng.permutation(made)}
    said, right, enrolled, alike = [], [], [], []
    for _ in range(draws):
        chosen = [str(n) for n in rng.choice(sorted(mates), size, replace=False)]
        rest = [str(n) for n in rng.choice(sorted(others.keys() - set(chosen)), size, replace=False)]
        places = [mates[n] for n in chosen]
        snapshot = GallerySnapshot(
            0,
            calibration.space,
            tuple(chosen),
            tuple(chosen),
            {view: matrix[places] for view, matrix in seen.views.items()},
            np.arange(size),
        )
        matcher = Matcher(snapshot, calibration, 0.5, calibration.generator_sha256)
        for name in (*chosen, *rest):
            row = (mates if name in mates and name in snapshot.ids else others)[name]
            looks = {k: v[row] for k, v in seen.probes.items() if not np.isnan(v[row, 0])}
            match = matcher.match(looks, seen.masked)
            first = match.candidates[0]
            alike.append(first.score >= match.needed)
            said.append(first.probability)
            right.append(first.person_id == name)
            enrolled.append(name in snapshot.ids)
    probability, is_right, is_enrolled = np.array(said), np.array(right), np.array(enrolled)
    rows, ece = table(probability, is_right, np.full(len(probability), 1 / len(probability)))
    named = (probability >= decide_at) & np.array(alike)
    return Identification(
        size,
        len(probability),
        rows,
        ece,
        float((named & is_right)[is_enrolled].mean()),
        float((~is_right)[named].mean()) if named.any() else 0.0,
        float(named[~is_enrolled].mean()),
    )
