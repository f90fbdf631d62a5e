"""Comparisons for the fit: everybody's other photograph, as cameras would see it, against everybody."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.masks.synthesis import draw_mask
from engines.recognition.centring import Centres
from engines.recognition.evidence import RAW, VIEWS
from engines.recognition.evidence import cosines as by_term
from tools.calibration.cctv import Look
from tools.calibration.fit import Comparisons, balanced
from tools.calibration.probes import Chain, Probe
from tools.learning.faces import read_picture

SMALLEST, LARGEST = 14.0, 56.0
"""Eye distances of the simulated cameras in pixels; what is below the quality gate drops out there."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One photograph: its views, and its faces as cameras saw it. stranger: known by this photograph alone."""

    person: int
    stranger: bool
    views: dict[str, NDArray[np.float32]]
    clean: tuple[Probe, ...]
    masked: tuple[Probe, ...]


def pictures(index: Path, prefix: str) -> list[tuple[str, str]]:
    """(file, identity) of an index.csv's rows under a prefix; without an identity, the file is one."""
    with index.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["file"].startswith(prefix)]
    if not rows:
        raise ValueError(f"{index}: must have rows whose file begins with {prefix!r}, found none")
    return [(str(index.parent / row["file"]), row["identity"] or row["file"]) for row in rows]


def gather(
    chain: Chain,
    people: Sequence[tuple[str, str]],
    strangers: Sequence[tuple[str, str]],
    looks: int,
    frames: int,
    rng: np.random.Generator,
    progress: Callable[[float], None],
) -> list[Sample]:
    """A sample of each photograph that shows a face. people are seen `looks` times with a mask and without one,
    strangers once.
    """
    numbers: dict[str, int] = {}
    samples = []
    everything = [(file, who, False) for file, who in people] + [(file, who, True) for file, who in strangers]
    for done, (file, who, stranger) in enumerate(everything):
        progress(done / len(everything))
        picture = read_picture(Path(file))
        face = chain.face(picture)
        if face is None:
            continue
        seen: dict[bool, list[Probe]] = {False: [], True: []}
        for _ in range(1 if stranger else looks):
            for masked in (False, True):
                camera = Look.draw(rng, SMALLEST, LARGEST)
                probe = chain.look(picture, face, rng, camera, draw_mask if masked else None, frames)
                if probe:
                    seen[masked].append(probe)
        views = chain.enrol(picture, face)
        number = numbers.setdefault(who, len(numbers))
        samples.append(Sample(number, stranger, views, tuple(seen[False]), tuple(seen[True])))
    return samples


def centres_of(samples: Sequence[Sample]) -> Centres:
    """Of the strangers, as cameras see them. Raises ValueError when there are none with a mask and without one."""
    strangers = [sample for sample in samples if sample.stranger]
    views = {view: _mean([sample.views[view] for sample in strangers]) for view in VIEWS}
    clean, masked = (
        _means([look for probes in found for probe in probes for look in (probe.first, probe.mean)])
        for found in ([s.clean for s in strangers], [s.masked for s in strangers])
    )
    return Centres(clean, masked, views)


def _means(looks: Sequence[dict[str, NDArray[np.float32]]]) -> dict[str, NDArray[np.float32]]:
    names = looks[0] if looks else (RAW,)
    return {name: _mean([look[name] for look in looks]) for name in names}


def _mean(vectors: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    if not vectors:
        raise ValueError("strangers: at least one must be seen with a mask and one without, found none")
    return np.asarray(np.mean(vectors, 0, dtype=np.float64), np.float32)


def compare(
    samples: Sequence[Sample], masked: bool, terms: Sequence[str], centres: Centres | None
) -> Comparisons:
    """Each probe, as one look and as the mean of its track, against every template but its own photograph's; centred,
    where there are centres.

    Strangers are compared with people only (two photographs of strangers might show one person). Half of the
    weight of pairs of two goes to pairs of people, who were photographed in the same light, half to the rest.
    """
    views = {view: np.stack([s.views[view] for s in samples]) for view in VIEWS}
    if centres:
        views = centres.of_views(views)
    owner, stranger = np.array([s.person for s in samples]), np.array([s.stranger for s in samples])
    cosines, same, probe, owners, away = [], [], [], [], []
    for i, sample in enumerate(samples):
        against = ~stranger if sample.stranger else np.ones(len(samples), bool)
        against = against & (np.arange(len(samples)) != i)
        for seen in sample.masked if masked else sample.clean:
            for vectors in (seen.first, seen.mean):
                if centres:
                    vectors = centres.looks(vectors, masked)
                found = by_term(vectors, {view: matrix[against] for view, matrix in views.items()})
                cosines.append(np.stack([found[term] for term in terms], 1))
                same.append(owner[against] == sample.person)
                probe.append(np.full(int(against.sum()), sample.person))
                owners.append(owner[against])
                away.append(stranger[against] | sample.stranger)
    is_same, is_away = np.concatenate(same), np.concatenate(away)
    if not is_same.any():
        raise ValueError("people: must have at least two photographs each, found no pair of one person")
    home = ~is_same & ~is_away
    weight = np.where(is_same, 1.0, np.where(home, 1 / max(home.sum(), 1), 1 / max(is_away.sum(), 1)))
    return Comparisons(
        np.concatenate(cosines).astype(np.float64),
        is_same,
        balanced(weight, is_same),
        np.concatenate(probe),
        np.concatenate(owners),
    )
