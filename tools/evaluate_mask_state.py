"""Measures the mask state classifier on pictures that it was not trained on, by face size.

    python -m tools.evaluate_mask_state --real REAL_MASKED --faces FACES/index.csv \
        --templates TEMPLATES/MaskTheFace --json runs/maskstate.json

Sets: the held-out 15 % of the two training sets, the crops of a set that was not trained on at all, and faces of
`fairface/val` without and with photographed mask templates. Real faces are counted in bins of their size
in the camera's pixels; the sets of templates are also shrunk to fixed sizes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from engines.masks.state import STATES, MaskState, MaskStateClassifier, crop
from engines.masks.templates import apply_template, read_templates
from tools.learning.faces import read_index, read_picture
from tools.learning.runtime import open_file
from tools.learning.states import RealFace, detector_box, read_crops, real_parts

WEIGHTS = Path(__file__).parent.parent / "engines" / "weights" / "maskstate.onnx"
BINS = (0, 24, 32, 48, 96, 100_000)
Examples = tuple[NDArray[np.uint8], NDArray[np.int64]]


def figures(probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> dict[str, float]:
    """Accuracy of three states and of none against worn, F1 of each state, and calibration error.

    none_vs_worn: over pictures whose true state is one of the two; a wrong one is any other answer.
    ece: expected calibration error of the chosen state's probability, ten bins (Guo et al., 2017).
    """
    chosen = probabilities.argmax(1)
    sure, right = probabilities.max(1), chosen == labels
    bins = np.minimum((sure * 10).astype(int), 9)
    ece = sum(
        abs(right[bins == b].mean() - sure[bins == b].mean()) * (bins == b).mean() for b in np.unique(bins)
    )
    plain = labels != STATES.index(MaskState.WORN_WRONGLY)
    either = probabilities[:, :2].argmax(1)
    result = {
        "faces": float(len(labels)),
        "accuracy": float(right.mean()),
        "none_vs_worn": float((chosen == labels)[plain].mean()) if plain.any() else float("nan"),
        "none_vs_worn_of_two": float((either == labels)[plain].mean()) if plain.any() else float("nan"),
        "ece": float(ece),
    }
    for i, state in enumerate(STATES):
        hit = float(((chosen == i) & (labels == i)).sum())
        total = float((chosen == i).sum() + (labels == i).sum())
        if (labels == i).any():
            result[f"f1.{state.value}"] = 2 * hit / total if total else 0.0
    return result


def crops_of(faces: Sequence[RealFace]) -> Examples:
    """The classifier's view of real faces, and their labels."""
    pictures = {path: read_picture(path) for path in {face.path for face in faces}}
    views = [crop(pictures[face.path], face.box) for face in faces]
    return np.stack(views), np.array([STATES.index(face.state) for face in faces])


def templated(index: Path, folder: str, templates: Path, pixels: int) -> Examples:
    """Each face of an index once bare and once with a template, seen by a camera that gives it `pixels`."""
    masks = read_templates(templates)
    names = sorted(masks)
    views, labels = [], []
    for i, face in enumerate(read_index(index, folder)):
        picture, box = face.read(), detector_box(face.landmarks)
        for label, shown in enumerate(
            (picture, apply_template(picture, face.landmarks, masks[names[i % len(names)]])[0])
        ):
            scale = pixels / float((box[2:] - box[:2]).max())
            small = cv2.resize(shown, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            views.append(crop(np.asarray(small, np.uint8), box * scale))
            labels.append(label)
    return np.stack(views), np.array(labels)


def classify(classifier: MaskStateClassifier, examples: Examples) -> dict[str, float]:
    """The figures of a set."""
    views, labels = examples
    parts = [classifier.classify(views[i : i + 64]) for i in range(0, len(views), 64)]
    return figures(np.concatenate(parts), labels)


def by_size(
    classifier: MaskStateClassifier, faces: Sequence[RealFace], name: str
) -> dict[str, dict[str, float]]:
    """The figures of a set of real faces: all, and in bins of size."""
    result = {f"{name} all": classify(classifier, crops_of(faces))}
    for low, high in pairwise(BINS):
        part = [face for face in faces if low <= face.pixels < high]
        if len(part) >= 15:
            label = f"{low}-{high} px" if high < BINS[-1] else f">= {low} px"
            result[f"{name} {label}"] = classify(classifier, crops_of(part))
    large = [face for face in faces if face.pixels >= 48]
    result[f"{name} >= 48 px"] = classify(classifier, crops_of(large))
    return result


def main(
    real: Annotated[Path, typer.Option(help="Folder of real pictures with index.csv")] = Path("real_masked"),
    unseen: Annotated[
        str, typer.Option(help="Crops of 1.5 times the face in that index, never trained on")
    ] = "jolignier_crops/",
    faces: Annotated[Path, typer.Option(help="CSV of unmasked faces with landmarks")] = Path(
        "faces/index.csv"
    ),
    folder: Annotated[
        str, typer.Option(help="Only faces whose name in the index begins so")
    ] = "fairface/val",
    templates: Annotated[Path | None, typer.Option(help="Folder with masks.cfg")] = None,
    model: Annotated[Path, typer.Option(help="ONNX file to measure")] = WEIGHTS,
    json_file: Annotated[Path | None, typer.Option("--json", help="Where to write all figures")] = None,
) -> None:
    """Prints how often the mask state is right, by set and size."""
    cv2.setNumThreads(1)
    engine = open_file(model)
    classifier = MaskStateClassifier(engine)
    report = by_size(classifier, real_parts(real)[2], "held out")
    report |= by_size(classifier, read_crops(real / "index.csv", unseen, 1.5, 1e9), "unseen set")
    if templates:
        for pixels in (24, 32, 48, 96):
            report[f"templates {pixels} px"] = classify(
                classifier, templated(faces, folder, templates, pixels)
            )
    columns = (
        "faces",
        "accuracy",
        "none_vs_worn",
        "none_vs_worn_of_two",
        "f1.none",
        "f1.worn",
        "f1.worn_wrongly",
        "ece",
    )
    table = Table("", *columns)
    for name, row in report.items():
        table.add_row(name, *(f"{row[c]:.3f}" if c in row else "" for c in columns))
    Console(width=150).print(table)
    if json_file:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(json.dumps({"model_sha256": engine.info.model_sha256, "sets": report}, indent=1))


if __name__ == "__main__":
    typer.run(main)
