"""The frame ring: what is read is what was written, whole, or nothing."""

from __future__ import annotations

import os
import resource
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from stream.ring import FrameRing, Place, RingReader, picture_bytes


def picture(value: int, width: int = 64, height: int = 48) -> NDArray[np.uint8]:
    return np.full((height * 3 // 2, width), value, np.uint8)


def test_a_picture_is_read_as_it_was_written(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    written = rng.integers(0, 256, (72, 64), dtype=np.uint8)
    writer = FrameRing.create(tmp_path / "r", 64, 48)
    place = writer.write(written)
    reader = FrameRing.open(tmp_path / "r")
    read = reader.read(place)
    assert read is not None
    assert np.array_equal(read, written)
    assert (reader.width, reader.height, reader.slots) == (64, 48, 16)


def test_what_was_read_stays_as_it_was_when_the_slot_is_written_again(tmp_path: Path) -> None:
    ring = FrameRing.create(tmp_path / "r", 64, 48, slots=4)
    read = ring.read(ring.write(picture(1)))
    for value in range(2, 10):
        ring.write(picture(value))
    assert read is not None
    assert (read == 1).all()


@given(slots=st.integers(4, 9), writes=st.integers(1, 40), back=st.integers(0, 39))
def test_exactly_the_newest_pictures_can_be_read(slots: int, writes: int, back: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        ring = FrameRing.create(Path(folder) / "r", 2, 2, slots)
        places = [ring.write(picture(n, 2, 2)) for n in range(writes)]
        n = writes - 1 - back % writes
        read = FrameRing.open(Path(folder) / "r").read(places[n])
        if writes - n <= slots:
            assert read is not None
            assert (read == n).all()
        else:
            assert read is None


def test_a_place_of_another_life_of_the_ring_is_not_read(tmp_path: Path) -> None:
    ring = FrameRing.create(tmp_path / "r", 64, 48, slots=4)
    assert ring.read(Place(0, 2)) is None  # nothing was written yet
    place = ring.write(picture(1))
    assert ring.read(Place(place.slot, place.generation + 2)) is None


WRITER = """
import sys
import numpy as np
from pathlib import Path
from stream.ring import FrameRing

ring = FrameRing.create(Path(sys.argv[1]), 640, 360, slots=4)
print("ready", flush=True)
sys.stdin.readline()
for n in range(1, 4001):
    ring.write(np.full((540, 640), n % 251, np.uint8))
    ring.consumed = n  # a number that both sides see: here, how many were written
"""


def test_a_reader_never_sees_half_of_a_picture_that_another_process_writes(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "r")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as writer:
        assert writer.stdin and writer.stdout
        assert writer.stdout.readline() == "ready\n"
        ring = FrameRing.open(tmp_path / "r")
        writer.stdin.write("\n")
        writer.stdin.flush()
        whole = overwritten = 0
        while (newest := ring.consumed) < 4000:
            for n in (newest, newest - 3):  # the one just written, and the one that is written over next
                if n < 1:
                    continue
                read = ring.read(Place((n - 1) % 4, 2 * ((n - 1) // 4 + 1)))
                if read is None:
                    overwritten += 1
                else:
                    assert (read == n % 251).all(), f"frame {n} is torn: {np.unique(read)}"
                    whole += 1
    assert writer.returncode == 0
    assert whole > 0
    assert overwritten > 0


def test_a_slot_that_is_being_written_is_not_read(tmp_path: Path) -> None:
    ring = FrameRing.create(tmp_path / "r", 64, 48, slots=4)
    place = ring.write(picture(1))
    reader = FrameRing.open(tmp_path / "r")
    with (tmp_path / "r").open("r+b") as file:  # as the writer does first: the generation becomes odd
        file.seek(4096)
        file.write((place.generation + 1).to_bytes(8, "little"))
    assert reader.read(place) is None


def test_the_last_stage_tells_the_first_how_far_it_is(tmp_path: Path) -> None:
    writer = FrameRing.create(tmp_path / "r", 64, 48)
    assert writer.consumed == 0
    FrameRing.open(tmp_path / "r").consumed = 2**40 + 7
    assert writer.consumed == 2**40 + 7


def test_a_ring_is_for_its_owner_only_and_takes_its_memory_at_once(tmp_path: Path) -> None:
    FrameRing.create(tmp_path / "r", 1280, 720, slots=4)
    status = (tmp_path / "r").stat()
    assert stat.S_IMODE(status.st_mode) == 0o600
    assert status.st_blocks * 512 >= 4 * picture_bytes(1280, 720)


def test_a_ring_that_memory_does_not_suffice_for_leaves_no_file(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    try:
        with pytest.raises(OSError):
            FrameRing.create(tmp_path / "r", 1280, 720)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not (tmp_path / "r").exists()


def test_two_writers_cannot_make_the_same_ring(tmp_path: Path) -> None:
    FrameRing.create(tmp_path / "r", 64, 48)
    with pytest.raises(FileExistsError):
        FrameRing.create(tmp_path / "r", 64, 48)


@pytest.mark.parametrize(("width", "height"), [(63, 48), (64, 47), (0, 48), (64, -2)])
def test_a_size_that_i420_cannot_have_is_refused(tmp_path: Path, width: int, height: int) -> None:
    with pytest.raises(ValueError) as caught:
        FrameRing.create(tmp_path / "r", width, height)
    assert (
        str(caught.value) == f"picture size: both sides must be even and positive, found {width} x {height}"
    )
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    "wrong", [picture(9, 32, 48), picture(9)[:1], picture(9).astype(np.int16)], ids=["narrow", "row", "type"]
)
def test_a_picture_that_does_not_fit_is_refused_and_harms_no_slot(
    tmp_path: Path, wrong: NDArray[np.uint8]
) -> None:
    ring = FrameRing.create(tmp_path / "r", 64, 48, slots=4)
    with pytest.raises(ValueError) as caught:
        ring.write(wrong)
    assert str(caught.value) == f"picture: must be uint8 (72, 64), found {wrong.dtype} {wrong.shape}"
    for value in range(8):
        read = ring.read(ring.write(picture(value)))
        assert read is not None and (read == value).all()


def test_a_file_that_is_no_ring_is_refused(tmp_path: Path) -> None:
    (tmp_path / "r").write_bytes(b"RIFF....AVI " * 100)
    with pytest.raises(ValueError) as caught:
        FrameRing.open(tmp_path / "r")
    assert str(caught.value) == "r: not a frame ring (it begins with b'RIFF....')"


def test_a_reader_opens_each_ring_once_and_follows_a_camera_to_its_next_one(tmp_path: Path) -> None:
    first = FrameRing.create(tmp_path / "door-1", 64, 48)
    reader = RingReader(tmp_path)
    ring = reader.ring("door", "door-1")
    assert ring is not None
    assert reader.ring("door", "door-1") is ring
    first.unlink()
    FrameRing.create(tmp_path / "door-2", 32, 24)  # the camera has changed its resolution
    following = reader.ring("door", "door-2")
    assert following is not None
    assert following.width == 32
    assert reader.ring("door", "door-3") is None
    reader.close()


def test_a_ring_that_is_deleted_stays_readable_to_those_who_have_it_open(tmp_path: Path) -> None:
    writer = FrameRing.create(tmp_path / "r", 64, 48)
    reader = FrameRing.open(tmp_path / "r")
    place = writer.write(picture(5))
    writer.unlink()
    read = reader.read(place)
    assert read is not None
    assert (read == 5).all()
    assert os.listdir(tmp_path) == []
