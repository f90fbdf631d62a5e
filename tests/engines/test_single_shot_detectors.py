"""The single-shot detectors against the originals of their weights, and what MTCNN gains by one of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engines.backends import Engine, open_engine
from engines.detection.detectors import DETECTORS, make_detector, networks_of
from engines.detection.fused import Fused
from engines.detection.mtcnn import MTCNN
from engines.detection.single_shot import overlap
from engines.detection.ssd import SSD
from engines.detection.yunet import YuNet
from engines.faces import Faces
from engines.masks.synthesis import draw_mask
from engines.models import NETWORKS, Borne, prepare

Picture = NDArray[np.uint8]
PICTURES = Path(__file__).resolve().parents[2] / "tools" / "demo" / "pictures"


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Engine]:
    models = prepare(tmp_path_factory.mktemp("engines"), {name for of in DETECTORS.values() for name in of})
    return {name: open_engine(model, "openvino") for name, model in models.items()}


@pytest.fixture(scope="module")
def portrait() -> Picture:
    picture = cv2.cvtColor(cv2.imread(str(PICTURES / "astronaut.png")), cv2.COLOR_BGR2RGB)
    return np.asarray(picture, np.uint8)


def test_ssd_finds_what_the_package_of_its_weights_finds(
    engines: dict[str, Engine], portrait: Picture
) -> None:
    from retinaface import detect_faces

    pictures = [portrait, np.ascontiguousarray(portrait[:, ::-1])]
    found = SSD(engines["ssd"], min_face=24, min_score=0.5).detect(pictures)
    for picture, ours in zip(pictures, found, strict=True):
        (theirs,) = detect_faces(picture, score_threshold=0.5)
        assert len(ours) == 1
        corner = (theirs.x, theirs.y)
        box = (*corner, theirs.x + theirs.width, theirs.y + theirs.height)
        assert ours.scores[0] == pytest.approx(float(theirs.score), abs=1e-3)
        np.testing.assert_allclose(ours.boxes[0], box, atol=2)  # theirs are cut to whole pixels
        np.testing.assert_allclose(ours.landmarks[0], [(p.x, p.y) for p in theirs.landmarks], atol=1.01)


def test_yunet_finds_what_opencv_finds_with_the_same_weights(
    engines: dict[str, Engine], portrait: Picture
) -> None:
    origin = NETWORKS["yunet"]
    assert isinstance(origin, Borne)
    (ours,) = YuNet(engines["yunet"], min_face=24, min_score=0.6).detect([portrait])
    size = (portrait.shape[1], portrait.shape[0])
    peer: Any = cv2.FaceDetectorYN.create(str(origin.find("yunet")), "", size, 0.6, 0.4)
    (row,) = peer.detect(cv2.cvtColor(portrait, cv2.COLOR_RGB2BGR))[1]
    box = (*row[:2], *(row[:2] + row[2:4]))
    assert ours.scores[0] == pytest.approx(float(row[14]), abs=2e-3)
    np.testing.assert_allclose(ours.boxes[0], box, atol=0.5)
    np.testing.assert_allclose(ours.landmarks[0], row[4:14].reshape(5, 2), atol=0.5)


@pytest.mark.parametrize("name", list(DETECTORS))
def test_every_detector_finds_a_face_of_the_smallest_size_asked_for(
    engines: dict[str, Engine], portrait: Picture, name: str
) -> None:
    (large,) = make_detector("mtcnn", engines, 40).detect([portrait])
    side = float((large.boxes[0, 2:] - large.boxes[0, :2]).max())
    size = round(portrait.shape[0] * 56 / side)
    small = np.asarray(cv2.resize(portrait, (size, size), interpolation=cv2.INTER_AREA), np.uint8)
    empty = np.full((90, 120, 3), 128, np.uint8)
    faces, none, again = make_detector(name, engines, 50).detect([small, empty, small])
    assert (len(faces), len(none), len(again)) == (1, 0, 1)
    expected = large.boxes[0] * (size / portrait.shape[0])
    assert overlap(faces.boxes[0], expected) > 0.6
    eyes, mouth = faces.landmarks[0, :2], faces.landmarks[0, 3:]
    assert eyes[0, 0] < eyes[1, 0] and eyes[:, 1].max() < faces.landmarks[0, 2, 1] < mouth[:, 1].min()


@pytest.mark.parametrize("name", list(DETECTORS))
def test_every_detector_follows_a_face_that_has_moved_and_sees_that_one_is_gone(
    engines: dict[str, Engine], portrait: Picture, name: str
) -> None:
    detector = make_detector(name, engines, 40)
    (faces,) = detector.detect([portrait])
    outside = np.array([[-90, -90, -40, -20]], np.float32)
    wall = np.array([[20, 330, 100, 410]], np.float32)
    shifted = faces.boxes + np.array([9, -7, 9, -7], np.float32)
    empty = np.zeros((0, 4), np.float32)
    first, second = detector.refine([portrait, portrait], [np.vstack([outside, shifted, wall]), empty])
    assert (len(first), len(second)) == (3, 0)
    assert first.scores[1] > 0.8 and first.scores[0] == 0 and first.scores[2] < 0.3
    assert overlap(first.boxes[1], faces.boxes[0]) > 0.8
    np.testing.assert_array_equal(first.boxes[0], outside[0])


class _Blind(MTCNN):
    """MTCNN whose search finds nothing, as happens with masked faces; its O-Net is as it is."""

    def detect(self, pictures: Any) -> list[Faces]:
        return [Faces.none() for _ in pictures]


def test_a_masked_face_that_mtcnn_misses_is_found_with_landmarks_by_onet(
    engines: dict[str, Engine], portrait: Picture
) -> None:
    cascade = MTCNN(engines, 40)
    (bare,) = cascade.detect([portrait])
    masked, _ = draw_mask(portrait, bare.landmarks[0], np.random.default_rng(3), kind="surgical")
    blind = Fused(_Blind(engines, 40), YuNet(engines["yunet"], 40, 0.3))
    (found,) = blind.detect([masked])
    assert len(found) == 1 and overlap(found.boxes[0], bare.boxes[0]) > 0.6
    apart = float(np.linalg.norm(bare.landmarks[0, 1] - bare.landmarks[0, 0]))
    assert np.abs(found.landmarks[0, :2] - bare.landmarks[0, :2]).max() < 0.25 * apart


def test_what_mtcnn_finds_stays_as_it_is_and_is_found_once(
    engines: dict[str, Engine], portrait: Picture
) -> None:
    (alone,) = make_detector("mtcnn", engines, 40).detect([portrait])
    (both,) = make_detector("fused", engines, 40).detect([portrait])
    np.testing.assert_array_equal(alone.boxes, both.boxes)
    np.testing.assert_array_equal(alone.landmarks, both.landmarks)
    np.testing.assert_array_equal(alone.scores, both.scores)


def test_what_cannot_be_is_refused(engines: dict[str, Engine]) -> None:
    with pytest.raises(ValueError, match="detector: must be one of fused, mtcnn, ssd, yunet, found 'haar'"):
        networks_of("haar")
    with pytest.raises(ValueError, match="min_face: must be at least 12 pixels, found 5"):
        make_detector("ssd", engines, 5)
    with pytest.raises(ValueError, match=r"min_score: must lie between 0 and 1, found 1\.5"):
        make_detector("fused", engines, 40, min_score=1.5)
    with pytest.raises(
        ValueError, match=r"picture: must be uint8 \[H, W, 3\] and not empty, found uint8 \[4, 4\]"
    ):
        make_detector("yunet", engines).detect([np.zeros((4, 4), np.uint8)])
    with pytest.raises(ValueError, match=r"boxes: the shape must be \[K, 4\], found \[4\]"):
        make_detector("yunet", engines).refine([np.zeros((48, 64, 3), np.uint8)], [np.zeros(4)])
