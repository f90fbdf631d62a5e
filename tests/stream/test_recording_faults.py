"""Disks that fail under the recorder: full, read-only, slow, pulled out, deleted. Each is a real one."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from recording_helpers import STEP_NS, eventually, later, make_clip, packets_of, played

from stream.archive.archive import Archive
from stream.config import Settings, parse
from stream.messages import CameraRecording, FrameReady, FrameResult, Packet
from stream.recording.disk import RecordingsFolder
from stream.recording.intake import Intake
from stream.recording.recorder import Recorder


@pytest.fixture(scope="module")
def packets(tmp_path_factory: pytest.TempPathFactory) -> list[Packet]:
    return packets_of(make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", size=(320, 240)))


def mount(*arguments: str) -> None:
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"this user may not mount a disk: {done.stderr.strip()}")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk with little room."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount("-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk))
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=False)


@pytest.fixture
def disk_that_hangs(tmp_path: Path) -> Iterator[Path]:
    """A file system in a file, which `fsfreeze` makes hang."""
    image, disk = tmp_path / "image", tmp_path / "hanging"
    image.write_bytes(b"")
    os.truncate(image, 64 << 20)
    disk.mkdir()
    if subprocess.run(["mkfs.ext4", "-q", str(image)], capture_output=True, check=False).returncode:
        pytest.skip("mkfs.ext4 is missing")
    mount("-o", "loop", str(image), str(disk))
    yield disk
    subprocess.run(["fsfreeze", "-u", str(disk)], capture_output=True, check=False)
    subprocess.run(["umount", "-l", str(disk)], check=False)


class Camera:
    """A camera that sends at its own pace, whatever becomes of it, and a recorder for it."""

    def __init__(self, folder: Path, run: Path, packets: list[Packet], most_bytes: int = 64 << 20) -> None:
        settings = settings_for(folder)
        self._packets = packets
        self._intake = Intake(most_bytes)
        self.recorder = Recorder(settings, RecordingsFolder(folder, run), self._intake)
        self.recorder.start()
        self.connection = 1
        self.sent = 0
        self.slowest_s = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._send)
        self._thread.start()

    def _send(self) -> None:
        began_ns, wall_ns = time.monotonic_ns(), time.time_ns()
        while not self._stop.wait(0.02):
            due = (time.monotonic_ns() - began_ns) // STEP_NS
            while self.sent < due:
                turn, place = divmod(self.sent, len(self._packets))
                media_ns = self.sent * STEP_NS
                (packet,) = later(
                    [self._packets[place]],
                    turn * len(self._packets) * STEP_NS,
                    wall_ns=wall_ns + media_ns,
                    received_ns=time.monotonic_ns(),
                    connection=self.connection,
                )
                before = time.monotonic()
                self._intake.put(packet)
                self._intake.put(FrameResult(_frame(self.sent, packet), (), {}, {}, 1, self.sent + 1))
                self.slowest_s = max(self.slowest_s, time.monotonic() - before)
                self.sent += 1

    @property
    def now(self) -> CameraRecording:
        return self.recorder.status.cameras["door"]

    def records(self, after: int = 0) -> bool:
        return self.now.state == "recording" and self.now.frames > after

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        assert self.recorder.finish(10), "the recorder did not end"
        assert self.recorder.failure is None
        assert self.slowest_s < 0.5, "whoever sends has been held up"

    def all_is_counted(self) -> bool:
        return self.now.frames + sum(self.now.dropped.values()) == self.sent


def settings_for(folder: Path) -> Settings:
    recording = {"mode": "continuous", "folder": str(folder), "segment_s": 10, "keep_free_gb": 0}
    cameras = [{"name": "door", "url": "rtsp://camera/1"}]
    return parse({"cameras": cameras, "recording": recording}, "test")


def _frame(number: int, packet: Packet) -> FrameReady:
    times = packet.media_ns, packet.wall_ns, packet.received_ns, packet.received_ns
    return FrameReady("door", number + 1, "r", 0, 2, 320, 240, *times)


@pytest.fixture
def record(packets: list[Packet], tmp_path: Path) -> Iterator[Callable[..., Camera]]:
    started: list[Camera] = []

    def start(folder: Path, **more: int) -> Camera:
        run = tmp_path / "run"
        run.mkdir(exist_ok=True)
        started.append(Camera(folder, run, packets, **more))
        return started[-1]

    yield start
    for camera in started:
        camera.close()


def shown(folder: Path) -> int:
    return sum(len(played(path)) for path in folder.rglob("*.mp4"))


def test_a_full_disk_costs_footage_and_nothing_else_and_recording_goes_on_when_there_is_room(
    small_disk: Path, record: Callable[..., Camera]
) -> None:
    folder = small_disk / "footage"
    camera = record(folder)
    eventually(lambda: camera.records(50), 10, "recording")
    before = {path: path.read_bytes() for path in folder.rglob("*.mp4")}
    ballast = small_disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1 << 12))
        except OSError:
            pass
    eventually(lambda: camera.now.state == "failing", 10, "the fault noticed")
    assert camera.now.detail == f"{folder}: the disk is full"
    eventually(lambda: camera.now.dropped.get("disk full", 0) > 25, 10, "footage dropped and counted")
    for path, content in before.items():
        assert path.read_bytes().startswith(content), "what was written is still there"
    ballast.unlink()
    kept = camera.now.frames
    eventually(lambda: camera.records(kept + 25), 10, "recording again")
    camera.close()
    assert camera.all_is_counted()
    assert shown(folder) == camera.now.frames
    assert any("the disk is full" in note for note in camera.recorder.status.notes)
    with Archive.open(folder) as archive:
        segments = archive.segments("door")
        assert sum(segment.frames for segment in segments) == camera.now.frames
        assert [segment.complete for segment in segments].count(False) == 1
        assert len(list(archive.frames("door", 0, 1 << 62))) == camera.sent


def test_a_disk_that_turns_read_only_is_written_again_when_it_can_be(
    small_disk: Path, record: Callable[..., Camera]
) -> None:
    folder = small_disk / "footage"
    camera = record(folder)
    eventually(lambda: camera.records(25), 10, "recording")
    # A disk with files open for writing cannot be remounted; with a read-only layer above it, new ones cannot be made.
    mount("--bind", str(small_disk), str(small_disk))
    mount("-o", "remount,bind,ro", str(small_disk))
    camera.connection += 1
    try:
        eventually(lambda: camera.now.dropped.get("disk read-only", 0) > 10, 20, "the fault noticed")
        assert camera.now.state == "failing"
        assert camera.now.detail == f"{folder}: the folder cannot be written"
        kept = camera.now.frames
    finally:
        subprocess.run(["umount", "-l", str(small_disk)], check=False)
    eventually(lambda: camera.records(kept + 25), 10, "recording again")
    camera.close()
    assert camera.all_is_counted()
    assert shown(folder) == camera.now.frames


def test_a_folder_that_is_deleted_is_made_anew(tmp_path: Path, record: Callable[..., Camera]) -> None:
    folder = tmp_path / "footage"
    camera = record(folder)
    eventually(lambda: camera.records(25), 10, "recording")
    shutil.rmtree(folder)
    eventually(lambda: camera.now.dropped.get("disk gone", 0) > 0, 10, "the loss noticed")
    kept = camera.now.frames
    eventually(lambda: camera.records(kept + 25), 10, "recording again")
    camera.close()
    assert camera.all_is_counted()
    with Archive.open(folder) as archive:
        (segment,) = archive.segments("door")
        assert segment.frames == shown(folder) > 25
        assert len(list(archive.frames("door", 0, 1 << 62))) > 25


def test_a_disk_that_is_pulled_out_is_not_replaced_by_the_one_below_and_is_used_again_when_it_is_back(
    small_disk: Path, tmp_path: Path, record: Callable[..., Camera]
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    mount("--bind", str(small_disk), str(place))
    folder = place / "footage"
    try:
        camera = record(folder)
        eventually(lambda: camera.records(25), 10, "recording")
        subprocess.run(["umount", "-l", str(place)], check=True)
        eventually(lambda: camera.now.dropped.get("disk gone", 0) > 25, 20, "the loss noticed")
        assert list(place.iterdir()) == [], "the disk below was written"
        mount("--bind", str(small_disk), str(place))
        kept = camera.now.frames
        eventually(lambda: camera.records(kept + 25), 10, "recording again")
        camera.close()
        assert camera.all_is_counted()
        assert shown(folder) == camera.now.frames
    finally:
        subprocess.run(["umount", "-l", str(place)], capture_output=True, check=False)


def test_a_disk_that_hangs_costs_footage_and_holds_nobody_up(
    disk_that_hangs: Path, record: Callable[..., Camera], packets: list[Packet]
) -> None:
    folder = disk_that_hangs / "footage"
    second = sum(len(packet.data) for packet in packets) // 2
    camera = record(folder, most_bytes=second)
    eventually(lambda: camera.records(25), 10, "recording")
    subprocess.run(["fsfreeze", "-f", str(disk_that_hangs)], check=True)
    sent = camera.sent
    eventually(lambda: camera.sent > sent + 75, 10, "the camera goes on")
    eventually(lambda: camera.now.detail == "the disk does not answer", 10, "the fault told")
    subprocess.run(["fsfreeze", "-u", str(disk_that_hangs)], check=True)
    eventually(lambda: camera.now.dropped.get("disk too slow", 0) > 25, 10, "what was dropped is counted")
    assert camera.now.detail == "the disk is too slow"
    kept = camera.now.frames
    eventually(lambda: camera.records(kept + 25), 10, "recording again")
    camera.close()
    assert camera.all_is_counted()
    assert shown(folder) == camera.now.frames
