"""What inference remembers of one track: who it is, how it wears a mask, and when to look at it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engines.masks.state import STATES, MaskState
from engines.recognition.evidence import Vector
from engines.recognition.track import TrackIdentity
from engines.unmasking.fusion import Fusion
from stream.looks import BestLook

_MASK_MEMORY = 0.7  # share of the old belief that stays when a look is added
_GENDER_MEMORY = 0.8
_SYNTHETIC_MEMORY = 0.7
_PATIENCE = 4, 16  # a face that is decided is looked at so many times less often: at first, and in the end


@dataclass(slots=True, eq=False)
class Person:
    """What has been learnt about one track. The times at which dear work is due next are media times in nanoseconds."""

    identity: TrackIdentity
    mask_belief: NDArray[np.float32] | None = None  # float32 [3], in the order of STATES
    mask_due_ns: int = 0
    unmask_due_ns: int = 0
    embed_due_ns: int = 0
    confirmed: int = 0  # looks in a row that left a decision as it was
    visible: bool = False
    unfit: str | None = None
    reconstruction: NDArray[np.uint8] | None = None  # RGB [128, 128, 3], of the newest unmasking alone
    reconstructed_ns: int = 0
    fusion: Fusion = field(default_factory=Fusion)  # of the reconstructions, as they are shown
    no_reconstruction: str | None = None  # why the newest try made none, as engines.unmasking.refusal says it
    told: bool = False  # whether that was said since all began anew
    best_look: BestLook = field(default_factory=BestLook)
    gender_belief: NDArray[np.float32] | None = None  # float32 [2], in the order of GENDERS
    gender_due_ns: int = 0
    synthetic: float | None = None  # probability that face or mask is painted
    synthetic_due_ns: int = 0

    @property
    def mask(self) -> MaskState | None:
        """The likeliest state, None before the first look."""
        return None if self.mask_belief is None else STATES[int(self.mask_belief.argmax())]

    @property
    def masked(self) -> bool:
        """Whether the face is treated as a masked one."""
        return self.mask in (MaskState.WORN, MaskState.WORN_WRONGLY)

    @property
    def patience(self) -> int:
        """How many times longer than usual the next look may wait: more with every look that changed nothing."""
        first, last = _PATIENCE
        return min(first << self.confirmed, last) if self.identity.decided else 1

    def recognise(self, now_ns: int, vectors: Mapping[str, Vector], weight: float) -> bool:
        """Take in one look, as TrackIdentity.add does. Whether the track turned out to have passed to another face."""
        before, faces = self.identity.state, self.identity.faces
        after = self.identity.add(now_ns, vectors, self.masked, weight)
        same = (before.decision, before.person_id, before.masked) == (
            after.decision,
            after.person_id,
            after.masked,
        )
        sure = same and self.identity.decided and not self.identity.in_doubt
        self.confirmed = self.confirmed + 1 if sure else 0
        return self.identity.faces > faces

    def shows_another(self, newest: Vector) -> bool:
        """Whether the best look is, by this newest one, of a face that the track is not on."""
        best = self.best_look
        if best.embedding is None or best.masked != self.masked:
            return False
        return self.identity.prefers(newest, best.embedding, self.masked)

    def another(self) -> Person:
        """Who the track passed to: nothing but the looks that told so, and the mask, was seen of this face."""
        return Person(self.identity, self.mask_belief, visible=self.visible)

    def mingle(self, due_ns: int) -> None:
        """Another face touches this one: the track may pass to it, so the next look is due by then at the latest."""
        self.confirmed, self.embed_due_ns = 0, min(self.embed_due_ns, due_ns)

    def believe(self, belief: NDArray[np.float32], now_ns: int) -> None:
        """Take in one look at the mask, float32 [3] in the order of STATES."""
        masked, old = self.masked, belief if self.mask_belief is None else self.mask_belief
        self.mask_belief = _MASK_MEMORY * old + (1 - _MASK_MEMORY) * belief
        if self.masked != masked:
            self._look_again(now_ns)

    def refuse(self, reason: str) -> bool:
        """Take note of why the face cannot be reconstructed now; whether that is news of a face that never was."""
        news = not self.fusion.begun and not (self.told and reason == self.no_reconstruction)
        self.no_reconstruction, self.told = reason, True
        return news

    def estimate(self, belief: NDArray[np.float32]) -> None:
        """Take in one look at what the face reads as, float32 [2] in the order of GENDERS."""
        old = belief if self.gender_belief is None else self.gender_belief
        self.gender_belief = _GENDER_MEMORY * old + (1 - _GENDER_MEMORY) * belief

    def doubt(self, probability: float) -> None:
        """Take in one look at whether the face, or its mask, is painted."""
        old = probability if self.synthetic is None else self.synthetic
        self.synthetic = _SYNTHETIC_MEMORY * old + (1 - _SYNTHETIC_MEMORY) * probability

    def see(self, visible: bool, now_ns: int, blind: bool = False) -> None:
        """Take note of whether the face is seen. One that comes back may be another, and so may one that was not
        watched for a moment (blind).
        """
        if visible and (blind or not self.visible):
            self._look_again(now_ns)
        self.visible = visible

    def _look_again(self, now_ns: int) -> None:
        self.confirmed, self.embed_due_ns, self.unmask_due_ns = 0, now_ns, now_ns
        self.fusion, self.told = Fusion(), False
