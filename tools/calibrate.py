"""Fits how likeness becomes probability, measures it on LFW, and writes the result with its card.

    python -m tools.calibrate --data ../shared/data
    python -m tools.calibrate --data ../shared/data --config site.yaml

The second is for an embedder that the settings name (recognition.embedder: facenet): it writes the file that they name
in recognition.calibration, which need not be there before.

Fitted on the Face Research Lab London Set (102 people, two photographs each) with FairFace's validation faces as
further strangers, all as simulated cameras see them; LFW only measures. Run it again whenever the embedder or the
unmasking network changes. `--limit` makes a quick trial of a few photographs, which is not for shipping.
"""

from __future__ import annotations

import json
import os
import platform
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console

from engines.backends import EngineError, open_engine
from engines.detection.landmarks import LandmarkRefiner
from engines.masks.synthesis import draw_mask
from engines.masks.templates import apply_template, read_templates
from engines.models import ModelError
from engines.recognition.calibration import (
    CLEAN,
    MASKED,
    MODELS,
    PLAIN,
    PLAIN_MASKED,
    Calibration,
    CalibrationError,
)
from engines.unmasking.generator import Unmasker
from stream.calibration import calibration_file
from stream.config import ConfigError, Settings, load
from stream.embedders import evidence_of
from stream.networks import models_of, open_detector
from tools.calibration.card import About, Measured, card
from tools.calibration.fit import Fitted, fit
from tools.calibration.gather import centres_of, compare, gather, pictures
from tools.calibration.lfw import CONDITIONS, Seen, identify, read_pairs, see, verify
from tools.calibration.probes import Chain, Masker
from tools.preparing import progress_bar

_GALLERIES = (10, 100)
_WORTHLESS = 0.9
"""Share of what a guess costs: a model of noise comes near 1, or above it."""
T = TypeVar("T")


app = typer.Typer(add_completion=False)


@contextmanager
def _sentences() -> Iterator[None]:
    """Ends the command with one line for what can go wrong."""
    try:
        yield
    except (CalibrationError, ConfigError, EngineError, ModelError, OSError, ValueError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None


@app.command()
@_sentences()
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
    output: Annotated[
        Path | None,
        typer.Option(
            help="The calibration, by default the one that the settings name; its card is written beside it."
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Settings in YAML, which name the embedder; the defaults without.")
    ] = None,
) -> None:
    """Fit, measure, write the calibration and its card."""
    settings, began = _with_reconstructions(load(config) if config else Settings()), time.monotonic()
    output = output or calibration_file(settings.recognition)
    output.parent.mkdir(parents=True, exist_ok=True)
    models = models_of(settings, lambda name, share: None)
    engines = {name: open_engine(model, cache=settings.engines.cache) for name, model in models.items()}
    detector = open_detector(settings.detection, engines)
    unmasker = Unmasker(engines["unmask"])
    chain = Chain(
        detector,
        LandmarkRefiner(engines["landmarks"]),
        evidence_of(settings, engines),
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
        fitted, centres = {}, centres_of(samples)
        for name, terms in MODELS.items():
            progress.update(task, description=f"Fitting {name}")
            plain = name in (PLAIN, PLAIN_MASKED)
            compared = compare(samples, name not in (CLEAN, PLAIN), terms, None if plain else centres)
            fitted[name] = fit(compared, min(len(terms), len(MODELS[MASKED])), rng)
            _check(name, fitted[name])
        values = {
            "space": chain.evidence.space,
            "views_space": chain.evidence.views_space,
            "generator_sha256": models["unmask"].sha256,
            "centres": centres.lists(),
            "models": {name: _strength(name, f) for name, f in fitted.items()},
        }
        _write(output, _lists_in_lines(json.dumps(values, indent=1)) + "\n")
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
        f"python -m tools.calibrate --data DATA {'--config FILE ' if config else ''}--looks {looks} --frames {frames} "
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


def _with_reconstructions(settings: Settings) -> Settings:
    """What reconstructions are worth is fitted whether they are made or not."""
    unmasking = settings.unmasking.model_copy(update={"enabled": True})
    return settings.model_copy(update={"unmasking": unmasking})


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


def _check(name: str, fitted: Fitted) -> None:
    """Raises CalibrationError for a model of an embedder that does not know people."""
    if not fitted.log_loss[0] < _WORTHLESS:
        raise CalibrationError(
            f"models.{name}: the embeddings do not tell these people apart: on people held out the model must lose at "
            f"most {_WORTHLESS} of what a guess by the odds alone does, found {fitted.log_loss[0]:.3g}; nothing was "
            "written"
        )


def _lists_in_lines(text: str) -> str:
    """JSON with each list of numbers in one line."""
    return re.sub(r"\[[^][{}]*\]", lambda found: " ".join(found[0].split()), text)


def _write(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.new")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


if __name__ == "__main__":
    app()
