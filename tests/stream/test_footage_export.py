"""Footage to hand over: exact packets, names on their frames, strangers hidden for good, and a line in the log."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from footage_maker import FRAME_NS, Clip, add_segment, annotate, encode, face, media_ns, wall_ns
from msgspec.structs import replace
from numpy.typing import NDArray

from stream.archive.archive import Archive
from stream.capture.cover import Cover
from stream.messages import TrackedFace
from stream.recording.mp4.fragments import Fragments
from stream.replay.anonymise import hide
from stream.replay.export import Exported, ExportError, Style, export
from stream.replay.playback import Playback

BOX = (90.0, 50.0, 150.0, 130.0)


@pytest.fixture(scope="module")
def clip() -> Clip:
    return encode(100, gop=20)


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with Archive.open(tmp_path / "recordings", write=True, actor="Ada") as made:
        yield made


@pytest.fixture
def run(archive: Archive, clip: Clip) -> int:
    made = archive.begin_run(0, "test", {}, {})
    add_segment(archive, made, "gate", clip, clip.shots[:60], "a.mp4")
    add_segment(archive, made, "gate", clip, clip.shots[60:], "b.mp4")
    return made


def exported(archive: Archive, first: int, end: int, path: Path, style: Style) -> Exported:
    return export(archive, "gate", wall_ns(first), wall_ns(end), path, style)


def pictures(path: Path) -> list[tuple[int, NDArray[np.uint8]]]:
    """(time in microseconds, BGR) of every picture."""
    with av.open(str(path)) as container:
        track = container.streams.video[0]
        return [
            (round(frame.pts * track.time_base * 1_000_000), frame.to_ndarray(format="bgr24"))
            for frame in container.decode(track)
        ]


def detail(picture: NDArray[np.uint8], box: tuple[float, float, float, float]) -> float:
    """How much there is to see in a box: the mean difference of neighbouring pixels."""
    x1, y1, x2, y2 = (round(value) for value in box)
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)[y1:y2, x1:x2].astype(float)
    return float(np.abs(np.diff(grey, axis=1)).mean())


def named(track: int, name: str) -> TrackedFace:
    return replace(face(track, BOX), decision="person", person=name, probability=0.97)


def test_plain_holds_the_cameras_own_packets_from_the_key_picture_before(
    archive: Archive, run: int, clip: Clip, tmp_path: Path
) -> None:
    done = exported(archive, 47, 85, tmp_path / "out.mp4", Style.PLAIN)
    assert (done.frames, done.began_ns) == (45, wall_ns(40))
    found = pictures(tmp_path / "out.mp4")
    assert [at for at, _ in found] == [round(n * FRAME_NS / 1000) for n in range(45)]
    with av.open(str(tmp_path / "out.mp4")) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    with (archive.folder / "a.mp4").open("rb") as file:
        index = Fragments(archive.folder / "a.mp4")
        assert packets[:20] == [index.raw(sample, file) for sample in index.samples[40:]]
    with av.open(str(tmp_path / "out.mp4")) as container:
        for number, frame in enumerate(container.decode(video=0), 40):
            np.testing.assert_array_equal(frame.to_ndarray(), clip.pictures[number])


def test_plain_keeps_the_order_of_b_frames(archive: Archive, tmp_path: Path) -> None:
    clip = encode(40, 20, b_frames=3)
    run = archive.begin_run(0, "test", {}, {})
    add_segment(archive, run, "gate", clip, clip.shots, "a.mp4")
    exported(archive, 0, 40, tmp_path / "out.mp4", Style.PLAIN)
    with av.open(str(tmp_path / "out.mp4")) as container:
        for number, frame in enumerate(container.decode(video=0)):
            np.testing.assert_array_equal(frame.to_ndarray(), clip.pictures[number])
    assert number == 39


def test_plain_refuses_to_join_two_formats(archive: Archive, run: int, tmp_path: Path) -> None:
    other = encode(20, 20, size=(256, 128))
    for shot in other.shots:
        shot.number += 100
    add_segment(archive, run, "gate", other, other.shots, "c.mp4", connection=2)
    with pytest.raises(ExportError, match="format changed at"):
        exported(archive, 90, 110, tmp_path / "out.mp4", Style.PLAIN)
    assert list(tmp_path.glob("out*")) == []


def test_names_are_drawn_on_their_own_frames_and_at_their_times(
    archive: Archive, run: int, clip: Clip, tmp_path: Path
) -> None:
    seen = list(range(10, 90, 3))
    annotate(archive, run, "gate", seen, clip, faces=lambda number: (named(1, "Grace Hopper"),))
    done = exported(archive, 12, 40, tmp_path / "out.mp4", Style.NAMES)
    shown = [number for number in seen if 12 <= number < 40]
    assert done.frames == len(shown)
    found = pictures(tmp_path / "out.mp4")
    assert [at for at, _ in found] == [
        round((media_ns(number) - media_ns(shown[0])) / 1000) for number in shown
    ]
    for _, picture in found:
        green = picture[..., 1].astype(int) - picture[..., 2]
        assert (green[48:132, 88:152] > 40).sum() > 100, "no box"


def test_a_stranger_is_hidden_on_every_frame_also_before_between_and_after_the_finds(
    archive: Archive, run: int, clip: Clip, tmp_path: Path
) -> None:
    looked = list(range(0, 100, 5))
    seen = {30, 35, 40, 55}
    annotate(
        archive, run, "gate", looked, clip, faces=lambda number: (face(1, BOX),) if number in seen else ()
    )
    exported(archive, 0, 100, tmp_path / "out.mp4", Style.BLUR_OTHERS)
    found = pictures(tmp_path / "out.mp4")
    assert len(found) == 100
    originals = [frame.bgr() for frame in Playback(archive, "gate").frames()]
    hidden = [
        detail(picture, BOX) < 0.25 * detail(original, BOX)
        for (_, picture), original in zip(found, originals, strict=True)
    ]
    assert all(hidden[10:76])  # a second on both sides of the finds, and all that lies between
    assert not any(hidden[:3])
    assert not any(hidden[85:])
    elsewhere = (200.0, 100.0, 300.0, 180.0)
    assert detail(found[40][1], elsewhere) > 0.6 * detail(originals[40], elsewhere)


def test_a_stranger_who_walks_is_hidden_on_the_way_to_the_first_find_and_from_the_last(
    archive: Archive, run: int, clip: Clip, tmp_path: Path
) -> None:
    def box(number: int) -> tuple[float, float, float, float]:
        return 4.0 * (number - 25), 60.0, 4.0 * (number - 25) + 30, 100.0

    annotate(
        archive,
        run,
        "gate",
        list(range(0, 100, 5)),
        clip,
        faces=lambda number: (face(1, box(number)),) if 50 <= number <= 70 else (),
    )
    exported(archive, 0, 100, tmp_path / "out.mp4", Style.BLUR_OTHERS)
    found = pictures(tmp_path / "out.mp4")
    originals = [frame.bgr() for frame in Playback(archive, "gate").frames()]
    for number in range(27, 93):
        before, after = detail(originals[number], box(number)), detail(found[number][1], box(number))
        assert after < 0.25 * before, f"picture {number}"


def test_the_hidden_box_is_a_quarter_larger_than_the_face_to_every_side(
    archive: Archive, run: int, clip: Clip, tmp_path: Path
) -> None:
    annotate(archive, run, "gate", list(range(100)), clip, faces=lambda number: (face(1, BOX),))
    exported(archive, 20, 40, tmp_path / "out.mp4", Style.BLUR_OTHERS)
    original = next(Playback(archive, "gate").frames(wall_ns(20))).bgr()
    (_, picture), *_ = pictures(tmp_path / "out.mp4")
    for strip in ((76, 50, 89, 130), (151, 50, 164, 130), (90, 31, 150, 49), (90, 131, 150, 149)):
        assert detail(picture, strip) < 0.25 * detail(original, strip), strip


def test_an_enrolled_person_is_shown_and_only_while_named(
    archive: Archive, run: int, clip: Clip, tmp_path: Path
) -> None:
    annotate(
        archive,
        run,
        "gate",
        list(range(100)),
        clip,
        faces=lambda number: (named(1, "Grace Hopper") if number >= 40 else face(1, BOX),),
    )
    exported(archive, 0, 100, tmp_path / "out.mp4", Style.BLUR_OTHERS)
    found = [detail(picture, BOX) for _, picture in pictures(tmp_path / "out.mp4")]
    originals = [detail(frame.bgr(), BOX) for frame in Playback(archive, "gate").frames()]
    clear = [now > 0.5 * before for now, before in zip(found, originals, strict=True)]
    assert clear == [False] * 40 + [True] * 60


def test_pictures_that_nobody_looked_at_are_hidden_whole(
    archive: Archive, run: int, clip: Clip, tmp_path: Path
) -> None:
    annotate(archive, run, "gate", [0, 5, 10, 90, 95], clip, faces=lambda number: ())
    exported(archive, 0, 100, tmp_path / "out.mp4", Style.BLUR_OTHERS)
    everything = (0.0, 0.0, 320.0, 192.0)
    found = [detail(picture, everything) for _, picture in pictures(tmp_path / "out.mp4")]
    assert max(found[23:77]) < 0.2 * min(found[:22])
    assert min(found[78:]) > 5 * max(found[23:77])


def test_what_is_hidden_keeps_no_more_than_seven_by_seven_values(clip: Clip) -> None:
    rng = np.random.default_rng(5)
    one = rng.integers(0, 256, (140, 140, 3), np.uint8)
    other = one.copy()
    for y in range(0, 140, 20):  # other pixels, equal averages
        for x in range(0, 140, 20):
            block = other[y : y + 20, x : x + 20].reshape(-1, 3)
            other[y : y + 20, x : x + 20] = rng.permutation(block).reshape(20, 20, 3)
    assert not np.array_equal(one, other)
    hide(one, None)
    hide(other, None)
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("style", list(Style))
def test_an_export_is_logged_with_who_did_it_and_only_its_owner_can_read_it(
    archive: Archive, run: int, clip: Clip, tmp_path: Path, style: Style
) -> None:
    annotate(archive, run, "gate", list(range(0, 100, 2)), clip)
    path = tmp_path / "out.mp4"
    exported(archive, 10, 30, path, style)
    entry = list(archive.audit.entries())[-1]
    assert (entry.action, entry.actor) == ("exported", "Ada")
    assert entry.detail == f"gate from {wall_ns(10)} to {wall_ns(30)}, {style}"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [found.name for found in tmp_path.glob("out*")] == ["out.mp4"]


def test_nothing_is_written_over_and_nothing_is_made_of_nothing(
    archive: Archive, run: int, tmp_path: Path
) -> None:
    (tmp_path / "out.mp4").write_text("mine")
    with pytest.raises(ExportError, match="is there already"):
        exported(archive, 10, 30, tmp_path / "out.mp4", Style.PLAIN)
    assert (tmp_path / "out.mp4").read_text() == "mine"
    with pytest.raises(ExportError, match="gate: nothing was recorded from"):
        exported(archive, 5000, 5010, tmp_path / "other.mp4", Style.PLAIN)
    with pytest.raises(ExportError, match="must end after it begins"):
        exported(archive, 30, 10, tmp_path / "other.mp4", Style.PLAIN)
    assert not (tmp_path / "other.mp4").exists()


def test_a_privacy_zone_is_black_in_what_was_recorded_before_it_was_set(
    archive: Archive, run: int, clip: Clip, tmp_path: Path
) -> None:
    annotate(archive, run, "gate", list(range(10, 20)), clip, faces=lambda number: ())
    cover = Cover([[(0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)]])
    path = tmp_path / "covered.mp4"
    export(archive, "gate", wall_ns(10), wall_ns(20), path, Style.NAMES, cover=cover)
    for _, picture in pictures(path):
        half = picture.shape[1] // 2
        assert picture[:, : half - 8].max() < 12 < picture[:, half + 8 :].mean()
    with pytest.raises(ExportError, match="gate: has a privacy zone"):
        export(archive, "gate", wall_ns(10), wall_ns(20), tmp_path / "plain.mp4", Style.PLAIN, cover=cover)
    assert not (tmp_path / "plain.mp4").exists()
