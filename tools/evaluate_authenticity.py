"""Measures authenticity networks: seen families of painters, one that was left out, and after compression.

    python -m tools.evaluate_authenticity --model light=engines/weights/authenticity.onnx \
        --set seen=EXAMPLES:test --set "left out=LEFT_OUT" --json runs/authenticity.json --plots runs/authenticity

A set is a folder that tools.make_authenticity_examples made, and after a colon the part of it that counts (all parts
without). Each figure has an interval of 95 %, by drawing the photographs anew. Accuracy, precision, recall and F1 are
at a probability of .5 with both classes counted equally.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from engines.models import ModelError, from_file
from tools.authenticity.bars import Bar, draw_bars
from tools.authenticity.card import write_card
from tools.authenticity.examples import Examples, load
from tools.authenticity.measuring import CONDITIONS, NAMES, Judge, by_part, crops_under, roc
from tools.learning.runtime import open_file
from tools.recognition.bootstrap import Estimate
from tools.recognition.plots import Axis, Line, draw_lines

Found = dict[str, dict[str, dict[str, dict[str, dict[str, Estimate]]]]]
"""By set, condition, network and part: the figures."""


def judges_of(texts: list[str]) -> list[Judge]:
    """NAME=FILE.onnx, with the record of its training beside it where there is one. Raises ValueError."""
    judges = []
    for text in texts:
        name, _, file = text.partition("=")
        path = Path(file)
        if not name or not path.is_file():
            raise ValueError(f"--model: must be NAME=FILE.onnx, found {text!r}")
        try:
            model = from_file(path.stem, path)
        except ModelError as error:
            raise ValueError(f"--model: {error}") from None
        record = path.with_suffix(".json")
        plan = json.loads(record.read_text())["plan"] if record.is_file() else {}
        size = model.input_shape[2] or 112
        judges.append(Judge(name, open_file(path), size, tuple(plan.get("preparations", ()))))
    return judges


def sets_of(texts: list[str], limit: int) -> dict[str, tuple[Examples, list[int]]]:
    """NAME=FOLDER[:PART], as examples and the numbers of those that count. Raises ValueError."""
    sets = {}
    for text in texts:
        name, _, place = text.partition("=")
        folder, _, part = place.partition(":")
        if not name or not folder:
            raise ValueError(f"--set: must be NAME=FOLDER or NAME=FOLDER:PART, found {text!r}")
        examples = load(Path(folder))
        which = examples.part(part).tolist() if part else list(range(len(examples.rows)))
        if not which:
            raise ValueError(f"--set: {folder} must have examples in the part {part!r}, found none")
        if limit and len(which) > limit:
            which = [which[i] for i in np.linspace(0, len(which) - 1, limit).astype(int)]
        sets[name] = examples, which
    return sets


def markdown(found: Found) -> str:
    """The tables of a card: for each set a row a condition, network and part."""
    lines = []
    for name, conditions in found.items():
        lines += [f"### {name}", "", "| network | condition | examples of | " + " | ".join(NAMES) + " |"]
        lines.append("|---" * (3 + len(NAMES)) + "|")
        for condition, networks in conditions.items():
            for network, parts in networks.items():
                for part, row in parts.items():
                    if condition != "as it is" and part not in ("all", "masked faces alone"):
                        continue
                    cells = " | ".join(_cell(row.get(figure)) for figure in NAMES)
                    lines.append(f"| {network} | {condition} | {part} | {cells} |")
        lines.append("")
    return "\n".join(lines)


def _cell(estimate: Estimate | None) -> str:
    return "" if estimate is None else f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"


def draw(folder: Path, found: Found, curves: Mapping[str, list[Line]]) -> None:
    """Writes compare-SET.png, the networks beside each other, and roc-SET.png."""
    for name, conditions in found.items():
        groups: dict[str, dict[str, Bar]] = {}
        for network, parts in conditions["as it is"].items():
            row = parts.get("all", {})
            groups[network] = {n: (e.value, e.low, e.high) for n, e in row.items()}
        slug = name.replace(" ", "-")
        draw_bars(folder / f"compare-{slug}.png", f"Painted or photographed, {name}", groups, 1.0)
        axes = Axis("photographs called painted", 1e-3, 1, True), Axis("painted ones found", 0, 1)
        draw_lines(folder / f"roc-{slug}.png", f"Painted or photographed, {name}", *axes, curves[name])


def main(
    model: Annotated[list[str], typer.Option(help="NAME=FILE.onnx; several to be compared")],
    sets: Annotated[list[str], typer.Option("--set", help="NAME=FOLDER or NAME=FOLDER:PART; several")],
    limit: Annotated[int, typer.Option(min=0, help="Most examples of each set; 0: all")] = 0,
    draws: Annotated[int, typer.Option(min=20, help="How often photographs are drawn anew")] = 200,
    json_file: Annotated[Path | None, typer.Option("--json", help="Where to write all figures")] = None,
    plots: Annotated[Path | None, typer.Option(help="Folder for the graphs")] = None,
    card: Annotated[Path | None, typer.Option(help="Card (Markdown) to write, with --record")] = None,
    note: Annotated[list[str] | None, typer.Option(help="What the card shall say about the figures")] = None,
    record: Annotated[
        Path | None, typer.Option(help="What tools.train_authenticity kept (JSON), for the card")
    ] = None,
) -> None:
    """Measure networks on sets of examples, and compare them."""
    cv2.setNumThreads(1)
    if (card is None) != (record is None):
        raise typer.BadParameter("--card and --record: must be given together")
    try:
        judges, chosen = judges_of(model), sets_of(sets, limit)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    found: Found = {}
    curves: dict[str, list[Line]] = {}
    rates = np.logspace(-3, 0, 60)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("measuring", total=len(chosen) * len(CONDITIONS) * len(judges))
        for name, (examples, which) in chosen.items():
            rows = [examples.rows[i] for i in which]
            painted = np.array([row.painted for row in rows])
            found[name], curves[name] = {}, []
            for condition in CONDITIONS:
                crops = crops_under(examples, which, condition)
                for judge in judges:
                    scores = judge.scores(crops)
                    by_network = found[name].setdefault(condition, {})
                    by_network[judge.name] = by_part(scores, rows, draws)
                    if condition == "as it is" and painted.any() and not painted.all():
                        curves[name].append(Line(judge.name, rates, roc(scores, painted, rates)))
                    progress.advance(bar)
    _print(found)
    if json_file:
        plain: dict[str, Any] = {
            "models": {text.partition("=")[0]: text.partition("=")[2] for text in model},
            "sets": {
                name: {
                    condition: {
                        network: {p: {k: asdict(e) for k, e in row.items()} for p, row in parts.items()}
                        for network, parts in networks.items()
                    }
                    for condition, networks in conditions.items()
                }
                for name, conditions in found.items()
            },
        }
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(json.dumps(plain, indent=1))
    if plots:
        draw(plots, found, curves)
    if card and record:
        write_card(card, json.loads(record.read_text()), markdown(found), note or ())


def _print(found: Found) -> None:
    console = Console(width=170)
    for name, conditions in found.items():
        table = Table("network", "condition", "examples of", *NAMES, title=name)
        for condition, networks in conditions.items():
            for network, parts in networks.items():
                for part, row in parts.items():
                    table.add_row(network, condition, part, *(_cell(row.get(figure)) for figure in NAMES))
        console.print(table)


if __name__ == "__main__":
    typer.run(main)
