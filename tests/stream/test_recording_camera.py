"""When footage is kept and where one file ends and the next begins: real packets, real files."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from recording_helpers import STEP_NS, later, make_clip, packets_of, played

from stream.config import Recording
from stream.messages import Packet
from stream.recording.camera import CameraRecorder
from stream.recording.disk import RecordingsFolder
from stream.recording.intake import TOO_SLOW, Intake

SECOND = 1_000_000_000
HOUR = 3600 * SECOND


@pytest.fixture(scope="module")
def packets(tmp_path_factory: pytest.TempPathFactory) -> list[Packet]:
    """Two seconds, a key packet every 0.4 s."""
    return packets_of(make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4"))


def repeated(packets: list[Packet], times: int) -> list[Packet]:
    return [each for n in range(times) for each in later(packets, n * len(packets) * STEP_NS)]


def recorder(tmp_path: Path, mode: str = "continuous", **settings: object) -> CameraRecorder:
    run = tmp_path / "run"
    run.mkdir(exist_ok=True)
    folder = RecordingsFolder(tmp_path / "footage", run)
    return CameraRecorder("door", mode, Recording(**settings), folder)  # type: ignore[arg-type]


def take(camera: CameraRecorder, packets: list[Packet]) -> None:
    for packet in packets:
        camera.take(packet, packet.received_ns)


def files(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "footage").rglob("*.mp4"))


def test_continuous_recording_begins_another_file_at_the_first_key_packet_after_the_time_set(
    packets: list[Packet], tmp_path: Path
) -> None:
    camera = recorder(tmp_path, segment_s=10.0)
    everything = repeated(packets, 11)
    take(camera, everything)
    camera.finish(everything[-1].received_ns)
    shown = [played(path) for path in files(tmp_path)]
    assert [len(pictures) for pictures in shown] == [250, 250, 50]
    assert [entry.segment.began_media_ns for entry in camera.entries] == [0, 10 * SECOND, 20 * SECOND]
    status = camera.status(0)
    assert (status.segments, status.frames, status.dropped, status.state) == (3, 550, {}, "waiting")
    assert status.bytes == sum(path.stat().st_size for path in files(tmp_path))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"connection": 2}, "another connection"),
        ({"wall_ns": lambda p: p.wall_ns + HOUR}, "the clock set an hour forth"),
        ({"wall_ns": lambda p: p.wall_ns - HOUR}, "the clock set an hour back"),
        ({"clock": "camera"}, "the camera has told its time"),
        ({"media_ns": lambda p: p.media_ns - SECOND}, "time stamps that go back"),
        ({"media_ns": lambda p: p.media_ns + 30 * SECOND}, "a gap"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_another_file_begins_when_what_comes_does_not_belong_to_the_one_before(
    change: dict[str, object], why: str, packets: list[Packet], tmp_path: Path
) -> None:
    camera = recorder(tmp_path)
    take(camera, packets)
    for packet in later(packets, len(packets) * STEP_NS):
        values = {name: value(packet) if callable(value) else value for name, value in change.items()}
        changed = msgspec.structs.replace(packet, **values)
        camera.take(changed, changed.received_ns)
    camera.finish(4 * SECOND)
    assert [len(played(path)) for path in files(tmp_path)] == [50, 50], why
    assert camera.status(0).dropped == {}
    first, second = (entry.segment for entry in camera.entries)
    assert first.ended_wall_ns - first.began_wall_ns == second.ended_wall_ns - second.began_wall_ns


def test_a_camera_that_changes_codec_and_size_goes_on_in_another_file(
    packets: list[Packet], tmp_path: Path
) -> None:
    other = packets_of(make_clip(tmp_path / "b.mp4", "libx265", size=(128, 96)))
    camera = recorder(tmp_path)
    take(camera, packets + later(other, 2 * SECOND))
    camera.finish(4 * SECOND)
    forms = [(entry.segment.form.codec, entry.segment.form.width) for entry in camera.entries]
    assert forms == [("h264", 192), ("hevc", 128)]
    assert [len(played(path)) for path in files(tmp_path)] == [50, 50]


def test_an_event_is_recorded_with_what_was_before_and_what_comes_after_it(
    packets: list[Packet], tmp_path: Path
) -> None:
    camera = recorder(tmp_path, "events", pre_roll_s=3.0, post_roll_s=2.0)
    everything = repeated(packets, 10)
    take(camera, everything[:250])
    assert files(tmp_path) == []
    assert camera.status(0).state == "waiting"
    camera.trigger(10 * SECOND)
    take(camera, everything[250:])
    camera.finish(everything[-1].received_ns)
    (path,) = files(tmp_path)
    (entry,) = camera.entries
    began, ended = entry.segment.began_media_ns, entry.segment.ended_media_ns
    assert 6.5 * SECOND < began <= 7 * SECOND, "from the last key packet before the pre-roll"
    assert 12 * SECOND <= ended < 12.5 * SECOND, "up to the first key packet after the post-roll"
    assert len(played(path)) == (ended - began) // STEP_NS + 1


def test_events_that_follow_each_other_are_one_recording(packets: list[Packet], tmp_path: Path) -> None:
    camera = recorder(tmp_path, "events", pre_roll_s=1.0, post_roll_s=2.0)
    for number, packet in enumerate(repeated(packets, 8)):
        if number in (100, 140, 180):
            camera.trigger(packet.received_ns)
        camera.take(packet, packet.received_ns)
    camera.finish(16 * SECOND)
    (entry,) = camera.entries
    assert 8.8 * SECOND < entry.segment.ended_media_ns < 10 * SECOND


def test_without_pre_roll_an_event_still_begins_at_a_key_packet(
    packets: list[Packet], tmp_path: Path
) -> None:
    camera = recorder(tmp_path, "motion", pre_roll_s=0.0, post_roll_s=0.0)
    take(camera, packets[:36])
    camera.trigger(packets[36].received_ns)
    take(camera, packets[36:45])
    camera.finish(2 * SECOND)
    (entry,) = camera.entries
    assert entry.segment.began_media_ns == packets[30].media_ns


def test_off_keeps_nothing_and_a_trigger_changes_nothing_of_that(
    packets: list[Packet], tmp_path: Path
) -> None:
    camera = recorder(tmp_path, "off")
    camera.trigger(0)
    take(camera, packets)
    camera.finish(2 * SECOND)
    assert files(tmp_path) == []
    assert camera.status(0).state == "off"


def test_a_camera_that_falls_silent_has_its_last_pictures_on_the_disk_within_a_second(
    packets: list[Packet], tmp_path: Path
) -> None:
    camera = recorder(tmp_path)
    take(camera, packets)
    camera.turn(packets[-1].received_ns + int(0.8 * SECOND))
    (path,) = files(tmp_path)
    assert len(played(path)) == 50


def test_pictures_that_cannot_be_recorded_are_counted_and_named_in_a_note(
    packets: list[Packet], tmp_path: Path
) -> None:
    camera = recorder(tmp_path)
    take(camera, [msgspec.structs.replace(packet, codec="rawvideo") for packet in packets])
    status = camera.status(0)
    assert (status.state, status.dropped) == ("failing", {"cannot be recorded": 50})
    assert list(camera.notes) == ["door cannot be recorded: rawvideo: no codec that can be recorded"]
    take(camera, later(packets, 2 * SECOND))
    camera.finish(4 * SECOND)
    assert camera.status(0).state == "waiting"
    assert [len(played(path)) for path in files(tmp_path)] == [50]


def test_what_finds_no_room_before_a_slow_disk_is_dropped_up_to_a_key_packet_and_counted(
    packets: list[Packet], tmp_path: Path
) -> None:
    intake = Intake(most_bytes=sum(len(packet.data) for packet in packets[:25]) + 1)
    for packet in packets:
        intake.put(packet)
    kept = [item for item in intake.take(0) if isinstance(item, Packet)]
    assert kept == packets[:25]
    for packet in later(packets, 2 * SECOND)[5:25]:
        intake.put(packet)
    kept += [item for item in intake.take(0) if isinstance(item, Packet)]
    assert len(kept) == 40
    assert kept[25].key
    assert kept[25].skipped == {TOO_SLOW: 30}
    camera = recorder(tmp_path)
    take(camera, kept)
    camera.finish(4 * SECOND)
    assert camera.status(4 * SECOND).dropped == {TOO_SLOW: 30}
    assert "slow" in camera.status(4 * SECOND).detail
    (path,) = files(tmp_path)
    assert len(played(path)) == 40
