"""Which faces a rule speaks of: pure functions, so that a rule gives the same answer in a test, live and afterwards.

Dwelling and resting are counted on clocks that nobody sets: the camera's media time, and the machine's
monotonic time. Only hours and days look at the clock on the wall.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import tzinfo
from functools import lru_cache

from engines.masks.state import MaskState
from engines.recognition.names import same_name
from stream.config import Rule, Zone
from stream.events.hours import in_force, local_time
from stream.events.zones import Point, inside
from stream.messages import TrackedFace

STEPPED_OUT_NS = 1_000_000_000
"""Who is back in the zone (or seen again) within this never left: boxes tremble, and heads turn away."""


spelling = lru_cache(maxsize=1000)(same_name)
"""The form in which two spellings of a name are equal: asked for on every frame, so it is remembered."""


@dataclass(frozen=True, slots=True)
class Observation:
    """A face on one frame, as rules see it. foot: shares of the picture. media_ns, wall_ns: of the frame."""

    camera: str
    face: TrackedFace
    foot: Point
    media_ns: int
    wall_ns: int


@dataclass(frozen=True, slots=True)
class Presence:
    """How long a track has been where a rule looks, in media time."""

    since_ns: int
    last_ns: int


def looks_at(rule: Rule, zones: Mapping[str, Zone], seen: Observation) -> bool:
    """Whether the face is where the rule looks: on one of its cameras, and in its zone when it has one."""
    if rule.cameras and seen.camera not in rule.cameras:
        return False
    if rule.zone is None:
        return True
    zone = zones[rule.zone]
    return zone.camera == seen.camera and inside(seen.foot, zone.points)


def is_meant(rule: Rule, face: TrackedFace, decide_at: float) -> bool:
    """Whether the rule speaks of this face: who it is, and whether a mask is worn.

    decide_at: the calibrated probability from which on a name counts; a name once given is shown down to a lower
    one, and makes no event there. "unknown" is a face decided to be nobody enrolled; one not decided yet is not.
    """
    if rule.mask != "any" and face.mask != rule.mask:
        return False
    named = face.decision == "person" and face.person is not None and (face.probability or 0.0) >= decide_at
    match rule.who:
        case "anyone":
            return True
        case "unknown":
            return face.decision == "nobody"
        case "enrolled":
            return named
        case "person":
            return named and spelling(face.person or "") == spelling(rule.person or "")


def is_time(rule: Rule, wall_ns: int, zone: tzinfo | None = None) -> bool:
    """Whether the rule is in force at a moment. zone: of the clocks, by default this machine's."""
    if rule.from_time is None and rule.to_time is None and not rule.days:
        return True
    return in_force(local_time(wall_ns, zone), rule.from_time, rule.to_time, rule.days)


def stay(before: Presence | None, there: bool, media_ns: int) -> Presence | None:
    """A track's presence after one more frame; None when it is not there. A timeline that goes back begins anew."""
    if before is not None and not 0 <= media_ns - before.last_ns <= STEPPED_OUT_NS:
        before = None
    if not there:
        return before
    return Presence(before.since_ns if before else media_ns, media_ns)


def dwelt(rule: Rule, presence: Presence | None) -> bool:
    """Whether a track has been there for as long as the rule asks."""
    return presence is not None and presence.last_ns - presence.since_ns >= rule.dwell_s * 1e9


def rested(rule: Rule, last_ns: int | None, now_ns: int) -> bool:
    """Whether the rule may speak again of someone it spoke of at last_ns (monotonic)."""
    return last_ns is None or now_ns - last_ns >= rule.cooldown_s * 1e9


def is_masked(face: TrackedFace) -> bool:
    """Whether a mask is worn, rightly or wrongly."""
    return face.mask in (MaskState.WORN, MaskState.WORN_WRONGLY)
