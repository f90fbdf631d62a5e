"""Access units into I420 pictures."""

from __future__ import annotations

import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from capture_helpers import encode, fingerprint, fingerprints, scene

from stream.capture.decoder import SOFTWARE, DamagedUnit, Decoder
from stream.capture.pixels import to_i420, turned

CODECS = {"h264": "libx264", "hevc": "libx265"}


def units(codec: str, count: int = 12) -> list[bytes]:
    """Access units as a camera makes them: no pictures out of order."""
    encoder = av.CodecContext.create(CODECS[codec], "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = 320, 240, "yuv420p"
    encoder.time_base = Fraction(1, 25)
    encoder.thread_count = 1
    encoder.options = {"preset": "ultrafast", "tune": "zerolatency"} | (
        {"x265-params": "log-level=error:pools=none:frame-threads=1"} if codec == "hevc" else {}
    )
    frames = [av.VideoFrame.from_ndarray(scene((320, 240), n), format="yuv420p") for n in range(count)]
    for number, frame in enumerate(frames):
        frame.pts = number
    return [bytes(packet) for frame in [*frames, None] for packet in encoder.encode(frame)]


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("choice", ["auto", "software"])
def test_every_access_unit_gives_its_own_picture_at_once(codec: str, choice: str) -> None:
    decoder = Decoder(codec, choice)
    for number, unit in enumerate(units(codec)):
        pictures = decoder.decode(unit, number * 1000)
        assert [picture.label for picture in pictures] == [number * 1000]
        assert pictures[0].i420.shape == (360, 320) and pictures[0].i420.dtype == np.uint8


def test_looking_for_hardware_where_there_is_none_takes_no_time() -> None:
    start = time.monotonic()
    decoder = Decoder("h264", "auto")
    assert time.monotonic() - start < 1.0
    if not (Path("/dev/nvidia0").exists() or Path("/dev/dri").exists()):
        assert decoder.name == SOFTWARE


def test_a_unit_with_flipped_bytes_is_damage_and_decoding_goes_on_after_a_flush() -> None:
    sent = units("h264")
    decoder = Decoder("h264", "software")
    decoder.decode(sent[0], 0)
    spoilt = bytearray(sent[1])
    spoilt[30:60] = bytes(30)
    with pytest.raises(DamagedUnit):
        decoder.decode(bytes(spoilt), 1)
    decoder.flush()
    assert len(decoder.decode(sent[0], 2)) == 1


def test_full_range_becomes_limited_range() -> None:
    white = np.full((24, 32), 255, np.uint8)
    white[16:] = 128
    named = av.VideoFrame.from_ndarray(white, format="yuvj420p")
    flagged = av.VideoFrame.from_ndarray(white, format="yuv420p")
    flagged.color_range = 2
    for frame in (named, flagged):
        assert set(to_i420(frame)[:16].ravel().tolist()) == {235}


def test_an_odd_last_row_and_column_are_cut_off() -> None:
    rgb = np.zeros((51, 67, 3), np.uint8)
    picture = to_i420(av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format="yuv420p"))
    assert picture.shape == (75, 66)


@pytest.mark.parametrize("pixels", ["yuv422p", "nv12", "yuv420p10le", "gray"])
def test_other_layouts_become_i420(pixels: str) -> None:
    frame = av.VideoFrame.from_ndarray(scene((64, 48), 0), format="yuv420p").reformat(format=pixels)
    picture = to_i420(frame)
    assert picture.shape == (72, 64)
    assert np.abs(picture[:48].astype(int) - scene((64, 48), 0)[:48]).max() <= 2


@pytest.mark.parametrize("degrees", [-180, -90, 0, 90, 180, 270])
def test_a_turned_picture_is_turned_in_all_its_planes(degrees: int) -> None:
    picture = scene((64, 48), 3)
    picture[48:] = np.arange(24 * 64, dtype=np.uint8).reshape(24, 64)
    result = turned(picture, degrees)
    height = 48 if degrees % 180 == 0 else 64
    turns = degrees // 90 % 4
    assert np.array_equal(result[:height], np.rot90(picture[:48], turns))
    planes = picture[48:].reshape(2, 24, 32), result[height:].reshape(2, height // 2, -1)
    assert np.array_equal(planes[1], np.rot90(planes[0], turns, axes=(1, 2)))


def test_pictures_are_those_that_ffmpeg_decodes_from_the_file(tmp_path: Path) -> None:
    clip = encode(tmp_path / "clip.mp4", count=12)
    with av.open(str(clip)) as container:
        found = {fingerprint(to_i420(frame)) for frame in container.decode(video=0)}
    assert found == fingerprints(clip) and len(found) == 12
