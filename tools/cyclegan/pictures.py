"""What people look at while a CycleGAN learns: fakes both ways, where they were changed, and the way back."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.cyclegan.domains import as_pictures, as_tensor
from tools.cyclegan.training import CycleGan

PROGRESS_EPOCHS = (1, 10, 20, 30, 50, 80, 120, 150, 200)
_SHOWN = 8
_CHANGED = 24  # grey levels
_OUTLINE = (255, 196, 0)


def outlined(fake: NDArray[np.uint8], original: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A copy of a fake, uint8 RGB [S, S, 3], with a line around what differs from its original."""
    apart = cv2.GaussianBlur(np.abs(fake.astype(np.int16) - original).max(2).astype(np.uint8), (0, 0), 2)
    opened = cv2.morphologyEx((apart > _CHANGED).astype(np.uint8), cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
    lines, _ = cv2.findContours(opened, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    made = fake.copy()
    cv2.drawContours(made, lines, -1, _OUTLINE, 1)
    return made


def cycle_sheet(model: CycleGan, a: NDArray[np.uint8], b: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """uint8 RGB: for each domain a row of originals, of fakes with the changed region outlined, and of the way back."""
    rows = []
    for source, there, back in ((a, "g_a", "g_b"), (b, "g_b", "g_a")):
        originals = source[:_SHOWN]
        x = as_tensor(originals, model.device)
        fakes = model.translate(there, x)  # type: ignore[arg-type]
        returned = as_pictures(model.translate(back, fakes))  # type: ignore[arg-type]
        painted = [outlined(f, o) for f, o in zip(as_pictures(fakes), originals, strict=True)]
        rows += [np.hstack(list(originals)), np.hstack(painted), np.hstack(list(returned))]
    return np.vstack(rows)


def bad_ones(
    model: CycleGan, a: NDArray[np.uint8], b: NDArray[np.uint8], looked_at: int = 64
) -> NDArray[np.uint8]:
    """uint8 RGB: for each domain the fakes that their discriminator most surely takes for fakes, under originals."""
    rows = []
    for source, there, judge in ((a, "g_a", "d_a"), (b, "g_b", "d_b")):
        x = as_tensor(source[:looked_at], model.device)
        fakes = model.translate(there, x)  # type: ignore[arg-type]
        verdicts = model.translate(judge, fakes).mean((1, 2, 3))  # type: ignore[arg-type]
        worst = verdicts.argsort()[:_SHOWN].cpu().numpy()
        rows += [np.hstack(list(source[worst])), np.hstack(list(as_pictures(fakes)[worst]))]
    width = min(row.shape[1] for row in rows)
    return np.vstack([row[:, :width] for row in rows])


def write_picture(path: Path, picture: NDArray[np.uint8]) -> None:
    """Writes a uint8 RGB picture as PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
