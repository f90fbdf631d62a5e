"""The demo clip: reproducible, seamless, true to its truth, and full of faces that MTCNN finds."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engines.backends import open_engine
from engines.detection.mtcnn import MTCNN, NETWORKS
from engines.models import prepare
from tools.demo.clip import SEED, cached_clip, make_clip, read_truth, truth_path
from tools.demo.scene.frames import TrueFace, draw_frames

Picture = NDArray[np.uint8]
SMALL = {"width": 320, "height": 180, "fps": 10, "seconds": 3.0}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip") / "street.mp4", **SMALL, seed=7)


@pytest.fixture(scope="module")
def sample() -> list[tuple[Picture, list[TrueFace]]]:
    """The usual clip at full size, one frame a second, before encoding."""
    return [
        (cv2.cvtColor(picture, cv2.COLOR_YUV2RGB_I420), faces)
        for picture, faces in draw_frames(1280, 720, 1, 20.0, SEED)
    ]


def test_the_same_seed_gives_the_same_file_and_the_same_truth(clip: Path, tmp_path: Path) -> None:
    again = make_clip(tmp_path / "again.mp4", **SMALL, seed=7)
    assert again.read_bytes() == clip.read_bytes()
    assert read_truth(again) == read_truth(clip)


def test_another_seed_gives_another_clip(clip: Path, tmp_path: Path) -> None:
    other = make_clip(tmp_path / "other.mp4", **SMALL, seed=8)
    assert read_truth(other) != read_truth(clip)


def test_the_stream_is_what_a_camera_sends(clip: Path) -> None:
    with av.open(str(clip)) as container:
        (stream,) = container.streams
        assert isinstance(stream, av.VideoStream)
        assert (stream.codec_context.name, stream.average_rate) == ("h264", SMALL["fps"])
        packets = [packet for packet in container.demux(stream) if packet.size]
    assert len(packets) == len(read_truth(clip)) == 30
    assert [n for n, packet in enumerate(packets) if packet.is_keyframe] == [0, 10, 20]
    assert all(packet.pts == packet.dts for packet in packets)  # no B-frames: nothing waits for the future


def test_the_end_leads_into_the_beginning() -> None:
    pictures = [cv2.blur(picture[:180], (3, 3)) for picture, _ in draw_frames(320, 180, 25, 20.0, SEED)]

    def apart(a: Picture, b: Picture) -> float:
        return float(cv2.absdiff(a, b).mean())

    steps = [apart(a, b) for a, b in pairwise(pictures)]
    usual = 1.1 * np.quantile(steps, 0.9)
    assert apart(pictures[-1], pictures[0]) <= usual
    assert apart(pictures[-1], pictures[5]) > usual  # a jump of a fifth of a second would show


def test_progress_grows_to_one(tmp_path: Path) -> None:
    shares: list[float] = []
    make_clip(tmp_path / "a.mp4", 160, 90, 5, 2.0, progress=shares.append)
    assert shares == [pytest.approx((n + 1) / 10) for n in range(10)]


def test_a_clip_is_drawn_once_and_then_found_by_its_content(tmp_path: Path) -> None:
    drawn: list[float] = []
    size = {"width": 160, "height": 90, "fps": 5, "seconds": 2.0}
    first = cached_clip(drawn.append, tmp_path, **size)
    drawn.clear()
    assert cached_clip(drawn.append, tmp_path, **size) == first
    assert not drawn
    other = cached_clip(drawn.append, tmp_path, **size, seed=3)
    assert other != first and drawn
    truth_path(first).unlink()  # half a clip is none
    cached_clip(None, tmp_path, **size)
    assert truth_path(first).exists()
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [".json", ".json", ".mp4", ".mp4"]


def test_a_broken_off_clip_leaves_nothing_behind(tmp_path: Path) -> None:
    def stop(share: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_clip(tmp_path / "a.mp4", 160, 90, 5, 2.0, progress=stop)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": 321}, "clip size: both sides must be even and at least 160 x 90, found 321 x 180"),
        ({"height": 60}, "clip size: both sides must be even and at least 160 x 90, found 320 x 60"),
        ({"fps": 0}, "clip fps: must be from 1 to 120, found 0"),
        ({"seconds": 0.5}, "clip seconds: must be from 2 to 600, found 0.5"),
    ],
)
def test_a_clip_that_cannot_be_made_says_why(tmp_path: Path, settings: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        make_clip(tmp_path / "a.mp4", **(SMALL | settings))
    assert str(caught.value) == message


def test_a_clip_has_the_name_of_a_film(tmp_path: Path) -> None:
    with pytest.raises(ValueError) as caught:
        make_clip(tmp_path / "street.avi", **SMALL)
    assert str(caught.value) == "clip path: must end in .mp4, found 'street.avi'"


def test_two_to_five_faces_are_in_sight(sample: list[tuple[Picture, list[TrueFace]]]) -> None:
    counts = Counter(sum(face.visible > 0.85 for face in faces) for _, faces in sample)
    assert sum(counts[n] for n in (2, 3, 4, 5)) >= 0.9 * len(sample), counts


def test_everyone_is_seen_with_and_without_a_mask(sample: list[tuple[Picture, list[TrueFace]]]) -> None:
    seen = {(face.person, face.masked) for _, faces in sample for face in faces if face.visible > 0.9}
    people = ("Barack Obama", "Eileen Collins", "Joe Biden")
    assert seen == {(person, masked) for person in people for masked in (False, True)}


def test_faces_come_as_small_and_as_large_as_cameras_see_them(
    sample: list[tuple[Picture, list[TrueFace]]],
) -> None:
    heights = [face.box[3] - face.box[1] for _, faces in sample for face in faces if face.visible > 0.9]
    assert 55 <= min(heights) <= 70
    assert 130 <= max(heights) <= 175


def test_mtcnn_finds_the_faces_where_the_truth_says(
    sample: list[tuple[Picture, list[TrueFace]]], tmp_path: Path
) -> None:
    models = prepare(tmp_path, NETWORKS)
    detector = MTCNN({name: open_engine(model, "openvino") for name, model in models.items()}, min_face=40)
    found: dict[bool, list[bool]] = {False: [], True: []}
    for picture, faces in sample:
        (detected,) = detector.detect([picture])
        for face in faces:
            if face.visible > 0.9:
                found[face.masked].append(any(_iou(face.box, box) > 0.4 for box in detected.boxes))
    assert len(found[False]) > 20
    assert len(found[True]) > 15
    assert np.mean(found[False]) >= 0.95
    assert np.mean(found[True]) >= 0.8


def _iou(a: tuple[float, float, float, float], b: NDArray[np.float32]) -> float:
    width = min(a[2], float(b[2])) - max(a[0], float(b[0]))
    height = min(a[3], float(b[3])) - max(a[1], float(b[1]))
    shared = max(width, 0.0) * max(height, 0.0)
    areas = (a[2] - a[0]) * (a[3] - a[1]) + float((b[2] - b[0]) * (b[3] - b[1]))
    return shared / (areas - shared)
