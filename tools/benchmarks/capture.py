"""From the sender's stamp burnt into the picture to the decoded frame, by the RTP reader and by FFmpeg's reader.

A process of its own paints, stamps, encodes and serves pictures over RTSP. "from the encoder": the stamp is the
moment at which the picture leaves the encoder, so that the figures are the network's and the reader's. "from the
painter": the stamp is the moment at which it was painted, and the encoder's work counts as well.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from stream.capture.opening import Opener
from stream.config import Camera
from tools import stamp
from tools.benchmarks.report import machine
from tools.rtsp_server import RtspServer

CODECS = ("h264", "h265")
STAMPED = {"from the encoder": 0.1, "from the painter": 0.0}  # seconds by which painting precedes the stamp
TARGET_P50_MS = 10.0
_WARM_UP = 10  # pictures that are not counted: the first ones come while everything is loaded
_GIVE_UP_S = 30.0


def measure(
    seconds: float = 10.0,
    size: tuple[int, int] = (1280, 720),
    fps: float = 25.0,
    transports: tuple[str, ...] = ("tcp",),
) -> dict[str, Any]:
    """Latencies in ms and processor time, for each codec, reader, transport and place of the stamp.

    seconds: how long each combination is watched. size: (width, height).
    """
    figures: dict[str, Any] = {
        "machine": machine(),
        "size": list(size),
        "fps": fps,
        "seconds": seconds,
        "streams": [],
    }
    for codec in CODECS:
        for stamped, lead in STAMPED.items():
            with _sender(codec, size, fps, lead) as url:
                for transport in transports:
                    for reader in ("rtp", "av"):
                        figures["streams"].append(
                            {
                                "codec": codec,
                                "stamped": stamped,
                                "transport": transport,
                                "reader": reader,
                                **_watch(url, reader, transport, round(seconds * fps)),
                            }
                        )
    figures["target_met"] = all(
        stream["ms"]["p50"] <= TARGET_P50_MS
        for stream in figures["streams"]
        if stream["reader"] == "rtp" and stream["stamped"] == "from the encoder"
    )
    return figures


def _watch(url: str, reader: str, transport: str, count: int) -> dict[str, Any]:
    end, began = time.monotonic() + count + _GIVE_UP_S, time.monotonic()
    camera = Camera.model_validate(
        {"name": "benchmark", "url": url, "reader": reader, "transport": transport}
    )
    ages: list[float] = []
    pictures, first_s, spent_s = 0, 0.0, time.process_time()
    with closing(Opener(camera, lambda: time.monotonic() < end).open()) as source:
        for picture in source.pictures():
            now_ns = time.monotonic_ns()
            first_s = first_s or time.monotonic() - began
            pictures += 1
            written = stamp.read(picture.i420[: picture.height])
            if written is not None and pictures > _WARM_UP:
                ages.append((now_ns - written) / 1e6)
            if pictures == count + _WARM_UP:
                break
        spent_s = time.process_time() - spent_s
        if not ages:
            raise RuntimeError(f"{url}: no stamp could be read in {pictures} pictures")
        quantiles = dict(
            zip(("p50", "p95", "p99", "max"), np.percentile(ages, (50, 95, 99, 100)), strict=True)
        )
        return {
            "ms": {name: round(float(value), 2) for name, value in quantiles.items()},
            "stamps_read": len(ages),
            "first_picture_s": round(first_s, 2),
            "cpu_ms_a_picture": round(1000 * spent_s / pictures, 2),
            "decoder": source.facts.decoder,
            "corrupt": source.facts.corrupt,
        }


@contextmanager
def _sender(codec: str, size: tuple[int, int], fps: float, lead: float) -> Iterator[str]:
    """A camera in a process of its own; gives its address."""
    job = json.dumps({"codec": codec, "size": size, "fps": fps, "lead": lead})
    command = [sys.executable, "-m", "tools.benchmarks.capture", "--serve", job]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.communicate()  # closes its input, by which it knows that it is done


def _serve(job: dict[str, Any]) -> None:
    with RtspServer() as server:
        print(
            server.add_stamp("/stamp", job["codec"], tuple(job["size"]), job["fps"], job["lead"]), flush=True
        )
        sys.stdin.read()


def show(figures: dict[str, Any]) -> None:
    """The figures as a table."""
    width, height = figures["size"]
    print(f"stamp to decoded frame, {width} x {height}, {figures['fps']:g} fps, {figures['machine']['cpu']}")
    print(
        f"{'codec':7}{'stamped':18}{'over':6}{'reader':8}{'p50':>8}{'p95':>8}{'p99':>8}{'max':>8}{'CPU':>8}   ms"
    )
    for s in figures["streams"]:
        row = "".join(f"{s['ms'][name]:8.1f}" for name in ("p50", "p95", "p99", "max"))
        print(
            f"{s['codec']:7}{s['stamped']:18}{s['transport']:6}{s['reader']:8}{row}{s['cpu_ms_a_picture']:8.1f}"
            f"   first picture after {s['first_picture_s']:.2f} s"
        )
    print(
        f"p50 from the encoder by the RTP reader <= {TARGET_P50_MS:g} ms: {'yes' if figures['target_met'] else 'NO'}"
    )


def main() -> int:
    """Measure, print, save."""
    parser = argparse.ArgumentParser(prog="python -m tools.benchmark capture", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10, help="how long to watch each combination")
    parser.add_argument("--udp", action="store_true", help="measure over UDP as well")
    parser.add_argument("--json", type=Path, help="save all figures here")
    parser.add_argument("--serve", type=json.loads, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        _serve(given.serve)
        return 0
    figures = measure(given.seconds, transports=("tcp", "udp") if given.udp else ("tcp",))
    show(figures)
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
