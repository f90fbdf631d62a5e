"""Verification training: losses and mining by hand, batches, folds, the report, and the trainer run as a user does."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch.nn import functional as F
from training_helpers import run

from engines.alignment import RECOGNITION_POINTS
from tools.learning.runtime import open_file
from tools.metric_learning.losses import Mining, contrastive, distances, triplet
from tools.metric_learning.people import People, draw_batch, folds_of, list_folder, list_index, read_people
from tools.metric_learning.report import Embedded, identify, text, verify
from tools.metric_learning.training import Kind, Loss, Recipe, Training, learn

# On a circle, at these degrees: two pictures of one person 20 apart, others at 10, 30 and 90 from the first.
ANGLES = torch.deg2rad(torch.tensor([0.0, 20.0, 30.0, 90.0]))
CIRCLE = torch.stack([ANGLES.cos(), ANGLES.sin()], 1)
PEOPLE = torch.tensor([0, 0, 1, 2])


def squared(degrees: float) -> float:
    return 2 - 2 * math.cos(math.radians(degrees))


def test_distances_are_those_of_chords():
    assert distances(CIRCLE)[0].tolist() == pytest.approx(
        [0, squared(20), squared(30), squared(90)], abs=1e-5
    )


def test_contrastive_costs_what_the_formula_says():
    own = squared(20)
    others = {angle: max(0.0, 1 - math.sqrt(squared(angle))) ** 2 for angle in (30, 90, 10, 70, 60)}
    every = (own + sum(others.values())) / 6
    assert contrastive(CIRCLE, PEOPLE, Mining.ALL, 1.0).item() == pytest.approx(every, abs=1e-4)
    hard = (own + others[10]) / 2  # one pair of one person, so one of two people: the nearest
    assert contrastive(CIRCLE, PEOPLE, Mining.HARD, 1.0).item() == pytest.approx(hard, abs=1e-4)
    semi_hard = (own + others[30]) / 2  # the nearest that is farther than the 20 degrees of one's own
    assert contrastive(CIRCLE, PEOPLE, Mining.SEMI_HARD, 1.0).item() == pytest.approx(semi_hard, abs=1e-4)


def test_triplets_cost_what_the_formula_says():
    margin, own = 0.2, squared(20)
    first = max(0.0, own - squared(30) + margin)  # the anchor at 0: its nearest other is at 30
    second = own - squared(10) + margin  # the anchor at 20: its nearest other, at 10 from it, is too near
    hard = (first + second) / 2
    assert triplet(CIRCLE, PEOPLE, Mining.HARD, margin).item() == pytest.approx(hard, abs=1e-4)
    farther = max(
        0.0, own - squared(70) + margin
    )  # the anchor at 20: the nearest that is farther than its own
    semi_hard = (first + farther) / 2
    assert triplet(CIRCLE, PEOPLE, Mining.SEMI_HARD, margin).item() == pytest.approx(semi_hard, abs=1e-4)
    costs = [max(0.0, own - squared(angle) + margin) for angle in (30, 90, 10, 70)]
    every = sum(costs) / sum(cost > 0 for cost in costs)
    assert triplet(CIRCLE, PEOPLE, Mining.ALL, margin).item() == pytest.approx(every, abs=1e-4)


@pytest.mark.parametrize("loss", [contrastive, triplet])
@pytest.mark.parametrize("mining", list(Mining))
def test_each_loss_pulls_people_apart(loss, mining):
    torch.manual_seed(0)
    points = torch.randn(12, 8, requires_grad=True)
    people = torch.arange(4).repeat_interleave(3)
    optimizer = torch.optim.Adam([points], 0.05)
    for _ in range(150):
        optimizer.zero_grad()
        loss(F.normalize(points), people, mining, 1.0 if loss is contrastive else 0.5).backward()
        optimizer.step()
    apart = distances(F.normalize(points.detach()))
    same = people[:, None] == people[None]
    assert apart[same].max() < apart[~same].min()


@pytest.mark.parametrize("loss", [contrastive, triplet])
def test_a_batch_with_nothing_to_compare_costs_nothing(loss):
    alone = F.normalize(torch.randn(3, 4)).requires_grad_()
    cost = loss(alone, torch.arange(3), Mining.HARD, 1.0)
    cost.backward()
    assert cost.item() == 0 and alone.grad is not None and not alone.grad.any()


def toy(count: int = 6, each: int = 4) -> People:
    """Faces of one colour a person."""
    rng = np.random.default_rng(0)
    person = np.repeat(np.arange(count), each)
    colours = rng.integers(30, 220, (count, 1, 1, 3))
    crops = np.clip(colours[person] + rng.integers(-20, 20, (len(person), 112, 112, 3)), 0, 255).astype(
        np.uint8
    )
    points = np.repeat(RECOGNITION_POINTS[None], len(person), 0)
    return People(crops, points, person, tuple(f"p{i}" for i in range(count)))


def test_a_batch_has_so_many_looks_at_so_many_people():
    looks, people = draw_batch(toy(), 4, 3, 0.5, np.random.default_rng(0))
    assert looks.shape == (12, 112, 112, 3) and looks.dtype == np.uint8
    assert sorted(np.unique(people, return_counts=True)[1]) == [3, 3, 3, 3]


def test_nobody_is_in_two_folds():
    people = toy(7)
    folds = folds_of(people, 3, 0)
    assert sorted(np.concatenate(folds).tolist()) == list(range(len(people.person)))
    owners = [set(people.person[rows].tolist()) for rows in folds]
    assert all(not a & b for i, a in enumerate(owners) for b in owners[:i]) and all(owners)


def test_the_report_tells_the_better_network_with_an_interval():
    rng = np.random.default_rng(1)
    centres, person = rng.normal(size=(24, 16)), np.repeat(np.arange(24), 6)
    parts = []
    for fold in range(3):
        mine = person[person % 3 == fold]
        vectors = {}
        for name, noise in (("before", 1.6), ("after", 0.3)):
            found = centres[mine] + rng.normal(size=(len(mine), 16)) * noise
            vectors[name] = (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)
        parts.append(Embedded(mine, vectors, vectors))
    verified = verify(parts, 60)
    assert verified["after"]["EER"].value < 0.02 < verified["before"]["EER"].value
    assert verified["difference"]["accuracy of pairs"].low > 0
    shots = [identify(parts, enrolled, 60) for enrolled in (1, 3, 6)]
    assert shots[2] is None  # nobody has a seventh picture to search for
    one, three = shots[:2]
    assert one and three and one.people == 8 and three.searches == 20 * 24 * 3
    assert three.rank1["before"].value > one.rank1["before"].value and one.gain.low > 0
    said = text("toy", verified, shots)
    assert "| 3 | 8 | 1440 |" in said and "Nobody has pictures enough for 5 enrolled." in said


def test_one_picture_each_is_nothing_to_verify():
    vectors = {"before": np.eye(4, dtype=np.float32)}
    with pytest.raises(
        ValueError, match="must make pairs of one person and pairs of two, found only one kind"
    ):
        verify([Embedded(np.arange(4), vectors, vectors)], 20)


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path):
    recipes = [Recipe(Kind.SMALL, loss, Mining.HARD, 1e-3, 3, 2, 0.0, 0) for loss in Loss]
    training = Training.fresh(recipes[0], tmp_path)
    learn(training, *draw_batch(toy(), 3, 2, 0.0, np.random.default_rng(0)))
    training.save(tmp_path / "all.pt")
    again = Training.fresh(recipes[0], tmp_path)
    again.load(tmp_path / "all.pt")
    assert again.step == 1
    for one, other in zip(again.network.parameters(), training.network.parameters(), strict=True):
        assert torch.equal(one, other)
    with pytest.raises(ValueError, match="choose another --work folder"):
        Training.fresh(recipes[1], tmp_path).load(tmp_path / "all.pt")


def write_people(folder: Path, count: int = 4, each: int = 2) -> Path:
    """A folder of blobs for each person, and a CSV beside them that knows where the faces are."""
    rng = np.random.default_rng(0)
    names = "rex,rey,lex,ley,nx,ny,rmx,rmy,lmx,lmy"
    lines = [f"file,identity,{names}"]
    for person in range(count):
        (folder / f"person {person}").mkdir(parents=True)
        for number in range(each):
            coarse = rng.integers(0, 60, (8, 8, 3), dtype=np.uint8) + np.uint8(40 * person)
            cv2.imwrite(str(folder / f"person {person}/{number}.png"), cv2.resize(coarse, (112, 112)))
            points = ",".join(map(str, RECOGNITION_POINTS.ravel()))
            lines.append(f"person {person}/{number}.png,person {person},{points}")
    (folder / "index.csv").write_text("\n".join(lines) + "\n")
    return folder / "index.csv"


def test_people_come_from_folders_and_from_a_csv(tmp_path):
    index = write_people(tmp_path, 3)
    by_folder, by_csv = list_folder(tmp_path), list_index(index, tmp_path)
    assert [(each.path, each.person) for each in by_folder] == [(each.path, each.person) for each in by_csv]

    def nobody(picture: object) -> None:
        return None

    people = read_people(by_csv, nobody, 2, lambda share: None)
    assert people.names == ("person 0", "person 1", "person 2") and people.crops.shape == (6, 112, 112, 3)
    with pytest.raises(ValueError, match="must be of at least 2 people with 2 faces each, found 0"):
        read_people(by_folder, nobody, 2, lambda share: None)
    (tmp_path / "other.csv").write_text("file,name\n")
    with pytest.raises(ValueError, match="must have the columns file and identity, found file, name"):
        list_index(tmp_path / "other.csv", tmp_path)


def test_an_embedder_is_trained_resumed_and_exported(tmp_path):
    index = write_people(tmp_path / "people")
    common = [
        "-m",
        "tools.train_verification",
        "--index",
        index,
        "--root",
        tmp_path / "people",
        "--network",
        "small",
    ]
    options = [
        *common,
        "--folds",
        2,
        "--crowd",
        3,
        "--each",
        2,
        "--draws",
        20,
        "--threads",
        1,
        "--work",
        tmp_path / "run",
    ]
    first = run(*options, "--minutes", 0.03)
    assert first.returncode == 0, first.stderr
    assert "2 folds of people, probes with drawn masks" in first.stdout
    again = run(*options, "--minutes", 0.06)
    steps = [int(found.stdout.rsplit("after ", 1)[1].split()[0]) for found in (first, again)]
    assert steps[1] > steps[0] > 0
    (embedding,) = open_file(tmp_path / "run" / "verification.onnx")(np.zeros((2, 3, 112, 112), np.float32))
    assert embedding.shape == (2, 128) and np.isfinite(embedding).all()
    card = (tmp_path / "run" / "verification.md").read_text()
    assert "| Loss | triplet, margin 0.2, semi-hard mining |" in card and "4 people, 8 pictures" in card


def test_more_folds_than_there_are_people_for_are_refused(tmp_path):
    index = write_people(tmp_path / "people")
    found = run(
        "-m", "tools.train_verification", "--index", index, "--root", tmp_path / "people", "--work", tmp_path
    )
    assert found.returncode != 0
    assert "folds: must be at most 2, or 0, found 5" in " ".join(found.stderr.replace("│", " ").split())
