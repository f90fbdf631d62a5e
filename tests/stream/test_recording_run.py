"""Recording in a real run, from an RTSP camera to files that play: also when processes are killed in the middle."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from recording_helpers import eventually, make_clip, played
from test_end_to_end import Running, balanced

from stream.archive.archive import Archive
from stream.archive.footage import Segment
from stream.archive.sightings import Query
from stream.bus import RESULTS, Inbox
from stream.capture import stage as capture
from stream.config import Settings, parse
from stream.messages import CameraRecording, RecorderStatus
from stream.recording import stage as recording
from stream.run_directory import RunDirectory
from stream.supervisor import RECORDER, Run
from tools.demo.clip import cached_clip
from tools.rtsp.server import RtspServer

SECOND = 1_000_000_000


def settings_for(tmp_path: Path, mode: str = "continuous", **urls: str) -> Settings:
    return parse(
        {
            "cameras": [{"name": name, "url": url, "decoder": "software"} for name, url in urls.items()],
            "recognition": {"gallery": str(tmp_path / "gallery.sqlite3")},
            "recording": {"mode": mode, "folder": str(tmp_path / "footage"), "keep_free_gb": 0},
            "display": {"port": 0},
            "accounts": {"sign_in": False, "store": str(tmp_path / "accounts.sqlite3")},
        },
        "test",
    )


class Site:
    """One camera's capture and the recorder, each as its stage runs, without inference."""

    def __init__(self, settings: Settings, directory: Path) -> None:
        self.status: dict[str, CameraRecording] = {}
        self._results = Inbox(directory, RESULTS)
        self._stop, self._stop_recording = threading.Event(), threading.Event()
        beat: Callable[[], None] = lambda: None  # noqa: E731
        self._threads = [
            threading.Thread(
                target=capture.run, args=(settings, 0, directory, "newest", True, self._stop, beat)
            ),
            threading.Thread(target=recording.run, args=(settings, directory, self._stop_recording, beat)),
        ]
        for thread in self._threads:
            thread.start()

    def frames(self) -> int:
        for message in self._results.drain(10):
            if isinstance(message, RecorderStatus):
                self.status = message.cameras
        return sum(camera.frames for camera in self.status.values())

    def until(self, frames: int) -> None:
        eventually(lambda: self.frames() >= frames, 20, f"{frames} frames recorded")

    def close(self) -> None:
        self._stop.set()
        self._threads[0].join()
        self._stop_recording.set()
        self._threads[1].join()
        self.frames()
        self._results.close()


@contextmanager
def site(settings: Settings, directory: Path) -> Iterator[Site]:
    it = Site(settings, directory)
    try:
        yield it
    finally:
        it.close()


def segments_of(tmp_path: Path) -> list[Segment]:
    with Archive.open(tmp_path / "footage") as archive:
        return archive.segments()


def assert_files_hold_what_the_archive_says(tmp_path: Path) -> None:
    with Archive.open(tmp_path / "footage") as archive:
        for segment in archive.segments():
            shown = [time_us for time_us, _ in played(tmp_path / "footage" / segment.path)]
            said = sorted((media - segment.began_media_ns) // 1000 for media, _ in archive.clock(segment.id))
            assert shown[: len(said)] == said
            assert len(shown) - len(said) <= (0 if segment.complete else 50), segment


@pytest.fixture
def camera() -> Iterator[RtspServer]:
    with RtspServer() as server:
        yield server


def test_b_frames_restarted_time_stamps_and_another_codec_are_recorded_picture_for_picture(
    camera: RtspServer, tmp_path: Path
) -> None:
    ordered = make_clip(tmp_path / "b.mp4", b_frames=3, gop=10)
    other = make_clip(tmp_path / "h265.mp4", "libx265", size=(160, 96))
    with site(settings_for(tmp_path, door=camera.add_file("/a", ordered)), tmp_path) as run:
        run.until(40)
        camera.faults("/a").restart_timestamps()
        run.until(80)
        camera.faults("/a").switch(other)
        run.until(140)
    assert_files_hold_what_the_archive_says(tmp_path)
    segments = segments_of(tmp_path)
    assert [segment.codec for segment in segments][-1] == "hevc"
    assert {segment.codec for segment in segments} == {"h264", "hevc"}
    assert all(segment.complete for segment in segments)
    assert segments[-1].clock == "camera"
    known = {picture for clip in (ordered, other) for _, picture in played(clip)}
    for segment in segments:
        pictures = [picture for _, picture in played(tmp_path / "footage" / segment.path)]
        assert set(pictures) <= known
        assert len(pictures) == segment.frames


def test_a_camera_that_comes_back_is_recorded_in_another_file(camera: RtspServer, tmp_path: Path) -> None:
    settings = settings_for(tmp_path, door=camera.add_file("/a", make_clip(tmp_path / "a.mp4")))
    with site(settings, tmp_path) as run:
        run.until(40)
        camera.stop()
        camera.start()
        run.until(100)
    assert len({segment.connection for segment in segments_of(tmp_path)}) == 2
    assert_files_hold_what_the_archive_says(tmp_path)


@contextmanager
def running(settings: Settings, root: Path) -> Iterator[Running]:
    with RunDirectory(root) as directory:
        it = Running(Run(settings, report=root / "report.json"), directory)
        try:
            yield it
        finally:
            it.stop()


def recorded(run: Running, camera: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = run.report()["cameras"][camera]["recording"] or {}
        return found
    except OSError:
        return {}


def test_a_recorder_that_hangs_loses_nothing_and_one_that_is_killed_a_second_and_the_live_view_does_not_notice(
    camera: RtspServer, tmp_path: Path
) -> None:
    settings = settings_for(tmp_path, street=camera.add_file("/street", cached_clip()))
    with running(settings, tmp_path) as run:
        eventually(lambda: run.shown("street") > 10, 60, "the camera shown")
        eventually(lambda: recorded(run, "street").get("frames", 0) > 50, 20, "the camera recorded")
        pid = run.supervisor.pid(RECORDER)
        assert pid is not None
        shown = run.shown("street")
        os.kill(pid, signal.SIGSTOP)
        eventually(
            lambda: run.shown("street") > shown + 20, 20, "the live view goes on while the recorder hangs"
        )
        os.kill(pid, signal.SIGCONT)
        before = recorded(run, "street")["frames"]
        eventually(lambda: recorded(run, "street")["frames"] > before + 25, 20, "recorded on")
        assert recorded(run, "street")["dropped"] == {}
        shown, killed_ns = run.shown("street"), time.time_ns()
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: run.supervisor.restarts(RECORDER) == 1, 5, "the recorder started again")
        eventually(lambda: run.shown("street") > shown + 20, 20, "the live view goes on")
        before = recorded(run, "street").get("frames", 0)
        eventually(lambda: recorded(run, "street").get("frames", 0) > before + 50, 20, "recorded again")
        report = run.report()
        assert run.stop(), "a stage had to be killed"
    assert report["restarts"] == {"recorder": 1}
    assert balanced(report)
    assert report["cameras"]["street"]["reconnections"] == 0
    assert_files_hold_what_the_archive_says(tmp_path)
    first, *_, last = segments_of(tmp_path)
    assert (first.complete, last.complete) == (False, True)
    played_ns = played(tmp_path / "footage" / _newest_before(tmp_path, killed_ns).path)[-1][0] * 1000
    ended_ns = _newest_before(tmp_path, killed_ns).began_ns + played_ns
    assert killed_ns - ended_ns < SECOND
    with Archive.open(tmp_path / "footage") as archive:
        media = {ns for segment in archive.segments() for ns, _ in archive.clock(segment.id)}
        frames = list(archive.frames("street", 0, 1 << 62))
        within = [
            frame
            for frame in frames
            if any(s.began_media_ns <= frame.media_ns <= s.ended_media_ns for s in archive.segments())
        ]
        assert len(within) > 50
        assert {frame.media_ns for frame in within} <= media, "every annotation lies on its picture"
        assert any(frame.faces for frame in frames)
        seen = archive.sightings(Query())
        whole = [archive.sighting(sighting.id) for sighting in seen]
    assert len(seen) >= 2
    assert any(sighting.look.startswith(b"\xff\xd8") and sighting.embedding for sighting in whole)
    assert any(sighting.masked and sighting.reconstruction for sighting in whole)


def _newest_before(tmp_path: Path, wall_ns: int) -> Segment:
    return max(
        (segment for segment in segments_of(tmp_path) if segment.began_ns < wall_ns and not segment.complete),
        key=lambda segment: segment.began_ns,
    )


def test_after_everything_was_killed_at_once_all_but_the_last_second_plays_and_a_new_run_goes_on(
    camera: RtspServer, tmp_path: Path
) -> None:
    """As after a power cut, but for what the system still had to write: that is on the disk by fdatasync."""
    settings = settings_for(tmp_path, mode="events", street=camera.add_file("/street", cached_clip()))
    with running(settings, tmp_path) as run:
        eventually(lambda: recorded(run, "street").get("frames", 0) > 75, 60, "faces recorded")
        run._end.set()
        run._thread.join()
        pids = [run.supervisor.pid(name) for name in run.supervisor.names]
        for pid in pids:
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
        killed_ns = time.time_ns()
    cut = _newest_before(tmp_path, killed_ns)
    assert cut.reason == "events"
    shown = played(tmp_path / "footage" / cut.path)
    assert killed_ns - (cut.began_ns + shown[-1][0] * 1000) < SECOND
    assert_files_hold_what_the_archive_says(tmp_path)
    with site(
        settings.model_copy(
            update={"recording": settings.recording.model_copy(update={"mode": "continuous"})}
        ),
        tmp_path,
    ) as again:
        again.until(25)
    assert segments_of(tmp_path)[-1].complete
    assert played(tmp_path / "footage" / cut.path) == shown, "what was there has not been touched"
