"""A look at the examples before anything learns from them: distribution, bias and image quality, as pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.authenticity.bars import draw_bars
from tools.authenticity.examples import Example, Examples
from tools.authenticity.sources import PARTS
from tools.recognition.plots import Axis, Line, draw_lines

_LABELS = ("gender", "age", "race")
_MEASURED, _SHOWN = 2000, 10
_GAP = 0.1
"""From this difference in the share of painted examples on, a group is called out."""


def write_data_report(folder: Path, examples: Examples) -> None:
    """Writes data.md, distribution.png, bias.png, sharpness.png, exposure.png and sheet.png."""
    rows = examples.rows
    draw_bars(
        folder / "distribution.png",
        "Examples by family, masks and part",
        {
            f"{family}, {'mask' if masked else 'no mask'}": {
                part: float(sum(r.part == part for r in rows if (r.family, r.masked) == (family, masked)))
                for part in PARTS
            }
            for family, masked in sorted({(r.family, r.masked) for r in rows})
        },
    )
    shares = painted_by_group(rows)
    draw_bars(
        folder / "bias.png",
        "Share of painted examples by group: it must not hang on the group",
        {f"{label}: {value}": {"painted": share} for (label, value), (share, _) in shares.items()},
        whole=1.0,
    )
    quality = _quality(examples)
    titles = {"sharpness": "log10 of the Laplacian's variance", "exposure": "mean grey level"}
    for name, values in quality.items():
        _histograms(folder / f"{name}.png", titles[name], values)
    _sheet(folder / "sheet.png", examples)
    (folder / "data.md").write_text(_text(examples, shares, quality), encoding="utf-8")


def painted_by_group(rows: tuple[Example, ...]) -> dict[tuple[str, str], tuple[float, int]]:
    """(share of painted examples, examples) of each collection, and of each group where the index has labels."""
    named: list[tuple[str, Callable[[Example], str]]] = [("collection", lambda row: row.collection)]
    named += [(label, lambda row, label=label: row.group.get(label, "")) for label in _LABELS]  # type: ignore[misc]
    found: dict[tuple[str, str], tuple[float, int]] = {}
    for label, value_of in named:
        total = Counter(value_of(row) for row in rows)
        painted = Counter(value_of(row) for row in rows if row.painted)
        for value in sorted(total):
            if value:
                found[label, value] = painted[value] / total[value], total[value]
    return found


def _quality(examples: Examples) -> dict[str, dict[str, NDArray[np.float64]]]:
    rng = np.random.default_rng(0)
    picked = rng.permutation(len(examples.rows))[:_MEASURED]
    sharp: dict[str, list[float]] = {"photographed": [], "painted": []}
    light: dict[str, list[float]] = {"photographed": [], "painted": []}
    for i in picked.tolist():
        grey = cv2.cvtColor(np.asarray(examples.pictures[i]), cv2.COLOR_RGB2GRAY)
        name = "painted" if examples.rows[i].painted else "photographed"
        sharp[name].append(float(np.log10(cv2.Laplacian(grey, cv2.CV_64F).var() + 1)))
        light[name].append(float(grey.mean()))
    return {
        "sharpness": {name: np.array(values) for name, values in sharp.items()},
        "exposure": {name: np.array(values) for name, values in light.items()},
    }


def _histograms(path: Path, title: str, values: dict[str, NDArray[np.float64]]) -> None:
    both = np.concatenate(list(values.values()))
    low, high = float(both.min()), float(both.max()) + 1e-6
    edges = np.linspace(low, high, 25)
    lines = []
    for name, of_class in values.items():
        counted = np.histogram(of_class, edges)[0] / max(len(of_class), 1)
        lines.append(Line(name, (edges[:-1] + edges[1:]) / 2, counted.astype(np.float64)))
    top = max(float(line.y.max()) for line in lines)
    draw_lines(path, title, Axis(title, low, high), Axis("share of examples", 0, top * 1.1 + 1e-6), lines)


def _sheet(path: Path, examples: Examples) -> None:
    """Ten random examples of each family and mask, a row each."""
    rng = np.random.default_rng(1)
    lines = []
    for family, masked in sorted({(r.family, r.masked) for r in examples.rows}):
        members = [i for i, r in enumerate(examples.rows) if (r.family, r.masked) == (family, masked)]
        shown = [np.asarray(examples.pictures[i]) for i in rng.permutation(members)[:_SHOWN]]
        shown += [np.full_like(shown[0], 255)] * (_SHOWN - len(shown))
        line = np.hstack(shown)
        cv2.putText(
            line, f"{family}, {'mask' if masked else 'no mask'}", (4, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.42,
            (255, 60, 60), 1, cv2.LINE_AA,
        )  # fmt: skip
        lines.append(line)
    cv2.imwrite(str(path), cv2.cvtColor(np.vstack(lines), cv2.COLOR_RGB2BGR))


def _text(
    examples: Examples,
    shares: dict[tuple[str, str], tuple[float, int]],
    quality: dict[str, dict[str, NDArray[np.float64]]],
) -> str:
    rows = examples.rows
    overall = sum(row.painted for row in rows) / len(rows)
    lines = ["# The examples", "", f"{len(rows)} examples, {100 * overall:.0f} % painted.", ""]
    lines += ["| family | mask | " + " | ".join(PARTS) + " |", "|---" * (2 + len(PARTS)) + "|"]
    for family, masked in sorted({(r.family, r.masked) for r in rows}):
        counts = Counter(r.part for r in rows if (r.family, r.masked) == (family, masked))
        lines.append(
            f"| {family} | {'yes' if masked else 'no'} | " + " | ".join(str(counts[p]) for p in PARTS) + " |"
        )
    lines += ["", "![by family](distribution.png)", "", "## Bias", ""]
    called = [
        f"- {label} {value}: {100 * share:.0f} % of {count} examples are painted, {100 * overall:.0f} % of all."
        for (label, value), (share, count) in shares.items()
        if abs(share - overall) > _GAP and count >= 50
    ]
    lines += called or ["No group of 50 examples or more has another share of painted ones than all have."]
    lines += ["", "![by group](bias.png)", "", "## Image quality", ""]
    for name, values in quality.items():
        middles = ", ".join(f"{k} {np.median(v):.2f}" for k, v in values.items() if len(v))
        lines.append(f"Median {name}: {middles}.")
    lines += ["", "![sharpness](sharpness.png) ![exposure](exposure.png)", "", "![examples](sheet.png)", ""]
    lines += ["## Left out", "", "```", str(examples.made_of.get("left_out", {})), "```", ""]
    return "\n".join(lines)
