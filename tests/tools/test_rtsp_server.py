"""The RTSP server as a camera that works: FFmpeg plays it, and a plain socket looks at every packet."""

from __future__ import annotations

import base64
import hashlib
import itertools
import logging
import re
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest
from rtsp_helpers import Probe, decode, ffmpeg, make_clip, steps, wait_until
from tools import stamp
from tools.rtsp.live import LiveSource
from tools.rtsp_server import RtspServer

FRAMES = 15


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("clips")
    return {
        "h264": make_clip(folder / "h264.mp4", frames=FRAMES),
        "h265": make_clip(folder / "h265.mp4", "h265", frames=FRAMES),
        "b-frames": make_clip(folder / "b.mkv", frames=FRAMES, b_frames=2),
    }


@pytest.fixture(scope="module")
def server(clips: dict[str, Path]):
    with RtspServer() as server:
        for name, clip in clips.items():
            server.add_file(f"/{name}", clip)
        yield server


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_ffmpeg_plays_a_clip_over_its_end_without_a_seam(server, codec, transport):
    frames = decode(server.url(f"/{codec}"), 2 * FRAMES + 3, transport)
    assert steps(frames) == {3600}
    pictures = [frame.to_ndarray() for frame in frames]
    for first, again in zip(pictures, pictures[FRAMES:], strict=False):
        assert np.array_equal(first, again)
    assert not np.array_equal(pictures[0], pictures[1])


def test_a_clip_with_b_pictures_keeps_its_times_over_the_loop(server):
    frames = decode(server.url("/b-frames"), 2 * FRAMES)
    assert steps(frames) == {3600}
    assert any(frame.pict_type == av.video.frame.PictureType.B for frame in frames)


@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_packets_are_numbered_marked_small_and_of_one_source(server, codec):
    with Probe(server.url(f"/{codec}")).play() as client:
        pictures = client.pictures(12)
    packets = [packet for picture in pictures for packet in picture]
    assert all((b.sequence - a.sequence) % 65536 == 1 for a, b in itertools.pairwise(packets))
    assert all((b[0].timestamp - a[0].timestamp) % 2**32 == 3600 for a, b in itertools.pairwise(pictures))
    assert all(len({packet.timestamp for packet in picture}) == 1 for picture in pictures)
    assert len({(p.source, p.payload_type, p.channel) for p in packets}) == 1
    assert 1300 < max(len(p.payload) for p in packets) <= 1388
    aggregate = 24 if codec == "h264" else 48
    kinds = [p[0].payload[0] & 31 if codec == "h264" else p[0].payload[0] >> 1 for p in pictures]
    assert [number for number, kind in enumerate(kinds) if kind == aggregate] == [0, 10]


def test_pictures_come_in_real_time_and_do_not_drift(server):
    with Probe(server.url("/h264")).play() as client:
        client.pictures(1)
        start = time.monotonic()
        client.pictures(40)
        assert time.monotonic() - start == pytest.approx(40 / 25, abs=0.1)


def test_a_sender_report_ties_the_stream_to_the_clock_on_the_wall(server):
    with Probe(server.url("/h264")).play() as client:
        (packet,) = client.packets(1)
        arrival = time.time()
        (report,) = client.reports
    kind, source, seconds, fraction, timestamp, sent = struct.unpack("!xBxxIIIII", report[:24])
    assert (kind, source, timestamp, sent) == (200, packet.source, packet.timestamp, 0)
    assert seconds - 2_208_988_800 + fraction / 2**32 == pytest.approx(arrival, abs=0.3)
    assert report[29] == 202 and b"camera" in report[28:]


def test_the_session_description_carries_the_decoders_parameters(server):
    with Probe(server.url("/h264")) as client:
        reply = client.ask("DESCRIBE")
    assert reply.headers["Content-Type"] == "application/sdp"
    assert reply.headers["Content-Base"] == server.url("/h264") + "/"
    assert "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n" in reply.body
    level, sets = re.search(r"profile-level-id=(\w{6});sprop-parameter-sets=(\S+)\r\n", reply.body).groups()
    sps, pps = (base64.b64decode(part) for part in sets.split(","))
    assert (sps[0] & 31, pps[0] & 31, sps[1:4].hex()) == (7, 8, level.lower())
    with Probe(server.url("/h265")) as client:
        body = client.ask("DESCRIBE").body
    kinds = {
        name: base64.b64decode(value)[0] >> 1 for name, value in re.findall(r"sprop-(\w+)=([^;\s]+)", body)
    }
    assert kinds == {"vps": 32, "sps": 33, "pps": 34}


@pytest.mark.parametrize("codec", ["h264", "h265"])
@pytest.mark.parametrize("where", ["sdp", "stream"])
def test_parameter_sets_can_travel_in_one_place_only(clips, codec, where):
    with RtspServer() as server:
        url = server.add_file("/one", clips[codec], parameters=where)
        with Probe(url) as client:
            assert ("sprop" in client.ask("DESCRIBE").body) == (where == "sdp")
            first = client.play().packets(1)[0].payload
        kind = first[0] & 31 if codec == "h264" else first[0] >> 1
        assert (kind in (24, 48)) == (where == "stream")
        assert len(decode(url, 5)) == 5


def test_sound_is_a_second_track(clips):
    with RtspServer() as server, ffmpeg(server.add_file("/both", clips["h264"], sound=True)) as container:
        assert [s.type for s in container.streams] == ["video", "audio"]
        seen = {"video": 0, "audio": 0}
        for packet in container.demux():
            seen[packet.stream.type] += 1
            if min(seen.values()) >= 5:
                break


def test_a_microphone_alone_has_sound_and_no_video(server):
    with ffmpeg(server.add_tone("/talk")) as container:
        assert not container.streams.video
        frames = itertools.islice(container.decode(audio=0), 25)
        sound = np.concatenate([frame.to_ndarray().ravel() for frame in frames]).astype(float)
    peak = int(np.argmax(np.abs(np.fft.rfft(sound)))) * 8000 / len(sound)
    assert peak == pytest.approx(440, abs=4)
    assert np.abs(sound).max() == pytest.approx(8000, rel=0.05)


def test_many_clients_watch_one_mount_and_each_begins_with_a_key_picture(server):
    url = server.url("/h264")
    with Probe(url).play() as first:
        first.pictures(3)
        with Probe(url).play() as second, Probe(url).play() as third:
            wait_until(lambda: server.players("/h264") == 3)
            for late in (second, third):
                assert (
                    late.packets(1)[0].payload[0] & 31 == 24
                )  # parameter sets come before key pictures only
        wait_until(lambda: server.players("/h264") == 1)
        first.pictures(3)
    wait_until(lambda: server.players("/h264") == 0)


def test_a_client_that_does_not_read_does_not_delay_the_others(server):
    url = server.add("/big", LiveSource(noise_painter(640, 480), (640, 480), bitrate=40_000_000))
    with Probe(url).play(), Probe(url).play() as reader:
        start = time.monotonic()
        reader.pictures(50)
        assert time.monotonic() - start == pytest.approx(2.0, abs=0.5)


def noise_painter(width, height):
    noise = np.random.default_rng(1).integers(0, 256, (64 + height * 3 // 2, width), np.uint8)
    return lambda number, ns: np.ascontiguousarray(noise[number % 64 : number % 64 + height * 3 // 2])


def test_a_path_may_hold_a_query_as_with_many_cameras(server, clips):
    url = server.add_file("/cam/realmonitor?channel=1&subtype=0", clips["h264"])
    assert len(decode(url, 3)) == 3
    with pytest.raises(av.error.HTTPNotFoundError):
        decode(server.url("/cam/realmonitor?channel=2&subtype=0"), 1)


@pytest.mark.parametrize("auth", ["basic", "digest"])
def test_only_the_right_password_is_let_in(clips, auth, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    with RtspServer(user="viewer", password="p@ss:w/rd", auth=auth) as server:
        server.add_file("/street", clips["h264"])
        assert len(decode(server.url("/street", credentials=True), 2)) == 2
        for wrong in (server.url("/street"), server.url("/street").replace("//", "//viewer:nonsense@")):
            with pytest.raises(av.error.HTTPUnauthorizedError):
                decode(wrong, 1)
        assert "p%40ss" in server.url("/street", credentials=True)
        seen = repr(server.requests) + caplog.text + "".join(capfd.readouterr())
    assert "401" in seen
    assert "ss:w/rd" not in seen and "p%40ss" not in seen and "nonsense" not in seen


def test_sha_256_digests_are_checked_and_an_old_nonce_is_called_stale(clips):
    def authorization(challenge, method, uri):
        fields = dict(re.findall(r'(\w+)="?([^",]+)', challenge))
        assert (fields["algorithm"], fields["qop"]) == ("SHA-256", "auth")

        def digest(text):
            return hashlib.sha256(text.encode()).hexdigest()

        secret, request = digest(f"viewer:{fields['realm']}:word"), digest(f"{method}:{uri}")
        response = digest(f"{secret}:{fields['nonce']}:00000001:abc:auth:{request}")
        return (
            f'Digest username="viewer", realm="{fields["realm"]}", nonce="{fields["nonce"]}", uri="{uri}", '
            f'algorithm=SHA-256, qop=auth, nc=00000001, cnonce="abc", response="{response}"'
        )

    with RtspServer(user="viewer", password="word", auth="digest-sha256") as server:
        server.add_file("/street", clips["h264"])
        with Probe(server.url("/street")) as client:
            refused = client.ask("DESCRIBE")
            proof = authorization(refused.headers["WWW-Authenticate"], "DESCRIBE", client.url)
            assert client.ask("DESCRIBE", Authorization=proof).status == 200
            assert client.ask("DESCRIBE", client.url + "2", Authorization=proof).status == 401
            server.renew_nonces()
            stale = client.ask("DESCRIBE", Authorization=proof)
            assert (refused.status, stale.status) == (401, 401)
            assert "stale" not in refused.headers["WWW-Authenticate"]
            assert "stale=true" in stale.headers["WWW-Authenticate"]


def test_each_wrong_request_gets_its_status(server):
    url = server.url("/h264")
    tcp = "RTP/AVP/TCP;unicast;interleaved=0-1"
    with Probe(url) as client:
        assert client.ask("OPTIONS").headers["Public"].startswith("OPTIONS, DESCRIBE, SETUP")
        assert client.ask("DESCRIBE", server.url("/nowhere")).status == 404
        assert client.ask("DESCRIBE", Require="play.scale").status == 551
        assert client.ask("RECORD").status == 501
        assert client.ask("PLAY").status == 454
        assert client.ask("PLAY", Session="1234").status == 454
        for transport in ("RTP/AVP;multicast", "RAW/RAW/UDP;unicast;client_port=5000-5001", ""):
            assert client.ask("SETUP", url + "/trackID=0", Transport=transport).status == 461
        assert client.ask("SETUP", url + "/trackID=1", Transport=tcp).status == 404
        assert client.ask("SETUP", url + "/trackID=0", Transport=tcp).status == 200
        assert client.ask("SETUP", server.url("/h265/trackID=0"), Transport=tcp).status == 455
        assert client.ask("GET_PARAMETER", Session="1234").status == 454
        assert client.ask("GET_PARAMETER").status == 200
        assert client.ask("TEARDOWN").status == 200
        assert client.ask("PLAY").status == 454
    with Probe(url) as client:
        client.socket.sendall(b"HELLO\r\n\r\n")
        assert client.socket.recv(100).startswith(b"RTSP/1.0 400 Bad Request\r\n")


def test_pause_rests_the_stream_and_play_goes_on(server):
    with Probe(server.url("/h264")).play() as client:
        client.pictures(2)
        assert client.ask("PAUSE").status == 200
        assert server.players("/h264") == 0
        assert client.ask("PLAY").status == 200
        client.pictures(2)


def test_a_client_that_falls_silent_is_dropped_when_its_session_times_out(clips):
    with RtspServer(session_timeout=0.8) as server:
        url = server.add_file("/street", clips["h264"])
        with Probe(url) as talks, Probe(url) as silent:
            for client in (talks, silent):
                client.play()
            start = time.monotonic()
            with pytest.raises(EOFError):
                while True:
                    silent.packets(1)
                    # A report from the client counts as a sign of life.
                    talks.socket.sendall(b"$\1\0\x08" + struct.pack("!BBHI", 0x80, 201, 1, 7))
            assert time.monotonic() - start == pytest.approx(0.8, abs=0.3)
            talks.packets(1)
            assert talks.ask("GET_PARAMETER").status == 200


def test_udp_reports_from_the_client_keep_its_session(clips):
    with RtspServer(session_timeout=0.5) as server, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        url = server.add_file("/street", clips["h264"])
        own.bind(("127.0.0.1", 0))
        port = own.getsockname()[1]
        with Probe(url) as client:
            reply = client.ask(
                "SETUP", url + "/trackID=0", Transport=f"RTP/AVP;unicast;client_port={port}-{port}"
            )
            rtcp = int(re.search(r"server_port=\d+-(\d+)", reply.headers["Transport"])[1])
            assert rtcp % 2 == 1
            assert client.ask("PLAY").status == 200
            start = time.monotonic()
            while time.monotonic() < start + 1.2:
                assert own.recv(2000)
                own.sendto(struct.pack("!BBHI", 0x80, 201, 1, 7), ("127.0.0.1", rtcp))
            assert server.players("/street") == 1
            wait_until(lambda: server.players("/street") == 0, 2)


@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_a_stamped_stream_tells_when_each_picture_was_taken(server, codec):
    url = server.add_stamp(f"/clock-{codec}", codec, (320, 240))
    stamps = []
    with ffmpeg(url) as container:
        for frame in itertools.islice(container.decode(video=0), 15):
            now = time.monotonic_ns()
            stamps.append((stamp.read(frame.to_ndarray()[:240]), now))
    assert all(taken is not None and taken < seen for taken, seen in stamps)
    periods = [b[0] - a[0] for a, b in itertools.pairwise(stamps)]
    assert np.median(periods) == pytest.approx(40e6, abs=5e6)
    assert np.median([seen - taken for taken, seen in stamps]) < 300e6


def test_a_stamped_stream_can_leave_the_encoder_out_of_the_time(server):
    url = server.add_stamp("/ahead", "h264", (320, 240), lead=0.1)
    decoder = av.CodecContext.create("h264", "r")
    delays = []
    with Probe(url).play() as client:
        for _ in range(12):
            (picture,) = client.pictures(1)
            arrival = time.monotonic_ns()
            frames = decoder.decode(av.Packet(annexb(picture)))
            delays += [arrival - stamp.read(frame.to_ndarray()[:240]) for frame in frames]
    assert len(delays) >= 10
    assert min(delays) >= 0
    assert np.median(delays) < 20e6


def annexb(picture):
    """The byte stream of H.264 packets: STAP-A, FU-A and single units."""
    data = b""
    for payload in (packet.payload for packet in picture):
        if payload[0] & 31 == 24:
            rest = payload[1:]
            while rest:
                size = int.from_bytes(rest[:2], "big")
                data, rest = data + b"\0\0\1" + rest[2 : 2 + size], rest[2 + size :]
        elif payload[0] & 31 == 28:
            begin = b"\0\0\1" + bytes([payload[0] & 0xE0 | payload[1] & 31]) if payload[1] & 0x80 else b""
            data += begin + payload[2:]
        else:
            data += b"\0\0\1" + payload
    return data


def test_a_newcomer_to_a_live_encoder_does_not_wait_for_a_key_picture(server):
    noise = noise_painter(320, 240)
    url = server.add("/slow-keys", LiveSource(noise, (320, 240), key_period=60))
    with Probe(url).play() as first:
        first.pictures(5)
        start = time.monotonic()
        with Probe(url).play() as second:
            second.packets(1)
        assert time.monotonic() - start < 0.5


def test_a_source_that_fails_ends_the_stream(server, caplog):
    def paint(number, ns):
        if number == 3:
            raise RuntimeError("the lens fell off")
        return np.zeros((360, 320), np.uint8)

    with (
        Probe(server.add("/broken", LiveSource(paint, (320, 240)))).play() as client,
        pytest.raises(EOFError),
    ):
        client.pictures(10)
    assert "the source of /broken failed" in caplog.text


def test_what_is_not_a_clip_is_refused_by_name(server, tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("no video")
    with pytest.raises(ValueError, match=r"^a clip must be a video file, found .*notes\.txt$"):
        server.add_file("/x", text)
    with pytest.raises(FileNotFoundError):
        server.add_file("/x", tmp_path / "missing.mp4")
    with av.open(str(tmp_path / "old.avi"), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        container.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        container.mux(stream.encode())
    with pytest.raises(
        ValueError, match=r"^a clip must hold H\.264 or H\.265 video, found mpeg4 in .*old\.avi$"
    ):
        server.add_file("/x", tmp_path / "old.avi")


def test_wrong_settings_are_named(server):
    with pytest.raises(
        ValueError, match=r"^auth must be None or one of basic, digest, digest-sha256, found 'x'$"
    ):
        RtspServer(auth="x")
    with pytest.raises(ValueError, match=r"^a mount must begin with '/', found 'street'$"):
        server.add_tone("street")
    with pytest.raises(OSError, match="address already in use"), RtspServer(port=server.port):
        pass


def test_the_server_listens_on_this_machine_only(server):
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", server.port), timeout=2)


def test_the_command_serves_until_it_is_interrupted(clips):
    process = subprocess.Popen(
        [sys.executable, "-m", "tools.rtsp_server", "--port", "0", "--mount", f"/street={clips['h264']}"]
        + ["--stamp", "/clock:h264:320x240@10", "--user", "viewer", "--password", "word"],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout
        street, clock = process.stdout.readline().strip(), process.stdout.readline().strip()
        for url in (street, clock):
            assert decode(url.replace("//", "//viewer:word@"), 2)[0].width == 320
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        assert (process.wait(5), rest, "word" in street + clock) == (0, "", False)
    finally:
        process.kill()


def test_the_command_says_what_is_wrong_with_its_arguments(tmp_path):
    command = [sys.executable, "-m", "tools.rtsp_server", "--port", "0"]
    for arguments, message in (
        (
            ["--stamp", "clock"],
            "rtsp_server: --stamp must be /PATH[:h264|:h265][:WxH[@FPS]], found 'clock'\n",
        ),
        (["--mount", "/x=missing.mp4"], "No such file or directory: 'missing.mp4'\n"),
    ):
        done = subprocess.run(
            command + arguments, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=20
        )
        assert done.returncode == 1
        assert done.stderr.endswith(message)
