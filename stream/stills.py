"""Pictures of sightings for eyes that are to see nobody but people enrolled (privacy.blur_others)."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import msgspec
import numpy as np

from stream.archive.annotations import AnnotatedFrame
from stream.archive.sightings import Sighting
from stream.looks import SURROUNDINGS
from stream.replay.anonymise import Box, Veil, hide

_FACE = 1.15 / SURROUNDINGS  # side of what stays to be seen of a look, in sides of the look
_JPEG_QUALITY = 90


def shown_kinds(named: bool, kinds: Sequence[str]) -> tuple[str, ...]:
    """Which pictures of a sighting may be shown: of somebody nobody recognised the look alone, which is then hidden."""
    return tuple(kind for kind in kinds if named or kind == "look")


def veiled_picture(kind: str, data: bytes, named: bool) -> bytes | None:
    """A picture of a sighting as it may be shown; None when it may not be. data: the file as it was kept.

    named: the sighting was decided to be of somebody enrolled. Then the look keeps the face in its middle, and what is
    around it, where others may be, is made unrecognisable; else all of it is. The other pictures hold a face alone.
    """
    if kind not in shown_kinds(named, (kind,)):
        return None
    if kind != "look":
        return data
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        return None
    bgr = np.asarray(picture, np.uint8)
    hide(bgr, _around_the_middle(*bgr.shape[:2]) if named else None)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].tobytes()


def veiled_sighting(sighting: Sighting) -> Sighting:
    """The sighting with its pictures as they may be shown."""
    named = sighting.person is not None
    kept = {
        kind: (veiled_picture(kind, data, named) or b"") if (data := getattr(sighting, kind)) else b""
        for kind in ("look", "original", "reconstruction")
    }
    return msgspec.structs.replace(sighting, **kept)


def strangers_on(frame: AnnotatedFrame, around: Sequence[AnnotatedFrame], subject: Sighting) -> list[Box]:
    """What to hide on a frame of a sighting's camera: everybody who is not recognised there; not the one whom it is
    about, when the sighting has a name. around: the annotated frames of the second before and after, in order.
    """
    veil = Veil()
    for each in around:
        faces = [
            face
            for face in each.faces
            if subject.person is None or (each.epoch, face.track) != (subject.epoch, subject.track)
        ]
        veil.see(each.media_ns, each.epoch, faces)
    return veil.boxes(frame.media_ns) or []


def _around_the_middle(height: int, width: int) -> list[Box]:
    half = _FACE * max(height, width) / 2
    left, right = max(0.0, width / 2 - half), min(float(width), width / 2 + half)
    top, bottom = max(0.0, height / 2 - half), min(float(height), height / 2 + half)
    return [
        (0.0, 0.0, left, float(height)),
        (right, 0.0, float(width), float(height)),
        (left, 0.0, right, top),
        (left, bottom, right, float(height)),
    ]
