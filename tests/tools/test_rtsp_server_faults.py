"""The RTSP server as a camera that does not work: every fault does what it says, and only that."""

from __future__ import annotations

import itertools
import socket
import time
from pathlib import Path

import pytest
from rtsp_helpers import Probe, decode, ffmpeg, make_clip, steps, wait_until

from tools.rtsp_server import RtspServer


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("clips")
    return {
        "h264": make_clip(folder / "h264.mp4"),
        "larger": make_clip(folder / "larger.mp4", size=(480, 352)),
        "h265": make_clip(folder / "h265.mp4", "h265"),
    }


@pytest.fixture
def server(clips: dict[str, Path]):
    with RtspServer() as server:
        server.add_file("/street", clips["h264"])
        yield server


@pytest.fixture
def client(server):
    with Probe(server.url("/street")).play() as client:
        client.pictures(1)
        yield client


def test_a_stalled_stream_sends_nothing_but_answers_and_resumes_with_a_gap(server, client):
    server.faults("/street").stall()
    assert client.ask("GET_PARAMETER").status == 200
    client.socket.settimeout(0.3)
    with pytest.raises(TimeoutError):
        client.socket.recv(1)
    client.socket.settimeout(5)
    server.faults("/street").resume()
    before = client_sequence(server)
    (packet,) = client.packets(1)
    assert 0 <= (packet.sequence - before) % 65536 < 100


def client_sequence(server):
    """The number that the server will give to its next packet."""
    (connection,) = server._mounts["/street"].players
    return connection.senders[0].sequence


def test_what_was_not_sent_while_stalled_is_missing(server, client):
    (last,) = client.packets(1)
    server.faults("/street").stall()
    start = client_sequence(server)
    wait_until(lambda: (client_sequence(server) - start) % 65536 > 20)
    server.faults("/street").resume()
    numbers = [last.sequence, *(p.sequence for p in client.packets(150))]
    gaps = [(b - a) % 65536 for a, b in itertools.pairwise(numbers) if (b - a) % 65536 != 1]
    assert len(gaps) == 1 and gaps[0] > 20


def test_a_silent_mount_reads_requests_and_answers_none(server):
    server.faults("/street").silence()
    with Probe(server.url("/street")) as client:
        client.send("DESCRIBE")
        client.socket.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.socket.recv(1)
        client.socket.settimeout(5)
        server.faults("/street").silence(False)
        assert client.ask("OPTIONS").status == 200


def test_a_frozen_server_accepts_connections_and_never_answers(server):
    server.freeze()
    with Probe(server.url("/street")) as client:
        client.send("OPTIONS")
        client.socket.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.socket.recv(1)
        client.socket.settimeout(5)
        server.thaw()
        assert client.socket.recv(1) == b""
    assert len(decode(server.url("/street"), 2)) == 2


def test_dropped_clients_see_the_end_or_a_reset(server, client):
    server.faults("/street").drop()
    with pytest.raises(EOFError):
        client.packets(1000)
    with Probe(server.url("/street")).play() as again:
        server.faults("/street").drop(reset=True)
        with pytest.raises(ConnectionResetError):
            again.packets(1000)


def test_an_ended_stream_says_goodbye_first(server, client):
    server.faults("/street").end()
    with pytest.raises(EOFError):
        client.packets(1000)
    assert client.reports[-1][1] == 203


def test_a_server_that_stops_refuses_and_comes_back_on_its_port(server, client):
    url = server.url("/street")
    server.stop()
    with pytest.raises((EOFError, ConnectionResetError)):
        client.packets(1000)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port), timeout=2)
    server.start()
    assert server.url("/street") == url
    assert len(decode(url, 2)) == 2


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_a_share_of_packets_is_lost_over_tcp_and_udp(server, transport):
    server.faults("/street").lose(0.3)
    numbers = sequences(server, transport, 300)
    jumps = [(b - a) % 65536 for a, b in itertools.pairwise(numbers)]
    assert min(jumps) >= 1
    assert 1 - len(jumps) / sum(jumps) == pytest.approx(0.3, abs=0.1)
    server.faults("/street").heal()
    numbers = sequences(server, transport, 50)
    assert all((b - a) % 65536 == 1 for a, b in itertools.pairwise(numbers))


def sequences(server, transport, count):
    url = server.url("/street")
    if transport == "tcp":
        with Probe(url).play() as client:
            return [packet.sequence for packet in client.packets(count)]
    with Probe(url) as client, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.bind(("127.0.0.1", 0))
        own.settimeout(5)
        port = own.getsockname()[1]
        client.ask("SETUP", url + "/trackID=0", Transport=f"RTP/AVP;unicast;client_port={port}-{port + 1}")
        assert client.ask("PLAY").status == 200
        return [int.from_bytes(own.recv(2000)[2:4], "big") for _ in range(count)]


def test_corrupted_packets_keep_their_length_and_truncated_ones_their_number(server):
    def payloads():
        with Probe(server.url("/street")).play() as client:
            packets = [packet for picture in client.pictures(5) for packet in picture]
        assert all((b.sequence - a.sequence) % 65536 == 1 for a, b in itertools.pairwise(packets))
        return [packet.payload for packet in packets]

    whole = payloads()
    server.faults("/street").corrupt(1.0)
    corrupt = payloads()
    assert [len(p) for p in corrupt] == [len(p) for p in whole]
    assert all(a != b for a, b in zip(corrupt, whole, strict=True))
    server.faults("/street").heal()
    server.faults("/street").truncate(1.0)
    assert payloads() == [p[: max(3, len(p) // 2)] for p in whole]
    server.faults("/street").heal()
    assert payloads() == whole


def test_packets_are_swapped_and_sent_twice(server):
    server.faults("/street").reorder(0.2)
    jumps = {(b - a) % 65536 for a, b in itertools.pairwise(sequences(server, "tcp", 200))}
    assert 65535 in jumps
    server.faults("/street").heal()
    server.faults("/street").duplicate(0.2)
    jumps = {(b - a) % 65536 for a, b in itertools.pairwise(sequences(server, "tcp", 200))}
    assert jumps == {0, 1}


def test_a_delayed_stream_comes_later_and_in_order(server, client):
    server.faults("/street").delay(0.3, jitter=0.1)
    with Probe(server.url("/street")).play() as late:
        start = time.monotonic()
        packets = [packet for picture in late.pictures(15) for packet in picture]
        assert time.monotonic() - start > 0.3
    assert all((b.sequence - a.sequence) % 65536 == 1 for a, b in itertools.pairwise(packets))


def test_a_change_of_size_goes_on_in_the_same_session(server, clips):
    frames = []
    with ffmpeg(server.url("/street")) as container:
        for frame in container.decode(video=0):
            if not frames:
                server.faults("/street").switch(clips["larger"])
            frames.append(frame)
            if [f.width for f in frames].count(480) == 20:
                break
    assert (frames[0].width, frames[0].height) == (320, 240)
    assert (frames[-1].width, frames[-1].height) == (480, 352)
    assert min(steps(frames)) > 0


def test_a_change_of_codec_ends_the_session_and_the_next_one_is_told(server, client, clips):
    server.faults("/street").switch(clips["h265"])
    with pytest.raises(EOFError):
        client.packets(1000)
    with Probe(server.url("/street")) as again:
        assert "H265/90000" in again.ask("DESCRIBE").body
    assert len(decode(server.url("/street"), 2)) == 2


def test_time_stamps_restart_at_zero_and_go_on_from_there(server, client):
    server.faults("/street").restart_timestamps()
    pictures = client.pictures(8)
    stamps = [picture[0].timestamp for picture in pictures]
    start = stamps.index(0)
    assert stamps[start:] == [3600 * n for n in range(len(stamps) - start)]
    numbers = [packet.sequence for picture in pictures for packet in picture]
    assert all((b - a) % 65536 == 1 for a, b in itertools.pairwise(numbers))
    assert len(client.reports) == 2


def test_requests_are_answered_with_the_status_asked_for(server, client):
    server.faults("/street").answer(454, "GET_PARAMETER")
    assert client.ask("GET_PARAMETER").status == 454
    assert client.ask("DESCRIBE").status == 200
    server.faults("/street").answer(503)
    assert client.ask("DESCRIBE").status == 503
    server.faults("/street").heal()
    assert client.ask("GET_PARAMETER").status == 200


def test_garbage_comes_between_two_packets(server, client):
    server.faults("/street").garbage(64)
    with pytest.raises(AssertionError, match="expected a packet"):
        client.packets(1000)


def test_a_fault_of_one_mount_leaves_the_others_alone(server, clips):
    server.add_file("/yard", clips["h265"])
    faults = server.faults("/street")
    faults.stall()
    faults.lose(1.0)
    faults.answer(404)
    assert len(decode(server.url("/yard"), 5)) == 5
