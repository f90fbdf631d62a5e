"""The training commands at toy size: they learn, stop, go on from a checkpoint and export what runs."""

import cv2
import numpy as np
import pytest
from training_helpers import run, write_faces

from engines.masks.state import MaskState
from tools.learning.faces import read_index
from tools.learning.image_metrics import iou, l1, psnr, ssim
from tools.learning.pairs import make_pair
from tools.learning.pool import Pool
from tools.learning.runtime import open_file
from tools.learning.states import RealFace, split


@pytest.mark.parametrize("network", ["unet", "unet-wide", "autoencoder"])
def test_a_generator_is_trained_resumed_and_exported(tmp_path, network):
    index = write_faces(tmp_path / "faces")
    common = ["-m", "tools.train_unmask", "--work", tmp_path / "run", "--out", tmp_path / "unmask.onnx"]
    common += ["--network", network]
    options = [
        "--index",
        index,
        "--folder",
        "",
        "--batch",
        2,
        "--pool",
        8,
        "--critic-from",
        0.5,
        "--threads",
        1,
    ]
    first = run(*common, *options, "--minutes", 0.03)
    assert first.returncode == 0, first.stderr
    again = run(*common, *options, "--minutes", 0.04)
    steps = [int(r.stdout.split("after ")[1].split()[0]) for r in (first, again)]
    assert steps[1] > steps[0] > 0
    composite, mask = open_file(tmp_path / "unmask.onnx")(np.zeros((3, 3, 128, 128), np.float32))
    assert composite.shape == (3, 3, 128, 128) and mask.shape == (3, 1, 128, 128)
    options += ["--begin-with", tmp_path / "run" / "unmask.pt", "--minutes", 0.01]
    on = run(*common, *options, "--work", tmp_path / "second")
    assert (
        int(on.stdout.split("after ")[1].split()[0]) > steps[1]
    )  # the weights' steps; its own schedule had not begun
    assert (mask > 0.99).all() or network != "autoencoder"  # it paints everything
    if network == "autoencoder":
        other = run(*common[:-1], "unet", *options)
        assert other.returncode == 2
        assert "must be what" in other.stderr and "was begun with, found unet" in " ".join(
            other.stderr.replace("│", " ").split()
        )


def test_an_export_without_a_checkpoint_says_what_is_missing(tmp_path):
    found = run("-m", "tools.train_unmask", "--export", "--work", tmp_path)
    assert found.returncode != 0
    assert "unmask.pt must be there to be exported" in " ".join(found.stderr.replace("│", " ").split())


def test_a_pair_differs_under_the_mask_only_when_the_camera_is_clean(tmp_path):
    face = read_index(write_faces(tmp_path / "faces", 1))[0]
    shares = []
    for seed in range(30):
        pair = make_pair(face.read(), face.landmarks, np.random.default_rng(seed))
        shares.append((pair.mask > 127).mean())
        assert pair.shown.shape == pair.wanted.shape == (128, 128, 3)
    assert 1 <= sum(s == 0 for s in shares) <= 12  # some are without a mask
    assert np.max(shares) < 0.5


def test_a_pool_reports_the_death_of_its_process():
    def broken(rng):
        raise ValueError("no faces left")

    pool = Pool(broken, (2, 2, 3), 4, seed=0)
    with pytest.raises(RuntimeError, match="ended with code 1"):
        pool.wait(1)


def test_an_index_without_landmarks_is_refused(tmp_path):
    (tmp_path / "index.csv").write_text("file,rex\na.png,1\n")
    with pytest.raises(ValueError, match="must have the columns lex, ley"):
        read_index(tmp_path / "index.csv")


def test_pictures_that_look_alike_fall_into_the_same_part(tmp_path):
    rng, faces = np.random.default_rng(1), []
    for i in range(40):
        picture = cv2.resize(
            rng.integers(0, 256, (8, 8, 3), dtype=np.uint8), (90, 90), interpolation=cv2.INTER_CUBIC
        )
        for copy, quality in enumerate((95, 40)):
            path = tmp_path / f"{i}_{copy}.jpg"
            cv2.imwrite(str(path), picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
            faces.append(RealFace(path, np.float32([0, 0, 90, 90]), MaskState.NONE, 90))
    parts = split(faces, (0.5, 0.5))
    names = [{face.path.name.split("_")[0] for face in part} for part in parts]
    assert names[0] and names[1] and not names[0] & names[1]
    assert sum(len(part) for part in parts) == 80


def test_the_metrics_know_equal_and_unequal_pictures():
    a = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    where = np.ones((32, 32), bool)
    assert (l1(a, a, where), psnr(a, a, where)) == (0, 99.0)
    assert ssim(a, a, where) == pytest.approx(1)
    b = np.clip(a.astype(int) + 10, 0, 255).astype(np.uint8)
    assert 9 < l1(a, b, where) <= 10 and 28 < psnr(a, b, where) < 29
    assert ssim(a, 255 - a, where) < 0
    assert iou(where, where) == 1 and iou(where, ~where) == 0 and iou(~where, ~where) == 1
