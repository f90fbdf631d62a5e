"""Faces to unmask whose truth is known: pictures without masks, and the same with one put on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from engines.alignment import FACE_SIZE, face_transform, warp
from engines.detection.detectors import Detector
from engines.masks.degradation import Degradation
from engines.masks.pose import estimate_pose
from engines.masks.synthesis import draw_mask
from engines.masks.templates import apply_template, read_templates
from tools.learning.faces import LabelledFace, read_index, read_picture

PICTURES = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}
_SHARP = Degradation(1.0, 1.0, (1.0, 1.0, 1.0), False, 0, 0.0, (0.0, 0.0), 0.0, 0)
CONDITIONS = {
    "as it is": _SHARP,
    "40 px face": replace(_SHARP, width=40, noise=2.0, jpeg=70),
    "dark": replace(_SHARP, gain=0.35, gamma=1.2, noise=8.0, jpeg=80),
    "infrared": replace(_SHARP, infrared=True, noise=4.0, jpeg=80),
}
"""What the camera does to the face. Truth and input share tone and sharpness; noise is on the input alone."""


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One face in the face frame, uint8 RGB [128, 128, 3]. mask, inside: bool [128, 128], where the mask covers at
    least half a pixel, and where the picture really reaches (the rest is mirrored and counts for nothing).
    """

    masked: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    inside: NDArray[np.bool_]
    template: str
    pose: str
    group: dict[str, str]


def find_faces(images: Path, detector: Detector) -> tuple[list[LabelledFace], int]:
    """The faces of a folder, and how many of its pictures have none that can be found.

    Landmarks and groups come from an index.csv (tools/learning/faces.py) in the folder or one of those above it that
    lists its pictures; without one, from the product's own detector, which takes the largest face.
    Raises ValueError when nothing is left.
    """
    images = images.resolve()
    for folder in (images, *images.parents):
        if (folder / "index.csv").is_file():
            prefix = "" if folder == images else f"{images.relative_to(folder).as_posix()}/"
            try:
                return read_index(folder / "index.csv", prefix), 0
            except ValueError:
                break  # the index of something else
    faces, without = [], 0
    paths = sorted(path for path in images.rglob("*") if path.suffix.lower() in PICTURES)
    for path in track(paths, "faces"):
        found = detector.detect([read_picture(path)])[0]
        if not len(found):
            without += 1
            continue
        sizes = (found.boxes[:, 2] - found.boxes[:, 0]) * (found.boxes[:, 3] - found.boxes[:, 1])
        identity = path.parent.name if path.parent != images else ""
        faces.append(LabelledFace(path, found.landmarks[int(sizes.argmax())], {"identity": identity}))
    if not faces:
        raise ValueError(f"{images}: must hold pictures of faces, found {len(paths)} pictures and no face")
    return faces, without


def make_cases(
    faces: Sequence[LabelledFace], templates: Path | None, camera: Degradation = _SHARP, seed: int = 0
) -> list[Case]:
    """Faces with masks, each template in turn, or drawn ones; the same each time."""
    masks = read_templates(templates) if templates else {}
    names, rng = sorted(masks), np.random.default_rng(seed)
    cases = []
    for i, face in enumerate(track(faces, "masks", transient=True)):
        picture = face.read()
        name = names[i % len(names)] if names else "drawn"
        if names:
            masked, alpha = apply_template(picture, face.landmarks, masks[name])
        else:
            masked, alpha = draw_mask(picture, face.landmarks, rng)
        transform = face_transform(face.landmarks)
        cover = warp(np.repeat((alpha * 255).astype(np.uint8)[..., None], 3, 2), transform, FACE_SIZE)[..., 0]
        reach = cv2.warpAffine(np.full(picture.shape[:2], 255, np.uint8), transform, (FACE_SIZE, FACE_SIZE))
        shown, truth = (camera.expose(warp(p, transform, FACE_SIZE)) for p in (masked, picture))
        inside = reach > 250
        yaw = abs(np.degrees(estimate_pose(face.landmarks).yaw))
        pose = "yaw 0-15" if yaw < 15 else "yaw 15-30" if yaw < 30 else "yaw over 30"
        cases.append(
            Case(camera.spoil(shown, rng), truth, (cover >= 128) & inside, inside, name, pose, face.group)
        )
    return cases
