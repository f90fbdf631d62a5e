"""What nobody is to see: zones that are black before anything sees the picture, and strangers made unrecognisable."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from offices import settings as make_settings
from producer import face
from starlette.testclient import TestClient
from watched import PATIENCE_S, Watched, watched_run

from engines.masks.state import MaskState
from stream.capture.cover import Cover
from stream.config import ConfigError, Settings, parse
from stream.display.cards import Cards
from stream.display.views import CameraView
from stream.messages import FaceCard, FrameReady, FrameResult, TrackedFace
from tools.browser import until
from tools.demo.enrolled import enrol

WIDTH, HEIGHT = 640, 360
LEFT_HALF = [[0, 0], [0.5, 0], [0.5, 1], [0, 1]]
STRANGER, FRIEND = (80.0, 60.0, 180.0, 180.0), (400.0, 60.0, 500.0, 180.0)


def noise() -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 255, (HEIGHT * 3 // 2, WIDTH), np.uint8)


def result(number: int, *faces: TrackedFace) -> FrameResult:
    at = number * 40_000_000
    frame = FrameReady(
        camera="gate", sequence=number, ring="r", slot=0, generation=2, width=WIDTH, height=HEIGHT,
        media_ns=at, wall_ns=at, received_ns=at, captured_ns=at,
    )  # fmt: skip
    return FrameResult(frame=frame, faces=faces, stamps_ns={}, skipped={})


def detail(picture: NDArray[np.uint8], box: tuple[float, ...]) -> float:
    """How much differs from pixel to pixel inside a box: much on noise, next to nothing on what was blurred."""
    x1, y1, x2, y2 = (round(value) for value in box)
    part = picture[y1 + 8 : y2 - 8, x1 + 8 : x2 - 8].astype(np.float32)
    return float(np.abs(np.diff(part, axis=1)).mean())


def test_a_zone_is_black_to_its_edge_and_nothing_else_changes() -> None:
    picture = noise()
    before = picture.copy()
    covered = Cover([[(0.25, 0.5), (0.75, 0.5), (0.75, 1.0), (0.25, 1.0)]]).over(picture)
    assert (picture == before).all(), "the decoder may still need its picture"
    bgr = cv2.cvtColor(covered, cv2.COLOR_YUV2BGR_I420)
    assert bgr[HEIGHT // 2 :, WIDTH // 4 : WIDTH * 3 // 4].max() == 0
    same = covered[:HEIGHT] == before[:HEIGHT]
    assert (
        same[: HEIGHT // 2 - 3].all()
        and same[:, : WIDTH // 4 - 3].all()
        and same[:, WIDTH * 3 // 4 + 3 :].all()
    )


@pytest.mark.parametrize(
    ("sections", "sentence"),
    [
        ({"recording": {"mode": "continuous"}}, "'gate' must not be recorded while it has a privacy zone"),
        ({"recording": {"mode": "motion"}}, "give the camera recording: off, found motion"),
    ],
)
def test_a_camera_with_a_zone_cannot_be_recorded(
    sections: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    zones = {"privacy": {"zones": [{"camera": "gate", "points": LEFT_HALF}]}}
    with pytest.raises(ConfigError, match=sentence):
        parse({"cameras": [{"name": "gate", "url": "webcam:0"}], **zones, **sections}, "test")
    cameras = [{"name": "gate", "url": "webcam:0", "recording": "off"}, {"name": "yard", "url": "webcam:1"}]
    settings = parse({"cameras": cameras, **zones, **sections}, "test")
    assert settings.recording_mode("yard") != "off" and settings.unused_privacy_zones() == set()
    stray = make_settings(tmp_path, privacy={"zones": [{"camera": "gaet", "points": LEFT_HALF}]})
    assert stray.unused_privacy_zones() == {"gaet"}


@pytest.mark.parametrize("width", [WIDTH, 320])
def test_live_everybody_is_blurred_who_is_not_recognised_and_for_a_while_after(width: int) -> None:
    view = CameraView("gate", time.monotonic_ns(), time.time_ns(), blur_others=True)
    plain = CameraView("gate", time.monotonic_ns(), time.time_ns())
    scale = width / WIDTH

    def seen(number: int, *faces: TrackedFace) -> tuple[list[float], list[float]]:
        """(detail of the stranger's place and the friend's, blurred), (the same, as it is)."""
        found = []
        for each in (view, plain):
            picture = each.frame(noise(), result(number, *faces), time.monotonic_ns(), 0).picture(0, width)
            found.append([detail(picture, [scale * v for v in box]) for box in (STRANGER, FRIEND)])
        return found[0], found[1]

    stranger, friend = face(1, STRANGER, "nobody"), face(2, FRIEND, "person", "Ada", 0.97)
    blurred, as_it_is = seen(1, stranger, friend)
    assert blurred[0] < as_it_is[0] / 4 and blurred[1] == as_it_is[1]
    blurred, as_it_is = seen(2, friend)
    assert blurred[0] < as_it_is[0] / 4, "somebody who was lost a moment ago is there still"
    blurred, as_it_is = seen(3, face(1, STRANGER, "undecided"), face(2, FRIEND, "undecided"))
    assert blurred[0] < as_it_is[0] / 4 and blurred[1] < as_it_is[1] / 4
    blurred, as_it_is = seen(60)
    assert blurred == as_it_is, "two seconds later nobody is there"


def test_a_card_shows_nobody_before_they_are_recognised() -> None:
    png = cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    cards = Cards(named_only=True)
    cards.add(
        FaceCard(camera="gate", track=1, sequence=1, original_png=png, reconstruction_png=png, painted=0.3), 0
    )
    assert cards.get("gate", 1) is None and cards.described(0) == []
    cards.see(result(1, face(1, STRANGER, "nobody", mask=MaskState.WORN)), 0)
    assert cards.get("gate", 1) is None
    cards.see(result(2, face(1, STRANGER, "person", "Ada", 0.97, MaskState.WORN)), 0)
    assert cards.get("gate", 1) is not None and len(cards.described(0)) == 1


def _live_snapshot(run: Watched) -> NDArray[np.uint8]:
    """A picture of the camera, not the words that are shown over the last one when the machine cannot keep up."""

    def live() -> bool:
        return bool(run.client.get("/api/state").json()["cameras"][0]["live"])

    def taken() -> NDArray[np.uint8] | None:
        before = live()
        content = run.client.get("/api/cameras/gate/snapshot.jpg").content
        picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
        return np.asarray(picture) if before and live() else None

    found: list[NDArray[np.uint8] | None] = []
    until(lambda: found.append(taken()) or found[-1] is not None, "a live picture", PATIENCE_S)
    assert found[-1] is not None
    return found[-1]


def test_in_a_real_run_nothing_in_a_zone_is_seen_by_network_or_person(
    tmp_path: Path, artefacts: Path
) -> None:
    enrol(make_settings(tmp_path))
    privacy = {"blur_others": True, "zones": [{"camera": "gate", "points": LEFT_HALF}]}
    with watched_run(tmp_path, privacy=privacy) as run:

        def faces() -> int:
            return int(run.client.get("/api/report").json()["cameras"]["gate"]["faces"]["seen"])

        until(lambda: faces() > 2, "faces in the other half", PATIENCE_S)
        for _ in range(5):
            picture = _live_snapshot(run)
            ground = picture[picture.shape[0] // 2 :, : picture.shape[1] // 2 - 60]
            assert np.median(ground) < 6, "the zone is black"
            assert picture[:, picture.shape[1] // 2 + 8 :].mean() > 20
        cv2.imwrite(str(artefacts / "privacy.png"), picture)


def test_clips_leave_with_strangers_hidden_only(office: Any, client: Callable[..., TestClient]) -> None:
    office.settings = Settings.model_validate(
        office.settings.model_dump() | {"privacy": {"blur_others": True}}
    )
    wanted = {"camera": "gate", "from_ms": 1, "to_ms": 1000, "style": "plain"}
    answer = client("reviewer").post("/api/review/clips", json=wanted)
    assert answer.status_code == 409 and "must be blur-others" in answer.json()["detail"]
    answer = client("reviewer").post("/api/review/clips", json=wanted | {"style": "blur-others"})
    assert answer.status_code == 404, "there is no footage"
