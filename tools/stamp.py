"""A time burnt into a picture as black and white blocks, so that latency can be measured across encoder and
network.

The code is 4 rows of 24 square blocks in the upper left corner, row by row, most significant bit first: 16
bits of a fixed pattern (which also tells black from white), 64 bits of time, 16 bits of CRC-CCITT over the
time. The blocks are 8 pixels wide in pictures up to 719 lines high and 8 more for every further 360 lines, so
that a picture made half or twice as large can often still be read, and block edges fall on those of the
encoder's transform blocks.
"""

from __future__ import annotations

import binascii

import numpy as np
from numpy.typing import NDArray

_PATTERN = 0xB2D4
_ROWS, _COLUMNS = 4, 24
_CONTRAST = 40.0  # least difference of the mean levels of black and white, of 255
BLACK, WHITE = 16, 235
"""The levels written: the ends of the video range, which every conversion keeps."""


def block_size(height: int) -> int:
    """The width in pixels of a block in a picture of this height."""
    return 8 * max(1, height // 360)


def stamp_size(height: int) -> tuple[int, int]:
    """The (height, width) in pixels of the corner that a stamp covers."""
    block = block_size(height)
    return _ROWS * block, _COLUMNS * block


def write(picture: NDArray[np.uint8], ns: int) -> None:
    """Burn a time (nanoseconds, 0 to 2**64 - 1) into a picture, in place.

    picture: uint8, [H, W] brightness (such as the Y plane of I420) or [H, W, C] with any order of colours.
    Raises ValueError when the picture is smaller than the code or the time does not fit.
    """
    rows, columns = stamp_size(picture.shape[0])
    if picture.shape[0] < rows or picture.shape[1] < columns:
        raise ValueError(f"a stamped picture must be at least {columns}x{rows}, found {_size(picture)}")
    if not 0 <= ns < 1 << 64:
        raise ValueError(f"a stamp must be from 0 to 2**64 - 1, found {ns}")
    body = ns.to_bytes(8, "big")
    code = _PATTERN.to_bytes(2, "big") + body + binascii.crc_hqx(body, 0xFFFF).to_bytes(2, "big")
    bits = np.unpackbits(np.frombuffer(code, np.uint8)).reshape(_ROWS, _COLUMNS)
    block = block_size(picture.shape[0])
    levels = np.where(bits, WHITE, BLACK).astype(np.uint8).repeat(block, 0).repeat(block, 1)
    picture[:rows, :columns] = levels if picture.ndim == 2 else levels[..., None]


def read(picture: NDArray[np.uint8]) -> int | None:
    """The time burnt into a picture, or None when there is none or it cannot be read without doubt.

    picture: as for write().
    """
    rows, columns = stamp_size(picture.shape[0])
    if picture.shape[0] < rows or picture.shape[1] < columns:
        return None
    block = block_size(picture.shape[0])
    edge = block // 4
    corner = picture[:rows, :columns]
    if corner.ndim == 3:
        corner = corner.mean(axis=2).astype(np.uint8)
    blocks = corner.reshape(_ROWS, block, _COLUMNS, block)
    blocks = blocks[:, edge : block - edge : 2, :, edge : block - edge : 2]
    levels = blocks.mean(axis=(1, 3)).ravel()
    pattern = np.unpackbits(np.frombuffer(_PATTERN.to_bytes(2, "big"), np.uint8)).astype(bool)
    white, black = levels[:16][pattern].mean(), levels[:16][~pattern].mean()
    if white - black < _CONTRAST:
        return None
    code = np.packbits(levels > (white + black) / 2).tobytes()
    body, check = code[2:10], int.from_bytes(code[10:], "big")
    if int.from_bytes(code[:2], "big") != _PATTERN or binascii.crc_hqx(body, 0xFFFF) != check:
        return None
    return int.from_bytes(body, "big")


def _size(picture: NDArray[np.uint8]) -> str:
    return f"{picture.shape[1]}x{picture.shape[0]}"
