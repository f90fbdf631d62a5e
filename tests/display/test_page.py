"""The live page in a real browser: what a person sees is what was sent."""

import json
import threading
from urllib.parse import urlsplit

import cv2
import msgspec
import numpy as np
import pytest
from producer import Producer, face, running_stage, settings

from engines.alignment import FACE_SIZE
from engines.masks.state import MaskState
from stream.messages import CameraState, Candidate
from stream.overlay import NAMED, NAMED_MASKED
from tools.browser import until

LARGE = """document.querySelector('[data-camera="gate"] canvas')"""


def synthetic(x, y, size=160):
    """A picture of 1280 x 720 in which a face is a white square."""
    ramp = np.linspace(40, 110, 1280)[None, :, None]
    picture = np.broadcast_to(ramp, (720, 1280, 3)).astype(np.uint8).copy()
    picture[y : y + size, x : x + size] = 235
    return picture


def crop(value):
    made = np.full((FACE_SIZE, FACE_SIZE, 3), value, np.uint8)
    cv2.circle(made, (64, 60), 40, (150, 180, 220), -1)
    return made


CANDIDATES = (
    Candidate("Ada Lovelace", 0.914, {"raw": 0.41, "unmasked": 0.52}),
    Candidate("Grace Hopper", 0.031, {"raw": 0.11}),
)
MASKED = face(2, (820, 200, 980, 360), "person", "Ada Lovelace", 0.914, MaskState.WORN, CANDIDATES)


class Street:
    """Three cameras that send for as long as a test lasts: gate and yard live, lobby lost after one frame."""

    def __init__(self, directory):
        self.gate = Producer(directory, "gate", 1280, 720)
        self.yard = Producer(directory, "yard")
        self.lobby = Producer(directory, "lobby")
        self.lobby_lost = True
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        self.lobby.frame()
        for producer in (self.gate, self.yard):
            producer.status()
        turn = 0
        while not self._over.wait(0.04):
            x = 200 + (10 * turn) % 400
            self.gate.frame(
                [face(1, (x, 200, x + 160, 360), "person", "Grace Hopper", 0.97, MaskState.NONE), MASKED],
                synthetic(x, 200),
                {"superseded": 1} if turn % 5 == 0 else {},
            )
            self.yard.frame([face(1, (100, 100, 180, 200), mask=MaskState.WORN, unfit="too small")])
            if self.lobby_lost and turn % 20 == 0:
                self.lobby.status(CameraState.LOST, "The server does not answer; trying again.", since_s=12)
            elif not self.lobby_lost:
                self.lobby.frame()
                self.lobby.status()
            if turn % 20 == 0:
                self.gate.engines(("TensorRT is not here: OpenVINO runs the networks.",))
                self.gate.status(), self.yard.status()
                self.gate.card(2, crop(70), crop(90))
                self.yard.card(1, crop(40), crop(50))
            turn += 1

    def close(self):
        self._over.set()
        self._thread.join()
        for producer in (self.gate, self.yard, self.lobby):
            producer.close()


@pytest.fixture(scope="module")
def street_url(tmp_path_factory):
    directory = tmp_path_factory.mktemp("street")
    with running_stage(settings("gate", "yard", "lobby"), directory) as stage:
        street = Street(directory)
        yield stage.url
        street.close()


@pytest.fixture
def page(browser, street_url):
    made = browser.open(street_url)
    made.wait_for(f"{LARGE}?.dataset.live === 'true'")
    yield made
    assert made.problems == []
    made.close()


def test_an_annotated_frame_arrives_with_its_boxes_where_they_should_be(page, artefacts):
    page.wait_for(f"{LARGE}.width >= 480")
    found = page.evaluate(f"""(() => {{
      const canvas = {LARGE}, scale = canvas.width / 1280;
      const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      const near = (x, y, colour) => {{
        let best = 999;
        for (let dy = -1; dy <= 1; dy++) for (let dx = -1; dx <= 1; dx++) {{
          const at = 4 * ((Math.round(y * scale) + dy) * canvas.width + Math.round(x * scale) + dx);
          best = Math.min(best, Math.abs(pixels.data[at] - colour[0]) + Math.abs(pixels.data[at + 1] - colour[1])
            + Math.abs(pixels.data[at + 2] - colour[2]));
        }}
        return best;
      }};
      // the moving face: its box must be at the edges of its white square, on the very same frame
      const bright = (x, y) => pixels.data[4 * (Math.round(y * scale) * canvas.width + Math.round(x * scale))] > 200;
      let left = 0;
      while (left < 1280 && !bright(left, 300)) left += 1;
      let right = left;
      while (right < 1280 && (bright(right, 300) || right < left + 20)) right += 1;
      return {{
        left, right,
        moving: [near(left - 2, 340, {list(NAMED[::-1])}), near(right + 1, 340, {list(NAMED[::-1])})],
        masked: [near(820, 200, {list(NAMED_MASKED[::-1])}), near(980, 360, {list(NAMED_MASKED[::-1])})],
        outside: near(700, 600, {list(NAMED[::-1])}),
      }};
    }})()""")
    assert abs(found["right"] - found["left"] - 160) < 20, found
    assert max(found["moving"]) < 150 and max(found["masked"]) < 150, found
    assert found["outside"] > 150, found
    page.wait_for("document.querySelectorAll('#cards .candidates li').length >= 2")
    page.wait_for("document.querySelector('[data-camera=\"lobby\"]').dataset.state === 'lost'")
    page.screenshot(artefacts / "live-page.png")


def test_the_page_goes_on_showing_newer_frames(page):
    first = page.evaluate(f"Number({LARGE}.dataset.sequence)")
    page.wait_for(f"Number({LARGE}.dataset.sequence) > {first} + 10")


def test_a_masked_face_has_a_card_with_original_and_marked_reconstruction(page):
    page.wait_for("document.querySelectorAll('#cards .candidates li').length >= 2")
    card = """document.querySelector('#cards [data-key="gate/2"]')"""
    page.wait_for(
        f"[...{card}.querySelectorAll('img')].every(image => image.complete && image.naturalWidth === 128)"
    )
    seen = page.evaluate(f"""({{
      text: {card}.innerText,
      sources: [...{card}.querySelectorAll('img')].map(image => new URL(image.src).pathname),
      outline: getComputedStyle({card}.querySelector('.reconstruction img')).borderStyle,
      caption: {card}.querySelector('.reconstruction figcaption').innerText,
      beside: {card}.querySelector('.original').getBoundingClientRect().top
        === {card}.querySelector('.reconstruction').getBoundingClientRect().top,
      bars: [...{card}.querySelectorAll('meter')].map(meter => meter.value),
      evidence: {card}.querySelector('.evidence').innerText,
    }})""")
    assert seen["sources"] == ["/api/cards/gate/2/original.png", "/api/cards/gate/2/reconstruction.png"]
    assert seen["caption"] == "AI reconstruction, not evidence"
    assert seen["outline"] == "dashed" and seen["beside"]
    assert "Ada Lovelace 91 %" in seen["text"] and "masked, reduced reliability" in seen["text"]
    assert seen["bars"] == [0.914, 0.031]
    assert seen["evidence"] == "similarity: as seen 0.41 · AI reconstruction 0.52"
    undecided = """document.querySelector('#cards [data-key="yard/1"]').innerText"""
    assert "No decision" in page.wait_for(undecided)


def test_without_its_original_a_reconstruction_is_not_shown(page):
    page.wait_for("document.querySelectorAll('#cards li.card').length === 2")
    pair = """document.querySelector('#cards [data-key="gate/2"] .pair')"""
    page.wait_for(f"!{pair}.hidden")
    page.evaluate(f"{pair}.querySelector('.original img').dispatchEvent(new Event('error'))")
    assert page.evaluate(f"getComputedStyle({pair}).display") == "none"


def test_a_lost_camera_says_so_and_since_when(page):
    page.wait_for("document.querySelector('[data-camera=\"lobby\"]').dataset.state === 'lost'")
    word = "document.querySelector('[data-camera=\"lobby\"] .word').innerText"
    assert page.wait_for(word).startswith("lost for 00:1")
    page.wait_for("document.querySelector('[data-camera=\"lobby\"] canvas').dataset.live === 'false'")
    assert page.evaluate("document.querySelector('#summary').innerText") == "2 of 3 cameras live"


def test_the_strip_shows_each_stage_and_what_was_skipped_and_why(page):
    lane = "document.querySelector('#lanes .lane')"
    page.wait_for(f"/superseded/.test({lane}.innerText)")
    text = page.evaluate(f"{lane}.innerText")
    assert "median" in text and "p99" in text and "captured" in text and "shown" in text
    stages = page.evaluate("[...document.querySelectorAll('#stages li')].map(item => item.innerText.trim())")
    assert stages == ["wait", "detect", "mask", "unmask", "recognise", "bus", "draw"]
    widths = page.evaluate(
        f"[...{lane}.querySelectorAll('.stack i')].map(bar => parseFloat(bar.style.width))"
    )
    assert len(widths) == 7 and 0 < sum(widths) < 100
    assert "openvino fp32 on cpu" in page.evaluate("document.querySelector('#engines').innerText")
    assert "TensorRT is not here" in page.evaluate("document.querySelector('#notes').innerText")


def test_the_numbers_behind_the_bars_can_be_read(page):
    page.evaluate("document.querySelector('#latency details').open = true")
    page.wait_for("document.querySelectorAll('#numbers tr').length > 8")
    row = page.evaluate("document.querySelector('#numbers tr').innerText.split('\\t')")
    assert row[:2] == ["gate", "decode"] and all(float(value) >= 0 for value in row[2:])


def test_a_camera_is_made_large_and_small_again_by_keyboard_alone(page, artefacts):
    for _ in range(20):
        page.press("Tab")
        if page.evaluate("document.activeElement.matches('.tile .view')"):
            break
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Camera gate: show large"
    before = page.evaluate(f"{LARGE}.clientWidth")
    page.press("Enter")
    page.wait_for(f"{LARGE}.clientWidth > 1.3 * {before}")
    page.wait_for(f"{LARGE}.width >= {LARGE}.clientWidth")
    assert page.evaluate("document.activeElement.getAttribute('aria-pressed')") == "true"
    page.screenshot(artefacts / "live-page-large.png")
    page.press("ArrowRight")
    page.wait_for("document.querySelector('[data-camera=\"yard\"]').classList.contains('large')")
    page.press("Escape")
    page.wait_for("!document.querySelector('.tile.large')")
    assert page.evaluate("document.activeElement.closest('.tile').dataset.camera") == "yard"


def test_a_click_makes_a_camera_large(page):
    page.click('[data-camera="yard"] .view')
    page.wait_for("document.querySelector('[data-camera=\"yard\"]').classList.contains('large')")
    page.click('[data-camera="yard"] .view')
    page.wait_for("!document.querySelector('.tile.large')")


def test_all_tiles_are_within_the_window(page):
    page.wait_for("document.querySelectorAll('.tile').length === 3")
    for width, height in ((1440, 900), (1920, 1080), (1024, 700)):
        page.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        page.wait_for(f"innerWidth === {width}")
        inside = """(() => {
          const room = document.querySelector('#cameras').getBoundingClientRect();
          return [...document.querySelectorAll('.tile')].every(tile => {
            const box = tile.getBoundingClientRect();
            return box.width > 150 && box.left >= room.left && box.right <= room.right + 1
              && box.top >= room.top && box.bottom <= room.bottom + 1;
          }) && document.documentElement.scrollHeight <= innerHeight;
        })()"""
        page.wait_for(inside)


def test_it_fits_a_phone(browser, street_url, artefacts):
    page = browser.open(street_url, 390, 844, phone=True)
    page.wait_for(f"{LARGE}?.dataset.live === 'true'")
    page.wait_for("document.querySelectorAll('#cards img').length >= 4")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate(f"{LARGE}.clientWidth > 340")
    page.wait_for(f"{LARGE}.width >= 2 * {LARGE}.clientWidth")
    page.screenshot(artefacts / "live-page-phone.png")
    assert page.problems == []
    page.close()


def test_nothing_is_asked_of_any_other_place(browser, street_url):
    page = browser.open(street_url)
    page.wait_for("document.querySelectorAll('#cards img').length >= 4")
    page.wait_for(f"Number({LARGE}.dataset.sequence) > 10")
    here = urlsplit(street_url).netloc
    others = [url for url in page.requests if urlsplit(url).netloc != here and not url.startswith("blob:")]
    assert others == [] and len(page.requests) > 10
    assert page.problems == []
    page.close()


def shown(page, producer):
    """Send frames until the page shows one of them; a single one may be past when a busy browser is ready."""
    before = producer.sequence

    def newer():
        producer.frame(), producer.status()
        return page.evaluate(f"Number({LARGE}?.dataset.sequence ?? 0) > {before}")

    until(newer, "a frame on the page")


def test_changes_are_spoken(browser, directory, produce):
    with running_stage(settings("gate"), directory) as stage:
        gate = produce("gate")
        page = browser.open(stage.url)
        shown(page, gate)
        page.wait_for("document.querySelector('.tile').dataset.state === 'running'")
        gate.status(CameraState.LOST, "The server does not answer.")
        bad_news = "Camera gate: lost. The server does not answer."
        page.wait_for(f"document.querySelector('#announcer[aria-live]').innerText === '{bad_news}'")
        good_news = "document.querySelector('#announcer').innerText === 'Camera gate is live again.'"
        until(lambda: (gate.frame(), gate.status(), page.evaluate(good_news))[-1], "the good news")
        page.close()


def test_names_are_shown_as_text_whatever_is_in_them(browser, directory, produce):
    name = "<img src=x onerror=alert(1)>"
    with running_stage(settings("gate"), directory) as stage:
        gate = produce("gate")
        gate.card(1, crop(9), crop(9))
        gate.frame(
            [
                face(
                    1,
                    (9, 9, 90, 90),
                    "person",
                    name,
                    0.9,
                    MaskState.WORN,
                    (Candidate(name, 0.9, {name: 0.1}),),
                )
            ]
        )
        page = browser.open(stage.url)
        assert name in page.wait_for("document.querySelector('#cards .candidates .person')?.innerText")
        assert page.evaluate("document.querySelectorAll('img[src=x]').length") == 0
        assert page.problems == []
        page.close()


def test_a_card_says_from_how_many_looks_it_is_or_why_there_is_no_reconstruction(
    browser, directory, produce, artefacts
):
    with running_stage(settings("gate"), directory) as stage:
        gate = produce("gate")
        gate.card(1, crop(70), crop(90), looks=5)
        gate.refused_card(2, crop(40), "eyes are covered")
        turned = msgspec.structs.replace(
            face(1, (300, 100, 400, 220), mask=MaskState.WORN), no_reconstruction="turned away"
        )
        gate.frame([turned, face(2, (500, 100, 600, 220), mask=MaskState.WORN)])
        page = browser.open(stage.url)
        page.wait_for("document.querySelectorAll('#cards li.card').length === 2")
        page.wait_for("document.querySelector('[data-key=\"gate/1\"]').innerText.includes('turned away')")
        several, refused = (
            f"""document.querySelector('#cards [data-key="gate/{track}"]')""" for track in (1, 2)
        )
        assert page.evaluate(f"{several}.querySelector('.looks').innerText") == "from 5 looks"
        assert "No newer reconstruction: turned away." in page.evaluate(f"{several}.innerText")
        page.wait_for(f"{refused}.querySelector('.original img').naturalWidth === 128")
        said = page.evaluate(f"{refused}.innerText")
        assert "No reconstruction: eyes are covered." in said and "AI reconstruction" not in said
        visible = "[...{}.querySelectorAll('img')].filter(image => image.checkVisibility()).length"
        assert page.evaluate(visible.format(several)) == 2
        assert page.evaluate(visible.format(refused)) == 1
        page.screenshot(artefacts / "live-refused.png")
        gate.card(2, crop(40), crop(60))
        page.wait_for(f"{visible.format(refused)} === 2")
        page.wait_for(f"!{refused}.innerText.includes('No reconstruction')")
        assert page.evaluate(f"{refused}.querySelector('.looks').innerText") == "from one look"
        assert page.problems == []
        page.close()


def test_a_card_without_a_decision_says_why_a_likely_name_is_none(browser, directory, produce):
    with running_stage(settings("gate"), directory) as stage:
        gate = produce("gate")
        unlikely = tuple(msgspec.structs.replace(each, probability=0.03) for each in CANDIDATES)
        page = browser.open(stage.url)
        for track, candidates in ((1, CANDIDATES), (2, unlikely)):
            gate.card(track, crop(70), crop(90))
            gate.frame([face(track, (300, 100, 400, 220), mask=MaskState.WORN, candidates=candidates)])
            gate.status()
            card = f"""document.querySelector('#cards [data-key="gate/{track}"]')"""
            page.wait_for(f"{card}?.querySelectorAll('.candidates li').length === 2")
            assert "No decision" in page.evaluate(f"{card}.innerText")
            why = page.evaluate(
                f"{card}.innerText.includes('Not enough for a name: several looks must agree')"
            )
            assert why is (track == 1)
        page.wait_for("document.querySelector('.tile .faces').textContent.startsWith('1 face. ')")
        assert page.problems == []
        page.close()


def test_the_page_finds_an_overlay_that_was_started_again(browser, directory, produce):
    with running_stage(settings("gate"), directory) as stage:
        gate = produce("gate")
        page = browser.open(stage.url)
        shown(page, gate)
    page.wait_for("!document.querySelector('#offline').hidden")
    with running_stage(settings("gate"), directory) as again:
        assert again.url == stage.url
        page.wait_for("document.querySelector('#offline').hidden")
        shown(page, gate)
    page.close()


def test_a_hidden_page_asks_for_no_pictures(browser, street_url):
    page = browser.open(street_url)
    page.wait_for(f"{LARGE}?.dataset.live === 'true'")
    page.evaluate("""(Object.defineProperty(document, 'hidden', {value: true, configurable: true}),
      document.dispatchEvent(new Event('visibilitychange')))""")
    sequence = f"Number({LARGE}.dataset.sequence)"
    seen = []

    def still():
        seen.append(page.evaluate(sequence))
        return len(seen) > 25 and len(set(seen[-25:])) == 1

    until(still, "pictures to stop")
    page.evaluate("""(Object.defineProperty(document, 'hidden', {value: false, configurable: true}),
      document.dispatchEvent(new Event('visibilitychange')))""")
    page.wait_for(f"{sequence} > {seen[-1]}")
    page.close()


def test_the_colours_can_be_told_from_the_ground(page):
    """WCAG 2.2, success criterion 1.4.3: a contrast of 4.5 for text."""
    pairs = json.loads(
        page.evaluate("""JSON.stringify([...document.querySelectorAll(
          `#summary, .legend li, .name, .word, .caution, .remark, .where, figcaption, .evidence, .sums, .counts,
          #engines, #notes, a`
        )].filter(element => element.innerText).map(element => {
          let ground = element;
          const opaque = at => !/, 0\\)$|transparent/.test(getComputedStyle(at).backgroundColor);
          while (ground.parentElement && !opaque(ground)) ground = ground.parentElement;
          const [ink, behind] = [getComputedStyle(element).color, getComputedStyle(ground).backgroundColor];
          return [element.className || element.id, ink, behind];
        }))""")
    )
    assert len(pairs) > 15
    for name, ink, ground in pairs:
        light, dark = sorted((luminance(ink), luminance(ground)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (name, ink, ground)


def luminance(css):
    channels = [float(value) / 255 for value in css[css.index("(") + 1 : -1].split(",")[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
