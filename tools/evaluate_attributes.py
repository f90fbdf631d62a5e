"""Measures a network that estimates gender, with and without masks, by group, beside what was published.

    python -m tools.evaluate_attributes --labels FACES/index.csv --folder fairface/val
    python -m tools.evaluate_attributes --labels lfw_gender.csv --root LFW --landmarks FACES/index.csv --card

The CSV names pictures and genders (file, gender; perhaps identity or person, race, age). Faces are found by the
product's detector, the one nearest to the middle if there are several, or taken from an index with landmarks. Every
set is measured as photographed and with a mask put on each face. Intervals of 95 % are of draws of people.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import cv2
import msgspec
import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from engines.attributes.gender import GENDERS, GenderEstimator
from engines.backends import open_engine
from engines.detection.detectors import networks_of
from engines.models import prepare
from stream.config import Settings
from stream.networks import open_detector
from tools.attributes.card import put_figures
from tools.attributes.faces import Find, Labelled, crops_of, known_landmarks, read_labels
from tools.attributes.figures import NAMES, PUBLISHED, Figures, by_group, calibration_error, figures
from tools.learning.runtime import open_file
from tools.recognition.masks import Masks, drawn_masks, template_masks
from tools.recognition.plots import Axis, Line, draw_lines

WEIGHTS = Path(__file__).parent.parent / "engines" / "weights" / "gender.onnx"
_BATCH = 32


def detector_of(settings: Settings) -> Find:
    """Finds the face nearest to the middle of a picture with the product's detector."""
    names = networks_of(settings.detection.detector)
    models = prepare(settings.engines.cache, names)
    opened = {name: open_engine(model, cache=settings.engines.cache) for name, model in models.items()}
    detector = open_detector(settings.detection, opened, 20)

    def find(picture: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        faces = detector.detect([picture])[0]
        if not len(faces):
            return None
        middle = (faces.boxes[:, :2] + faces.boxes[:, 2:]) / 2 - np.array(picture.shape[1::-1]) / 2
        return np.asarray(faces.landmarks[int(np.hypot(*middle.T).argmin())], np.float32)

    return find


def measure(
    estimator: GenderEstimator,
    pictures: Sequence[Labelled],
    known: dict[str, NDArray[np.float32]],
    find: Find | None,
    masks: Masks | None,
    draws: int,
    progress: Progress,
) -> tuple[dict[str, Figures], dict[str, float], NDArray[np.float32], NDArray[np.intp]]:
    """(figures by set, the whole first; share without a face, calibration error; probabilities [found, 2]; truth)."""
    bar = progress.add_task(masks.about if masks else "as photographed", total=1.0)
    crops, has = crops_of(pictures, known, find, masks, lambda share: progress.update(bar, completed=share))
    if not len(crops):
        raise ValueError("pictures: must show at least one face, found none")
    shown = [each for each, there in zip(pictures, has, strict=True) if there]
    told = np.concatenate([estimator.estimate(crops[i : i + _BATCH]) for i in range(0, len(crops), _BATCH)])
    truth = np.array([each.gender for each in shown])
    numbers: dict[str, int] = {}
    person = np.array([numbers.setdefault(each.person, len(numbers)) for each in shown])
    found = {"all": figures(truth, told, person, draws)}
    for column in ("race", "age"):
        labels = [each.groups[column] for each in shown]
        groups = by_group(truth, told, person, labels, draws)
        found |= {f"{column} {label}": of for label, of in groups.items()}
    about = {"no face found": float(1 - has.mean()), "calibration error": calibration_error(truth, told)}
    return found, about, told, truth


def text_of(name: str, report: dict[str, Any]) -> str:
    """A report as Markdown, for the card and for the eye."""
    lines = [f"### {name}", ""]
    for condition, part in report.items():
        sets: dict[str, Figures] = part["sets"]
        total, about = sets["all"], part["about"]
        table = "; ".join(
            f"{true} told as "
            + ", ".join(f"{said} {total.confusion[i][j]}" for j, said in enumerate(GENDERS))
            for i, true in enumerate(GENDERS)
        )
        lines += [
            f"**{condition}**: {total.faces} faces, {about['no face found']:.2%} of the pictures without one; "
            f"calibration error {about['calibration error']:.3f}. Confusion: {table}.",
            "",
            "| set | faces | " + " | ".join(NAMES) + " |",
            "|---|---|" + "---|" * len(NAMES),
        ]
        for label, of in sets.items():
            values = (_figure(of, figure, label == "all") for figure in NAMES)
            lines.append(f"| {label} | {of.faces} | " + " | ".join(values) + " |")
        lines.append("")
    return "\n".join(lines)


def published_text(total: Figures) -> str:
    """The rows of the paper beside this network's, with recall and precision as means over both genders."""
    lines = [
        "Published for LFW, beside this network (recall and precision of ours: mean of both genders; of which pictures "
        "and which gender theirs are is not said):",
        "",
        "| network | recall | precision | accuracy |",
        "|---|---|---|---|",
    ]
    lines += [f"| {name} | {r:.2f} | {p:.2f} | {a:.2f} |" for name, r, p, a in PUBLISHED]
    recall, precision = (
        float(np.mean([total.values[f"{kind} {gender}"].value for gender in GENDERS]))
        for kind in ("recall", "precision")
    )
    lines.append(f"| **this one** | {recall:.3f} | {precision:.3f} | {total.values['accuracy'].value:.3f} |")
    return "\n".join(lines)


def _figure(of: Figures, name: str, whole: bool) -> str:
    found = of.values.get(name)
    if found is None:
        return ""
    interval = f" [{found.low:.3f}, {found.high:.3f}]" if whole or name == "accuracy" else ""
    return f"{found.value:.3f}{interval}"


def _reliability(path: Path, name: str, told: NDArray[np.float32], truth: NDArray[np.intp]) -> None:
    """What was said against what was true, as a picture."""
    probability, male = told[:, 1], truth == 1
    bins = np.minimum((probability * 10).astype(int), 9)
    there = [b for b in range(10) if (bins == b).any()]
    said = np.array([float(probability[bins == b].mean()) for b in there])
    true = np.array([float(male[bins == b].mean()) for b in there])
    axes = Axis(f"probability of {GENDERS[1]} that is said", 0, 1), Axis("share that are", 0, 1)
    draw_lines(path, name, *axes, [Line(name, said, true, marked=True)], diagonal=True)


def main(
    labels: Annotated[list[Path], typer.Option(help="CSV with file and gender; may be repeated")],
    root: Annotated[
        list[Path] | None, typer.Option(help="Folder of its pictures, one for each CSV; else the CSV's own")
    ] = None,
    folder: Annotated[
        list[str] | None, typer.Option(help="Only files whose name in the CSV begins so, one for each CSV")
    ] = None,
    landmarks: Annotated[
        Path | None, typer.Option(help="Index with landmarks; other faces are found by the detector")
    ] = None,
    templates: Annotated[
        Path | None, typer.Option(help="Put these photographed masks on, instead of drawn ones")
    ] = None,
    most: Annotated[
        int, typer.Option(help="So many pictures of each CSV at the most, by chance; 0: all")
    ] = 0,
    draws: Annotated[int, typer.Option(help="Draws of people for the intervals")] = 400,
    model: Annotated[Path, typer.Option(help="ONNX file to measure")] = WEIGHTS,
    json_file: Annotated[Path | None, typer.Option("--json", help="Where to write all figures")] = None,
    plot: Annotated[Path | None, typer.Option(help="Folder for a picture of said against true")] = None,
    card: Annotated[bool, typer.Option("--card", help="Put the figures into the network's card")] = False,
) -> None:
    """Prints how often gender is told rightly, by set, mask and group."""
    cv2.setNumThreads(1)
    for option, given in (("--root", len(root or ())), ("--folder", len(folder or ()))):
        if given not in (0, len(labels)):
            raise typer.BadParameter(f"{option}: must be given once for each --labels, found {given}")
    engine = open_file(model)
    estimator = GenderEstimator(engine)
    texts, everything = [], dict[str, Any]()
    try:
        known = known_landmarks(landmarks) if landmarks else {}
        masks = template_masks(templates) if templates else drawn_masks()
        for number, path in enumerate(labels):
            part = folder[number] if folder else ""
            pictures = read_labels(path, root[number] if root else path.parent, part)
            drawn = 0 < most < len(pictures)
            if drawn:
                order = np.random.default_rng(0).permutation(len(pictures))[:most]
                pictures = [pictures[i] for i in sorted(order)]
            lacking = any(str(each.path.absolute()) not in known for each in pictures)
            find = detector_of(Settings()) if lacking else None
            report: dict[str, Any] = {}
            with Progress() as progress:
                for condition, worn in (("As photographed", None), (f"With masks, {masks.about}", masks)):
                    sets, about, told, truth = measure(
                        estimator, pictures, known, find, worn, draws, progress
                    )
                    report[condition] = {"sets": sets, "about": about}
                    if plot:
                        file = plot / f"{path.stem}-{'masked' if worn else 'plain'}.png"
                        _reliability(file, condition, told, truth)
            name = f"{path.stem} {part}".strip() + (f", {most} pictures by chance" if drawn else "")
            texts.append(text_of(name, report))
            if "lfw" in path.stem.lower():
                texts.append(published_text(report["As photographed"]["sets"]["all"]))
            everything[name] = report
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    Console(width=200).print("\n".join(texts), markup=False, highlight=False)
    if json_file:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        found = {"model_sha256": engine.info.model_sha256, "sets": msgspec.to_builtins(everything)}
        json_file.write_text(json.dumps(found, indent=1))
    if card:
        put_figures(model.with_suffix(".md"), "\n\n".join(texts))


if __name__ == "__main__":
    typer.run(main)
