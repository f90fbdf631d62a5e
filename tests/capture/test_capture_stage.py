"""The capture process as the other stages see it: frames, states, and what happens when things break."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from capture_helpers import encode, fingerprint, fingerprints, until

from stream.bus import FRAMES, RESULTS, Inbox
from stream.capture import stage
from stream.config import Settings
from stream.messages import CameraState, CameraStatus, FrameReady
from stream.ring import Place, RingReader
from tools.rtsp_server import RtspServer

ALL = math.inf


class Watcher:
    """Plays inference and overlay: takes frames and states, and looks at every picture while it is there."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._frame_box, self._state_box = Inbox(directory, FRAMES), Inbox(directory, RESULTS)
        self.rings = RingReader(directory)
        self.frames: list[FrameReady] = []
        self.pictures: list[str | None] = []  # fingerprints; None for those that were overwritten
        self.states: list[CameraStatus] = []

    def look(self, consume: float = 0) -> int:
        """Take what waits; how many frames there were. consume: the last number that is reported as consumed."""
        count = 0
        for frame in self._frame_box.drain(2):
            assert isinstance(frame, FrameReady)
            ring = self.rings.ring(frame.camera, frame.ring)
            picture = ring.read(Place(frame.slot, frame.generation)) if ring else None
            self.frames.append(frame)
            self.pictures.append(None if picture is None else fingerprint(picture))
            count += 1
            if ring and frame.sequence <= consume:
                ring.consumed = frame.sequence
        self.states += [state for state in self._state_box.drain(0) if isinstance(state, CameraStatus)]
        return count

    def await_that(self, condition: Callable[[], object], seconds: float = 10.0, consume: float = 0) -> None:
        """Look until a condition is met."""

        def met() -> object:
            self.look(consume)
            return condition()

        until(met, seconds)

    def await_frames(self, count: int, seconds: float = 10.0, consume: float = 0) -> None:
        wanted = len(self.frames) + count
        self.await_that(lambda: len(self.frames) >= wanted, seconds, consume)

    def await_state(self, state: CameraState, seconds: float = 10.0, consume: float = 0) -> CameraStatus:
        """Wait until the newest state is this one."""
        self.await_that(lambda: self.states and self.states[-1].state is state, seconds, consume)
        return self.states[-1]

    def close(self) -> None:
        self.rings.close()
        self._frame_box.close()
        self._state_box.close()


@pytest.fixture
def watcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watcher]:
    watching = Watcher(tmp_path_factory.mktemp("run"))
    yield watching
    watching.close()


def settings_for(url: str, **camera: object) -> Settings:
    return Settings.model_validate(
        {"cameras": [{"name": "gate", "url": url, **camera}], "ring": {"slots": 8}}
    )


@pytest.fixture
def capture(watcher: Watcher) -> Iterator[Callable[..., threading.Thread]]:
    """Runs the stage in a thread of this process."""
    stop, threads = threading.Event(), []

    def start(
        url: str, delivery: str = "newest", real_time: bool = True, **camera: object
    ) -> threading.Thread:
        arguments = (settings_for(url, **camera), 0, watcher.directory, delivery, real_time, stop)
        threads.append(threading.Thread(target=stage.run, args=arguments))
        threads[-1].start()
        return threads[-1]

    yield start
    stop.set()
    for thread in threads:
        thread.join(5)
        assert not thread.is_alive(), "the capture stage did not stop"
    assert list(watcher.directory.glob("*.ring")) == []


class Process:
    """The stage as the supervisor runs it."""

    def __init__(self, watcher: Watcher, url: str, delivery: str = "newest", real_time: bool = True) -> None:
        job = {
            "kind": "capture",
            "name": "capture-gate",
            "camera": 0,
            "directory": str(watcher.directory),
            "settings": settings_for(url).model_dump(mode="json"),
            "delivery": delivery,
            "real_time": real_time,
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "stream.stage"],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=Path(stage.__file__).parents[2],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(job).encode() + b"\n")
        self.process.stdin.flush()

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def kill(self) -> None:
        """As the kernel does it when memory is short."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> str:
        """Tell it to stop; what it has logged."""
        _, errors = self.process.communicate(b"stop\n", timeout=10)
        assert self.process.returncode == 0
        return errors.decode()


def test_frames_are_announced_with_their_pictures_in_the_ring(
    server: RtspServer, clips: dict[str, Path], watcher: Watcher, capture: Callable[..., threading.Thread]
) -> None:
    server.add_file("/street", clips["h264"])
    capture(server.url("/street"))
    watcher.await_frames(30)
    known = fingerprints(clips["h264"])
    assert all(picture in known for picture in watcher.pictures)
    assert [frame.sequence for frame in watcher.frames] == list(range(1, len(watcher.frames) + 1))
    for frame in watcher.frames:
        assert (frame.camera, frame.width, frame.height) == ("gate", 320, 240)
        assert 0 <= frame.captured_ns - frame.received_ns < 1_000_000_000
        assert abs(frame.wall_ns - time.time_ns()) < 5_000_000_000
    watcher.await_that(lambda: watcher.states[-1].fps > 20)
    state = watcher.states[-1]
    assert (state.state, state.detail, state.codec, state.reader) == (CameraState.RUNNING, "", "H.264", "rtp")
    assert (state.width, state.height, state.corrupt, state.reconnections) == (320, 240, 0, 0)
    assert state.source == server.url("/street")


def test_a_camera_that_returns_is_shown_within_two_seconds(
    server: RtspServer,
    clips: dict[str, Path],
    watcher: Watcher,
    capture: Callable[..., threading.Thread],
) -> None:
    server.add_file("/street", clips["h264"])
    capture(server.url("/street"))
    watcher.await_frames(5)
    gone_ns = time.time_ns()
    server.stop()
    lost = watcher.await_state(CameraState.LOST)
    assert abs(lost.since_wall_ns - gone_ns) < 1_000_000_000
    until(
        lambda: watcher.look() is not None and time.time_ns() - gone_ns > 2_500_000_000
    )  # the pauses are at their longest
    assert watcher.states[-1].since_wall_ns == lost.since_wall_ns
    assert watcher.states[-1].detail == (
        f"127.0.0.1:{server.port} refuses connections: is the camera on, and is the port right?"
    )
    server.start()
    watcher.await_frames(1, seconds=2.0)
    watcher.await_frames(5)
    state = watcher.await_state(CameraState.RUNNING)
    assert state.reconnections == 1 and state.since_wall_ns > lost.since_wall_ns
    assert [frame.sequence for frame in watcher.frames] == list(range(1, len(watcher.frames) + 1))
    steps = [b.media_ns - a.media_ns for a, b in pairwise(watcher.frames)]
    assert min(steps) > 0 and 2_500_000_000 < max(steps) < 6_000_000_000


def test_a_camera_that_falls_silent_is_lost_in_time_and_returns(
    server: RtspServer, clips: dict[str, Path], watcher: Watcher, capture: Callable[..., threading.Thread]
) -> None:
    server.add_file("/street", clips["h264"])
    capture(server.url("/street"), timeout_s=1.0)
    watcher.await_frames(5)
    server.faults("/street").stall()
    lost = watcher.await_state(CameraState.LOST, seconds=2.0)
    assert lost.detail == f"127.0.0.1:{server.port} has sent nothing for 1 s"
    server.faults("/street").resume()
    watcher.look()
    watcher.await_frames(1, seconds=2.0)


def test_another_size_gets_another_ring_and_the_old_one_is_deleted(
    server: RtspServer, clips: dict[str, Path], watcher: Watcher, capture: Callable[..., threading.Thread]
) -> None:
    server.add_file("/street", clips["h264"])
    capture(server.url("/street"))
    watcher.await_frames(5)
    server.faults("/street").switch(clips["small"])
    watcher.await_that(lambda: watcher.frames[-1].width == 192)
    watcher.await_frames(5)
    assert watcher.pictures[-1] in fingerprints(clips["small"])
    assert {(frame.ring, frame.width) for frame in watcher.frames} == {
        ("gate.1.ring", 320),
        ("gate.2.ring", 192),
    }
    assert [path.name for path in watcher.directory.glob("*.ring")] == ["gate.2.ring"]
    watcher.await_that(lambda: watcher.states[-1].width == 192)
    assert watcher.states[-1].reconnections == 0


def test_another_codec_is_followed_without_a_new_process(
    server: RtspServer, clips: dict[str, Path], watcher: Watcher, capture: Callable[..., threading.Thread]
) -> None:
    server.add_file("/street", clips["h264"])
    capture(server.url("/street"))
    watcher.await_frames(5)
    server.faults("/street").switch(clips["h265"])
    began = time.monotonic()
    known = fingerprints(clips["h265"])
    watcher.await_that(lambda: watcher.pictures[-1] in known)
    assert time.monotonic() - began < 2
    watcher.await_that(lambda: watcher.states[-1].codec == "H.265")
    assert [frame.sequence for frame in watcher.frames] == list(range(1, len(watcher.frames) + 1))


def test_a_wrong_password_is_refused_and_never_logged(clips: dict[str, Path], watcher: Watcher) -> None:
    with RtspServer(user="viewer", password="right", auth="digest") as server:
        server.add_file("/street", clips["h264"])
        with Process(watcher, f"rtsp://viewer:wrong-s3cret@127.0.0.1:{server.port}/street") as process:
            state = watcher.await_state(CameraState.REFUSED)
            logged = process.stop()
    sentence = f"127.0.0.1:{server.port} refuses user 'viewer': the user name or the password is wrong"
    assert state.detail == sentence
    assert state.source == f"rtsp://***@127.0.0.1:{server.port}/street"
    assert f"gate: refused: {sentence}" in logged
    assert "s3cret" not in logged


def test_numbers_go_on_after_the_process_was_killed(
    server: RtspServer, clips: dict[str, Path], watcher: Watcher
) -> None:
    server.add_file("/street", clips["h264"])
    for _ in range(2):
        with Process(watcher, server.url("/street")) as process:
            watcher.await_frames(8)
            process.kill()
            watcher.look()
    with Process(watcher, server.url("/street")) as process:
        watcher.await_frames(8)
        process.stop()
    numbers = [frame.sequence for frame in watcher.frames]
    steps = [b - a for a, b in pairwise(numbers)]
    # A frame may have got its number and not been announced when the process was killed: it counts as captured.
    assert numbers[0] == 1 and set(steps) <= {1, 2} and steps.count(2) <= 2
    times = [frame.media_ns for frame in watcher.frames]
    assert times == sorted(set(times))
    assert {frame.ring for frame in watcher.frames} == {"gate.1.ring", "gate.2.ring", "gate.3.ring"}
    assert list(watcher.directory.glob("*.ring")) == []


def test_every_frame_of_a_recording_waits_to_be_consumed(
    clips: dict[str, Path], watcher: Watcher, capture: Callable[..., threading.Thread]
) -> None:
    thread = capture(str(clips["h264"]), delivery="every", real_time=False)
    watcher.await_frames(4)  # half of the ring's eight slots
    end = time.monotonic() + 0.3
    while time.monotonic() < end:
        watcher.look()
    assert [frame.sequence for frame in watcher.frames] == [1, 2, 3, 4]
    ring = watcher.rings.ring("gate", "gate.1.ring")
    assert ring is not None
    ring.consumed = 4
    watcher.await_frames(46, consume=ALL)
    state = watcher.await_state(CameraState.ENDED)
    thread.join(2)
    assert not thread.is_alive()
    assert (state.captured, state.detail) == (50, "")
    assert [frame.sequence for frame in watcher.frames] == list(range(1, 51))
    assert None not in watcher.pictures and len(set(watcher.pictures)) == 50


def test_the_last_frames_stay_until_they_are_consumed(
    clips: dict[str, Path], watcher: Watcher, capture: Callable[..., threading.Thread]
) -> None:
    thread = capture(str(clips["small"]), delivery="every", real_time=False)
    watcher.await_frames(50, consume=46)
    watcher.await_state(CameraState.ENDED)
    assert thread.is_alive() and len(list(watcher.directory.glob("*.ring"))) == 1
    ring = watcher.rings.ring("gate", "gate.1.ring")
    assert ring is not None
    ring.consumed = 50
    thread.join(2)
    assert not thread.is_alive()


def test_a_recording_goes_on_where_a_killed_process_left_it(tmp_path: Path, watcher: Watcher) -> None:
    clip = encode(tmp_path / "long.mp4", size=(192, 128), count=200)
    with Process(watcher, str(clip), "every", real_time=False) as process:
        watcher.await_frames(60, consume=ALL)
        process.kill()
        watcher.look(consume=ALL)
    with Process(watcher, str(clip), "every", real_time=False) as process:
        watcher.await_that(lambda: watcher.frames[-1].sequence == 200, consume=ALL)
        watcher.await_state(CameraState.ENDED)
        assert process.process.wait(5) == 0
    numbers = [frame.sequence for frame in watcher.frames]
    assert numbers == sorted(set(numbers)) and len(numbers) >= 199
    assert all(round(frame.media_ns / 1e6) == 40 * (frame.sequence - 1) for frame in watcher.frames)
    assert list(watcher.directory.glob("*.ring")) == []


def test_live_a_recording_plays_at_its_own_pace_though_nobody_takes_the_frames(tmp_path: Path) -> None:
    clip = encode(
        tmp_path / "fast.mkv", size=(64, 64), count=1300, rate=500, times=[n * 2 for n in range(1300)]
    )
    results = Inbox(tmp_path, RESULTS)
    began = time.monotonic()
    stage.run(settings_for(str(clip)), 0, tmp_path, "newest", True, threading.Event())
    assert 1.25 < time.monotonic() - began < 8
    states = [state for state in results.drain(1000) if isinstance(state, CameraStatus)]
    results.close()
    assert (states[-1].state, states[-1].captured) == (CameraState.ENDED, 1300)


def test_in_replay_a_refused_recording_ends_the_stage_and_says_why(
    tmp_path: Path, watcher: Watcher, capture: Callable[..., threading.Thread]
) -> None:
    thread = capture(str(tmp_path / "none.mp4"), delivery="every")
    thread.join(5)
    assert not thread.is_alive()
    state = watcher.await_state(CameraState.REFUSED)
    assert state.detail == f"{tmp_path}/none.mp4: there is no such file"


def test_a_truncated_recording_ends_with_a_note(
    tmp_path: Path, watcher: Watcher, capture: Callable[..., threading.Thread]
) -> None:
    whole = encode(tmp_path / "whole.mkv", count=60)
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 3])
    capture(str(cut), delivery="every", real_time=False)
    state = watcher.await_state(CameraState.ENDED, consume=ALL)
    played = state.captured / 25
    assert state.detail == f"cut.mkv is cut short: it should last 2.4 s; played to {played:.1f} s"


@pytest.mark.parametrize(
    ("path", "state"),
    [
        ("/street", CameraState.RUNNING),
        ("/silent", CameraState.CONNECTING),
        ("/nowhere", CameraState.REFUSED),
        ("/down", CameraState.LOST),
    ],
)
def test_it_stops_at_once_in_every_state(
    path: str, state: CameraState, server: RtspServer, clips: dict[str, Path], watcher: Watcher
) -> None:
    for mount in ("/street", "/silent", "/down"):
        server.add_file(mount, clips["h264"])
    server.faults("/silent").silence()
    server.faults("/down").answer(503)
    stop = threading.Event()
    arguments = (settings_for(server.url(path)), 0, watcher.directory, "newest", True, stop)
    thread = threading.Thread(target=stage.run, args=arguments)
    thread.start()
    watcher.await_state(state)
    began = time.monotonic()
    stop.set()
    thread.join(5)
    assert time.monotonic() - began < 1.0
    assert list(watcher.directory.glob("*.ring")) == []


def test_it_beats_while_it_waits(server: RtspServer, tmp_path: Path) -> None:
    server.freeze()
    beats: list[float] = []
    stop = threading.Event()
    arguments = (
        settings_for(server.url("/street")),
        0,
        tmp_path,
        "newest",
        True,
        stop,
        lambda: beats.append(time.monotonic()),
    )
    thread = threading.Thread(target=stage.run, args=arguments)
    thread.start()
    until(lambda: len(beats) > 8)
    stop.set()
    thread.join(5)
    assert float(np.diff(beats).max()) < 0.5
