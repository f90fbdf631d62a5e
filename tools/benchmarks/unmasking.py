"""From a masked face's crop to its reconstruction: ours, plain torch on the same network, and OpenCV's inpainting.

Each way gets the same crops and as many threads. Torch and ONNX Runtime run the very network in float32. Inpainting
(Telea's, with the mask given, which it could not find itself) is what one does without a network; it knows no faces.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.backends import Engine, Precision, open_engine
from engines.models import prepare
from engines.unmasking.generator import Unmasker
from tools.benchmarks.engines import Call, compare, compared, engines, hold_threads
from tools.benchmarks.inputs import CACHE, find_faces, inputs
from tools.benchmarks.report import Report

Crops = NDArray[np.uint8]
_REACH = 5  # pixels around a hole from which Telea's method takes its colours


def inpaint(crops: Crops, masks: NDArray[np.float32]) -> Crops:
    """The crops uint8 [N, 128, 128, 3] with what lies under masks float32 [N, 128, 128] filled in by OpenCV."""
    holes = (masks > 0.5).astype(np.uint8)
    return np.stack([cv2.inpaint(c, h, _REACH, cv2.INPAINT_TELEA) for c, h in zip(crops, holes, strict=True)])


def main() -> int:
    """Measure, print, save."""
    given = compared("unmasking", __doc__)
    report = Report("unmasking", "a call, from uint8 crops to uint8 reconstructions", plot_group="batch")
    hold_threads(given.threads)
    model = prepare(CACHE, ["unmask"])["unmask"]
    faces = find_faces(given.pictures) if given.pictures else find_faces()
    ours = engines(
        model, given.backend, (Precision.FP32, Precision.BF16, Precision.FP16), given.threads, report
    )
    peers = {
        f"{backend} fp32": open_engine(model, backend, "fp32", given.threads)
        for backend in ("torch", "onnxruntime")
        if f"ours, {backend} fp32" not in ours
    }

    def calls(batch: int) -> dict[str, Call]:
        crops = np.ascontiguousarray(inputs("unmask", faces, batch).transpose(0, 2, 3, 1))
        masks = Unmasker(next(iter(ours.values()))).unmask(crops).masks
        return {name: _unmasking(engine, crops) for name, engine in (ours | peers).items()} | {
            "OpenCV inpainting": partial(inpaint, crops, masks)
        }

    compare(report, given.batch, calls, given.seconds)
    report.finish(given)
    return 0


def _unmasking(engine: Engine, crops: Crops) -> Callable[[], object]:
    return partial(Unmasker(engine).unmask, crops)


if __name__ == "__main__":
    sys.exit(main())
