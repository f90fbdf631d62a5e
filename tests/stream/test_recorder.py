"""The recorder's thread with its archive: sightings, frames, events and motion as they come to lie there."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from recording_helpers import STEP_NS, eventually, later, make_clip, packets_of, played

from engines.masks.state import MaskState
from stream.archive.archive import Archive
from stream.archive.sightings import Query
from stream.config import Settings, parse
from stream.messages import (
    CameraRecording,
    Candidate,
    EngineInfo,
    FaceCard,
    FaceLook,
    FrameReady,
    FrameResult,
    InferenceStatus,
    Packet,
    RecorderStatus,
    TrackedFace,
    annotation_hash,
)
from stream.recording.disk import RecordingsFolder
from stream.recording.intake import Intake, Moved
from stream.recording.motion import Motion, MotionWatch
from stream.recording.recorder import Recorder
from stream.recording.tally import Recordings
from stream.ring import FrameRing

SECOND = 1_000_000_000
EPOCH = 77
FACE = TrackedFace(
    track=4,
    box=(10.5, 20.0, 90.25, 120.0),
    landmarks=((30.0, 50.0), (70.0, 50.0), (50.0, 70.0), (35.0, 90.0), (65.0, 90.0)),
    score=0.998,
    mask=MaskState.WORN,
    mask_probability=0.97,
    decision="person",
    person="Ada Lovelace",
    probability=0.93,
    candidates=(Candidate("Ada Lovelace", 0.93, {"raw": 0.61, "unmasked": 0.55}),),
    unfit=None,
)


@pytest.fixture(scope="module")
def packets(tmp_path_factory: pytest.TempPathFactory) -> list[Packet]:
    return packets_of(make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4"))


class Recording:
    def __init__(self, tmp_path: Path, **settings: object) -> None:
        self.folder = tmp_path / "footage"
        self.settings: Settings = parse(
            {
                "cameras": [{"name": "door", "url": "rtsp://user:s3cret@camera/1"}],
                **settings,
                "recording": {"folder": str(self.folder), "keep_free_gb": 0, **settings["recording"]},  # type: ignore[dict-item]
            },
            "test",
        )
        self.intake = Intake()
        self.recorder = Recorder(self.settings, RecordingsFolder(self.folder, tmp_path), self.intake)
        self.recorder.start()
        self._closed = False

    @property
    def now(self) -> CameraRecording:
        return self.recorder.status.cameras["door"]

    def see(self, number: int, *faces: TrackedFace, epoch: int = EPOCH, wall_ns: int | None = None) -> None:
        media_ns = number * STEP_NS
        wall_ns = time.time_ns() if wall_ns is None else wall_ns
        frame = FrameReady("door", number + 1, "r", 0, 2, 192, 128, media_ns, wall_ns, 0, 0)
        self.intake.put(FrameResult(frame, faces, {}, {}, epoch, number + 1, 3))

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            assert self.recorder.finish(10)
            assert self.recorder.failure is None


@pytest.fixture
def started() -> Iterator[list[Recording]]:
    found: list[Recording] = []
    yield found
    for each in found:
        each.close()


def test_a_track_becomes_a_sighting_with_its_newest_decision_and_its_best_pictures(
    tmp_path: Path, started: list[Recording]
) -> None:
    it = Recording(tmp_path, recording={"mode": "continuous"})
    started.append(it)
    engines = {name: EngineInfo("openvino", "fp32", f"{name}-sha") for name in ("sface", "unmask")}
    it.intake.put(InferenceStatus(engines, (), 2, 0.4, 3))
    unknown = msgspec.structs.replace(FACE, decision="undecided", person=None, probability=None, mask=None)
    it.see(0, unknown)
    it.intake.put(FaceLook("door", 4, 1, 0, 5, 0.3, True, b"\xff\xd8first", b"", ""))
    vector = np.arange(128, dtype="<f4").tobytes()
    it.intake.put(FaceLook("door", 4, 2, STEP_NS, 6, 0.6, True, b"\xff\xd8better", vector, "space"))
    it.intake.put(FaceCard("door", 4, 2, b"\x89PNG-o", b"\x89PNG-r", 0.3))
    it.intake.put(FaceLook("door", 9, 2, STEP_NS, 6, 0.6, True, b"\xff\xd8nobody's", vector, "space"))
    for number in range(1, 30):
        it.see(number, FACE)
    it.see(30)
    it.see(31, FACE, epoch=EPOCH + 1)  # inference was started again: the same number is somebody else
    it.close()
    with Archive.open(it.folder) as archive:
        later_one, first = (archive.sighting(s.id) for s in archive.sightings(Query()))
        frames = list(archive.frames("door", 0, 1 << 62))
        (run,) = archive.runs()
    assert (first.epoch, later_one.epoch) == (EPOCH, EPOCH + 1)
    assert (first.decision, first.person, first.mask) == ("person", "Ada Lovelace", MaskState.WORN)
    assert first.candidates == FACE.candidates
    assert (first.look, first.embedding, first.space) == (b"\xff\xd8better", vector, "space")
    assert (first.original, first.reconstruction) == (b"\x89PNG-o", b"\x89PNG-r")
    assert (first.first_media_ns, first.last_media_ns) == (0, 29 * STEP_NS)
    assert (first.versions["generator"], first.versions["gallery"]) == ("unmask-sha", 3)
    assert later_one.look == b""
    assert [frame.sequence for frame in frames] == list(range(1, 33))
    assert frames[5].hash == annotation_hash((FACE,)) == annotation_hash(frames[5].faces)
    assert (frames[5].step, frames[5].gallery) == (6, 3)
    assert set(run.engines) == {"sface", "unmask"}
    assert run.ended_ns
    assert "s3cret" not in str(run.settings)


def test_a_guess_that_there_is_stays_when_none_can_be_made_later_and_the_reason_is_kept(
    tmp_path: Path, started: list[Recording]
) -> None:
    it = Recording(tmp_path, recording={"mode": "continuous"})
    started.append(it)
    covered = msgspec.structs.replace(FACE, track=5, no_reconstruction="eyes are covered")
    turned = msgspec.structs.replace(FACE, no_reconstruction="turned away")
    it.see(0, FACE, covered)
    it.intake.put(FaceCard("door", 4, 1, b"\x89PNG-o", b"\x89PNG-r", 0.3, 6))
    it.intake.put(FaceCard("door", 4, 1, b"\x89PNG-later", b"", 0.0, 0, "turned away"))
    it.intake.put(FaceCard("door", 5, 1, b"\x89PNG-o5", b"", 0.0, 0, "eyes are covered"))
    it.see(1, turned, covered)
    it.close()
    with Archive.open(it.folder) as archive:
        found = {s.track: archive.sighting(s.id) for s in archive.sightings(Query())}
        frames = list(archive.frames("door", 0, 1 << 62))
    assert (found[4].original, found[4].reconstruction) == (b"\x89PNG-o", b"\x89PNG-r")
    assert (found[4].looks, found[4].no_reconstruction) == (6, "turned away")
    assert (found[5].original, found[5].reconstruction) == (b"\x89PNG-o5", b"")
    assert (found[5].looks, found[5].no_reconstruction) == (0, "eyes are covered")
    assert [face.no_reconstruction for face in frames[1].faces] == ["turned away", "eyes are covered"]


def test_faces_are_events_where_no_rule_says_otherwise(
    tmp_path: Path, packets: list[Packet], started: list[Recording]
) -> None:
    it = Recording(tmp_path, recording={"mode": "events", "pre_roll_s": 1, "post_roll_s": 1})
    started.append(it)
    now = time.monotonic_ns()
    for packet in later(packets, 0, received_ns=now):
        it.intake.put(packet)
    it.see(0)
    kept = it.recorder.status
    eventually(lambda: it.recorder.status is not kept, 5, "another second")
    assert list(it.folder.rglob("*.mp4")) == []
    it.see(1, FACE)
    eventually(lambda: it.now.state == "recording", 5, "the face recorded")
    it.close()
    (path,) = it.folder.rglob("*.mp4")
    assert played(path)
    with Archive.open(it.folder) as archive:
        assert [segment.reason for segment in archive.segments()] == ["events"]


def test_with_rules_only_what_they_are_met_by_is_an_event(
    tmp_path: Path, packets: list[Packet], started: list[Recording]
) -> None:
    it = Recording(
        tmp_path,
        recording={"mode": "events"},
        events={"rules": [{"name": "masked", "mask": "worn"}]},
    )
    started.append(it)
    eventually((it.folder / "archive.sqlite3").exists, 5, "the archive made")
    for packet in later(packets, 0, received_ns=time.monotonic_ns()):
        it.intake.put(packet)
    bare = msgspec.structs.replace(FACE, mask=MaskState.NONE)
    for number in range(25):
        it.see(number, bare)
    kept = it.recorder.status
    eventually(lambda: it.recorder.status is not kept, 5, "another second")
    assert it.now.state == "waiting"
    for number in range(25, 50):
        it.see(number, FACE)
    eventually(lambda: it.now.state == "recording", 5, "the mask recorded")
    it.close()
    with Archive.open(it.folder) as archive:
        assert len(archive.events()) == 1


def test_motion_is_recorded_and_a_still_picture_is_not(
    tmp_path: Path, packets: list[Packet], started: list[Recording]
) -> None:
    it = Recording(tmp_path, recording={"mode": "motion", "pre_roll_s": 1, "post_roll_s": 1})
    started.append(it)
    for packet in later(packets, 0, received_ns=time.monotonic_ns()):
        it.intake.put(packet)
    it.see(1, FACE)
    kept = it.recorder.status
    eventually(lambda: it.recorder.status is not kept, 5, "another second")
    assert it.now.state == "waiting", "a face that stands still is no motion"
    it.intake.put(Moved("door", time.time_ns()))
    eventually(lambda: it.now.state == "recording", 5, "motion recorded")


def test_a_walker_is_motion_and_noise_or_a_lamp_is_not() -> None:
    random = np.random.default_rng(1)
    street = random.integers(40, 200, (360, 640)).astype(np.float32)
    street = np.kron(street[::40, ::40], np.ones((40, 40), np.float32))

    def frame(lamp: float = 0.0, walker: int | None = None) -> np.ndarray:
        picture = street + lamp + random.normal(0, 4, street.shape)
        if walker is not None:
            picture[180:260, walker : walker + 24] = 20
        return np.clip(picture, 0, 255).astype(np.uint8)

    motion = Motion()
    assert not any(motion.see(frame()) for _ in range(10))
    assert not any(motion.see(frame(lamp=30)) for _ in range(10))
    assert all(motion.see(frame(lamp=30, walker=x)) for x in range(100, 200, 12))
    assert not any([motion.see(frame(lamp=30)) for _ in range(30)][20:])


def test_motion_is_seen_in_the_ring_a_few_times_a_second_and_not_where_pixels_are_gone(
    tmp_path: Path,
) -> None:
    ring = FrameRing.create(tmp_path / "door.1.ring", 192, 128, 4)
    watch = MotionWatch(tmp_path)

    def see(media_ns: int, level: int, stale: bool = False) -> bool:
        picture = np.full((192, 192), 60, np.uint8)
        picture[32:96, 32:96] = level
        place = ring.write(picture)
        generation = place.generation + 2 * stale
        return watch.see(
            FrameReady("door", 1, ring.path.name, place.slot, generation, 192, 128, media_ns, 0, 0, 0)
        )

    assert not see(0, 60)
    assert not see(STEP_NS, 250), "too soon after the last look"
    assert not see(5 * STEP_NS, 250, stale=True)
    assert see(6 * STEP_NS, 250)
    assert see(-SECOND, 250), "a time line that begins anew is looked at"
    watch.close()
    ring.close()


def test_a_recorder_that_is_started_again_counts_on() -> None:
    before = CameraRecording("continuous", "recording", "", 2, 100, 1000, {"disk full": 5}, 7)
    after = CameraRecording("continuous", "waiting", "", 1, 10, 50, {"disk full": 1, "damaged": 2}, 0)
    recordings = Recordings()
    assert recordings.camera("door") is None
    recordings.see(RecorderStatus({"door": before}, ("the disk was full",)))
    recordings.started_again()
    assert recordings.camera("door") == before
    recordings.see(RecorderStatus({"door": after}, ()))
    assert recordings.camera("door") == CameraRecording(
        "continuous", "waiting", "", 3, 110, 1050, {"disk full": 6, "damaged": 2}, 7
    )
    assert recordings.notes == ["the disk was full"]
