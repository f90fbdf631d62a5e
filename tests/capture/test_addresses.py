"""Addresses of cameras: taken apart as people write them, and shown without what is secret."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from capture_helpers import take

from stream.capture.address import redact, split_rtsp
from stream.capture.source import Source
from tools.rtsp_server import RtspServer


@pytest.mark.parametrize(
    ("url", "user", "password", "host", "port", "path"),
    [
        ("rtsp://cam/live", "", "", "cam", 554, "/live"),
        ("rtsps://cam/live", "", "", "cam", 322, "/live"),
        ("rtsp://admin:p@ss:w/rd@10.0.0.1:8554/a?b=c", "admin", "p@ss:w/rd", "10.0.0.1", 8554, "/a?b=c"),
        ("rtsp://ad%40min:p%25@[::1]:554/", "ad@min", "p%", "::1", 554, "/"),
        ("RTSP://cam", "", "", "cam", 554, ""),
    ],
)
def test_an_address_is_taken_apart(
    url: str, user: str, password: str, host: str, port: int, path: str
) -> None:
    parts = split_rtsp(url)
    assert (parts.user, parts.password, parts.host, parts.port, parts.path) == (
        user,
        password,
        host,
        port,
        path,
    )


@pytest.mark.parametrize(
    "secret",
    [
        "rtsp://viewer:S3CRET@cam/live",
        "rtsp://viewer:S3CRET@S3CRET@cam/live",
        "rtsp://cam/live?user=viewer&password=S3CRET&channel=1",
        "rtsp://cam/user=admin_password=S3CRET_channel=1.sdp",
        "rtsp://cam/live?Token=S3CRET",
        "could not open 'rtsp://viewer:S3CRET@cam/live'",
    ],
)
def test_what_is_secret_in_an_address_is_never_shown(secret: str) -> None:
    assert "S3CRET" not in redact(secret)
    assert "cam" in redact(secret)


def test_paths_with_spaces_and_letters_of_all_languages_are_asked_for(
    server: RtspServer, clips: dict[str, Path], open_camera: Callable[..., Source]
) -> None:
    server.add_file("/main%20stra%C3%9Fe", clips["h264"])
    assert len(take(open_camera(f"rtsp://127.0.0.1:{server.port}/main straße"), 2)) == 2
