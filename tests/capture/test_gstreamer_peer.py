"""Our client against a server that others wrote."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from capture_helpers import take, until

from stream.bus import RESULTS, Inbox
from stream.capture import stage
from stream.capture.source import Source, SourceRefused
from stream.config import Settings
from stream.messages import CameraState, CameraStatus

PYTHON = Path("/usr/bin/python3")  # the one for which the system packages GStreamer's bindings
NEEDS = (
    "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import Gst; Gst.init(None); "
)
NEEDS += "exit(not all(map(Gst.ElementFactory.find, ('openh264enc', 'rtph264pay', 'jpegenc', 'rtpjpegpay'))))"


@pytest.fixture(scope="module")
def place() -> Iterator[str]:
    """host:port of a running server."""
    if (
        not PYTHON.exists()
        or subprocess.run([PYTHON, "-c", NEEDS], capture_output=True, check=False, timeout=30).returncode
    ):
        pytest.skip("GStreamer's RTSP server is not installed")
    script = Path(__file__).with_name("gstreamer_server.py")
    with subprocess.Popen([PYTHON, script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        try:
            yield f"127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_h264_with_a_digest_password(transport: str, place: str, open_camera: Callable[..., Source]) -> None:
    source = open_camera(f"rtsp://viewer:s3cret@{place}/h264", transport=transport)
    pictures = take(source, 20)
    assert [(p.width, p.height) for p in pictures] == [(320, 240)] * 20
    assert (source.facts.reader, source.facts.codec, source.facts.corrupt) == ("rtp", "H.264", 0)
    # The ball is white on black and moves.
    assert all(np.ptp(p.i420[:240]) > 150 for p in pictures)
    assert not np.array_equal(pictures[0].i420, pictures[-1].i420)
    steps = [b.media_ns - a.media_ns for a, b in pairwise(pictures)]
    assert sorted(steps)[len(steps) // 2] == pytest.approx(40_000_000, abs=2_000_000)
    assert abs(pictures[-1].wall_ns - time.time_ns()) < 5_000_000_000


def test_the_password_is_checked(place: str, open_camera: Callable[..., Source]) -> None:
    with pytest.raises(SourceRefused) as caught:
        open_camera(f"rtsp://viewer:other@{place}/h264")
    assert str(caught.value) == f"{place} refuses user 'viewer': the user name or the password is wrong"


def test_motion_jpeg_is_left_to_ffmpegs_reader(place: str, tmp_path: Path) -> None:
    url = f"rtsp://viewer:s3cret@{place}/jpeg"
    settings = Settings.model_validate({"cameras": [{"name": "gate", "url": url}]})
    results, stop = Inbox(tmp_path, RESULTS), threading.Event()
    thread = threading.Thread(target=stage.run, args=(settings, 0, tmp_path, "newest", True, stop))
    thread.start()
    states: list[CameraStatus] = []

    def shown() -> bool:
        states.extend(state for state in results.drain(5) if isinstance(state, CameraStatus))
        return bool(states) and states[-1].state is CameraState.RUNNING and states[-1].captured > 10

    try:
        until(shown)
    finally:
        stop.set()
        thread.join()
        results.close()
    assert (states[-1].reader, states[-1].codec, states[-1].width) == ("av", "MJPEG", 320)


def test_motion_jpeg_is_beyond_the_rtp_reader(place: str, open_camera: Callable[..., Source]) -> None:
    with pytest.raises(SourceRefused) as caught:
        open_camera(f"rtsp://viewer:s3cret@{place}/jpeg", reader="rtp")
    assert str(caught.value) == f"{place}/jpeg carries JPEG: H.264 or H.265 is needed"
