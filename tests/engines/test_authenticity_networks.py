"""Painted or photographed: what a caller of the networks may rely on, and what the shipped weights must reach."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from engines.backends import open_engine
from engines.masks.authenticity import CROP_SIZE, AuthenticityClassifier, crop
from engines.masks.authenticity_backbones import VGG19, ResNet50, Xception, load_imagenet
from engines.masks.authenticity_ensemble import BRANCHES, Ensemble, make_network
from engines.masks.synthesis import draw_mask
from engines.models import prepare

PICTURES = Path(__file__).parents[2] / "tools" / "demo" / "pictures"
ASTRONAUT = np.float32([[205, 101], [247, 103], [225, 129], [201, 140], [245, 141]])


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    model = prepare(tmp_path_factory.mktemp("cache"), ["authenticity"])["authenticity"]
    return AuthenticityClassifier(open_engine(model, "onnxruntime"))


@pytest.fixture(scope="module")
def astronaut():
    return cv2.cvtColor(cv2.imread(str(PICTURES / "astronaut.png")), cv2.COLOR_BGR2RGB)


def test_a_photograph_scores_below_the_same_face_with_drawn_masks(classifier, astronaut):
    photograph = classifier.classify(crop(astronaut, ASTRONAUT)[None])[0]
    drawn = [draw_mask(astronaut, ASTRONAUT, np.random.default_rng(seed))[0] for seed in range(20)]
    painted = classifier.classify(np.stack([crop(picture, ASTRONAUT) for picture in drawn]))
    assert photograph < 0.5
    assert (painted > photograph).mean() >= 0.95 and (painted >= 0.5).mean() >= 0.8


def test_a_probability_does_not_depend_on_its_neighbours(classifier):
    crops = np.random.default_rng(0).integers(0, 256, (5, CROP_SIZE, CROP_SIZE, 3), dtype=np.uint8)
    together = classifier.classify(crops)
    assert together.shape == (5,) and together.dtype == np.float32
    assert ((together >= 0) & (together <= 1)).all()
    assert np.allclose(together[2:3], classifier.classify(crops[2:3]), atol=1e-4)
    assert classifier.classify(crops[:0]).shape == (0,)


def test_wrong_crops_are_refused_with_what_was_found(classifier):
    with pytest.raises(
        ValueError, match=r"crops: must be uint8 \[N, 112, 112, 3\], found uint8 \(1, 64, 64, 3\)"
    ):
        classifier.classify(np.zeros((1, 64, 64, 3), np.uint8))


def test_the_crop_is_the_face_frame(astronaut):
    view = crop(astronaut, ASTRONAUT)
    assert view.shape == (112, 112, 3)
    # Eyes and nose fall where the face frame has them, at 112 / 128 of its size.
    marked = np.zeros_like(astronaut)
    for x, y in ASTRONAUT[:2].astype(int):
        cv2.circle(marked, (int(x), int(y)), 3, (255, 255, 255), -1)
    ys, xs = np.nonzero(crop(marked, ASTRONAUT)[..., 0] > 128)
    assert 30 < xs.min() < 45 and 65 < xs.max() < 85 and 25 < ys.mean() < 45


def test_the_heat_map_shows_where_a_mask_was_painted(classifier, astronaut):
    picture, alpha = draw_mask(astronaut, ASTRONAUT, np.random.default_rng(3), kind="surgical")
    heat = classifier.heat_map(crop(picture, ASTRONAUT))
    assert heat.shape == (112, 112) and heat.dtype == np.float32 and np.abs(heat).max() <= 1
    covered = crop(np.repeat((alpha * 255).astype(np.uint8)[..., None], 3, 2), ASTRONAUT)[..., 0] > 60
    wide = cv2.dilate(covered.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    assert heat[wide].mean() > heat[~wide].mean()


@pytest.mark.parametrize(("backbone", "millions"), [(Xception, 20.807), (ResNet50, 23.508), (VGG19, 20.024)])
def test_the_backbones_have_the_published_number_of_weights(backbone, millions):
    with torch.device("meta"):
        network = backbone()
    assert sum(w.numel() for w in network.parameters()) / 1e6 == pytest.approx(millions, abs=0.001)


def test_the_ensemble_joins_four_branches_and_each_can_be_used_alone():
    ensemble = Ensemble(size=64).eval()
    widths = [layer.out_features for layer in ensemble.top if isinstance(layer, torch.nn.Linear)]
    assert tuple(ensemble.branches) == BRANCHES and widths == [512, 256, 1]
    assert ensemble.top[0].in_features == 2048 + 2048 + 512 + 64 * 8 * 8
    picture = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        assert ensemble(picture).shape == (2, 1)
        assert make_network("custom", 64)[0].eval()(picture).shape == (2, 1)


def test_imagenet_weights_load_by_path_without_their_top(tmp_path):
    published = ResNet50().state_dict()
    torch.save(
        {**published, "fc.weight": torch.zeros(1000, 2048), "fc.bias": torch.zeros(1000)}, tmp_path / "r.pth"
    )
    fresh = ResNet50()
    load_imagenet(fresh, tmp_path / "r.pth")
    assert torch.equal(fresh.layer4[2].conv3.weight, published["layer4.2.conv3.weight"])
    with pytest.raises(
        ValueError, match=r"r\.pth: must hold the weights of VGG19, found none that fit features\.0"
    ):
        load_imagenet(VGG19(), tmp_path / "r.pth")


def test_a_file_that_is_more_than_weights_is_not_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "run",))

    torch.save({"fc": Trap()}, tmp_path / "trap.pth")
    with pytest.raises(
        ValueError, match=r"trap\.pth: must be a file of torch weights, found UnpicklingError"
    ):
        load_imagenet(VGG19(), tmp_path / "trap.pth")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"size": 60}, "size: must be a multiple of 8 from 64 on, found 60"),
        (
            {"branches": ("alexnet",)},
            "branch: must be one of xception, resnet50, vgg19, custom, found 'alexnet'",
        ),
        (
            {"branches": ("custom",), "imagenet": {"custom": Path("x")}},
            "ImageNet weights: must be for a backbone of custom, found 'custom'",
        ),
    ],
)
def test_a_network_that_can_not_be_made_says_why(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        Ensemble(**arguments)
