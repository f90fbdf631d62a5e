"""The mark on a reconstruction: legible, in the file, and in the pixels after what happens to pictures."""

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines.unmasking import watermark
from engines.unmasking.mark import CAPTION, TILE, is_reconstruction, mark, marked_png

PICTURES = Path(__file__).parents[2] / "tools" / "demo" / "pictures"


def crops(size: int = 128) -> list[np.ndarray]:
    """Square pieces of the demonstration's pictures, at several scales."""
    found = []
    for path in sorted([*PICTURES.glob("*.jpg"), *PICTURES.glob("*.png")]):
        picture = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        for share in (0.9, 0.5, 0.3):
            side = int(min(picture.shape[:2]) * share)
            top, left = (picture.shape[0] - side) // 3, (picture.shape[1] - side) // 2
            part = picture[top : top + side, left : left + side]
            found.append(cv2.resize(part, (size, size), interpolation=cv2.INTER_AREA))
    assert found
    return found


def a_mask() -> np.ndarray:
    mask = np.zeros((128, 128), np.float32)
    cv2.ellipse(mask, (64, 90), (40, 32), 0, 0, 360, 1.0, -1)
    return mask


def jpeg(picture: np.ndarray, quality: int) -> np.ndarray:
    return cv2.imdecode(
        cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR
    )


def scaled(picture: np.ndarray, factor: float) -> np.ndarray:
    return cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)


CHANGES = {
    "nothing": lambda p: p,
    "jpeg 70": lambda p: jpeg(p, 70),
    "0.75 x": lambda p: scaled(p, 0.75),
    "0.75 x and jpeg 70": lambda p: jpeg(scaled(p, 0.75), 70),
    "1.3 x and jpeg 70": lambda p: jpeg(cv2.resize(p, None, fx=1.3, fy=1.3), 70),
    "cut to 3/4 and jpeg 70": lambda p: jpeg(p[40:240, 30:222], 70),
    "mirrored": lambda p: p[:, ::-1],
    "darkened": lambda p: (p * 0.6).astype(np.uint8),
}


@pytest.mark.parametrize("name", [n for n in CHANGES if n != "mirrored"])
def test_the_watermark_is_found_after(name):
    scores = [watermark.score(CHANGES[name](mark(crop, a_mask()))) for crop in crops()]
    assert sum(s > watermark.THRESHOLD for s in scores) >= 0.99 * len(scores), np.round(sorted(scores)[:5], 2)


def test_pictures_without_the_mark_are_not_taken_for_reconstructions():
    plain = [change(cv2.resize(crop, (TILE, TILE))) for crop in crops() for change in CHANGES.values()]
    plain += [jpeg(crop, 50) for crop in crops(400)]
    rng = np.random.default_rng(0)
    plain += [rng.integers(0, 256, (256, 256, 3), dtype=np.uint8), np.full((256, 256, 3), 90, np.uint8)]
    stripes = (127 + 100 * np.sin(np.arange(256) * 0.9)).astype(np.uint8)
    plain.append(np.ascontiguousarray(np.broadcast_to(stripes[None, :, None], (256, 256, 3))))
    assert max(watermark.score(np.ascontiguousarray(p)) for p in plain) < watermark.THRESHOLD - 0.1


def test_a_marked_card_inside_a_large_screenshot_is_found():
    screenshot = np.full((720, 1280, 3), 30, np.uint8)
    card = mark(crops()[0], a_mask(), crops()[0])
    screenshot[300 : 300 + card.shape[0], 411 : 411 + card.shape[1]] = card
    assert is_reconstruction(jpeg(screenshot, 80))


def test_the_original_beside_the_reconstruction_keeps_its_pixels():
    face = crops()[2]
    card = mark(face, a_mask(), face)
    assert card.shape == (286, 516, 3)
    assert np.array_equal(card[:TILE, :TILE], cv2.resize(face, (TILE, TILE), interpolation=cv2.INTER_CUBIC))


def test_the_painted_region_is_outlined_and_the_caption_is_written():
    grey = np.full((128, 128, 3), 128, np.uint8)
    marked = mark(grey, a_mask())
    outline = (marked[:TILE, :, 0] > 200) & (marked[:TILE, :, 2] < 60)
    on_edge = cv2.resize(a_mask(), (TILE, TILE)) > 0.5
    edge = cv2.morphologyEx(on_edge.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((5, 5), np.uint8)) > 0
    assert outline.sum() > 300 and edge[outline].all()
    strip = marked[TILE:]
    assert (strip.min(2) > 200).sum() > 300  # white letters on the dark strip


def test_the_file_says_what_it_is_in_valid_chunks():
    marked = mark(crops()[0], a_mask())
    data = marked_png(crops()[0], a_mask())
    chunks, at = {}, 8
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        assert zlib.crc32(kind + body) == struct.unpack(">I", data[at + 8 + length : at + 12 + length])[0]
        chunks[kind] = body
        at += 12 + length
    assert chunks[b"tEXt"] == b"Comment\0" + CAPTION.encode()
    assert b"compositeWithTrainedAlgorithmicMedia" in chunks[b"iTXt"]
    decoded = cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    assert np.array_equal(decoded, marked)


def test_a_mask_of_another_size_is_refused():
    with pytest.raises(
        ValueError, match=r"mask: must be as large as the reconstruction \(128, 128\), found \(64, 64\)"
    ):
        mark(crops()[0], np.zeros((64, 64), np.float32))
