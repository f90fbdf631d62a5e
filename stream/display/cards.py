"""The cards of masked faces: original and reconstruction side by side, and who it may be."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from stream.messages import FaceCard, FrameResult, TrackedFace
from stream.overlay import is_masked, remark, title

_KEPT = 12  # cards a camera
_STAYS_NS = 3_000_000_000  # cards do not change places while their faces come and go for less than this
_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True, slots=True)
class Entry:
    """A card, with the newest that was said of its face."""

    card: FaceCard
    face: TrackedFace | None
    seen_wall_ns: int


class Cards:
    """The newest cards of each camera. One thread writes; `get` may be called by any."""

    def __init__(self, named_only: bool = False) -> None:
        """named_only: a card is nobody's to see until its face is recognised as somebody enrolled."""
        self._named_only = named_only
        self._entries: dict[tuple[str, int], Entry] = {}

    def add(self, card: FaceCard, now_wall_ns: int) -> None:
        """Take in a card, unless its pictures are none: then neither is shown, for both go together. One that says why
        there is no reconstruction has the original alone.
        """
        missing = not card.reconstruction_png and card.no_reconstruction is not None
        if not (card.original_png.startswith(_PNG) and (missing or card.reconstruction_png.startswith(_PNG))):
            return
        key = (card.camera, card.track)
        known = self._entries.pop(key, None)
        self._entries[key] = Entry(card, known.face if known else None, now_wall_ns)
        of_camera = [other for other in self._entries if other[0] == card.camera]
        for oldest in of_camera[:-_KEPT]:
            del self._entries[oldest]

    def see(self, result: FrameResult, now_wall_ns: int) -> None:
        """Take in what is said now of faces that have a card."""
        for face in result.faces:
            key = (result.frame.camera, face.track)
            if entry := self._entries.get(key):
                self._entries[key] = replace(entry, face=face, seen_wall_ns=now_wall_ns)

    def forget(self, camera: str) -> None:
        """Forget the cards of a camera."""
        for key in [key for key in self._entries if key[0] == camera]:
            del self._entries[key]

    def clear(self) -> None:
        """Forget all cards: tracks are numbered anew."""
        self._entries.clear()

    def get(self, camera: str, track: int) -> FaceCard | None:
        """The card of a track."""
        entry = self._entries.get((camera, track))
        return entry.card if entry and self._seen(entry) else None

    def described(self, now_wall_ns: int) -> list[dict[str, Any]]:
        """All cards for the page, without their pictures: the faces in view, then the others, seen last first."""

        def order(entry: Entry) -> tuple[int, str, int]:
            in_view = now_wall_ns - entry.seen_wall_ns < _STAYS_NS
            return (0 if in_view else now_wall_ns - entry.seen_wall_ns, entry.card.camera, -entry.card.track)

        seen = [entry for entry in self._entries.values() if self._seen(entry)]
        return [_described(entry) for entry in sorted(seen, key=order)]

    def _seen(self, entry: Entry) -> bool:
        return not self._named_only or (entry.face is not None and entry.face.decision == "person")


def _described(entry: Entry) -> dict[str, Any]:
    card, face = entry.card, entry.face
    return {
        "camera": card.camera,
        "track": card.track,
        "sequence": card.sequence,
        "painted": round(card.painted, 3),
        "looks": card.looks,
        "no_reconstruction": (face.no_reconstruction if face else None) or card.no_reconstruction,
        "seen_ms": entry.seen_wall_ns // 1_000_000,
        "title": title(face) if face else "no decision",
        "remark": remark(face) if face else "masked, reduced reliability",
        "decision": face.decision if face else "undecided",
        "masked": is_masked(face) if face else True,
        "candidates": [
            {
                "person": candidate.person,
                "probability": round(candidate.probability, 4),
                "evidence": {kind: round(value, 3) for kind, value in candidate.evidence.items()},
            }
            for candidate in (face.candidates if face else ())
        ],
    }
