"""An archive for the review pages: real footage with one masked face on it, and how played footage is read."""

from __future__ import annotations

import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

sys.path.append(str(Path(__file__).parents[1] / "stream"))

from evidence_helpers import CAMERA, EPOCH, FIRST, LAST, PERSON, fill, make_clip
from footage_maker import media_ns, wall_ns

from engines.masks.state import MaskState
from engines.signing import SigningKey
from stream.archive.archive import Archive
from stream.archive.sightings import Sighting
from stream.config import Settings
from stream.messages import Candidate

__all__ = ["CAMERA", "EPOCH", "FIRST", "LAST", "PERSON", "wall_ns"]
MS = 1_000_000
_clip = cache(make_clip)


def fill_archive(settings: Settings) -> int:
    """Footage of the camera "door" and a sighting on it, as in evidence_helpers; its number. 30 others elsewhere."""
    key = SigningKey.open(settings.signing.key)
    sighting = fill(settings.recording.folder, _clip(), key)
    with Archive.open(settings.recording.folder, write=True) as archive:
        for number in range(30):
            archive.put_sighting(other(number))
    return sighting


def other(number: int, **changed: Any) -> Sighting:
    """A sighting of the camera "yard": every third of Grace Hopper, the others of nobody; every second masked."""
    named = number % 3 == 0
    at = wall_ns(0) + number * 60_000 * MS
    values: dict[str, Any] = {
        "camera": "yard",
        "run": 1,
        "epoch": EPOCH,
        "track": 100 + number,
        "first_ns": at,
        "last_ns": at + 3000 * MS,
        "first_media_ns": media_ns(0),
        "last_media_ns": media_ns(0) + 3000 * MS,
        "decision": "person" if named else "nobody",
        "person": "Grace Hopper" if named else None,
        "probability": 0.93,
        "mask": MaskState.WORN if number % 2 else MaskState.NONE,
        "candidates": (Candidate("Grace Hopper", 0.93 if named else 0.02, {"raw": 0.5}),),
        "look": cv2.imencode(".jpg", np.full((64, 64, 3), 5 * number, np.uint8))[1].tobytes(),
    }
    return Sighting(**{**values, **changed})


def played(content: bytes) -> list[tuple[dict[str, Any], bytes]]:
    """The headers and JPEG files of an answer."""
    found, place = [], 0
    while place < len(content):
        head, body = (int.from_bytes(content[place + 4 * n : place + 4 * n + 4], "big") for n in (0, 1))
        place += 8
        found.append((json.loads(content[place : place + head]), content[place + head : place + head + body]))
        place += head + body
    return found


def decoded(jpeg: bytes) -> NDArray[np.uint8]:
    """uint8 BGR [H, W, 3]."""
    return np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), np.uint8)
