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


class AreaSampler:
    """Area means of one picture.

    picture: uint8 [H, W, 3], any colour order. The table takes 16 bytes a pixel. Its int32 sums may wrap in
    pictures beyond 8 million pixels; differences over windows of up to 8 million pixels are right even then.
    """

    def __init__(self, picture: NDArray[np.uint8]) -> None:
        self._height, self._width = picture.shape[:2]
        # Four channels, because then the sums at one pixel are 16 bytes and gather as one complex128.
        sums = cv2.integral(cv2.cvtColor(picture, cv2.COLOR_RGB2RGBA), sdepth=cv2.CV_32S)
        self._table: NDArray[np.complex128] = np.asarray(sums).view(np.complex128).ravel()

    def level(self, height: int, width: int) -> NDArray[np.float32]:
        """The whole picture resampled: float32 [3, height, width], values 0..255."""
        whole = np.array([[0, 0, self._width, self._height]], np.intp)
        level: NDArray[np.float32] = self._resample(whole, height, width)[0]
        return level

    def crops(self, windows: Index, size: int) -> NDArray[np.float32]:
        """Rectangles of the picture, each resampled to size x size: float32 [K, 3, size, size], 0..255.

        windows: int [K, 4], (x1, y1, x2, y2) in pixels, x2 and y2 not included, all inside the picture and
        at least 1 x 1.
        """
        return self._resample(windows, size, size)

    def _resample(self, windows: Index, height: int, width: int) -> NDArray[np.float32]:
        x1, y1, x2, y2 = windows.T[:, :, None]
        top, bottom = _edges(y2 - y1, height)
        left, right = _edges(x2 - x1, width)
        stride = self._width + 1
        above, below = ((y1 + top) * stride)[:, :, None], ((y1 + bottom) * stride)[:, :, None]
        before, after = (x1 + left)[:, None, :], (x1 + right)[:, None, :]
        sums = np.take(self._table, below + after).view(np.int32)
        sums -= np.take(self._table, above + after).view(np.int32)
        sums -= np.take(self._table, below + before).view(np.int32)
        sums += np.take(self._table, above + before).view(np.int32)
        counts = ((bottom - top)[:, :, None] * (right - left)[:, None, :]).astype(np.float32)
        means = np.empty((len(windows), 3, height, width), np.float32)
        means[:] = sums.reshape(len(windows), height, width, 4)[..., :3].transpose(0, 3, 1, 2)
        means /= counts[:, None]
        return means


def few_crops(picture: NDArray[np.uint8], windows: Index, size: int) -> NDArray[np.float32]:
    """What AreaSampler(picture).crops(windows, size) gives, but summing only inside the windows.

    Faster while the windows together are smaller than the picture.
    """
    crops = np.empty((len(windows), 3, size, size), np.float32)
    for crop, (x1, y1, x2, y2) in zip(crops, windows.tolist(), strict=True):
        crop[:] = AreaSampler(picture[y1:y2, x1:x2]).level(size, size)
    return crops


def _edges(lengths: Index, count: int) -> tuple[Index, Index]:
    """Starts and ends of `count` windows over each length, [K, 1] pixels: two times [K, count]."""
    i = np.arange(count)
    return i * lengths // count, -((i + 1) * -lengths // count)
