"""A real recording: processed again it gives the same bits, and replayed it shows them on the frames they belong to."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from recorded_run import CAMERAS, Recorded

from engines.recognition.gallery import Gallery
from stream.archive.archive import Archive
from stream.exporter import Exporter
from stream.overlay import draw
from stream.replay.anew import process_anew
from stream.replay.playback import Playback, PlayedFrame, as_live


@pytest.fixture
def archive(recorded: Recorded) -> Iterator[Archive]:
    with Archive.open(recorded.folder) as opened:
        yield opened


def replay(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tools.cli", "replay", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


def pictures(path: Path) -> list[NDArray[np.uint8]]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]


def test_every_frame_of_a_live_run_comes_out_bit_for_bit_the_same(
    recorded: Recorded, archive: Archive
) -> None:
    (run,) = archive.runs()
    batches = list(archive.steps(run.id))
    frames = [frame for batch in batches for _, frame in batch]
    assert any(len(batch) == len(CAMERAS) for batch in batches), "the cameras never shared a step"
    assert any(face.person for frame in frames for face in frame.faces), "nobody was named live"
    done = replay(recorded.folder, "--anew")
    assert done.returncode == 0, done.stderr
    assert f"{len(frames)} of {len(frames)} frames came out bit for bit the same" in done.stdout


def test_another_gallery_is_named_as_the_reason_for_the_first_frame_that_differs(
    recorded: Recorded, archive: Archive, tmp_path: Path
) -> None:
    kept = tmp_path / "gallery"
    shutil.copytree(recorded.gallery.parent, kept, ignore=shutil.ignore_patterns("recordings"))
    with Gallery(recorded.gallery) as gallery:
        before = gallery.version
        gallery.remove("Barack Obama", "test")
    try:
        outcome = process_anew(archive)
    finally:
        for file in recorded.gallery.parent.glob("gallery*"):
            file.unlink()
        shutil.copytree(kept, recorded.gallery.parent, dirs_exist_ok=True)
    assert 0 < outcome.same < outcome.compared
    assert outcome.first is not None
    assert f"gallery: version {before} was matched against live, it is at version" in outcome.first.why[0]
    assert outcome.first.how


def test_frames_whose_footage_is_damaged_are_counted_and_named_as_the_reason(
    recorded: Recorded, tmp_path: Path
) -> None:
    copy = tmp_path / "recordings"
    shutil.copytree(recorded.folder, copy)
    with Archive.open(copy) as archive:
        path = copy / archive.segments("gate")[0].path
        content = bytearray(path.read_bytes())
        # Not the first ones: of those nothing may have been seen yet, while the engines were opened.
        fragments = [found.start() - 4 for found in re.finditer(b"moof", bytes(content))]
        for start in fragments[-3:-1]:
            content[start : start + 16] = bytes(16)
        path.write_bytes(content)
        (run,) = archive.runs()
        frames = sum(map(len, archive.steps(run.id)))
        outcome = process_anew(archive)
    assert outcome.without_footage > 0
    assert outcome.compared + outcome.without_footage == frames
    # Whether frames after the gap come out otherwise hangs on what was to be seen then; if so, this is why.
    assert outcome.first is None or outcome.first.why[0].startswith("missing footage: ")


def test_every_recorded_frame_can_be_processed_once(archive: Archive) -> None:
    recorded = sum(segment.frames for segment in archive.segments())
    first = min(segment.began_ns for segment in archive.segments())
    seen: list[PlayedFrame] = []
    outcome = process_anew(
        archive,
        to_ns=first + 1_500_000_000,
        every=True,
        on_result=lambda frame, result: seen.append(frame),
    )
    assert 50 < outcome.processed == len(seen) < recorded
    assert {frame.camera for frame in seen} == set(CAMERAS)
    assert any(frame.annotation is None for frame in seen)


def test_a_replay_shows_each_processed_frame_with_its_own_annotation(
    recorded: Recorded, archive: Archive, tmp_path: Path
) -> None:
    done = replay(
        recorded.folder, "--camera", "gate", "--output", tmp_path / "out.mp4", "--report", tmp_path / "r.json"
    )
    assert done.returncode == 0, done.stderr
    frames = list(as_live(Playback(archive, "gate").frames()))
    assert sum(frame.annotation is not None for frame in frames) > 5
    expected = Exporter(tmp_path / "expected.mp4")
    for frame in frames:
        picture = frame.bgr()
        draw(picture, frame.annotation.faces if frame.annotation else ())
        expected.write(picture, frame.media_ns)
    expected.close()
    found, wanted = pictures(tmp_path / "out.mp4"), pictures(tmp_path / "expected.mp4")
    assert len(found) == len(wanted) == len(frames)
    for number, (ours, theirs) in enumerate(zip(found, wanted, strict=True)):
        assert np.array_equal(ours, theirs), f"picture {number} is drawn otherwise"
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["cameras"]["gate"]["frames"]["shown"] == len(frames)
    assert report["engines"]["sface"]["backend"]
    assert any(sighting["person"] for sighting in report["cameras"]["gate"]["sightings"])


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--camera", "gatte"], "did you mean gate?"),
        (["--from", "yesterday-ish"], "--from"),
        (["--html", "x.html"], "--html: is for --what-if"),
        (["--anew", "--real-time"], "--real-time: does not go with --anew"),
    ],
)
def test_what_cannot_be_replayed_is_said_in_one_sentence(
    recorded: Recorded, words: list[str], sentence: str
) -> None:
    done = replay(recorded.folder, *words)
    assert done.returncode != 0
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_without_recordings_is_said_to_have_none(tmp_path: Path) -> None:
    done = replay(tmp_path, "--anew")
    assert done.returncode != 0
    assert "there is no archive here" in done.stderr
