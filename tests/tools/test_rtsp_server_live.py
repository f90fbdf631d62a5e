"""The RTSP server as a camera with an encoder: pictures painted, stamped and encoded while they are sent."""

from __future__ import annotations

import itertools
import time

import av
import numpy as np
import pytest
from rtsp_helpers import Probe, ffmpeg

from tools import stamp
from tools.rtsp import sending
from tools.rtsp.live import LiveSource
from tools.rtsp_server import RtspServer


@pytest.fixture
def server():
    with RtspServer() as server:
        yield server


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


def noise_painter(width, height):
    noise = np.random.default_rng(1).integers(0, 256, (64 + height * 3 // 2, width), np.uint8)
    return lambda number, ns: np.ascontiguousarray(noise[number % 64 : number % 64 + height * 3 // 2])


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


def test_a_client_that_does_not_read_delays_nobody_and_fills_no_memory(server, monkeypatch):
    limit, picture = 500_000, 300_000
    monkeypatch.setattr(sending, "BACKLOG", limit)
    url = server.add("/big", LiveSource(noise_painter(640, 480), (640, 480), bitrate=40_000_000))
    with Probe(url).play() as idle, Probe(url).play() as reader:
        (waiting,) = (c for c in server._connections if c._writer.get_extra_info("peername")[1] == port(idle))
        packets = []
        # Until the kernel's buffers are full, and a second longer.
        while waiting._writer.transport.get_write_buffer_size() < limit and len(packets) < 20_000:
            packets += itertools.chain(*reader.pictures(1))
        packets += itertools.chain(*reader.pictures(25))
        assert limit <= waiting._writer.transport.get_write_buffer_size() < limit + picture
        assert all((b.sequence - a.sequence) % 65536 == 1 for a, b in itertools.pairwise(packets))
        stamps = sorted({packet.timestamp for packet in packets})
        assert stamps[-1] - stamps[-26] == pytest.approx(25 * 3600, rel=0.2)


def port(client):
    return client.socket.getsockname()[1]
