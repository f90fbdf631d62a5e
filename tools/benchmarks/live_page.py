"""How long after the overlay was given a frame it is on the canvas of the live page, in a real Chromium.

The demo clip's frames (1280 x 720, 25 a second) come with two faces on each, as inference would send them: what is
measured is the overlay's drawing and encoding, its way to the browser, decoding and drawing there. JPEG, as this
machine's browsers get it, and H.264, as those of others do, take turns, and with --before an older tree's page.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from engines.masks.state import MaskState
from stream.bus import RESULTS, Outbox
from stream.messages import CameraState, CameraStatus, FrameReady, FrameResult, TrackedFace
from stream.ring import FrameRing
from tools.benchmarks.report import machine
from tools.browser import Browser, until
from tools.demo.clip import cached_clip

_FPS = 25
_WARM_S = 2.0
_CLIP_FRAMES = 75
_HERE = Path(__file__).parents[2]
# When each frame was drawn, by the wall clock; the page says which one it was right after drawing it.
_LOG = """
const Plain = WebSocket;
window.received = 0;
window.WebSocket = class extends Plain {
  constructor(...given) {
    super(...given);
    this.addEventListener("message", ({ data }) => { window.received += data.byteLength ?? 0; });
  }
};
const drawn = window.drawn = [], plain = CanvasRenderingContext2D.prototype.drawImage;
CanvasRenderingContext2D.prototype.drawImage = function (...what) {
  plain.apply(this, what);
  const at = performance.timeOrigin + performance.now();
  queueMicrotask(() => drawn.push([Number(this.canvas.dataset.sequence), at]));
};
"""


@contextmanager
def live_page(tree: Path, directory: Path, video: str) -> Iterator[str]:
    """The address of a page with one camera, "gate", served by a tree's own stages. video: this tree's setting."""
    own = tree == _HERE
    settings: dict[str, Any] = {
        "cameras": [{"name": "gate", "url": "rtsp://127.0.0.1/gate"}],
        "display": {"port": 0},
    }
    if own:
        settings["display"]["video"] = video
        settings["accounts"] = {"sign_in": False, "store": str(directory / "accounts.sqlite3")}
    job = {
        "directory": str(directory),
        "settings": settings,
        "delivery": "newest",
        "report": None,
        "output": None,
    }
    said: Iterable[str] = ()
    with ExitStack() as stack:
        for kind in ("overlay", "web") if own else ("overlay",):
            stage = subprocess.Popen(
                [sys.executable, "-m", "stream.stage"],
                cwd=tree,
                env={"PYTHONPATH": str(tree), "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            stack.callback(stage.wait)
            stack.callback(stage.terminate)
            assert stage.stdin is not None and stage.stdout is not None
            more = {"kind": kind, "name": kind, "config": None, "live": False}
            stage.stdin.write(json.dumps({**job, **more}) + "\n")
            stage.stdin.flush()
            said = stage.stdout
        yield next(event["url"] for line in said if "url" in (event := json.loads(line)))


def clip_frames() -> list[NDArray[np.uint8]]:
    """Some frames of the clip, uint8 [H * 3 / 2, W], I420."""
    with av.open(str(cached_clip())) as clip:
        frames = islice(clip.decode(video=0), _CLIP_FRAMES)
        return [np.ascontiguousarray(frame.to_ndarray(format="yuv420p")) for frame in frames]


def measure(
    tree: Path, video: str, browser: Browser, frames: list[NDArray[np.uint8]], seconds: float
) -> tuple[list[float], float]:
    """Milliseconds from overlay to canvas, of each frame that was drawn; and kilobytes that came for each."""
    height, width = frames[0].shape[0] * 2 // 3, frames[0].shape[1]
    given: dict[int, float] = {}
    with tempfile.TemporaryDirectory(dir="/dev/shm") as scratch, live_page(tree, Path(scratch), video) as url:
        directory = Path(scratch)
        page = browser.open("about:blank")
        page.send("Page.addScriptToEvaluateOnNewDocument", source=_LOG)
        page.send("Page.navigate", url=url)
        with (
            closing(FrameRing.create(directory / "gate.1.ring", width, height, 16)) as ring,
            closing(Outbox(directory, RESULTS)) as outbox,
        ):
            outbox.send(_status(width, height))
            page.wait_for("document.querySelector('.tile canvas')?.clientWidth > 0")
            began = time.monotonic()
            for n in range(1, int((seconds + _WARM_S) * _FPS)):
                time.sleep(max(0.0, began + n / _FPS - time.monotonic()))
                if n % _FPS == 0:
                    outbox.send(_status(width, height))
                result = _result(ring, frames[n % len(frames)], n, width, height)
                given[n] = time.time() * 1000
                outbox.send(result)
            until(lambda: page.evaluate("drawn.length > 0"), "a picture")
            time.sleep(0.5)
            drawn: list[tuple[int, float]] = page.evaluate("drawn")
            kilobytes = page.evaluate("received") / 1000 / len(drawn)
        page.close()
    first = int(_WARM_S * _FPS)
    return [at - given[sequence] for sequence, at in drawn if sequence >= first], kilobytes


def summary(spent_ms: list[float], kilobytes: float, frames: float) -> dict[str, float]:
    """p10, p50, p95, the share of frames that came to be drawn, and how much was sent for each."""
    cuts = statistics.quantiles(spent_ms, n=20)
    return {
        "p10_ms": round(cuts[1], 1),
        "p50_ms": round(statistics.median(spent_ms), 1),
        "p95_ms": round(cuts[18], 1),
        "drawn_share": round(len(spent_ms) / frames, 3),
        "kilobytes_a_frame": round(kilobytes, 1),
    }


def main() -> int:
    """Measure, print, save."""
    parser = argparse.ArgumentParser(prog="python -m tools.benchmark live_page", description=__doc__)
    parser.add_argument("--seconds", type=float, default=20, help="of each round, after two of warming up")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--before", type=Path, help="an older tree of this project, measured in turns with this one"
    )
    parser.add_argument("--json", type=Path, help="save all figures here")
    given = parser.parse_args()
    ways = {"JPEG": (_HERE, "never"), "H.264": (_HERE, "always")}
    if given.before:
        ways["before"] = (given.before.absolute(), "")
    spent: dict[str, list[float]] = {name: [] for name in ways}
    sent: dict[str, list[float]] = {name: [] for name in ways}
    frames = clip_frames()
    with tempfile.TemporaryDirectory() as profile, closing(Browser(Path(profile))) as browser:
        for turn in range(given.rounds):
            for name, (tree, video) in ways.items():
                of_round, kilobytes = measure(tree, video, browser, frames, given.seconds)
                spent[name] += of_round
                sent[name].append(kilobytes)
                said = summary(of_round, kilobytes, given.seconds * _FPS)
                print(f"round {turn + 1}, {name}: {json.dumps(said)}", flush=True)
    total = given.rounds * given.seconds * _FPS
    figures = {name: summary(spent[name], statistics.mean(sent[name]), total) for name in ways}
    for name, values in figures.items():
        print(f"{name}: {json.dumps(values)}")
    if given.json:
        given.json.write_text(json.dumps({"machine": machine(), "overlay_to_canvas": figures}, indent=1))
    return 0


def _status(width: int, height: int) -> CameraStatus:
    return CameraStatus(
        camera="gate",
        state=CameraState.RUNNING,
        since_wall_ns=time.time_ns(),
        detail="",
        captured=0,
        source="rtsp://127.0.0.1/gate",
        width=width,
        height=height,
    )


def _result(ring: FrameRing, i420: NDArray[np.uint8], sequence: int, width: int, height: int) -> FrameResult:
    received_ns = time.monotonic_ns()
    place = ring.write(i420)
    now_ns = time.monotonic_ns()
    frame = FrameReady(
        camera="gate",
        sequence=sequence,
        ring=ring.path.name,
        slot=place.slot,
        generation=place.generation,
        width=width,
        height=height,
        media_ns=sequence * 1_000_000_000 // _FPS,
        wall_ns=time.time_ns(),
        received_ns=received_ns,
        captured_ns=now_ns,
    )
    faces = tuple(_face(track, 300.0 + 400 * track) for track in range(2))
    stamps = dict.fromkeys(("wait", "detect", "mask", "unmask", "recognise"), now_ns)
    return FrameResult(frame, faces, stamps, {})


def _face(track: int, x: float) -> TrackedFace:
    points = tuple((x + i, 200.0 + i) for i in range(5))
    box = (x, 200.0, x + 120, 360.0)
    mask = MaskState.WORN if track else MaskState.NONE
    return TrackedFace(track, box, points, 0.99, mask, 0.9, "undecided", None, None, (), None)


if __name__ == "__main__":
    sys.exit(main())
