"""The child process that looks at pictures people upload: `python -m stream.web.workbench`.

It reads settings and then pictures from standard input and answers on standard output, each as eight bytes of length
and that much MessagePack. It ends when its parent does, and by itself when nothing came for a while. Its memory is
bounded, so that a hostile picture ends this process and no other.
"""

from __future__ import annotations

import os
import resource
import select
import sys
from pathlib import Path
from typing import BinaryIO

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from engines.backends import EngineError
from engines.models import ModelError
from engines.recognition.enrolment import Enroller, Examined
from engines.recognition.photo import Refused, photo_of
from stream.config import Settings
from stream.enroller import enroller_of, open_for_photographs
from stream.likeness import FaceMeasurer
from stream.web.judging import Judging
from stream.web.looking import Answer, FaceSeen, Job, Looked, Measured, PlainTemplate, Start

_MOST_MEMORY = 4 << 30
_NICE = 10
_LENGTH = 8
_PREVIEW_SIDE = 360
_PREVIEW_QUALITY = 85


def main() -> int:
    """Serve until the input ends."""
    source, target = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not come between the answers
    os.nice(_NICE)
    resource.setrlimit(resource.RLIMIT_DATA, (_MOST_MEMORY, _MOST_MEMORY))
    cv2.setNumThreads(1)
    first = read_frame(source)
    if first is None:
        return 2
    start = msgspec.msgpack.decode(first, type=Start)
    settings = Settings.model_validate_json(start.settings)
    try:
        opened = open_for_photographs(settings)
        enroller, measurer = enroller_of(settings, opened), FaceMeasurer(settings, opened)
        judging = Judging(settings, opened, lambda share: _send(target, Answer(share=share)))
    except (EngineError, ModelError) as error:
        _send(target, Answer(fault=str(error)))
        return 1
    _send(target, Answer())
    while select.select([source], [], [], start.idle_s)[0]:
        frame = read_frame(source)
        if frame is None:
            return 0
        _send(target, _answer(msgspec.msgpack.decode(frame, type=Job), enroller, measurer, judging))
    return 0


def read_frame(source: BinaryIO) -> bytes | None:
    """What was sent; None at the end."""
    head = source.read(_LENGTH)
    if len(head) < _LENGTH:
        return None
    length = int.from_bytes(head, "big")
    data = source.read(length)
    return data if len(data) == length else None


def write_frame(target: BinaryIO, data: bytes) -> None:
    """Send something."""
    target.write(len(data).to_bytes(_LENGTH, "big") + data)
    target.flush()


def _send(target: BinaryIO, answer: Answer) -> None:
    write_frame(target, msgspec.msgpack.encode(answer))


def _answer(job: Job, enroller: Enroller, measurer: FaceMeasurer, judging: Judging) -> Answer:
    try:
        if job.kind == "judge":
            return Answer(judged=judging.picture(job.picture))
        if job.kind == "judge_clip":
            return Answer(judged=judging.clip(Path(os.fsdecode(job.picture))))
        photo = photo_of(job.picture)
        if job.kind == "measure":
            face = measurer.measure(photo)
            return Answer(
                measured=Measured(
                    face.embedding.astype("<f4").tobytes(),
                    face.space,
                    face.masked,
                    face.notes,
                    _preview(photo.pixels),
                )
            )
        return Answer(looked=_looked(photo.pixels, enroller.examine(photo)))
    except Refused as refusal:
        return Answer(refusal=str(refusal))
    except (EngineError, ModelError) as error:
        return Answer(fault=str(error))
    except MemoryError:
        return Answer(refusal="needs more memory than a picture may take")


def _looked(pixels: NDArray[np.uint8], examined: Examined) -> Looked:
    height, width = pixels.shape[:2]
    edges = np.array([width, height, width, height], np.float32)
    faces = tuple(
        FaceSeen(
            box=tuple(float(value) for value in box / edges),  # type: ignore[arg-type]
            eye_distance=quality.eye_distance,
            yaw=quality.yaw,
            sharpness=quality.sharpness,
            brightness=quality.brightness,
            weight=quality.weight,
        )
        for box, quality in zip(examined.faces.boxes, examined.qualities, strict=True)
    )
    template = None if examined.template is None else PlainTemplate.of(examined.template)
    return Looked(width, height, faces, template, examined.refusal, _preview(pixels))


def _preview(pixels: NDArray[np.uint8]) -> bytes:
    scale = min(1.0, _PREVIEW_SIDE / max(pixels.shape[:2]))
    size = max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale))
    small = cv2.cvtColor(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, _PREVIEW_QUALITY])[1].tobytes()


if __name__ == "__main__":
    sys.exit(main())
