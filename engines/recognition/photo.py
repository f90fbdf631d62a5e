"""Photographs from files or uploads, decoded with care, or refused with the reason.

What comes is distrusted: formats are few, size and pixels are limited before anything is decoded, and every failure
of a decoder is a refusal.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "TIFF", "BMP")
MOST_BYTES = 64 << 20
MOST_PIXELS = 60_000_000


class Refused(ValueError):
    """The photograph will not do; the text says why."""


@dataclass(frozen=True, slots=True, eq=False)
class Photo:
    """A decoded photograph. pixels: uint8 RGB [H, W, 3], upright. digest: sha256 of them. texts: its metadata."""

    pixels: NDArray[np.uint8]
    digest: bytes
    texts: tuple[str, ...]


def read_photo(path: Path) -> Photo:
    """Decode a file. Raises Refused."""
    if not path.exists():
        raise Refused("there is no such file")
    if not path.is_file():
        raise Refused("is not a file")
    _check_size(path.stat().st_size)
    return _decode(path)


def photo_of(data: bytes) -> Photo:
    """Decode a file's content. Raises Refused."""
    _check_size(len(data))
    return _decode(io.BytesIO(data))


def _check_size(size: int) -> None:
    if size > MOST_BYTES:
        raise Refused(f"is too large: at most {MOST_BYTES >> 20} MiB are read, found {size >> 20}")


def _decode(source: Path | io.BytesIO) -> Photo:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(source, formats=FORMATS) as image:  # reads the header only
                width, height = image.size
                if width * height > MOST_PIXELS:
                    raise Refused(
                        f"is too large: at most {MOST_PIXELS // 1_000_000} megapixels are decoded, "
                        f"found {width} x {height}"
                    )
                texts = tuple(_text(value) for value in image.info.values() if isinstance(value, str | bytes))
                image.load()
                pixels = _rgb(ImageOps.exif_transpose(image))
    except Refused:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise Refused(f"is too large: at most {MOST_PIXELS // 1_000_000} megapixels are decoded") from None
    except UnidentifiedImageError:
        raise Refused(f"is not an image that can be read ({', '.join(FORMATS)})") from None
    except PermissionError as error:
        raise Refused(f"cannot be opened: {error.strerror}") from None
    except Exception as error:  # whatever a decoder makes of hostile bytes must not end the command
        raise Refused(f"is damaged or cut short: {' '.join(str(error).split())[:120]}") from None
    return Photo(pixels, hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).digest(), texts)


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value[:100_000].decode("latin-1")


def _rgb(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode.startswith("I"):  # 16 bits a pixel: convert() would clip instead of scaling
        grey = np.clip(np.asarray(image, np.float64) / 257, 0, 255).astype(np.uint8)
        return np.ascontiguousarray(np.repeat(grey[:, :, None], 3, axis=2))
    return np.ascontiguousarray(np.asarray(image.convert("RGB"), np.uint8))
