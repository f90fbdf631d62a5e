"""The RTSP server as a camera that works: FFmpeg plays it, and a plain socket looks at every packet."""

from __future__ import annotations

import base64
import itertools
import re
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest
from rtsp_helpers import Probe, decode, ffmpeg, make_clip, steps, wait_until

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
        client.pictures(25)
        assert time.monotonic() - start == pytest.approx(25 / 25, abs=0.1)


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


def test_the_command_serves_until_it_is_interrupted(clips):
    command = [
        sys.executable,
        "-m",
        "tools.rtsp_server",
        "--port",
        "0",
        "--user",
        "viewer",
        "--password",
        "word",
    ]
    command += ["--mount", f"/street={clips['h264']}", "--stamp", "/clock:h264:320x240@10"]
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
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
            command + arguments,
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        assert done.returncode == 1
        assert done.stderr.endswith(message)
