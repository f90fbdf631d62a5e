r"""Measures whether the watermark of a reconstruction is found after what happens to pictures, and only there.

    python -m tools.evaluate_mark --images FACES/fairface/val --json runs/mark.json

Pictures of faces are marked as reconstructions are, altered, and searched for the mark; other pictures of the
folder stay unmarked and are searched too. The faces are photographs: they have more texture of their own than
reconstructions have, so the mark is harder to find in them.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import av
import cv2
import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from engines.alignment import FACE_SIZE
from engines.recognition.enrolment import Refused, read_photo
from engines.unmasking import watermark
from engines.unmasking.mark import TILE, mark

Picture = NDArray[np.uint8]
_ENDINGS = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}


def jpeg(picture: Picture, quality: int = 70) -> Picture:
    """Through JPEG and back; uint8 RGB [H, W, 3]."""
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB), np.uint8)


def h264(picture: Picture, frames: int = 1, crf: int = 28) -> Picture:
    """The last frame of a film that shows the picture, uint8 RGB [H, W, 3], cut to even sides.

    One frame is the hardest: a film that stands still is refined from frame to frame.
    """
    height, width = picture.shape[0] & ~1, picture.shape[1] & ~1
    still, film = np.ascontiguousarray(picture[:height, :width]), io.BytesIO()
    with av.open(film, "w", format="matroska") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": str(crf)})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for _ in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(still, "rgb24")))
        container.mux(stream.encode(None))
    film.seek(0)
    with av.open(film, "r") as shown:
        *_, last = shown.decode(video=0)
    return np.asarray(last.to_ndarray(format="rgb24"), np.uint8)


def cut(picture: Picture, side: str, share: float = 0.25) -> Picture:
    """Without a share of the picture at its "left", "right", "top" or "bottom"."""
    height, width = picture.shape[:2]
    x, y = round(width * share), round(height * share)
    parts = {
        "left": picture[:, x:],
        "right": picture[:, : width - x],
        "top": picture[y:],
        "bottom": picture[: height - y],
    }
    return np.ascontiguousarray(parts[side])


def centre(picture: Picture, area: float = 0.75) -> Picture:
    """The middle that holds a share of the area."""
    height, width = picture.shape[:2]
    y, x = (round(side * (1 - area**0.5) / 2) for side in (height, width))
    return np.ascontiguousarray(picture[y : height - y, x : width - x])


CHANGES: dict[str, Callable[[Picture], Picture]] = {
    "nothing": lambda p: p,
    "JPEG q70": jpeg,
    "H.264 crf 28, one frame": h264,
    "H.264 crf 28, tenth frame": lambda p: h264(p, 10),
    "middle 75 % of the area": centre,
    "25 % cut off the left": lambda p: cut(p, "left"),
    "25 % cut off the right": lambda p: cut(p, "right"),
    "25 % cut off the top": lambda p: cut(p, "top"),
    "25 % cut off the bottom": lambda p: cut(p, "bottom"),
    "25 % cut off the top, JPEG q70": lambda p: jpeg(cut(p, "top")),
    "25 % cut off the top, H.264 crf 28, one frame": lambda p: h264(cut(p, "top")),
    "0.75 times the size, JPEG q70": lambda p: jpeg(
        np.asarray(cv2.resize(p, None, fx=0.75, fy=0.75, interpolation=cv2.INTER_AREA), np.uint8)
    ),
}
"""What is done to a marked picture, uint8 RGB [H, W, 3], before the mark is looked for."""


@dataclass(frozen=True, slots=True)
class Rate:
    """How many of some pictures count as marked. Scores are those of watermark.score."""

    pictures: int
    found: int
    share: float
    lowest: float
    median: float
    highest: float


def rate(pictures: Sequence[Picture], change: Callable[[Picture], Picture]) -> Rate:
    """How many of uint8 RGB pictures count as marked once they are changed. Raises ValueError for no pictures."""
    if not pictures:
        raise ValueError("pictures: at least one is needed, found none")
    scores = np.array([watermark.score(change(picture)) for picture in pictures])
    found = int((scores > watermark.THRESHOLD).sum())
    low, middle, high = (float(value) for value in np.percentile(scores, [0, 50, 100]))
    return Rate(len(scores), found, found / len(scores), low, middle, high)


def face_region() -> NDArray[np.float32]:
    """Where a mask usually is in the face frame, float32 [128, 128]."""
    region = np.zeros((FACE_SIZE, FACE_SIZE), np.float32)
    cv2.ellipse(region, (64, 90), (40, 32), 0, 0, 360, 1.0, -1)
    return region


def square(picture: Picture, side: int) -> Picture:
    """The middle square of a uint8 RGB picture at another size."""
    least = min(picture.shape[:2])
    y, x = ((length - least) // 2 for length in picture.shape[:2])
    part = picture[y : y + least, x : x + least]
    interpolation = cv2.INTER_AREA if least >= side else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(part, (side, side), interpolation=interpolation), np.uint8)


def read_pictures(folder: Path, most: int) -> list[Picture]:
    """Pictures of a folder and the folders in it, uint8 RGB, spread evenly over the list of names."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _ENDINGS)
    picked = [paths[i] for i in np.linspace(0, len(paths) - 1, min(most, len(paths))).astype(int)]
    found = []
    for path in track(picked, "reading"):
        try:
            found.append(read_photo(path).pixels)
        except Refused:
            continue
    return found


def main(
    images: Annotated[Path, typer.Option(help="A folder of pictures of faces.")],
    marked: Annotated[int, typer.Option(min=1, help="So many of them are marked.")] = 200,
    unmarked: Annotated[int, typer.Option(min=1, help="So many others are not.")] = 1000,
    json_file: Annotated[Path | None, typer.Option("--json", help="Where to write all figures.")] = None,
) -> None:
    """Prints how often the watermark is found in marked pictures that were altered, and in unmarked ones."""
    cv2.setNumThreads(1)
    pictures = read_pictures(images, marked + unmarked)
    if len(pictures) < marked + unmarked:
        raise typer.BadParameter(
            f"must hold {marked + unmarked} pictures, found {len(pictures)}", param_hint="--images"
        )
    order = np.random.default_rng(0).permutation(len(pictures))
    ours = [mark(square(pictures[i], FACE_SIZE), face_region()) for i in order[:marked]]
    plain = [pictures[i] for i in order[marked : marked + unmarked]]
    rates: dict[str, Rate] = {}
    for name in track(CHANGES, "marked pictures"):
        rates[f"marked: {name}"] = rate(ours, CHANGES[name])
    others: dict[str, Callable[[Picture], Picture]] = {
        "as they are": lambda p: p,
        "at the mark's size": lambda p: square(p, TILE),
        "at the mark's size, H.264 crf 28": lambda p: h264(square(p, TILE)),
    }
    for name in track(others, "unmarked pictures"):
        rates[f"unmarked: {name}"] = rate(plain, others[name])
    table = Table("", "pictures", "found", "share", "score: least", "median", "most")
    for name, found in rates.items():
        scores = (f"{value:.2f}" for value in (found.lowest, found.median, found.highest))
        table.add_row(name, str(found.pictures), str(found.found), f"{found.share:.1%}", *scores)
    Console(width=120).print(table)
    print(f"a picture counts as marked above a score of {watermark.THRESHOLD}")
    if json_file:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        report = {
            "threshold": watermark.THRESHOLD,
            "strength": watermark.STRENGTH,
            "rates": {name: asdict(found) for name, found in rates.items()},
        }
        json_file.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    typer.run(main)
