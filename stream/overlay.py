"""Drawing, nothing else: faces on a frame, and the picture of a camera that sends none.

One drawing code serves the live page, snapshots, replay and export. It is deterministic: the same picture and the
same faces give the same pixels. Pictures are uint8 BGR [H, W, 3]; everything scales with their width, and no text
becomes smaller than 11 pixels of the screen. `density` says how many pixels of the picture one of those is.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.masks.state import MaskState
from stream.messages import CameraState, TrackedFace

Colour = tuple[int, int, int]  # B, G, R
Rectangle = tuple[int, int, int, int]  # x1, y1, x2, y2

NAMED: Colour = (128, 222, 74)
NAMED_MASKED: Colour = (60, 184, 255)
UNKNOWN: Colour = (255, 176, 92)
UNDECIDED: Colour = (222, 214, 206)

_PLATE: Colour = (26, 19, 14)
_PLATE_OPACITY = 0.82
_INK: Colour = (255, 252, 248)
_DIM_INK: Colour = (206, 196, 186)
_FONT = "sans"
_LONGEST_NAME = 28
_SMALL_PICTURE, _TINY_PICTURE = 640, 300  # pixels of the screen


def is_masked(face: TrackedFace) -> bool:
    """Whether a mask is worn, rightly or wrongly."""
    return face.mask in (MaskState.WORN, MaskState.WORN_WRONGLY)


def colour(face: TrackedFace) -> Colour:
    """The colour of a face's box: what is decided of it, and whether that is of reduced reliability."""
    if face.decision == "person":
        return NAMED_MASKED if is_masked(face) else NAMED
    return UNKNOWN if face.decision == "nobody" else UNDECIDED


def title(face: TrackedFace) -> str:
    """What is decided of a face: a name with its probability, "unknown", or "no decision"."""
    if face.decision == "undecided":
        return "no decision"
    name = _shortened(face.person or "") if face.decision == "person" else "unknown"
    return name if face.probability is None else f"{name} {percent(face.probability)}"


def remark(face: TrackedFace) -> str:
    """What to know beside it: the mask, why the face is not being recognised now, and what is estimated of it."""
    said = {
        MaskState.NONE: "no mask",
        MaskState.WORN: "masked, reduced reliability",
        MaskState.WORN_WRONGLY: "mask worn wrongly, reduced reliability",
        None: "",
    }[face.mask]
    synthetic = "looks synthetic" if face.flagged else ""
    estimate = f"est. {face.gender.gender} {percent(face.gender.probability)}" if face.gender else ""
    return " · ".join(part for part in (said, synthetic, face.unfit or "", estimate) if part)


def percent(probability: float) -> str:
    """A probability for people. Nothing short of certainty is called 100 %, or 0 %."""
    if probability >= 0.995:
        return ">99 %"
    return "<1 %" if probability < 0.005 else f"{100 * probability:.0f} %"


def draw(
    picture: NDArray[np.uint8], faces: Sequence[TrackedFace], scale: float = 1.0, density: float = 1.0
) -> None:
    """Draw boxes and labels of faces into a picture, uint8 BGR [H, W, 3].

    scale: pixels of this picture for one pixel of the frame that the faces were found on. A masked face's box is
    dashed between its corners. Labels keep clear of each other and of the other boxes where there is room; on
    small pictures only masked faces have a remark, and very small ones have boxes only.
    """
    width = picture.shape[1]
    thickness = _size(width, density, 1 / 520, 1.5)
    boxes = [_scaled(face, scale) for face in faces]
    for face, box in zip(faces, boxes, strict=True):
        _box(picture, box, colour(face), thickness, dashed=is_masked(face))
    if width < _TINY_PICTURE * density:
        return
    taken: list[Rectangle] = []
    for face, box in sorted(zip(faces, boxes, strict=True), key=lambda pair: (pair[1][1], pair[0].track)):
        _label(picture, box, face, density, taken, [other for other in boxes if other != box])


def to_width(picture: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    """The picture, uint8 [H, W, 3], made narrower: halved by averaging while it can be, the rest bilinear."""
    while picture.shape[1] >= 2 * width and picture.shape[0] > 1:
        half = (picture.shape[1] // 2, max(1, picture.shape[0] // 2))
        picture = np.asarray(cv2.resize(picture, half, interpolation=cv2.INTER_AREA), np.uint8)
    if picture.shape[1] == width:
        return picture
    height = max(1, round(picture.shape[0] * width / picture.shape[1]))
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def stub(
    width: int,
    height: int,
    camera: str,
    state: CameraState | str,
    since_wall_ns: int,
    detail: str,
    now_wall_ns: int,
    last: NDArray[np.uint8] | None = None,
    density: float = 1.0,
) -> NDArray[np.uint8]:
    """The picture, uint8 BGR [height, width, 3], of a camera that sends none: what is the matter, and since when.

    last: the last frame there was, uint8 BGR of any size; it is shown dark behind the words. Both times are
    nanoseconds of wall time; the moment is shown in the machine's time zone.
    """
    picture = _backdrop(width, height, last)
    big, small = _size(width, density, 1 / 24, 15), _size(width, density, 1 / 50, 11)
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(since_wall_ns / 1e9))
    heading = f"{camera}: {_HEADINGS.get(str(state), str(state))}"
    lines = [
        (heading, big, _INK, 600),
        (f"since {since}, for {elapsed(now_wall_ns - since_wall_ns)}", small, _DIM_INK, 400),
        *((line, small, _DIM_INK, 400) for line in _wrapped(detail, small, round(width * 0.86))),
    ]
    total = sum(round(size * 1.6) for _, size, _, _ in lines)
    y = (height - total) // 2
    radius = max(4, big // 5)
    dot_y = y - round(radius * 1.6)
    if dot_y - radius > 0:
        cv2.circle(
            picture, (width // 2, dot_y), radius, _STATE_COLOURS.get(str(state), UNDECIDED), -1, cv2.LINE_AA
        )
    for text, size, ink, weight in lines:
        text = _fitted(text, size, weight, round(width * 0.94))
        y += round(size * 1.6)
        x = (width - _text_width(text, size, weight)) // 2
        _write(picture, text, (x, y - round(size * 0.4)), size, ink, weight)
    return picture


def elapsed(nanoseconds: int) -> str:
    """A duration as 00:12, 12:07, 1:02:33 or 3 d 04:00:12."""
    seconds = max(0, nanoseconds) // 1_000_000_000
    days, rest = divmod(seconds, 86400)
    hours, rest = divmod(rest, 3600)
    clock = f"{rest // 60:02d}:{rest % 60:02d}"
    if days:
        return f"{days} d {hours:02d}:{clock}"
    return f"{hours}:{clock}" if hours else clock


_HEADINGS = {
    "connecting": "connecting",
    "running": "waiting for the first annotated picture",
    "lost": "camera lost",
    "refused": "camera cannot be used",
    "ended": "recording ended",
    "silent": "no annotated pictures",
}
_STATE_COLOURS: dict[str, Colour] = {
    "lost": (84, 84, 240),
    "refused": (84, 84, 240),
    "silent": (60, 184, 255),
}


def _size(width: int, density: float, share: float, least: float) -> int:
    """A share of the picture's width, but at least so many pixels of the screen."""
    return round(max(width * share, least * density))


def _scaled(face: TrackedFace, scale: float) -> Rectangle:
    x1, y1, x2, y2 = (round(value * scale) for value in face.box)
    return x1, y1, x2, y2


def _box(picture: NDArray[np.uint8], box: Rectangle, ink: Colour, thickness: int, dashed: bool) -> None:
    """A box with accented corners; a dark rim keeps it legible on bright ground."""
    x1, y1, x2, y2 = box
    corner = max(2 * thickness, min(x2 - x1, y2 - y1) // 4)
    strokes: list[tuple[tuple[int, int], tuple[int, int], int]] = []
    for start, end in (
        ((x1, y1), (x2, y1)),
        ((x2, y1), (x2, y2)),
        ((x2, y2), (x1, y2)),
        ((x1, y2), (x1, y1)),
    ):
        strokes += _dashes(start, end, corner, thickness) if dashed else [(start, end, thickness)]
    for x, inward_x in ((x1, 1), (x2, -1)):
        for y, inward_y in ((y1, 1), (y2, -1)):
            strokes.append(((x, y), (x + inward_x * corner, y), 2 * thickness))
            strokes.append(((x, y), (x, y + inward_y * corner), 2 * thickness))
    for start, end, thick in strokes:
        cv2.line(picture, start, end, _PLATE, thick + 2)
    for start, end, thick in strokes:
        cv2.line(picture, start, end, ink, thick)


def _dashes(
    start: tuple[int, int], end: tuple[int, int], corner: int, thickness: int
) -> list[tuple[tuple[int, int], tuple[int, int], int]]:
    """Short strokes between the two corners of one side."""
    (x1, y1), (x2, y2) = start, end
    length = abs(x2 - x1) + abs(y2 - y1)
    dash = 3 * thickness
    dx, dy = (x2 > x1) - (x2 < x1), (y2 > y1) - (y2 < y1)
    made = []
    for at in range(corner + 2 * dash, length - corner - dash, 3 * dash):
        stop = at + dash
        made.append(((x1 + dx * at, y1 + dy * at), (x1 + dx * stop, y1 + dy * stop), thickness))
    return made


def _label(
    picture: NDArray[np.uint8],
    box: Rectangle,
    face: TrackedFace,
    density: float,
    taken: list[Rectangle],
    others: Sequence[Rectangle],
) -> None:
    """A plate with title and remark, above the box if there is room; its place is added to `taken`."""
    height, width = picture.shape[:2]
    big, small = _size(width, density, 1 / 64, 12), _size(width, density, 1 / 86, 11)
    pad = max(3, big // 3)
    lines = [(title(face), big, _INK, 600)]
    if remark(face) and (is_masked(face) or face.flagged or width >= _SMALL_PICTURE * density):
        lines.append((remark(face), small, _DIM_INK, 400))
    fitted = [
        (_fitted(text, size, weight, width - 4 * pad), size, ink, weight) for text, size, ink, weight in lines
    ]
    plate_width = max(_text_width(text, size, weight) for text, size, _, weight in fitted) + 3 * pad
    plate_height = sum(round(size * 1.3) for _, size, _, _ in fitted) + pad
    gap = max(3, width // 300)
    x1, y1, x2, y2 = _place(box, (plate_width, plate_height), (width, height), gap, taken, others)
    taken.append((x1, y1, x2, y2))
    ground = picture[y1:y2, x1:x2]
    if not ground.size:
        return
    cv2.addWeighted(
        ground, 1 - _PLATE_OPACITY, _solid(ground.shape[0], ground.shape[1]), _PLATE_OPACITY, 0, ground
    )
    cv2.rectangle(picture, (x1, y1), (x1 + max(2, pad // 2) - 1, y2 - 1), colour(face), -1)
    y = y1 + pad // 2
    for text, size, ink, weight in fitted:
        y += round(size * 1.3)
        _write(picture, text, (x1 + 2 * pad, y - round(size * 0.32)), size, ink, weight)


def _place(
    box: Rectangle,
    size: tuple[int, int],
    picture: tuple[int, int],
    gap: int,
    taken: Sequence[Rectangle],
    others: Sequence[Rectangle],
) -> Rectangle:
    """Where a plate goes: above, below, beside the box or in it.

    Taken is the first place within the picture that covers no other plate and no other box; failing that, the
    first that covers no other plate; failing that, the box's own top.
    """
    (width, height), (most_x, most_y) = size, picture
    x1, y1, x2, y2 = box
    wanted = [
        (x1, y1 - gap - height),
        (x1, y2 + gap),
        (x2 + gap, y1),
        (x1 - gap - width, y1),
        (x1, y1 - 2 * (gap + height)),
        (x1, y2 + 2 * gap + height),
        (x1 + gap, y1 + gap),
    ]
    free = []
    for x, y in wanted:
        at_x = min(max(x, 0), max(0, most_x - width))
        at_y = min(max(y, 0), max(0, most_y - height))
        place = (at_x, at_y, min(at_x + width, most_x), min(at_y + height, most_y))
        beside = y == y1
        if y == at_y and (x == at_x or not beside) and not any(_overlap(place, other) for other in taken):
            if not any(_overlap(place, other) for other in others):
                return place
            free.append(place)
    return free[0] if free else place


def _overlap(a: Rectangle, b: Rectangle) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


@lru_cache(64)
def _solid(height: int, width: int) -> NDArray[np.uint8]:
    return np.full((height, width, 3), _PLATE, np.uint8)


def _backdrop(width: int, height: int, last: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    if last is None:
        ramp = np.linspace(1.35, 0.75, height)[:, None, None] * np.array((36, 27, 20))
        return np.ascontiguousarray(np.broadcast_to(ramp, (height, width, 3)).astype(np.uint8))
    small = cv2.resize(last, (max(1, width // 4), max(1, height // 4)), interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    calm = cv2.addWeighted(small, 0.14, grey, 0.14, 0)
    enlarged = cv2.resize(calm, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.add(enlarged, np.array([18.0, 13.0, 10.0, 0.0])), np.uint8)


@lru_cache(1)
def _typeface() -> cv2.FontFace:
    """The sans typeface inside OpenCV, which has Latin, Greek, Cyrillic and Chinese letters."""
    return cv2.FontFace(_FONT)


@lru_cache(4096)
def _text_width(text: str, size: int, weight: int) -> int:
    rectangle = cv2.getTextSize((0, 0), text, (0, 0), _typeface(), size, weight=weight)
    return int(rectangle[0] + rectangle[2])


def _write(
    picture: NDArray[np.uint8], text: str, at: tuple[int, int], size: int, ink: Colour, weight: int
) -> None:
    cv2.putText(picture, text, at, ink, _typeface(), size, weight=weight)


@lru_cache(4096)
def _fitted(text: str, size: int, weight: int, most: int) -> str:
    """The text, cut with an ellipsis when it is wider than `most` pixels."""
    if _text_width(text, size, weight) <= most:
        return text
    while text and _text_width(text + "…", size, weight) > most:
        text = text[:-1].rstrip()
    return text + "…"


def _wrapped(text: str, size: int, most: int) -> list[str]:
    """The text in lines no wider than `most` pixels; three at most."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and _text_width(longer, size, 400) <= most:
            lines[-1] = longer
        else:
            lines.append(word)
    if len(lines) > 3:
        lines = [*lines[:2], " ".join(lines[2:])]
    return lines


def _shortened(name: str) -> str:
    """A name on one line, without control characters."""
    clean = "".join(c for c in name if c.isprintable())
    return clean if len(clean) <= _LONGEST_NAME else clean[: _LONGEST_NAME - 1].rstrip() + "…"
