"""Cameras that are added and removed while the overlay and the pages run."""

import json
import time

import httpx
import pytest
from producer import face, running_stage, settings
from websockets.sync.client import connect

from stream.config import parse
from stream.display.stage import REMOVED
from tools.browser import until
from tools.demo.clip import cached_clip
from tools.rtsp.server import RtspServer

GATE = """document.querySelector('[data-camera="gate"] canvas')"""


@pytest.fixture
def stage(directory):
    with running_stage(settings("gate"), directory) as made:
        yield made


@pytest.fixture
def client(stage):
    with httpx.Client(base_url=stage.url, headers={"x-unvizard": "page"}, timeout=30) as made:
        yield made


def frames(client, camera):
    return client.get("/api/report").json()["cameras"][camera]["frames"]


def live(client):
    return [camera["name"] for camera in client.get("/api/state").json().get("cameras", [])]


def add(client, name, url="rtsp://127.0.0.1:1/x"):
    answer = client.post("/api/cameras", json={"name": name, "url": url})
    assert answer.status_code == 201, answer.text
    until(lambda: name in live(client), "the camera")


def remove(client, name):
    assert client.delete(f"/api/cameras/{name}").status_code == 200
    until(lambda: name not in live(client), "it to be gone")


def cameras(*names):
    return parse({"cameras": [{"name": name, "url": f"rtsp://127.0.0.1/{name}"} for name in names]}, "test")


def test_a_camera_that_is_added_is_shown_to_those_who_look_already(stage, client, produce):
    gate, yard = produce("gate"), produce("yard")
    gate.frame()
    with connect(stage.url.replace("http", "ws") + "ws", max_size=None) as viewer:
        viewer.send(json.dumps({"want": {"gate": 320}, "density": 1}))
        add(client, "yard")
        viewer.send(json.dumps({"want": {"gate": 320, "yard": 320}, "density": 1}))
        yard.frame([face(1, (10, 10, 60, 80))])
        until(lambda: frames(client, "yard")["shown"] == 1, "its first frame")
        seen = set()
        while "yard" not in seen:
            message = viewer.recv(timeout=20)
            if isinstance(message, bytes):
                header = json.loads(message[4 : 4 + int.from_bytes(message[:4], "big")])
                viewer.send(json.dumps({"ack": header["camera"]}))
                if header["live"]:
                    seen.add(header["camera"])


def test_frames_of_a_removed_camera_are_booked_as_such_and_the_others_lose_none(stage, client, produce):
    gate, yard = produce("gate"), produce("yard")
    add(client, "yard")
    for _ in range(5):
        for producer in (gate, yard):
            producer.frame()
            until(lambda: frames(client, producer.camera)["shown"] == producer.sequence, "the frame")  # noqa: B023
    remove(client, "yard")
    for _ in range(2):
        yard.frame()
        until(
            lambda: frames(client, "yard")["captured"] == yard.sequence, "a frame of the one that was removed"
        )
    for _ in range(5):
        gate.frame()
        until(lambda: frames(client, "gate")["shown"] == gate.sequence, "the frame")
    assert frames(client, "yard") == {"captured": 7, "processed": 7, "shown": 5, "skipped": {REMOVED: 2}}
    assert frames(client, "gate") == {"captured": 10, "processed": 10, "shown": 10, "skipped": {}}
    assert client.get("/api/report").json()["cameras"]["yard"]["state"] == "removed"
    assert client.get("/api/cameras/yard/snapshot.jpg").status_code == 404
    add(client, "yard")
    yard.frame()
    until(lambda: frames(client, "yard")["shown"] == 6, "it to be shown again")
    assert frames(client, "yard") == {"captured": 8, "processed": 8, "shown": 6, "skipped": {REMOVED: 2}}


def test_a_plain_stream_of_a_camera_that_is_removed_ends(stage, client):
    add(client, "yard")
    with client.stream("GET", "/api/cameras/yard/stream.mjpg?width=320") as answer:
        parts = answer.iter_bytes()
        assert next(parts)
        assert client.delete("/api/cameras/yard").status_code == 200
        began = time.monotonic()
        for _ in parts:
            assert time.monotonic() - began < 30, "it goes on although the camera has gone"
    assert client.get("/api/cameras/yard/stream.mjpg").status_code == 404


def test_an_overlay_that_was_started_again_still_has_the_books_of_a_camera_that_was_removed(
    directory, produce, start_overlay
):
    overlay, yard = start_overlay("newest"), produce("yard")
    overlay.follow(cameras("gate", "yard"))
    yard.frame()
    until(lambda: overlay.turn(20) and overlay.report.ledger.account("yard").shown == 1, "the frame")
    overlay.follow(cameras("gate"))
    overlay.report.save_statistics()
    again = start_overlay("newest")
    told = again.report.build({}, final=True)["cameras"]
    assert told["yard"]["frames"]["shown"] == 1 and told["yard"]["state"] == "removed"


def test_a_camera_is_looked_at_added_and_removed_on_the_page_by_keyboard(browser, stage, produce, artefacts):
    gate = produce("gate", 1280, 720)
    gate.frame(), gate.status()
    with RtspServer() as camera:
        camera.add_file("/yard", cached_clip())
        page = browser.open(stage.url)
        page.wait_for(f"{GATE}?.dataset.live !== undefined")
        page.wait_for("!document.querySelector('#open-cameras').hidden")
        page.evaluate("document.querySelector('#open-cameras').focus()")
        page.press("Enter")
        page.wait_for("document.querySelectorAll('#camera-list li').length === 1")
        page.evaluate("document.querySelector('#new-camera').focus()")
        page.press("Enter")
        assert page.evaluate("document.activeElement.name") == "name"
        page.send("Input.insertText", text="yard")
        page.press("Tab")
        page.send("Input.insertText", text=camera.url("/yard"))
        page.evaluate("document.querySelector('#probe-camera').focus()")
        page.press("Enter")
        said = page.wait_for(
            "!/Looking/.test(document.querySelector('#camera-found').innerText)"
            " && document.querySelector('#camera-found').innerText"
        )
        assert said.startswith("reachable, H.264 1280×720 25 fps, first key frame after ")
        page.screenshot(artefacts / "live-page-cameras.png")
        page.evaluate("document.querySelector('#save-camera').focus()")
        page.press("Enter")
        page.wait_for("document.querySelectorAll('#camera-list li').length === 2")
        page.wait_for("document.querySelectorAll('.tile').length === 2")
    for question in ("Remove", "Really remove?"):
        button = "document.querySelector('#camera-list li:nth-child(2) .danger')"
        assert page.evaluate(f"{button}.innerText") == question
        page.evaluate(f"{button}.focus()")
        page.press("Enter")
    page.wait_for("document.querySelectorAll('#camera-list li').length === 1")
    page.press("Escape")
    page.wait_for("document.querySelectorAll('.tile').length === 1")
    gate.frame(), gate.status()
    page.wait_for(f"{GATE}.dataset.sequence === '{gate.sequence}'")
    assert page.problems == []
    page.close()
