"""What the benchmarks of single networks share: their arguments, the engines, and ours against the peers in turns."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median

import cv2

from engines.backends import BACKENDS, Engine, EngineError, Precision, open_engine
from engines.models import Model
from tools.benchmarks.report import Report, add_arguments, spread, timings

Call = Callable[[], object]


def arguments(name: str, about: str | None) -> argparse.ArgumentParser:
    """A parser with what these benchmarks all have."""
    parser = argparse.ArgumentParser(
        prog=f"python -m tools.benchmark {name}",
        description=about,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--pictures", type=Path, help="a folder of photographs with faces (the demo's, if not told)"
    )
    parser.add_argument(
        "--threads", type=int, default=1, help="processor threads, for ours and for each peer"
    )
    parser.add_argument(
        "--seconds", type=float, default=6.0, help="how long each batch is timed, all together"
    )
    add_arguments(parser)
    return parser


def compared(name: str, about: str | None) -> argparse.Namespace:
    """The arguments of a benchmark of ours against peers."""
    parser = arguments(name, about)
    parser.add_argument("--backend", choices=("auto", *BACKENDS), default="auto", help="what ours runs on")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8, 64], help="faces in one call")
    return parser.parse_args()


def engines(
    model: Model, backend: str, precisions: Sequence[Precision], threads: int, report: Report
) -> dict[str, Engine]:
    """An engine for each precision that this machine has, named "ours, backend precision"; others are noted."""
    found: dict[str, Engine] = {}
    for precision in precisions:
        try:
            engine = open_engine(model, backend, precision, threads)
        except EngineError as error:
            report.note(str(error))
            continue
        if engine.info.precision == precision:
            found[f"ours, {engine.info.backend} {precision}"] = engine
    if not found:
        raise EngineError(f"{model.name}: no precision runs on {backend}: {' '.join(report.notes)}")
    return found


def compare(
    report: Report, batches: Sequence[int], calls: Callable[[int], Mapping[str, Call]], seconds: float
) -> None:
    """Times what `calls` gives for each batch in turns; a row each, with its ratio to the first one, which is ours."""
    for batch in batches:
        times = timings(calls(batch), seconds, least=5, warm_up=2)
        ours = next(iter(times.values()))
        for name, timing in times.items():
            figures = spread(timing.wall_ms)
            report.add(
                runs=name,
                batch=batch,
                **figures,
                ms_a_face=float(f"{figures['p50_ms'] / batch:.4g}"),
                cpu_ms=float(f"{median(timing.cpu_ms):.4g}"),
                times_ours=round(median(timing.wall_ms) / median(ours.wall_ms), 2),
                times_our_cpu=round(median(timing.cpu_ms) / median(ours.cpu_ms), 2),
            )


def hold_threads(threads: int) -> None:
    """OpenCV and torch take as many threads as ours."""
    import torch

    cv2.setNumThreads(threads)
    torch.set_num_threads(threads)
