"""From a stored view to what a network is given: cut, spoilt as cameras and compression do, and prepared."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.masks.authenticity import CROP_SIZE
from engines.masks.degradation import choose_degradation
from tools.authenticity.compression import h264
from tools.authenticity.examples import MARGIN, VIEW_SIZE

Preparation = Literal["denoise", "sharpen", "contrast"]
Picture = NDArray[np.uint8]
_SMALLEST = 56  # pixels that a camera resolves across the crop: with fewer, paint can not be told from light
_H264 = 0.12


def cut(view: Picture, rng: np.random.Generator | None = None) -> Picture:
    """The crop uint8 RGB [112, 112, 3] of a view [144, 144, 3]; with rng as another detector would have placed it."""
    scale = CROP_SIZE * MARGIN / VIEW_SIZE
    turn, shift = 0.0, np.zeros(2)
    if rng is not None:
        scale *= float(np.exp(rng.normal(0, 0.05)))
        turn, shift = float(rng.normal(0, 3)), rng.normal(0, 0.025, 2) * CROP_SIZE
    matrix = cv2.getRotationMatrix2D((VIEW_SIZE / 2, VIEW_SIZE / 2), turn, scale)
    matrix[:, 2] += CROP_SIZE / 2 - VIEW_SIZE / 2 + shift
    return np.asarray(
        cv2.warpAffine(
            view, matrix, (CROP_SIZE, CROP_SIZE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
        ),
        np.uint8,
    )


def augmented(view: Picture, rng: np.random.Generator) -> Picture:
    """A training crop: mirrored half of the time, shifted, and spoilt; the same for both classes."""
    out = cut(np.ascontiguousarray(view[:, ::-1]) if rng.random() < 0.5 else view, rng)
    camera = choose_degradation(rng, smallest=_SMALLEST, clean=0.4)
    out = camera.spoil(camera.expose(out), rng)
    return h264(out, int(rng.integers(18, 36))) if rng.random() < _H264 else out


def treat(picture: Picture, preparations: tuple[Preparation, ...]) -> Picture:
    """Optional preparation of a uint8 RGB picture, in the order given."""
    for preparation in preparations:
        if preparation == "denoise":
            picture = np.asarray(cv2.bilateralFilter(picture, 5, 30, 3), np.uint8)
        elif preparation == "sharpen":
            soft = cv2.GaussianBlur(picture, (0, 0), 1.2)
            picture = np.asarray(cv2.addWeighted(picture, 1.6, soft, -0.6, 0), np.uint8)
        else:
            lab = cv2.cvtColor(picture, cv2.COLOR_RGB2LAB)
            lab[..., 0] = cv2.createCLAHE(2.0, (4, 4)).apply(lab[..., 0])
            picture = np.asarray(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), np.uint8)
    return picture
