"""Frames that stay where they are: the tensor path finds, reconstructs and embeds what the host's path does.

The device here is the processor; on a machine with a CUDA GPU the same tests run there.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engines.alignment import (
    FACE_SIZE,
    RECOGNITION_SIZE,
    face_transform,
    recognition_transform,
)
from engines.alignment import warp as host_warp
from engines.backends import open_engine
from engines.backends.cuda import Resident, resident
from engines.detection.area import AreaSampler
from engines.detection.mtcnn import MTCNN
from engines.faces import Faces
from engines.models import prepare
from engines.recognition.embedder import SFace, laid, unmasked_crop
from engines.resident.faces import ResidentFaces
from engines.resident.mtcnn import ResidentMTCNN
from engines.resident.sampling import AreaTable, warp
from engines.unmasking.generator import Unmasker

PICTURES = Path(__file__).resolve().parents[2] / "tools" / "demo" / "pictures"
NAMES = ("pnet", "rnet", "onet", "unmask", "sface")
DEVICE = torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Resident]:
    before = torch.get_num_threads()
    models = prepare(tmp_path_factory.mktemp("engines"), NAMES)
    opened = {name: resident(open_engine(model, "torch")) for name, model in models.items()}
    torch.set_num_threads(before)
    return {name: engine for name, engine in opened.items() if engine}


@pytest.fixture(scope="module")
def street() -> NDArray[np.uint8]:
    """Two people side by side, uint8 RGB [180, 320, 3]."""
    people = [cv2.imread(str(PICTURES / f"{name}.jpg")) for name in ("obama", "biden")]
    sides = [cv2.resize(person, (160, 180), interpolation=cv2.INTER_AREA) for person in people]
    return np.asarray(cv2.cvtColor(np.hstack(sides), cv2.COLOR_BGR2RGB), np.uint8)


@pytest.fixture(scope="module")
def found(engines: dict[str, Resident], street: NDArray[np.uint8]) -> Faces:
    (faces,) = MTCNN(engines).detect([street])  # type: ignore[arg-type]
    assert len(faces) == 2
    return faces


def _on_device(picture: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(picture).to(DEVICE)


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_area_means_are_the_hosts(data: st.DataObject) -> None:
    frames = np.random.default_rng(2).integers(0, 256, (2, 50, 80, 3), np.uint8)
    table = AreaTable(_on_device(frames))
    size = data.draw(st.integers(1, 60)), data.draw(st.integers(1, 60))
    windows = []
    for _ in range(data.draw(st.integers(1, 4))):
        x1, y1 = data.draw(st.integers(0, 79)), data.draw(st.integers(0, 49))
        windows.append((x1, y1, data.draw(st.integers(x1 + 1, 80)), data.draw(st.integers(y1 + 1, 50))))
    for number, frame in enumerate(frames):
        host = AreaSampler(frame)
        np.testing.assert_allclose(table.level(*size)[number].cpu(), host.level(*size), rtol=1e-6, atol=1e-4)
        crops = table.crops(np.full(len(windows), number), np.array(windows), 24)
        np.testing.assert_allclose(crops.cpu(), host.crops(np.array(windows), 24), rtol=1e-6, atol=1e-4)


def test_warps_are_the_hosts_within_a_grey_level_of_rounding(street: NDArray[np.uint8], found: Faces) -> None:
    for points in found.landmarks:
        for size, transform in (
            (FACE_SIZE, face_transform(points)),
            (RECOGNITION_SIZE, recognition_transform(points)),
            (RECOGNITION_SIZE, recognition_transform(points * 0.4)),  # a small face at the edge, mirrored
            (24, recognition_transform(points * 2) * np.float32(0.2)),  # averaged down
        ):
            wanted = host_warp(street, transform, size).astype(np.float32)
            crop = warp(_on_device(street), [transform], size)[0].permute(1, 2, 0).cpu().numpy()
            assert np.abs(crop - wanted).mean() < 0.6
            assert np.abs(crop - wanted).max() < 12  # OpenCV's weights are 32nds of a pixel


def test_the_same_faces_are_found_in_frames_on_the_device(
    engines: dict[str, Resident], street: NDArray[np.uint8]
) -> None:
    frames = np.stack([street, street[:, ::-1], np.full_like(street, 90)])
    wanted = MTCNN(engines).detect(list(np.ascontiguousarray(frames)))  # type: ignore[arg-type]
    found = ResidentMTCNN(engines).detect(_on_device(np.ascontiguousarray(frames)))
    assert [len(faces) for faces in found] == [len(faces) for faces in wanted] == [2, 2, 0]
    for a, b in zip(wanted, found, strict=True):
        np.testing.assert_allclose(b.boxes, a.boxes, atol=0.05)
        np.testing.assert_allclose(b.scores, a.scores, atol=1e-4)
        np.testing.assert_allclose(b.landmarks, a.landmarks, atol=0.05)


def test_a_reconstruction_and_its_embedding_are_those_of_the_host(
    engines: dict[str, Resident], street: NDArray[np.uint8], found: Faces
) -> None:
    faces = ResidentFaces(engines["unmask"], engines["sface"])
    frame = _on_device(street)
    pictures, masks = faces.reconstruct(frame, found.landmarks)
    crops = faces.crops(frame, found.landmarks, [True, True])
    embeddings = faces.embed(faces.unmasked(crops, pictures))
    host = [host_warp(street, face_transform(points), FACE_SIZE) for points in found.landmarks]
    wanted = Unmasker(engines["unmask"]).unmask(np.stack(host))  # type: ignore[arg-type]
    made = pictures.permute(0, 2, 3, 1).cpu().numpy()
    assert np.abs(made - wanted.pictures).mean() < 1
    assert np.abs(masks.cpu().numpy() - wanted.masks).mean() < 0.01
    raw = [
        host_warp(street, recognition_transform(points, masked=True), RECOGNITION_SIZE)
        for points in found.landmarks
    ]
    joined = np.stack(
        [
            unmasked_crop(crop, laid(picture, points, masked=True))
            for crop, picture, points in zip(raw, wanted.pictures, found.landmarks, strict=True)
        ]
    )
    reference = SFace(engines["sface"]).embed(joined)  # type: ignore[arg-type]
    assert (embeddings * reference).sum(1).min() > 0.995
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)
    assert (embeddings[0] * embeddings[1]).sum() < 0.4  # two people


def test_a_frame_of_another_form_is_refused(engines: dict[str, Resident]) -> None:
    with pytest.raises(ValueError, match=r"frames: must be uint8 \[N, H, W, 3\] on .*, found torch.float32"):
        ResidentMTCNN(engines).detect(torch.zeros(1, 40, 40, 3, device=DEVICE))
    with pytest.raises(ValueError, match=r"sface: a batch must be float32 \[any, 3, 112, 112\], found uint8"):
        engines["sface"].on_device(torch.zeros(1, 3, 112, 112, dtype=torch.uint8, device=DEVICE))
    with pytest.raises(ValueError, match=r"sface: a batch must be on .*, found meta"):
        engines["sface"].on_device(torch.zeros(1, 3, 112, 112, device="meta"))
