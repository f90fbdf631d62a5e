"""Measures the unmasking generator on faces and mask templates that it was not trained on.

    python -m tools.evaluate_unmasking --index FACES/index.csv --folder fairface/val \
        --templates TEMPLATES/MaskTheFace --json runs/unmasking.json --sheet runs/unmasking.png

Each face gets one template (or, without --templates, a drawn mask), at full size; the masked picture goes
through alignment and generator as in the live path. Measured inside the true mask: L1 in grey levels, PSNR,
SSIM, sharpness against the truth's. Measured outside: how many pixels changed at all. Controls on the same
pictures: the mask left on, the mean face, and inpainting that is *given* the true mask.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from engines.alignment import FACE_SIZE, face_transform, warp
from engines.masks.synthesis import draw_mask
from engines.masks.templates import apply_template, read_templates
from engines.unmasking.generator import Unmasker
from tools.learning.faces import LabelledFace, mean_face, read_index
from tools.learning.image_metrics import iou, l1, psnr, sharpness, ssim
from tools.learning.runtime import open_file

WEIGHTS = Path(__file__).parent.parent / "engines" / "weights" / "unmask.onnx"
GROUPS = ("gender", "race", "age")


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One face in the face frame. mask: bool, True where the mask covers at least half a pixel."""

    masked: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    template: str
    group: dict[str, str]


def make_cases(faces: Sequence[LabelledFace], templates: Path | None, seed: int = 0) -> list[Case]:
    """Faces with masks, each template in turn; the same each time."""
    masks = read_templates(templates) if templates else {}
    names, rng = sorted(masks), np.random.default_rng(seed)
    cases = []
    for i, face in enumerate(track(faces, "masks")):
        picture = face.read()
        name = names[i % len(names)] if names else "drawn"
        if names:
            masked, alpha = apply_template(picture, face.landmarks, masks[name])
        else:
            masked, alpha = draw_mask(picture, face.landmarks, rng)
        transform = face_transform(face.landmarks)
        cover = warp(np.repeat((alpha * 255).astype(np.uint8)[..., None], 3, 2), transform, FACE_SIZE)[..., 0]
        shown, truth = (warp(p, transform, FACE_SIZE) for p in (masked, picture))
        cases.append(Case(shown, truth, cover >= 128, name, face.group))
    return cases


def toned(mean: NDArray[np.uint8], case: Case) -> NDArray[np.uint8]:
    """The mean face pasted under the mask, its colour matched to the face's visible middle."""
    eyes = np.s_[34:56, 34:94]
    free = ~case.mask[eyes]
    if free.sum() < 50:
        free = np.ones_like(free)
    shift = case.masked[eyes][free].mean(0) - mean[eyes][free].mean(0)
    painted = np.clip(mean + shift, 0, 255).astype(np.uint8)
    return np.where(case.mask[..., None], painted, case.masked)


def inpainted(case: Case) -> NDArray[np.uint8]:
    """Telea's inpainting (2004) with the true mask given to it."""
    wide = cv2.dilate(case.mask.astype(np.uint8), np.ones((5, 5), np.uint8))
    return np.asarray(cv2.inpaint(case.masked, wide, 3, cv2.INPAINT_TELEA), np.uint8)


def measure(case: Case, guess: NDArray[np.uint8]) -> dict[str, float]:
    """The metrics of one guess against the truth, inside the true mask."""
    where = case.mask
    return {
        "l1": l1(guess, case.truth, where),
        "psnr": psnr(guess, case.truth, where),
        "ssim": ssim(guess, case.truth, where),
        "sharpness_ratio": sharpness(guess, where) / max(sharpness(case.truth, where), 1e-6),
    }


def summary(rows: Sequence[dict[str, float]], rng: np.random.Generator) -> dict[str, object]:
    """Means with 95 % intervals by bootstrap over faces."""
    result: dict[str, object] = {"faces": len(rows)}
    for name in rows[0]:
        values = np.array([row[name] for row in rows])
        means = values[rng.integers(0, len(values), (1000, len(values)))].mean(1)
        low, high = np.percentile(means, [2.5, 97.5])
        result[name] = {"mean": float(values.mean()), "low": float(low), "high": float(high)}
    return result


def evaluate(
    cases: Sequence[Case], unmasker: Unmasker, mean: NDArray[np.uint8]
) -> tuple[dict[str, object], list[NDArray[np.uint8]], list[NDArray[np.float32]]]:
    """All figures, the generator's pictures and its masks."""
    guesses: list[NDArray[np.uint8]] = []
    found: list[NDArray[np.float32]] = []
    for start in track(range(0, len(cases), 16), "unmasking"):
        batch = unmasker.unmask(np.stack([case.masked for case in cases[start : start + 16]]))
        guesses += list(batch.pictures)
        found += list(batch.masks)
    untouched = unmasker.unmask(np.stack([case.truth for case in cases[:200]]))
    rng = np.random.default_rng(0)
    rows: dict[str, list[dict[str, float]]] = defaultdict(list)
    for case, guess, mask in zip(cases, guesses, found, strict=True):
        far = cv2.dilate(case.mask.astype(np.uint8), np.ones((9, 9), np.uint8)) == 0
        changed = np.abs(guess.astype(int) - case.masked).max(2)[far]
        row = measure(case, guess) | {
            "mask_iou": iou(mask > 0.5, case.mask),
            "outside_changed_share": float((changed > 2).mean()),
        }
        rows["unmask"].append(row)
        rows[f"template.{case.template}"].append(row)
        for name in GROUPS:
            if case.group.get(name):
                rows[f"{name}.{case.group[name]}"].append(row)
        rows["control.mask_left_on"].append(measure(case, case.masked))
        rows["control.mean_face"].append(measure(case, toned(mean, case)))
        rows["control.inpainting_given_mask"].append(measure(case, inpainted(case)))
    report: dict[str, object] = {name: summary(part, rng) for name, part in sorted(rows.items())}
    report["unmasked_input.painted_share"] = float((untouched.masks > 0.5).mean())
    return report, guesses, found


def draw_sheet(
    path: Path, cases: Sequence[Case], guesses: Sequence[NDArray[np.uint8]], mean: NDArray[np.uint8]
) -> None:
    """A contact sheet: masked, generator, inpainting, mean face, truth."""
    picked = np.linspace(0, len(cases) - 1, 14).astype(int)
    columns = [
        np.vstack([cases[i].masked, guesses[i], inpainted(cases[i]), toned(mean, cases[i]), cases[i].truth])
        for i in picked
    ]
    cv2.imwrite(str(path), cv2.cvtColor(np.hstack(columns), cv2.COLOR_RGB2BGR))


def main(
    index: Annotated[Path, typer.Option(help="CSV of faces with landmarks (tools/learning/faces.py)")] = Path(
        "faces/index.csv"
    ),
    folder: Annotated[
        str, typer.Option(help="Only faces whose name in the index begins so")
    ] = "fairface/val",
    templates: Annotated[
        Path | None, typer.Option(help="Folder with masks.cfg; drawn masks without it")
    ] = None,
    mean_of: Annotated[
        str, typer.Option(help="Faces of the index that make the mean face")
    ] = "fairface/train",
    model: Annotated[Path, typer.Option(help="ONNX file to measure")] = WEIGHTS,
    limit: Annotated[int, typer.Option(help="Most faces to use; 0: all")] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Where to write all figures")] = None,
    sheet: Annotated[Path | None, typer.Option(help="Where to draw a contact sheet (PNG)")] = None,
) -> None:
    """Prints image metrics of the unmasking generator and of its controls."""
    cv2.setNumThreads(1)
    faces = read_index(index, folder)
    cases = make_cases(faces[: limit or None], templates)
    mean = mean_face(read_index(index, mean_of)[:1000])
    engine = open_file(model)
    report, guesses, _ = evaluate(cases, Unmasker(engine), mean)
    report["protocol"] = {
        "faces": folder,
        "masks": "templates" if templates else "drawn",
        "model_sha256": engine.info.model_sha256,
        "backend": engine.info.backend,
    }
    table = Table("", "faces", "L1", "PSNR dB", "SSIM", "sharpness", "mask IoU", "outside changed")
    for name, part in report.items():
        if isinstance(part, dict) and "l1" in part:
            cells = [
                f"{part[key]['mean']:.3f}" if key in part else ""
                for key in ("l1", "psnr", "ssim", "sharpness_ratio", "mask_iou", "outside_changed_share")
            ]
            table.add_row(name, str(part["faces"]), *cells)
    Console(width=150).print(table)
    print(f"painted share of unmasked faces: {report['unmasked_input.painted_share']:.4f}")
    for path in (json_file, sheet):
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
    if json_file:
        json_file.write_text(json.dumps(report, indent=1))
    if sheet:
        draw_sheet(sheet, cases, guesses, mean)


if __name__ == "__main__":
    typer.run(main)
