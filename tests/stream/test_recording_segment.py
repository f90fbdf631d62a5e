"""A segment on the disk: what a player makes of it, whole, cut off anywhere, and on a disk without room."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import av
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recording_helpers import make_clip, packets_of, played

from stream.messages import Packet
from stream.recording.mp4.segment import CannotRecord, Segment, decoding_times, format_of, new_file


def written(folder: Path, packets: list[Packet]) -> Path:
    segment = Segment(new_file(folder, "door", packets[0].wall_ns), format_of(packets[0]), packets[0])
    for packet in packets:
        segment.add(packet)
    segment.flush()
    segment.close()
    assert segment.path.stat().st_size == segment.bytes
    assert segment.frames == len(packets) == len(segment.clock_pairs)
    return segment.path


@pytest.mark.parametrize(
    ("codec", "b_frames", "pixels"),
    [
        ("libx264", 0, "yuv420p"),
        ("libx264", 3, "yuv420p"),
        ("libx264", 0, "yuv444p"),
        ("libx265", 0, "yuv420p"),
        ("libx265", 4, "yuv420p"),
        ("mjpeg", 0, "yuvj420p"),
        ("mpeg4", 0, "yuv420p"),
    ],
)
def test_a_player_shows_every_picture_as_it_was_at_exactly_its_time(
    codec: str, b_frames: int, pixels: str, tmp_path: Path
) -> None:
    clip = make_clip(
        tmp_path / ("clip.mkv" if codec == "mjpeg" else "clip.mp4"), codec, 60, b_frames, pixels=pixels
    )
    packets = packets_of(clip)
    path = written(tmp_path, packets)
    original, recorded = played(clip), played(path)
    assert [picture for _, picture in recorded] == [picture for _, picture in original]
    assert [time for time, _ in recorded] == sorted(packet.media_ns // 1000 for packet in packets)
    with av.open(str(path)) as container:
        track = container.streams.video[0]
        assert (track.codec_context.width, track.codec_context.height) == (192, 128)
        times = [packet.dts for packet in container.demux(track) if packet.size]
        assert all(before < after for before, after in itertools.pairwise(times))


def test_a_file_cut_off_at_any_byte_plays_up_to_the_last_whole_fragment(tmp_path: Path) -> None:
    packets = packets_of(make_clip(tmp_path / "clip.mp4", count=60, b_frames=2))
    path = written(tmp_path, packets)
    whole, pictures = path.read_bytes(), played(path)
    ends = [0]
    while (at := whole.find(b"mdat", ends[-1])) >= 0:
        ends.append(at - 4 + int.from_bytes(whole[at - 4 : at], "big"))
    assert len(ends) == 5, "2.4 seconds in fragments of 0.6 s"
    cut = tmp_path / "cut.mp4"
    for size in (*ends[1:], ends[1] + 1, ends[2] - 1, ends[2] + 100, ends[3] + 2000):
        cut.write_bytes(whole[:size])
        fragments = sum(end <= size for end in ends[1:])
        shown = played(cut)
        least = sorted(packet.media_ns for packet in packets)[14 * fragments]
        assert shown[-1][0] * 1000 >= least - 40_000_000
        assert shown == pictures[: len(shown)]


def test_what_is_added_is_on_the_disk_within_a_second_of_video(tmp_path: Path) -> None:
    packets = packets_of(make_clip(tmp_path / "clip.mp4", count=60))
    segment = Segment(new_file(tmp_path, "door", 0), format_of(packets[0]), packets[0])
    for number, packet in enumerate(packets):
        segment.add(packet)
        on_disk = len(played(segment.path)) if segment.frames else 0
        assert number + 1 - on_disk <= 16
    segment.close()


def test_the_name_tells_the_time_in_utc_and_is_never_used_twice(tmp_path: Path) -> None:
    noon = 1_774_742_399_125_000_000  # a second before the clocks of Europe go forward
    first = new_file(tmp_path, "door", noon)
    first.touch()
    second = new_file(tmp_path, "door", noon)
    assert first.relative_to(tmp_path) == Path("door/2026-03-28/235959-125Z.mp4")
    assert second.relative_to(tmp_path) == Path("door/2026-03-28/235959-125Z-2.mp4")


def test_what_cannot_be_recorded_is_said(tmp_path: Path) -> None:
    packet = packets_of(make_clip(tmp_path / "clip.mp4", count=2))[0]
    for changes, sentence in (
        ({"codec": "rawvideo"}, "rawvideo: no codec that can be recorded"),
        ({"data": packet.data[:9], "parameter_sets": b""}, "h264: a key picture came without its parameter"),
        ({"parameter_sets": b"\0\0\0\1\x67\x64", "data": b""}, "h264: a parameter set is cut short"),
    ):
        with pytest.raises(CannotRecord, match=sentence):
            format_of(msgspec.structs.replace(packet, **changes))


@given(data=st.binary(max_size=60), codec=st.sampled_from(["h264", "hevc"]))
def test_parameter_sets_that_are_garbage_are_refused_and_never_hang(data: bytes, codec: str) -> None:
    heads = b"\0\0\1\x67" + data + b"\0\0\1\x68" + data
    if codec == "hevc":
        heads = b"\0\0\1\x42\1" + data + b"\0\0\1\x44\1" + data + b"\0\0\1\x40\1\0\0"
    packet = Packet("door", 1, codec, heads, b"", True, 0, 0, "here", 0, 0, 0)
    try:
        assert format_of(packet).sps
    except CannotRecord as error:
        assert str(error)


@given(shown=st.lists(st.integers(0, 10_000_000), min_size=1, max_size=40), after=st.integers(-1, 5_000_000))
def test_decoding_times_always_grow_whatever_the_order_of_the_pictures(shown: list[int], after: int) -> None:
    times = decoding_times(shown, after)
    assert len(times) == len(shown)
    assert all(one < other for one, other in itertools.pairwise([after, *times]))


def test_no_picture_is_decoded_after_it_is_shown() -> None:
    step = 40_000
    for order in ([0, 1, 2, 3], [0, 3, 1, 2, 6, 4, 5, 7], [0, 8, 4, 2, 1, 3, 6, 5, 7, 12, 10, 9, 11]):
        shown = [number * step for number in order]
        assert all(decoded <= when for decoded, when in zip(decoding_times(shown, -1), shown, strict=True))


def test_a_file_that_may_grow_no_further_keeps_what_is_in_it(tmp_path: Path) -> None:
    """The limit holds for a whole process, so another one writes."""
    clip = make_clip(tmp_path / "clip.mp4", count=60)
    source = (
        "import sys, resource; sys.path.insert(0, sys.argv[1]);"
        "from pathlib import Path; from recording_helpers import packets_of;"
        "from stream.recording.mp4.segment import Segment, format_of, new_file;"
        "folder = Path(sys.argv[2]); packets = packets_of(folder / 'clip.mp4');"
        "path = new_file(folder, 'door', 0); segment = Segment(path, format_of(packets[0]), packets[0]);"
        "limit = int(sys.argv[3]); resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))\n"
        "try:\n"
        "    for packet in packets: segment.add(packet)\n"
        "except OSError as error: print(error.errno, segment.frames, path)"
    )
    limit = clip.stat().st_size // 2
    done = subprocess.run(
        [sys.executable, "-c", source, str(Path(__file__).parent), str(tmp_path), str(limit)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    number, frames, path = done.stdout.split()
    assert number == "27"  # EFBIG
    shown = played(Path(path))
    assert len(shown) == int(frames) > 0
    assert shown == played(clip)[: len(shown)]
