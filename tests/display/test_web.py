import json
import time

import cv2
import httpx
import numpy as np
import pytest
from producer import face, running_stage, settings
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from engines.masks.state import MaskState
from stream.display.viewers import WIDTHS, Wish
from stream.messages import Candidate
from tools.browser import until


@pytest.fixture
def stage(directory):
    with running_stage(settings("gate", "yard"), directory) as made:
        yield made


@pytest.fixture(scope="module")
def idle(tmp_path_factory):
    """One stage for all tests that send no frames."""
    with running_stage(settings("gate", "yard"), tmp_path_factory.mktemp("idle")) as made:
        yield made


@pytest.fixture(scope="module")
def idle_client(idle):
    with httpx.Client(base_url=idle.url) as made:
        yield made


@pytest.fixture
def gate(stage, produce):
    return produce("gate", 1280, 720)


@pytest.fixture
def client(stage):
    with httpx.Client(base_url=stage.url) as made:
        yield made


def socket(stage, **options):
    return connect(stage.url.replace("http", "ws") + "ws", compression=None, max_size=None, **options)


def picture(message):
    length = int.from_bytes(message[:4], "big")
    header = json.loads(message[4 : 4 + length])
    jpeg = np.frombuffer(message[4 + length :], np.uint8)
    return header, cv2.imdecode(jpeg, cv2.IMREAD_COLOR)


def next_picture(connection, live=True):
    while True:
        message = connection.recv(timeout=10)
        if isinstance(message, bytes):
            header, pixels = picture(message)
            connection.send(json.dumps({"ack": header["camera"]}))
            if header["live"] or not live:
                return header, pixels


def want(connection, density=1, **widths):
    connection.send(json.dumps({"want": widths, "density": density}))


def shown(client, camera="gate"):
    return client.get("/api/report").json()["cameras"][camera]["frames"]["shown"]


# what is served


def test_the_page_and_all_it_needs_come_from_here(idle_client):
    page = idle_client.get("/")
    assert page.status_code == 200
    assert "/api/cameras/gate/stream.mjpg" in page.text, "without scripts there are plain streams"
    for part in page.text.split('"'):
        if part.startswith("/static/"):
            assert idle_client.get(part).status_code == 200, part
    assert "http://" not in page.text and "https://" not in page.text


@pytest.mark.parametrize(
    "path", ["/", "/static/live.js", "/api/state", "/nothing", "/api/cards/gate/7/original.png"]
)
def test_every_answer_carries_the_headers_that_keep_others_out(idle_client, path):
    headers = idle_client.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:1", 200),
        ("localhost", 200),
        ("LOCALHOST:8300", 200),
        ("[::1]:8300", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("evil.example@127.0.0.1", 403),
        ("", 403),
        ("127.0.0.1:x", 200),
        ("[::1", 403),
    ],
)
def test_only_names_of_this_machine_are_answered(idle_client, host, status):
    assert idle_client.get("/api/state", headers={"host": host}).status_code == status


def test_a_socket_of_another_origin_is_refused(idle):
    for origin in ("http://evil.example", "null", "http://127.0.0.1:1", "https://localhost"):
        with pytest.raises(InvalidStatus) as refused:
            socket(idle, origin=origin)
        assert refused.value.response.status_code == 403
    with socket(idle, origin=idle.url.rstrip("/")) as connection:
        assert connection.recv(timeout=10)


@pytest.mark.parametrize(
    "path",
    [
        "/api/cameras/nobody/snapshot.jpg",
        "/api/cameras/..%2f..%2fetc/snapshot.jpg",
        "/api/cameras/nobody/stream.mjpg",
        "/api/cards/nobody/1/original.png",
        "/api/cards/gate/1/original.png",
        "/static/..%2f__init__.py",
        "/static/%2e%2e/stage.py",
        "/static/live.html",
        "/docs",
        "/openapi.json",
    ],
)
def test_what_is_not_there_is_not_found(idle_client, path):
    assert idle_client.get(path).status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/api/cards/gate/x/original.png",
        "/api/cameras/gate/stream.mjpg?width=0",
        "/api/cameras/gate/stream.mjpg?width=1e9",
    ],
)
def test_what_makes_no_sense_is_refused(idle_client, path):
    assert idle_client.get(path).status_code == 422


def test_a_snapshot_is_annotated_and_as_large_as_the_frame(client, gate):
    gate.frame([face(1, (400, 200, 560, 400), "nobody", None, 0.9)])
    until(lambda: shown(client), "the frame")
    answer = client.get("/api/cameras/gate/snapshot.jpg")
    assert answer.headers["content-type"] == "image/jpeg"
    pixels = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR).astype(int)
    assert pixels.shape == (720, 1280, 3)
    assert np.abs(pixels[300, 398:403] - (255, 176, 92)).sum(1).min() < 60


def test_a_camera_without_a_frame_has_a_snapshot_that_says_so(idle_client):
    pixels = idle_client.get("/api/cameras/yard/snapshot.jpg")
    assert cv2.imdecode(np.frombuffer(pixels.content, np.uint8), cv2.IMREAD_COLOR).shape == (720, 1280, 3)


def test_the_plain_stream_goes_on_for_as_long_as_one_looks(client, gate):
    gate.frame()
    until(lambda: shown(client), "the frame")
    with client.stream("GET", "/api/cameras/gate/stream.mjpg?width=640") as answer:
        assert answer.headers["content-type"] == "multipart/x-mixed-replace; boundary=frame"
        read, pictures = b"", 0
        for chunk in answer.iter_bytes():
            read += chunk
            pictures = read.count(b"--frame\r\n")
            gate.frame()
            if pictures >= 5:
                break
    assert pictures >= 5
    first = read[read.index(b"\xff\xd8") : read.index(b"\r\n--frame", 10)]
    assert cv2.imdecode(np.frombuffer(first, np.uint8), cv2.IMREAD_COLOR).shape == (360, 640, 3)


def test_the_report_can_be_read_while_it_grows(client, gate):
    gate.frame()
    until(lambda: shown(client), "the frame")
    report = client.get("/api/report").json()
    assert report["cameras"]["gate"]["frames"]["shown"] == 1
    assert "now" in report and "ended" not in report


def test_it_says_that_it_is_well(idle_client):
    assert idle_client.get("/healthz").json() == {"status": "ok"}


# cards


def test_a_card_s_pictures_are_served_as_they_were_given(client, gate):
    original, reconstruction = (np.full((128, 128, 3), value, np.uint8) for value in (30, 220))
    masked = face(
        7,
        (10, 10, 90, 120),
        "person",
        "Ada",
        0.91,
        MaskState.WORN,
        (Candidate("Ada", 0.91, {"raw": 0.4, "unmasked": 0.5}), Candidate("Ben", 0.03, {})),
    )
    gate.card(7, original, reconstruction)
    gate.frame([masked])
    card = until(lambda: next(iter(client.get("/api/state").json().get("cards", [])), None), "the card")
    until(lambda: client.get("/api/state").json()["cards"][0]["candidates"], "the candidates")
    card = client.get("/api/state").json()["cards"][0]
    assert (card["camera"], card["track"], card["title"]) == ("gate", 7, "Ada 91 %")
    assert card["remark"] == "masked, reduced reliability"
    assert card["candidates"][0] == {
        "person": "Ada",
        "probability": 0.91,
        "evidence": {"raw": 0.4, "unmasked": 0.5},
    }
    for name, sent in (("original", original), ("reconstruction", reconstruction)):
        answer = client.get(f"/api/cards/gate/7/{name}.png")
        assert answer.headers["content-type"] == "image/png"
        assert answer.content == cv2.imencode(".png", sent)[1].tobytes()


def test_a_face_that_cannot_be_reconstructed_has_its_picture_and_the_reason_alone(client, gate):
    grey = np.full((128, 128, 3), 30, np.uint8)
    gate.refused_card(4, grey, "eyes are covered")
    gate.frame([face(4, (10, 10, 90, 120), mask=MaskState.WORN)])
    card = until(lambda: next(iter(client.get("/api/state").json().get("cards", [])), None), "the card")
    assert (card["looks"], card["no_reconstruction"]) == (0, "eyes are covered")
    assert client.get("/api/cards/gate/4/original.png").content == cv2.imencode(".png", grey)[1].tobytes()
    missing = client.get("/api/cards/gate/4/reconstruction.png")
    assert missing.status_code == 404 and "eyes are covered" in missing.text
    gate.card(4, grey, grey, looks=5)
    until(lambda: client.get("/api/state").json()["cards"][0]["looks"] == 5, "the reconstruction")
    assert client.get("/api/state").json()["cards"][0]["no_reconstruction"] is None
    assert client.get("/api/cards/gate/4/reconstruction.png").status_code == 200


def test_no_decision_is_an_answer(client, gate):
    grey = np.full((128, 128, 3), 30, np.uint8)
    gate.card(3, grey, grey)
    gate.frame([face(3, (10, 10, 90, 120), mask=MaskState.WORN)])
    card = until(lambda: next(iter(client.get("/api/state").json().get("cards", [])), None), "the card")
    assert (card["title"], card["decision"], card["candidates"]) == ("no decision", "undecided", [])


def test_old_cards_make_room_for_new_ones(client, gate):
    grey = np.full((8, 8, 3), 30, np.uint8)
    for track in range(40):
        gate.card(track, grey, grey)
    cards = until(
        lambda: (c := client.get("/api/state").json().get("cards", [])) and c[0]["track"] == 39 and c,
        "the cards",
    )
    assert [card["track"] for card in cards] == list(range(39, 27, -1))
    assert client.get("/api/cards/gate/0/original.png").status_code == 404


# the socket


def test_a_viewer_gets_frames_at_the_size_it_shows_them(stage, gate):
    gate.frame([face(1, (400, 200, 560, 400), "nobody", None, 0.9)])
    with socket(stage) as connection:
        for width, density, served in ((300, 1, 320), (600, 1, 640), (400, 2, 960), (2000, 1, 1280)):
            want(connection, density, gate=width)
            header, pixels = next_picture(connection)
            assert pixels.shape[1] == header["width"] == served
            assert header["scale"] == served / 1280
            assert header["sequence"] == 1 and header["latency_ms"] > 0
            assert header["faces"][0]["box"] == [400, 200, 560, 400]
            x = round(400 * header["scale"])
            row = pixels[round(300 * header["scale"]), x - 3 : x + 4].astype(int)
            assert np.abs(row - (255, 176, 92)).sum(1).min() < 110, "the box is where it should be"


def test_a_viewer_gets_only_what_it_wants(stage, gate):
    gate.frame()
    with socket(stage) as connection:
        want(connection, yard=320)
        header, _ = next_picture(connection, live=False)
        assert header["camera"] == "yard" and not header["live"]
        want(connection)
        gate.frame()
        deadline = time.monotonic() + 1.2
        while time.monotonic() < deadline:
            assert isinstance(connection.recv(timeout=5), str), "only states are sent"


def test_a_viewer_that_acknowledges_nothing_gets_two_frames_and_then_the_newest(stage, gate, client):
    with socket(stage) as connection:
        want(connection, gate=320)
        got = []

        for _ in range(25):
            gate.frame()
            until(lambda: shown(client) == gate.sequence, "it to be shown")
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline:
            message = connection.recv(timeout=5)
            if isinstance(message, bytes):
                got.append(picture(message)[0])
        assert len(got) == 2, "a slow viewer has two pictures on the way, and slows nobody down"
        for header in got:
            connection.send(json.dumps({"ack": header["camera"]}))
        header, _ = next_picture(connection, live=False)
        assert header["version"] > got[-1]["version"] + 10, "then it gets the newest"


@pytest.mark.parametrize(
    "word",
    [
        "nonsense",
        "[]",
        '{"want": 1, "density": 1}',
        '{"want": {"gate": "wide"}, "density": 1}',
        '{"want": {"gate": NaN}, "density": 1}',
        '{"want": {"gate": true}, "density": 1}',
        '{"want": {}, "density": null}',
        "x" * 100_000,
    ],
)
def test_a_viewer_that_talks_nonsense_is_sent_away_and_the_page_lives_on(idle, idle_client, word):
    with socket(idle) as connection:
        connection.send(word)
        with pytest.raises(ConnectionClosed):
            while True:
                connection.recv(timeout=5)
    assert idle_client.get("/healthz").status_code == 200


def test_odd_wishes_are_brought_within_bounds(stage, gate):
    gate.frame()
    with socket(stage) as connection:
        want(connection, 1e9, gate=1e300, nobody=5)
        assert next_picture(connection)[0]["width"] == 1280
        want(connection, -5, gate=-1)
        assert next_picture(connection)[0]["width"] == 320


def test_viewers_with_windows_of_about_one_size_share_an_encoding():
    assert Wish(610).served(1280) == Wish(600).served(1280) == (640, 1.0)
    assert Wish(390, 2).served(1280) == (960, 2.5)
    assert Wish(1600).served(1280) == (1280, 1.0)
    assert Wish(99999).served(99999)[0] == WIDTHS[-1]


def test_stopping_sends_viewers_away_at_once(directory):
    with running_stage(settings("gate"), directory) as stage:
        with socket(stage) as connection:
            began = time.monotonic()
            stage.end()
            with pytest.raises(ConnectionClosed):
                while True:
                    connection.recv(timeout=5)
        assert time.monotonic() - began < 4
