"""What each network gains and loses in bf16, fp16 and int8, so that the default is a choice with evidence.

All precisions of a network are timed in turns on the same faces. Their outputs are compared with torch's in float32 by
the rules of the gate (engines/gate/rules.py), and embedders also by how often they tell pairs of photographs apart
rightly (--pairs, --root). int8 is static: ranges come from the first half of the faces, figures from the second.

    python -m tools.benchmark precision --pictures PICTURES --pairs pairs.txt --root LFW --json precision.json
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from engines.backends import BACKENDS, Engine, EngineError, Precision, open_engine
from engines.detection.mtcnn import MTCNN
from engines.detection.mtcnn import NETWORKS as DETECTOR
from engines.gate.rules import compare
from engines.models import Model, prepare
from engines.recognition.embedder import SFace
from tools.benchmarks.engines import arguments, hold_threads
from tools.benchmarks.inputs import CACHE, Face, find_faces, inputs
from tools.benchmarks.report import Report, spread, timings
from tools.quantising.int8 import quantise
from tools.quantising.recognition import Pairs

BATCHES = {
    "pnet": 1,
    "rnet": 64,
    "onet": 16,
    "landmarks": 1,
    "maskstate": 4,
    "unmask": 1,
    "sface": 1,
    "sface-masked": 1,
    "gender": 1,
    "authenticity": 1,
}
"""Networks, each with a batch that the pipeline gives it."""

EMBEDDERS = ("sface", "sface-masked")
INT8 = "int8"
PRECISIONS = (*(precision.value for precision in Precision if precision != INT8), INT8)
_COMPARED, _RANGED = 32, 128  # inputs by which outputs are compared, and ranges are found

Inputs = NDArray[np.uint8]


def main() -> int:
    """Measure, print, save."""
    given = _arguments().parse_args()
    if (given.pairs is None) != (given.root is None):
        print("--pairs: must be given with --root, and only then")
        return 2
    report = Report("precision", "one call of each network", ("network", "backend", "precision"), "network")
    hold_threads(given.threads)
    faces = find_faces(given.pictures, most=2 * _RANGED) if given.pictures else find_faces()
    if len(faces) < 2 * _COMPARED:
        report.note(f"only {len(faces)} different faces: --pictures FOLDER names more")
    models = prepare(CACHE, given.network)
    pairs = _pairs(given)
    for name in given.network:
        with tempfile.TemporaryDirectory() as scratch:
            _network(report, models[name], faces, given, Path(scratch), pairs)
    report.finish(given)
    return 0


def _network(
    report: Report,
    model: Model,
    faces: list[Face],
    given: argparse.Namespace,
    scratch: Path,
    pairs: Pairs | None,
) -> None:
    name = model.name
    half = len(faces) // 2
    twin = (
        quantise(model, inputs(name, faces[:half] or faces, _RANGED, seed=1), scratch / "int8.onnx")
        if INT8 in given.precision
        else None
    )
    tested = inputs(name, faces[half:], _COMPARED, seed=2)
    batch = inputs(name, faces[half:], given.size or BATCHES[name], seed=3).astype(np.float32)
    wanted = open_engine(model, "torch", "fp32", given.threads)(tested.astype(np.float32))
    engines = _engines(report, model, twin, given)
    times = timings({key: partial(engine, batch) for key, engine in engines.items()}, given.seconds, least=5)
    plain = next(iter(times.values()))
    for (backend, precision), engine in engines.items():
        timing = times[backend, precision]
        measures = compare(name, tested, wanted, engine(tested.astype(np.float32)))
        right = pairs.right(SFace(engine)) if pairs and name in EMBEDDERS else {}
        report.add(
            network=name,
            backend=backend,
            precision=precision,
            batch=len(batch),
            **spread(timing.wall_ms),
            cpu_ms=float(f"{median(timing.cpu_ms):.4g}"),
            times_first=round(median(timing.wall_ms) / median(plain.wall_ms), 2),
            times_first_cpu=round(median(timing.cpu_ms) / median(plain.cpu_ms), 2),
            gate="passes" if all(measure.passed for measure in measures) else "fails",
            difference="; ".join(map(str, measures)),
            **{f"right, {condition}, %": round(100 * share, 3) for condition, share in right.items()},
        )


def _engines(
    report: Report, model: Model, twin: Model | None, given: argparse.Namespace
) -> dict[tuple[str, str], Engine]:
    found: dict[tuple[str, str], Engine] = {}
    for backend in given.backends:
        for precision in given.precision:
            of = twin if precision == INT8 and twin else model
            try:
                engine = open_engine(of, backend, "fp32" if precision == INT8 else precision, given.threads)
            except EngineError as error:
                report.note(f"not measured: {error}")
                continue
            found[backend, precision] = engine
    if not found:
        raise EngineError(f"{model.name}: nothing can be measured: {' '.join(report.notes)}")
    return found


def _pairs(given: argparse.Namespace) -> Pairs | None:
    if given.pairs is None:
        return None
    models = prepare(CACHE, DETECTOR)
    detector = MTCNN({name: open_engine(models[name], cache=CACHE) for name in DETECTOR}, min_face=40)
    return Pairs.read(given.pairs, given.root, detector, given.masked, lambda share: None)


def _arguments() -> argparse.ArgumentParser:
    parser = arguments("precision", __doc__)
    parser.add_argument("--backends", nargs="+", choices=tuple(BACKENDS), default=["openvino", "onnxruntime"])
    parser.add_argument("--network", nargs="+", choices=tuple(BATCHES), default=list(BATCHES))
    parser.add_argument("--precision", nargs="+", choices=PRECISIONS, default=list(PRECISIONS))
    parser.add_argument("--size", type=int, help="inputs in one call, in place of each network's usual batch")
    parser.add_argument(
        "--pairs", type=Path, help="pairs of photographs: CSV (file_a,file_b,same), or LFW's pairs.txt"
    )
    parser.add_argument("--root", type=Path, help="the folder that the pairs' pictures lie in")
    parser.add_argument(
        "--masked", action="store_true", help="compare with a mask drawn on the second picture too"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
