"""The only way in which a reconstruction may leave the program: named, outlined, labelled in file and pixels."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.unmasking import watermark
from engines.unmasking.claim import CAPTION, Signer, attributes

__all__ = ["CAPTION", "STRIP", "TILE", "is_reconstruction", "mark", "marked_png", "sheet_png"]

TILE = 256
"""Pixels across the enlarged face: below this the caption could not be read."""
STRIP = 30
_OUTLINE = (255, 196, 0)
_STRIP_COLOUR = (120, 16, 16)
_XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description {claim}xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
    'Iptc4xmpExt:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/'
    'compositeWithTrainedAlgorithmicMedia"/></rdf:RDF></x:xmpmeta>'
)


def mark(
    reconstruction: NDArray[np.uint8],
    mask: NDArray[np.float32],
    original: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """A reconstruction as people may see it.

    reconstruction, original: uint8 RGB [128, 128, 3] in the face frame. mask: float32 [128, 128], 0 to 1.
    Returns uint8 RGB [286, 256, 3], or [286, 516, 3] with the untouched original on the left: the face
    enlarged, the painted region outlined, CAPTION below it, a watermark in the pixels of the reconstruction.
    Raises ValueError when the sizes differ.
    """
    for name, found in (("mask", mask.shape), ("original", None if original is None else original.shape[:2])):
        if found is not None and found != reconstruction.shape[:2]:
            raise ValueError(
                f"{name}: must be as large as the reconstruction {reconstruction.shape[:2]}, found {found}"
            )
    tile = _enlarged(reconstruction)
    region = cv2.resize(mask, (TILE, TILE), interpolation=cv2.INTER_LINEAR)
    contours, _ = cv2.findContours((region > 0.5).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    tile = watermark.embed(tile)
    cv2.drawContours(tile, contours, -1, (0, 0, 0), 3, cv2.LINE_AA)
    cv2.drawContours(tile, contours, -1, _OUTLINE, 1, cv2.LINE_AA)
    marked = np.vstack([tile, _strip(CAPTION, _STRIP_COLOUR)])
    if original is None:
        return marked
    left = np.vstack([_enlarged(original), _strip("original", (40, 40, 40))])
    gap = np.full((TILE + STRIP, 4, 3), 20, np.uint8)
    return np.hstack([left, gap, marked])


def is_reconstruction(picture: NDArray[np.uint8]) -> bool:
    """Whether a uint8 RGB picture carries the watermark, also after JPEG, scaling and cropping."""
    return watermark.score(picture) > watermark.THRESHOLD


def marked_png(
    reconstruction: NDArray[np.uint8],
    mask: NDArray[np.float32],
    original: NDArray[np.uint8] | None = None,
    signer: Signer | None = None,
) -> bytes:
    """What `mark` makes, as a PNG file whose metadata say what it is: the one way to a file.

    Two chunks: tEXt "Comment" with CAPTION, and XMP with IPTC's DigitalSourceType for pictures that were
    partly made by a trained model and, given a signer, the installation's signed claim. Raises ValueError
    as `mark` does.
    """
    return _png(mark(reconstruction, mask, original), signer)


def sheet_png(marked: Sequence[NDArray[np.uint8]], columns: int, signer: Signer | None = None) -> bytes:
    """A contact sheet of pictures that `mark` made, all of one size, numbered from 1, as a PNG file like marked_png's.

    columns: pictures in a row, 1 or more. Raises ValueError without pictures, or when their sizes differ.
    """
    if not marked or len({picture.shape for picture in marked}) != 1:
        raise ValueError(f"marked: must be pictures of one size, found {sorted({p.shape for p in marked})}")
    empty = np.full_like(marked[0], 20)
    tiles = [_numbered(picture, number) for number, picture in enumerate(marked, 1)]
    tiles += [empty] * (-len(tiles) % columns)
    rows = [np.hstack(tiles[start : start + columns]) for start in range(0, len(tiles), columns)]
    return _png(np.vstack(rows), signer)


def _numbered(picture: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
    numbered = picture.copy()
    at = (6, picture.shape[0] - 9)
    cv2.putText(numbered, str(number), at, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1, cv2.LINE_AA)
    return numbered


def _png(picture: NDArray[np.uint8], signer: Signer | None) -> bytes:
    ok, data = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    if not ok:
        raise ValueError(f"marked: must be a picture, found shape {picture.shape}")
    plain = data.tobytes()
    header = 8 + 25  # signature and IHDR, after which text chunks may stand
    text = _chunk(b"tEXt", b"Comment\0" + CAPTION.encode("latin-1"))
    claim = attributes(None if signer is None else signer.sign(picture))
    xmp = _chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + _XMP.format(claim=claim).encode())
    return plain[:header] + text + xmp + plain[header:]


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _enlarged(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(picture, (TILE, TILE), interpolation=cv2.INTER_CUBIC), np.uint8)


def _strip(text: str, colour: tuple[int, int, int]) -> NDArray[np.uint8]:
    strip = np.full((STRIP, TILE, 3), colour, np.uint8)
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.47, 1)
    at = ((TILE - width) // 2, (STRIP + height) // 2)
    cv2.putText(strip, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.47, (255, 255, 255), 1, cv2.LINE_AA)
    return strip
