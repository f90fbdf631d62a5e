"""What belongs to one sighting: its footage, frames and stills, what it was recognised with, who handed it over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from stream.archive.annotations import AnnotatedFrame
from stream.archive.archive import Archive, ArchiveError
from stream.archive.footage import Run, Segment
from stream.archive.sightings import Sighting
from stream.archive.verdicts import Standing, standing
from stream.messages import TrackedFace
from stream.replay.anonymise import MARGIN_NS, hide
from stream.replay.playback import Playback, PlayedFrame
from stream.stills import strangers_on

_SECOND_NS = 1_000_000_000
_MOSTLY = 0.7  # of the face must be in the picture for a still


@dataclass(frozen=True, slots=True, eq=False)
class Still:
    """An original frame, uint8 BGR [H, W, 3], with the face as it was seen on it. why: in a few words."""

    why: str
    frame: AnnotatedFrame
    face: TrackedFace
    bgr: NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Recognition:
    """What a decision rests on besides the face. None: not known.

    prior: how probable it was held, before looking, that a passer-by is enrolled. people: how many were.
    """

    prior: float | None
    decide_at: float | None
    people: int | None
    gallery: int | None


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """All of one sighting. frames: of its camera from from_ns to to_ns, in order. notes: what is not there.
    veiled: whoever is not recognised as somebody enrolled was made unrecognisable in its pictures.
    """

    sighting: Sighting
    run: Run | None
    recognition: Recognition
    standing: Standing
    from_ns: int
    to_ns: int
    segments: tuple[Segment, ...]
    frames: tuple[AnnotatedFrame, ...]
    stills: tuple[Still, ...]
    notes: list[str] = field(default_factory=list)
    veiled: bool = False

    def face(self, frame: AnnotatedFrame) -> TrackedFace | None:
        """The face of the sighting on a frame."""
        return face_of(self.sighting, frame)


class Custody(msgspec.Struct, frozen=True):
    """Who handed this over, why, when, and the line of the archive's log that says so (its mark, hexadecimal)."""

    format: str
    exported_by: str
    account: str
    reason: str
    exported: str
    exported_ns: int
    installation: str
    log_line: int
    log_mark: str
    notes: tuple[str, ...]


def face_of(sighting: Sighting, frame: AnnotatedFrame) -> TrackedFace | None:
    """The face of a sighting on a frame of its camera."""
    if frame.epoch != sighting.epoch:
        return None
    return next((face for face in frame.faces if face.track == sighting.track), None)


def gather(
    archive: Archive,
    sighting: Sighting,
    before_s: float,
    after_s: float,
    confirmations: int = 1,
    veiled: bool = False,
) -> Case:
    """Bring a case together, with so much footage before and after. Raises ArchiveError when nothing of it is left.

    confirmations: by how many people a name has to be confirmed here. veiled: make everybody on the stills who is not
    recognised as somebody enrolled unrecognisable; the sighting comes with such pictures.
    """
    from_ns = sighting.first_ns - round(before_s * _SECOND_NS)
    to_ns = sighting.last_ns + 1 + round(after_s * _SECOND_NS)
    notes: list[str] = []
    run = archive.run(sighting.run)
    said = standing(archive.verdicts([sighting])[sighting.id], confirmations)
    segments = tuple(archive.segments(sighting.camera, from_ns, to_ns))
    frames = tuple(archive.frames(sighting.camera, from_ns, to_ns))
    if not (segments or frames or sighting.look):
        raise ArchiveError(f"sighting {sighting.id}: its footage, frames and pictures have expired")
    if not segments:
        notes.append("No footage of this time was recorded, or it has expired: there are no original frames.")
    if not frames:
        notes.append("What was seen on the single frames has expired.")
    stills = _stills(archive, sighting, frames, notes) if segments else ()
    if veiled:
        for still in stills:
            span = still.frame.wall_ns - 2 * MARGIN_NS, still.frame.wall_ns + 2 * MARGIN_NS
            around = tuple(archive.frames(sighting.camera, *span))
            hide(still.bgr, strangers_on(still.frame, around, sighting))
    known = recognition_of(sighting, run)
    return Case(sighting, run, known, said, from_ns, to_ns, segments, frames, stills, notes, veiled)


def recognition_of(sighting: Sighting, run: Run | None) -> Recognition:
    """What the decision of a sighting rests on. run: the one that recorded it, where it is known."""
    settings = run.settings.get("recognition") if run else None
    chosen = settings if isinstance(settings, dict) else {}
    people, gallery = sighting.versions.get("gallery_people"), sighting.versions.get("gallery")
    return Recognition(
        prior=_number(chosen.get("prior_enrolled")),
        decide_at=_number(chosen.get("decide_at")),
        people=people if isinstance(people, int) else None,
        gallery=gallery if isinstance(gallery, int) and gallery else None,
    )


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _stills(
    archive: Archive, sighting: Sighting, frames: Sequence[AnnotatedFrame], notes: list[str]
) -> tuple[Still, ...]:
    """The first, the best and the last frame of the track, as far as they can be played."""
    seen = [
        (frame, face)
        for frame in frames
        if (face := face_of(sighting, frame)) and _inside(face, frame) >= _MOSTLY
    ]
    if not seen:
        return ()
    best = max(seen, key=lambda pair: _worth(*pair))
    wanted = {"first seen": seen[0], "best seen": best, "last seen": seen[-1]}
    playback, made = Playback(archive, sighting.camera, sighting.run, notes), list[Still]()
    for why, (frame, face) in wanted.items():
        if any(frame is still.frame for still in made):
            continue
        played = _play(playback, frame)
        if played is None:
            notes.append(f"The frame where it was {why} was not recorded.")
        else:
            bgr = np.asarray(cv2.cvtColor(played.i420, cv2.COLOR_YUV2BGR_I420), np.uint8)
            made.append(Still(why, frame, face, bgr))
    return tuple(made)


def _play(playback: Playback, frame: AnnotatedFrame) -> PlayedFrame | None:
    """The picture of a frame. Its media time says which it is: wall time may have been set back in between."""
    around = playback.frames(frame.wall_ns, frame.wall_ns + 1)
    return next((played for played in around if played.media_ns == frame.media_ns), None)


def _inside(face: TrackedFace, frame: AnnotatedFrame) -> float:
    """Which share of the face's box lies in the picture: a face that leaves it is followed a little beyond."""
    x1, y1, x2, y2 = face.box
    width = min(x2, frame.width) - max(x1, 0.0)
    height = min(y2, frame.height) - max(y1, 0.0)
    return max(width, 0.0) * max(height, 0.0) / max((x2 - x1) * (y2 - y1), 1e-9)


def _worth(frame: AnnotatedFrame, face: TrackedFace) -> tuple[bool, bool, bool, float]:
    """How much of a face a frame shows, to be compared: fit and free of others first, then large and sure."""
    x1, y1, x2, y2 = face.box
    alone = not any(
        other is not face
        and max(x1, other.box[0]) < min(x2, other.box[2])
        and max(y1, other.box[1]) < min(y2, other.box[3])
        for other in frame.faces
    )
    return face.unfit is None, _inside(face, frame) >= 1, alone, face.score * (x2 - x1) * (y2 - y1)
