"""MTCNN's cascade on frames that lie on the device: pictures stay there, candidates' numbers come to the host.

The same networks, thresholds and arithmetic on boxes as engines/detection/mtcnn.py, which finds the same faces.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engines.backends.cuda import Resident
from engines.detection import boxes as geometry
from engines.faces import Faces
from engines.resident.sampling import AreaTable

_CELL, _STRIDE = 12, 2  # P-Net's window and its step, in pixels of a level
_LARGEST_BATCH = 512  # crops a call; bounds the memory of a crowded street

Owners = NDArray[np.intp]
_Found = tuple[geometry.Boxes, NDArray[np.float32], Owners]


class ResidentMTCNN:
    """The detector. Arguments as MTCNN's; engines: "pnet", "rnet" and "onet", all on one device."""

    def __init__(
        self,
        engines: Mapping[str, Resident],
        min_face: float = 40,
        thresholds: tuple[float, float, float] = (0.6, 0.7, 0.7),
        factor: float = 0.709,
    ) -> None:
        self._engines, self._min_face = engines, min_face
        self._thresholds, self._factor = thresholds, factor

    def detect(self, frames: Tensor) -> list[Faces]:
        """The faces in each frame, most certain first.

        frames: uint8 [N, H, W, 3] RGB on the engines' device. Raises ValueError for another shape, type or place.
        """
        device = self._engines["pnet"].device
        if frames.ndim != 4 or frames.shape[3] != 3 or frames.dtype != torch.uint8 or frames.device != device:
            raise ValueError(
                f"frames: must be uint8 [N, H, W, 3] on {device}, found {frames.dtype} {list(frames.shape)} "
                f"on {frames.device}"
            )
        with torch.inference_mode():
            table = AreaTable(frames)
            size = frames.shape[1], frames.shape[2]
            faces, owners = self._finish(table, size, self._reject(table, size, self._propose(table, size)))
        return [faces[np.flatnonzero(owners == index)] for index in range(len(frames))]

    def _propose(self, table: AreaTable, size: tuple[int, int]) -> _Found:
        """P-Net over the pyramid. All levels are launched before the first is read."""
        scales = list(self._scales(*size))
        levels = [
            self._engines["pnet"].on_device(table.level(int(size[0] * s + 1), int(size[1] * s + 1)))
            for s in scales
        ]
        parts = []
        for number, (scale, (moves, probability)) in enumerate(zip(scales, levels, strict=True)):
            at = torch.nonzero(probability[:, 0] >= self._thresholds[0], as_tuple=True)
            numbers = torch.stack([probability[:, 0][at], *(move[at] for move in moves.unbind(1))], 1)
            owner, row, column = (index.cpu().numpy() for index in at)
            corner = np.stack([column, row], 1).astype(np.float32) * _STRIDE + 1
            step = np.float32(scale)
            boxes = np.hstack([np.floor(corner / step), np.floor((corner + (_CELL - 1)) / step)])
            parts.append((boxes, numbers.cpu().numpy(), owner, owner + number * table.count))
        if not parts:
            return np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.intp)
        boxes, said, owner, group = (np.concatenate(column) for column in zip(*parts, strict=True))
        scores, offsets = said[:, 0].copy(), said[:, 1:]
        kept = geometry.suppress(boxes, scores, group, 0.5)
        kept = kept[geometry.suppress(boxes[kept], scores[kept], owner[kept], 0.7)]
        boxes, scores, offsets, owner = boxes[kept], scores[kept], offsets[kept], owner[kept]
        side = boxes[:, 2:] - boxes[:, :2]  # here, and only here, the reference does not count inclusively
        return geometry.square(boxes + offsets * np.hstack([side, side])), scores, owner

    def _reject(self, table: AreaTable, size: tuple[int, int], found: _Found) -> _Found:
        """R-Net: far fewer candidates, regressed and squared again."""
        boxes, owner, (offsets, probability) = self._look("rnet", 24, table, size, found)
        passed = np.flatnonzero(probability[:, 0] > np.float32(self._thresholds[1]))
        boxes, scores, owner = boxes[passed], probability[passed, 0], owner[passed]
        kept = geometry.suppress(boxes, scores, owner, 0.7)
        boxes = geometry.square(geometry.regress(boxes[kept], offsets[passed][kept]))
        return boxes, scores[kept], owner[kept]

    def _finish(self, table: AreaTable, size: tuple[int, int], found: _Found) -> tuple[Faces, Owners]:
        """O-Net: the faces of all frames, and whose each is."""
        boxes, owner, (offsets, points, probability) = self._look("onet", 48, table, size, found)
        scores = probability[:, 0]
        side = (boxes[:, 2:] - boxes[:, :2] + 1)[:, None, :]
        landmarks = points.reshape(-1, 2, 5).transpose(0, 2, 1) * side + boxes[:, None, :2] - 1
        faces = Faces(geometry.regress(boxes, offsets), scores, landmarks)
        passed = np.flatnonzero(scores > np.float32(self._thresholds[2]))
        faces, owner = faces[passed], owner[passed]
        kept = geometry.suppress_contained(faces.boxes, faces.scores, owner, 0.7)
        return faces[kept], owner[kept]

    def _look(
        self, network: str, side: int, table: AreaTable, size: tuple[int, int], found: _Found
    ) -> tuple[geometry.Boxes, Owners, tuple[NDArray[np.float32], ...]]:
        """The candidates that have a pixel inside their frame, and the network's outputs for each."""
        boxes, _, owner = found
        windows, exist = geometry.windows(boxes, *size)
        boxes, owner, windows = boxes[exist], owner[exist], windows[exist]
        engine, parts = self._engines[network], []
        for start in range(0, max(len(boxes), 1), _LARGEST_BATCH):
            chosen = slice(start, start + _LARGEST_BATCH)
            crops = table.crops(owner[chosen], windows[chosen], side)
            parts.append(engine.on_device(crops) if len(crops) else _nothing(network))
        outputs = tuple(torch.cat(output).cpu().numpy() for output in zip(*parts, strict=True))
        return boxes, owner, outputs

    def _scales(self, height: int, width: int) -> Iterator[float]:
        scale = _CELL / self._min_face
        shorter = min(height, width) * scale
        while shorter >= _CELL:
            yield scale
            scale *= self._factor
            shorter *= self._factor


def _nothing(network: str) -> tuple[Tensor, ...]:
    """What a network says of no crops at all."""
    return tuple(torch.zeros(0, width) for width in {"rnet": (4, 1), "onet": (4, 10, 1)}[network])
