"""Masks that an evaluation puts on pictures of faces without one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.masks.synthesis import draw_mask
from engines.masks.templates import apply_template, read_templates

SYNTHETIC = "synthetic"
Picture = NDArray[np.uint8]
Landmarks = NDArray[np.float32]
Masker = Callable[[Picture, Landmarks, np.random.Generator], tuple[Picture, NDArray[np.float32]]]
"""Gives a picture with a mask on the face that has these landmarks [5, 2], and the mask's alpha."""


@dataclass(frozen=True, slots=True)
class Masks:
    """draw: puts a mask on a face. about: a sentence for reports. digest: differs when the masks do."""

    draw: Masker
    about: str
    digest: str


def drawn_masks() -> Masks:
    """Masks as engines.masks.synthesis draws them: the kind that this project's networks learnt from."""
    return Masks(draw_mask, "drawn, of the kind that the networks learnt from", "drawn")


def template_masks(folder: Path) -> Masks:
    """Photographed templates (engines.masks.templates), one for each picture by chance. Raises ValueError."""
    if not folder.is_dir():
        raise ValueError(f"{folder}: must be a folder of mask templates, found none")
    masks = read_templates(folder)
    names = sorted(masks)

    def draw(
        picture: Picture, landmarks: Landmarks, rng: np.random.Generator
    ) -> tuple[Picture, NDArray[np.float32]]:
        return apply_template(picture, landmarks, masks[names[int(rng.integers(len(names)))]])

    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes())
    return Masks(draw, f"{len(names)} photographed templates ({folder.name})", digest.hexdigest())
