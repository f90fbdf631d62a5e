"""The verdict about pictures and clips, and the flag in the live pipeline, with the real networks."""

from __future__ import annotations

import json
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from engines.alignment import FACE_SIZE, face_transform, warp
from engines.masks.synthesis import draw_mask
from engines.recognition.calibration import Calibration
from engines.recognition.enrolled import GallerySnapshot
from engines.recognition.matcher import Matcher
from engines.recognition.photo import Refused
from engines.unmasking.mark import marked_png
from stream.authenticity import Judge
from stream.config import Settings, parse
from stream.inference import Inference
from stream.messages import FrameReady, FrameResult, decode, encode
from stream.networks import Networks, load_networks
from stream.overlay import remark
from stream.report import _sighting
from stream.sightings import Sightings
from stream.watching import Picture
from tools.cli import app
from tools.demo.clip import cached_clip

PICTURES = Path(__file__).parents[2] / "tools" / "demo" / "pictures"
ASTRONAUT = np.array([[205, 101], [247, 103], [225, 129], [201, 140], [245, 141]], np.float32)
ON = parse({"authenticity": {"enabled": True, "flag_at": 0.5, "every_ms": 40}}, "test")


@pytest.fixture(scope="module")
def networks() -> Networks:
    return load_networks(ON, lambda name, share: None)


@pytest.fixture(scope="module")
def judge(networks: Networks) -> Judge:
    return Judge(ON, networks.opened)


@pytest.fixture(scope="module")
def astronaut() -> NDArray[np.uint8]:
    return cv2.cvtColor(cv2.imread(str(PICTURES / "astronaut.png")), cv2.COLOR_BGR2RGB)


def masked(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return draw_mask(picture, ASTRONAUT, np.random.default_rng(3), kind="surgical")[0]


def png(picture: NDArray[np.uint8]) -> bytes:
    return cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes()


def opened(data: bytes) -> NDArray[np.uint8]:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


def test_a_photograph_and_the_same_face_with_a_painted_mask_are_told_apart(
    judge: Judge, astronaut: NDArray[np.uint8]
) -> None:
    photograph, painted = judge.judge(png(astronaut)), judge.judge(png(masked(astronaut)))
    assert photograph.conclusion == "photographed" and not photograph.mark.marked
    assert painted.conclusion == "synthetic" and painted.faces[0].masked
    assert len(painted.faces) == 1 and painted.probability == painted.faces[0].probability
    x1, y1, x2, y2 = painted.faces[0].box
    assert x1 < 205 and x2 > 247 and y1 < 101 and y2 > 141
    assert opened(painted.heat_png).shape == astronaut.shape
    assert opened(painted.faces[0].heat_png).shape == (112, 112, 3)
    assert "painted or generated with a probability of" in painted.said[0]


def test_our_own_reconstruction_is_known_by_its_mark(
    judge: Judge, networks: Networks, astronaut: NDArray[np.uint8]
) -> None:
    view = warp(masked(astronaut), face_transform(ASTRONAUT), FACE_SIZE)
    assert networks.unmasker
    made = networks.unmasker.unmask(view[None])
    verdict = judge.judge(marked_png(made.pictures[0], made.masks[0]))
    assert verdict.conclusion == "reconstruction" and verdict.mark.watermarked
    assert any("Unvizard's watermark" in sentence for sentence in verdict.said)
    # Without its mark, the classifier alone says that it was generated.
    plain = judge.judge(png(cv2.resize(made.pictures[0], (256, 256), interpolation=cv2.INTER_CUBIC)))
    assert not plain.mark.marked and plain.probability is not None and plain.probability > 0.5


def test_what_is_no_picture_and_what_shows_no_face(judge: Judge) -> None:
    with pytest.raises(Refused, match="is not an image that can be read"):
        judge.judge(b"GIF89a nothing")
    empty = judge.judge(png(np.full((200, 300, 3), 120, np.uint8)))
    assert (
        empty.conclusion == "no face" and empty.probability is None and empty.said[0] == "No face was found."
    )
    assert empty.plain()["faces"] == []


def test_a_face_of_few_pixels_counts_for_nothing(judge: Judge, astronaut: NDArray[np.uint8]) -> None:
    small = cv2.resize(masked(astronaut), None, fx=0.35, fy=0.35, interpolation=cv2.INTER_AREA)
    verdict = judge.judge(png(small))
    assert [face.unfit for face in verdict.faces] == ["too small to tell"]
    assert verdict.conclusion == "no face" and verdict.probability is None


def write_clip(path: Path, picture: NDArray[np.uint8]) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = picture.shape[1], picture.shape[0], "yuv420p"
        stream.options = {"crf": "20", "preset": "veryfast"}
        for _ in range(20):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def test_the_command_judges_a_clip_and_writes_its_heat_map(
    tmp_path: Path, astronaut: NDArray[np.uint8]
) -> None:
    clip = write_clip(tmp_path / "clip.mp4", masked(astronaut))
    config = tmp_path / "site.yaml"
    config.write_text("authenticity: {flag_at: 0.5}\n")
    heat = tmp_path / "heat.png"
    done = CliRunner().invoke(
        app, ["authenticity", str(clip), "--json", "--heat-map", str(heat), "--config", str(config)]
    )
    assert done.exit_code == 1, done.output
    said = json.loads(done.stdout)
    assert said["conclusion"] == "synthetic" and len(said["looks"]) == 12
    assert [look["seconds"] for look in said["looks"]] == sorted(look["seconds"] for look in said["looks"])
    assert opened(heat.read_bytes()).shape == astronaut.shape


def test_the_command_names_what_it_can_not_read(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"no video")
    done = CliRunner().invoke(app, ["authenticity", str(path)])
    assert done.exit_code == 2 and "is not a video that can be read" in done.stderr


def step(inference: Inference, number: int, rgb: NDArray[np.uint8]) -> FrameResult:
    times = {"media_ns": number * 40_000_000, "wall_ns": 0, "received_ns": 0, "captured_ns": 0}
    frame = FrameReady(
        camera="street", sequence=number + 1, ring="ring", slot=0, generation=2,
        width=rgb.shape[1], height=rgb.shape[0], **times,
    )  # fmt: skip
    results, _, _ = inference.step([Picture(frame, rgb, {})])
    return results[0]


def watched(settings: Settings, networks: Networks, rgb: NDArray[np.uint8]) -> FrameResult:
    nobody = Matcher(GallerySnapshot.empty(), Calibration.load(), 0.5)
    inference = Inference(settings, networks, nobody, clock_ns=lambda: 0)
    for number in range(11):
        result = step(inference, number, rgb)
    return result


def test_a_painted_face_is_flagged_live_on_label_and_in_the_report(
    networks: Networks, astronaut: NDArray[np.uint8]
) -> None:
    result = watched(ON, networks, masked(astronaut))
    face = result.faces[0]
    assert face.synthetic is not None and face.synthetic >= 0.5 and face.flagged
    assert "looks synthetic" in remark(face)
    assert decode(encode(result)) == result and "authenticity" in result.stamps_ns
    sightings = Sightings()
    sightings.see(result)
    assert _sighting(sightings.all()[0])["looks_synthetic"] is True


def test_a_photographed_face_is_looked_at_and_not_flagged(
    networks: Networks, astronaut: NDArray[np.uint8]
) -> None:
    face = watched(ON, networks, astronaut).faces[0]
    assert face.synthetic is not None and face.synthetic < 0.5 and not face.flagged
    assert "looks synthetic" not in remark(face)


def test_switched_off_nothing_is_loaded_and_nothing_is_said() -> None:
    networks = load_networks(Settings(), lambda name, share: None)
    assert networks.authenticity is None and "authenticity" not in networks.opened
    with av.open(str(cached_clip())) as container:
        rgb = next(container.decode(video=0)).to_ndarray(format="rgb24")
    result = watched(Settings(), networks, rgb)
    assert "authenticity" not in result.stamps_ns
    assert all(face.synthetic is None and not face.flagged for face in result.faces)
    assert b"synthetic" not in encode(result)
