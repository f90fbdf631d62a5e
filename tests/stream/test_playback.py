"""Recorded pictures come back exactly, with their own annotations, from any moment on, whatever became of the files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from footage_maker import (
    FRAME_NS,
    Clip,
    add_segment,
    annotate,
    encode,
    media_ns,
    wall_ns,
)

from stream.archive.archive import Archive
from stream.recording.mp4.fragments import Fragments
from stream.replay.playback import Playback, PlayedFrame


@pytest.fixture(scope="module")
def clip() -> Clip:
    return encode(60, gop=20)


@pytest.fixture(scope="module")
def reordered() -> Clip:
    return encode(60, gop=20, b_frames=2)


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with Archive.open(tmp_path / "recordings", write=True) as made:
        yield made


@pytest.fixture
def run(archive: Archive) -> int:
    return archive.begin_run(0, "test", {}, {})


def numbers(frames: list[PlayedFrame]) -> list[int]:
    return [round(frame.media_ns / FRAME_NS) for frame in frames]


def assert_exact(frames: list[PlayedFrame], clip: Clip, wanted: list[int]) -> None:
    assert [(frame.media_ns, frame.wall_ns) for frame in frames] == [
        (media_ns(number), wall_ns(number)) for number in wanted
    ]
    for frame, number in zip(frames, wanted, strict=True):
        np.testing.assert_array_equal(frame.i420, clip.pictures[number], f"picture {number}")


@pytest.mark.parametrize(("codec", "b_frames"), [("h264", 0), ("h264", 3), ("hevc", 0), ("hevc", 3)])
def test_every_picture_comes_back_bit_for_bit_in_order_with_its_own_times(
    archive: Archive, run: int, codec: str, b_frames: int
) -> None:
    clip = encode(45, 15, codec, b_frames)
    add_segment(archive, run, "gate", clip, clip.shots, "a.mp4")
    assert_exact(list(Playback(archive, "gate").frames()), clip, list(range(45)))


def test_an_annotation_is_on_the_picture_it_was_made_of_and_on_no_other(
    archive: Archive, run: int, reordered: Clip
) -> None:
    add_segment(archive, run, "gate", reordered, reordered.shots, "a.mp4")
    seen = [0, 3, 4, 11, 29, 58]
    annotate(archive, run, "gate", seen, reordered)
    frames = list(Playback(archive, "gate").frames())
    found = {
        number: frame.annotation.faces[0].track
        for number, frame in enumerate(frames)
        if frame.annotation is not None
    }
    assert found == {number: number for number in seen}
    only = list(Playback(archive, "gate").frames(annotated_only=True))
    assert_exact(only, reordered, seen)


def test_annotations_of_another_run_with_the_same_media_times_stay_with_that_run(
    archive: Archive, run: int, clip: Clip
) -> None:
    other = archive.begin_run(1, "test", {}, {})
    add_segment(archive, run, "gate", clip, clip.shots, "a.mp4")
    add_segment(archive, other, "gate", clip, clip.shots, "b.mp4", connection=2)
    annotate(archive, other, "gate", [5], clip)
    annotated = [frame for frame in Playback(archive, "gate").frames() if frame.annotation]
    assert [frame.segment.run for frame in annotated] == [other]


@pytest.mark.parametrize("first", [0, 1, 19, 20, 37, 59])
def test_playing_can_begin_at_any_picture_and_end_at_any(
    archive: Archive, run: int, reordered: Clip, first: int
) -> None:
    add_segment(archive, run, "gate", reordered, reordered.shots, "a.mp4")
    frames = list(Playback(archive, "gate").frames(wall_ns(first), wall_ns(first + 7)))
    assert_exact(frames, reordered, list(range(first, min(first + 7, 60))))


def test_only_the_group_of_pictures_that_is_needed_is_decoded(
    archive: Archive, run: int, clip: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_segment(archive, run, "gate", clip, clip.shots, "a.mp4")
    read: list[int] = []
    data = Fragments.data
    monkeypatch.setattr(
        Fragments, "data", lambda self, sample, file: read.append(sample.offset) or data(self, sample, file)
    )
    next(Playback(archive, "gate").frames(wall_ns(45)))
    assert len(read) <= 20


def test_pictures_go_on_over_the_seam_of_two_segments_and_over_a_gap(
    archive: Archive, run: int, reordered: Clip
) -> None:
    shots = reordered.shots
    add_segment(archive, run, "gate", reordered, shots[:20], "a.mp4")
    add_segment(archive, run, "gate", reordered, shots[20:40], "b.mp4")
    assert_exact(list(Playback(archive, "gate").frames()), reordered, list(range(40)))
    (archive.folder / "b.mp4").unlink()
    add_segment(archive, run, "gate", reordered, shots[40:], "c.mp4")
    playback = Playback(archive, "gate")
    assert_exact(list(playback.frames()), reordered, [*range(20), *range(40, 60)])
    assert len(playback.notes) == 1
    assert playback.notes[0].startswith("b.mp4: cannot be played")


def test_a_segment_that_changes_its_codec_and_size_plays_on(archive: Archive, run: int, clip: Clip) -> None:
    other = encode(20, 20, "hevc", size=(256, 128))
    add_segment(archive, run, "gate", clip, clip.shots, "a.mp4")
    for shot in other.shots:
        shot.number += 60
    other.pictures = {number + 60: picture for number, picture in other.pictures.items()}
    add_segment(archive, run, "gate", other, other.shots, "b.mp4", connection=2)
    frames = list(Playback(archive, "gate").frames())
    assert_exact(frames[:60], clip, list(range(60)))
    assert_exact(frames[60:], other, list(range(60, 80)))
    assert {(frame.width, frame.height) for frame in frames[60:]} == {(256, 128)}


@pytest.mark.parametrize("cut", [1, 100, 5000])
def test_a_file_that_ends_in_the_middle_plays_to_its_last_whole_fragment(
    archive: Archive, run: int, clip: Clip, cut: int
) -> None:
    add_segment(archive, run, "gate", clip, clip.shots, "a.mp4")
    path = archive.folder / "a.mp4"
    last = Fragments(path).samples[-1]
    path.write_bytes(path.read_bytes()[: last.offset + last.size - cut])
    whole = [sample for sample in Fragments(path).samples if sample.offset < last.offset]
    assert 20 < len(whole) < 60
    assert_exact(list(Playback(archive, "gate").frames()), clip, list(range(len(whole))))


def test_a_recording_plays_while_the_recorder_still_writes_it(
    archive: Archive, run: int, clip: Clip, tmp_path: Path
) -> None:
    add_segment(archive, run, "gate", clip, clip.shots, "a.mp4", clocked=20)
    growing = archive.folder / "a.mp4"
    whole = growing.read_bytes()
    fragments = [found.start() - 4 for found in re.finditer(b"moof", whole)]
    played = []
    for end in [*fragments[1:], len(whole)]:
        growing.write_bytes(whole[: end + 50])
        played.append(numbers(list(Playback(archive, "gate").frames())))
    assert len(played) >= 3
    assert played == [list(range(len(seen))) for seen in played]
    assert [len(seen) for seen in played] == sorted({len(seen) for seen in played})
    assert len(played[-1]) == 60


def test_pictures_behind_a_damaged_place_are_shown_and_none_with_faults(
    archive: Archive, run: int, clip: Clip
) -> None:
    add_segment(archive, run, "gate", clip, clip.shots, "a.mp4")
    path = archive.folder / "a.mp4"
    content = bytearray(path.read_bytes())
    hit = Fragments(path).samples[25]
    content[hit.offset : hit.offset + 60] = b"\xff" * 60
    path.write_bytes(content)
    playback = Playback(archive, "gate")
    assert_exact(list(playback.frames()), clip, [*range(25), *range(40, 60)])
    assert "damaged" in playback.notes[0]


@pytest.mark.parametrize("number", [0, 1])
def test_a_fragment_whose_head_is_destroyed_costs_what_refers_to_it_and_no_more(
    archive: Archive, run: int, clip: Clip, number: int
) -> None:
    add_segment(archive, run, "gate", clip, clip.shots, "a.mp4")
    path = archive.folder / "a.mp4"
    content = bytearray(path.read_bytes())
    head = [found.start() - 4 for found in re.finditer(b"moof", content)][number]
    content[head : head + 24] = bytes(24)
    path.write_bytes(content)
    annotate(archive, run, "gate", [45], clip)
    frames = list(Playback(archive, "gate").frames())
    before = [] if number == 0 else list(range(numbers(frames).index(40)))
    assert_exact(frames, clip, [*before, *range(20 if number == 0 else 40, 60)])
    assert [numbers([frame]) for frame in frames if frame.annotation] == [[45]]


def test_a_clock_set_back_an_hour_loses_no_picture_and_keeps_annotations_right(
    archive: Archive, run: int, clip: Clip
) -> None:
    add_segment(archive, run, "gate", clip, clip.shots[:40], "a.mp4")
    add_segment(archive, run, "gate", clip, clip.shots[40:], "b.mp4", wall_shift_ns=-3_600_000_000_000)
    frames = list(Playback(archive, "gate").frames())
    assert numbers(frames) == list(range(60))
    assert frames[40].wall_ns == wall_ns(40) - 3_600_000_000_000


def test_what_is_no_recording_is_said_to_be_none(
    archive: Archive, run: int, clip: Clip, tmp_path: Path
) -> None:
    add_segment(archive, run, "gate", clip, clip.shots, "a.mp4")
    (archive.folder / "a.mp4").write_bytes(b"this is not a video" * 100)
    playback = Playback(archive, "gate")
    assert list(playback.frames()) == []
    assert "must begin as an MP4" in playback.notes[0]
