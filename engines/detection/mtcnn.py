"""MTCNN: faces and five landmarks by a cascade of three small networks, batched over pictures.

Zhang et al., "Joint Face Detection and Alignment using Multi-task Cascaded Convolutional Networks", 2016.
P-Net looks at every 12 x 12 window of an image pyramid, R-Net (24 x 24) and O-Net (48 x 48) look again at
what is left. Finds the same faces as facenet-pytorch's MTCNN.detect in float32
(tests/engines/test_mtcnn_parity.py), without its loops over candidates.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.backends import Array, Engine
from engines.detection import boxes as geometry
from engines.detection.area import AreaSampler, few_crops
from engines.detection.boxes import Boxes, Index
from engines.faces import Faces

NETWORKS = ("pnet", "rnet", "onet")
_OUTPUTS = {"rnet": (4, 1), "onet": (4, 10, 1)}
_CELL, _STRIDE = 12, 2  # P-Net's window and its step, in pixels of a level
_OVERLAP_OF_LEVELS = 0.7  # intersection over union above which boxes of two levels are one
_LARGEST_BATCH = 512  # crops a call; bounds the memory of a crowded street
_LARGEST_LAUNCH = 4e6  # pixels a call of P-Net, some 100 bytes each; bounds the memory of many cameras

Picture = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class _Candidates:
    """Boxes of all pictures in one array. picture: int [N], whose."""

    boxes: Boxes
    scores: NDArray[np.float32]
    picture: Index

    def __getitem__(self, index: Index | slice) -> _Candidates:
        return _Candidates(self.boxes[index], self.scores[index], self.picture[index])


class MTCNN:
    """The detector.

    engines: "pnet", "rnet" and "onet" by name; for refine() alone, "onet" is enough.
    min_face: the smallest face that is looked for, in pixels, >= 12. Time grows with (1 / min_face) squared.
    thresholds: the least probability after each of the three networks, 0 to 1.
    factor: the size of each level of the pyramid over the one before, between 0 and 1.
    Raises ValueError for a value out of range.
    """

    def __init__(
        self,
        engines: Mapping[str, Engine],
        min_face: float = 40,
        thresholds: tuple[float, float, float] = (0.6, 0.7, 0.7),
        factor: float = 0.709,
    ) -> None:
        if not min_face >= _CELL:
            raise ValueError(f"min_face: must be at least {_CELL} pixels, found {min_face}")
        if len(thresholds) != 3 or not all(0 <= t <= 1 for t in thresholds):
            raise ValueError(f"thresholds: must be three numbers from 0 to 1, found {thresholds}")
        if not 0 < factor < 1:
            raise ValueError(f"factor: must lie between 0 and 1, found {factor}")
        self._engines = engines
        self._min_face = min_face
        self._thresholds = thresholds
        self._factor = factor
        # The most that boxes of two levels can overlap: their sides are as factor to 1, the smallest are 11 pixels,
        # and rounding adds a pixel to one and takes one from the other.
        most = (_CELL / ((_CELL - 1) / factor - 1)) ** 2
        self._levels_meet = most > _OVERLAP_OF_LEVELS

    def detect(self, pictures: Sequence[Picture]) -> list[Faces]:
        """The faces in each picture, most certain first.

        pictures: uint8 [H, W, 3] RGB each, of any sizes. P-Net runs once a level for all pictures of one
        size (for as many as _LARGEST_LAUNCH allows), R-Net and O-Net once for all of them. Raises
        ValueError for another shape or dtype.
        """
        for picture in pictures:
            _check(picture)
        samplers = [AreaSampler(picture) for picture in pictures]
        found = self._propose(pictures, samplers)
        found = self._reject(pictures, samplers, found)
        faces, owner = self._finish(pictures, samplers, found)
        return [faces[np.flatnonzero(owner == index)] for index in range(len(pictures))]

    def refine(self, pictures: Sequence[Picture], boxes: Sequence[NDArray[np.floating]]) -> list[Faces]:
        """What O-Net makes of boxes that are already known about, such as where tracks are expected.

        boxes: for each picture float [K, 4]. Returns for each picture K faces in the order of its boxes:
        no threshold and no suppression, so the score says whether there is a face. A box with no pixel
        inside the picture comes back as given with score 0 and its landmarks at its centre.
        Raises ValueError when a shape does not fit.
        """
        if len(pictures) != len(boxes):
            raise ValueError(f"boxes: one array a picture is needed, found {len(boxes)} for {len(pictures)}")
        crops, squares, inside = [], [], []
        for picture, given in zip(pictures, boxes, strict=True):
            _check(picture)
            if given.ndim != 2 or given.shape[1] != 4:
                raise ValueError(f"boxes: the shape must be [K, 4], found {list(given.shape)}")
            squared = geometry.square(given.astype(np.float32))
            windows, exist = geometry.windows(squared, *picture.shape[:2])
            crops.append(few_crops(picture, windows[exist], 48))
            squares.append(squared[exist])
            inside.append(exist)
        if not any(len(c) for c in crops):
            return [_untouched(given) for given in boxes]
        refined = _read(np.concatenate(squares), self._run("onet", np.concatenate(crops)))
        results, start = [], 0
        for given, exist in zip(boxes, inside, strict=True):
            part = refined[start : start + int(exist.sum())]
            start += len(part)
            whole = _untouched(given)
            whole.boxes[exist], whole.scores[exist] = part.boxes, part.scores
            whole.landmarks[exist] = part.landmarks
            results.append(whole)
        return results

    def _propose(self, pictures: Sequence[Picture], samplers: Sequence[AreaSampler]) -> _Candidates:
        """P-Net over the pyramid: candidates, regressed and squared."""
        found = []
        for (height, width), owners in _by_size(pictures).items():
            for scale in self._scales(height, width):
                count = max(1, int(_LARGEST_LAUNCH / (height * width * scale**2)))
                for start in range(0, len(owners), count):
                    found.append(self._search(scale, samplers, owners[start : start + count]))
        if not found:
            return _Candidates(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.intp))
        boxes, scores, offsets, owner = (np.concatenate(parts) for parts in zip(*found, strict=True))
        if self._levels_meet:
            kept = geometry.suppress(boxes, scores, owner, _OVERLAP_OF_LEVELS)
            boxes, scores, offsets, owner = boxes[kept], scores[kept], offsets[kept], owner[kept]
        size = boxes[:, 2:] - boxes[:, :2]  # here, and only here, the reference does not count inclusively
        return _Candidates(geometry.square(boxes + offsets * np.hstack([size, size])), scores, owner)

    def _search(
        self, scale: float, samplers: Sequence[AreaSampler], owners: Index
    ) -> tuple[Boxes, NDArray[np.float32], Boxes, Index]:
        """P-Net over one level of some pictures of one size: boxes, scores, offsets, and whose each is."""
        height, width = samplers[owners[0]].size
        size = int(height * scale + 1), int(width * scale + 1)
        levels = np.empty((len(owners), 3, *size), np.float32)
        for level, owner in zip(levels, owners, strict=True):
            samplers[owner].level(*size, out=level)
        offsets, probability = self._engines["pnet"](levels)
        image, row, column = np.nonzero(probability[:, 0] >= np.float32(self._thresholds[0]))
        corner = np.stack([column, row], 1).astype(np.float32) * _STRIDE + 1
        step = np.float32(scale)
        boxes = np.hstack([np.floor(corner / step), np.floor((corner + (_CELL - 1)) / step)])
        scores = probability[image, 0, row, column]
        kept = geometry.suppress(boxes, scores, image, 0.5)
        image, row, column = image[kept], row[kept], column[kept]
        return boxes[kept], scores[kept], offsets[image, :, row, column], owners[image]

    def _reject(
        self, pictures: Sequence[Picture], samplers: Sequence[AreaSampler], found: _Candidates
    ) -> _Candidates:
        """R-Net: far fewer candidates, regressed and squared again."""
        found, (offsets, probability) = self._look("rnet", 24, pictures, samplers, found)
        scores = probability[:, 0]
        passed = np.flatnonzero(scores > np.float32(self._thresholds[1]))
        boxes, scores, owner = found.boxes[passed], scores[passed], found.picture[passed]
        kept = geometry.suppress(boxes, scores, owner, 0.7)
        boxes = geometry.square(geometry.regress(boxes[kept], offsets[passed][kept]))
        return _Candidates(boxes, scores[kept], owner[kept])

    def _finish(
        self, pictures: Sequence[Picture], samplers: Sequence[AreaSampler], found: _Candidates
    ) -> tuple[Faces, Index]:
        """O-Net: the faces of all pictures, and whose each is."""
        found, outputs = self._look("onet", 48, pictures, samplers, found)
        faces = _read(found.boxes, outputs)
        passed = np.flatnonzero(faces.scores > np.float32(self._thresholds[2]))
        faces, owner = faces[passed], found.picture[passed]
        kept = geometry.suppress_contained(faces.boxes, faces.scores, owner, 0.7)
        return faces[kept], owner[kept]

    def _look(
        self,
        network: str,
        size: int,
        pictures: Sequence[Picture],
        samplers: Sequence[AreaSampler],
        found: _Candidates,
    ) -> tuple[_Candidates, tuple[Array, ...]]:
        """The candidates that have a pixel inside their picture, and the network's outputs for each.

        Candidates over the same whole pixels are looked at once: it saves time, and their scores are then
        equal to the last bit, whatever the runtime does with the rest of the batch.
        """
        distinct, which, kept, count = [], [], [], 0
        for index, picture in enumerate(pictures):
            own = np.flatnonzero(found.picture == index)
            windows, exist = geometry.windows(found.boxes[own], *picture.shape[:2])
            windows, inverse = _distinct(windows[exist])
            distinct.append(windows)
            which.append(inverse + count)
            kept.append(own[exist])
            count += len(windows)
        if count == 0:
            return found[:0], tuple(np.zeros((0, n), np.float32) for n in _OUTPUTS[network])
        crops, start = np.empty((count, 3, size, size), np.float32), 0
        for windows, sampler in zip(distinct, samplers, strict=True):
            sampler.crops(windows, size, out=crops[start : start + len(windows)])
            start += len(windows)
        outputs = self._run(network, crops)
        return found[np.concatenate(kept)], tuple(output[np.concatenate(which)] for output in outputs)

    def _scales(self, height: int, width: int) -> Iterable[float]:
        scale = _CELL / self._min_face
        shorter = min(height, width) * scale
        while shorter >= _CELL:
            yield scale
            scale *= self._factor
            shorter *= self._factor

    def _run(self, network: str, crops: Array) -> tuple[Array, ...]:
        engine = self._engines[network]
        parts = [engine(crops[i : i + _LARGEST_BATCH]) for i in range(0, len(crops), _LARGEST_BATCH)]
        return tuple(np.concatenate(output) for output in zip(*parts, strict=True))


def _by_size(pictures: Sequence[Picture]) -> dict[tuple[int, int], Index]:
    """(height, width) -> which pictures have it."""
    sizes: dict[tuple[int, int], list[int]] = {}
    for index, picture in enumerate(pictures):
        sizes.setdefault((picture.shape[0], picture.shape[1]), []).append(index)
    return {size: np.array(owners, np.intp) for size, owners in sizes.items()}


def _distinct(windows: Index) -> tuple[Index, Index]:
    """The different rows of windows [K, 4], and for each row which of them it is."""
    x1, y1, x2, y2 = windows.T
    key = ((y1 << 16 | x1) << 16 | y2) << 16 | x2  # from top to bottom: neighbours are near in memory
    _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    return windows[first], inverse


def _read(squares: Boxes, outputs: tuple[Array, ...]) -> Faces:
    """O-Net's outputs for its squares, in pixels of the picture."""
    offsets, points, probability = outputs
    size = (squares[:, 2:] - squares[:, :2] + 1)[:, None, :]
    landmarks = points.reshape(-1, 2, 5).transpose(0, 2, 1) * size + squares[:, None, :2] - 1
    return Faces(geometry.regress(squares, offsets), probability[:, 0], landmarks)


def _untouched(boxes: NDArray[np.floating]) -> Faces:
    boxes = boxes.astype(np.float32)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    return Faces(boxes, np.zeros(len(boxes), np.float32), np.repeat(centres[:, None], 5, 1))


def _check(picture: Picture) -> None:
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8 or picture.size == 0:
        raise ValueError(
            f"picture: must be uint8 [H, W, 3] and not empty, found {picture.dtype} {list(picture.shape)}"
        )
