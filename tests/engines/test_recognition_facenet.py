"""FaceNet from a user's weight file: the same numbers as facenet-pytorch's own network, and no code run from the file.

The weights are random: what is tested is that they end up in the right places.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from facenet_weights import peer_network, random_state, weights_file
from numpy.typing import NDArray

from engines.alignment import RECOGNITION_POINTS, RECOGNITION_SIZE, recognition_transform
from engines.backends import Precision, open_engine
from engines.backends.tensorrt_plan import Profile, build
from engines.models import Model, ModelError, file_sha256
from engines.recognition.embedder import Embedder
from engines.recognition.facenet import facenet_model, facenet_space, sampling

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "tools" / "demo" / "pictures"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("facenet")


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    return random_state()


@pytest.fixture(scope="module")
def weights(folder: Path) -> Path:
    return weights_file(folder)


@pytest.fixture(scope="module")
def model(folder: Path, weights: Path) -> Model:
    return facenet_model(weights, folder / "cache")


@pytest.fixture(scope="module")
def embedder(model: Model, weights: Path) -> Embedder:
    return Embedder(open_engine(model, "onnxruntime"), facenet_space(weights))


@pytest.fixture(scope="module")
def crops() -> NDArray[np.uint8]:
    pictures = sorted(PICTURE.glob("*.jpg"))[:3]
    read = [cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB) for path in pictures]
    return np.stack([cv2.resize(picture, (RECOGNITION_SIZE, RECOGNITION_SIZE)) for picture in read])


def test_it_computes_what_facenet_pytorch_computes(
    embedder: Embedder, state: dict[str, torch.Tensor], crops: NDArray[np.uint8]
) -> None:
    peer = peer_network().eval()
    peer.load_state_dict(state)
    resampled = sampling(1) @ crops.transpose(0, 3, 1, 2) @ sampling(0).T  # as the graph does it first
    assert resampled.shape == (3, 3, 160, 160)
    batch = (torch.from_numpy(resampled).float() - 127.5) / 128
    with torch.inference_mode():
        wanted = peer(batch).numpy()
    found = embedder.embed(crops)
    assert found.dtype == np.float32 and found.shape == (3, 512)
    assert np.abs(wanted[0] - wanted[1]).max() > 0.01, "the test's weights make all faces alike"
    assert np.allclose(found, wanted, atol=2e-5)


@pytest.mark.parametrize("backend", ["openvino", "torch"])
def test_other_runtimes_open_it_and_pass_the_gate(
    backend: str, folder: Path, model: Model, weights: Path, embedder: Embedder, crops: NDArray[np.uint8]
) -> None:
    engine = open_engine(model, backend, cache=folder / backend)
    other = Embedder(engine, facenet_space(weights))
    assert ((other.embed(crops) * embedder.embed(crops)).sum(1) > 0.9999).all()
    assert (engine.info.backend, engine.info.notes) == (backend, ())
    assert other.space == embedder.space == f"facenet:{file_sha256(weights)}"


def test_tensorrt_parses_and_builds_it(model: Model) -> None:
    rtx = pytest.importorskip("tensorrt_rtx")
    assert len(build(rtx, model, Precision.FP16, Profile.of(model, 112, 112))) > 40_000_000


def test_the_head_of_a_classifier_is_left_out(
    folder: Path, state: dict[str, torch.Tensor], model: Model
) -> None:
    head = {"logits.weight": torch.ones(7, 512), "logits.bias": torch.ones(7)}
    torch.save({**state, **head}, folder / "classifier.pt")
    again = facenet_model(folder / "classifier.pt", folder / "cache")
    assert again.sha256 == model.sha256
    assert again.path != model.path, "another weight file may become another space"


def test_a_warm_start_imports_neither_torch_nor_onnx(folder: Path, weights: Path, model: Model) -> None:
    program = (
        "import sys; from pathlib import Path; from engines.recognition.facenet import facenet_model\n"
        f"model = facenet_model(Path({str(weights)!r}), Path({str(folder / 'cache')!r}))\n"
        "print(model.sha256, [m for m in ('torch', 'onnx', 'facenet_pytorch') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == f"{model.sha256} []"


def test_a_damaged_network_is_made_again_the_same(folder: Path, weights: Path, model: Model) -> None:
    cache = folder / "damaged"
    cache.mkdir()
    whole = model.path.read_bytes()
    for damage in (whole[:-100], whole[:500_000] + bytes([whole[500_000] ^ 1]) + whole[500_001:]):
        (cache / model.path.name).write_bytes(damage)
        again = facenet_model(weights, cache)
        assert again.path.read_bytes() == whole
        assert again.sha256 == model.sha256


class Code:
    """An object that makes a file when a reader that runs code loads it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def test_no_code_in_a_weight_file_is_run(tmp_path: Path) -> None:
    torch.save({"conv2d_1a.conv.weight": Code(tmp_path / "ran")}, tmp_path / "evil.pt")
    with pytest.raises(ModelError, match="must be a state dict saved by torch, nothing else"):
        facenet_model(tmp_path / "evil.pt", tmp_path / "cache")
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"block8.branch0.conv.weight": None}, "block8.branch0.conv.weight: is missing"),
        ({"repeat_9.0.weight": torch.ones(3)}, "repeat_9.0.weight: does not belong to it"),
        (
            {"conv2d_2a.conv.weight": torch.ones(32, 16, 3, 3)},
            "conv2d_2a.conv.weight: must take 32 channels, found 16",
        ),
        (
            {"last_linear.weight": torch.ones(128, 1792)},
            "last_linear.weight: must have 512 channels, found 128",
        ),
        (
            {"conv2d_2b.conv.weight": torch.full((64, 32, 3, 3), float("nan"))},
            "conv2d_2b.conv.weight: must be finite numbers with 4 axes, found [64, 32, 3, 3]",
        ),
        (
            {"last_bn.running_var": -torch.ones(512)},
            "last_bn: must have a mean, a variance, a weight and a bias for each channel",
        ),
        (
            {"repeat_1.0.branch1.1.conv.weight": torch.ones(32, 32, 2, 2)},
            "the sizes of its layers do not fit",
        ),
    ],
)
def test_weights_of_another_network_are_refused_by_name(
    tmp_path: Path, state: dict[str, torch.Tensor], change: dict[str, torch.Tensor | None], sentence: str
) -> None:
    changed = {name: value for name, value in {**state, **change}.items() if value is not None}
    torch.save(changed, tmp_path / "other.pt")
    with pytest.raises(ModelError) as refused:
        facenet_model(tmp_path / "other.pt", tmp_path / "cache")
    assert f"other.pt: no weights of InceptionResnetV1: {sentence}" in str(refused.value)


def test_files_that_are_no_weights_are_refused(tmp_path: Path, weights: Path) -> None:
    cut, missing = tmp_path / "cut.pt", tmp_path / "missing.pt"
    cut.write_bytes(weights.read_bytes()[:1_000_000])
    torch.save([1, 2], tmp_path / "list.pt")
    for path, sentence in (
        (cut, "must be a state dict saved by torch, nothing else"),
        (missing, "cannot be read: No such file or directory"),
        (tmp_path / "list.pt", "must be a state dict, found list"),
    ):
        with pytest.raises(ModelError, match=sentence):
            facenet_model(path, tmp_path / "cache")


def test_crops_of_another_form_are_refused(embedder: Embedder) -> None:
    for crops in (
        np.zeros((1, 160, 160, 3), np.uint8),
        np.zeros((1, 112, 112, 3), np.float32),
        np.zeros((0, 112, 112, 3), np.uint8),
    ):
        with pytest.raises(ValueError, match=r"crops: must be uint8 \[N, 112, 112, 3\], found "):
            embedder.embed(crops)


def in_the_crop(points: NDArray[np.floating]) -> NDArray[np.float64]:
    """Points [..., 2] of the recognition frame in FaceNet's crop, as the graph's resampling moves the pixels there."""
    moved = []
    for axis in (0, 1):
        middles = sampling(axis) @ np.arange(RECOGNITION_SIZE)  # where each pixel of the crop looks
        inside = np.flatnonzero(np.diff(middles) > 1e-9)
        moved.append(np.interp(points[..., axis], middles[inside], inside))
    return np.stack(moved, -1)


def test_the_five_points_come_to_lie_where_facenet_has_learnt_to_expect_them() -> None:
    """Those of the recognition frame within 2 % of the crop, since it is drawn for a longer face than the mean one."""
    expected = np.array([[47.4, 62.4], [119.0, 61.4], [83.8, 93.5], [52.0, 121.3], [115.9, 120.6]])
    assert np.abs(in_the_crop(RECOGNITION_POINTS) - expected).max() < 3.2
    # A mean face anywhere in a picture, tilted and of any size, once it is in the recognition frame.
    angle = np.radians(25)
    turn = 0.7 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    seen = ((expected * (1, 1.32)) @ turn.T + (40, 300)).astype(np.float32)
    transform = recognition_transform(seen)
    assert np.abs(in_the_crop(seen @ transform[:, :2].T + transform[:, 2]) - expected).max() < 0.5


def test_the_crop_is_sampled_between_neighbours_and_repeats_the_edge() -> None:
    rows, columns = sampling(1), sampling(0)
    for weights in (rows, columns):
        assert weights.shape == (160, 112) and weights.min() >= 0
        assert np.allclose(weights.sum(1), 1) and (np.count_nonzero(weights, axis=1) <= 2).all()
    assert (rows[-1] == np.eye(112)[-1]).all(), "the crop reaches below the frame"
    assert not columns[:, 0].any() and not columns[:, -1].any(), "and not to its sides"
