"""The verdict about a picture or a clip: is what it shows photographed, painted, or our own reconstruction?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from engines.alignment import FACE_SIZE, face_transform
from engines.backends import Engine
from engines.detection.detectors import networks_of
from engines.masks.authenticity import CROP_SIZE, AuthenticityClassifier, crop
from engines.masks.state import MaskState, MaskStateClassifier
from engines.masks.state import crop as mask_crop
from engines.models import prepare
from engines.recognition.photo import Photo, Refused, photo_of
from engines.unmasking.inspection import Inspection, inspect_photo, sentences
from stream.chosen_engines import open_engines
from stream.config import Settings
from stream.networks import open_detector
from stream.overlay import percent
from stream.photo_faces import SMALLEST_FACE, reduced

LEAST_PIXELS = 56
"""Pixels of the picture across the face frame; with fewer, paint can not be told from light."""
_MOST_FACES = 12
_FEW = 4  # of so many frames of a clip one must look synthetic
_STRONGEST = 0.6  # opacity of the heat map where it is strongest
_FOR, _AGAINST = (230, 40, 30), (40, 110, 230)

Conclusion = Literal["reconstruction", "synthetic", "photographed", "no face"]
Picture = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class FaceVerdict:
    """One face. box: (x1, y1, x2, y2) in pixels of the picture. probability: that it, or its mask, is painted, 0..1.

    synthetic: whether that reaches the settings' flag_at. unfit: why it can not be judged, else None; such a face
    counts for nothing. png: its crop of 112 pixels; heat_png: the same, red where it looks painted, blue where it looks
    photographed. Both are empty where no heat map was asked for.
    """

    box: tuple[float, float, float, float]
    probability: float
    synthetic: bool
    masked: bool
    unfit: str | None
    png: bytes
    heat_png: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """About one picture. mark: what was found of our own mark, watermark and signature.

    conclusion: "reconstruction" where it carries our mark, whatever the network says. heat_png: the whole picture (at
    most 1280 pixels a side) with its faces outlined and the heat map over them; empty where none was asked for.
    """

    conclusion: Conclusion
    faces: tuple[FaceVerdict, ...]
    mark: Inspection
    said: tuple[str, ...]
    heat_png: bytes

    @property
    def probability(self) -> float | None:
        """The highest of the faces that can be judged; None without one."""
        return max((face.probability for face in self.faces if face.unfit is None), default=None)

    def plain(self) -> dict[str, Any]:
        """For JSON, without pictures."""
        return {
            "conclusion": self.conclusion,
            "probability": None if self.probability is None else round(self.probability, 4),
            "faces": [
                {
                    "box": [round(v, 1) for v in face.box],
                    "probability": round(face.probability, 4),
                    "looks_synthetic": face.synthetic,
                    "masked": face.masked,
                    "unfit": face.unfit,
                }
                for face in self.faces
            ],
            "own_mark": {
                "marked": self.mark.marked,
                "watermarked": self.mark.watermarked,
                "unaltered": self.mark.unaltered,
            },
            "said": list(self.said),
        }


@dataclass(frozen=True, slots=True, eq=False)
class ClipVerdict:
    """About a clip. looks: (seconds from its start, verdict) of the frames that were looked at, in order.

    best: which of them looks painted most; it alone has heat maps, and its probability is the clip's. None where no
    frame has a face that can be judged.
    """

    conclusion: Conclusion
    probability: float | None
    looks: tuple[tuple[float, Verdict], ...]
    best: int | None

    def plain(self) -> dict[str, Any]:
        """For JSON, without pictures."""
        probability = None if self.probability is None else round(self.probability, 4)
        looks = [{"seconds": round(at, 2), **verdict.plain()} for at, verdict in self.looks]
        return {"conclusion": self.conclusion, "probability": probability, "looks": looks}


class Judge:
    """Judges pictures and clips; one thread at a time."""

    def __init__(self, settings: Settings, opened: Mapping[str, Engine]) -> None:
        """opened: at least the engines of `networks_needed`."""
        self._flag_at = settings.authenticity.flag_at
        self._detector = open_detector(settings.detection, opened, SMALLEST_FACE)
        self._mask_state = MaskStateClassifier(opened["maskstate"])
        self._classifier = AuthenticityClassifier(opened["authenticity"])

    @classmethod
    def open(cls, settings: Settings) -> Judge:
        """With engines of its own. Raises ModelError, EngineError."""
        chosen = settings.engines
        models = prepare(chosen.cache, networks_needed(settings))
        return cls(settings, open_engines(chosen, models))

    def judge(self, data: bytes) -> Verdict:
        """The verdict about a picture file's content. Raises engines.recognition.photo.Refused for anything else."""
        photo = photo_of(data)
        return self._judged(photo, inspect_photo(photo, data), heated=True)

    def judge_clip(
        self, path: Path, looks: int = 12, progress: Callable[[float], None] = lambda share: None
    ) -> ClipVerdict:
        """The verdict about a video file by so many frames, evenly spread. progress: told the share that is done, 0..1.

        It looks synthetic when a quarter of the frames with a face that can be judged do: one painted face may be in
        view for a part of the clip only. Raises Refused when it is no video that can be read.
        """
        frames = _frames(path, looks, lambda share: progress(share / 2))
        if not frames:
            raise Refused("holds no picture that can be decoded")
        found: list[tuple[float, Verdict]] = []
        for at, pixels in frames:
            found.append((at, self._of_frame(pixels, heated=False)))
            progress(0.5 + 0.5 * len(found) / len(frames))
        seen = [(v.probability, i) for i, (_, v) in enumerate(found) if v.probability is not None]
        highest, best = max(seen) if seen else (None, None)
        flagged = sum(verdict.conclusion == "synthetic" for _, verdict in found)
        if best is not None:
            found[best] = found[best][0], self._of_frame(frames[best][1], heated=True)
        if sum(v.mark.marked for _, v in found) * 2 > len(found):
            conclusion: Conclusion = "reconstruction"
        elif not seen:
            conclusion = "no face"
        else:
            conclusion = "synthetic" if flagged * _FEW >= len(seen) else "photographed"
        return ClipVerdict(conclusion, highest, tuple(found), best)

    def _of_frame(self, pixels: Picture, heated: bool) -> Verdict:
        photo = Photo(pixels, b"", ())
        return self._judged(photo, inspect_photo(photo, b""), heated)

    def _judged(self, photo: Photo, mark: Inspection, heated: bool) -> Verdict:
        picture = reduced(photo.pixels)
        found = self._detector.detect([picture])[0][:_MOST_FACES]
        scale = photo.pixels.shape[1] / picture.shape[1]
        shown, faces = picture.copy(), []
        for box, landmarks in zip(found.boxes, found.landmarks, strict=True):
            view = crop(photo.pixels, landmarks * scale)
            probability = float(self._classifier.classify(view[None])[0])
            transform = face_transform(landmarks) * np.float32(CROP_SIZE / FACE_SIZE)
            pixels = CROP_SIZE / float(np.hypot(transform[0, 0], transform[1, 0])) * scale
            belief = self._mask_state.classify(mask_crop(picture, box)[None])[0]
            unfit = None if pixels >= LEAST_PIXELS else "too small to tell"
            synthetic = unfit is None and probability >= self._flag_at
            plain, tinted = b"", b""
            if heated:
                heat = self._classifier.heat_map(view)
                _lay_over(shown, heat, transform)
                _outline(shown, box, _FOR if synthetic else _AGAINST)
                plain, tinted = _png(view), _png(_heated(view, heat))
            x1, y1, x2, y2 = (float(v) * scale for v in box)
            masked = int(belief.argmax()) != list(MaskState).index(MaskState.NONE)
            faces.append(FaceVerdict((x1, y1, x2, y2), probability, synthetic, masked, unfit, plain, tinted))
        conclusion = _concluded(faces, mark)
        return Verdict(
            conclusion,
            tuple(faces),
            mark,
            tuple(_said(conclusion, faces, mark)),
            _png(shown) if heated else b"",
        )


def networks_needed(settings: Settings) -> tuple[str, ...]:
    """The names of the networks that a Judge runs."""
    return (*networks_of(settings.detection.detector), "maskstate", "authenticity")


def _concluded(faces: Sequence[FaceVerdict], mark: Inspection) -> Conclusion:
    if mark.marked:
        return "reconstruction"
    if any(face.synthetic for face in faces):
        return "synthetic"
    return "photographed" if any(face.unfit is None for face in faces) else "no face"


def _said(conclusion: Conclusion, faces: Sequence[FaceVerdict], mark: Inspection) -> list[str]:
    """The verdict for people, one sentence an entry; what can not be said comes last."""
    said = []
    for number, face in enumerate(faces, 1):
        name = "The face" if len(faces) == 1 else f"Face {number}"
        if face.unfit:
            said.append(f"{name} is {face.unfit}: it counts for nothing.")
        else:
            worn = ", which wears a mask," if face.masked else ""
            said.append(
                f"{name}{worn} is painted or generated with a probability of {percent(face.probability)}, as far as "
                "a small network can tell."
            )
    if not faces:
        said.append("No face was found.")
    said += sentences(mark)
    if conclusion == "photographed":
        said.append(
            "It can not be said that nothing was painted: a generator that the network never met may pass."
        )
    elif conclusion == "synthetic":
        said.append("It is not proven: retouched, printed and filtered photographs look painted too.")
    return said


def _frames(path: Path, looks: int, progress: Callable[[float], None]) -> list[tuple[float, Picture]]:
    """(seconds, uint8 RGB) of evenly spread frames. Raises Refused."""
    if not path.is_file():
        raise Refused("is not a file")
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise Refused("holds no video")
            stream = container.streams.video[0]
            length = float(container.duration or 0) / av.time_base
            found: list[tuple[float, Picture]] = []
            for number in range(looks):
                wanted = (number + 0.5) * length / looks
                container.seek(int(wanted * av.time_base), backward=True)
                chosen = None
                for frame in container.decode(stream):
                    chosen = frame
                    if frame.time is None or frame.time >= wanted - 1e-3:
                        break
                if chosen is not None:
                    at = wanted if chosen.time is None else float(chosen.time)
                    found.append((at, np.asarray(chosen.to_ndarray(format="rgb24"), np.uint8)))
                progress((number + 1) / looks)
            return found
    except (av.FFmpegError, OSError) as error:
        raise Refused(f"is not a video that can be read: {' '.join(str(error).split())[:120]}") from None


def _lay_over(picture: Picture, heat: NDArray[np.float32], transform: NDArray[np.float32]) -> None:
    """Lays the heat of a crop over the picture that it was cut from."""
    back = cv2.warpAffine(
        heat, cv2.invertAffineTransform(transform), picture.shape[1::-1], flags=cv2.INTER_LINEAR
    )
    picture[:] = _heated(picture, back)


def _heated(picture: Picture, heat: NDArray[np.float32]) -> Picture:
    """A picture, uint8 RGB [H, W, 3], tinted by heat [H, W], -1..1: red where it is positive, blue where negative."""
    share = (np.abs(heat) * _STRONGEST)[..., None]
    ink = np.where(heat[..., None] > 0, np.array(_FOR, np.float32), np.array(_AGAINST, np.float32))
    return np.clip(np.rint(picture * (1 - share) + ink * share), 0, 255).astype(np.uint8)


def _outline(picture: Picture, box: NDArray[np.float32], colour: tuple[int, int, int]) -> None:
    x1, y1, x2, y2 = (round(float(v)) for v in box)
    cv2.rectangle(
        picture, (x1, y1), (x2, y2), colour, max(1, round(max(picture.shape[:2]) / 400)), cv2.LINE_AA
    )


def _png(picture: Picture) -> bytes:
    return cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes()
