"""Photographs of faces, from any folders: where the face is, whether it is masked, and which part it belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
from rich.progress import track

from engines.alignment import FACE_SIZE, face_transform
from engines.detection.mtcnn import MTCNN
from engines.masks.state import MaskState, MaskStateClassifier, crop
from tools.learning.faces import LabelledFace
from tools.learning.states import RealFace, detector_box, split
from tools.unmasking.cases import find_faces

PARTS = ("train", "validation", "test")
SHARES = (0.8, 0.1, 0.1)
_LEAST_PIXELS = 40
"""A face that fills fewer pixels of its picture is not one of 112 pixels any more."""
_NEAR = 3  # bits of 64 in which the hashes of pictures that look alike may differ


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """One photographed face. part: of PARTS. collection: the folder that it was found through."""

    face: LabelledFace
    masked: bool
    part: str
    collection: str


class Reader:
    """Finds faces in folders and leaves out those whose mask is not what the folder is said to hold."""

    def __init__(self, detector: MTCNN, mask_state: MaskStateClassifier) -> None:
        self._detector, self._mask_state = detector, mask_state
        self.left_out: dict[str, dict[str, int]] = {}
        """By folder, how many pictures were left out for which reason."""

    def read(
        self, folder: Path, masked: bool, limit: int = 0, leave_out: Sequence[str] = ()
    ) -> list[LabelledFace]:
        """The usable faces of a folder. limit: at most so many pictures, evenly picked; 0: all.

        leave_out: patterns of file names. Raises ValueError when the folder holds no face.
        """
        faces, without = find_faces(folder, self._detector)
        kept = [face for face in faces if not any(fnmatch(face.path.name, p) for p in leave_out)]
        reasons = {"no face was found": without, "named to be left out": len(faces) - len(kept)}
        if limit and len(kept) > limit:
            kept = [kept[i] for i in np.linspace(0, len(kept) - 1, limit).astype(int)]
        usable = []
        for face in track(kept, f"looking at {folder.name}", transient=True):
            reason = self._reason_against(face, masked)
            if reason:
                reasons[reason] = reasons.get(reason, 0) + 1
            else:
                usable.append(face)
        self.left_out[str(folder)] = {reason: count for reason, count in reasons.items() if count}
        return usable

    def _reason_against(self, face: LabelledFace, masked: bool) -> str:
        try:
            transform = face_transform(face.landmarks)
        except ValueError:
            return "landmarks that fall together"
        if FACE_SIZE / float(np.hypot(transform[0, 0], transform[1, 0])) < _LEAST_PIXELS:
            return f"smaller than {_LEAST_PIXELS} pixels"
        view = crop(face.read(), detector_box(face.landmarks))[None]
        bare = float(self._mask_state.classify(view)[0][list(MaskState).index(MaskState.NONE)])
        if masked and bare > 0.5:
            return "no mask, where masks were said to be"
        return "a mask, where none was said to be" if not masked and bare < 0.1 else ""


def divided(found: Sequence[tuple[LabelledFace, bool, str]]) -> list[Source]:
    """Faces (face, masked, collection) in three parts, pictures that look alike always in the same one."""
    by_path = {face.path: (face, masked, collection) for face, masked, collection in found}
    none = np.zeros(4, np.float32)
    plain = [RealFace(path, none, MaskState.NONE, 0.0) for path in by_path]
    parts = split(plain, SHARES, _NEAR)
    return [
        Source(face, masked, part, collection)
        for part, members in zip(PARTS, parts, strict=True)
        for face, masked, collection in (by_path[member.path] for member in members)
    ]
