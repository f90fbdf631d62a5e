"""What goes between the web stage and its workshop: pictures to look at, and what was seen on them."""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from engines.recognition.enrolled import Template

Kind = Literal["examine", "measure", "judge", "judge_clip"]


class Start(msgspec.Struct, frozen=True):
    """The first thing a workshop is told. settings: JSON. idle_s: after so long without work it ends."""

    settings: str
    idle_s: float


class Job(msgspec.Struct, frozen=True):
    """A picture to look at. kind: for enrolment, for a search, or whether it is photographed or painted. picture: a
    file's content; of a clip, the path of its file.
    """

    kind: Kind
    picture: bytes


class FaceSeen(msgspec.Struct, frozen=True):
    """A face on a photograph. box: x1, y1, x2, y2 in shares of width and height. The others as in
    engines.recognition.quality.Quality.
    """

    box: tuple[float, float, float, float]
    eye_distance: float
    yaw: float
    sharpness: float
    brightness: float
    weight: float


class PlainTemplate(msgspec.Struct, frozen=True):
    """engines.recognition.enrolled.Template with vectors as little-endian float32."""

    views: dict[str, bytes]
    space: str
    quality: float
    digest: bytes
    views_space: str
    picture: bytes

    @classmethod
    def of(cls, template: Template) -> PlainTemplate:
        """The same."""
        views = {view: vector.astype("<f4").tobytes() for view, vector in template.views.items()}
        return cls(
            views,
            template.space,
            template.quality,
            template.digest,
            template.views_space,
            template.picture,
        )

    def template(self) -> Template:
        """As the gallery takes it."""
        views = {view: np.frombuffer(data, "<f4").astype(np.float32) for view, data in self.views.items()}
        return Template(views, self.space, self.quality, self.digest, self.views_space, self.picture)


class Looked(msgspec.Struct, frozen=True):
    """What enrolment makes of a photograph of width x height pixels.

    faces: largest first. template: None when it is refused; refusal: why. preview: the whole picture, a small JPEG.
    """

    width: int
    height: int
    faces: tuple[FaceSeen, ...]
    template: PlainTemplate | None
    refusal: str
    preview: bytes


class Measured(msgspec.Struct, frozen=True):
    """The largest face of a photograph, to search by.

    data: its embedding in `space`, little-endian float32 [D]. notes: what makes the search less reliable, a sentence
    each. preview: the whole picture, a small JPEG.
    """

    data: bytes
    space: str
    masked: bool
    notes: tuple[str, ...]
    preview: bytes

    @property
    def embedding(self) -> NDArray[np.float32]:
        """float32 [D]."""
        return np.frombuffer(self.data, "<f4").astype(np.float32)


class FaceJudged(msgspec.Struct, frozen=True):
    """stream.authenticity.FaceVerdict. picture, heat_map: PNG of 112 pixels, empty where there is none."""

    probability: float
    synthetic: bool
    masked: bool
    unfit: str | None
    picture: bytes
    heat_map: bytes


class Look(msgspec.Struct, frozen=True):
    """A frame of a clip. seconds: from its start. probability: that a face is painted; None without a face to judge."""

    seconds: float
    synthetic: bool
    probability: float | None


class Judged(msgspec.Struct, frozen=True):
    """stream.authenticity.Verdict or ClipVerdict. looks: the frames of a clip that were looked at; all else is about
    the one of them that looks painted most. heat_map: the whole picture, PNG, empty where there is none.
    """

    conclusion: str
    probability: float | None
    faces: tuple[FaceJudged, ...]
    marked: bool
    watermarked: bool
    unaltered: bool
    said: tuple[str, ...]
    heat_map: bytes
    looks: tuple[Look, ...] = ()


class Answer(msgspec.Struct, frozen=True):
    """One of these; nothing at all when the networks are ready. fault: why no picture can be looked at. share: how much
    is done of what takes long; the answer itself follows.
    """

    looked: Looked | None = None
    measured: Measured | None = None
    judged: Judged | None = None
    share: float | None = None
    refusal: str = ""
    fault: str = ""
