"""From photograph files to templates: what is taken, and each refusal with its sentence."""

from __future__ import annotations

import io
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from recognition_networks import PICTURES, detector, evidence

from engines.alignment import face_transform, warp
from engines.masks.synthesis import draw_mask
from engines.recognition.calibration import Calibration
from engines.recognition.enrolled import GallerySnapshot, Template
from engines.recognition.enrolment import Enroller, Refused, check_identity, read_photo, views_of
from engines.recognition.evidence import VIEWS, WHOLE
from engines.unmasking.mark import marked_png


@pytest.fixture(scope="module")
def enroller() -> Enroller:
    return Enroller(detector(), evidence())


@pytest.fixture(scope="module")
def known(enroller: Enroller) -> dict[str, Template]:
    return {name: enroller.template(PICTURES / name) for name in ("obama.jpg", "obama3.jpg", "biden.jpg")}


def obama(size: int = 640) -> Image.Image:
    image = Image.open(PICTURES / "obama.jpg")
    image.thumbnail((size, size))
    return image


def refusal(enroller: Enroller, path: Path) -> str:
    with pytest.raises(Refused) as caught:
        enroller.template(path)
    return str(caught.value)


def test_two_photographs_of_one_person_agree_and_others_do_not(known: dict[str, Template]) -> None:
    obama, again, biden = known.values()
    assert obama.embedding @ again.embedding > 0.6 and obama.embedding @ biden.embedding < 0.3
    assert obama.space == evidence().space and obama.quality > 0.5 and obama.digest != again.digest


def test_the_picture_that_is_kept_gives_the_same_views_again(known: dict[str, Template]) -> None:
    obama = known["obama.jpg"]
    assert obama.views_space == evidence().views_space and set(obama.views) == set(VIEWS)
    again = views_of(obama.picture, evidence())
    for view in VIEWS:
        assert again[view] @ obama.views[view] > 0.97, view
    assert known["obama3.jpg"].views["rendered"] @ obama.views["rendered"] > 0.5
    assert obama.views["upper"] @ obama.views[WHOLE] < 0.95
    for damaged in (b"", obama.picture[:-2000], b"not a picture"):
        with pytest.raises(Refused, match="its picture was not kept, or cannot be decoded"):
            views_of(damaged[:60], evidence())


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_is_turned_upright_as_its_exif_says(
    enroller: Enroller, known: dict[str, Template], tmp_path: Path, orientation: int
) -> None:
    back = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }.get(orientation)  # fmt: skip
    image = obama()
    stored = image.transpose(back) if back is not None else image
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "photo.jpg", exif=exif, quality=95)
    assert enroller.template(tmp_path / "photo.jpg").embedding @ known["obama.jpg"].embedding > 0.9


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [("L", "jpg"), ("P", "png"), ("RGBA", "png"), ("CMYK", "jpg"), ("RGB", "webp"), ("RGB", "tiff")],
)
def test_every_common_kind_of_picture_is_read(
    enroller: Enroller, known: dict[str, Template], tmp_path: Path, mode: str, suffix: str
) -> None:
    obama().convert(mode).save(tmp_path / f"photo.{suffix}")
    assert enroller.template(tmp_path / f"photo.{suffix}").embedding @ known["obama.jpg"].embedding > 0.8


def test_sixteen_bits_a_pixel_are_scaled_and_not_clipped(tmp_path: Path) -> None:
    grey = np.asarray(obama(200).convert("L"), np.uint16) * 257
    cv2.imwrite(str(tmp_path / "photo.png"), grey)
    assert np.array_equal(read_photo(tmp_path / "photo.png").pixels[:, :, 0], (grey / 257).astype(np.uint8))


def test_the_same_pixels_have_the_same_digest_whatever_the_file(tmp_path: Path) -> None:
    image = obama(200).convert("RGB")
    image.save(tmp_path / "a.png")
    image.save(tmp_path / "b.bmp")
    assert read_photo(tmp_path / "a.png").digest == read_photo(tmp_path / "b.bmp").digest


# files that are no photograph


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"%PDF-1.7 not an image", b"%!PS-Adobe-3.0\n", b"<svg/>", b"\xff\xd8\xff"]
)
def test_a_file_that_is_not_an_image_is_refused(enroller: Enroller, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "photo.jpg").write_bytes(content)
    assert refusal(enroller, tmp_path / "photo.jpg").startswith(
        ("is not an image that can be read", "is damaged or cut short")
    )


def test_what_is_not_there_or_is_no_file_is_refused(enroller: Enroller, tmp_path: Path) -> None:
    assert refusal(enroller, tmp_path / "missing.jpg") == "there is no such file"
    assert refusal(enroller, tmp_path) == "is not a file"
    assert refusal(enroller, Path("/dev/zero")) == "is not a file"


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff"])
def test_a_photograph_cut_short_is_refused(enroller: Enroller, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"photo.{suffix}"
    obama().convert("RGB").save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert refusal(enroller, path).startswith(("is damaged or cut short", "is not an image that can be read"))


def test_a_decompression_bomb_is_refused_before_it_is_decoded(enroller: Enroller, tmp_path: Path) -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    path = tmp_path / "bomb.png"
    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(10_000_000), 9))
    )
    began = time.monotonic()
    assert refusal(enroller, path) == "is too large: at most 60 megapixels are decoded"
    assert time.monotonic() - began < 1


def test_a_picture_of_too_many_pixels_is_refused_with_its_size(enroller: Enroller, tmp_path: Path) -> None:
    Image.new("1", (9000, 8000)).save(tmp_path / "wide.png")
    assert (
        refusal(enroller, tmp_path / "wide.png")
        == "is too large: at most 60 megapixels are decoded, found 9000 x 8000"
    )


def test_a_file_of_many_megabytes_is_refused_unread(enroller: Enroller, tmp_path: Path) -> None:
    with (tmp_path / "huge.jpg").open("wb") as file:
        file.truncate(1 << 40)
    assert refusal(enroller, tmp_path / "huge.jpg") == "is too large: at most 64 MiB are read, found 1048576"


# photographs that will not do


def save(path: Path, picture: NDArray[np.uint8]) -> Path:
    Image.fromarray(picture).save(path)
    return path


def test_a_picture_without_a_face_is_refused(enroller: Enroller, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (300, 300, 3)).astype(np.uint8)
    assert refusal(enroller, save(tmp_path / "a.png", noise)) == "no face was found"
    assert refusal(enroller, save(tmp_path / "b.png", np.zeros((1, 1, 3), np.uint8))) == "no face was found"
    assert (
        refusal(enroller, save(tmp_path / "c.png", np.zeros((1, 3000, 3), np.uint8))) == "no face was found"
    )


def test_two_people_in_one_photograph_are_refused(enroller: Enroller, tmp_path: Path) -> None:
    half = np.asarray(obama(400).convert("RGB"))
    assert refusal(enroller, save(tmp_path / "a.png", np.hstack([half, half]))) == (
        "two faces were found: enrolment needs a photograph of one person alone"
    )


def shrink(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(picture, None, fx=0.3, fy=0.3, interpolation=cv2.INTER_AREA), np.uint8)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (shrink, "the face is too small (the eyes must be 32 pixels apart, found "),
        (lambda p: cv2.GaussianBlur(p, (0, 0), 9), "the face is blurred (sharpness must be 50, found "),
        (lambda p: (p * 0.12).astype(np.uint8), "the face is too dark (mean grey level "),
    ],
)
def test_a_poor_photograph_is_refused_with_the_reason(
    enroller: Enroller, tmp_path: Path, change: Callable[[NDArray[np.uint8]], NDArray[np.uint8]], reason: str
) -> None:
    picture = np.asarray(obama(500).convert("RGB"))
    assert refusal(enroller, save(tmp_path / "photo.png", change(picture))).startswith(reason)


def test_a_masked_face_is_refused_when_the_mask_is_seen(tmp_path: Path) -> None:
    picture = np.asarray(obama().convert("RGB"))
    face = detector().detect([picture])[0]
    masked, _ = draw_mask(picture, face.landmarks[0], np.random.default_rng(0), kind="surgical")
    boxes: list[NDArray[np.float32]] = []

    def no_mask(seen: NDArray[np.uint8], box: NDArray[np.float32]) -> float:
        boxes.append(box)
        return 0.9 if np.array_equal(seen, picture) else 0.1

    enroller = Enroller(detector(), evidence(), no_mask)
    assert (
        refusal(enroller, save(tmp_path / "a.png", masked))
        == "the face wears a mask: enrolment needs the whole face"
    )
    enroller.template(save(tmp_path / "b.png", picture))
    assert np.abs(boxes[1] - face.boxes[0]).max() < 1


@pytest.fixture(scope="module")
def card() -> bytes:
    """A reconstruction as the product sends it out: here a sharp face that would be enrolled otherwise."""
    picture = np.asarray(obama().convert("RGB"))
    guess = warp(picture, face_transform(detector().detect([picture])[0].landmarks[0]), 128)
    area = np.zeros((128, 128), np.float32)
    area[70:120, 30:100] = 1
    return marked_png(guess, area)


def test_a_reconstruction_is_never_enrolled(enroller: Enroller, tmp_path: Path, card: bytes) -> None:
    (tmp_path / "card.png").write_bytes(card)
    assert (
        refusal(enroller, tmp_path / "card.png")
        == "is a reconstruction made by this product: a guess is never enrolled"
    )


@pytest.mark.parametrize("degrees", [0, 12])
@pytest.mark.parametrize("scale", [0.5, 1.0, 1.6, 2.4, 4.0])
def test_a_screenshot_of_a_reconstruction_is_known_at_any_size_and_angle(
    enroller: Enroller, tmp_path: Path, card: bytes, scale: float, degrees: float
) -> None:
    shown = Image.open(io.BytesIO(card)).convert("RGB")
    page = Image.new("RGB", (500, 500), (40, 60, 50))
    page.paste(shown, (120, 90))
    page = page.rotate(degrees, Image.Resampling.BICUBIC).resize(
        (int(500 * scale),) * 2, Image.Resampling.BICUBIC
    )
    page.save(tmp_path / "screenshot.jpg", quality=80)
    assert "is a reconstruction made by this product" in refusal(enroller, tmp_path / "screenshot.jpg")


def test_a_picture_that_says_it_was_made_by_a_model_is_refused(enroller: Enroller, tmp_path: Path) -> None:
    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", "... digitalsourcetype/trainedAlgorithmicMedia ...")
    obama().save(tmp_path / "photo.png", pnginfo=info)
    assert refusal(enroller, tmp_path / "photo.png").startswith(
        "says in its metadata that it was made by a trained model"
    )


# whom it shows

SHIPPED = Calibration.load()


def snapshot(**people: Template) -> GallerySnapshot:
    names = tuple(people)
    matrix = np.stack([t.embedding for t in people.values()])
    return GallerySnapshot.of(1, evidence().space, names, names, matrix, np.arange(len(names)))


def test_a_person_enrolled_under_another_name_is_refused_and_named(known: dict[str, Template]) -> None:
    book = snapshot(Barack=known["obama.jpg"], Joe=known["biden.jpg"])
    with pytest.raises(Refused, match=r"^this person is already enrolled as Barack \(similarity 0\.[6-9]"):
        check_identity(known["obama3.jpg"], "Mallory", book, SHIPPED)
    check_identity(known["obama3.jpg"], "barack", book, SHIPPED)
    check_identity(known["obama3.jpg"], "A Twin", book, SHIPPED, although_like=["BARACK"])


def test_a_photograph_of_someone_else_is_not_added_to_a_person(known: dict[str, Template]) -> None:
    with pytest.raises(Refused, match=r"^shows someone else than the pictures of Joe that are enrolled"):
        check_identity(known["obama.jpg"], "Joe", snapshot(Joe=known["biden.jpg"]), SHIPPED)
