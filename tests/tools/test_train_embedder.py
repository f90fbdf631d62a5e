"""The masked embedder: what it starts as, that it learns, and what the trainer does with bad input."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from training_helpers import run, write_faces

from engines.backends import open_engine
from engines.models import prepare
from stream.config import Settings
from tools.embedder.network import PReLU, SFaceNetwork, between
from tools.embedder.views import ROW, masked_view, split, view_drawer
from tools.learning.faces import read_index
from tools.learning.runtime import open_file


@pytest.fixture(scope="module")
def teacher():
    return prepare(Settings().engines.cache, ["sface"])["sface"]


def test_the_student_begins_as_its_teacher(teacher):
    pictures = np.random.default_rng(0).integers(0, 256, (3, 3, 112, 112)).astype(np.float32)
    with torch.no_grad():
        found = SFaceNetwork(teacher.path)(torch.from_numpy(pictures)).numpy()
    assert np.abs(found - open_engine(teacher)(pictures)[0]).max() < 1e-4


def test_another_network_is_refused(teacher):
    other = prepare(Settings().engines.cache, ["onet"])["onet"]
    with pytest.raises(ValueError, match="must be SFace's graph, found Conv PRelu"):
        SFaceNetwork(other.path)


def test_what_is_shipped_lies_between_teacher_and_student(teacher):
    known, learnt = SFaceNetwork(teacher.path), SFaceNetwork(teacher.path)
    with torch.no_grad():
        for weight in learnt.trainable():
            weight += 0.02 * weight.abs().mean() * torch.randn_like(weight)
    pictures = torch.from_numpy(
        np.random.default_rng(1).integers(0, 256, (4, 3, 112, 112)).astype(np.float32)
    )
    with torch.no_grad():
        none, half, all_ = (F.normalize(between(known, learnt, s)(pictures)) for s in (0.0, 0.5, 1.0))
        start, end = F.normalize(known(pictures)), F.normalize(learnt(pictures))
    assert torch.allclose(none, start, atol=1e-5) and torch.allclose(all_, end, atol=1e-5)
    assert ((half * start).sum(1) > (end * start).sum(1)).all()
    assert ((half * end).sum(1) > (end * start).sum(1)).all()


def test_the_quick_prelu_has_the_gradient_of_torchs():
    x = torch.randn(2, 5, 4, 4, requires_grad=True)
    slope = torch.tensor([0.2, -0.3, 0.0, 1.0, 1.5])
    seed = torch.randn(2, 5, 4, 4)
    (expected,) = torch.autograd.grad(F.prelu(x, slope), x, seed)
    (found,) = torch.autograd.grad(PReLU(slope.numpy())(x), x, seed)
    assert torch.allclose(found, expected, atol=1e-6)


def test_looks_carry_the_number_of_their_face_also_when_mirrored(tmp_path):
    faces = read_index(write_faces(tmp_path, 3)) * 200  # numbers beyond one byte
    draw, rng = view_drawer(faces), np.random.default_rng(2)
    rows = np.stack([draw(rng) for _ in range(6)])
    assert rows.shape == (6, *ROW) and rows.dtype == np.uint8
    pictures, numbers = split(rows)
    mirrored, same = split(rows[:, :, ::-1])
    assert pictures.shape == (6, 112, 112, 3) and np.array_equal(mirrored[:, :, ::-1], pictures)
    assert np.array_equal(numbers, same) and numbers.max() > 255 and numbers.max() < len(faces)


def test_a_look_is_the_same_for_the_same_randomness(tmp_path):
    face = read_index(write_faces(tmp_path, 1))[0]
    one, two, other = (masked_view(face.read(), face.landmarks, np.random.default_rng(s)) for s in (1, 1, 2))
    assert np.array_equal(one, two) and not np.array_equal(one, other)


def test_the_student_is_trained_resumed_and_exported(tmp_path):
    index = write_faces(tmp_path / "faces", 12)
    out = tmp_path / "student.onnx"
    common = ["-m", "tools.train_embedder", "--work", tmp_path / "run", "--out", out]
    options = ["--index", index, "--folder", "", "--batch", 2, "--pool", 40, "--threads", 1]
    first = run(*common, *options, "--minutes", 0.03)
    assert first.returncode == 0, first.stderr
    assert "held-out faces: cosine" in first.stdout
    again = run(*common, *options, "--minutes", 0.05)
    steps = [int(r.stdout.split("after ")[1].split()[0]) for r in (first, again)]
    assert steps[1] > steps[0] > 0
    (embedding,) = open_file(out)(np.zeros((3, 3, 112, 112), np.float32))
    assert embedding.shape == (3, 128) and np.isfinite(embedding).all()


def test_too_few_faces_are_refused(tmp_path):
    index = write_faces(tmp_path / "faces", 3)
    found = run("-m", "tools.train_embedder", "--index", index, "--folder", "", "--work", tmp_path / "run")
    assert found.returncode != 0
    assert "must list at least 10 faces, found 3" in " ".join(found.stderr.replace("│", " ").split())
