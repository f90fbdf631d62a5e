import json
import time

import pytest

from engines.masks.state import MaskState
from stream.messages import (
    CameraRecording,
    CameraState,
    CameraStatus,
    EngineInfo,
    FrameReady,
    FrameResult,
    InferenceStatus,
    RecorderStatus,
    StageStatus,
    TrackedFace,
)
from stream.moments import iso
from stream.report import Report, write
from stream.sightings import Sightings

SECOND = 1_000_000_000
NOON = 1_795_262_400 * SECOND  # 2026-11-21T12:00:00Z


def face(track, decision="undecided", person=None, probability=None, mask=None):
    return TrackedFace(
        track, (0, 0, 9, 9), ((1.0, 1.0),) * 5, 0.9, mask, 0.9, decision, person, probability, (), None
    )


def result(sequence, faces=(), camera="gate", skipped=None, media_s=None):
    media = sequence * 40_000_000 if media_s is None else int(media_s * SECOND)
    frame = FrameReady(camera, sequence, "r", 0, 2, 64, 64, media, NOON + media, 10, 1_000_010)
    return FrameResult(frame, tuple(faces), {"wait": 2_000_010, "detect": 9_000_010}, skipped or {})


def shown(report, *results):
    for one in results:
        report.shown(one, 10_000_010, 12_000_010)


def test_the_report_has_the_keys_that_are_kept_stable(tmp_path):
    report = Report(("gate", "yard"), tmp_path, "newest")
    report.inference(
        InferenceStatus({"sface": EngineInfo("openvino", "fp32", "ab" * 32)}, ("bf16 is not here",), 2, 0.3)
    )
    report.camera(
        CameraStatus(
            "gate", CameraState.RUNNING, NOON, "", 12, "rtsp://10.0.0.2/a", "h264", "software", "rtp"
        )
    )
    named = face(4, "person", "Ada", 0.91, MaskState.WORN)
    shown(report, result(3, [named], skipped={"superseded": 2}), result(5, [named]))
    report.skipped(result(6), "superseded_before_overlay")
    path = tmp_path / "out" / "report.json"
    write(report.build({}, final=True), path)

    read = json.loads(path.read_text())
    assert read["version"] == "0.1.0"
    assert read["engines"]["sface"] == {
        "backend": "openvino",
        "precision": "fp32",
        "model_sha256": "ab" * 32,
        "device": "cpu",
    }
    gate = read["cameras"]["gate"]
    assert gate["state"] == "running"
    assert gate["frames"] == {
        "captured": 12,
        "processed": 3,
        "shown": 2,
        "skipped": {
            "in_flight_at_stop": 6,
            "stage_down": 1,
            "superseded": 2,
            "superseded_before_overlay": 1,
        },
    }
    assert set(gate["latency_ms"]) == {"decode", "wait", "detect", "bus", "draw", "capture_to_overlay"}
    assert set(gate["latency_ms"]["capture_to_overlay"]) == {"p50", "p95", "p99", "max", "count"}
    assert gate["latency_ms"]["capture_to_overlay"]["max"] == 11.0
    assert gate["sightings"] == [
        {
            "person": "Ada",
            "probability": 0.91,
            "masked": True,
            "first_seen": "2026-11-21T12:00:00.120Z",
            "last_seen": "2026-11-21T12:00:00.200Z",
            "track": 4,
            "decision": "person",
            "mask": "worn",
        }
    ]
    assert read["cameras"]["yard"]["frames"] == {"captured": 0, "processed": 0, "shown": 0, "skipped": {}}
    assert read["cameras"]["yard"]["sightings"] == []
    assert read["notes"] == ["bf16 is not here"]


def test_a_sighting_has_the_last_decision_and_unknown_people_have_no_name(tmp_path):
    report = Report(("gate",), tmp_path, "newest")
    shown(
        report,
        result(1, [face(1), face(2, "person", "Ada", 0.92)]),
        result(2, [face(1, mask=MaskState.NONE), face(2, "nobody", None, 0.7)]),
        result(3, [face(1, "person", "Ben", 0.95, MaskState.NONE)]),
    )
    gate = report.build({}, final=True)["cameras"]["gate"]
    assert [(s["track"], s["person"], s["probability"], s["masked"]) for s in gate["sightings"]] == [
        (1, "Ben", 0.95, False),
        (2, None, 0.7, False),
    ]
    assert gate["faces"] == {
        "seen": 2,
        "masked": 0,
        "person": 1,
        "nobody": 1,
        "undecided": 0,
        "most_at_once": 2,
    }


def test_faces_of_frames_that_were_not_shown_were_seen_all_the_same(tmp_path):
    report = Report(("gate",), tmp_path, "newest")
    report.skipped(result(1, [face(1, "person", "Ada", 0.9)]), "overwritten_before_overlay")
    assert report.build({}, final=True)["cameras"]["gate"]["sightings"][0]["person"] == "Ada"


def test_a_track_number_used_again_is_another_sighting():
    sightings = Sightings()
    sightings.see(result(1, [face(1, "person", "Ada", 0.9)], media_s=1))
    sightings.see(result(2, [face(1, "person", "Ben", 0.9)], media_s=30))
    sightings.end_all()  # inference was started anew
    sightings.see(result(3, [face(1, "person", "Cid", 0.9)], media_s=31))
    assert [s.person for s in sightings.all()] == ["Ada", "Ben", "Cid"]


def test_old_sightings_are_counted_and_left_out():
    sightings = Sightings(kept=3)
    for track in range(10):
        sightings.see(result(track + 1, [face(track, "nobody")], media_s=20 * track))
    assert [s.track for s in sightings.all()] == [6, 7, 8, 9]
    assert sightings.left_out == 6
    assert sightings.counts()["seen"] == 10


def test_a_killed_overlay_goes_on_with_its_report(tmp_path):
    first = Report(("gate",), tmp_path, "newest")
    first.inference(InferenceStatus({"sface": EngineInfo("openvino", "fp32", "ab")}, (), 1, 0.1))
    first.note("the disk is full")
    shown(first, result(1, [face(1, "person", "Ada", 0.9)]), result(2, [face(1, "person", "Ada", 0.9)]))
    first.ledger.save()
    first.save_statistics()

    second = Report(("gate",), tmp_path, "newest")
    assert second.ledger.resumed
    shown(second, result(7, [face(1, "person", "Ada", 0.93)], skipped={"superseded": 1}))
    built = second.build({}, final=True)
    gate = built["cameras"]["gate"]
    assert built["started"] == iso(first.began_wall_ns)
    assert gate["frames"]["shown"] == 3
    assert gate["frames"]["skipped"] == {"stage_down": 3, "superseded": 1}
    assert gate["latency_ms"]["draw"]["count"] == 3
    assert [(s["first_seen"], s["probability"]) for s in gate["sightings"]] == [
        ("2026-11-21T12:00:00.040Z", 0.93)
    ]
    assert built["engines"]["sface"]["backend"] == "openvino"
    assert built["notes"] == ["the disk is full"]


def test_stages_that_were_started_again_are_named(tmp_path):
    report = Report(("gate",), tmp_path, "newest")
    report.stage(StageStatus("inference", 2, "inference ended unexpectedly"))
    assert report.build({}, final=True)["restarts"] == {"inference": 2}


def test_a_report_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        write({}, tmp_path / "file" / "report.json")


def test_saving_the_statistics_is_cheap_even_with_many_sightings(tmp_path):
    report = Report(("gate",), tmp_path, "newest")
    for track in range(2500):
        report.sightings["gate"].see(result(track + 1, [face(track, "nobody")], media_s=20 * track))
    began = time.process_time()
    report.save_statistics()
    assert time.process_time() - began < 0.05


def test_the_report_tells_what_was_recorded_and_what_was_dropped_also_by_a_recorder_that_died(tmp_path):
    report = Report(("gate", "yard"), tmp_path, "newest")
    assert report.build({}, final=False)["cameras"]["gate"]["recording"] is None
    dropped = {"disk full": 30}
    report.recorder(
        RecorderStatus(
            {
                "gate": CameraRecording(
                    "continuous", "failing", "the disk is full", 2, 100, 5000, dropped, NOON
                )
            },
            ("gate: footage was dropped: the disk is full",),
        )
    )
    report.stage(StageStatus("recorder", 1, "killed"))
    report.recorder(
        RecorderStatus({"gate": CameraRecording("continuous", "recording", "", 1, 20, 900, {}, 0)}, ())
    )
    built = report.build({}, final=True)
    assert built["cameras"]["gate"]["recording"] == {
        "mode": "continuous",
        "state": "recording",
        "detail": "",
        "segments": 3,
        "frames": 120,
        "bytes": 5900,
        "dropped": dropped,
        "newest": iso(NOON),
    }
    assert built["cameras"]["yard"]["recording"] is None
    assert built["notes"] == ["gate: footage was dropped: the disk is full"]
