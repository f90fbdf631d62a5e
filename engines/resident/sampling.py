"""Area means and warps of frames as torch tensors: on the host, engines/detection/area.py and engines/alignment.py."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from engines.alignment import scaled


class AreaTable:
    """Area means of frames of one size, from one table of sums (Crow, "Summed-area tables for texture mapping", 1984).

    frames: uint8 [N, H, W, 3]. The int32 sums may wrap beyond 8 million pixels; their differences are right even then.
    """

    def __init__(self, frames: Tensor) -> None:
        rows = torch.cumsum(frames, 1, dtype=torch.int32)
        self._sums = F.pad(torch.cumsum(rows, 2, dtype=torch.int32), (0, 0, 1, 0, 1, 0))
        self.count, self._height, self._width = frames.shape[:3]

    def level(self, height: int, width: int) -> Tensor:
        """The whole frames resampled: float32 [N, 3, height, width], values 0..255."""
        whole = np.tile(np.array([0, 0, self._width, self._height], np.intp), (self.count, 1))
        return self._resample(np.arange(self.count), whole, height, width)

    def crops(self, owners: NDArray[np.intp], windows: NDArray[np.intp], size: int) -> Tensor:
        """Rectangles, each resampled to size x size: float32 [K, 3, size, size], 0..255.

        owners: int [K], whose frame. windows: int [K, 4], (x1, y1, x2, y2) in pixels, x2 and y2 not included, all
        inside the frame and at least 1 x 1.
        """
        return self._resample(owners, windows, size, size)

    def _resample(
        self, owners: NDArray[np.intp], windows: NDArray[np.intp], height: int, width: int
    ) -> Tensor:
        given = torch.from_numpy(np.concatenate([owners[:, None], windows], 1)).to(self._sums.device)
        frame, x1, y1, x2, y2 = (column[:, None] for column in given.T)
        top, bottom = _edges(y2 - y1, height)
        left, right = _edges(x2 - x1, width)
        frame, above, below = frame[:, :, None], (y1 + top)[:, :, None], (y1 + bottom)[:, :, None]
        before, after = (x1 + left)[:, None, :], (x1 + right)[:, None, :]
        sums = self._sums[frame, below, after] - self._sums[frame, above, after]
        sums += self._sums[frame, above, before] - self._sums[frame, below, before]
        counts = (bottom - top)[:, :, None] * (right - left)[:, None, :]
        return (sums.float() / counts[..., None].float()).permute(0, 3, 1, 2).contiguous()


def _edges(lengths: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Starts and ends of `count` windows over each length, [K, 1] pixels: two times [K, count]."""
    i = torch.arange(count, device=lengths.device)
    return i * lengths // count, -((i + 1) * -lengths // count)


def warp(frame: Tensor, transforms: Sequence[NDArray[np.float32]], size: int) -> Tensor:
    """Crops under transforms: float32 [K, 3, size, size], values 0..255, as engines.alignment.warp makes them.

    frame: uint8 [H, W, 3]. transforms: K of float32 [2, 3], frame -> crop, as engines.alignment gives them. Beyond the
    frame's edge it is mirrored; a face larger than the crop is first averaged down. Bilinear weights are exact here
    and in 32nds of a pixel there, so values differ by a grey level or two at edges.
    """
    picture = frame.permute(2, 0, 1).float()[None]
    crops = []
    for transform in transforms:
        scale = float(np.hypot(transform[0, 0], transform[1, 0]))
        factor = int(min(8, np.ceil(0.5 / max(scale, 1e-3)))) if scale < 0.5 else 1
        inner = _sampled(picture, scaled(transform, factor), size * factor)
        crops.append(F.avg_pool2d(inner, factor) if factor > 1 else inner)
    return torch.cat(crops) if crops else picture.new_zeros(0, 3, size, size)


def _sampled(picture: Tensor, transform: NDArray[np.float32], size: int) -> Tensor:
    height, width = picture.shape[2:]
    back = np.linalg.inv(np.vstack([transform, [0, 0, 1]]))[:2]
    # grid_sample counts from the first pixel's centre, -1, to the last one's, 1.
    back = back * (2 / np.array([max(width - 1, 1), max(height - 1, 1)]))[:, None]
    back[:, 2] -= 1
    steps = torch.arange(size, dtype=torch.float32, device=picture.device)
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    places = torch.stack([x, y, torch.ones_like(x)], 2) @ torch.from_numpy(back.T.astype(np.float32)).to(
        x.device
    )
    return F.grid_sample(
        picture, places[None], mode="bilinear", padding_mode="reflection", align_corners=True
    )
