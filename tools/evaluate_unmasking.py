"""Measures unmasking generators, side by side and beside controls, on faces and masks they were not trained on.

    python -m tools.evaluate_unmasking --images FACES/fairface/val --templates TEMPLATES/MaskTheFace --json all.json
    python -m tools.evaluate_unmasking --images MY_PICTURES --also other=other.onnx --sheet sheet.png

Each face gets one template in turn (or, without --templates, a drawn mask) at full size; then alignment and generator
as in the live path. Inside the true mask: L1 (0..1), PSNR, SSIM, sharpness over the truth's, a perceptual distance.
Of the mask: IoU, and how many pixels far from it changed at all. Of the set: Fréchet and kernel distance to other real
faces, by the network that sees them, beside the distance of real faces to real faces. Where people have two pictures:
whether a guess is like *another* photograph of its person, to SFace and, where it is installed, to dlib's network (EER
of telling these from other people's). Controls: the mask left on, a mean face, another person's
lower face and OpenCV's inpainting, all *given* the true mask. By template, pose and group, and again as small, dark and
infrared faces. Of faces without masks: how many come out as they went in. 95 % intervals by bootstrap over faces.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from engines.backends import open_engine
from engines.detection.mtcnn import MTCNN
from engines.models import ModelError, prepare
from engines.recognition.embedder import SFace
from engines.unmasking.generator import Reconstructions, Unmasker
from stream.config import Engines
from tools.learning.faces import LabelledFace, mean_face
from tools.learning.features import NAME, Features
from tools.learning.image_metrics import psnr
from tools.learning.runtime import open_file
from tools.unmasking import controls
from tools.unmasking.cases import CONDITIONS, Case, find_faces, make_cases
from tools.unmasking.identity import identities
from tools.unmasking.measures import (
    UNTOUCHED_DB,
    Eyes,
    cross_identity,
    grouped,
    measure,
    measure_mask,
    set_distances,
    summary,
)
from tools.unmasking.sheet import draw_sheet

WEIGHTS = Path(__file__).parent.parent / "engines" / "weights" / "unmask.onnx"
_CONDITION_FACES = 300


def unmask_all(unmasker: Unmasker, pictures: Sequence[NDArray[np.uint8]]) -> Reconstructions:
    """A generator's pictures and masks of all of them."""
    parts = [unmasker.unmask(np.stack(pictures[at : at + 16])) for at in range(0, len(pictures), 16)]
    return Reconstructions(
        np.concatenate([part.pictures for part in parts]), np.concatenate([part.masks for part in parts])
    )


def evaluate(
    cases: Sequence[Case], generators: dict[str, Unmasker], mean: NDArray[np.uint8], eyes: Eyes
) -> tuple[dict[str, Any], dict[str, NDArray[np.uint8]]]:
    """The figures of every generator and control by its name, and their pictures."""
    rng = np.random.default_rng(0)
    guesses: dict[str, NDArray[np.uint8]] = {}
    masks: dict[str, NDArray[np.float32]] = {}
    for name, unmasker in generators.items():
        made = unmask_all(unmasker, [case.masked for case in cases])
        guesses[name], masks[name] = made.pictures, made.masks
    made_by: dict[str, Callable[[int], NDArray[np.uint8]]] = {
        "control: inpainting": lambda i: controls.inpainting(cases[i]),
        "control: mean face": lambda i: controls.mean_face(cases[i], mean),
        "control: other person": lambda i: controls.other_person(cases, i),
        "control: mask left on": lambda i: controls.mask_left_on(cases[i]),
    }
    for name, make in made_by.items():
        guesses[name] = np.stack([make(i) for i in range(len(cases))])
    truths, wheres = np.stack([case.truth for case in cases]), np.stack([case.mask for case in cases])
    people = [case.group.get("identity", "") for case in cases]
    of_truth = {kind: embed(truths) for kind, embed in eyes.identities.items()}
    seen = eyes.look(guesses, truths, wheres)
    report: dict[str, Any] = {}
    for name, pictures in guesses.items():
        rows = [measure(case, guess) for case, guess in zip(cases, pictures, strict=True)]
        if name in masks:
            for row, case, guess, mask in zip(rows, cases, pictures, masks[name], strict=True):
                row |= measure_mask(case, guess, mask)
        if seen:
            for row, distance in zip(rows, seen.distances[name], strict=True):
                row[f"perceptual[{NAME}]"] = float(distance)
        embedded = {kind: embed(pictures) for kind, embed in eyes.identities.items()}
        for kind, vectors in embedded.items():
            for row, cosine in zip(rows, (vectors * of_truth[kind]).sum(1), strict=True):
                row[f"same_picture_cosine[{kind}]"] = float(cosine)
        report[name] = grouped(cases, rows, rng) if name in masks else {"all": summary(rows, rng)}
        if seen and len(cases) >= 20:
            report[name][f"distance[{NAME}]"] = set_distances(seen.pooled[name], seen.real)
        for kind, vectors in embedded.items():
            if crossed := cross_identity(vectors, of_truth[kind], people):
                report[name][f"cross_identity[{kind}]"] = crossed
    return report, guesses


def untouched(cases: Sequence[Case], unmasker: Unmasker) -> dict[str, float]:
    """Of faces without masks: the share that came out within UNTOUCHED_DB, and the share of pixels painted."""
    made = unmask_all(unmasker, [case.truth for case in cases])
    everywhere = np.ones(made.masks.shape[1:], bool)
    passed = [
        psnr(guess, case.truth, everywhere) >= UNTOUCHED_DB
        for case, guess in zip(cases, made.pictures, strict=True)
    ]
    return {"passed_share": float(np.mean(passed)), "painted_share": float((made.masks > 0.5).mean())}


def _table(title: str, parts: dict[str, dict[str, Any]]) -> Table:
    columns = {
        "l1": "L1",
        "psnr": "PSNR dB",
        "ssim": "SSIM",
        "sharpness_ratio": "sharpness",
        f"perceptual[{NAME}]": "perceptual",
        "mask_iou": "mask IoU",
        "outside_changed_share": "outside",
    }
    table = Table(title, "faces", *columns.values())
    for name, part in parts.items():
        cells = [f"{part[key]['mean']:.3f}" if key in part else "" for key in columns]
        table.add_row(name, str(part["faces"]), *cells)
    return table


def _set_table(report: dict[str, Any], identities: Collection[str]) -> Table:
    crossing = [f"EER[{kind}]" for kind in identities]
    table = Table("of the set", f"Fréchet[{NAME}]", "floor", "kernel", "floor", *crossing, "legacy*")
    for name, part in report.items():
        distance = part.get(f"distance[{NAME}]", {})
        cells = [f"{distance[k]:.2f}" if distance else "" for k in ("frechet", "frechet_floor")]
        cells += [f"{distance[k]:.4f}" if distance else "" for k in ("kernel", "kernel_floor")]
        for kind in identities:
            crossed = part.get(f"cross_identity[{kind}]")
            cells.append(f"{crossed['equal_error_rate']:.3f}" if crossed else "")
        legacy = part["all"]
        cells.append(
            f"{legacy['dominant_channel_accuracy']['mean']:.3f} / {legacy['mean_squared_error']['mean']:.3f}"
        )
        table.add_row(name, *cells)
    return table


def _files(model: Path, also: Sequence[str]) -> dict[str, Path]:
    named = {"unmask": model}
    for entry in also:
        name, found, path = entry.partition("=")
        if not found or not name:
            raise typer.BadParameter(f"--also: must be NAME=FILE.onnx, found {entry!r}")
        named[name] = Path(path)
    return named


def main(
    images: Annotated[Path, typer.Option(help="Folder of pictures of faces without masks")],
    templates: Annotated[
        Path | None, typer.Option(help="Folder of mask templates; drawn masks without it")
    ] = None,
    mean_of: Annotated[
        Path | None, typer.Option(help="Folder whose faces make the mean face; --images without it")
    ] = None,
    model: Annotated[Path, typer.Option(help="The generator, ONNX")] = WEIGHTS,
    also: Annotated[
        list[str] | None, typer.Option(help="NAME=FILE.onnx: another generator to put beside it; repeatable")
    ] = None,
    limit: Annotated[int, typer.Option(help="Most faces to use; 0: all")] = 0,
    features: Annotated[
        bool, typer.Option(help=f"Perceptual and Fréchet distances by {NAME} (needs the extra `evaluate`)")
    ] = True,
    json_file: Annotated[Path | None, typer.Option("--json", help="Where to write all figures")] = None,
    sheet: Annotated[Path | None, typer.Option(help="Where to draw a contact sheet (PNG)")] = None,
) -> None:
    """Prints the figures of unmasking generators beside controls."""
    cv2.setNumThreads(1)
    if not images.is_dir():
        raise typer.BadParameter(f"--images: must be a folder, found {images}")
    opened = {name: open_file(path) for name, path in _files(model, also or []).items()}
    generators = {name: Unmasker(engine) for name, engine in opened.items()}
    prepared = prepare(Engines().cache, ("pnet", "rnet", "onet", "sface"))
    engines = {name: open_engine(prepared[name], "auto", threads=1) for name in prepared}
    detector, embedder = MTCNN(engines, min_face=40), SFace(engines["sface"])
    try:
        faces, without = find_faces(images, detector)
        mean = _mean(faces, mean_of, detector)
        eyes = Eyes(Features() if features else None, identities(embedder))
        faces = faces[: limit or None]
        cases = make_cases(faces, templates)
    except (ValueError, ModelError) as error:
        raise typer.BadParameter(str(error)) from None
    report, guesses = evaluate(cases, generators, mean, eyes)
    for name, unmasker in generators.items():
        report[name]["without a mask"] = untouched(cases, unmasker)
        report[name]["conditions"] = {}
        for condition, camera in list(CONDITIONS.items())[1:]:
            seen = make_cases(faces[:_CONDITION_FACES], templates, camera)
            made = unmask_all(unmasker, [case.masked for case in seen])
            rows = [
                measure(case, guess) | measure_mask(case, guess, mask)
                for case, guess, mask in zip(seen, made.pictures, made.masks, strict=True)
            ]
            report[name]["conditions"][condition] = summary(rows, np.random.default_rng(0))
    console = Console(width=150)
    console.print(_table("inside the mask", {name: part["all"] for name, part in report.items()}))
    console.print(_set_table(report, eyes.identities))
    print(
        "* P3's two figures under honest names: dominant_channel_accuracy / mean_squared_error, inside the mask"
    )
    first = report["unmask"]
    parts = {name: part for name, part in first.items() if isinstance(part, dict) and "l1" in part}
    console.print(_table("unmask, by part", parts | first["conditions"]))
    for name in generators:
        passed = report[name]["without a mask"]
        print(
            f"{name}: {passed['passed_share']:.1%} of faces without a mask came out within {UNTOUCHED_DB:g} dB; "
            f"{passed['painted_share']:.2%} of their pixels were painted"
        )
    if without:
        print(f"{without} pictures without a face that could be found were left out")
    report["protocol"] = {
        "images": images.name,
        "faces": len(cases),
        "pictures_without_a_face": without,
        "masks": templates.name if templates else "drawn",
        "models": {
            name: {"sha256": engine.info.model_sha256, "backend": engine.info.backend}
            for name, engine in opened.items()
        },
    }
    for path in (json_file, sheet):
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
    if json_file:
        json_file.write_text(json.dumps(report, indent=1))
    if sheet:
        draw_sheet(sheet, cases, guesses)


def _mean(faces: Sequence[LabelledFace], mean_of: Path | None, detector: MTCNN) -> NDArray[np.uint8]:
    return mean_face((find_faces(mean_of, detector)[0] if mean_of else faces)[:1000])


if __name__ == "__main__":
    typer.run(main)
