"""What cameras say of their streams."""

from __future__ import annotations

import base64

import pytest

from stream.capture.rtsp import resolve
from stream.capture.sdp import Format, parse

CAMERA = """v=0
o=- 1 1 IN IP4 192.168.0.10
s=Media Presentation
a=control:rtsp://192.168.0.10/h/
t=0 0
m=video 0 RTP/AVP 96
b=AS:5000
a=rtpmap:96 H265/90000
a=fmtp:96 sprop-vps=QAEM; sprop-sps=QgEB;sprop-pps=RAHA
a=control:trackID=1
m=audio 0 RTP/AVP 8
a=control:trackID=2
m=application 0 RTP/AVP 107
a=rtpmap:107 vnd.onvif.metadata/90000
"""


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_tracks_formats_and_controls_are_found(ending: str) -> None:
    description = parse(CAMERA.replace("\n", ending))
    assert description.control == "rtsp://192.168.0.10/h/"
    assert [(media.kind, media.control) for media in description.media] == [
        ("video", "trackID=1"),
        ("audio", "trackID=2"),
        ("application", ""),
    ]
    video, audio = description.media[0].formats[0], description.media[1].formats[0]
    assert (video.codec, video.clock_rate, video.payload_type) == ("H265", 90_000, 96)
    assert video.parameter_sets == (b"\x40\x01\x0c", b"\x42\x01\x01", b"\x44\x01\xc0")
    assert (audio.codec, audio.clock_rate) == ("PCMA", 8000)  # a static type, without rtpmap


def test_parameter_sets_with_start_codes_without_padding_or_in_ruins_do_no_harm() -> None:
    given = base64.b64encode(b"\0\0\0\1\x67\x42").decode().rstrip("=") + ",%%%,aM4="
    assert Format(96, "H264", 90_000, {"sprop-parameter-sets": given}).parameter_sets == (
        b"\x67\x42",
        b"\x68\xce",
    )


def test_text_that_describes_nothing_is_an_empty_description() -> None:
    assert parse("<html>").media == ()


@pytest.mark.parametrize(
    ("base", "control", "wanted"),
    [
        ("rtsp://cam/live/", "trackID=1", "rtsp://cam/live/trackID=1"),
        ("rtsp://cam/live", "trackID=1", "rtsp://cam/live/trackID=1"),
        ("rtsp://cam/live", "/trackID=1", "rtsp://cam/live/trackID=1"),
        ("rtsp://cam/live?channel=1", "trackID=0", "rtsp://cam/live?channel=1/trackID=0"),
        ("rtsp://cam/live", "rtsp://10.0.0.1:554/other", "rtsp://10.0.0.1:554/other"),
        ("rtsp://cam/live", "*", "rtsp://cam/live"),
        ("rtsp://cam/live", "", "rtsp://cam/live"),
    ],
)
def test_the_address_of_a_track(base: str, control: str, wanted: str) -> None:
    assert resolve(base, control) == wanted
