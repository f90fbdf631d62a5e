"""The shipped generator: what it must do on faces that it never saw, on every runtime that is here."""

import importlib.util

import cv2
import numpy as np
import pytest

from engines.backends import open_engine
from engines.models import prepare
from engines.unmasking.generator import Reconstructions, Unmasker


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return prepare(tmp_path_factory.mktemp("cache"), ["unmask"])["unmask"]


@pytest.fixture(scope="module")
def unmasker(model):
    return Unmasker(open_engine(model, "onnxruntime"))


def noise(count: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    coarse = [rng.integers(0, 256, (9, 9, 3), dtype=np.uint8) for _ in range(count)]
    return np.stack([cv2.resize(c, (128, 128), interpolation=cv2.INTER_CUBIC) for c in coarse])


def test_a_batch_gives_what_its_faces_give_alone(unmasker):
    crops = noise(5)
    together = unmasker.unmask(crops)
    for i in range(5):
        alone = unmasker.unmask(crops[i : i + 1])
        assert np.abs(alone.pictures[0].astype(int) - together.pictures[i]).max() <= 1
        assert np.abs(alone.masks[0] - together.masks[i]).max() < 1e-3


def test_where_the_mask_is_zero_not_one_pixel_changes(unmasker):
    crops = noise(8)
    made = unmasker.unmask(crops)
    free = made.masks == 0
    assert free.mean() > 0.2
    assert np.array_equal(made.pictures[free], crops[free])
    assert made.masks.min() >= 0 and made.masks.max() <= 1


def test_no_face_gives_no_reconstruction(unmasker):
    assert len(unmasker.unmask(np.zeros((0, 128, 128, 3), np.uint8))) == 0


@pytest.mark.parametrize("backend", ["openvino", "torch"])
def test_another_runtime_paints_the_same(model, unmasker, backend):
    if not importlib.util.find_spec(backend):
        pytest.skip(f"{backend} is not installed")
    crops = noise(3)
    other, first = Unmasker(open_engine(model, backend)).unmask(crops), unmasker.unmask(crops)
    assert np.abs(other.pictures.astype(int) - first.pictures).max() <= 1
    assert np.abs(other.masks - first.masks).max() < 1e-3


def test_wrong_crops_are_refused_with_what_was_found(unmasker):
    with pytest.raises(
        ValueError, match=r"crops: must be uint8 \[N, 128, 128, 3\], found uint8 \(1, 64, 64, 3\)"
    ):
        unmasker.unmask(np.zeros((1, 64, 64, 3), np.uint8))
    with pytest.raises(ValueError, match=r"reconstructions\.masks: the shape must be \(1, 128, 128\)"):
        Reconstructions(np.zeros((1, 128, 128, 3), np.uint8), np.zeros((2, 128, 128), np.float32))
