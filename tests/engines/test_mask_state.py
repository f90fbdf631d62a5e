"""The mask state classifier: what a caller may rely on, and what the shipped weights must reach."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines.backends import open_engine
from engines.masks.state import CROP_SIZE, STATES, MaskState, MaskStateClassifier, crop
from engines.masks.synthesis import WORN_WRONGLY, draw_mask
from engines.models import prepare

DATA = Path(os.environ.get("UNVIZARD_DATA", Path(__file__).parents[3] / "shared" / "data"))
PICTURES = Path(__file__).parents[2] / "tools" / "demo" / "pictures"

# What the detector finds in a committed picture, to the pixel.
ASTRONAUT = np.float32([[205, 101], [247, 103], [225, 129], [201, 140], [245, 141]])
BOX = np.float32([180, 61, 268, 172])


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    model = prepare(tmp_path_factory.mktemp("cache"), ["maskstate"])["maskstate"]
    return MaskStateClassifier(open_engine(model, "onnxruntime"))


@pytest.fixture(scope="module")
def astronaut():
    return cv2.cvtColor(cv2.imread(str(PICTURES / "astronaut.png")), cv2.COLOR_BGR2RGB)


def test_a_known_face_is_bare_and_wears_each_of_many_drawn_masks(classifier, astronaut):
    bare = classifier.classify(crop(astronaut, BOX)[None])[0]
    assert STATES[bare.argmax()] is MaskState.NONE
    masked = [draw_mask(astronaut, ASTRONAUT, np.random.default_rng(s))[0] for s in range(20)]
    found = classifier.classify(np.stack([crop(p, BOX) for p in masked]))
    assert (found.argmax(1) == STATES.index(MaskState.WORN)).mean() >= 0.9


@pytest.mark.parametrize("wearing", WORN_WRONGLY)
def test_a_mask_below_the_nose_or_at_the_chin_is_told_from_one_that_is_worn(classifier, astronaut, wearing):
    pictures = [
        draw_mask(astronaut, ASTRONAUT, np.random.default_rng(s), wearing=wearing)[0] for s in range(20)
    ]
    found = classifier.classify(np.stack([crop(p, BOX) for p in pictures]))
    assert (found.argmax(1) == STATES.index(MaskState.WORN_WRONGLY)).mean() >= 0.9


def test_the_probabilities_of_a_face_sum_to_one_and_do_not_depend_on_its_neighbours(classifier):
    crops = np.random.default_rng(0).integers(0, 256, (7, CROP_SIZE, CROP_SIZE, 3), dtype=np.uint8)
    together = classifier.classify(crops)
    assert together.shape == (7, 3) and together.dtype == np.float32
    assert np.allclose(together.sum(1), 1, atol=1e-5)
    assert np.allclose(together[3:4], classifier.classify(crops[3:4]), atol=1e-4)


def test_no_face_gives_no_probabilities(classifier):
    assert classifier.classify(np.zeros((0, CROP_SIZE, CROP_SIZE, 3), np.uint8)).shape == (0, 3)


def test_wrong_crops_are_refused_with_what_was_found(classifier):
    with pytest.raises(
        ValueError, match=r"crops: must be uint8 \[N, 80, 80, 3\], found float32 \(1, 80, 80, 3\)"
    ):
        classifier.classify(np.zeros((1, 80, 80, 3), np.float32))


def test_a_crop_is_the_square_around_the_box_and_a_little_more():
    picture = np.zeros((200, 200, 3), np.uint8)
    picture[60:120, 80:120] = 255  # the longer side is 60: the crop shows 78 pixels around (100, 90)
    view = crop(picture, np.float32([80, 60, 120, 120]))
    rows, columns = np.flatnonzero(view[:, 32, 0] > 127), np.flatnonzero(view[32, :, 0] > 127)
    assert rows.min() == pytest.approx(80 * 9 / 78, abs=1) and rows.max() == pytest.approx(
        80 * 69 / 78 - 1, abs=1
    )
    assert columns.min() == pytest.approx(80 * 19 / 78, abs=1)


def test_a_box_over_the_edge_is_filled_by_mirroring_and_an_empty_one_is_refused():
    picture = np.full((50, 50, 3), 77, np.uint8)
    assert (crop(picture, np.float32([-20, -20, 30, 30])) == 77).all()
    with pytest.raises(
        ValueError, match=r"box: must have a width and a height, found 5\.0, 5\.0, 5\.0, 5\.0"
    ):
        crop(picture, np.float32([5, 5, 5, 5]))


@pytest.mark.skipif(not (DATA / "real_masked").is_dir(), reason="the evaluation data is not here")
def test_real_faces_of_48_pixels_and_more_that_were_held_out_are_told_apart(classifier):
    from tools.evaluate_mask_state import classify, crops_of
    from tools.learning.states import real_parts

    large = [face for face in real_parts(DATA / "real_masked")[2] if face.pixels >= 48]
    figures = classify(classifier, crops_of(large))
    assert figures["none_vs_worn_of_two"] >= 0.97
    assert figures["ece"] <= 0.08
