"""What the tests of capture share."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from capture_helpers import DEADLINE_S, encode

from stream.capture.opening import Opener
from stream.capture.source import Source
from stream.config import Camera
from tools.rtsp_server import RtspServer


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two seconds of each codec, and some smaller ones, by name."""
    folder = tmp_path_factory.mktemp("clips")
    return {
        "h264": encode(folder / "h264.mp4"),
        "h265": encode(folder / "h265.mp4", "h265"),
        "small": encode(folder / "small.mp4", size=(192, 128)),
    }


@pytest.fixture
def server() -> Iterator[RtspServer]:
    """A server without a password."""
    with RtspServer() as running:
        yield running


@pytest.fixture
def open_camera() -> Iterator[Callable[..., Source]]:
    """Opens a camera (by its address and settings) that is closed when the test ends, and is given up after 15 s."""
    opened: list[Source] = []

    def open_it(url: str, **settings: object) -> Source:
        end = time.monotonic() + DEADLINE_S
        camera = Camera.model_validate({"name": "gate", "url": url, **settings})
        source = Opener(camera, lambda: time.monotonic() < end).open()
        opened.append(source)
        return source

    yield open_it
    for source in opened:
        source.close()
