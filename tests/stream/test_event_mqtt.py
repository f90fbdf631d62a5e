"""MQTT, with a real broker: mosquitto, also killed and started again in the middle."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from event_helpers import MOSQUITTO, Broker, Subscriber, eventually, face, seen, settings_with

from stream.archive.archive import Archive
from stream.events.channel import Backoff
from stream.events.engine import EventEngine

pytestmark = pytest.mark.skipif(MOSQUITTO is None, reason="no MQTT broker (mosquitto) on this machine")
TOPIC = "house/gate"


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with Archive.open(tmp_path / "footage", write=True) as it:
        yield it


@pytest.fixture
def start(archive: Archive) -> Iterator[Callable[..., EventEngine]]:
    """Starts an engine whose one rule publishes every face."""
    with ExitStack() as stack:

        def it(port: int, **mqtt: Any) -> EventEngine:
            target = {"name": "house", "host": "127.0.0.1", "port": port, "topic": TOPIC, **mqtt}
            rules = [{"name": "all", "dwell_s": 0, "send_to": ["house"]}]
            settings = settings_with(archive.folder, rules=rules, mqtt=[target])
            engine = EventEngine(settings, archive, backoff=Backoff(0.02, 0.1))
            stack.callback(engine.close)
            return engine

        yield it


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Callable[..., Broker]]:
    with ExitStack() as stack:

        def it(*lines: str) -> Broker:
            made = Broker(tmp_path / "broker", *lines)
            stack.callback(made.kill)
            made.start()
            return made

        yield it


def first_seen(tracks: list[int]) -> list[int]:
    return list(dict.fromkeys(tracks))


def test_events_are_published_in_order_and_crossed_off(
    start: Callable[..., EventEngine], broker: Callable[..., Broker], archive: Archive
) -> None:
    port = broker().port
    with closing(Subscriber(port, TOPIC)) as subscriber:
        engine = start(port)
        for track in range(1, 31):
            engine.see(seen(face(track)))
        eventually(lambda: len(subscriber.got) == 30, "all arrived")
        eventually(lambda: not archive.deliveries(open_only=True), "all crossed off")
    assert subscriber.tracks == list(range(1, 31))
    assert {event["version"] for event in subscriber.got} == {1}


def test_a_broker_killed_and_started_again_in_the_middle_loses_nothing(
    start: Callable[..., EventEngine], broker: Callable[..., Broker], archive: Archive
) -> None:
    house = broker()
    with closing(Subscriber(house.port, TOPIC)) as subscriber:
        engine = start(house.port)
        for track in range(1, 101):
            engine.see(seen(face(track)))
            if track == 40:
                eventually(lambda: len(subscriber.got) >= 10, "some arrived")
                house.kill()
        eventually(lambda: bool(engine.notes), "the trouble is told")
        assert engine.notes[0].startswith("Events for house wait: ")
        eventually(lambda: len(archive.deliveries()) == 100, "all are in the archive")
        assert len(archive.deliveries(open_only=True)) >= 60
        house.start()
        eventually(lambda: first_seen(subscriber.tracks)[-1:] == [100], "the last one arrived", 30)
        eventually(lambda: not archive.deliveries(open_only=True), "all crossed off")
        assert engine.notes == ()
    assert first_seen(subscriber.tracks) == list(range(1, 101))


def test_a_wrong_password_is_told_without_the_password_and_the_right_one_gets_everything(
    start: Callable[..., EventEngine], broker: Callable[..., Broker], tmp_path: Path, archive: Archive
) -> None:
    passwords = tmp_path / "passwords"
    subprocess.run(
        ["mosquitto_passwd", "-b", "-c", str(passwords), "gate", "open sesame"],
        check=True,
        capture_output=True,
    )
    port = broker("allow_anonymous false", f"password_file {passwords}").port
    wrong = start(port, username="gate", password="let me in")
    wrong.see(seen(face(1)))
    eventually(lambda: bool(wrong.notes), "the refusal is told")
    assert wrong.notes == ("Events for house wait: the broker refused: Not authorized.",)
    wrong.close()
    login = {"username": "gate", "password": "open sesame"}
    with closing(Subscriber(port, TOPIC, **login)) as subscriber:
        start(port, **login)
        eventually(lambda: subscriber.tracks == [1], "what an earlier engine left is delivered")


def test_tls_is_spoken_with_a_broker_whose_certificate_is_trusted_and_with_no_other(
    start: Callable[..., EventEngine],
    broker: Callable[..., Broker],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key, certificate = self_signed(tmp_path)
    port = broker(f"certfile {certificate}", f"keyfile {key}").port
    stranger = start(port, host="localhost", tls=True)
    stranger.see(seen(face(1)))
    eventually(lambda: bool(stranger.notes), "the refusal is told")
    assert stranger.notes == (
        "Events for house wait: the certificate or the TLS connection is not in order.",
    )
    stranger.close()
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.create_default_context()
    with closing(Subscriber(port, TOPIC, context=context)) as subscriber:
        start(port, host="localhost", tls=True)
        eventually(lambda: subscriber.tracks == [1], "delivered over TLS")


def self_signed(folder: Path) -> tuple[Path, Path]:
    """A key and a certificate for localhost, as files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    unencrypted = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    paths = folder / "key.pem", folder / "certificate.pem"
    paths[0].write_bytes(unencrypted)
    paths[1].write_bytes(certificate.public_bytes(Encoding.PEM))
    return paths
