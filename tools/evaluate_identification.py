r"""Measures how well the product finds a person among those enrolled, and whom it takes for somebody wrongly.

    python -m tools.evaluate_identification --list list.csv --root PICTURES --json figures.json
    python -m tools.evaluate_identification --people faces/index.csv --folder lfw --root FACES --gallery-size 1000 \
        --galleries 4 --mask-probes synthetic --templates TEMPLATES/MaskTheFace --json figures.json --plots DIR

The list is a CSV (file, identity, role, perhaps condition); role is gallery for a picture that is enrolled, probe for
one of somebody enrolled, nonmate for one of anybody else. Instead of a list, --people draws galleries from all people
of an index (file, identity): one picture of each is enrolled and one searched for, and one of everybody else.

For every term of the evidence and for their fusion: rank 1 and 5, and FNIR at FPIR 1e-1, 1e-2, 1e-3 where there are
enough searches. Of the product's own decisions on single looks: who is named rightly and wrongly, how many strangers
are more alike than the rate asked for allows, and whether probabilities hold. By condition and group; intervals hold
95 % of draws of the people searched for. A picture without a face is counted: a miss, never an alarm.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from tools.recognition.bootstrap import People
from tools.recognition.identification import RANKS, RATES, identify
from tools.recognition.lists import Index, SearchList, draw_searches, read_index, read_searches
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
from tools.recognition.searches import Product
from tools.recognition.seeing import Seer
from tools.recognition.store import Store

app = typer.Typer(add_completion=False)
ASKED = (1e-2, 1e-3)
"""Rates of false alarms that the product is asked for."""


@app.command()
def evaluate_identification(
    root: Root,
    list_file: Annotated[
        Path | None, typer.Option("--list", help="CSV: file, identity, role, condition.")
    ] = None,
    people_file: Annotated[
        Path | None, typer.Option("--people", help="CSV: file, identity. Draws galleries instead of a list.")
    ] = None,
    folder: Annotated[str, typer.Option(help="Only files of --people whose names begin so.")] = "",
    gallery_size: Annotated[
        int, typer.Option(min=1, help="People enrolled in a gallery that is drawn.")
    ] = 1000,
    galleries: Annotated[int, typer.Option(min=1, help="Galleries drawn.")] = 1,
    mask_probes: Annotated[
        str | None, typer.Option(help="synthetic: search once more with masks put on the pictures.")
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
    """Measure identification."""
    cv2.setNumThreads(1)
    if (list_file is None) == (people_file is None):
        raise typer.BadParameter("either --list or --people must be given, found both or neither")
    masks = masks_for("--mask-probes", mask_probes, templates)
    try:
        about = index or people_file
        known = read_index(about, root) if about else None
        lists = (
            [read_searches(list_file, root)]
            if list_file
            else _drawn(people_file or root, folder, gallery_size, galleries, root, seed)
        )
        store = Store(keep)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    opened = open_product(config, calibration)
    seer = Seer(opened.settings, opened.networks, store, gate, seed)
    chosen = opened.settings.recognition
    product = Product(
        opened.calibration, opened.generator_sha256, chosen.prior_enrolled, chosen.decide_at, ASKED
    )
    files, person = lists[0].files, lists[0].person
    people = People(int(person.max()) + 1, draws)
    labels = labels_of(files, root, known, by)
    enrolled = sorted({int(i) for each in lists for i in each.places("gallery")})
    searched = sorted({int(i) for each in lists for role in ("probe", "nonmate") for i in each.places(role)})
    if not searched:
        raise typer.BadParameter("--list: role must be probe or nonmate for at least one picture, found none")
    report: dict[str, Any] = {"protocol": opened.protocol(), "conditions": {}}
    report["protocol"] |= {
        "list": (list_file or people_file or root).name,
        "galleries": len(lists),
        "enrolled": [len(np.unique(person[each.places("gallery")])) for each in lists],
        "people": people.count,
        "masks": masks.about if masks else "none",
        "prior_enrolled": chosen.prior_enrolled,
        "decide_at": chosen.decide_at,
        "gate": gate,
        "draws": draws,
        "seed": seed,
    }
    try:
        with Progress() as progress:
            of_gallery = seer.templates([root / files[i] for i in enrolled], progress.of("Enrolling"))
            conditions = {"as photographed": None} | ({"masked": masks} if masks else {})
            for condition, worn in conditions.items():
                paths = [root / files[i] for i in searched]
                seen = seer.probes(paths, worn, progress.of(f"Seeing: {condition}"))
                progress.of(f"Searching: {condition}")
                report["conditions"][condition] = identify(
                    lists, of_gallery, seen, enrolled, searched, labels, product, people
                )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    finally:
        store.close()
    _print(report, opened)
    if json_file:
        write_json(json_file, report)
    if plots:
        for condition, found in report["conditions"].items():
            draw_curves(plots, condition, found)


def _drawn(path: Path, folder: str, size: int, count: int, root: Path, seed: int) -> list[SearchList]:
    """Galleries from an index whose files lie in the root."""
    index: Index = read_index(path, root)
    files = [file for file in index.files if file.startswith(folder) and (root / file).is_file()]
    names = index.of(root, files, "identity")
    named = [(file, name) for file, name in zip(files, names, strict=True) if name]
    if not named:
        raise ValueError(
            f"{path}: must name files under {root} that begin with {folder!r} and their identity, found none"
        )
    chosen, identities = zip(*named, strict=True)
    return draw_searches(chosen, identities, size, count, np.random.default_rng(seed))


def _print(report: Mapping[str, Any], opened: Opened) -> None:
    console = wide_console()
    for condition, found in report["conditions"].items():
        for side, what in found["enrolment"].items():
            why = ", ".join(f"{count} {reason}" for reason, count in what["reasons"].items())
            console.print(
                f"{condition}, {side}: {what['pictures']} pictures, failed {what['failed']}"
                + (f" ({why})" if why else ""),
                markup=False,
            )
        for part, figures in found["parts"].items():
            names = [*(f"rank-{k}" for k in RANKS), *(f"fnir@{rate:g}" for rate in RATES)]
            counts = f"{figures['mated']} for people enrolled, {figures['nonmated']} for others"
            table = Table("evidence", *names, title=f"{condition}, {part}: searches ({counts})")
            for kind, row in figures["kinds"].items():
                table.add_row(kind, *(cell(row.get(figure)) for figure in names))
            console.print(table)
            _print_product(console, f"{condition}, {part}: the product's decisions on single looks", figures)
    for note in opened.notes:
        console.print(f"Note: {note}", markup=False)


def _print_product(console: Console, title: str, figures: Mapping[str, Any]) -> None:
    if not figures["product"]:
        return
    names = ("false_alarms", "met", "strangers_named", "named_right", "named_wrong", "wrong_of_named")
    table = Table("asked FPIR", *(n.replace("_", " ") for n in names), "ECE", "log loss", title=title)
    for asked, row in figures["product"].items():
        held = row["calibration"]
        of_claims = (held.ece, held.log_loss) if held else ()
        table.add_row(asked, *map(cell, (*(row[n] for n in names), *of_claims)))
    console.print(table)


def draw_curves(folder: Path, condition: str, found: Mapping[str, Any]) -> None:
    """Writes fnir-CONDITION.png, ranks-CONDITION.png and reliability-CONDITION.png."""
    figures, slug = found["parts"]["all"], condition.replace(" ", "-")
    kinds = sorted(figures["kinds"], key=lambda kind: kind != FUSED)
    curves = {k: figures["kinds"][k]["curve"] for k in kinds if "curve" in figures["kinds"][k]}
    if curves:
        axes = Axis("false positive identification rate", 1e-4, 1, True), Axis("FNIR", 1e-3, 1, True)
        lines = [Line(k, c["fpir"], c["fnir"]) for k, c in curves.items()]
        draw_lines(folder / f"fnir-{slug}.png", f"Identification, {condition}", *axes, lines)
    hits = {k: np.array(figures["kinds"][k].get("hits_by_rank", ())) for k in kinds}
    if all(len(h) for h in hits.values()):
        lowest = np.floor(min(float(h.min()) for h in hits.values()) * 20) / 20
        axes = Axis("rank", 1, 20), Axis("found by this rank", min(lowest, 0.95), 1)
        lines = [Line(k, np.arange(1.0, len(h) + 1), h) for k, h in hits.items()]
        draw_lines(folder / f"ranks-{slug}.png", f"Identification, {condition}", *axes, lines)
    held = {asked: row["calibration"] for asked, row in figures["product"].items() if row["calibration"]}
    if held:
        rows = np.array([row[:2] for row in next(iter(held.values())).rows])
        axes = Axis("probability said of the first candidate", 0, 1), Axis("share that was true", 0, 1)
        lines = [Line("the product", rows[:, 0], rows[:, 1], True)]
        title = f"Reliability at the prior, {condition}"
        draw_lines(folder / f"reliability-{slug}.png", title, *axes, lines, diagonal=True)


if __name__ == "__main__":
    app()
