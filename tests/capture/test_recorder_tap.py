"""What capture hands to the recorder: the camera's own packets, at the times of the pictures that are made of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
from capture_helpers import encode, until

from stream.bus import ARCHIVE, FRAMES, Inbox
from stream.capture import stage
from stream.capture.source import Unit
from stream.capture.tap import Tap
from stream.config import parse
from stream.messages import FrameReady, Packet
from tools.rtsp_server import RtspServer


class Taken:
    """A capture in a thread, and all that it sends."""

    def __init__(self, directory: Path, url: str, mode: str = "continuous", **camera: Any) -> None:
        self.frames: list[FrameReady] = []
        self.packets: list[Packet] = []
        self._inboxes = Inbox(directory, FRAMES), Inbox(directory, ARCHIVE)
        cameras = [{"name": "gate", "url": url, "decoder": "software", "recording": mode, **camera}]
        settings = parse({"cameras": cameras}, "test")
        self.stop = threading.Event()
        self._captured = threading.Thread(
            target=stage.run, args=(settings, 0, directory, "newest", True, self.stop)
        )
        self._captured.start()

    def drain(self) -> None:
        for message in (*self._inboxes[0].drain(5), *self._inboxes[1].drain(5)):
            if isinstance(message, FrameReady):
                self.frames.append(message)
            elif isinstance(message, Packet):
                self.packets.append(message)

    def until(self, condition: Callable[[], object]) -> None:
        def holds() -> object:
            self.drain()
            return condition()

        until(holds)

    def close(self) -> None:
        self.stop.set()
        while self._captured.is_alive():
            self.drain()
        self.drain()
        for inbox in self._inboxes:
            inbox.close()


@contextmanager
def taken(*of: Any, **more: Any) -> Iterator[Taken]:
    it = Taken(*of, **more)
    try:
        yield it
    finally:
        it.close()


def pictures_of(packets: list[Packet]) -> int:
    decoder = av.CodecContext.create(packets[0].codec, "r")
    found = 0
    for packet in packets:
        found += len(decoder.decode(av.Packet(packet.parameter_sets + packet.data)))
    return found + len(decoder.decode(None))


def assert_times_agree(taken: Taken) -> None:
    """Every frame has its packet, at exactly its times."""
    known = {packet.media_ns: packet for packet in taken.packets}
    first = taken.packets[0].media_ns
    compared = [frame for frame in taken.frames if frame.media_ns >= first]
    assert len(compared) > 20
    for frame in compared:
        packet = known[frame.media_ns]
        assert (packet.wall_ns, packet.received_ns) == (frame.wall_ns, frame.received_ns)
    assert len(known) == len(taken.packets)


def test_every_frame_of_a_camera_has_its_packet_at_exactly_its_time(
    server: RtspServer, clips: dict[str, Path], tmp_path: Path
) -> None:
    for codec, name in (("h264", "h264"), ("hevc", "h265")):
        (tmp_path / codec).mkdir()
        with taken(tmp_path / codec, server.add_file(f"/{name}", clips[name])) as camera:
            camera.until(lambda: len(camera.frames) > 30)
        assert camera.packets[0].key
        assert {packet.codec for packet in camera.packets} == {codec}
        assert all(bool(packet.parameter_sets) == packet.key for packet in camera.packets)
        assert {(packet.width, packet.height) for packet in camera.packets} == {(320, 240)}
        assert_times_agree(camera)
        assert pictures_of(camera.packets) == len(camera.packets)


def test_pictures_sent_out_of_their_order_keep_their_times(server: RtspServer, tmp_path: Path) -> None:
    clip = encode(tmp_path / "b.mp4", count=50, b_frames=3)
    with taken(tmp_path, server.add_file("/b", clip)) as camera:
        camera.until(lambda: len(camera.frames) > 40)
    media = [packet.media_ns for packet in camera.packets]
    assert media != sorted(media)
    camera.packets.sort(key=lambda packet: packet.media_ns)
    newest = camera.packets[-1].media_ns
    camera.frames = [frame for frame in camera.frames if frame.media_ns <= newest]
    assert_times_agree(camera)


def test_the_reader_of_ffmpeg_and_recordings_give_packets_with_their_frames_times_too(
    server: RtspServer, tmp_path: Path
) -> None:
    clip = encode(tmp_path / "b.mp4", count=75, b_frames=2)
    for name, url, more in (("av", server.add_file("/b", clip), {"reader": "av"}), ("file", str(clip), {})):
        (tmp_path / name).mkdir()
        with taken(tmp_path / name, url, **more) as camera:
            camera.until(lambda: len(camera.frames) > 45)
        assert camera.packets[0].key
        newest = max(packet.media_ns for packet in camera.packets)
        camera.frames = [frame for frame in camera.frames if frame.media_ns <= newest]
        if name == "av":  # when a packet came is told of the last one that its picture needed
            known = {packet.media_ns for packet in camera.packets}
            assert all(frame.media_ns in known for frame in camera.frames)
        else:
            assert {(p.media_ns, p.wall_ns) for p in camera.packets} >= {
                (f.media_ns, f.wall_ns) for f in camera.frames
            }
        assert pictures_of(camera.packets) == len(camera.packets)


def test_the_camera_s_clock_is_named_as_soon_as_it_tells_the_time(
    server: RtspServer, clips: dict[str, Path], tmp_path: Path
) -> None:
    with taken(tmp_path, server.add_file("/a", clips["h264"])) as camera:
        camera.until(lambda: len(camera.packets) > 40)
    assert camera.packets[-1].clock == "camera"


def test_a_camera_that_comes_back_or_restarts_its_time_stamps_goes_on_on_the_same_time_line(
    server: RtspServer, clips: dict[str, Path], tmp_path: Path
) -> None:
    with taken(tmp_path, server.add_file("/a", clips["h264"])) as camera:
        camera.until(lambda: len(camera.frames) > 15)
        server.faults("/a").restart_timestamps()
        camera.until(lambda: len(camera.frames) > 30)
        server.faults("/a").drop()
        camera.until(lambda: len({packet.connection for packet in camera.packets}) == 2)
        before = len(camera.frames)
        camera.until(lambda: len(camera.frames) > before + 20)
    media = [packet.media_ns for packet in camera.packets]
    assert media == sorted(set(media))
    connections = [packet.connection for packet in camera.packets]
    assert connections == sorted(connections)
    begins = connections.index(connections[-1])
    assert camera.packets[begins].key
    assert_times_agree(camera)


def test_after_lost_packets_nothing_is_handed_on_until_a_key_packet_which_says_what_is_missing(
    server: RtspServer, clips: dict[str, Path], tmp_path: Path
) -> None:
    with taken(tmp_path, server.add_file("/a", clips["h264"]), transport="udp") as camera:
        camera.until(lambda: len(camera.packets) > 10)
        server.faults("/a").lose(0.01)
        camera.until(lambda: sum(map(bool, (packet.skipped for packet in camera.packets))) > 1)
        server.faults("/a").heal()
    for packet in camera.packets:
        assert packet.key or not packet.skipped
        assert set(packet.skipped) <= {"damaged"}
    assert pictures_of(camera.packets) == len(camera.packets)


def test_without_recording_capture_says_nothing_to_a_recorder(
    server: RtspServer, clips: dict[str, Path], tmp_path: Path
) -> None:
    with taken(tmp_path, server.add_file("/a", clips["h264"]), mode="off") as camera:
        camera.until(lambda: len(camera.frames) > 30)
    assert camera.packets == []


def test_a_recorder_that_is_away_holds_nobody_up_and_is_told_afterwards_what_it_missed(
    tmp_path: Path,
) -> None:
    tap = Tap(tmp_path, "gate")
    tap.pictured(0, 64, 48)
    for number in range(2500):
        key = number % 10 == 0
        tap.take(Unit("h264", b"sets", b"data", key, number, number, "here", number))
    inbox = Inbox(tmp_path, ARCHIVE)
    got: list[Packet] = []

    def came(count: int) -> bool:
        got.extend(message for message in inbox.drain(20) if isinstance(message, Packet))
        return len(got) >= count

    until(lambda: came(1000))
    waited = len(got)
    for number in range(2503, 2523):
        tap.take(Unit("h264", b"sets", b"data", number % 10 == 0, number, number, "here", number))
    until(lambda: came(waited + 13))
    assert [packet.media_ns for packet in got[:waited]] == list(range(waited))
    assert got[waited].media_ns == 2510
    assert got[waited].skipped == {"recorder busy": 2500 - waited + 7}
    tap.close()
    inbox.close()
