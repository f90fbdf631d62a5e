"""Faces in whole pictures: MTCNN beside facenet-pytorch's, which finds the same faces, and the other detectors.

Pictures of a video (the demo's clip, if not told) are brought to 720p, 1080p and 4K, and given one at a time and
eight in a batch, as from eight cameras. All take turns in one run, with as many threads each; each call is
made twice, and the second one counts.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from engines.backends import BACKENDS, open_engine
from engines.detection.detectors import DETECTORS, Detector, make_detector
from engines.models import prepare
from tools.benchmarks.engines import Call, hold_threads
from tools.benchmarks.inputs import CACHE
from tools.benchmarks.report import Report, Timing, add_arguments, spread, timings
from tools.demo.clip import cached_clip
from tools.facenet_reference import facenet_mtcnn

Pictures = NDArray[np.uint8]
SIZES = {"720p": (1280, 720), "1080p": (1920, 1080), "4K": (3840, 2160)}
PEER = "facenet-pytorch"


def main() -> int:
    """Measure, print, save."""
    given = _arguments()
    try:
        frames = read_frames(given.video or cached_clip(), max(given.cameras))
    except (OSError, ValueError) as error:
        sys.exit(f"--video: {error}")
    hold_threads(given.threads)
    report = Report(
        "detection",
        "a call, from uint8 pictures to boxes and landmarks",
        plot_label=("size", "cameras", "runs"),
        plot_group="min_face",
    )
    models = prepare(CACHE, sorted({network for name in given.detector for network in DETECTORS[name]}))
    engines = {n: open_engine(m, given.backend, "fp32", given.threads, CACHE) for n, m in models.items()}
    report.note("ours runs on " + ", ".join(sorted({e.info.backend for e in engines.values()})) + " in fp32")
    for min_face in given.min_face:
        ours = {name: make_detector(name, engines, min_face) for name in given.detector}
        peer = facenet_mtcnn(given.peer_device, min_face_size=min_face)
        for size in given.size:
            pictures = np.stack([_resized(frame, SIZES[size]) for frame in frames])
            if "mtcnn" in ours:
                said = same_faces(ours["mtcnn"], peer, pictures[:1])
                report.note(f"{size}, min_face {min_face}: {said}")
            for cameras in given.cameras:
                batch = pictures[:cameras]
                calls: dict[str, Call] = {n: partial(d.detect, list(batch)) for n, d in ours.items()}
                calls[PEER] = partial(peer.detect, batch, landmarks=True)
                times = timings(calls, given.seconds, least=given.rounds, warm_up=0, rehearsed=True)
                _add(report, times, cameras, {"size": size, "min_face": min_face, "cameras": cameras})
    report.finish(given)
    return 0


def read_frames(video: Path, count: int) -> list[Pictures]:
    """Pictures of a video, evenly picked, uint8 RGB [H, W, 3] each. Raises ValueError when it has fewer."""
    with av.open(str(video)) as container:
        total = sum(1 for _ in container.decode(video=0))
        if total < count:
            raise ValueError(f"{video}: must have at least {count} pictures, found {total}")
        wanted = set(np.linspace(0, total - 1, count).astype(int).tolist())
        container.seek(0)
        return [
            np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
            for number, frame in enumerate(container.decode(video=0))
            if number in wanted
        ]


def same_faces(ours: Detector, peer: Any, pictures: Pictures) -> str:
    """Whether both find the same: how many faces each, and how far the corners of ours lie from the peer's."""
    found = ours.detect(list(pictures))
    boxes = [np.zeros((0, 4)) if b is None else b for b in peer.detect(pictures)[0]]
    counts = sum(map(len, found)), sum(map(len, boxes))
    if [len(faces) for faces in found] != [len(b) for b in boxes]:
        return f"mtcnn finds {counts[0]} faces, {PEER} {counts[1]}"
    apart = [
        np.abs(faces.boxes[:, None] - theirs[None]).max(2).min(1).max(initial=0)
        for faces, theirs in zip(found, boxes, strict=True)
    ]
    return f"mtcnn and {PEER} find the same {counts[0]} faces, corners at most {max(apart, default=0):.4f} px apart"


def _add(report: Report, times: Mapping[str, Timing], cameras: int, what: Mapping[str, Any]) -> None:
    peer = times[PEER]
    for name, timing in times.items():
        figures = spread(timing.wall_ms)
        report.add(
            **what,
            runs=name,
            **figures,
            ms_a_picture=float(f"{figures['p50_ms'] / cameras:.4g}"),
            cpu_ms=float(f"{median(timing.cpu_ms):.4g}"),
            times_faster=round(median(peer.wall_ms) / median(timing.wall_ms), 2),
            times_less_cpu=round(median(peer.cpu_ms) / median(timing.cpu_ms), 2),
        )


def _resized(frame: Pictures, size: tuple[int, int]) -> Pictures:
    how = cv2.INTER_AREA if size[0] < frame.shape[1] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(frame, size, interpolation=how), np.uint8)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tools.benchmark detection",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = ["mtcnn", *(name for name in DETECTORS if name != "mtcnn")]
    parser.add_argument("--video", type=Path, help="pictures with faces (the demo's clip, if not told)")
    parser.add_argument("--backend", choices=("auto", *BACKENDS), default="auto", help="what ours runs on")
    parser.add_argument("--peer-device", default="cpu", help=f"what {PEER} runs on: cpu, or cuda")
    parser.add_argument("--detector", nargs="+", choices=names, default=names, help="ours that are measured")
    parser.add_argument("--size", nargs="+", choices=SIZES, default=list(SIZES), help="of the pictures")
    parser.add_argument("--min-face", type=int, nargs="+", default=[20, 40, 60], help="pixels")
    parser.add_argument("--cameras", type=int, nargs="+", default=[1, 8], help="pictures in one call")
    parser.add_argument("--threads", type=int, default=1, help="processor threads, for ours and the peer")
    parser.add_argument("--seconds", type=float, default=10, help="how long each case is timed, all together")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is timed at least")
    add_arguments(parser)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
