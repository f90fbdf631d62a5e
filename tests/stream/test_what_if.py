"""Other settings over the same footage: who would have been found, missed or confused, told on a page."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
import pytest
from footage_maker import face, media_ns, wall_ns
from msgspec.structs import replace
from recorded_run import CAMERAS, Recorded

from engines.models import WEIGHTS
from stream.archive.archive import Archive
from stream.archive.footage import Segment
from stream.config import ConfigError, Settings
from stream.messages import FrameReady, FrameResult, TrackedFace
from stream.replay.pairing import Findings, Kind, Pairing
from stream.replay.playback import PlayedFrame
from stream.replay.processing import ReplayError
from stream.replay.selection import Selection
from stream.replay.what_if import changes, compare, other_settings
from stream.replay.what_if_report import page, sentence, write_page

LEFT, RIGHT = (20.0, 20.0, 80.0, 100.0), (200.0, 20.0, 260.0, 100.0)
SEGMENT = Segment(1, "gate", 1, 1, "a.mp4", "h264", 320, 192, 0, 0, 0, 0, 0, 0, True, False, "", "here")


@pytest.fixture
def archive(recorded: Recorded) -> Iterator[Archive]:
    with Archive.open(recorded.folder) as opened:
        yield opened


def seen(
    track: int, box: tuple[float, float, float, float], who: str | None = None, unknown: bool = False
) -> TrackedFace:
    decision: Literal["person", "nobody", "undecided"] = (
        "person" if who else "nobody" if unknown else "undecided"
    )
    return replace(
        face(track, box), decision=decision, person=who, probability=0.95 if who or unknown else None
    )


def result(frame: PlayedFrame, faces: Sequence[TrackedFace]) -> FrameResult:
    ready = FrameReady(frame.camera, 1, "", 0, 0, 320, 192, frame.media_ns, frame.wall_ns, 0, 0)
    return FrameResult(ready, tuple(faces), {}, {})


def paired(
    *frames: tuple[Sequence[TrackedFace], Sequence[TrackedFace]],
) -> list[tuple[Kind, str | None, str | None]]:
    """The kinds of pairs that (recorded faces, other faces) of some frames make, with the names of both sides."""
    findings = Findings(cameras=["gate"])
    pairing = Pairing(findings)
    for number, (old, new) in enumerate(frames):
        grey = np.full((288, 320), 128, np.uint8)
        frame = PlayedFrame("gate", SEGMENT, grey, 320, 192, media_ns(number), wall_ns(number), None)
        pairing.take(1, 1, frame, result(frame, old), result(frame, new))
    return [
        (pair.kind, pair.recorded and pair.recorded.person, pair.other and pair.other.person)
        for pair in pairing.pairs()
    ]


def test_a_face_named_by_one_side_only_is_found_or_missed() -> None:
    assert paired(([seen(1, LEFT)], [seen(9, LEFT, "Ada")])) == [(Kind.FOUND, None, "Ada")]
    assert paired(([seen(1, LEFT, "Ada")], [seen(9, LEFT, unknown=True)])) == [(Kind.MISSED, "Ada", None)]
    assert paired(([seen(1, LEFT, "Ada")], [])) == [(Kind.MISSED, "Ada", None)]
    assert paired(([], [seen(1, LEFT, "Ada")])) == [(Kind.FOUND, None, "Ada")]


def test_a_face_with_two_names_is_named_differently_and_one_that_changes_its_name_is_confused() -> None:
    assert paired(([seen(1, LEFT, "Ada")], [seen(2, LEFT, "Grace")])) == [(Kind.RENAMED, "Ada", "Grace")]
    assert paired(
        ([seen(1, LEFT, "Ada")], [seen(2, LEFT, "Grace")]), ([seen(1, LEFT, "Ada")], [seen(2, LEFT, "Ada")])
    ) == [(Kind.CONFUSED, "Ada", "Ada")]


def test_faces_without_names_are_told_apart_too() -> None:
    assert paired(([seen(1, LEFT)], [seen(2, LEFT, unknown=True)])) == [(Kind.JUDGED, None, None)]
    assert paired(([seen(1, LEFT)], [seen(2, RIGHT)])) == [
        (Kind.UNSEEN, None, None),
        (Kind.SEEN, None, None),
    ]
    assert paired(([seen(1, LEFT)], [seen(2, LEFT)])) == [(Kind.SAME, None, None)]


def test_two_people_are_paired_by_where_they_are_and_not_by_their_numbers() -> None:
    old = [seen(1, LEFT, "Ada"), seen(2, RIGHT, "Grace")]
    new = [seen(1, RIGHT, "Grace"), seen(2, LEFT, "Ada")]
    assert paired((old, new)) == [(Kind.SAME, "Ada", "Ada"), (Kind.SAME, "Grace", "Grace")]


def test_a_sighting_that_breaks_in_two_is_not_news() -> None:
    assert paired(
        ([seen(1, LEFT, "Ada")], [seen(1, LEFT, "Ada")]),
        ([seen(1, LEFT, "Ada")], []),
        ([seen(1, LEFT, "Ada")], [seen(2, LEFT, "Ada")]),
    ) == [(Kind.SAME, "Ada", "Ada"), (Kind.SAME, "Ada", "Ada")]


def test_other_settings_are_laid_over_the_recorded_ones(tmp_path: Path) -> None:
    recorded = Settings.model_validate({"recognition": {"decide_at": 0.8, "every_ms": 200}})
    other = tmp_path / "other.yaml"
    other.write_text("recognition:\n  decide_at: 0.95\ndisplay:\n  port: 1\n")
    made = other_settings(recorded, other)
    assert (made.recognition.decide_at, made.recognition.every_ms) == (0.95, 200)
    assert changes(recorded, made) == {"recognition.decide_at": (0.8, 0.95)}
    other.write_text("recognition:\n  decide_att: 0.95\n")
    with pytest.raises(ConfigError, match="did you mean decide_at"):
        other_settings(recorded, other)


def test_the_same_settings_find_the_same(recorded: Recorded, archive: Archive, tmp_path: Path) -> None:
    other = tmp_path / "same.yaml"
    other.write_text("display:\n  port: 9999\n")
    findings = compare(archive, Selection(str(recorded.folder)), other, list(CAMERAS))
    assert findings.changes == {}
    assert len(findings.pairs) > 5
    assert {pair.kind for pair in findings.pairs} == {Kind.SAME}
    assert "change nothing that what is seen hangs on" in sentence(findings, other)


def test_a_gallery_without_people_misses_everyone_and_the_page_shows_whom(
    recorded: Recorded, archive: Archive, tmp_path: Path
) -> None:
    other, html = tmp_path / "nobody <b>.yaml", tmp_path / "report.html"
    other.write_text(f"recognition:\n  gallery: {tmp_path}/none.sqlite3\nunmasking:\n  enabled: false\n")
    findings = compare(archive, Selection(str(recorded.folder)), other, list(CAMERAS))
    assert set(findings.changes) == {"recognition.gallery", "unmasking.enabled"}
    assert any("there is no gallery here, so nobody can be named" in note for note in findings.notes)
    assert not (tmp_path / "none.sqlite3").exists()
    missed = [pair for pair in findings.pairs if pair.kind is Kind.MISSED]
    assert missed
    assert {pair.recorded.person for pair in missed if pair.recorded} <= {"Barack Obama", "Joe Biden"}
    assert findings.count(Kind.FOUND) == 0
    said = sentence(findings, other)
    assert f"{findings.frames} frames (the frames that were processed live) of gate, yard" in said
    assert "unmasking.enabled false instead of true" in said
    assert f"{len(missed)} missed" in said
    write_page(findings, other, html)
    assert stat.S_IMODE(html.stat().st_mode) == 0o600
    text = html.read_text()
    assert text == page(findings, other)
    assert "<script" not in text
    assert "<b>.yaml" not in text
    assert text.count("<svg") == len(CAMERAS)
    assert not re.search(r'(src|href)="(?!data:)', text)
    assert text.count("data:image/jpeg;base64,/9j/") == sum(
        pair.kind is not Kind.SAME for pair in findings.pairs
    )


def test_another_generator_runs_and_is_said_to_be_unknown_to_the_calibration(
    recorded: Recorded, archive: Archive, tmp_path: Path
) -> None:
    proto = onnx.load(str(WEIGHTS / "unmask.onnx"))
    proto.doc_string = "another one"
    onnx.save(proto, str(tmp_path / "mine.onnx"))
    other = tmp_path / "other.yaml"
    other.write_text(f"unmasking:\n  generator: {tmp_path}/mine.onnx\n")
    first = min(next(iter(archive.frames(camera, 0, 1 << 62))).wall_ns for camera in CAMERAS)
    short = Selection(str(recorded.folder), to_ns=first + 1_500_000_000)
    findings = compare(archive, short, other, list(CAMERAS))
    assert set(findings.changes) == {"unmasking.generator"}
    assert any("the calibration does not know this unmasking network" in note for note in findings.notes)
    other.write_text(f"unmasking:\n  generator: {tmp_path}/none.onnx\n")
    with pytest.raises(ReplayError, match=r"none\.onnx is not a whole ONNX file"):
        compare(archive, short, other, list(CAMERAS))


def test_a_time_without_footage_is_said_to_have_none(
    recorded: Recorded, archive: Archive, tmp_path: Path
) -> None:
    (tmp_path / "other.yaml").write_text("")
    with pytest.raises(ReplayError, match="no footage"):
        compare(archive, Selection(str(recorded.folder), to_ns=1), tmp_path / "other.yaml", list(CAMERAS))
