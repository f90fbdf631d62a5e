"""The live page's way through the pages' process: who gets what, and what becomes of it while the overlay is away."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing

import numpy as np
import pytest
from producer import Producer, face
from starlette.websockets import WebSocketDisconnect
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from engines.masks.state import MaskState
from tools.browser import until


class OverlayProcess:
    """The overlay as the supervisor starts it."""

    def __init__(self, office):
        job = {
            "kind": "overlay",
            "name": "overlay",
            "directory": str(office.directory),
            "settings": office.settings.model_dump(mode="json"),
            "delivery": "newest",
            "report": None,
            "output": None,
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "stream.stage"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        self.process.stdin.write(json.dumps(job).encode() + b"\n")
        self.process.stdin.flush()

    def kill(self):
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process.stdin.close()


@pytest.fixture
def overlay(office):
    with closing(_Overlays(office)) as made:
        yield made


class _Overlays:
    def __init__(self, office):
        self._office, self._processes = office, [OverlayProcess(office)]

    def kill(self):
        self._processes[-1].kill()

    def start(self):
        self._processes.append(OverlayProcess(self._office))

    def close(self):
        for process in self._processes:
            process.kill()


@pytest.fixture
def producers(office, overlay):
    with (
        closing(Producer(office.directory, "gate")) as gate,
        closing(Producer(office.directory, "yard")) as yard,
    ):
        yield gate, yard


def answered(client, path):
    """The answer, once the overlay gives one."""
    return until(lambda: (a := client.get(path)).status_code == 200 and a, path, 60)


def seen(client, gate, yard):
    """Send a frame and a card of both cameras, and wait until the overlay has shown them."""
    grey = np.full((128, 128, 3), 30, np.uint8)
    for producer in (gate, yard):
        producer.card(1, grey, grey)
        producer.frame([face(1, (10, 10, 90, 120), mask=MaskState.WORN)])
        producer.status()
    gate.engines(("gate: the disk is too slow",))

    def both():
        cameras = client.get("/api/report").json().get("cameras", {})
        return len(cameras) == 2 and all(camera["frames"]["shown"] for camera in cameras.values())

    until(both, "both frames", 60)


def test_an_account_gets_nothing_of_cameras_that_it_may_not_see(client, producers):
    everything, limited = client("administrator"), client("viewer", cameras=("yard",))
    seen(everything, *producers)
    until(lambda: len(answered(everything, "/api/state").json().get("cards", [])) == 2, "the cards")
    assert "gate" in everything.get("/api/report").text
    for path in ("/api/state", "/api/report", "/"):
        text = answered(limited, path).text
        assert "gate" not in text and "yard" in text, path
    for camera, status in (("gate", 403), ("yard", 200)):
        assert limited.get(f"/api/cameras/{camera}/snapshot.jpg").status_code == status
        assert limited.get(f"/api/cards/{camera}/1/original.png").status_code == status
        assert limited.get(f"/api/cards/{camera}/1/reconstruction.png").status_code == status
    assert limited.get("/api/cameras/gate/stream.mjpg").status_code == 403
    assert limited.get("/api/cards/yard/1/other.png").status_code == 422


def test_a_viewer_s_socket_brings_the_cameras_that_it_may_see_and_no_other(client, producers):
    everything, limited = client("administrator"), client("viewer", cameras=("yard",))
    seen(everything, *producers)
    with limited.websocket_connect("ws://127.0.0.1/ws") as socket:
        socket.send_text(json.dumps({"want": {"gate": 320, "yard": 320}, "density": 1}))
        pictures, states = set(), []
        while len(states) < 3 or "yard" not in pictures:
            message = socket.receive()
            if text := message.get("text"):
                states.append(text)
            elif data := message.get("bytes"):
                header = json.loads(data[4 : 4 + int.from_bytes(data[:4], "big")])
                pictures.add(header["camera"])
                socket.send_text(json.dumps({"ack": header["camera"]}))
    assert pictures == {"yard"}
    assert not any("gate" in state for state in states)


def test_who_has_not_signed_in_gets_no_picture(anonymous):
    for path in ("/api/state", "/api/report", "/api/cameras/gate/snapshot.jpg", "/api/cameras"):
        assert anonymous.get(path).status_code == 401
    with pytest.raises(WebSocketDisconnect), anonymous.websocket_connect("ws://127.0.0.1/ws"):
        pass


def test_the_overlay_s_socket_is_for_this_user_only(client, office, overlay):
    answered(client("viewer"), "/api/state")
    assert (office.directory / "overlay.http").stat().st_mode & 0o777 == 0o600


def test_while_the_overlay_is_started_again_requests_wait_and_sockets_are_told(
    client, overlay, producers, server
):
    administrator = client("administrator")
    seen(administrator, *producers)
    name, value = next(iter(administrator.cookies.items()))
    cookie = {"Cookie": f"{name}={value}"}
    with connect(server.url.replace("http", "ws") + "ws", additional_headers=cookie, max_size=None) as viewer:
        assert viewer.recv(timeout=30)
        overlay.kill()
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                viewer.recv(timeout=30)
    assert closed.value.rcvd.code == 1012 and "started again" in closed.value.rcvd.reason
    later = threading.Timer(0.5, overlay.start)
    later.start()
    answered(administrator, "/api/state")
    later.join()
    with connect(server.url.replace("http", "ws") + "ws", additional_headers=cookie, max_size=None) as viewer:
        viewer.send(json.dumps({"want": {"gate": 320}, "density": 1}))
        producers[0].frame()
        until(lambda: isinstance(viewer.recv(timeout=30), bytes), "a picture")


def test_without_an_overlay_the_pages_say_so_soon(client):
    began = time.monotonic()
    answer = client("viewer").get("/api/state")
    assert answer.status_code == 503 and "started again" in answer.json()["detail"]
    assert time.monotonic() - began > 1, "it waited for it a while"
    assert client("viewer").get("/").status_code == 200


def test_the_live_page_has_no_serious_findings_dark_or_light(browser, server, overlay, producers, client):
    from offices import serious_findings

    seen(client("administrator"), *producers)
    page = server.open(browser, "/")
    page.wait_for("document.querySelectorAll('#cards img').length >= 4")
    page.wait_for("!document.querySelector('#latency .lane .sums').innerText.includes('no picture')")
    for theme in ("dark", "light"):
        page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
        assert serious_findings(page) == [], theme
    page.close()


def test_without_scripts_there_are_streams_and_nothing_that_would_need_a_script(
    browser, server, overlay, producers, client
):
    seen(client("administrator"), *producers)
    page = server.open(browser, "/sign-in")
    page.send("Emulation.setScriptExecutionDisabled", value=True)
    page.send("Page.navigate", url=server.url)
    streams = "[...document.querySelectorAll('.plain img')]"
    page.wait_for(f"{streams}.length === 2 && {streams}.every(each => each.naturalWidth === 640)")
    said = page.evaluate("document.body.innerText")
    assert (
        "Without scripts there are plain streams only" in said and "yard" in said and "named, masked" in said
    )
    for untrue in ("Connecting", "No masked face", "From camera to picture", "◐"):
        assert untrue not in said
    page.close()


def test_a_page_whose_session_has_ended_goes_to_where_one_signs_in(browser, server, overlay):
    page = server.open(browser, "/", "viewer")
    page.wait_for("document.querySelectorAll('.tile').length === 2")
    page.evaluate(
        "fetch('/api/sign-out', {method: 'POST', headers: {'x-unvizard': 'page'}}).then(() => true)"
    )
    page.wait_for("location.pathname === '/sign-in'")
    page.close()
