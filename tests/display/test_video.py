"""Live pictures as H.264: what a decoder makes of them, and what a viewer that is slow, lost or elsewhere gets."""

import json
import time

import av
import cv2
import httpx
import numpy as np
import pytest
from producer import face, running_stage, settings
from websockets.sync.client import connect, unix_connect

from stream.display import video
from stream.display.server import OVERLAY_SOCKET
from tools.browser import until

CANVAS = """document.querySelector('[data-camera="gate"] canvas')"""


@pytest.fixture
def stage(directory):
    with running_stage(settings("gate", "yard", video="always"), directory) as made:
        yield made


@pytest.fixture
def gate(stage, produce):
    """A camera that is live: its first frame has been shown."""
    made = produce("gate", 1280, 720)
    live(made, stage)
    return made


def live(producer, stage):
    producer.frame((), street(0))
    with httpx.Client(base_url=stage.url) as client:
        until(lambda: shown_by(client) == 1, "the first frame")


def shown_by(client):
    return client.get("/api/report").json()["cameras"]["gate"]["frames"]["shown"]


def socket(stage):
    return connect(stage.url.replace("http", "ws") + "ws", compression=None, max_size=None)


def want(connection, decodes=True, **widths):
    connection.send(json.dumps({"want": widths, "density": 1, "video": decodes}))


def split(message):
    length = int.from_bytes(message[:4], "big")
    return json.loads(message[4 : 4 + length]), message[4 + length :]


def received(connection):
    """The next picture's header and data; not yet acknowledged."""
    while isinstance(message := connection.recv(timeout=10), str):
        pass
    return split(message)


def acknowledge(connection, camera="gate"):
    connection.send(json.dumps({"ack": camera}))


def street(n):
    """A picture of 1280 x 720, uint8 BGR, in which a square moves and nothing else."""
    rng = np.random.default_rng(3)
    coarse = rng.integers(40, 200, (9, 16, 3)).astype(np.uint8)
    picture = cv2.resize(coarse, (1280, 720), interpolation=cv2.INTER_CUBIC)
    picture[200:360, 100 + 12 * n : 260 + 12 * n] = (30, 60, 230)
    return picture


class Screen:
    """Decodes what comes, as a browser does."""

    def __init__(self):
        self._codec = av.CodecContext.create("h264", "r")
        self._codec.thread_type = "SLICE"
        self._codec.flags |= av.codec.context.Flags.low_delay

    def show(self, data):
        frames = self._codec.decode(av.Packet(data))
        assert len(frames) == 1, "each picture comes out at once"
        return frames[0].to_ndarray(format="bgr24")


def test_each_picture_comes_out_at_once_and_looks_like_the_jpeg_in_a_fraction_of_its_bytes(stage, gate):
    screen, spent = Screen(), {"video": 0, "jpeg": 0}
    with socket(stage) as moving, socket(stage) as still:
        want(moving, gate=1280)
        want(still, decodes=False, gate=1280)
        for n in range(12):
            if n:
                gate.frame([face(1, (400, 200, 560, 400), "nobody", None, 0.9)], street(n))
            header, data = received(moving)
            plain, jpeg = received(still)
            acknowledge(moving), acknowledge(still)
            assert header["key"] is (n == 0) and header["codec"].startswith("avc1.42")
            assert "codec" not in plain and header["sequence"] == plain["sequence"] == n + 1
            assert header["faces"] == plain["faces"] and header["latency_ms"] > 0
            shown = screen.show(data)
            assert shown.shape == (header["height"], header["width"], 3) == (720, 1280, 3)
            beside = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
            assert cv2.PSNR(shown, beside) > 30
            spent["video"] += len(data)
            spent["jpeg"] += len(jpeg)
    assert spent["video"] < 0.5 * spent["jpeg"], spent


def test_a_slow_viewer_misses_frames_and_its_video_goes_on_without_a_flaw(stage, gate):
    screen = Screen()
    with socket(stage) as connection, httpx.Client(base_url=stage.url) as client:
        want(connection, gate=640)
        for n in range(1, 20):
            gate.frame((), street(n))
            until(lambda: shown_by(client) == gate.sequence, "it to be shown")
        sequences = []
        for _ in range(3):
            header, data = received(connection)
            picture = screen.show(data)
            acknowledge(connection)
            sequences.append(header["sequence"])
        wanted = cv2.resize(street(19), (640, 360), interpolation=cv2.INTER_AREA)
        assert sequences[-1] == 20 and sequences[1] < 10 and not header["key"]
        assert cv2.PSNR(picture, wanted) > 27


def test_another_size_and_a_decoder_that_failed_begin_with_a_key_frame(stage, gate):
    with socket(stage) as connection:
        want(connection, gate=600)
        for key in (True, False):
            header, _ = received(connection)
            acknowledge(connection)
            assert (header["width"], header["key"]) == (640, key)
            if key:
                gate.frame((), street(1))
        want(connection, gate=300)
        header, data = received(connection)
        assert (header["width"], header["key"]) == (320, True)
        assert Screen().show(data).shape == (180, 320, 3)
        connection.send(json.dumps({"lost": "gate"}))
        header, data = received(connection)
        assert header["key"] and header["sequence"] == 2, "the same frame again, for there is no newer one"
        assert Screen().show(data).shape == (180, 320, 3)


def test_who_comes_when_there_is_no_time_for_more_video_gets_jpeg(stage, gate, monkeypatch):
    monkeypatch.setattr(video, "_MOST_PIXELS", 640 * 360 + 320 * 180)
    with socket(stage) as first, socket(stage) as second:
        want(first, gate=640)
        assert "codec" in received(first)[0]
        want(second, gate=640)
        assert "codec" not in received(second)[0]
        acknowledge(second)
        want(first)
        want(second, gate=960)
        want(second, gate=640)
        gate.frame((), street(1))
        until(lambda: "codec" in next_one(second, gate), "the room that the other left")


def next_one(connection, gate):
    header, _ = received(connection)
    acknowledge(connection)
    gate.frame((), street(2))
    return header


@pytest.mark.parametrize(
    ("setting", "far", "decodes", "video_comes"),
    [
        ("auto", True, True, True),
        ("auto", False, True, False),
        ("auto", True, False, False),
        ("never", True, True, False),
        ("always", False, True, True),
        ("always", True, False, False),
    ],
)
def test_video_goes_to_those_it_is_for(directory, produce, setting, far, decodes, video_comes):
    with running_stage(settings("gate", video=setting), directory) as stage:
        live(produce("gate", 1280, 720), stage)
        overlay = str(directory / OVERLAY_SOCKET)
        with unix_connect(overlay, f"ws://overlay/ws?far={far}", compression=None, max_size=None) as viewer:
            want(viewer, decodes, gate=640)
            assert ("codec" in received(viewer)[0]) is video_comes


def test_a_browser_shows_the_video_as_it_comes(browser, stage, gate):
    page = browser.open(stage.url)
    until(
        lambda: (gate.frame((), street(0)), gate.status(), page.evaluate(f"{CANVAS}?.dataset.codec"))[-1],
        "it",
    )
    until(
        lambda: (gate.frame((), street(0)), page.evaluate(f"{CANVAS}.dataset.codec.startsWith('avc1.42')"))[
            -1
        ],
        "video",
    )
    before = page.evaluate(f"Number({CANVAS}.dataset.sequence)")
    for n in range(50):
        gate.frame((), street(n))
        time.sleep(0.02)
    page.wait_for(f"Number({CANVAS}.dataset.sequence) === {gate.sequence}")
    assert gate.sequence >= before + 50
    seen = page.evaluate(f"""(() => {{
      const canvas = {CANVAS}, scale = canvas.width / 1280;
      const whole = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
      const at = (x, y) => {{
        const first = 4 * (Math.round(y * scale) * canvas.width + Math.round(x * scale));
        return [...whole.slice(first, first + 3)];
      }};
      return {{square: at({180 + 12 * 49}, 280), below: at(640, 600), width: canvas.width}};
    }})()""")
    assert np.abs(np.subtract(seen["square"], (230, 60, 30))).max() < 12, seen
    assert np.abs(np.subtract(seen["below"], street(49)[600, 640, ::-1])).max() < 12, seen
    assert page.problems == []
    page.close()


DAMAGE = """
  const plain = VideoDecoder.prototype.decode, now = performance.now.bind(performance);
  window.broken = window.later = window.damaged = 0;
  performance.now = () => now() + window.later;
  VideoDecoder.prototype.decode = function (chunk) {
    if (window.damaged > 0 && chunk.type === "delta") {
      window.broken += 1;
      window.damaged -= 1;
      const { type, timestamp } = chunk;
      chunk = new EncodedVideoChunk({ type, timestamp, data: new Uint8Array([0, 0, 1, 0x7f, 9]) });
    }
    return plain.call(this, chunk);
  };
"""
"""As many chunks as `damaged` says are no video; the page's clock is `later` milliseconds ahead."""


@pytest.fixture
def damaged(browser, stage, gate):
    """A page whose decoder can be made to fail, and what sends a further frame and gives the codec that is shown."""
    page = browser.open("about:blank")
    page.send("Page.addScriptToEvaluateOnNewDocument", source=DAMAGE)
    page.send("Page.navigate", url=stage.url)

    def codec():
        gate.frame((), street(gate.sequence % 60)), gate.status()
        time.sleep(0.03)
        return page.evaluate(f"{CANVAS}?.dataset.codec ?? ''")

    until(lambda: codec().startswith("avc1"), "video")
    yield page, codec
    page.close()


def shows_newer(page, codec, gate):
    before = gate.sequence
    until(
        lambda: codec() and page.evaluate(f"Number({CANVAS}.dataset.sequence)") > before + 5, "newer frames"
    )


def test_a_browser_whose_decoder_fails_goes_on_and_in_the_end_without_video(damaged, gate):
    page, codec = damaged
    page.evaluate("window.damaged = Infinity")
    until(lambda: codec() == "jpeg", "pictures")
    assert 1 <= page.evaluate("window.broken") <= 30
    shows_newer(page, codec, gate)


def test_a_decoder_that_fails_now_and_then_does_not_end_the_video(damaged, gate):
    page, codec = damaged
    for times in range(1, 6):
        page.evaluate("window.later += 61_000, window.damaged = 1")
        until(lambda times=times: codec() and page.evaluate("window.broken") >= times, "a failure")
        shows_newer(page, codec, gate)
    assert codec().startswith("avc1")
