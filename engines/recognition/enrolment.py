"""From a photograph to a template for the gallery, or a clear refusal.

What is needed of the photograph: one person, large, sharp, facing the camera, without a mask, and no
reconstruction that this product has made (a guess must never become a template).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.alignment import FACE_SIZE, RECOGNITION_SIZE, face_transform, recognition_transform, scaled, warp
from engines.faces import Faces
from engines.recognition.calibration import Calibration
from engines.recognition.enrolled import GallerySnapshot, Template
from engines.recognition.evidence import EvidenceMaker, Vector
from engines.recognition.names import same_name
from engines.recognition.photo import Photo, Refused, read_photo
from engines.recognition.quality import Quality, measure
from engines.unmasking.mark import CAPTION, TILE, is_reconstruction

__all__ = ["Enroller", "Examined", "Refused", "check_identity", "read_photo", "views_of"]

_SEARCHED = 1280  # longest side, in pixels, of the picture that is searched for faces
_KEPT = 2
"""The face that is kept for later embedders and to be shown is so many times as large as the recognition frame."""
_SURE_FACE = 0.9
_BYSTANDER = 1 / 3  # of the largest face's height: smaller ones stand in the background
_NO_MASK = 0.5
_RECONSTRUCTION = "is a reconstruction made by this product: a guess is never enrolled"
_MADE = "rainedAlgorithmicMedia"  # of IPTC's DigitalSourceType: made by a trained model, wholly or in part

_SAME_PERSON = 1.46
"""Likeness (Calibration.cosine) above which a photograph shows a person enrolled under another name: a cosine of SFace
of 0.5."""
_OTHER_PERSON = 0.37
"""Likeness to every picture of a person below which a photograph shows someone else: a cosine of SFace of 0.2."""

Landmarks = NDArray[np.float32]


class Detector(Protocol):
    """engines.detection.mtcnn.MTCNN is one."""

    def detect(self, pictures: Sequence[NDArray[np.uint8]], /) -> list[Faces]:
        """The faces of each uint8 RGB picture."""


@dataclass(frozen=True, slots=True)
class EnrolmentLimits:
    """Stricter than for a face in the street: a template serves for years."""

    min_eye_distance: float = 32.0
    max_yaw_degrees: float = 30.0
    min_sharpness: float = 50.0


@dataclass(frozen=True, slots=True, eq=False)
class Examined:
    """What enrolment makes of a photograph.

    faces: all that are sure, largest first. qualities: of each. template: None when it is refused; refusal: why.
    """

    faces: Faces
    qualities: tuple[Quality, ...]
    template: Template | None
    refusal: str = ""


class Enroller:
    """Makes templates.

    mask_state: says of a picture and a face's box [4] how probable it is that no mask is worn, 0 to 1.
    """

    def __init__(
        self,
        detector: Detector,
        evidence: EvidenceMaker,
        no_mask: Callable[[NDArray[np.uint8], NDArray[np.float32]], float] | None = None,
        limits: EnrolmentLimits | None = None,
    ) -> None:
        self._detector, self._evidence = detector, evidence
        self._no_mask = no_mask
        self._limits = limits or EnrolmentLimits()

    @property
    def space(self) -> str:
        """Of the templates (EvidenceMaker.space)."""
        return self._evidence.space

    def template(self, path: Path) -> Template:
        """The template of a photograph file. Raises Refused."""
        photo = read_photo(path)
        _check_texts(photo)
        return self._template(photo, self._faces(photo.pixels))

    def examine(self, photo: Photo) -> Examined:
        """The same for one that is decoded, with every face on it; a refusal is an answer here."""
        faces = self._faces(photo.pixels)
        qualities = tuple(measure(photo.pixels, landmarks) for landmarks in faces.landmarks)
        try:
            _check_texts(photo)
            return Examined(faces, qualities, self._template(photo, faces))
        except Refused as refusal:
            return Examined(faces, qualities, None, str(refusal))

    def _template(self, photo: Photo, faces: Faces) -> Template:
        box, landmarks = _alone(faces)
        if is_reconstruction(warp(photo.pixels, face_transform(landmarks) * (TILE / FACE_SIZE), TILE)):
            raise Refused(_RECONSTRUCTION)  # seen at the size and angle at which the mark was made
        transform = recognition_transform(landmarks)
        crop = warp(photo.pixels, transform, RECOGNITION_SIZE)
        quality = measure(photo.pixels, landmarks, crop)
        if reason := quality.unfit(self._limits):
            raise Refused(self._sentence(reason, quality))
        if self._no_mask and self._no_mask(photo.pixels, box) < _NO_MASK:
            raise Refused("the face wears a mask: enrolment needs the whole face")
        views = self._evidence.views(crop)
        if not all(vector.any() for vector in views.values()):
            raise Refused("the face gives no template")
        kept = warp(photo.pixels, scaled(transform, _KEPT), _KEPT * RECOGNITION_SIZE)
        return Template(
            views,
            self._evidence.space,
            quality.weight,
            photo.digest,
            self._evidence.views_space,
            cv2.imencode(".png", cv2.cvtColor(kept, cv2.COLOR_RGB2BGR))[1].tobytes(),
        )

    def _faces(self, picture: NDArray[np.uint8]) -> Faces:
        """Those that are sure, largest first, in pixels of the picture."""
        scale = min(1.0, _SEARCHED / max(picture.shape[:2]))
        small = picture
        if scale < 1:
            size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
            small = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
        factor = np.array([picture.shape[1] / small.shape[1], picture.shape[0] / small.shape[0]], np.float32)
        found = self._detector.detect([small])[0]
        found = found[found.scores >= _SURE_FACE]
        found = found[np.argsort(found.boxes[:, 1] - found.boxes[:, 3], kind="stable")]
        return Faces(found.boxes * np.tile(factor, 2), found.scores, found.landmarks * factor)

    def _sentence(self, reason: str, quality: Quality) -> str:
        limits = self._limits
        details = {
            "too small": f"the eyes must be {limits.min_eye_distance:.0f} pixels apart, "
            f"found {quality.eye_distance:.0f}",
            "turned away": f"at most {limits.max_yaw_degrees:.0f} degrees to the side, found {quality.yaw:.0f}",
            "blurred": f"sharpness must be {limits.min_sharpness:.0f}, found {quality.sharpness:.0f}",
            "too dark": f"mean grey level {quality.brightness:.0f} of 255",
            "too bright": f"mean grey level {quality.brightness:.0f} of 255",
        }
        return f"the face is {reason}" + (f" ({details[reason]})" if reason in details else "")


def _check_texts(photo: Photo) -> None:
    if any(CAPTION in text for text in photo.texts):
        raise Refused(_RECONSTRUCTION)
    if any(_MADE in text for text in photo.texts):
        raise Refused("says in its metadata that it was made by a trained model: a guess is never enrolled")


def _alone(faces: Faces) -> tuple[NDArray[np.float32], Landmarks]:
    """Box and landmarks of the one person on a photograph. faces: largest first. Raises Refused."""
    if not len(faces):
        raise Refused("no face was found")
    heights = faces.boxes[:, 3] - faces.boxes[:, 1]
    count = int((heights >= _BYSTANDER * heights[0]).sum())
    if count > 1:
        number = "two" if count == 2 else str(count)
        raise Refused(f"{number} faces were found: enrolment needs a photograph of one person alone")
    return faces.boxes[0], faces.landmarks[0]


def views_of(picture: bytes, evidence: EvidenceMaker) -> dict[str, Vector]:
    """The views that other embedders make of a picture that was kept (Template.picture). Raises Refused."""
    data = np.frombuffer(picture, np.uint8)
    found = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    side = _KEPT * RECOGNITION_SIZE
    if found is None or found.shape != (side, side, 3):
        raise Refused("its picture was not kept, or cannot be decoded")
    small = cv2.resize(found, (RECOGNITION_SIZE, RECOGNITION_SIZE), interpolation=cv2.INTER_AREA)
    return evidence.views(np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2RGB), np.uint8))


def check_identity(
    template: Template,
    name: str,
    snapshot: GallerySnapshot,
    calibration: Calibration,
    although_like: Sequence[str] = (),
) -> None:
    """Raises Refused when a photograph seems to show another person than the one it is to be enrolled for.

    snapshot, calibration: of the template's space. although_like: names of people who do look so much alike (twins).
    """
    if not len(snapshot.matrix):
        return
    best = np.full(len(snapshot.ids), -1.0)
    np.maximum.at(best, snapshot.owner, snapshot.matrix @ template.embedding)
    wanted, excused = same_name(name), {same_name(n) for n in although_like}
    for i in np.argsort(-best, kind="stable"):
        other = snapshot.names[i]
        if same_name(other) == wanted:
            if best[i] < calibration.cosine(_OTHER_PERSON):
                raise Refused(
                    f"shows someone else than the pictures of {other} that are enrolled (similarity {best[i]:.2f})"
                )
        elif best[i] >= calibration.cosine(_SAME_PERSON) and same_name(other) not in excused:
            raise Refused(f"this person is already enrolled as {other} (similarity {best[i]:.2f})")
