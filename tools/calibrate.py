"""Fits how likeness becomes probability, measures it on LFW, and writes the result with its card.

    python -m tools.calibrate --data ../shared/data

Fitted on the Face Research Lab London Set (102 people, two photographs each) with FairFace's validation faces as
further strangers, all as simulated cameras see them; LFW only measures. Run it again whenever the embedder or the
unmasking network changes. `--limit` makes a quick trial of a few photographs, which is not for shipping.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console

from engines.backends import open_engine
from engines.detection.detectors import networks_of
from engines.detection.landmarks import LandmarkRefiner
from engines.masks.synthesis import draw_mask
from engines.masks.templates import apply_template, read_templates
from engines.models import prepare
from engines.recognition.calibration import CLEAN, COMPLETED, MASKED, MODELS, PATH, Calibration
from engines.unmasking.generator import Unmasker
from stream.config import Settings
from stream.embedders import EMBEDDERS, evidence_of
from stream.networks import open_detector
from tools.calibration.card import About, Measured, card
from tools.calibration.fit import Fitted, fit
from tools.calibration.gather import compare, gather, pictures
from tools.calibration.lfw import CONDITIONS, Seen, identify, read_pairs, see, verify
from tools.calibration.probes import Chain, Masker
from tools.preparing import progress_bar

_GALLERIES = (10, 100)
T = TypeVar("T")


app = typer.Typer(add_completion=False)


@app.command()
def calibrate(
    data: Annotated[
        Path, typer.Option(help="Folder with faces/index.csv, protocols/lfw/pairs.txt, mask_templates.")
    ],
    people: Annotated[
        str, typer.Option(help="Rows of the index to fit on: people with two photographs.")
    ] = "london_512/",
    strangers: Annotated[
        str, typer.Option(help="Rows of the index with people of one photograph.")
    ] = "fairface/val/",
    most_strangers: Annotated[int, typer.Option(help="So many of them, evenly picked.")] = 600,
    looks: Annotated[int, typer.Option(help="Simulated cameras for each photograph and condition.")] = 4,
    frames: Annotated[int, typer.Option(help="Frames of a track.")] = 3,
    lfw_pairs: Annotated[
        int, typer.Option(help="Pairs of LFW to measure on, evenly picked; 0 for none.")
    ] = 6000,
    seed: int = 1,
    limit: Annotated[int, typer.Option(help="Only so many photographs of each kind, for a trial.")] = 0,
    output: Annotated[Path, typer.Option(help="The calibration; its card is written beside it.")] = PATH,
) -> None:
    """Fit, measure, write calibration.json and its card."""
    settings, began = Settings(), time.monotonic()
    models = prepare(
        settings.engines.cache,
        (*networks_of(settings.detection.detector), "landmarks", "unmask", *EMBEDDERS),
    )
    engines = {name: open_engine(model, cache=settings.engines.cache) for name, model in models.items()}
    detector = open_detector(settings.detection, engines)
    unmasker = Unmasker(engines["unmask"])
    chain = Chain(
        detector,
        LandmarkRefiner(engines["landmarks"]),
        evidence_of(engines),
        lambda crops: unmasker.unmask(crops).pictures,
        settings.quality,
        settings.tracking.min_score,
    )
    index, rng = data / "faces" / "index.csv", np.random.default_rng(seed)
    known, unknown = pictures(index, people), _spread(pictures(index, strangers), most_strangers)
    if limit:
        known, unknown = known[: limit // 2] + known[len(known) // 2 :][: limit // 2], unknown[:limit]
    with progress_bar(Console(stderr=True)) as progress:
        task = progress.add_task("Seeing people", total=1.0)
        samples = gather(
            chain, known, unknown, looks, frames, rng, lambda f: progress.update(task, completed=f)
        )
        fitted, alike = {}, {CLEAN: 1, MASKED: len(MODELS[MASKED]), COMPLETED: len(MODELS[MASKED])}
        for name, terms in MODELS.items():
            progress.update(task, description=f"Fitting {name}")
            fitted[name] = fit(compare(samples, name != CLEAN, terms), alike[name], rng)
        values = {
            "space": chain.evidence.space,
            "views_space": chain.evidence.views_space,
            "generator_sha256": models["unmask"].sha256,
            "models": {name: _strength(name, f) for name, f in fitted.items()},
        }
        _write(output, json.dumps(values, indent=1) + "\n")
        measured: Measured = {}
        masks = "none"
        if lfw_pairs:
            pairs = read_pairs(data / "protocols" / "lfw" / "pairs.txt", data / "faces" / "lfw_deepfunneled")
            pairs = _spread(pairs, limit or lfw_pairs)
            progress.update(task, completed=0, description="Measuring on LFW")
            masker, masks = _masker(data / "mask_templates" / "MaskTheFace")
            seen = see(chain, pairs, masker, seed, lambda f: progress.update(task, completed=f))
            measured = _measure(seen, Calibration.load(output), settings.recognition.decide_at)
    about = About(
        f"python -m tools.calibrate --data DATA --looks {looks} --frames {frames} "
        f"--most-strangers {most_strangers} --lfw-pairs {lfw_pairs} --seed {seed}",
        f"{platform.machine()}, {os.cpu_count()} cores, {(time.monotonic() - began) / 60:.0f} minutes",
        f"{sum(not s.stranger for s in samples)} of people, {sum(s.stranger for s in samples)} of strangers",
        masks,
        chain.evidence.views_space,
        models["unmask"].sha256,
    )
    text = card(about, fitted, measured)
    _write(output.with_suffix(".md"), text)
    typer.echo(text)


def _spread(items: Sequence[T], count: int) -> list[T]:
    """`count` of the items, evenly picked."""
    return [items[i] for i in np.linspace(0, len(items) - 1, min(count, len(items))).astype(int)]


def _masker(folder: Path) -> tuple[Masker, str]:
    """Masks for measuring: templates that nothing here was fitted on, or the drawn ones where there is no folder."""
    if not folder.is_dir():
        return draw_mask, "drawn ones, of the kind fitted on"
    masks = read_templates(folder)
    names = sorted(masks)

    def templates(
        picture: NDArray[np.uint8], landmarks: NDArray[np.float32], rng: np.random.Generator
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        return apply_template(picture, landmarks, masks[names[int(rng.integers(len(names)))]])

    return templates, f"{len(names)} photographed templates (MaskTheFace), none of them fitted on"


def _measure(seen: Mapping[str, Seen], calibration: Calibration, decide_at: float) -> Measured:
    result = {}
    for condition in CONDITIONS:
        rng = np.random.default_rng(0)
        enrolled = len({p.first_name for p in seen[condition].pairs if p.first_name == p.second_name})
        sizes = [size for size in _GALLERIES if size < enrolled / 2]
        galleries = [identify(seen[condition], calibration, size, rng, decide_at) for size in sizes]
        result[condition] = verify(seen[condition], calibration, rng), galleries
    return result


def _strength(name: str, fitted: Fitted) -> dict[str, Any]:
    strength = fitted.strength
    numbers = ("crossing", "steepness", "bend", "lower", "upper")
    mean, deviation = strength.strangers
    return {
        "shares": {term: round(share, 5) for term, share in zip(MODELS[name], strength.shares, strict=True)},
        **{key: round(getattr(strength, key), 4) for key in numbers},
        "strangers": {"mean": round(mean, 5), "deviation": round(deviation, 5)},
    }


def _write(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.new")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


if __name__ == "__main__":
    app()
