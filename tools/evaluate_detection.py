r"""Measures how well the detectors find faces, with masks and without, and how long they take.

    python -m tools.evaluate_detection --boxes boxes.csv --root PICTURES --json figures.json --plots DIR
    python -m tools.evaluate_detection --faces FACES --templates TEMPLATES --json figures.json

Boxes are a CSV (file, class, xmin, ymin, xmax, ymax), a line for each face; class says how it wears a mask. For every
detector of the product: recall and precision at an overlap of 0.4 and of 0.5, average precision over what it finds with
the configuration's thresholds, recall by mask state and by size of the face, what it gains over the first detector,
and the time a picture takes, all detectors in turns. Intervals hold 95 % of draws of pictures.

With --faces, masks are put on the faces of a folder: which are found still, and how far their landmarks move from where
the same detector saw them before, by distance of the eyes in pixels.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import cv2
import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from engines.backends import EngineError
from engines.detection.detectors import DETECTORS, Detector, networks_of
from engines.detection.landmarks import LandmarkRefiner
from engines.faces import Faces
from engines.models import ModelError, prepare
from stream.chosen_engines import open_engines
from stream.config import ConfigError, Settings, load
from stream.networks import open_detector
from tools.benchmarks.report import machine, spread, versions
from tools.detection.figures import CURVE, Figures, figures_of
from tools.detection.landmarks import PARTS, Finder, Moved, moved
from tools.detection.matching import match
from tools.detection.refined import Refined
from tools.detection.scenes import Scene, read_scenes
from tools.learning.faces import LabelledFace, read_picture
from tools.recognition.bootstrap import People
from tools.recognition.masks import SYNTHETIC
from tools.recognition.opening import Progress, cell, masks_for, wide_console, write_json
from tools.recognition.plots import Axis, Line, draw_lines
from tools.unmasking.cases import find_faces

OVERLAPS = (0.4, 0.5)
T = TypeVar("T")
_WARM_UP = 3  # pictures whose time does not count

app = typer.Typer(add_completion=False)


@app.command()
def evaluate_detection(
    boxes: Annotated[Path | None, typer.Option(help="CSV of faces: file, class and their boxes.")] = None,
    root: Annotated[Path | None, typer.Option(help="Folder that the files of the CSV lie in.")] = None,
    faces: Annotated[
        Path | None, typer.Option(help="Folder of faces without masks, to put masks on for the landmarks.")
    ] = None,
    templates: Annotated[
        Path | None, typer.Option(help="Folder of photographed mask templates; drawn masks without it.")
    ] = None,
    detector: Annotated[
        list[str] | None, typer.Option(help="A detector to measure; all of the product's without.")
    ] = None,
    min_face: Annotated[
        int, typer.Option(min=12, help="The smallest face that is looked for and counts, in pixels.")
    ] = 20,
    eyes: Annotated[
        list[float] | None, typer.Option(help="Pixels between the eyes of --faces; 12, 20 and 40 without.")
    ] = None,
    limit: Annotated[
        int, typer.Option(help="Only so many pictures of each kind, evenly picked; 0: all.")
    ] = 0,
    config: Annotated[
        Path | None, typer.Option(help="Configuration of the product; its defaults without.")
    ] = None,
    draws: Annotated[int, typer.Option(min=20, help="Draws of pictures for the intervals.")] = 200,
    json_file: Annotated[Path | None, typer.Option("--json", help="Where to write all figures.")] = None,
    plots: Annotated[Path | None, typer.Option(help="Folder for the curves, as pictures.")] = None,
) -> None:
    """Measure detectors."""
    if (boxes is None) != (root is None) or (boxes is None and faces is None):
        raise typer.BadParameter("--boxes and --root must be given together, or --faces, or all three")
    cv2.setNumThreads(1)
    masks = masks_for("--templates", SYNTHETIC, templates)
    assert masks is not None
    names = list(dict.fromkeys(detector or ("mtcnn", *(name for name in DETECTORS if name != "mtcnn"))))
    try:
        settings = load(config) if config else Settings()
        detectors = _open(settings, names, min_face)
        scenes = _some(read_scenes(boxes, root), limit) if boxes and root else []
    except (ConfigError, ValueError) as error:
        raise typer.BadParameter(str(error)) from None
    except (ModelError, EngineError) as error:
        raise typer.BadParameter(f"the networks of the configuration cannot run here: {error}") from None
    report: dict[str, Any] = {
        "protocol": {
            "boxes": boxes.name if boxes else None,
            "pictures": len(scenes),
            "min_face": min_face,
            "thresholds": settings.detection.thresholds,
            "min_score": settings.detection.min_score,
            "engines": settings.engines.model_dump(mode="json"),
            "draws": draws,
            "machine": machine(),
            "versions": versions(),
        }
    }
    try:
        with Progress() as progress:
            if scenes:
                found, report["ms"] = _find(scenes, detectors, progress.of("Finding faces"))
                report["overlaps"] = {
                    least: figures_of(
                        {n: match(scenes, f, least, min_face) for n, f in found.items()},
                        People(len(scenes), draws),
                    )
                    for least in OVERLAPS
                }
            if faces:
                people = _some(_bare(faces, detectors), limit)
                rows: dict[str, Finder] = {
                    **detectors,
                    f"{list(detectors)[-1]}, refined": _refined(settings, detectors),
                }
                report["masks"] = masks.about
                report["eyes"] = {
                    px: moved(people, rows, px, masks, draws, progress.of(f"Masking faces, eyes {px:g} px"))
                    for px in eyes or (12.0, 20.0, 40.0)
                }
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    _print(report)
    if json_file:
        write_json(json_file, report)
    if plots and scenes:
        draw_curves(plots, report["overlaps"])


def _open(settings: Settings, names: Sequence[str], min_face: int) -> dict[str, Detector]:
    chosen = settings.engines
    models = prepare(chosen.cache, sorted({network for name in names for network in networks_of(name)}))
    opened = open_engines(chosen, models)
    detection = settings.detection
    return {
        name: open_detector(detection.model_copy(update={"detector": name}), opened, min_face)
        for name in names
    }


def _refined(settings: Settings, detectors: Mapping[str, Detector]) -> Refined:
    """The last of the detectors, its landmarks refined."""
    chosen = settings.engines
    opened = open_engines(chosen, prepare(chosen.cache, ["landmarks"]))
    return Refined(list(detectors.values())[-1], LandmarkRefiner(opened["landmarks"]))


def _find(
    scenes: Sequence[Scene], detectors: Mapping[str, Detector], progress: Callable[[float], None]
) -> tuple[dict[str, list[Faces]], dict[str, dict[str, float]]]:
    """What each detector finds in each picture, and the milliseconds it took."""
    found: dict[str, list[Faces]] = {name: [] for name in detectors}
    took: dict[str, list[float]] = {name: [] for name in detectors}
    for done, scene in enumerate(scenes):
        progress(done / len(scenes))
        picture = read_picture(scene.path)
        for name, detector in detectors.items():
            began = time.perf_counter()
            found[name] += detector.detect([picture])
            took[name].append((time.perf_counter() - began) * 1e3)
    return found, {name: spread(times[_WARM_UP:] or times) for name, times in took.items()}


def _bare(folder: Path, detectors: Mapping[str, Detector]) -> list[LabelledFace]:
    if not folder.is_dir():
        raise ValueError(f"--faces: must be a folder, found {folder}")
    return find_faces(folder, next(iter(detectors.values())))[0]


def _some(items: Sequence[T], limit: int) -> list[T]:
    count = min(limit or len(items), len(items))
    return [items[i] for i in np.linspace(0, len(items) - 1, count).astype(int)]


def _print(report: Mapping[str, Any]) -> None:
    console = wide_console()
    for least, of in report.get("overlaps", {}).items():
        _print_found(console, f"overlap {least}, {report['protocol']['pictures']} pictures", of, report["ms"])
    for px, of_eyes in report.get("eyes", {}).items():
        _print_moved(console, f"masks put on ({report['masks']}), eyes {px:g} px apart", of_eyes)
    here = report["protocol"]["machine"]
    console.print(f"{here['cpu']}, load average before {here['load_average']}", markup=False)


def _print_found(
    console: Console, title: str, of: Mapping[str, Figures], ms: Mapping[str, Mapping[str, float]]
) -> None:
    table = Table("detector", "recall", "precision", "average precision", "ms p50", "p99", title=title)
    for name, figures in of.items():
        numbers = (figures.recall["all"], figures.precision, figures.average_precision)
        table.add_row(name, *map(cell, numbers), *(f"{ms[name][q]:.1f}" for q in ("p50_ms", "p99_ms")))
    console.print(table)
    table = Table("recall of", "faces", *of, title=title)
    first = next(iter(of.values()))
    for group, count in first.counts.items():
        table.add_row(group, str(count), *(cell(figures.recall[group]) for figures in of.values()))
    console.print(table)
    gains = {name: figures.against for name, figures in of.items() if figures.against}
    if gains:
        table = Table("recall gained over the first", *gains, title=title)
        for group in first.counts:
            table.add_row(group, *(cell(gain[group]) for gain in gains.values()))
        console.print(table)


def _print_moved(console: Console, title: str, of: Mapping[str, Moved]) -> None:
    table = Table("detector", "faces", "found", *(f"{part} moved, median" for part in PARTS), title=title)
    for part in PARTS:
        table.add_column(f"{part}, 90 %")
    for name, figures in of.items():
        values = map(cell, (figures.found, *figures.median.values()))
        table.add_row(name, str(figures.faces), *values, *(f"{e.value:.4f}" for e in figures.p90.values()))
    console.print(table)


def draw_curves(folder: Path, overlaps: Mapping[float, Mapping[str, Figures]]) -> None:
    """Writes precision-recall-OVERLAP.png."""
    for least, of in overlaps.items():
        lines = [Line(name, CURVE, figures.curve) for name, figures in of.items()]
        draw_lines(
            folder / f"precision-recall-{least:g}.png",
            f"Precision over recall, overlap {least:g}",
            Axis("recall", 0, 1),
            Axis("precision", 0.5, 1),
            lines,
        )


if __name__ == "__main__":
    app()
