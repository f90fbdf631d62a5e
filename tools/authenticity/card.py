"""The card of a trained authenticity network: what it is, what it was trained on, what it can and cannot do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_ABOUT = {
    "light": "EfficientNet-Lite0 up to a sixteenth of the size; mean, maximum and deviation of four of its maps in 3 x "
    "3 cells; 96 units, sigmoid",
    "custom": "three times convolution and pooling, flattened; 512, 256 and 1 units",
    "ensemble": "Xception, ResNet50, VGG19 (no tops, global average pooling) and a small flattened network, put side "
    "by side; 512, 256 and 1 units",
}
FIGURES = "## Figures"


def write_card(path: Path, record: Mapping[str, Any], tables: str | None, notes: Sequence[str] = ()) -> None:
    """Writes the card as Markdown.

    record: what tools.train_authenticity kept. tables: the figures; None before they are measured. notes:
    what to know of the figures, a sentence each.
    """
    plan = record["plan"]
    network, size = plan["network"], plan["size"]
    about = _ABOUT.get(network, f"{network} without its top, global average pooling; 512, 256 and 1 units")
    began = ", ".join(f"{branch} from {file}" for branch, file in record["imagenet"].items())
    lines = [
        f"# {path.stem}.onnx: painted or photographed?",
        "",
        "| | |",
        "|---|---|",
        "| Task | One face in, the probability out that it, or the mask on it, is painted or generated |",
        f"| Input | `picture`, float32 [N, 3, {size}, {size}], RGB, 0..255: `engines.masks.authenticity.crop`, the "
        "face frame by eyes and nose |",
        "| Output | `probability`, float32 [N, 1], sigmoid with the temperature inside the graph "
        f"({record['temperature']:.2f}) |",
        f"| Network | {about}; {record['parameters'] / 1e6:.2f} M parameters, stored in float16, computed in float32 |",
        f"| Begun from | {began or 'random weights: no ImageNet weights were given'} |",
        "| Licence | Apache-2.0, as this repository |",
        "",
        "## Data",
        "",
        f"{record['examples']} examples made by `tools.make_authenticity_examples` of photographs in "
        + ", ".join(
            f"`{Path(folder).parent.name}/{Path(folder).name}`" for folder in record["made_of"]["folders"]
        )
        + ".",
        f"Painted or generated: {', '.join(record['made_of']['families'])}.",
        "Every photograph is in both classes, cut, shrunk and compressed the same way; both classes hold faces with "
        "and without masks, equally often. 80 / 10 / 10 % by photograph, those that look alike always together.",
        "",
        "## Training",
        "",
        f"Adam, binary cross-entropy, batches of {plan['batch']}, highest rate {plan['rate']:g}, seed {plan['seed']}: "
        f"{record['epochs']} epochs, {record['steps']} steps, {record['minutes']:.0f} minutes on a shared CPU. It "
        f"ended because {record['ended']}; the weights are those of epoch {record['best_epoch']}.",
        *_held(plan),
        f"Preparation of the pictures: {', '.join(plan['preparations']) or 'none'}.",
        "",
        "| epoch | validation loss | accuracy |",
        "|---|---|---|",
        *(f"| {c['epoch']:.0f} | {c['loss']:.4f} | {c['accuracy']:.4f} |" for c in record["checks"]),
        "",
        FIGURES,
        "",
        tables or "Not measured yet: `python -m tools.evaluate_authenticity` writes them here.",
        "",
        *(f"- {note}" for note in notes),
        *([""] if notes else []),
        "## Limits",
        "",
        "- It knows the families named above. A generator that paints otherwise may pass; a clean bill is no proof.",
        "- A photograph that was retouched, filtered or printed may be taken for painted. Tell whomever it is about.",
        "- Below some 56 pixels across the face, and after strong compression, paint can not be told from light.",
        "- It is never an input to matching: it neither names nor clears anybody.",
        "",
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines), encoding="utf-8")


def _held(plan: Mapping[str, Any]) -> list[str]:
    if not plan["views"]:
        return []
    return [
        f"Its trunk kept the weights that it began from and looked at {plan['views']} spoilt views of each example "
        "once; only what lies behind it was trained."
    ]
