"""Real faces for the networks, from photographs: by default those of the demo, else any folder of pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.alignment import FACE_SIZE, RECOGNITION_SIZE, face_transform, recognition_transform, warp
from engines.backends import open_engine
from engines.detection.landmarks import CROP_SIZE, crop_transform
from engines.detection.mtcnn import MTCNN, NETWORKS
from engines.masks.authenticity import crop as authenticity_crop
from engines.masks.state import crop as mask_crop
from engines.masks.synthesis import draw_mask
from engines.models import prepare
from tools.demo.enrolled import PICTURES
from tools.learning.faces import read_picture

CACHE = Path("~/.cache/unvizard/engines").expanduser()
LEVEL = (360, 640)
"""Height and width of the pictures that P-Net is given: the largest level of 720p at min_face 24."""

_SUFFIXES = (".jpg", ".jpeg", ".png")
_LARGEST = 1280
_WANDER = 0.03  # of the eyes' distance: landmarks of the same face in several frames

_BOTH = ("maskstate", "gender", "authenticity")  # are given faces with masks and without, in turn

Pictures = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """One face of a photograph. box: (x1, y1, x2, y2); landmarks: float32 [5, 2]; pixels of `picture`."""

    picture: Pictures
    box: NDArray[np.float32]
    landmarks: NDArray[np.float32]


def find_faces(folder: Path = PICTURES, most: int = 64) -> list[Face]:
    """The first faces in the pictures of a folder. Raises ValueError when there are none."""
    models = prepare(CACHE, NETWORKS)
    detector = MTCNN({name: open_engine(models[name], cache=CACHE) for name in NETWORKS}, min_face=40)
    faces: list[Face] = []
    for path in picture_files(folder):
        picture = _bounded(read_picture(path))
        found = detector.detect([picture])[0]
        faces += [Face(picture, *each) for each in zip(found.boxes, found.landmarks, strict=True)]
        if len(faces) >= most:
            break
    if not faces:
        raise ValueError(f"{folder}: must hold pictures with faces, found none")
    return faces[:most]


def picture_files(folder: Path) -> Iterator[Path]:
    """The pictures of a folder and of those in it, sorted."""
    return (path for path in sorted(folder.rglob("*")) if path.suffix.lower() in _SUFFIXES)


def inputs(network: str, faces: list[Face], count: int, seed: int = 0) -> Pictures:
    """uint8 RGB [count, 3, H, W] as the pipeline gives it to a network: the faces in turn, each time a bit otherwise.

    The faces of the networks for masked faces, and every other one of the classifiers', wear drawn masks. Raises
    ValueError for a network that has no crop of a face as its input.
    """
    rng = np.random.default_rng(seed)
    made = [_crop(network, faces[n % len(faces)], n, rng) for n in range(count)]
    return np.ascontiguousarray(np.stack(made).transpose(0, 3, 1, 2))


def _crop(network: str, face: Face, number: int, rng: np.random.Generator) -> Pictures:
    eyes = float(np.hypot(*(face.landmarks[1] - face.landmarks[0])))
    landmarks = (face.landmarks + rng.normal(0, _WANDER * eyes, (5, 2))).astype(np.float32)
    shift = rng.normal(0, _WANDER * eyes, 2)
    box = (face.box + np.tile(shift, 2)).astype(np.float32)
    picture = face.picture
    if network in ("unmask", "sface-masked", "landmarks") or (network in _BOTH and number % 2):
        picture, _ = draw_mask(picture, face.landmarks, rng)
    match network:
        case "sface" | "sface-masked" | "gender":
            return warp(picture, recognition_transform(landmarks), RECOGNITION_SIZE)
        case "landmarks":
            return warp(picture, crop_transform(landmarks), CROP_SIZE)
        case "authenticity":
            return authenticity_crop(picture, landmarks)
        case "unmask":
            return warp(picture, face_transform(landmarks), FACE_SIZE)
        case "maskstate":
            return mask_crop(picture, box)
        case "rnet" | "onet":
            return _square(picture, box, 24 if network == "rnet" else 48)
        case "pnet":
            return np.asarray(cv2.resize(picture, LEVEL[::-1], interpolation=cv2.INTER_AREA), np.uint8)
    raise ValueError(f"network: must be one that looks at faces, found {network!r}")


def _square(picture: Pictures, box: NDArray[np.float32], size: int) -> Pictures:
    side = float(max(box[2] - box[0], box[3] - box[1]))
    scale = size / side
    corner = (box[:2] + box[2:]) / 2 - side / 2
    transform = np.array([[scale, 0, -corner[0] * scale], [0, scale, -corner[1] * scale]], np.float32)
    return warp(picture, transform, size)


def _bounded(picture: Pictures) -> Pictures:
    """The picture, made smaller where it is large."""
    scale = _LARGEST / max(picture.shape[:2])
    if scale >= 1:
        return picture
    return np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
