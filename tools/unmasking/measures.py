"""The figures of a set of guesses, each with its interval."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from tools.learning.features import Features, frechet, kernel_distance, perceptual
from tools.learning.image_metrics import iou, l1, psnr, sharpness, ssim
from tools.unmasking.cases import Case
from tools.unmasking.identity import Embed

UNTOUCHED_DB = 40.0
"""An unmasked face has passed when it came out within this PSNR of what went in."""
_AROUND = np.ones((9, 9), np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """By kind of guess: perceptual distances to the truths under the masks [N], and pooled features [N, D]; of the
    truths the pooled features.
    """

    distances: dict[str, NDArray[np.float64]]
    pooled: dict[str, NDArray[np.float32]]
    real: NDArray[np.float32]


class Eyes:
    """The networks that look at guesses: features for perceptual distances, embedders by name for identity."""

    def __init__(self, features: Features | None, identities: Mapping[str, Embed]) -> None:
        self._features, self.identities = features, identities

    def look(
        self, guesses: Mapping[str, NDArray[np.uint8]], truths: NDArray[np.uint8], wheres: NDArray[np.bool_]
    ) -> Seen | None:
        """What the features say of every kind of guess; None without features."""
        if self._features is None:
            return None
        real: list[NDArray[np.float32]] = []
        distances: dict[str, list[NDArray[np.float64]]] = {name: [] for name in guesses}
        pooled: dict[str, list[NDArray[np.float32]]] = {name: [] for name in guesses}
        for at in track(range(0, len(truths), 16), "looking"):
            part = slice(at, at + 16)
            aims, last = self._features.see(truths[part])
            real.append(last)
            for name, pictures in guesses.items():
                maps, last = self._features.see(pictures[part])
                distances[name].append(perceptual(maps, aims, wheres[part]))
                pooled[name].append(last)
        return Seen(
            {name: np.concatenate(parts) for name, parts in distances.items()},
            {name: np.concatenate(parts) for name, parts in pooled.items()},
            np.concatenate(real),
        )


def measure(case: Case, guess: NDArray[np.uint8]) -> dict[str, float]:
    """One guess against the truth, inside the true mask. L1 in 0..1."""
    where = case.mask
    strongest = guess[where].argmax(1) == case.truth[where].argmax(1)
    return {
        "l1": l1(guess, case.truth, where) / 255,
        "psnr": psnr(guess, case.truth, where),
        "ssim": ssim(guess, case.truth, where),
        "sharpness_ratio": sharpness(guess, where) / max(sharpness(case.truth, where), 1e-6),
        "dominant_channel_accuracy": float(strongest.mean()),
        "mean_squared_error": float(
            (((guess[where].astype(np.float32) - case.truth[where]) / 255) ** 2).mean()
        ),
    }


def measure_mask(case: Case, guess: NDArray[np.uint8], mask: NDArray[np.float32]) -> dict[str, float]:
    """IoU with the true mask; of the pixels further than 4 from it, the share that changed by more than 2."""
    far = (cv2.dilate(case.mask.astype(np.uint8), _AROUND) == 0) & case.inside
    changed = np.abs(guess.astype(int) - case.masked).max(2)[far]
    return {
        "mask_iou": iou((mask > 0.5) & case.inside, case.mask),
        "outside_changed_share": float((changed > 2).mean()) if len(changed) else 0.0,
    }


def cross_identity(
    guesses: NDArray[np.float32], truths: NDArray[np.float32], people: Sequence[str]
) -> dict[str, float]:
    """Guess of one photograph against the truth of *another* photograph, of the same person and of others.

    Mean cosines and the equal error rate. Empty where no person has two photographs. That a guess is like the very
    photograph it was made from would say nothing: three quarters of the pixels are the same.
    """
    names = np.array(people)
    same = (names[:, None] == names[None]) & (names[:, None] != "")
    np.fill_diagonal(same, False)
    if not same.any():
        return {}
    other = names[:, None] != names[None]
    cosine = guesses @ truths.T
    genuine, impostor = np.sort(cosine[same]), np.sort(cosine[other])
    thresholds = np.linspace(-0.2, 1, 601)
    missed = np.searchsorted(genuine, thresholds) / len(genuine)
    taken = 1 - np.searchsorted(impostor, thresholds) / len(impostor)
    at = int(np.abs(missed - taken).argmin())
    return {
        "same_person_cosine": float(genuine.mean()),
        "other_person_cosine": float(impostor.mean()),
        "equal_error_rate": float((missed[at] + taken[at]) / 2),
        "genuine_comparisons": float(len(genuine)),
    }


def set_distances(guess: NDArray[np.float32], truth: NDArray[np.float32], seed: int = 0) -> dict[str, float]:
    """Fréchet and kernel distance of guesses to *other* real faces: one half's guesses against the other half's truths,
    and the same with truths on both sides as the floor.
    """
    order = np.random.default_rng(seed).permutation(len(guess))
    one, other = order[: len(order) // 2], order[len(order) // 2 : len(order) // 2 * 2]
    return {
        "frechet": frechet(guess[one], truth[other]),
        "frechet_floor": frechet(truth[one], truth[other]),
        "kernel": kernel_distance(guess[one], truth[other]),
        "kernel_floor": kernel_distance(truth[one], truth[other]),
    }


def summary(rows: Sequence[dict[str, float]], rng: np.random.Generator) -> dict[str, Any]:
    """Means with 95 % intervals by bootstrap over faces."""
    result: dict[str, Any] = {"faces": len(rows)}
    drawn = rng.integers(0, len(rows), (1000, len(rows)))
    for name in rows[0]:
        values = np.array([row[name] for row in rows])
        low, high = np.percentile(values[drawn].mean(1), [2.5, 97.5])
        result[name] = {"mean": float(values.mean()), "low": float(low), "high": float(high)}
    return result


def grouped(
    cases: Sequence[Case], rows: Sequence[dict[str, float]], rng: np.random.Generator
) -> dict[str, Any]:
    """The summary of all, and of every template, pose and group."""
    parts: dict[str, list[dict[str, float]]] = defaultdict(list)
    for case, row in zip(cases, rows, strict=True):
        parts[f"template {case.template}"].append(row)
        parts[case.pose].append(row)
        for name in ("gender", "race", "age"):
            if case.group.get(name):
                parts[f"{name} {case.group[name]}"].append(row)
    return {"all": summary(rows, rng), **{name: summary(parts[name], rng) for name in sorted(parts)}}
