"""What is to be said of a photograph before it is enrolled: how good it is, and whom it looks like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engines.recognition.calibration import Calibration
from engines.recognition.enrolled import GallerySnapshot, Template
from engines.recognition.names import same_name
from stream.web.looking import FaceSeen, Looked

_GOOD_EYE_DISTANCE, _GOOD_YAW, _GOOD_SHARPNESS = 60.0, 15.0, 200.0
_GOOD_LIGHT = 60.0, 205.0
_LIKE = 0.91
"""Likeness (Calibration.cosine) from which somebody enrolled is named as looking like the face; above 1.46 enrolment
asks who it is."""
_OTHER = 0.37
"""Likeness below which two photographs show two people."""
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Alike:
    """Somebody enrolled whom the face looks like. similarity: cosine to the most similar picture, -1 to 1."""

    person: str
    name: str
    similarity: float


def about_quality(looked: Looked) -> list[str]:
    """What would make a better photograph, a sentence each; nothing when it is good, or is refused anyway."""
    if looked.template is None:
        return []
    face = looked.faces[0]
    return [
        sentence
        for sentence, holds in (
            (
                f"the face is small: the eyes are {face.eye_distance:.0f} pixels apart, "
                f"{_GOOD_EYE_DISTANCE:.0f} or more are better",
                face.eye_distance < _GOOD_EYE_DISTANCE,
            ),
            (
                f"the face is turned by {face.yaw:.0f}°: straight at the camera is better",
                face.yaw > _GOOD_YAW,
            ),
            ("the face is a little blurred", face.sharpness < _GOOD_SHARPNESS),
            ("the face is rather dark", face.brightness < _GOOD_LIGHT[0]),
            ("the face is rather bright", face.brightness > _GOOD_LIGHT[1]),
        )
        if holds
    ] + _about_others(looked.faces)


def alike(template: Template, snapshot: GallerySnapshot, calibration: Calibration) -> list[Alike]:
    """Those whom a face looks most like, if it does look like anybody. The spaces must be the same."""
    if not len(snapshot.matrix) or template.space != snapshot.space:
        return []
    best = np.full(len(snapshot.ids), -1.0)
    np.maximum.at(best, snapshot.owner, snapshot.matrix @ template.embedding)
    order = np.argsort(-best, kind="stable")[:_NAMED]
    least = calibration.cosine(_LIKE)
    return [Alike(snapshot.ids[i], snapshot.names[i], float(best[i])) for i in order if best[i] >= least]


def someone_else(template: Template, others: Sequence[Template], calibration: Calibration) -> bool:
    """Whether a photograph shows another person than all the other ones that are to be enrolled with it."""
    return bool(others) and all(
        float(template.embedding @ other.embedding) < calibration.cosine(_OTHER)
        for other in others
        if other is not template
    )


def excused(name: str, person: str) -> bool:
    """Whether two names are one person's."""
    try:
        return same_name(name) == same_name(person)
    except ValueError:
        return False


def _about_others(faces: Sequence[FaceSeen]) -> list[str]:
    behind = len(faces) - 1
    return (
        [f"{behind} smaller face{'s' if behind > 1 else ''} in the background: the largest is taken"]
        if behind
        else []
    )
