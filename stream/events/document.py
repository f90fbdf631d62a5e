"""What is told of an event: one JSON document, the same for every receiver and in the archive.

`unvizard footage events --schema` prints its JSON Schema, made from the types below. A field may be added in any
release; when one is taken away or means something else, `version` rises.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from engines.masks.state import MaskState
from stream.messages import Candidate, EngineInfo

REDUCED = "masked, reduced reliability"


class EventSighting(msgspec.Struct, frozen=True, kw_only=True):
    """The track that the event is about, as it was known at the time of the event.

    track counts the faces that one inference process has followed on this camera; epoch tells those processes
    apart (UTC nanoseconds at which it began, as text: JSON's numbers are not exact so far up). first_seen, last_seen:
    UTC. probability: calibrated, of the decision, 0..1. candidates: most probable first; their evidence is cosine
    similarity by kind ("raw": the face as seen; "unmasked": with its reconstruction, which can only make a match
    less sure). masked: a mask is worn, rightly or wrongly, and recognition is less reliable. foot: where the face's
    box ends below, shares of the picture's width and height.
    """

    track: int
    epoch: str
    first_seen: str
    last_seen: str
    decision: Literal["person", "nobody", "undecided"]
    person: str | None
    probability: float | None
    candidates: tuple[Candidate, ...]
    mask: MaskState | None
    mask_probability: float
    masked: bool
    foot: tuple[float, float]


class Versions(msgspec.Struct, frozen=True, kw_only=True):
    """With what it was seen. gallery: version that was matched against, 0 for none; generator: sha256 of the
    unmasking network, empty without one.
    """

    unvizard: str
    gallery: int
    generator: str
    engines: dict[str, EngineInfo]


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The best picture of the face until then, from the frame as it was. jpeg: base64 in JSON. time: UTC."""

    time: str
    jpeg: bytes


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """id: the same whenever the event is told again. time: UTC, of the frame. text: a sentence for people."""

    version: Literal[1] = 1
    id: str
    rule: str
    camera: str
    time: str
    text: str
    sighting: EventSighting
    versions: Versions
    snapshot: Snapshot | None = None


_decoder = msgspec.json.Decoder(Event)


def to_json(event: Event) -> bytes:
    """The document."""
    return msgspec.json.encode(event)


def from_json(document: bytes) -> Event:
    """The event of a document. Raises msgspec.ValidationError, msgspec.DecodeError."""
    return _decoder.decode(document)


def readable(document: bytes) -> Event | None:
    """The event of a document; None of one that was erased, or that a newer release has written in another way."""
    try:
        return from_json(document)
    except msgspec.MsgspecError:
        return None


def schema() -> dict[str, Any]:
    """JSON Schema of the document."""
    return msgspec.json.schema(Event)


def sentence(rule: str, camera: str, seen: EventSighting, local: datetime) -> str:
    """What happened, for people. local: when, by the clocks of the place."""
    who = {"nobody": "someone who is nobody enrolled", "undecided": "someone not recognised (yet)"}
    text = seen.person if seen.decision == "person" and seen.person else who[seen.decision]
    if seen.probability is not None:
        # Rounded down: 99.96 % must not read as certain.
        text += f" (probability {int(seen.probability * 1000) / 10:.1f} %)"
    if seen.masked:
        text += f", {REDUCED}" if seen.decision != "undecided" else ", masked"
    if seen.mask is MaskState.WORN_WRONGLY:
        text += ", mask worn wrongly"
    return f"{text[0].upper()}{text[1:]}, at camera {camera}, {local:%Y-%m-%d %H:%M:%S %Z} (rule {rule})"
