"""Files: what is played, at which pace, and what is said of those that are not whole."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from capture_helpers import encode, fingerprint, fingerprints

from stream.capture.file import FileSource
from stream.capture.source import Picture, SourceRefused


@contextmanager
def playing(path: Path | str, paced: bool = False, skip: int = 0) -> Iterator[FileSource]:
    source = FileSource(str(path), lambda: True, paced, skip)
    try:
        yield source
    finally:
        source.close()


def play(path: Path | str, paced: bool = False, skip: int = 0) -> tuple[list[Picture], FileSource]:
    with playing(path, paced, skip) as source:
        return list(source.pictures()), source


def refusal(path: Path | str) -> str:
    with pytest.raises(SourceRefused) as caught:
        play(path)
    return str(caught.value)


@pytest.mark.parametrize("kind", ["mp4", "mkv", "ts"])
@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_every_picture_of_a_recording_is_given(kind: str, codec: str, tmp_path: Path) -> None:
    clip = encode(tmp_path / f"clip.{kind}", codec, count=30)
    pictures, source = play(clip)
    assert [fingerprint(p.i420) for p in pictures] == _in_order(clip)
    assert [round(p.media_ns / 1e6) for p in pictures] == [40 * number for number in range(30)]
    assert (source.facts.note, source.facts.corrupt) == ("", 0)


def _in_order(clip: Path) -> list[str]:
    with av.open(str(clip)) as container:
        return [fingerprint(frame.to_ndarray(format="yuv420p")) for frame in container.decode(video=0)]


def test_an_address_with_escapes_is_a_path_too(tmp_path: Path) -> None:
    clip = encode(tmp_path / "main street#1.mp4", count=3)
    assert len(play(clip)[0]) == 3
    assert len(play(f"file://{tmp_path}/main%20street%231.mp4")[0]) == 3


def test_two_readings_give_the_same_pictures_and_times(clips: dict[str, Path]) -> None:
    first, second = (
        [(fingerprint(p.i420), p.media_ns, p.wall_ns) for p in play(clips["h265"])[0]] for _ in range(2)
    )
    assert first == second


def test_a_paced_recording_takes_as_long_as_it_lasts(tmp_path: Path) -> None:
    clip = encode(tmp_path / "clip.mp4", count=21, rate=20)
    began = time.monotonic()
    pictures, _ = play(clip, paced=True)
    assert 0.95 < time.monotonic() - began < 1.5
    steps = [b.received_ns - a.received_ns for a, b in pairwise(pictures)]
    assert sorted(steps)[len(steps) // 2] == pytest.approx(50_000_000, abs=10_000_000)


def test_uneven_times_are_kept(tmp_path: Path) -> None:
    times = [0, 40, 400, 410, 900]
    pictures, _ = play(encode(tmp_path / "clip.mkv", count=5, times=times))
    assert [round(p.media_ns / 1e6) for p in pictures] == times


def test_b_pictures_are_shown_in_their_order(tmp_path: Path) -> None:
    clip = encode(tmp_path / "clip.mp4", b_frames=2, count=20)
    pictures, _ = play(clip)
    assert [fingerprint(p.i420) for p in pictures] == _in_order(clip)
    assert [round(p.media_ns / 1e6) for p in pictures] == [40 * number for number in range(20)]


def test_pictures_already_given_can_be_passed_over(clips: dict[str, Path]) -> None:
    whole, rest = play(clips["h264"])[0], play(clips["h264"], skip=20)[0]
    assert [(p.media_ns, fingerprint(p.i420)) for p in rest] == [
        (p.media_ns, fingerprint(p.i420)) for p in whole[20:]
    ]


def test_full_range_and_other_layouts_are_converted(tmp_path: Path) -> None:
    clip = encode(tmp_path / "clip.mp4", count=3, pixels="yuv444p")
    pictures, _ = play(clip)
    assert [p.i420.shape for p in pictures] == [(360, 320)] * 3


def test_a_recording_made_upright_is_shown_upright(clips: dict[str, Path], tmp_path: Path) -> None:
    clip = tmp_path / "upright.mp4"
    _copy_turned(clips["h264"], clip)
    with av.open(str(clip)) as container:
        degrees = next(container.decode(video=0)).rotation
    assert degrees in (90, -90)
    turned, flat = play(clip)[0][0], play(clips["h264"])[0][0]
    assert (turned.width, turned.height) == (240, 320)
    assert np.array_equal(turned.i420[:320], np.rot90(flat.i420[:240], degrees // 90))


def _copy_turned(source: Path, target: Path) -> None:
    """The same recording with a matrix that turns it by a quarter, written into its track header."""
    data = bytearray(source.read_bytes())
    place = data.index(b"tkhd") + 4 + 40  # version 0: the matrix comes 40 bytes behind the box's name
    one, quarter = 0x00010000, [0, 0x00010000, 0, 0xFFFF0000, 0, 0, 0, 0, 0x40000000]
    assert int.from_bytes(data[place : place + 4], "big") == one
    data[place : place + 36] = b"".join(value.to_bytes(4, "big") for value in quarter)
    target.write_bytes(data)


def test_the_wall_clock_is_that_of_the_recording(clips: dict[str, Path], tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(clips["h264"].read_bytes())
    os.utime(clip, ns=(0, 1_700_000_002_000_000_000))  # when its last byte was written
    pictures, _ = play(clip)
    assert [p.wall_ns for p in pictures[:2]] == [1_700_000_000_000_000_000, 1_700_000_000_040_000_000]


# Recordings that are not whole


@pytest.mark.parametrize("kind", ["mkv", "mp4"])
def test_a_recording_that_was_cut_short_plays_what_is_there_and_says_so(kind: str, tmp_path: Path) -> None:
    options = {"movflags": "faststart"} if kind == "mp4" else {}
    whole = encode(tmp_path / f"whole.{kind}", count=100, options=options)
    cut = tmp_path / f"cut.{kind}"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    pictures, source = play(cut)
    assert 20 < len(pictures) < 80
    known = fingerprints(whole)
    assert all(fingerprint(p.i420) in known for p in pictures)
    played = len(pictures) / 25
    assert source.facts.note == f"cut.{kind} is cut short: it should last 4.0 s; played to {played:.1f} s"


def test_a_recording_without_its_index(clips: dict[str, Path], tmp_path: Path) -> None:
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(clips["h264"].read_bytes()[:20_000])
    assert (
        refusal(cut)
        == f"{cut} is cut short: the end of the file, where this kind keeps its index, is missing"
    )


def test_damage_in_the_middle_costs_pictures_until_the_next_key_picture(tmp_path: Path) -> None:
    clip = encode(tmp_path / "clip.ts", count=50)
    data = bytearray(clip.read_bytes())
    middle = len(data) // 2 // 188 * 188
    for packet in range(middle, middle + 10 * 188, 188):
        data[packet + 20 : packet + 180] = os.urandom(160)
    clip.write_bytes(data)
    pictures, source = play(clip)
    assert source.facts.corrupt > 0
    assert 30 <= len(pictures) < 50
    assert round(pictures[-1].media_ns / 1e6) == 49 * 40


def write_text(path: Path) -> None:
    path.write_text("this is no video\n" * 100)


def write_noise(path: Path) -> None:
    path.write_bytes(np.random.default_rng(1).bytes(50_000))


def write_picture(path: Path) -> None:
    with av.open(str(path), "w", format="image2") as container:
        stream = container.add_stream("png", rate=1)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "rgb24"
        container.mux(
            stream.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24"))
        )


def write_playlist(path: Path) -> None:
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n/etc/passwd\n#EXT-X-ENDLIST\n")


def write_script(path: Path) -> None:
    path.write_text("ffconcat version 1.0\nfile other.mp4\n")


@pytest.mark.parametrize("write", [write_text, write_noise, write_picture, write_playlist, write_script])
def test_a_file_that_is_not_a_video(write: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "thing.png"
    write(path)
    assert refusal(path) == f"{path} is not a video that can be read"


def test_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "empty.mp4"
    path.touch()
    assert refusal(path) == f"{path} is empty"


def test_sound_only(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 8000, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert refusal(path) == f"{path} carries no picture, only sound (AAC)"


def test_no_file_a_folder_and_a_file_of_somebody_else(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.mp4") == f"{tmp_path}/none.mp4: there is no such file"
    assert refusal(tmp_path) == f"{tmp_path} is not a file: a recording is needed"
