"""The time burnt into pictures."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from tools import stamp

NS = 0x0123_4567_89AB_CDEF


def noise(height: int, width: int, *channels: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (height, width, *channels), np.uint8)


@pytest.mark.parametrize("size", [(32, 192), (240, 320), (720, 1280), (1080, 1920), (1079, 1919)])
def test_a_stamp_is_read_back_from_brightness_and_from_colours(size):
    for channels in ((), (3,)):
        picture = noise(*size, *channels)
        for ns in (0, 1, NS, 2**64 - 1):
            stamp.write(picture, ns)
            assert stamp.read(picture) == ns


def test_only_the_corner_is_painted():
    picture = noise(720, 1280)
    before = picture.copy()
    stamp.write(picture, NS)
    rows, columns = stamp.stamp_size(720)
    picture[:rows, :columns] = before[:rows, :columns]
    assert (rows, columns) == (64, 384)
    assert np.array_equal(picture, before)


def test_a_picture_without_a_stamp_reads_as_none():
    assert stamp.read(np.zeros((720, 1280), np.uint8)) is None
    assert stamp.read(noise(720, 1280, 3)) is None
    assert stamp.read(noise(16, 16)) is None


def test_one_wrong_block_is_noticed():
    picture = noise(240, 320)
    stamp.write(picture, NS)
    picture[8:16, 40:48] = 251 - picture[8:16, 40:48]
    assert stamp.read(picture) is None


def test_a_stamp_survives_being_made_half_as_large():
    picture = noise(720, 1280)
    stamp.write(picture, NS)
    assert stamp.read(np.ascontiguousarray(picture[::2, ::2])) == NS


def test_a_picture_too_small_or_a_time_too_large_is_refused():
    with pytest.raises(ValueError, match=r"^a stamped picture must be at least 192x32, found 100x32$"):
        stamp.write(noise(32, 100), 1)
    with pytest.raises(ValueError, match=r"^a stamp must be from 0 to 2\*\*64 - 1, found -1$"):
        stamp.write(noise(240, 320), -1)


@pytest.mark.parametrize("encoder", ["libx264", "libx265"])
def test_a_stamp_survives_colour_conversion_and_strong_compression(encoder):
    codec = av.CodecContext.create(encoder, "w")
    codec.width, codec.height, codec.pix_fmt, codec.time_base = 640, 360, "yuv420p", Fraction(1, 25)
    codec.options = {
        "preset": "ultrafast",
        "tune": "zerolatency",
        "crf": "38",
        "x265-params": "log-level=error",
    }
    decoder = av.CodecContext.create("h264" if encoder == "libx264" else "hevc", "r")
    ground = noise(360, 640, 3)
    sent, seen = [], []
    for number in range(12):
        picture = np.roll(ground, 8 * number, axis=1)
        sent.append(NS + number * 40_000_000)
        stamp.write(picture, sent[-1])
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts = number
        for packet in codec.encode(frame):
            seen += [stamp.read(f.to_ndarray(format="bgr24")) for f in decoder.decode(packet)]
    seen += [stamp.read(f.to_ndarray(format="bgr24")) for f in decoder.decode(None)]
    assert seen == sent
