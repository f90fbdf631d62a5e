import subprocess
import sys

import av
import numpy as np
import pytest

import stream
from stream.exporter import Exporter


def picture(value, width=320, height=180):
    return np.full((height, width, 3), value, np.uint8)


def read(path):
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        frames = [
            (float(frame.pts * frame.time_base), frame.to_ndarray(format="bgr24"))
            for frame in container.decode(video)
        ]
        return frames, container.metadata, (video.width, video.height)


def test_every_picture_keeps_its_time_stamp_to_the_microsecond(tmp_path):
    exporter = Exporter(tmp_path / "out.mp4")
    times = [
        3_000_000,
        43_000_000,
        80_123_456,
        5_900_000_000,
        *(5_900_000_000 + k * 33_366_667 for k in range(1, 40)),
    ]
    for index, media_ns in enumerate(times):
        exporter.write(picture(index * 5), media_ns)
    exporter.close()
    frames, metadata, _ = read(tmp_path / "out.mp4")
    assert [round(at * 1e6) for at, _ in frames] == [round(ns / 1000) for ns in times]
    assert metadata["comment"] == f"Annotated by Unvizard {stream.__version__}"


def test_pictures_come_out_in_order_and_look_as_they_did(tmp_path):
    exporter = Exporter(tmp_path / "out.mp4")
    for index in range(30):
        exporter.write(picture(40 + 6 * index), index * 40_000_000)
    exporter.close()
    frames, _, _ = read(tmp_path / "out.mp4")
    np.testing.assert_allclose(
        [pixels.mean() for _, pixels in frames], [40 + 6 * i for i in range(30)], atol=5
    )


def test_the_file_begins_with_its_index_so_that_it_plays_while_it_loads(tmp_path):
    exporter = Exporter(tmp_path / "out.mp4")
    for index in range(10):
        exporter.write(picture(index), index * 40_000_000)
    exporter.close()
    content = (tmp_path / "out.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


def test_a_file_that_is_not_finished_does_not_have_its_name(tmp_path):
    exporter = Exporter(tmp_path / "out.mp4")
    exporter.write(picture(9), 0)
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4.part"]
    exporter.close()
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


def test_no_picture_makes_no_file(tmp_path):
    Exporter(tmp_path / "out.mp4").close()
    assert list(tmp_path.iterdir()) == []


def test_a_picture_of_another_size_is_fitted_in(tmp_path):
    exporter = Exporter(tmp_path / "out.mp4")
    exporter.write(picture(200), 0)
    exporter.write(picture(200, 640, 480), 40_000_000)
    exporter.write(picture(200, 180, 320), 80_000_000)
    exporter.close()
    frames, _, size = read(tmp_path / "out.mp4")
    assert size == (320, 180) and len(frames) == 3
    wide, tall = frames[1][1], frames[2][1]
    assert wide[90, 160].mean() > 180 and wide[90, 10].mean() < 30
    assert tall[90, 160].mean() > 180 and tall[90, 60].mean() < 30


def test_a_timeline_that_goes_back_is_made_to_go_on(tmp_path):
    exporter = Exporter(tmp_path / "out.mp4")
    for media_ns in (0, 40_000_000, 40_000_000, 10_000_000, 120_000_000):
        exporter.write(picture(50), media_ns)
    exporter.close()
    frames, _, _ = read(tmp_path / "out.mp4")
    assert [round(at * 1e6) for at, _ in frames] == [0, 40_000, 40_001, 40_002, 120_000]


def test_two_recordings_of_the_same_pictures_are_the_same(tmp_path):
    rng = np.random.default_rng(3)
    pictures = rng.integers(0, 255, (20, 90, 160, 3), np.uint8)
    for name in ("a.mp4", "b.mp4"):
        exporter = Exporter(tmp_path / name)
        for index, one in enumerate(pictures):
            exporter.write(one, index * 40_000_000)
        exporter.close()
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_a_place_that_cannot_be_written_to_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        Exporter(tmp_path / "file" / "out.mp4")


FULL_DISK = """
import resource, sys
from pathlib import Path
import numpy as np
from stream.display.recordings import Recordings
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
notes = []
recordings = Recordings(("gate",), Path(sys.argv[1]), notes.append)
noise = np.random.default_rng(1).integers(0, 255, (360, 640, 3), np.uint8)
for index in range(120):
    recordings.write("gate", np.roll(noise, 5 * index, 1), index * 40_000_000)
recordings.close()
print(*notes)
"""


def test_a_disk_that_is_full_ends_the_recording_and_not_the_run(tmp_path):
    path = tmp_path / "out.mp4"
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, path], capture_output=True, text=True, check=True, timeout=60
    )
    assert f"{path}: the annotated recording of gate was given up" in done.stdout
    assert list(tmp_path.iterdir()) == []
