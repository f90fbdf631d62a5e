"""Faces over time: which face on this frame is which face of the frames before.

Whole-frame searches are dear, so they are made now and then; in between, each face is followed by running only
MTCNN's last network on the place where its track expects it (constant velocity). A track is born from a search,
lives while it is seen, coasts for a short while when it is not, and dies.

All times are media times, so that a recording replayed gives the same tracks.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engines.faces import Faces

_REACH, _REACH_GROWTH = (
    0.6,
    2.0,
)  # how far from where it is expected a face is taken for the same, in its own sizes, and
# how much farther for each second since it was seen: at three frames a second a near face moves by its own width
_SAME_SIZE = 1.6  # largest ratio of sizes
_MOSTLY, _CLEARLY = 0.4, 0.1  # share of a box that lies on another, and how much more certain that one is
_TOUCHING = 0.1  # share of a box that another one covers when tracks may be mixed up
_COLLISION = 0.6  # IoU from which two boxes are one face
_LOST_FACE = 0.25  # IoU of expected and refined box under which the refinement went astray
_VELOCITY_MEMORY = 0.6  # share of the old velocity that stays when a new one is measured
_SLOWING_NS = 0.8e9  # an unseen face slows to 1/e within this time


@dataclass(slots=True)
class Track:
    """One face over time.

    box: float32 [4] and landmarks: float32 [5, 2], in pixels of the newest frame; velocity: pixels a second of
    the box's (centre x, centre y, log size). seen_ns: the newest media time at which it was really seen.
    """

    id: int
    box: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    score: float
    born_ns: int
    seen_ns: int
    now_ns: int
    velocity: NDArray[np.float32] = field(default_factory=lambda: np.zeros(3, np.float32))
    _anchor: NDArray[np.float32] | None = None  # the box when it was last really seen

    @property
    def visible(self) -> bool:
        """Whether it was seen on the newest frame (else its box is only expected)."""
        return self.seen_ns == self.now_ns

    def expected(self, now_ns: int) -> NDArray[np.float32]:
        """The box, float32 [4], expected at a later time. Half a second ahead is as far as we dare."""
        dt = min(max(now_ns - self.now_ns, 0) / 1e9, 0.5)
        x, y, _ = _centre(self.box)
        half = (self.box[2:] - self.box[:2]) / 2 * np.exp(self.velocity[2] * dt)
        moved = np.array([x + self.velocity[0] * dt, y + self.velocity[1] * dt])
        return np.concatenate([moved - half, moved + half]).astype(np.float32)

    def see(
        self, box: NDArray[np.float32], landmarks: NDArray[np.float32], score: float, now_ns: int
    ) -> None:
        """Take over where the face was found."""
        dt = (now_ns - self.seen_ns) / 1e9
        if dt > 0:
            fresh = (_state(box) - _state(self._seen_box())) / dt
            self.velocity = (_VELOCITY_MEMORY * self.velocity + (1 - _VELOCITY_MEMORY) * fresh).astype(
                np.float32
            )
        self.box, self.landmarks, self.score = box, landmarks, score
        self.seen_ns = self.now_ns = now_ns
        self._anchor = box

    def coast(self, now_ns: int) -> None:
        """Not seen: move on as expected, and slow down."""
        box = self.expected(now_ns)
        shift = np.array([_centre(box)[:2]]) - np.array([_centre(self.box)[:2]])
        self.landmarks = (self.landmarks + shift).astype(np.float32)
        self.velocity = self.velocity * np.float32(np.exp(-(now_ns - self.now_ns) / _SLOWING_NS))
        self.box, self.now_ns = box, now_ns

    def _seen_box(self) -> NDArray[np.float32]:
        return self.box if self._anchor is None else self._anchor


class Tracker:
    """The tracks of one camera.

    lost_after_ms: how long a face may go unseen. min_score: the probability from which a refinement counts as
    a sighting. next_id: the number of the next new track; numbers are never used twice.
    """

    def __init__(self, lost_after_ms: int, min_score: float, next_id: int = 1) -> None:
        self._lost_after_ns = lost_after_ms * 1_000_000
        self._min_score = min_score
        self.next_id = next_id
        self.tracks: list[Track] = []

    def clear(self) -> list[Track]:
        """The tracks without those that lie mostly on a clearly more certain one: a collar under a chin, a face found
        twice. They live on, because the more certain one may walk away.
        """
        if len(self.tracks) < 2:
            return list(self.tracks)
        boxes = np.stack([track.box for track in self.tracks])
        scores = np.array([track.score if track.visible else 0.0 for track in self.tracks])
        covered = _covered(boxes) > _MOSTLY
        shadowed = covered & (scores[None] > scores[:, None] + _CLEARLY)
        return [track for track, by in zip(self.tracks, shadowed, strict=True) if not by.any()]

    def touching(self) -> set[int]:
        """The numbers of tracks whose faces touch another's: each may pass to the other one."""
        if len(self.tracks) < 2:
            return set()
        boxes = np.stack([track.box for track in self.tracks])
        covered = _covered(boxes)
        np.fill_diagonal(covered, 0.0)
        near = np.flatnonzero((np.maximum(covered, covered.T) > _TOUCHING).any(1))
        return {self.tracks[i].id for i in near}

    def renumber(self, track: Track) -> None:
        """Have a track that has passed to another face go on as another track."""
        track.id = self.next_id
        self.next_id += 1

    def forget(self, now_ns: int) -> None:
        """Drop the tracks that have gone unseen for too long. Called before a frame is looked at: after a gap between
        frames, whoever stands there now is somebody new.
        """
        self.tracks = [t for t in self.tracks if now_ns - t.seen_ns <= self._lost_after_ns]

    def expected(self, now_ns: int) -> NDArray[np.float32]:
        """Where the tracks should be now: float32 [K, 4], in the order of `tracks`."""
        if not self.tracks:
            return np.zeros((0, 4), np.float32)
        return np.stack([track.expected(now_ns) for track in self.tracks])

    def follow(self, refined: Faces, now_ns: int) -> None:
        """Take what the last network said of the expected places; `refined` is in the order of `tracks`."""
        fit = np.diag(iou(self.expected(now_ns), refined.boxes))
        seen = (refined.scores >= self._min_score) & (fit >= _LOST_FACE)
        # When people pass each other both refinements may end on the nearer face: the track that expected a face
        # there keeps it, the other one coasts behind it.
        for a, b in np.argwhere(np.triu(iou(refined.boxes, refined.boxes) > _COLLISION, 1)):
            if seen[a] and seen[b]:
                seen[b if fit[a] >= fit[b] else a] = False
        for i, track in enumerate(self.tracks):
            if seen[i]:
                track.see(refined.boxes[i], refined.landmarks[i], float(refined.scores[i]), now_ns)
            else:
                track.coast(now_ns)
        self.forget(now_ns)

    def search(self, found: Faces, now_ns: int) -> None:
        """Take the faces of a whole-frame search: continue tracks, begin new ones."""
        free_tracks, free_faces = set(range(len(self.tracks))), set(range(len(found)))
        for t, f in self._pairs(found.boxes, now_ns):
            if t in free_tracks and f in free_faces:
                self.tracks[t].see(found.boxes[f], found.landmarks[f], float(found.scores[f]), now_ns)
                free_tracks.remove(t)
                free_faces.remove(f)
        for t in free_tracks:
            self.tracks[t].coast(now_ns)
        for f in sorted(free_faces):
            score = float(found.scores[f])
            self.tracks.append(
                Track(self.next_id, found.boxes[f], found.landmarks[f], score, now_ns, now_ns, now_ns)
            )
            self.next_id += 1
        self.forget(now_ns)

    def _pairs(self, boxes: NDArray[np.float32], now_ns: int) -> list[tuple[int, int]]:
        """Pairs of a track and a box that may be one face, nearest first."""
        pairs = []
        for t, expected in enumerate(self.expected(now_ns)):
            x, y, size = _centre(expected)
            unseen_s = min((now_ns - self.tracks[t].seen_ns) / 1e9, 0.5)
            for f, box in enumerate(boxes):
                found_x, found_y, found_size = _centre(box)
                away = float(np.hypot(found_x - x, found_y - y)) / size
                alike = max(size, found_size) / min(size, found_size) <= _SAME_SIZE
                if alike and away <= _REACH + _REACH_GROWTH * unseen_s:
                    pairs.append((away, t, f))
        return [(t, f) for _, t, f in sorted(pairs)]


def iou(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Intersection over union of boxes a [M, 4] with boxes b [N, 4]: float32 [M, N]."""
    inside = _shared(a, b)
    union = _areas(a)[:, None] + _areas(b)[None] - inside
    return (inside / np.maximum(union, 1e-9)).astype(np.float32)


def _covered(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """The share [N, N] of each box [N, 4] that lies under each other one."""
    return (_shared(boxes, boxes) / np.maximum(_areas(boxes), 1e-9)[:, None]).astype(np.float32)


def _shared(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """The area [M, N] that boxes a [M, 4] share with boxes b [N, 4]."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    return np.prod(np.clip(high - low, 0, None), axis=2)


def _areas(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.prod(np.clip(boxes[:, 2:] - boxes[:, :2], 0, None), axis=1)


def _centre(box: NDArray[np.float32]) -> tuple[float, float, float]:
    width, height = float(box[2] - box[0]), float(box[3] - box[1])
    return float(box[0] + box[2]) / 2, float(box[1] + box[3]) / 2, max((width + height) / 2, 1.0)


def _state(box: NDArray[np.float32]) -> NDArray[np.float32]:
    x, y, size = _centre(box)
    return np.array([x, y, np.log(size)], np.float32)
