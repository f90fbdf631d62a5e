r"""Measures how well the product tells whether two pictures show one person, with masks and without.

    python -m tools.evaluate_verification --pairs pairs.csv --root PICTURES --json figures.json
    python -m tools.evaluate_verification --pairs LFW/pairs.txt --root LFW/pictures --mask-second synthetic \
        --templates TEMPLATES/MaskTheFace --index faces/index.csv --json figures.json --plots DIR

Pairs are a CSV (file_a, file_b, same, perhaps fold, identity_a, identity_b and further columns) or LFW's pairs.txt.
The first picture of a pair is enrolled, the second is seen as by a camera, both with the product's own detector,
alignment and networks; with --mask-second the second is seen again with a mask put on it. Where it is known whose the
pictures are, every second picture is also compared with every first one of another photograph.

For every term of the evidence and for their fusion: accuracy (thresholds from the other folds), EER, TAR at FMR 1e-2,
1e-3 and 1e-4 where there are enough comparisons, and whether probabilities hold (reliability, ECE, log loss); by
condition, by group and by further columns. Intervals hold 95 % of draws of people. A picture without a face is counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from tools.recognition.bootstrap import People
from tools.recognition.lists import PairList, read_index, read_pairs
from tools.recognition.metrics import RATES
from tools.recognition.opening import (
    Opened,
    Progress,
    cell,
    labels_of,
    masks_for,
    open_product,
    wide_console,
    write_json,
)
from tools.recognition.options import (
    By,
    CalibrationFile,
    Config,
    Draws,
    Gate,
    IndexFile,
    JsonFile,
    Keep,
    Plots,
    Root,
    Templates,
)
from tools.recognition.plots import Axis, Line, draw_lines
from tools.recognition.scoring import FUSED
from tools.recognition.seeing import Seer
from tools.recognition.store import Store
from tools.recognition.verification import CURVE, Condition, verify

app = typer.Typer(add_completion=False)


@app.command()
def evaluate_verification(
    pairs_file: Annotated[Path, typer.Option("--pairs", help="Pairs: a CSV, or LFW's pairs.txt.")],
    root: Root,
    mask_second: Annotated[
        str | None, typer.Option(help="synthetic: see the second pictures once more, with masks put on.")
    ] = None,
    templates: Templates = None,
    index: IndexFile = None,
    by: By = None,
    gate: Gate = False,
    config: Config = None,
    calibration: CalibrationFile = None,
    keep: Keep = None,
    draws: Draws = 200,
    seed: int = 1,
    json_file: JsonFile = None,
    plots: Plots = None,
) -> None:
    """Measure verification."""
    cv2.setNumThreads(1)
    masks = masks_for("--mask-second", mask_second, templates)
    try:
        known = read_index(index, root) if index else None
        pairs = read_pairs(pairs_file, root, known)
        store = Store(keep)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    opened = open_product(config, calibration)
    seer = Seer(opened.settings, opened.networks, store, gate, seed)
    first, second = np.unique(pairs.first), np.unique(pairs.second)
    people = People(int(pairs.person.max()) + 1, draws)
    labels = labels_of(pairs.files, root, known, by)
    report: dict[str, Any] = {"protocol": opened.protocol(), "conditions": {}}
    report["protocol"] |= {
        "pairs": pairs_file.name,
        "pictures": len(pairs.files),
        "people": people.count,
        "identities_known": pairs.named,
        "masks": masks.about if masks else "none",
        "gate": gate,
        "draws": draws,
        "seed": seed,
    }
    try:
        with Progress() as progress:
            enrolled = seer.templates(_paths(root, pairs, first), progress.of("Enrolling first pictures"))
            conditions = {"as photographed": None} | ({"second masked": masks} if masks else {})
            for name, worn in conditions.items():
                probes = seer.probes(_paths(root, pairs, second), worn, progress.of(f"Seeing second: {name}"))
                progress.of(f"Comparing: {name}")
                condition = Condition(pairs, enrolled, probes, first, second, labels)
                report["conditions"][name] = verify(
                    condition, opened.calibration, opened.generator_sha256, people
                )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    finally:
        store.close()
    _print(report, opened)
    if json_file:
        write_json(json_file, report)
    if plots:
        for name, found in report["conditions"].items():
            draw_curves(plots, name, found)


def _paths(root: Path, pairs: PairList, which: Sequence[int] | Any) -> list[Path]:
    return [root / pairs.files[i] for i in which]


def _print(report: Mapping[str, Any], opened: Opened) -> None:
    console = wide_console()
    for name, found in report["conditions"].items():
        for side, what in found["enrolment"].items():
            why = ", ".join(f"{count} {reason}" for reason, count in what["reasons"].items())
            gate = (
                f"; the live gate would refuse {what['gate_would_refuse']} more" if side == "probes" else ""
            )
            console.print(
                f"{name}, {side}: {what['pictures']} pictures, failed {what['failed']}"
                + (f" ({why})" if why else "")
                + f", taken for masked {what['taken_for_masked']}{gate}",
                markup=False,
            )
        _print_pairs(console, f"{name}: pairs of the list", found["pairs"])
        for part, figures in found["parts"].items():
            _print_pairs(console, f"{name}: {part}", figures)
        _print_compared(console, name, found)
        _print_groups(console, name, found)
    for note in opened.notes:
        console.print(f"Note: {note}", markup=False)


def _print_pairs(console: Console, title: str, found: Mapping[str, Any]) -> None:
    counts = (
        f"{found['genuine']} of one person, {found['impostor']} of two, {found['not_compared']} not compared"
    )
    table = Table("evidence", "accuracy", "EER", "TAR@1e-2", "ECE", "log loss", title=f"{title} ({counts})")
    for kind, row in found["kinds"].items():
        held = row["calibration"]
        cells = (
            row["accuracy"],
            row.get("eer"),
            row.get("tar@0.01"),
            *((held.ece, held.log_loss) if held else ()),
        )
        table.add_row(kind, *map(cell, cells))
    console.print(table)


def _print_compared(console: Console, name: str, found: Mapping[str, Any]) -> None:
    compared = found["compared"]
    what = "every second picture with every first" if found["all_against_all"] else "pairs of the list"
    counts = f"{compared['genuine']:,} of one person, {compared['impostor']:,} of two"
    names = ["eer", *(f"tar@{rate:g}" for rate in RATES)]
    lost = f"{compared['lost_to_failures']:.2%} of the comparisons lost to pictures without a face"
    table = Table("evidence", *names, title=f"{name}: {what} ({counts}; {lost})")
    for kind, row in compared["kinds"].items():
        table.add_row(kind, *(cell(row.get(figure)) for figure in names))
    for kind, row in compared["kinds"].items() if compared["genuine_lost"] else ():
        cells = (row["counting_failures"].get(figure) for figure in names)
        table.add_row(f"{kind}, failures as misses", *map(cell, cells))
    for kind, row in compared.get("fused_minus", {}).items():
        table.add_row(f"{FUSED} less {kind}", *(cell(row.get(figure)) for figure in names))
    console.print(table)


def _print_groups(console: Console, name: str, found: Mapping[str, Any]) -> None:
    kind = FUSED if FUSED in found["kinds"] else "raw"
    for column, kinds in found["groups"].items():
        for rate, groups in kinds[kind].items():
            table = Table(
                column,
                "people",
                "TAR",
                "FMR",
                "FMR within",
                title=f"{name}: {kind} at the threshold for FMR {rate}",
            )
            for label, group in groups.items():
                table.add_row(label, str(group.people), *map(cell, (group.tar, group.fmr, group.fmr_within)))
            console.print(table)
    for text in found["warnings"]:
        console.print(f"Warning: {name}: {text}", markup=False)


def error_lines(compared: Mapping[str, Any], kinds: Iterable[str]) -> list[Line]:
    """FNMR over FMR, from the lowest FMR that so many comparisons can show."""
    shown = 1 / max(compared["impostor"], 1) <= CURVE
    return [
        Line(k, CURVE, np.where(shown, 1 - np.asarray(compared["kinds"][k]["curve"]), np.nan)) for k in kinds
    ]


def draw_curves(folder: Path, name: str, found: Mapping[str, Any]) -> None:
    """Writes errors-NAME.png (FNMR over FMR) and reliability-NAME.png."""
    kinds = [FUSED, *(k for k in found["kinds"] if k != FUSED)] if FUSED in found["kinds"] else found["kinds"]
    slug = name.replace(" ", "-")
    axes = Axis("false match rate", 1e-6, 1, True), Axis("false non-match rate", 1e-3, 1, True)
    draw_lines(
        folder / f"errors-{slug}.png", f"Verification, {name}", *axes, error_lines(found["compared"], kinds)
    )
    held = {k: found["pairs"]["kinds"][k]["calibration"] for k in kinds}
    lines = [
        Line(k, np.array([r[0] for r in h.rows]), np.array([r[1] for r in h.rows]), True)
        for k, h in held.items()
        if h
    ]
    axes = Axis("probability said", 0, 1), Axis("share that was true", 0, 1)
    draw_lines(
        folder / f"reliability-{slug}.png", f"Reliability at even odds, {name}", *axes, lines, diagonal=True
    )


if __name__ == "__main__":
    app()
