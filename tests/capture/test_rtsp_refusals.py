"""What people are told when a camera gives no picture: whole sentences, and never a password."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from capture_helpers import take
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from stream.capture.opening import Opener
from stream.capture.source import NoSuchStream, Source, SourceError, SourceLost, SourceRefused, Stopped
from stream.config import Camera
from tools.rtsp_server import RtspServer

OpenCamera = Callable[..., Source]
PASSWORD = "wrong-s3cret"


def refusal(open_camera: OpenCamera, url: str, kind: type[SourceError], **settings: object) -> str:
    with pytest.raises(kind) as caught:
        take(open_camera(url, **settings), 1)
    assert PASSWORD not in str(caught.value)
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    return str(caught.value)


@contextmanager
def speaking(*answers: bytes) -> Iterator[int]:
    """A server, on the port given, that answers its one client's requests with these in turn."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)

        def serve() -> None:
            try:
                client, _ = listener.accept()
                with client:
                    client.settimeout(5)
                    for answer in answers:
                        client.recv(4096)
                        client.sendall(answer)
            except OSError:
                pass  # the test has ended

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
    thread.join()


@pytest.mark.parametrize("reader", ["rtp", "av"])
def test_a_port_where_nobody_listens(reader: str, open_camera: OpenCamera) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    said = refusal(open_camera, f"rtsp://127.0.0.1:{port}/street", SourceLost, reader=reader)
    assert said == f"127.0.0.1:{port} refuses connections: is the camera on, and is the port right?"


def test_a_host_that_does_not_answer(open_camera: OpenCamera) -> None:
    with (
        socket.create_server(("127.0.0.1", 0), backlog=0) as listener,
        socket.socket() as first,
        socket.socket() as second,
    ):
        # With a full queue of connections, Linux drops further ones without a word, as a host that is off does.
        place = listener.getsockname()
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(place)
        said = refusal(open_camera, f"rtsp://127.0.0.1:{place[1]}/street", SourceLost, timeout_s=0.5)
    assert said == f"127.0.0.1:{place[1]} did not answer within 0.5 s: is the camera on, and in this network?"


def test_a_host_name_that_does_not_exist(open_camera: OpenCamera) -> None:
    assert (
        refusal(open_camera, "rtsp://no..where/street", SourceLost)
        == "the host name 'no..where' is not known"
    )


@pytest.mark.parametrize("scheme", ["basic", "digest", "digest-sha256"])
def test_a_wrong_password_names_user_and_host_and_is_tried_once(
    scheme: str, clips: dict[str, Path], open_camera: OpenCamera
) -> None:
    with RtspServer(user="viewer", password="right", auth=scheme) as server:
        server.add_file("/street", clips["h264"])
        url = f"rtsp://viewer:{PASSWORD}@127.0.0.1:{server.port}/street"
        said = refusal(open_camera, url, SourceRefused)
        asked = [request.status for request in server.requests if request.method == "DESCRIBE"]
    assert said == f"127.0.0.1:{server.port} refuses user 'viewer': the user name or the password is wrong"
    assert asked == [401, 401]  # the demand, then our answer: more would lock the user out of some cameras


def test_a_wrong_password_through_ffmpegs_reader(clips: dict[str, Path], open_camera: OpenCamera) -> None:
    with RtspServer(user="viewer", password="right", auth="digest") as server:
        server.add_file("/street", clips["h264"])
        url = f"rtsp://viewer:{PASSWORD}@127.0.0.1:{server.port}/street"
        said = refusal(open_camera, url, SourceRefused, reader="av")
    assert said == f"127.0.0.1:{server.port} refuses user 'viewer': the user name or the password is wrong"


@pytest.mark.parametrize("reader", ["rtp", "av"])
def test_a_missing_password(reader: str, clips: dict[str, Path], open_camera: OpenCamera) -> None:
    with RtspServer(user="viewer", password="right", auth="digest") as server:
        server.add_file("/street", clips["h264"])
        said = refusal(open_camera, server.url("/street"), SourceRefused, reader=reader)
    assert said == f"127.0.0.1:{server.port} asks for a user name and a password: the address holds none"


@pytest.mark.parametrize("reader", ["rtp", "av"])
def test_a_wrong_path(reader: str, server: RtspServer, open_camera: OpenCamera) -> None:
    url = f"rtsp://127.0.0.1:{server.port}/nowhere?password={PASSWORD}"
    said = refusal(open_camera, url, NoSuchStream, reader=reader)
    assert said == f"127.0.0.1:{server.port} has no stream at /nowhere: is the path right?"


def test_a_server_that_accepts_and_says_nothing(server: RtspServer, open_camera: OpenCamera) -> None:
    server.freeze()
    began = time.monotonic()
    said = refusal(open_camera, server.url("/street"), SourceLost, timeout_s=1.0)
    assert said == f"127.0.0.1:{server.port} accepted the connection but did not answer OPTIONS within 1 s"
    assert time.monotonic() - began < 1.5


def test_a_server_that_promises_a_stream_and_sends_nothing(
    server: RtspServer, clips: dict[str, Path], open_camera: OpenCamera
) -> None:
    server.add_file("/street", clips["h264"])
    server.faults("/street").stall()
    said = refusal(open_camera, server.url("/street"), SourceLost, timeout_s=1.0)
    assert said == f"127.0.0.1:{server.port} has sent nothing for 1 s"


def test_ffmpegs_reader_notices_silence_too(
    server: RtspServer, clips: dict[str, Path], open_camera: OpenCamera
) -> None:
    server.add_file("/street", clips["h264"])
    source = open_camera(server.url("/street"), reader="av", timeout_s=1.0)
    assert len(take(source, 3)) == 3
    server.faults("/street").stall()
    began = time.monotonic()
    with pytest.raises(SourceLost) as caught:
        take(source, 1000)
    assert str(caught.value) == f"127.0.0.1:{server.port} has sent nothing for 1 s"
    assert time.monotonic() - began < 4


@pytest.mark.parametrize("reader", ["auto", "av"])
def test_a_microphone(reader: str, server: RtspServer, open_camera: OpenCamera) -> None:
    codec = "PCMA" if reader == "auto" else "PCM_ALAW"
    said = refusal(open_camera, server.add_tone("/hall"), SourceRefused, reader=reader)
    assert said == f"127.0.0.1:{server.port}/hall carries no picture, only {codec}: is it a microphone?"


@pytest.mark.parametrize(
    ("status", "method", "kind", "sentence"),
    [
        (403, "DESCRIBE", SourceRefused, "{} forbids watching /street"),
        (461, "SETUP", SourceRefused, "{} does not send over TCP: set transport to udp"),
        (
            453,
            "SETUP",
            SourceLost,
            "{} cannot serve /street now: it answered SETUP with 453 Not Enough Bandwidth",
        ),
        (
            503,
            "PLAY",
            SourceLost,
            "{} cannot serve /street now: it answered PLAY with 503 Service Unavailable",
        ),
        (400, "DESCRIBE", SourceRefused, "{} refused /street: it answered DESCRIBE with 400 Bad Request"),
    ],
)
def test_an_error_status(
    status: int,
    method: str,
    kind: type[SourceError],
    sentence: str,
    server: RtspServer,
    clips: dict[str, Path],
    open_camera: OpenCamera,
) -> None:
    server.add_file("/street", clips["h264"])
    server.faults("/street").answer(status, method)
    said = refusal(open_camera, server.url("/street"), kind)
    assert said == sentence.format(f"127.0.0.1:{server.port}")


def test_a_web_server(open_camera: OpenCamera) -> None:
    with speaking(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n") as port:
        said = refusal(open_camera, f"rtsp://127.0.0.1:{port}/street", SourceRefused)
    assert said == f"127.0.0.1:{port} does not speak RTSP: is the port right?"


def test_a_stream_that_has_moved_names_the_new_place_without_a_password(open_camera: OpenCamera) -> None:
    moved = f"RTSP/1.0 302 Moved\r\nLocation: rtsp://root:{PASSWORD}@10.0.0.9/new\r\n\r\n".encode()
    with speaking(moved, moved) as port:
        said = refusal(open_camera, f"rtsp://127.0.0.1:{port}/street", SourceRefused)
    assert said == (
        f"127.0.0.1:{port} says that /street has moved to rtsp://***@10.0.0.9/new: put that into the address"
    )


def test_a_stream_in_an_unknown_format_is_beyond_the_rtp_reader(open_camera: OpenCamera) -> None:
    body = b"v=0\r\nm=video 0 RTP/AVP 98\r\na=rtpmap:98 VP9/90000\r\n"
    answer = b"RTSP/1.0 200 OK\r\nCSeq: %d\r\nContent-Length: %d\r\n\r\n"
    with speaking(answer % (1, 0), answer % (2, len(body)) + body) as port:
        said = refusal(open_camera, f"rtsp://127.0.0.1:{port}/street", SourceRefused, reader="rtp")
    assert said == f"127.0.0.1:{port}/street carries VP9: H.264 or H.265 is needed"


def test_waiting_for_a_silent_server_ends_when_told_to(server: RtspServer) -> None:
    server.freeze()
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    began = time.monotonic()
    with pytest.raises(Stopped):
        Opener(Camera(name="gate", url=server.url("/street"), timeout_s=30), lambda: not stop.is_set()).open()
    assert time.monotonic() - began < 1


# TLS


def certificate(folder: Path) -> Path:
    """A certificate for 127.0.0.1 and its key, signed by itself, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "camera")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "camera.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return path


@contextmanager
def behind_tls(port: int, pem: Path) -> Iterator[int]:
    """A TLS port in front of a plain one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)

    def copy(source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                target.sendall(data)
        except OSError:
            pass
        for end in (source, target):
            with closing(end):
                pass

    def serve(listener: socket.socket) -> None:
        while True:
            try:
                client = context.wrap_socket(listener.accept()[0], server_side=True)
            except ssl.SSLError:
                continue
            except OSError:
                return
            plain = socket.create_connection(("127.0.0.1", port))
            for pair in ((client, plain), (plain, client)):
                threading.Thread(target=copy, args=pair, daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def test_rtsps_shows_pictures_of_a_camera_whose_certificate_is_trusted(
    server: RtspServer,
    clips: dict[str, Path],
    open_camera: OpenCamera,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server.add_file("/street", clips["h264"])
    pem = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    with behind_tls(server.port, pem) as port:
        assert len(take(open_camera(f"rtsps://127.0.0.1:{port}/street"), 20)) == 20


def test_rtsps_refuses_a_certificate_that_nobody_vouches_for(
    server: RtspServer, open_camera: OpenCamera, tmp_path: Path
) -> None:
    with behind_tls(server.port, certificate(tmp_path)) as port:
        said = refusal(open_camera, f"rtsps://viewer:{PASSWORD}@127.0.0.1:{port}/street", SourceRefused)
    assert said == (
        f"127.0.0.1:{port} is not trusted: its certificate fails the check (self-signed certificate)"
    )


def test_rtsps_to_a_plain_server(open_camera: OpenCamera) -> None:
    with speaking(b"RTSP/1.0 400 Bad Request\r\n\r\n") as port:
        said = refusal(open_camera, f"rtsps://127.0.0.1:{port}/street", SourceRefused)
    assert said == f"127.0.0.1:{port} does not speak TLS: should the address be rtsp://?"


def test_ffmpegs_reader_is_not_used_where_it_would_not_check_the_certificate(open_camera: OpenCamera) -> None:
    said = refusal(open_camera, "rtsps://127.0.0.1/street", SourceRefused, reader="av")
    assert said == "127.0.0.1:322: FFmpeg checks no certificates, so rtsps:// needs the reader rtp"
