"""A sighting: a track with its times, decision and best pictures; and how sightings are asked for."""

from __future__ import annotations

from typing import Literal, get_args

import msgspec

from engines.masks.state import MaskState
from stream.messages import Candidate

Decision = Literal["person", "nobody", "undecided"]
DECISIONS: tuple[Decision, ...] = get_args(Decision)


class Sighting(msgspec.Struct, frozen=True, kw_only=True):
    """One track of one camera. (run, epoch, camera, track) names it; id is 0 before it is stored.

    Times as in Segment. decision, person, probability, mask: the newest. candidates: with their evidence. versions:
    of the generator, the engines and the gallery, plain values. look: JPEG of the face and its surroundings; original,
    reconstruction: PNG in the face frame, the reconstruction marked, fused from `looks`. no_reconstruction: why none
    could be made when the face was last seen, else empty. embedding: float32[D] in `space`, little-endian.
    Pictures and embedding are empty when there are none, and in lists. revision: rises with every change.
    """

    camera: str
    run: int
    epoch: int
    track: int
    first_ns: int
    last_ns: int
    first_media_ns: int
    last_media_ns: int
    decision: Decision = "undecided"
    person: str | None = None
    probability: float | None = None
    mask: MaskState | None = None
    candidates: tuple[Candidate, ...] = ()
    versions: dict[str, object] = {}
    space: str = ""
    embedding: bytes = b""
    look: bytes = b""
    original: bytes = b""
    reconstruction: bytes = b""
    looks: int = 0
    no_reconstruction: str = ""
    id: int = 0
    protected: bool = False
    revision: int = 0

    @property
    def masked(self) -> bool:
        """Whether a mask was worn, rightly or wrongly."""
        return self.mask in (MaskState.WORN, MaskState.WORN_WRONGLY)

    @property
    def names(self) -> set[str]:
        """Everyone named, as decision or as candidate."""
        named = {candidate.person for candidate in self.candidates}
        return named if self.person is None else named | {self.person}


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """Which sightings: those that went on at some moment of from_ns <= t < to_ns and meet every other demand.

    ids, cameras, masks: any of them; empty for all. person: the name that was decided on, in any spelling that counts
    as the same. glimpses: also faces of which nothing was decided and that were gone in less than half a second.
    offset: how many to pass over, for the next page.
    """

    from_ns: int | None = None
    to_ns: int | None = None
    ids: tuple[int, ...] = ()
    cameras: tuple[str, ...] = ()
    person: str | None = None
    decision: Decision | None = None
    masks: tuple[MaskState, ...] = ()
    glimpses: bool = True
    limit: int = 100
    offset: int = 0
    newest_first: bool = True


class Timeline(msgspec.Struct, frozen=True):
    """How many sightings began in each of `bins` equal bins, of which the last may be cut short: counts[camera][kind].

    Kinds: "person", "nobody", "undecided" add up to all; "masked" counts again those with a mask.
    """

    from_ns: int
    to_ns: int
    bins: int
    counts: dict[str, dict[str, list[int]]]
