"""Sightings as they come about: each track of each camera with its newest decision and its best pictures."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from engines.masks.state import MaskState
from stream.archive.sightings import Sighting
from stream.messages import FaceCard, FaceLook, FrameResult, InferenceStatus, TrackedFace

_OVER_AFTER_NS = 10_000_000_000  # of media time: a track that was not seen for so long does not come back


@dataclass(slots=True)
class _Track:
    first_ns: int
    first_media_ns: int
    last_ns: int = 0
    last_media_ns: int = 0
    gallery: int = 0
    face: TrackedFace | None = None
    mask: MaskState | None = None
    look: FaceLook | None = None
    card: FaceCard | None = None
    changed: bool = True
    new_look: bool = False
    new_card: bool = False


class Tracks:
    """All tracks that go on. `changed` gives what is to be kept, `kept` says that it has been."""

    def __init__(self) -> None:
        self._tracks: dict[tuple[str, int, int], _Track] = {}  # by camera, epoch, number
        self._epochs: dict[str, int] = {}
        self._status: InferenceStatus | None = None

    def status(self, status: InferenceStatus) -> None:
        """With what faces are recognised from now on."""
        self._status = status

    def see(self, result: FrameResult) -> None:
        """Take in the faces of one frame."""
        frame = result.frame
        self._epochs[frame.camera] = result.epoch
        for face in result.faces:
            place = frame.camera, result.epoch, face.track
            known = self._tracks.get(place)
            if known is None:
                known = self._tracks[place] = _Track(frame.wall_ns, frame.media_ns)
            known.last_ns, known.last_media_ns = max(frame.wall_ns, known.first_ns), frame.media_ns
            known.face, known.gallery, known.changed = face, result.gallery, True
            known.mask = known.mask if face.mask is None else face.mask

    def look(self, look: FaceLook) -> None:
        """Take in a better picture of a track that has been seen."""
        if known := self._tracks.get((look.camera, self._epochs.get(look.camera, 0), look.track)):
            known.look, known.new_look, known.changed = look, True, True

    def card(self, card: FaceCard) -> None:
        """Take in what a masked face looks like and was reconstructed as. A guess that there is stays, when later none
        can be made.
        """
        known = self._tracks.get((card.camera, self._epochs.get(card.camera, 0), card.track))
        if known and (card.reconstruction_png or not (known.card and known.card.reconstruction_png)):
            known.card, known.new_card, known.changed = card, True, True

    def changed(self, run: int) -> list[Sighting]:
        """The sightings that are not kept as they are now."""
        return [
            self._sighting(run, place, track)
            for place, track in self._tracks.items()
            if track.changed and track.face
        ]

    def kept(self) -> None:
        """What `changed` gave last is in the archive. Tracks that are over are forgotten."""
        newest: dict[str, int] = {}
        for (camera, _, _), track in self._tracks.items():
            track.changed = track.new_look = track.new_card = False
            newest[camera] = max(newest.get(camera, 0), track.last_media_ns)
        for (camera, epoch, number), track in list(self._tracks.items()):
            over = newest[camera] - track.last_media_ns > _OVER_AFTER_NS
            if over or epoch != self._epochs[camera]:
                del self._tracks[camera, epoch, number]

    def all_anew(self) -> None:
        """Nothing is kept any more: another archive takes the place of the one before."""
        for track in self._tracks.values():
            track.changed = True
            track.new_look, track.new_card = track.look is not None, track.card is not None

    def _sighting(self, run: int, place: tuple[str, int, int], track: _Track) -> Sighting:
        camera, epoch, number = place
        face = track.face
        assert face is not None
        look = track.look if track.new_look else None
        card = track.card if track.new_card else None
        return Sighting(
            camera=camera,
            run=run,
            epoch=epoch,
            track=number,
            first_ns=track.first_ns,
            last_ns=track.last_ns,
            first_media_ns=track.first_media_ns,
            last_media_ns=track.last_media_ns,
            decision=face.decision,
            person=face.person,
            probability=face.probability,
            mask=track.mask,
            candidates=face.candidates,
            versions=self._versions(track),
            space=look.space if look else "",
            embedding=look.embedding if look else b"",
            look=look.picture_jpeg if look else b"",
            original=card.original_png if card else b"",
            reconstruction=card.reconstruction_png if card else b"",
            looks=track.card.looks if track.card else 0,
            no_reconstruction=face.no_reconstruction or "",
        )

    def _versions(self, track: _Track) -> dict[str, object]:
        status = self._status
        engines = status.engines if status else {}
        return {
            "generator": engines["unmask"].model_sha256 if "unmask" in engines else "",
            "engines": msgspec.to_builtins(engines),
            "gallery": track.gallery,
            "gallery_people": status.gallery_people if status else 0,
            "calibration": status.calibration if status else "",
        }
