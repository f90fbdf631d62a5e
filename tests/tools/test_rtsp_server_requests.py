"""What the RTSP server answers: passwords, wrong requests, sessions that time out."""

from __future__ import annotations

import hashlib
import logging
import re
import socket
import struct
import time
from pathlib import Path

import av
import pytest
from rtsp_helpers import Probe, decode, make_clip, wait_until

from tools.rtsp_server import RtspServer


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("clips")
    return {"h264": make_clip(folder / "h264.mp4"), "h265": make_clip(folder / "h265.mp4", "h265")}


@pytest.fixture(scope="module")
def server(clips: dict[str, Path]):
    with RtspServer() as server:
        for name, clip in clips.items():
            server.add_file(f"/{name}", clip)
        yield server


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


def test_a_path_may_hold_a_query_as_with_many_cameras(server, clips):
    url = server.add_file("/cam/realmonitor?channel=1&subtype=0", clips["h264"])
    assert len(decode(url, 3)) == 3
    with pytest.raises(av.error.HTTPNotFoundError):
        decode(server.url("/cam/realmonitor?channel=2&subtype=0"), 1)


def test_the_server_listens_on_this_machine_only(server):
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", server.port), timeout=2)
