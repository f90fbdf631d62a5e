"""Exact area resampling, of one picture to many sizes and of many crops to one size, from one table of sums.

Means over windows from floor(i * H / h) to ceil((i + 1) * H / h), in both axes: what PyTorch calls adaptive
average pooling and interpolate(mode="area"). MTCNN's weights were trained on pictures resampled so, and
cv2.INTER_AREA, which weights the pixels at the windows' edges, moves its boxes. The table (Crow,
"Summed-area tables for texture mapping", 1984) makes the cost independent of the size of the windows.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Index = NDArray[np.intp]

_AT_ONCE = 16384
"""Sums that are made at once: few enough to stay in the processor's cache from one step to the next."""


class AreaSampler:
    """Area means of one picture.

    picture: uint8 [H, W, 3], any colour order. size: its height and width. The table takes 16 bytes a pixel.
    Its int32 sums may wrap in pictures beyond 8 million pixels; differences over windows of up to 8 million
    pixels are right even then.
    """

    def __init__(self, picture: NDArray[np.uint8]) -> None:
        self._height, self._width = self.size = picture.shape[:2]
        # Four channels, because then the sums at one pixel are 16 bytes and gather as one complex128.
        sums = cv2.integral(cv2.cvtColor(picture, cv2.COLOR_RGB2RGBA), sdepth=cv2.CV_32S)
        self._table: NDArray[np.complex128] = np.asarray(sums).view(np.complex128).ravel()

    def level(self, height: int, width: int, out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """The whole picture resampled: float32 [3, height, width], values 0..255; written to out if given."""
        level = np.empty((3, height, width), np.float32) if out is None else out
        top, bottom = _edges(np.array([self._height]), height)
        left, right = _edges(np.array([self._width]), width)
        lines = self._table.reshape(self._height + 1, self._width + 1)
        for start in range(0, height, rows := max(1, _AT_ONCE // self._width)):
            part = slice(start, start + rows)
            strips = lines[bottom[part]]
            strips.view(np.int32)[:] -= lines[top[part]].view(np.int32)
            sums = strips.take(right, axis=1).view(np.int32)
            sums -= strips.take(left, axis=1).view(np.int32)
            _means(sums, (bottom - top)[part, None] * (right - left), level[:, part])
        return level

    def crops(self, windows: Index, size: int, out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Rectangles of the picture, each resampled to size x size: float32 [K, 3, size, size], 0..255.

        windows: int [K, 4], (x1, y1, x2, y2) in pixels, x2 and y2 not included, all inside the picture and
        at least 1 x 1. Written to out if given.
        """
        crops = np.empty((len(windows), 3, size, size), np.float32) if out is None else out
        stride = self._width + 1
        for start in range(0, len(windows), few := max(1, _AT_ONCE // size**2)):
            x1, y1, x2, y2 = windows[start : start + few].T[:, :, None]
            top, bottom = (edges[:, :, None] for edges in _edges(y2 - y1, size))
            left, right = (edges[:, None, :] for edges in _edges(x2 - x1, size))
            above, below = (
                (y1[:, None] + top) * stride + x1[:, None],
                (y1[:, None] + bottom) * stride + x1[:, None],
            )
            sums = self._table.take(below + right).view(np.int32)
            sums -= self._table.take(above + right).view(np.int32)
            sums -= self._table.take(below + left).view(np.int32)
            sums += self._table.take(above + left).view(np.int32)
            _means(sums, (bottom - top) * (right - left), crops[start : start + few].swapaxes(0, 1))
        return crops


def few_crops(picture: NDArray[np.uint8], windows: Index, size: int) -> NDArray[np.float32]:
    """What AreaSampler(picture).crops(windows, size) gives, but summing only inside the windows.

    Faster while the windows together are smaller than the picture.
    """
    crops = np.empty((len(windows), 3, size, size), np.float32)
    for crop, (x1, y1, x2, y2) in zip(crops, windows.tolist(), strict=True):
        AreaSampler(picture[y1:y2, x1:x2]).level(size, size, out=crop)
    return crops


def _edges(lengths: Index, count: int) -> tuple[Index, Index]:
    """Starts and ends of `count` windows over each length, int [...] or [K, 1] pixels: two times [..., count]."""
    i = np.arange(count)
    return i * lengths // count, -((i + 1) * -lengths // count)


def _means(sums: NDArray[np.int32], counts: Index, out: NDArray[np.float32]) -> None:
    """Sums [..., 4 * width] over counts [..., width] pixels each; the first three channels to out [3, ..., width]."""
    channels = sums.reshape(*counts.shape, 4)[..., :3]
    out[:] = np.moveaxis(channels, -1, 0)
    out /= counts.astype(np.float32)
