"""The detector of the settings, whichever it is: it opens its own networks, and inference follows faces with it."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import av
import numpy as np
import pytest
from frames import announced
from numpy.typing import NDArray

from engines.detection.detectors import DETECTORS
from engines.recognition.calibration import Calibration
from engines.recognition.gallery import Gallery
from engines.recognition.matcher import Matcher
from stream.config import Detection, parse
from stream.inference import Inference
from stream.messages import FrameResult
from stream.networks import load_networks
from stream.tracking import iou
from tools.demo.clip import cached_clip, read_truth

FRAMES = 20


@pytest.fixture(scope="module")
def clip() -> Path:
    return cached_clip()


@pytest.fixture(scope="module")
def pictures(clip: Path) -> list[NDArray[np.uint8]]:
    with av.open(str(clip)) as container:
        frames = zip(range(FRAMES), container.decode(video=0), strict=False)
        return [frame.to_ndarray(format="rgb24") for _, frame in frames]


def test_the_settings_offer_every_detector() -> None:
    assert set(get_args(Detection.model_fields["detector"].annotation)) == set(DETECTORS)


@pytest.mark.parametrize("name", list(DETECTORS))
def test_inference_follows_clear_faces_with_each_detector_and_says_the_same_again(
    name: str, clip: Path, pictures: list[NDArray[np.uint8]], tmp_path: Path
) -> None:
    settings = parse({"detection": {"detector": name}}, "test")
    networks = load_networks(settings, lambda network, share: None)
    every = {network for of in DETECTORS.values() for network in of}
    assert every & set(networks.opened) == set(DETECTORS[name])
    with Gallery(tmp_path / "gallery.sqlite3") as gallery:
        snapshot = gallery.load(networks.evidence.space, networks.evidence.views_space)
    matcher = Matcher(snapshot, Calibration.load(), 0.5, networks.engines["unmask"].model_sha256)

    def watched() -> list[FrameResult]:
        inference = Inference(settings, networks, matcher, clock_ns=lambda: 0)
        return [inference.step([announced(n, rgb)])[0][0] for n, rgb in enumerate(pictures)]

    results = watched()
    clear = found = 0
    for result, truth in zip(results[1:], read_truth(clip)[1:FRAMES], strict=True):
        boxes = np.array([face.box for face in result.faces], np.float32).reshape(-1, 4)
        sure = [face.box for face in truth if face.visible > 0.95 and not face.masked]
        clear += len(sure)
        found += int((iou(np.array(sure, np.float32), boxes).max(1, initial=0) > 0.5).sum())
    assert clear > FRAMES and found / clear > 0.9
    assert watched() == results
