import json
import os
import signal
import subprocess
import sys
import threading
import time

import av
import cv2
import httpx
import numpy as np
import pytest
from msgspec.structs import replace
from producer import face, running_stage, settings

from engines.masks.state import MaskState
from stream.display.server import OVERLAY_SOCKET
from stream.display.views import SILENT, CameraView
from stream.fault import Fault
from stream.messages import CameraState, CameraStatus, FrameReady, FrameResult, StageStatus
from stream.overlay import NAMED, UNKNOWN
from stream.ring import FrameRing
from tools.browser import until

SECOND = 1_000_000_000


def get(url, path):
    """What a page's address, or an overlay's own socket, answers."""
    inside = None if url.startswith("http") else httpx.HTTPTransport(uds=url)
    with httpx.Client(transport=inside, base_url="http://overlay" if inside else url, timeout=10) as client:
        return client.get(path).raise_for_status().content


def answers(url):
    try:
        return get(url, "/api/state")
    except httpx.TransportError:
        return None


def state(stage, camera="gate"):
    cameras = json.loads(get(stage.url, "/api/state")).get("cameras", [])
    return next((one for one in cameras if one["name"] == camera), {"frames": {}, "live": False})


def snapshot(stage, camera="gate"):
    content = get(stage.url, f"/api/cameras/{camera}/snapshot.jpg")
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)


def balanced(frames):
    return frames["captured"] == frames["shown"] + sum(frames["skipped"].values())


def test_frames_are_shown_counted_and_reported(directory, tmp_path, produce):
    report = tmp_path / "report.json"
    ada = face(1, (100, 100, 200, 220), "person", "Ada", 0.97, MaskState.NONE)
    with running_stage(settings("gate", "yard"), directory, report=report) as stage:
        gate, yard = produce("gate"), produce("yard")
        gate.engines()
        for _ in range(20):
            gate.frame([ada], skipped={"superseded": 2})
            yard.frame()
            shown = gate.sequence
            until(lambda: stage.first_pictures, "the first picture")
        gate.status(captured=shown + 3)
        until(lambda: state(stage)["frames"].get("captured") == shown + 3, "the count of frames")
        stage.end()

    read = json.loads(report.read_text())
    frames = read["cameras"]["gate"]["frames"]
    assert balanced(frames) and balanced(read["cameras"]["yard"]["frames"])
    assert frames["captured"] == shown + 3
    assert frames["skipped"]["superseded"] == 40
    assert frames["skipped"]["in_flight_at_stop"] == 3
    assert frames["processed"] == 20
    assert read["cameras"]["gate"]["sightings"][0]["person"] == "Ada"
    assert read["engines"]["unmask"]["backend"] == "openvino"
    assert read["processes"]["overlay"]["rss_mb"]["end"] > 10
    assert stage.first_pictures == 1 and stage.beats > 2


def test_the_overlay_of_a_frame_is_drawn_on_that_frame(directory, produce):
    """A white square moves with its box; the ring turns over many times meanwhile."""
    with running_stage(settings("gate"), directory) as stage:
        gate = produce("gate", slots=4)
        for step in range(30):
            x = 20 + 15 * step
            picture = np.full((360, 640, 3), 60, np.uint8)
            picture[150:250, x : x + 80] = 255
            gate.frame([face(1, (x, 150, x + 80, 250), "nobody", None, 0.9)], picture)
            if step % 10 == 9:
                until(
                    lambda: state(stage)["frames"].get("shown", 0) and snapshot_follows(stage, gate),
                    "the frame",
                )


def snapshot_follows(stage, gate):
    """Whether the newest frame is up; then its box must sit on its square."""
    picture = snapshot(stage).astype(int)
    x = 20 + 15 * (gate.sequence - 1)
    if picture[200, x + 40].mean() < 240 or picture[200, x - 12 if x > 40 else x + 100].mean() > 90:
        return False
    for px, py in ((x, 200), (x + 80, 200), (x + 40, 250)):
        around = picture[py - 2 : py + 3, px - 2 : px + 3].reshape(-1, 3)
        assert np.abs(around - UNKNOWN).sum(1).min() < 90, f"no box at {px}, {py}"
    return True


def test_a_frame_that_was_overwritten_is_not_drawn_and_is_counted(directory, produce, start_overlay):
    gate = produce("gate", slots=4)
    overlay = start_overlay("every")
    old = gate.frame(send=False)
    for _ in range(4):
        newest = gate.frame(send=False)
    assert gate.outbox.send(old) and gate.outbox.send(newest)
    until(lambda: overlay.turn(20) and overlay.report.ledger.account("gate").settled == 5, "both results")
    frames = overlay.report.ledger.account("gate").frames(final=True)
    assert frames["skipped"] == {"overwritten_before_overlay": 1, "stage_down": 3}
    assert frames["shown"] == 1


def test_a_slow_overlay_draws_the_newest_frame_and_counts_the_others(directory, produce, start_overlay):
    gate = produce("gate")
    overlay = start_overlay("newest")
    for _ in range(9):
        gate.frame()
    until(lambda: overlay.turn(50) and overlay.report.ledger.account("gate").settled == 9, "the results")
    frames = overlay.report.ledger.account("gate").frames(final=True)
    assert frames["shown"] + frames["skipped"]["superseded_before_overlay"] == 9
    assert overlay.board.cameras["gate"].view.result.frame.sequence == 9


def test_in_replay_every_frame_is_shown_written_and_consumed(directory, tmp_path, produce):
    output = tmp_path / "annotated.mp4"
    report = tmp_path / "report.json"
    with running_stage(settings("gate"), directory, "every", report, output) as stage:
        gate = produce("gate", slots=4)
        ring = FrameRing.open(gate.ring.path)
        for _ in range(40):
            until(lambda: gate.sequence - ring.consumed < 3, "the overlay to be done")
            gate.frame([face(1, (100, 100, 200, 220), "person", "Ada", 0.97)])
        gate.status(CameraState.ENDED)
        stage.end()
        assert ring.consumed == 40
    frames = json.loads(report.read_text())["cameras"]["gate"]["frames"]
    assert frames == {"captured": 40, "processed": 40, "shown": 40, "skipped": {}}
    with av.open(str(output)) as container:
        decoded = list(container.decode(video=0))
    assert [round(frame.pts * frame.time_base * 1000) for frame in decoded] == [40 * n for n in range(1, 41)]
    pixels = decoded[20].to_ndarray(format="bgr24").astype(int)
    assert np.abs(pixels[105:215, 100] - NAMED).sum(1).min() < 100


def test_in_replay_capture_is_set_free_when_inference_died_with_frames_in_hand(
    directory, produce, start_overlay
):
    overlay = start_overlay("every")
    gate = produce("gate")
    gate.frame()
    until(lambda: overlay.turn(20) and gate.ring.consumed == 1, "the first frame")
    for _ in range(5):
        gate.frame(send=False)
    gate.status()
    gate.outbox.send(StageStatus("inference", 1, "inference ended unexpectedly"))
    until(lambda: overlay.turn(20) and overlay.report.restarts, "the restart")
    gate.status()
    until(lambda: overlay.turn(20) and gate.ring.consumed == 6, "capture to be set free")
    gate.frame()
    until(lambda: overlay.turn(20) and gate.ring.consumed == 7, "the next frame")
    assert overlay.report.ledger.account("gate").skipped == {"stage_down": 5}


def test_in_replay_capture_is_set_free_when_the_overlay_died_with_frames_in_hand(
    directory, produce, start_overlay
):
    overlay = start_overlay("every")
    gate = produce("gate")
    gate.frame()
    until(lambda: overlay.turn(20) and gate.ring.consumed == 1, "the first frame")
    for _ in range(5):
        gate.frame(send=False)  # went down with it
    again = start_overlay("every")
    gate.status()
    until(lambda: again.turn(20) and gate.ring.consumed == 6, "capture to be set free")


def test_a_camera_that_nobody_set_up_is_ignored(directory, produce, start_overlay):
    overlay = start_overlay("newest")
    stranger = produce("stranger")
    stranger.frame(), stranger.status()
    until(lambda: overlay.turn(50), "its messages")
    overlay.turn(50)
    assert set(overlay.report.build({}, final=True)["cameras"]) == {"gate"}


def test_a_port_that_is_taken_is_named(directory):
    with running_stage(settings("gate"), directory) as stage:
        port = int(stage.url.rstrip("/").rsplit(":", 1)[1])
        taken = settings("gate").model_copy(
            update={"display": settings("gate").display.model_copy(update={"port": port})}
        )
        other = directory / "other"
        other.mkdir()
        with (
            pytest.raises(
                Fault, match=rf"display.port: must be free, or 0 for any, found {port} at 127.0.0.1"
            ),
            running_stage(taken, other),
        ):
            pass


def test_the_view_tells_why_there_is_no_picture():
    view = CameraView("gate", 0, 0)
    producer_frame = FrameReady("gate", 1, "r", 0, 2, 64, 48, 0, 0, 5 * SECOND, 5 * SECOND)
    i420 = np.full((72, 64), 128, np.uint8)

    def look(now_s):
        view.look(int(now_s * SECOND), int(now_s * SECOND))
        return view.view.absence and view.view.absence.state

    def status(now_s, which, since_s):
        view.status(CameraStatus("gate", which, int(since_s * SECOND), "why", 1, "x"), int(now_s * SECOND))

    def frame(captured_s, now_s):
        ready = replace(producer_frame, captured_ns=int(captured_s * SECOND))
        view.frame(i420, FrameResult(ready, (), {}, {}), int(now_s * SECOND), int(now_s * SECOND))

    assert look(0.1) == "connecting"
    status(1, CameraState.RUNNING, 1)
    assert look(1.1) == "running"
    frame(1.2, 1.3)
    assert look(1.4) is None
    assert look(2.9) is None
    status(3, CameraState.RUNNING, 1)
    assert look(3.5) == SILENT, "frames have stopped coming back"
    frame(4, 4.1)
    assert look(4.2) is None
    status(5, CameraState.LOST, 5)
    frame(4.9, 5.05)
    assert look(5.1) == "lost", "what still comes was captured before"
    version = view.view.version
    assert look(5.5) == "lost" and view.view.version == version
    assert look(6.2) == "lost" and view.view.version == version + 1, "the words are renewed once a second"
    frame(6.5, 6.6)
    assert look(6.7) is None, "a camera that returns is shown before it says so"
    status(7, CameraState.RUNNING, 6.4)
    frame(7, 7)
    assert look(7.1) is None
    assert look(11) == "lost", "its process has not spoken for too long"
    status(12, CameraState.ENDED, 12)
    assert look(12.1) == "ended" and look(60) == "ended"


JOB = {"kind": "overlay", "name": "overlay", "delivery": "newest", "output": None}


class Process:
    """The stage as the supervisor starts it."""

    def __init__(self, directory, wanted, report):
        job = {
            **JOB,
            "directory": str(directory),
            "settings": wanted.model_dump(mode="json"),
            "report": str(report),
        }
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "stream.stage"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.process.stdin.write(json.dumps(job).encode() + b"\n")
        self.process.stdin.flush()
        self.events = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.url = str(directory / OVERLAY_SOCKET)
        until(lambda: answers(self.url), "the overlay's answer")
        self.ready_after_s = time.monotonic() - self.began

    def _read(self):
        for line in self.process.stdout:
            self.events.append(json.loads(line))

    def kill(self):
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process.stdin.close()
        self.reader.join()
        self.process.stdout.close()

    def stop(self):
        self.process.stdin.write(b"stop\n")
        self.process.stdin.close()
        assert self.process.wait(15) == 0
        self.reader.join()
        self.process.stdout.close()


def test_an_overlay_that_is_killed_comes_back_and_the_sum_still_holds(directory, tmp_path, produce):
    report = tmp_path / "report.json"
    wanted = settings("gate")
    first = Process(directory, wanted, report)
    gate = produce("gate")
    over = threading.Event()

    def produce():
        while not over.wait(0.02):
            gate.frame([face(1, (10, 10, 60, 80), "person", "Ada", 0.9)])
            if gate.sequence % 25 == 0:
                gate.status()

    producing = threading.Thread(target=produce)
    producing.start()
    try:
        until(lambda: state(first)["frames"].get("shown", 0) > 10, "ten frames")
        first.kill()
        second = Process(directory, wanted, report)
        shown = state(second)["frames"].get("shown", 0)
        until(lambda: state(second)["frames"].get("shown", 0) > shown + 10, "ten more frames")
        until(lambda: any(event["event"] == "first_picture" for event in second.events), "word of a picture")
    finally:
        over.set()
        producing.join()
    gate.status()
    until(lambda: state(second)["frames"]["captured"] == gate.sequence, "the last count")
    second.stop()
    read = json.loads(report.read_text())
    frames = read["cameras"]["gate"]["frames"]
    assert balanced(frames)
    assert frames["captured"] == gate.sequence
    assert frames["shown"] > 20
    assert "The overlay was started again during this run." in read["notes"]
    assert len(read["cameras"]["gate"]["sightings"]) == 1
    print(f"ready after {first.ready_after_s:.2f} s and {second.ready_after_s:.2f} s")


def test_the_stage_starts_without_heavy_libraries():
    heavy = ("torch", "openvino", "onnxruntime", "av", "matplotlib")
    script = f"import sys, stream.display.stage; print(*[m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
