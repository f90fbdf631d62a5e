"""What happens to frames between camera and overlay: find faces, follow them, judge masks, unmask, recognise.

`Inference.step` takes one batch of frames, at most one of each camera, and reads like the list above. It knows
nothing of processes or sockets, and its schedule hangs on media time alone, so that a recording replayed frame
by frame gives the same annotations every time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.alignment import FACE_SIZE, RECOGNITION_SIZE, face_transform, recognition_transform, warp
from engines.attributes.gender import GenderEstimator
from engines.masks.authenticity import AuthenticityClassifier
from engines.masks.authenticity import crop as authenticity_crop
from engines.masks.state import crop as mask_crop
from engines.recognition.embedder import laid
from engines.recognition.evidence import RAW, SeenFace, crops_of
from engines.recognition.matcher import Matcher
from engines.recognition.quality import Quality, measure
from engines.recognition.track import TrackIdentity
from engines.unmasking.claim import Signer
from engines.unmasking.fusion import Fused
from engines.unmasking.refusal import refusal
from stream.annotation import tracked_face
from stream.config import Settings
from stream.face_cards import reconstructed, refused
from stream.looks import make_look
from stream.messages import FaceCard, FaceLook, FrameResult
from stream.networks import Networks
from stream.watching import Look, Picture, Watching

_MASK_EVERY_NS = 160_000_000
_MOST_EMBEDDED = 4  # crops that the embedders see in one step, unless one face needs more; other faces wait
_MOST_UNMASKED = 1
_MOST_ESTIMATED = 2
_MOST_DOUBTED = 2


@dataclass(frozen=True, slots=True, eq=False)
class _Recognised:
    """A look with what was measured of it; embedding: float32 [D], of the face as seen."""

    look: Look
    quality: Quality
    embedding: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class _Unmasked:
    """A masked look, uint8 RGB [128, 128, 3] in the face frame, and what the generator made of it, or why it must not.

    picture: as crop; mask: float32 [128, 128], 0..1; both None where there is a reason.
    """

    look: Look
    crop: NDArray[np.uint8]
    reason: str | None
    picture: NDArray[np.uint8] | None = None
    mask: NDArray[np.float32] | None = None


class Inference:
    """The steps, and what they remember of each camera between two batches."""

    def __init__(
        self,
        settings: Settings,
        networks: Networks,
        matcher: Matcher,
        clock_ns: Callable[[], int] = time.monotonic_ns,
        epoch: int = 0,
        signer: Signer | None = None,
    ) -> None:
        """epoch: wall time (ns) at which this process of inference began; its results carry it.

        signer: signs the reconstructions; None leaves them marked, but unsigned.
        """
        self._settings, self._networks, self._clock_ns = settings, networks, clock_ns
        self._matcher, self._signer = matcher, signer
        self._epoch, self._steps = epoch, 0
        self._watching = Watching(settings, networks.detector, self._new_identity)

    def use(self, matcher: Matcher) -> None:
        """Recognise with another gallery from now on; what was seen of each face is kept and decided anew."""
        self._matcher = matcher
        for person in self._watching.people():
            person.identity.use(matcher)

    def follow(self, settings: Settings) -> None:
        """Go on with the cameras of other settings, and forget those that have gone."""
        self._settings = self._settings.model_copy(update={"cameras": settings.cameras})
        self._watching.follow(settings)

    def step(self, pictures: Sequence[Picture]) -> tuple[list[FrameResult], list[FaceCard], list[FaceLook]]:
        """Annotate one frame of each of some cameras. Looks are made only where something is recorded."""
        self._steps += 1
        stamps = {"wait": self._clock_ns()}
        looks = self._watching.find(pictures)
        stamps["detect"] = self._clock_ns()
        self._judge_masks(looks)
        stamps["mask"] = self._clock_ns()
        if self._networks.gender:
            self._estimate(looks, self._networks.gender)
            stamps["attributes"] = self._clock_ns()
        if self._networks.authenticity:
            self._doubt(looks, self._networks.authenticity)
            stamps["authenticity"] = self._clock_ns()
        unmasked = self._unmask(looks)
        stamps["unmask"] = self._clock_ns()
        recognised = self._recognise(looks)
        cards = self._cards(unmasked)  # only now is it known whose looks these are
        stamps["recognise"] = self._clock_ns()
        results = [self._result(picture, stamps) for picture in pictures]
        kept = self._keep(looks, recognised) if self._settings.recording_active else []
        return results, cards, kept

    def _new_identity(self) -> TrackIdentity:
        return TrackIdentity(self._matcher, self._settings.recognition.decide_at)

    # judge masks

    def _judge_masks(self, looks: Sequence[Look]) -> None:
        due = [look for look in looks if look.now_ns >= look.person.mask_due_ns]
        if not due:
            return
        crops = np.stack([mask_crop(look.picture.rgb, look.track.box) for look in due])
        for look, belief in zip(due, self._networks.mask_state.classify(crops), strict=True):
            look.person.believe(belief, look.now_ns)
            look.person.mask_due_ns = look.now_ns + _MASK_EVERY_NS

    # estimate attributes

    def _estimate(self, looks: Sequence[Look], estimator: GenderEstimator) -> None:
        every_ms = self._settings.attributes.every_ms
        due = [look for look in looks if look.due(look.person.gender_due_ns)]
        chosen = []
        for look in sorted(due, key=lambda look: look.person.gender_due_ns)[:_MOST_ESTIMATED]:
            look.person.gender_due_ns = look.now_ns + every_ms * 1_000_000
            if measure(look.picture.rgb, look.track.landmarks).unfit(self._settings.quality) is None:
                chosen.append(look)
        if chosen:
            crops = np.stack([self._aligned(look) for look in chosen])
            for look, belief in zip(chosen, estimator.estimate(crops), strict=True):
                look.person.estimate(belief)

    # doubt authenticity

    def _doubt(self, looks: Sequence[Look], classifier: AuthenticityClassifier) -> None:
        every_ms = self._settings.authenticity.every_ms
        due = [look for look in looks if look.due(look.person.synthetic_due_ns)]
        chosen = []
        for look in sorted(due, key=lambda look: look.person.synthetic_due_ns)[:_MOST_DOUBTED]:
            look.person.synthetic_due_ns = look.now_ns + every_ms * 1_000_000
            if measure(look.picture.rgb, look.track.landmarks).unfit(self._settings.quality) is None:
                chosen.append(look)
        if chosen:
            crops = np.stack([authenticity_crop(look.picture.rgb, look.track.landmarks) for look in chosen])
            for look, probability in zip(chosen, classifier.classify(crops), strict=True):
                look.person.doubt(float(probability))

    # unmask

    def _unmask(self, looks: Sequence[Look]) -> list[_Unmasked]:
        if self._networks.unmasker is None:
            return []
        every_ms = self._settings.unmasking.every_ms
        due = [look for look in looks if look.person.masked and look.due(look.person.unmask_due_ns)]
        due = sorted(due, key=lambda look: look.person.unmask_due_ns)[:_MOST_UNMASKED]
        if not due:
            return []
        crops = np.stack(
            [warp(look.picture.rgb, face_transform(self._landmarks(look)), FACE_SIZE) for look in due]
        )
        found: list[_Unmasked] = []
        honest: list[int] = []
        for i, (look, crop) in enumerate(zip(due, crops, strict=True)):
            look.person.unmask_due_ns = look.now_ns + look.person.patience * every_ms * 1_000_000
            reason = refusal(crop, look.track.landmarks, self._settings.quality)
            if reason is None:
                honest.append(i)
            else:
                found.append(_Unmasked(look, crop, reason))
        made = self._networks.unmasker.unmask(crops[honest])
        for i, picture, mask in zip(honest, made.pictures, made.masks, strict=True):
            person = due[i].person
            person.reconstruction, person.reconstructed_ns = picture, due[i].now_ns
            found.append(_Unmasked(due[i], crops[i], None, picture, mask))
        return found

    def _cards(self, unmasked: Sequence[_Unmasked]) -> list[FaceCard]:
        """What is to be shown of it. A look that may be of another face than those before shows nothing."""
        cards: list[FaceCard] = []
        for each in unmasked:
            look, person = each.look, each.look.person
            if person.identity.in_doubt:
                continue
            if each.reason is not None:
                if person.refuse(each.reason):
                    cards.append(refused(look.picture.frame, look.track.id, each.crop, each.reason))
                continue
            assert each.picture is not None and each.mask is not None
            fused = self._fuse(look, each.picture, each.mask)
            if fused is not None:
                cards.append(reconstructed(look.picture.frame, look.track.id, each.crop, fused, self._signer))
        return cards

    def _fuse(self, look: Look, picture: NDArray[np.uint8], mask: NDArray[np.float32]) -> Fused | None:
        """What all looks come to. Recognition sees each by itself: in their mean they would count again and again."""
        look.person.no_reconstruction = None
        weight = measure(look.picture.rgb, look.track.landmarks).weight
        return look.person.fusion.add(picture, mask, weight)

    # recognise

    def _recognise(self, looks: Sequence[Look]) -> list[_Recognised]:
        if not self._matcher.people:
            return []
        every_ms = self._settings.recognition.every_ms
        chosen: list[tuple[Look, Quality]] = []
        due = [look for look in looks if look.due(look.person.embed_due_ns)]
        crops = 0
        for look in sorted(due, key=lambda look: look.person.embed_due_ns):
            person = look.person
            needed = crops_of(person.masked, person.reconstructed_ns == look.now_ns)
            if crops and crops + needed > _MOST_EMBEDDED:
                break
            person.embed_due_ns = look.now_ns + person.patience * every_ms * 1_000_000
            quality = measure(look.picture.rgb, look.track.landmarks)
            person.unfit = quality.unfit(self._settings.quality)
            if person.unfit is None:
                chosen.append((look, quality))
                crops += needed
        return self._embed(chosen) if chosen else []

    def _embed(self, chosen: Sequence[tuple[Look, Quality]]) -> list[_Recognised]:
        """One batch: each face as seen and, where it has just been unmasked, its reconstruction too."""
        vectors = self._networks.evidence.looks([self._seen(look) for look, _ in chosen])
        for (look, quality), of_face in zip(chosen, vectors, strict=True):
            if look.person.recognise(look.now_ns, of_face, quality.weight):
                self._watching.hand_over(look)
            elif look.person.identity.in_doubt:
                look.person.mingle(look.now_ns + self._settings.recognition.every_ms * 500_000)
        return [
            _Recognised(look, quality, of_face[RAW])
            for (look, quality), of_face in zip(chosen, vectors, strict=True)
        ]

    def _seen(self, look: Look) -> SeenFace:
        """The face in the recognition frame, with the reconstruction that was made of this very picture."""
        person = look.person
        fresh = person.reconstructed_ns == look.now_ns
        guess = person.reconstruction if fresh else None
        return SeenFace(
            self._aligned(look), person.masked, None if guess is None else laid(guess, self._landmarks(look))
        )

    def _aligned(self, look: Look) -> NDArray[np.uint8]:
        """The face in the recognition frame, uint8 RGB [112, 112, 3]."""
        return warp(look.picture.rgb, recognition_transform(self._landmarks(look)), RECOGNITION_SIZE)

    def _landmarks(self, look: Look) -> NDArray[np.float32]:
        """The landmarks [5, 2] by which a face is cut out: under a mask the detector's do not hold."""
        if not look.person.masked:
            return look.track.landmarks
        if look.refined is None:
            landmarks = look.track.landmarks[None]
            look.refined = self._networks.landmarks.refine(look.picture.rgb, landmarks)[0]
        return look.refined

    # keep

    def _keep(self, looks: Sequence[Look], recognised: Sequence[_Recognised]) -> list[FaceLook]:
        """Faces that are better to see than before, or take the place of one that turned out to be another's; one that
        is not fit to be recognised will do for the first. Nothing of a look that may be of another face than those
        before.
        """
        looks = [look for look in looks if not look.person.identity.in_doubt]
        recognised = [each for each in recognised if not each.look.person.identity.in_doubt]
        fit = recognised if self._matcher.people else self._embed_unmatched(looks)
        kept = [
            self._look(each.look, each.quality.weight, each.embedding)
            for each in fit
            if each.look.person.best_look.surpassed_by(each.quality.weight)
            or each.look.person.shows_another(each.embedding)
        ]
        for look in looks:
            if look.person.best_look.quality is None and look.due(0):
                kept.append(self._look(look, 0.0, None))
        return kept

    def _embed_unmatched(self, looks: Sequence[Look]) -> list[_Recognised]:
        """With nobody enrolled no face is recognised, and yet footage shall be searchable by faces."""
        every_ns = self._settings.recognition.every_ms * 1_000_000
        for look in looks:
            best = look.person.best_look
            if look.now_ns < best.due_ns or not look.due(0):
                continue
            best.due_ns = look.now_ns + every_ns
            quality = measure(look.picture.rgb, look.track.landmarks)
            if quality.unfit(self._settings.quality) is None and best.surpassed_by(quality.weight):
                seen = SeenFace(self._aligned(look), masked=False)  # footage is searched by the face as it is
                return [_Recognised(look, quality, self._networks.evidence.looks([seen])[0][RAW])]
        return []

    def _look(self, look: Look, quality: float, embedding: NDArray[np.float32] | None) -> FaceLook:
        best = look.person.best_look
        best.quality, best.embedding, best.masked = quality, embedding, look.person.masked
        return make_look(
            look.picture.frame,
            look.picture.rgb,
            look.track.id,
            look.track.box,
            quality,
            look.person.masked,
            embedding if self._settings.recording.keep_faces else None,
            self._networks.evidence.space,
        )

    # say

    def _result(self, picture: Picture, stamps: dict[str, int]) -> FrameResult:
        flag_at = self._settings.authenticity.flag_at
        faces = tuple(
            tracked_face(track, person, flag_at) for track, person in self._watching.shown(picture.frame)
        )
        return FrameResult(
            frame=picture.frame,
            faces=faces,
            stamps_ns=stamps,
            skipped=picture.skipped,
            epoch=self._epoch,
            step=self._steps,
            gallery=self._matcher.snapshot.version,
        )
