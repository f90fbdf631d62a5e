"""A signed reconstruction: what its file proves, and what every change to it shows."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from engines.recognition.enrolment import Refused
from engines.signing import Expected, SigningKey
from engines.unmasking.claim import CAPTION, Signer, find
from engines.unmasking.inspection import Inspection, inspect, sentences
from engines.unmasking.mark import marked_png

PICTURE = Path(__file__).parents[2] / "tools" / "demo" / "pictures"
GENERATOR = "ab" * 32


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> SigningKey:
    return SigningKey.open(tmp_path_factory.mktemp("key") / "signing.key")


@pytest.fixture(scope="module")
def reconstruction(key: SigningKey) -> bytes:
    source = cv2.imread(str(sorted(PICTURE.glob("*.jpg"))[0]))
    face = cv2.cvtColor(
        cv2.resize(source[:400, :400], (128, 128), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB
    )
    mask = np.zeros((128, 128), np.float32)
    cv2.ellipse(mask, (64, 90), (40, 32), 0, 0, 360, 1.0, -1)
    return marked_png(face, mask, face, signer=Signer(key, "unvizard 9.9", GENERATOR))


def look(tmp_path: Path, data: bytes, ending: str = "png", expected: Expected | None = None) -> Inspection:
    path = tmp_path / f"picture.{ending}"
    path.write_bytes(data)
    return inspect(path, expected)


def resaved(
    tmp_path: Path, data: bytes, change: Callable[[Image.Image], Image.Image], **options: object
) -> bytes:
    """Opened, changed and saved again by somebody who keeps the metadata."""
    source, target = tmp_path / "source.png", tmp_path / "target.png"
    source.write_bytes(data)
    with Image.open(source) as image:
        info = PngInfo()
        for name, text in image.text.items():
            info.add_itxt(name, text)
        change(image).save(target, pnginfo=info, **options)
    return target.read_bytes()


def with_chunk(data: bytes, kind: bytes, body: bytes) -> bytes:
    chunk = struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    return data[:33] + chunk + data[33:]


def test_a_fresh_reconstruction_is_genuine_and_says_whose_it_is(
    tmp_path: Path, key: SigningKey, reconstruction: bytes
) -> None:
    found = look(tmp_path, reconstruction, expected=Expected.parse(key.public.fingerprint))
    assert found.unaltered
    assert found.claim
    claim = found.claim.claim
    assert (claim.statement, claim.product, claim.generator) == (CAPTION, "unvizard 9.9", GENERATOR)
    said = " ".join(sentences(found))
    assert key.public.fingerprint in said
    assert "each of them, those that were signed" in said
    assert "It can not be said whom it shows" in said


def test_the_same_picture_without_a_signer_carries_the_mark_and_no_claim(tmp_path: Path) -> None:
    grey = np.full((128, 128, 3), 128, np.uint8)
    found = look(tmp_path, marked_png(grey, np.zeros((128, 128), np.float32)))
    assert found.watermarked
    assert found.marked
    assert found.claim is None
    assert not found.unaltered
    assert "no signed claim" in " ".join(sentences(found))


def test_one_altered_pixel_shows(tmp_path: Path, reconstruction: bytes) -> None:
    def change(image: Image.Image) -> Image.Image:
        r, g, b = image.getpixel((300, 100))
        image.putpixel((300, 100), (r ^ 1, g, b))
        return image

    found = look(tmp_path, resaved(tmp_path, reconstruction, change))
    assert found.claim and found.claim.genuine
    assert found.watermarked and not found.same_pixels and not found.unaltered
    assert "the picture was altered since it was signed" in " ".join(sentences(found))


def test_saving_it_anew_without_a_change_keeps_it_genuine(tmp_path: Path, reconstruction: bytes) -> None:
    again = resaved(tmp_path, reconstruction, lambda image: image, optimize=True)
    assert again != reconstruction
    assert look(tmp_path, again).unaltered


def test_a_picture_that_was_made_a_jpeg_keeps_its_mark_but_is_not_as_signed(
    tmp_path: Path, reconstruction: bytes
) -> None:
    pixels = cv2.imdecode(np.frombuffer(reconstruction, np.uint8), cv2.IMREAD_COLOR)
    found = look(tmp_path, cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 70])[1].tobytes(), "jpg")
    assert found.watermarked and found.claim is None and not found.unaltered


def test_the_claim_of_one_picture_does_not_fit_another(
    tmp_path: Path, key: SigningKey, reconstruction: bytes
) -> None:
    grey = np.full((128, 128, 3), 128, np.uint8)
    other = marked_png(grey, np.zeros((128, 128), np.float32), grey, Signer(key, "unvizard 9.9", GENERATOR))
    pixels = Image.open(_kept(tmp_path, other))
    found = look(tmp_path, resaved(tmp_path, reconstruction, lambda _: pixels))
    assert found.claim and found.claim.genuine and not found.same_pixels and not found.unaltered


def test_an_altered_claim_and_one_of_another_key_do_not_pass(
    tmp_path: Path, key: SigningKey, reconstruction: bytes
) -> None:
    other = SigningKey.open(tmp_path / "other.key")
    stranger = Expected.parse(other.public.fingerprint)
    found = look(tmp_path, reconstruction, expected=stranger)
    assert found.expected is False and not found.unaltered
    assert "NOT the installation that was asked for" in " ".join(sentences(found))

    signed = find([reconstruction.decode("latin-1")])
    assert signed
    forged = signed.data.replace(b"unvizard 9.9", b"unvizard 1.0")
    again = _with_claim(reconstruction, signed.data, forged)
    found = look(tmp_path, again)
    assert found.claim and not found.claim.genuine and not found.unaltered
    assert "signature is wrong" in " ".join(sentences(found))

    renamed = signed.data.replace(key.public.fingerprint.encode(), other.public.fingerprint.encode())
    assert not look(tmp_path, _with_claim(reconstruction, signed.data, renamed)).unaltered
    broken = look(tmp_path, _with_claim(reconstruction, signed.data, b"x" * len(signed.data)))
    assert broken.broken and broken.marked and not broken.unaltered


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (b"gAMA", struct.pack(">I", 400_000)),
        (b"tRNS", b"\0\0\0\0\0\0"),
        (b"acTL", struct.pack(">II", 2, 0)),
        (b"eXIf", b"II*\0\x08\0\0\0" + bytes(6)),
    ],
)
def test_what_changes_the_look_of_the_same_pixels_shows(
    tmp_path: Path, reconstruction: bytes, kind: bytes, body: bytes
) -> None:
    found = look(tmp_path, with_chunk(reconstruction, kind, body))
    assert found.dressed and not found.unaltered


def test_a_photograph_has_no_mark_and_nothing_is_claimed_of_it(tmp_path: Path) -> None:
    found = inspect(sorted(PICTURE.glob("*.jpg"))[0])
    assert not found.marked and not found.unaltered
    assert "can not be said that this is no reconstruction" in " ".join(sentences(found))


def test_a_signed_photograph_without_a_watermark_is_not_taken_for_genuine(
    tmp_path: Path, key: SigningKey
) -> None:
    grey = np.full((128, 128, 3), 128, np.uint8)
    plain = np.full((286, 256, 3), 90, np.uint8)
    claim = Signer(key, "unvizard 9.9", GENERATOR).sign(plain)
    data = marked_png(grey, np.zeros((128, 128), np.float32), signer=Signer(key, "unvizard 9.9", GENERATOR))
    signed = find([data.decode("latin-1")])
    assert signed
    moved = _with_claim(data, signed.data, claim.data, signed.signature, claim.signature)
    found = look(tmp_path, resaved(tmp_path, moved, lambda _: Image.fromarray(plain)))
    assert found.claim and found.claim.genuine and found.same_pixels
    assert not found.watermarked and not found.unaltered


def test_a_file_that_is_no_picture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="is not an image"):
        look(tmp_path, b"hello")


def _kept(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "kept.png"
    path.write_bytes(data)
    return path


def _with_claim(data: bytes, *changes: bytes) -> bytes:
    """The file with pairs of (old, new) contents of its claim."""
    start = data.index(b"iTXt") - 4
    (length,) = struct.unpack(">I", data[start : start + 4])
    body = data[start + 8 : start + 8 + length]
    for old, new in zip(changes[::2], changes[1::2], strict=True):
        assert base64.b64encode(old) in body
        body = body.replace(base64.b64encode(old), base64.b64encode(new))
    rest = data[start + 12 + length :]
    chunk = struct.pack(">I", len(body)) + b"iTXt" + body + struct.pack(">I", zlib.crc32(b"iTXt" + body))
    return data[:start] + chunk + rest
