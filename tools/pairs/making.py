"""One pair of a face: without a mask, with one, and where the mask is."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.alignment import FACE_SIZE, face_transform, warp
from engines.masks.degradation import choose_degradation
from engines.masks.synthesis import WORN_WRONGLY, Kind, Wearing, draw_mask
from engines.masks.templates import Template, apply_template
from engines.masks.textures import Style


@dataclass(frozen=True, slots=True)
class Choice:
    """What may be drawn. kinds, styles: of drawn masks, empty for the usual mixture. wrongly, camera: shares of pairs
    whose mask is worn wrongly, and that look as a cheap camera shows them. size: of the aligned crop, 0 for whole
    pictures.
    """

    kinds: tuple[Kind, ...] = ()
    styles: tuple[Style, ...] = ()
    wrongly: float = 0.0
    camera: float = 0.0
    size: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """unmasked, masked: uint8 RGB [H, W, 3]. region: uint8 [H, W], 255 where the mask is. facts: how it was made."""

    unmasked: NDArray[np.uint8]
    masked: NDArray[np.uint8]
    region: NDArray[np.uint8]
    landmarks: NDArray[np.float32]
    facts: dict[str, Any]


def generator(seed: int, name: str, copy: int) -> np.random.Generator:
    """The randomness of one pair: of the seed, the picture's name and the copy's number, whatever was made before."""
    return np.random.default_rng([seed, zlib.crc32(name.encode()), copy])


def make(
    picture: NDArray[np.uint8],
    landmarks: NDArray[np.float32],
    choice: Choice,
    templates: Mapping[str, Sequence[Template]],
    rng: np.random.Generator,
) -> Made:
    """A pair from one face of a picture, uint8 RGB [H, W, 3]; with a template where there are any."""
    if choice.size:
        transform = face_transform(landmarks) * np.float32(choice.size / FACE_SIZE)
        picture = warp(picture, transform, choice.size)
        landmarks = (landmarks @ transform[:, :2].T + transform[:, 2]).astype(np.float32)
    facts: dict[str, Any] = {}
    if templates:
        facts["template"] = sorted(templates)[int(rng.integers(len(templates)))]
        facts["wearing"] = Wearing.WORN.value
        masked, alpha = apply_template(picture, landmarks, list(templates[facts["template"]]), rng)
    else:
        wearing = Wearing.WORN
        if rng.random() < choice.wrongly:
            wearing = WORN_WRONGLY[int(rng.integers(len(WORN_WRONGLY)))]
        kind = choice.kinds[int(rng.integers(len(choice.kinds)))] if choice.kinds else None
        style = choice.styles[int(rng.integers(len(choice.styles)))] if choice.styles else None
        masked, alpha = draw_mask(picture, landmarks, rng, kind=kind, style=style, wearing=wearing)
        facts |= {"kind": kind.value if kind else "", "style": style.value if style else ""}
        facts["wearing"] = wearing.value
    region = np.rint(alpha * 255).astype(np.uint8)
    if rng.random() < choice.camera:
        camera = choose_degradation(rng, clean=0.0)
        picture, masked = (camera.spoil(camera.expose(p), rng) for p in (picture, masked))
        region = camera.soften(region)
        facts["camera"] = asdict(camera)
    facts["covered"] = round(float((region > 127).mean()), 4)
    return Made(picture, masked, region, landmarks, facts)


def png(picture: NDArray[np.uint8]) -> bytes:
    """A picture, RGB or grey, as a PNG file."""
    stored = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR) if picture.ndim == 3 else picture
    return cv2.imencode(".png", stored)[1].tobytes()
