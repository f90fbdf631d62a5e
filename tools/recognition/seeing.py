"""What the product makes of pictures, with its own detection, alignment, mask state, gate and evidence."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from zlib import crc32

import cv2
import numpy as np
from numpy.typing import NDArray

import engines
from engines.alignment import FACE_SIZE, RECOGNITION_SIZE, face_transform, recognition_transform, warp
from engines.faces import Faces
from engines.masks.state import STATES, MaskState, crop
from engines.recognition.embedder import laid
from engines.recognition.evidence import SeenFace, Vector
from engines.recognition.quality import measure
from stream.config import Settings
from stream.networks import Networks
from tools.learning.faces import read_picture
from tools.recognition.masks import Masks, Picture
from tools.recognition.store import Sight, Store

_CODE = (
    "alignment.py",
    "faces.py",
    "detection",
    "masks",
    "unmasking/generator.py",
    "recognition/embedder.py",
    "recognition/evidence.py",
)
_LONGEST = 1280
"""Longer side, in pixels, of the pictures that are looked at: what a camera of 720 lines gives, and `people add`."""
_SAME_FACE = 0.35
"""The face found under a mask must lie within this share of its width of where it was found without."""


@dataclass(frozen=True, slots=True, eq=False)
class Sights:
    """What was made of some pictures, a row each. vectors: float32 [N, D] by the name of a look or a view, zeros where
    there is none. has: bool [N] by the same names. masked: bool [N]. failure, unfit: as Sight.
    """

    vectors: dict[str, NDArray[np.float32]]
    has: dict[str, NDArray[np.bool_]]
    masked: NDArray[np.bool_]
    failure: tuple[str, ...]
    unfit: tuple[str, ...]

    @classmethod
    def of(cls, sights: Sequence[Sight]) -> Sights:
        """All of them in arrays."""
        vectors, has = {}, {}
        for name in sorted({name for sight in sights for name in sight.vectors}):
            has[name] = np.array([name in sight.vectors for sight in sights])
            found = np.stack([sights[row].vector(name) for row in np.flatnonzero(has[name]).tolist()])
            vectors[name] = np.zeros((len(sights), found.shape[1]), np.float32)
            vectors[name][has[name]] = found
        return cls(
            vectors,
            has,
            np.array([sight.masked for sight in sights], bool),
            tuple(sight.failure for sight in sights),
            tuple(sight.unfit for sight in sights),
        )

    @property
    def made(self) -> NDArray[np.bool_]:
        """Which rows hold anything."""
        return np.array([not failure for failure in self.failure], bool)

    def rows(self, which: NDArray[np.intp]) -> Sights:
        """Some of the rows."""
        return Sights(
            {name: v[which] for name, v in self.vectors.items()},
            {name: h[which] for name, h in self.has.items()},
            self.masked[which],
            tuple(self.failure[i] for i in which),
            tuple(self.unfit[i] for i in which),
        )


class Seer:
    """The product's networks, looking at photographs instead of frames."""

    def __init__(
        self, settings: Settings, networks: Networks, store: Store, gate: bool, seed: int = 1
    ) -> None:
        """gate: whether the limits that the live pipeline sets to a look hold for probes too."""
        self._settings, self._networks, self._store = settings, networks, store
        self._gate, self._seed = gate, seed
        self._evidence = networks.evidence
        models = sorted((name, info.model_sha256) for name, info in networks.engines.items())
        limits = (settings.detection, settings.quality)
        self._made_by = repr((models, limits, self._evidence.views_space, seed, _code())).encode()

    def templates(self, paths: Sequence[Path], progress: Callable[[float], None]) -> Sights:
        """The pictures as they would be enrolled; the quality that `people add` asks for is not asked for."""
        return self._all(paths, "template", self._template, progress)

    def probes(self, paths: Sequence[Path], masks: Masks | None, progress: Callable[[float], None]) -> Sights:
        """The pictures as a camera's looks, with a mask put on each face if there are masks."""
        role = f"probe {masks.digest}" if masks else "probe"
        sights = self._all(paths, role, lambda picture, path: self._probe(picture, path, masks), progress)
        if not self._gate:
            return sights
        return replace(
            sights, failure=tuple(f or u for f, u in zip(sights.failure, sights.unfit, strict=True))
        )

    def _all(
        self,
        paths: Sequence[Path],
        role: str,
        see: Callable[[Picture, Path], Sight],
        progress: Callable[[float], None],
    ) -> Sights:
        found = []
        for done, path in enumerate(paths):
            progress(done / len(paths))
            try:
                data = path.read_bytes()
            except OSError:
                found.append(Sight("no such picture"))
                continue
            names = (self._made_by, role.encode(), path.name.encode(), hashlib.sha256(data).digest())
            key = hashlib.sha256(b"\0".join(names)).digest()
            sight = self._store.get(key)
            if sight is None:
                try:
                    sight = see(_no_larger(read_picture(path)), path)
                except (ValueError, cv2.error):
                    sight = Sight("not a picture")
                self._store.put(key, sight)
            found.append(sight)
        self._store.flush()
        return Sights.of(found)

    def _template(self, picture: Picture, path: Path) -> Sight:
        face = self._find(picture)
        if face is None:
            return Sight("no face found")
        views = self._evidence.views(_aligned(picture, face.landmarks[0]))
        return _sight(views)

    def _probe(self, picture: Picture, path: Path, masks: Masks | None) -> Sight:
        face = self._find(picture)
        if face is not None and masks:
            rng = np.random.default_rng((self._seed, crc32(path.name.encode())))
            picture = masks.draw(picture, face.landmarks[0], rng)[0]
            face = self._find(picture, face)
        if face is None:
            return Sight("no face found")
        belief = self._networks.mask_state.classify(crop(picture, face.boxes[0])[None])[0]
        masked = STATES[int(belief.argmax())] is not MaskState.NONE
        landmarks, reconstruction = face.landmarks[0], None
        if masked:
            landmarks = self._networks.landmarks.refine(picture, landmarks[None])[0]
            if self._networks.unmasker:
                shown = warp(picture, face_transform(landmarks), FACE_SIZE)
                reconstruction = laid(self._networks.unmasker.unmask(shown[None]).pictures[0], landmarks)
        seen = SeenFace(_aligned(picture, landmarks), masked, reconstruction)
        looks = self._evidence.looks([seen])[0]
        unfit = measure(picture, face.landmarks[0]).unfit(self._settings.quality)
        return _sight(looks, masked, unfit or "")

    def _find(self, picture: Picture, before: Faces | None = None) -> Faces | None:
        """The face nearest the middle, or nearest to where it was found before and not another one."""
        faces = self._networks.detector.detect([picture])[0]
        if not len(faces):
            return None
        where, reach = np.array(picture.shape[1::-1]) / 2, np.inf
        if before is not None:
            left, top, right, bottom = before.boxes[0]
            where, reach = np.array([left + right, top + bottom]) / 2, _SAME_FACE * float(right - left)
        away = np.hypot(*((faces.boxes[:, :2] + faces.boxes[:, 2:]) / 2 - where).T)
        first = int(away.argmin())
        return faces[first : first + 1] if away[first] <= reach else None


def _no_larger(picture: Picture) -> Picture:
    scale = _LONGEST / max(picture.shape[:2])
    if scale >= 1:
        return picture
    return np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)


def _aligned(picture: Picture, landmarks: NDArray[np.float32]) -> Picture:
    return warp(picture, recognition_transform(landmarks), RECOGNITION_SIZE)


def _sight(vectors: dict[str, Vector], masked: bool = False, unfit: str = "") -> Sight:
    if not all(vector.any() for vector in vectors.values()):
        return Sight("the face gives no template")
    return Sight("", {name: v.astype("<f4").tobytes() for name, v in vectors.items()}, masked, unfit)


def _code() -> str:
    """A hash of the code by which pictures become evidence: what was seen by other code is not taken for this one's."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for path in _files(Path(engines.__file__).parent / entry for entry in _CODE):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def _files(entries: Iterable[Path]) -> Iterable[Path]:
    for entry in entries:
        yield from sorted(entry.rglob("*.py")) if entry.is_dir() else (entry,)
