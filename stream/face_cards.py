"""The cards of masked faces, as inference makes them: the crop beside its marked guess, or why there is none."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.unmasking.claim import Signer
from engines.unmasking.fusion import Fused
from engines.unmasking.mark import marked_png
from stream.messages import FaceCard, FrameReady


def reconstructed(
    frame: FrameReady, track: int, crop: NDArray[np.uint8], fused: Fused, signer: Signer | None
) -> FaceCard:
    """crop: uint8 RGB [128, 128, 3], what the newest look was made of. signer: as Inference has it."""
    return FaceCard(
        camera=frame.camera,
        track=track,
        sequence=frame.sequence,
        original_png=_png(crop),
        reconstruction_png=marked_png(fused.shown(), fused.mask, signer=signer),
        painted=float((fused.mask > 0.5).mean()),
        looks=fused.looks,
    )


def refused(frame: FrameReady, track: int, crop: NDArray[np.uint8], reason: str) -> FaceCard:
    """crop: as above. reason: as engines.unmasking.refusal says it."""
    return FaceCard(
        camera=frame.camera,
        track=track,
        sequence=frame.sequence,
        original_png=_png(crop),
        reconstruction_png=b"",
        painted=0.0,
        looks=0,
        no_reconstruction=reason,
    )


def _png(crop: NDArray[np.uint8]) -> bytes:
    """An RGB crop as a PNG file."""
    return cv2.imencode(".png", cv2.cvtColor(crop, cv2.COLOR_RGB2BGR))[1].tobytes()
