"""Cameras on this machine, as far as can be tested without one."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream.capture.address import AddressError, source_kind
from stream.capture.source import SourceRefused
from stream.capture.webcam import WebcamSource


def refusal(url: str) -> str:
    with pytest.raises(SourceRefused) as caught:
        WebcamSource(url, lambda: True)
    return str(caught.value)


def test_a_webcam_that_is_not_there_says_which_ones_are() -> None:
    there = ", ".join(sorted(str(path) for path in Path("/dev").glob("video*"))) or "none"
    assert refusal("webcam:87") == f"/dev/video87 does not exist; webcams on this machine: {there}"


def test_a_device_that_is_no_camera() -> None:
    assert refusal("webcam:/dev/null") == "/dev/null is not a camera that can be read"


def test_an_address_that_names_no_device() -> None:
    assert refusal("webcam:front") == "a webcam must be webcam:N or webcam:/dev/videoN, found 'webcam:front'"


@pytest.mark.parametrize(
    "url", ["concat:a.mp4|b.mp4", "http://camera/video", "subfile,,start,0,:/etc/passwd", "file:a"]
)
def test_other_protocols_never_reach_ffmpeg(url: str) -> None:
    try:
        kind = source_kind(url)
    except AddressError as error:
        assert str(error) == f"must begin with rtsp://, rtsps://, webcam: or be a file, found {url!r}"
    else:
        # Not an address at all: a file of that name, which FFmpeg is told to take as one.
        assert kind == "file" and url.startswith("subfile,")
