"""The demo clip: public-domain people on a drawn street, some of them masked, as H.264 with the truth beside it.

    python -m tools.demo.clip street.mp4

The same seed gives the same pictures and the same truth; the last frame leads into the first.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Final

import av

from tools.demo.scene.figures import PICTURES
from tools.demo.scene.frames import TrueFace, draw_frames

Progress = Callable[[float], None]
"""Called with the share that is done, 0 to 1."""

SEED: Final = 2037
"""Of the usual clip: with it two to four faces are clear to see on nearly every frame."""
CACHE: Final = Path("~/.cache/unvizard/clips")
_BIT_RATE: Final = 2_600_000
_ROOT: Final = Path(__file__).parents[2]
_DRAWN_BY: Final = ("tools/demo/clip.py", "tools/demo/scene/*.py", "engines/masks/*.py")


def truth_path(clip: Path) -> Path:
    """The JSON file beside a clip."""
    return clip.with_suffix(".json")


def read_truth(clip: Path) -> list[list[TrueFace]]:
    """The faces of every frame of a clip, far ones first. Raises OSError, ValueError."""
    data = json.loads(truth_path(clip).read_text(encoding="utf-8"))
    return [
        [
            TrueFace(
                face["person"],
                face["masked"],
                face["visible"],
                tuple(face["box"]),
                tuple((x, y) for x, y in face["landmarks"]),
            )
            for face in frame
        ]
        for frame in data["frames"]
    ]


def make_clip(
    path: Path,
    width: int = 1280,
    height: int = 720,
    fps: int = 25,
    seconds: float = 20.0,
    seed: int = SEED,
    progress: Progress | None = None,
) -> Path:
    """Draw and encode a clip; path ends in .mp4, the truth goes beside it. Neither file appears half-written.

    Raises ValueError for a size, rate or length that cannot be encoded, OSError where nothing can be written.
    """
    if width < 160 or height < 90 or width % 2 or height % 2:
        raise ValueError(
            f"clip size: both sides must be even and at least 160 x 90, found {width} x {height}"
        )
    if not 1 <= fps <= 120:
        raise ValueError(f"clip fps: must be from 1 to 120, found {fps}")
    if not 2 <= seconds <= 600:
        raise ValueError(f"clip seconds: must be from 2 to 600, found {seconds:g}")
    if path.suffix != ".mp4":
        raise ValueError(f"clip path: must end in .mp4, found {path.name!r}")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.stem}-{os.getpid()}.mp4")
    total = round(fps * seconds)
    truth: list[list[TrueFace]] = []
    try:
        with av.open(str(partial), "w", options={"movflags": "+faststart"}) as container:
            stream = _stream(container, width, height, fps)
            for n, (picture, faces) in enumerate(draw_frames(width, height, fps, seconds, seed)):
                frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
                frame.pts, frame.time_base = n, Fraction(1, fps)
                container.mux(stream.encode(frame))
                truth.append(faces)
                if progress:
                    progress((n + 1) / total)
            container.mux(stream.encode(None))
        text = {"width": width, "height": height, "fps": fps, "seed": seed}
        frames = [[asdict(face) for face in faces] for faces in truth]
        beside = truth_path(partial)
        beside.write_text(json.dumps(text | {"frames": frames}, separators=(",", ":")), encoding="utf-8")
        beside.replace(truth_path(path))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
        truth_path(partial).unlink(missing_ok=True)
    return path


def cached_clip(
    progress: Progress | None = None,
    directory: Path = CACHE,
    width: int = 1280,
    height: int = 720,
    fps: int = 25,
    seconds: float = 20.0,
    seed: int = SEED,
) -> Path:
    """The clip of these settings from a directory of clips, drawn first if it is not there.

    Its name holds a hash of the settings, the pictures and the code that draws, so that a change of any of them
    makes a new clip. Raises as make_clip does.
    """
    key = hashlib.sha256(repr((width, height, fps, seconds, seed)).encode())
    drawn_by = [source for pattern in _DRAWN_BY for source in sorted(_ROOT.glob(pattern))]
    for source in [*drawn_by, *sorted(PICTURES.glob("*.*g"))]:
        key.update(source.name.encode() + source.read_bytes())
    path = directory.expanduser() / f"street-{height}p{fps}-{key.hexdigest()[:12]}.mp4"
    if not (path.exists() and truth_path(path).exists()):
        make_clip(path, width, height, fps, seconds, seed, progress)
    return path


def _stream(container: av.container.OutputContainer, width: int, height: int, fps: int) -> av.VideoStream:
    """H.264 as cameras send it: no B-frames, one key frame a second, a bound on the rate."""
    stream = container.add_stream("libx264", rate=fps)
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    scale = width * height / (1280 * 720)
    stream.bit_rate = int(_BIT_RATE * scale)
    stream.gop_size = fps
    stream.max_b_frames = 0
    stream.thread_count = 1  # the same file whatever the machine
    stream.options = {
        "preset": "veryfast",
        "tune": "zerolatency",
        "x264-params": f"scenecut=0:vbv-maxrate={int(3000 * scale)}:vbv-bufsize={int(2000 * scale)}",
    }
    return stream


def main() -> None:
    """Write a clip where the command line says."""
    parser = argparse.ArgumentParser(description="Draw the street clip of the demo.")
    parser.add_argument("path", type=Path, help="where to write it; ends in .mp4")
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=720)
    parser.add_argument("--fps", type=int, default=25)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=SEED)
    settings = vars(parser.parse_args())
    clip = make_clip(**settings, progress=lambda share: print(f"\r{share:4.0%}", end="", flush=True))
    print(f"\r{clip} and {truth_path(clip)}")


if __name__ == "__main__":
    main()
