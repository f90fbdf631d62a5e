"""MTCNN against facenet-pytorch's MTCNN.detect, in float32, at its default settings."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engines.backends import open_engine
from engines.detection.mtcnn import MTCNN, NETWORKS
from engines.faces import Faces
from engines.models import prepare
from tools.facenet_reference import facenet_mtcnn

ROOT = Path(__file__).resolve().parents[2]
VIDEOS = Path(os.environ.get("UNVIZARD_DATA", ROOT.parent / "shared" / "data")) / "videos"
CLIPS = {  # clip: how many frames, evenly spread
    "permissive_repo/timesler+facenet-pytorch__examples_video.mp4": 4,
    "cc_by_intel/one-by-one-person-detection.mp4": 10,
    "cc_by_intel/preview/classroom.gif": 10,
    "cc_by_intel/preview/head-pose-face-detection-female-and-male.gif": 6,
    "cc_by_intel/preview/face-demographics-walking-and-pause.gif": 8,
    "cc_by_intel/asl_gestures/eat.mkv": 4,
    "cc_by_grid/lwbsza.mpg": 4,
    "cc_by_grid/swiz3n.mpg": 4,
}

Picture = NDArray[np.uint8]


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> MTCNN:
    models = prepare(tmp_path_factory.mktemp("engines"), NETWORKS)
    return MTCNN({name: open_engine(model, "openvino") for name, model in models.items()}, min_face=20)


def test_the_same_faces_as_facenet_pytorch_on_the_demo_pictures(detector: MTCNN) -> None:
    files = sorted((ROOT / "tools" / "demo" / "pictures").glob("*.[jp][pn]g"))
    pictures = [cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB) for file in files]
    assert len(pictures) >= 4
    _compare(detector, pictures, at_least=4)


@pytest.mark.skipif(not VIDEOS.is_dir(), reason="the project's video clips are not on this machine")
def test_the_same_faces_as_facenet_pytorch_on_fifty_frames_of_video(detector: MTCNN) -> None:
    pictures = [picture for clip, count in CLIPS.items() for picture in _frames(VIDEOS / clip, count)]
    assert len(pictures) == 50
    _compare(detector, pictures, at_least=50)


def _compare(detector: MTCNN, pictures: list[Picture], at_least: int) -> None:
    """Same number of faces in each picture, boxes at IoU >= 0.99, landmarks within a pixel for 99 % of faces."""
    reference = facenet_mtcnn()
    ious, distances = [], []
    for found, picture in zip(detector.detect(pictures), pictures, strict=True):
        boxes, scores, points = reference.detect(picture, landmarks=True)
        wanted = Faces.none() if boxes is None else _faces(boxes, scores, points)
        assert len(found) == len(wanted)
        pairs = _iou(wanted.boxes, found.boxes)
        partner = pairs.argmax(1)
        assert len(set(partner.tolist())) == len(wanted)
        ious.extend(pairs.max(1))
        distances.extend(np.linalg.norm(found.landmarks[partner] - wanted.landmarks, axis=2).max(1))
    print(f"{len(ious)} faces, least IoU {min(ious):.5f}, landmarks at most {max(distances):.4f} px apart")
    assert len(ious) >= at_least
    assert min(ious) >= 0.99
    assert np.mean(np.array(distances) <= 1.0) >= 0.99


def _faces(boxes: NDArray[np.float32], scores: list[float], points: NDArray[np.float32]) -> Faces:
    return Faces(
        np.asarray(boxes, np.float32), np.asarray(scores, np.float32), np.asarray(points, np.float32)
    )


def _iou(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    if not len(a):
        return np.zeros((0, 1), np.float32)
    size = np.maximum(0, np.minimum(a[:, None, 2:], b[:, 2:]) - np.maximum(a[:, None, :2], b[:, :2]))
    shared = size.prod(2)
    area = [np.prod(x[:, 2:] - x[:, :2], axis=1) for x in (a, b)]
    return np.asarray(shared / (area[0][:, None] + area[1] - shared), np.float32)


def _frames(clip: Path, count: int) -> Iterator[Picture]:
    with av.open(str(clip)) as container:
        frames = list(_decoded(container))
    for index in np.linspace(0, len(frames) - 1, count).astype(int):
        yield frames[index].to_ndarray(format="rgb24")


def _decoded(container: av.container.InputContainer) -> Iterator[av.VideoFrame]:
    for index, frame in enumerate(container.decode(video=0)):
        if index == 200:  # enough to choose from, and bounded memory
            return
        yield frame
