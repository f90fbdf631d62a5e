"""Cameras over real sockets: every transport, codec and sign-in, and streams that break."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from capture_helpers import encode, fingerprint, fingerprints, take, until

from stream.capture.source import Source, SourceLost
from tools import stamp
from tools.rtsp_server import RtspServer

OpenCamera = Callable[..., Source]
CODECS = ("h264", "h265")
TRANSPORTS = ("tcp", "udp")


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("codec", CODECS)
def test_pictures_arrive_whole_and_in_time(
    codec: str, transport: str, server: RtspServer, clips: dict[str, Path], open_camera: OpenCamera
) -> None:
    server.add_file("/street", clips[codec])
    began_ns = time.monotonic_ns()
    source = open_camera(server.url("/street"), transport=transport)
    pictures = take(source, 30)
    known = fingerprints(clips[codec])
    assert all(fingerprint(picture.i420) in known for picture in pictures)
    assert {(picture.width, picture.height) for picture in pictures} == {(320, 240)}
    assert source.facts.reader == "rtp"
    assert source.facts.codec == {"h264": "H.264", "h265": "H.265"}[codec]
    assert source.facts.corrupt == 0
    times = [picture.media_ns for picture in pictures]
    assert times[0] == 0 and {b - a for a, b in pairwise(times)} <= {
        40_000_000,
        39_999_999,
        40_000_001,
    }
    assert all(began_ns < a.received_ns < b.received_ns for a, b in pairwise(pictures))
    assert all(abs(p.wall_ns - time.time_ns()) < 5_000_000_000 for p in pictures)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_stamp_in_the_picture_is_moments_old(
    transport: str, server: RtspServer, open_camera: OpenCamera
) -> None:
    server.add_stamp("/live", size=(640, 360), lead=0.1)
    source = open_camera(server.url("/live"), transport=transport)
    ages = []
    for picture in source.pictures():
        written = stamp.read(picture.i420[: picture.height])
        assert written is not None
        ages.append(time.monotonic_ns() - written)
        if len(ages) == 20:
            break
    # A frame period is 40 ms: nothing is held back. The limit leaves room for busy machines.
    assert sorted(ages)[len(ages) // 2] < 25_000_000


@pytest.mark.parametrize("scheme", ["basic", "digest", "digest-sha256"])
def test_the_password_opens_the_stream(scheme: str, clips: dict[str, Path], open_camera: OpenCamera) -> None:
    with RtspServer(user="viewer", password="s3cr@t:/ü", auth=scheme) as server:
        server.add_file("/street", clips["h264"])
        assert len(take(open_camera(server.url("/street", credentials=True)), 3)) == 3


@pytest.mark.parametrize("parameters", ["sdp", "stream", "both"])
@pytest.mark.parametrize("codec", CODECS)
def test_parameter_sets_are_taken_from_where_the_camera_puts_them(
    codec: str, parameters: str, server: RtspServer, clips: dict[str, Path], open_camera: OpenCamera
) -> None:
    server.add_file("/street", clips[codec], parameters=parameters)
    assert len(take(open_camera(server.url("/street")), 3)) == 3


def test_the_sound_beside_the_picture_is_left_aside(
    server: RtspServer, clips: dict[str, Path], open_camera: OpenCamera
) -> None:
    server.add_file("/street", clips["h264"], sound=True)
    assert len(take(open_camera(server.url("/street")), 5)) == 5


def test_the_session_is_kept_and_left_properly(clips: dict[str, Path], open_camera: OpenCamera) -> None:
    with RtspServer(session_timeout=1.0, user="viewer", password="secret", auth="digest") as server:
        server.add_file("/street", clips["h264"])
        source = open_camera(server.url("/street", credentials=True), transport="udp")
        assert len(take(source, 20)) == 20
        server.renew_nonces()  # the next request has an outdated nonce: it must be made again
        assert len(take(source, 50)) == 50
        kept = [request.status for request in server.requests if request.method == "GET_PARAMETER"]
        assert kept.count(200) >= 3 and kept.count(401) == 1
        source.close()
        until(lambda: server.requests[-1].method == "TEARDOWN" and server.players("/street") == 0)


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("codec", CODECS)
def test_lost_packets_never_show_in_a_picture(
    codec: str, transport: str, server: RtspServer, clips: dict[str, Path], open_camera: OpenCamera
) -> None:
    server.add_file("/street", clips[codec])
    source = open_camera(server.url("/street"), transport=transport)
    known = fingerprints(clips[codec])
    assert len(take(source, 5)) == 5
    server.faults("/street").lose(0.02)
    during = take(source, 8)
    assert source.facts.corrupt > 0
    assert all(fingerprint(picture.i420) in known for picture in during)
    server.faults("/street").heal()
    corrupt = source.facts.corrupt
    after = take(source, 12)
    assert len(after) == 12 and all(fingerprint(picture.i420) in known for picture in after)
    assert source.facts.corrupt - corrupt <= 10  # at most until the next key picture


@pytest.mark.parametrize("codec", CODECS)
def test_what_refers_to_a_lost_picture_is_not_shown(
    codec: str, server: RtspServer, tmp_path: Path, open_camera: OpenCamera
) -> None:
    clip = encode(tmp_path / "tiny.mp4", codec, size=(64, 64), count=25)  # most pictures fill just one packet
    server.add_file("/street", clip)
    server.faults("/street").lose(0.1)
    source = open_camera(server.url("/street"))
    known = fingerprints(clip)
    assert all(fingerprint(picture.i420) in known for picture in take(source, 20))
    assert source.facts.corrupt > 0


@pytest.mark.parametrize("codec", CODECS)
def test_after_a_loss_a_stream_of_open_groups_goes_on_at_its_next_key_picture(
    codec: str, server: RtspServer, tmp_path: Path, open_camera: OpenCamera
) -> None:
    clip = encode(tmp_path / "open.mp4", codec, size=(64, 64), count=200, b_frames=2, open_gop=True)
    server.add_file("/street", clip)
    source = open_camera(server.url("/street"))
    assert len(take(source, 5)) == 5
    server.faults("/street").lose(0.05)
    known = fingerprints(clip)
    pictures = take(source, 15)
    assert len(pictures) == 15 and source.facts.corrupt > 0
    assert all(fingerprint(picture.i420) in known for picture in pictures)


def test_packets_out_of_order_and_doubled_do_no_harm(
    server: RtspServer, clips: dict[str, Path], open_camera: OpenCamera
) -> None:
    server.add_file("/street", clips["h264"])
    server.faults("/street").reorder(0.2)
    server.faults("/street").duplicate(0.2)
    source = open_camera(server.url("/street"), transport="udp")
    known = fingerprints(clips["h264"])
    pictures = take(source, 40)
    assert len(pictures) == 40 and all(fingerprint(picture.i420) in known for picture in pictures)
    assert source.facts.corrupt == 0


def test_truncated_packets_cost_pictures_until_the_next_key_picture_only(
    server: RtspServer, clips: dict[str, Path], open_camera: OpenCamera
) -> None:
    server.add_file("/street", clips["small"])
    source = open_camera(server.url("/street"))
    assert len(take(source, 5)) == 5
    server.faults("/street").truncate(0.05)
    until(lambda: take(source, 1) and source.facts.corrupt > 0)
    server.faults("/street").heal()
    known = fingerprints(clips["small"])
    assert all(fingerprint(picture.i420) in known for picture in take(source, 20)[10:])


def test_garbage_between_two_packets_is_passed_over(
    server: RtspServer, clips: dict[str, Path], open_camera: OpenCamera
) -> None:
    server.add_file("/street", clips["h264"])
    source = open_camera(server.url("/street"))
    assert len(take(source, 5)) == 5
    for size in (1, 7, 300):
        server.faults("/street").garbage(size)
        assert len(take(source, 5)) == 5


def test_another_size_in_mid_stream_needs_no_new_connection(
    server: RtspServer, clips: dict[str, Path], open_camera: OpenCamera
) -> None:
    server.add_file("/street", clips["h264"])
    source = open_camera(server.url("/street"))
    assert take(source, 5)[-1].width == 320
    server.faults("/street").switch(clips["small"])
    pictures = take(source, 20)
    sizes = [(picture.width, picture.height) for picture in pictures]
    assert sizes[-1] == (192, 128) and set(sizes) <= {(320, 240), (192, 128)}
    times = [picture.media_ns for picture in pictures]
    assert times == sorted(set(times))


def test_time_stamps_that_start_anew_leave_the_time_line_growing(
    server: RtspServer, clips: dict[str, Path], open_camera: OpenCamera
) -> None:
    server.add_file("/street", clips["h264"])
    source = open_camera(server.url("/street"))
    before = take(source, 10)
    server.faults("/street").restart_timestamps()
    after = take(source, 20)
    times = [picture.media_ns for picture in before + after]
    assert times == sorted(set(times))
    assert times[-1] < 5_000_000_000
    assert abs(after[-1].wall_ns - time.time_ns()) < 5_000_000_000


def test_b_pictures_come_out_in_their_order_and_with_their_own_times(
    server: RtspServer, tmp_path: Path, open_camera: OpenCamera
) -> None:
    clip = encode(tmp_path / "b.mp4", b_frames=2)
    server.add_file("/street", clip)
    pictures = take(open_camera(server.url("/street")), 25)
    steps = [b.media_ns - a.media_ns for a, b in pairwise(pictures)]
    assert all(39_900_000 < step < 40_100_000 for step in steps)
    known = fingerprints(clip)
    assert all(fingerprint(picture.i420) in known for picture in pictures)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_camera_that_falls_silent_is_noticed_in_time(
    transport: str, server: RtspServer, clips: dict[str, Path], open_camera: OpenCamera
) -> None:
    server.add_file("/street", clips["h264"])
    source = open_camera(server.url("/street"), transport=transport, timeout_s=1.0)
    assert len(take(source, 3)) == 3
    server.faults("/street").stall()
    began = time.monotonic()
    with pytest.raises(SourceLost) as caught:
        take(source, 1000)
    assert str(caught.value) == f"127.0.0.1:{server.port} has sent nothing for 1 s"
    assert time.monotonic() - began < 1.6


def test_a_camera_that_hangs_up_is_noticed_at_once(
    server: RtspServer, clips: dict[str, Path], open_camera: OpenCamera
) -> None:
    server.add_file("/street", clips["h264"])
    for reset in (False, True):
        source = open_camera(server.url("/street"), transport="udp" if reset else "tcp")
        assert len(take(source, 3)) == 3
        server.faults("/street").drop(reset=reset)
        with pytest.raises(SourceLost) as caught:
            take(source, 1000)
        reason = " (ECONNRESET)" if reset else ""
        assert str(caught.value) == f"127.0.0.1:{server.port} closed the connection{reason}"


def test_a_camera_that_says_goodbye_is_believed(
    server: RtspServer, clips: dict[str, Path], open_camera: OpenCamera
) -> None:
    server.add_file("/street", clips["h264"])
    source = open_camera(server.url("/street"))
    assert len(take(source, 3)) == 3
    server.faults("/street").end()
    with pytest.raises(SourceLost) as caught:
        take(source, 1000)
    assert str(caught.value) == f"127.0.0.1:{server.port} has ended the stream"


def test_decoding_that_cannot_keep_up_goes_on_at_a_newer_key_picture(
    server: RtspServer, clips: dict[str, Path], open_camera: OpenCamera
) -> None:
    server.add_file("/street", clips["h264"])
    source = open_camera(server.url("/street"))
    known = fingerprints(clips["h264"])
    end = time.monotonic() + 3
    newest_age_ns = 0
    for picture in source.pictures():
        assert fingerprint(picture.i420) in known
        time.sleep(0.2)  # whoever takes the pictures is five times too slow for this camera
        newest_age_ns = time.monotonic_ns() - picture.received_ns
        if time.monotonic() > end:
            break
    assert source.facts.late > 5
    assert newest_age_ns < 3_000_000_000
    assert source.facts.note == "decoding cannot keep up with this camera: pictures are passed over"


def test_ffmpegs_reader_gives_the_same_pictures(
    server: RtspServer, clips: dict[str, Path], open_camera: OpenCamera
) -> None:
    server.add_file("/street", clips["h264"])
    source = open_camera(server.url("/street"), reader="av")
    known = fingerprints(clips["h264"])
    pictures = take(source, 10)
    assert len(pictures) == 10 and all(fingerprint(picture.i420) in known for picture in pictures)
    assert source.facts.reader == "av"
