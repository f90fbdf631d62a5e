"""Follows what the rules ask about, frame by frame, and says when one is met."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import tzinfo

from stream.config import Rule, Settings
from stream.events.rules import (
    Observation,
    Presence,
    dwelt,
    is_meant,
    is_time,
    looks_at,
    rested,
    spelling,
    stay,
)
from stream.events.zones import foot_point
from stream.messages import FaceLook, FrameResult

_OVER_AFTER_NS = 10_000_000_000  # of media time: a track that was not seen for so long does not come back

Who = tuple[str, ...]
"""Of whom a rule has spoken: ("track", camera, epoch, track) or ("person", camera, name)."""


@dataclass(slots=True)
class WatchedTrack:
    """One track. *_wall_ns: UTC; look: the best picture so far."""

    track: int
    epoch: int
    first_wall_ns: int
    last_wall_ns: int
    last_media_ns: int
    presences: dict[str, Presence | None] = field(default_factory=dict)  # by rule
    look: FaceLook | None = None


@dataclass(frozen=True, slots=True)
class Met:
    """A rule was met."""

    rule: Rule
    seen: Observation
    track: WatchedTrack
    result: FrameResult


class Watch:
    """The rules' memory. It lives in one thread and holds nothing but what is going on."""

    def __init__(self, settings: Settings, zone: tzinfo | None = None) -> None:
        """zone: of the clocks that rules go by, by default this machine's."""
        self._rules = settings.events.rules
        self._zones = {each.name: each for each in settings.events.zones}
        self._decide_at = settings.recognition.decide_at
        self._clocks = zone
        self._tracks: dict[tuple[str, int], WatchedTrack] = {}
        self._looks: dict[tuple[str, int], FaceLook] = {}  # of tracks that were not on a frame yet
        self._epochs: dict[str, int] = {}  # by camera
        self._spoken: dict[tuple[str, Who], int] = {}  # (rule, who) -> monotonic ns

    def see(self, result: FrameResult) -> Iterator[Met]:
        """Take in one frame; the rules that it meets."""
        frame = result.frame
        self._forget(result)
        for face in result.faces:
            key = (frame.camera, face.track)
            track = self._tracks.get(key)
            if track is None:
                track = self._tracks[key] = WatchedTrack(
                    face.track, result.epoch, frame.wall_ns, frame.wall_ns, frame.media_ns
                )
                track.look = self._looks.pop(key, None)
            track.last_wall_ns, track.last_media_ns = frame.wall_ns, frame.media_ns
            foot = foot_point(face.box, frame.width, frame.height)
            seen = Observation(frame.camera, face, foot, frame.media_ns, frame.wall_ns)
            whom = same_ones(frame.camera, track.epoch, face.track, face.person)
            for rule in self._rules:
                if self._is_met(rule, seen, track, whom, frame.captured_ns):
                    yield Met(rule, seen, track, result)

    def look(self, look: FaceLook) -> None:
        """Take in a better picture of a track."""
        track = self._tracks.get((look.camera, look.track))
        if track is not None:
            track.look = look
        else:
            self._looks[look.camera, look.track] = look

    def spoke(self, rule: str, whom: tuple[Who, ...], at_ns: int) -> None:
        """The rule has spoken of someone (monotonic time), in this process or in one before it."""
        for who in whom:
            self._spoken[rule, who] = max(at_ns, self._spoken.get((rule, who), at_ns))

    def _is_met(
        self, rule: Rule, seen: Observation, track: WatchedTrack, whom: tuple[Who, ...], now_ns: int
    ) -> bool:
        there = looks_at(rule, self._zones, seen)
        presence = track.presences[rule.name] = stay(track.presences.get(rule.name), there, seen.media_ns)
        if not there or not is_meant(rule, seen.face, self._decide_at) or not dwelt(rule, presence):
            return False
        if not all(rested(rule, self._spoken.get((rule.name, who)), now_ns) for who in whom):
            return False
        if not is_time(rule, seen.wall_ns, self._clocks):
            return False
        self.spoke(rule.name, whom, now_ns)
        return True

    def _forget(self, result: FrameResult) -> None:
        """Tracks that are over, and all of an inference process that is no more: the next one counts from 1, and its
        tracks must not get the pictures of others.
        """
        camera, media_ns = result.frame.camera, result.frame.media_ns
        another = self._epochs.get(camera) != result.epoch
        self._epochs[camera] = result.epoch
        for key, track in list(self._tracks.items()):
            if key[0] == camera and (another or _is_over(media_ns, track.last_media_ns)):
                del self._tracks[key]
        for key, look in list(self._looks.items()):
            if key[0] == camera and (another or _is_over(media_ns, look.media_ns)):
                del self._looks[key]
        if len(self._spoken) > 10_000:
            longest_ns = max(rule.cooldown_s for rule in self._rules) * 1e9
            now_ns = result.frame.captured_ns
            self._spoken = {key: at for key, at in self._spoken.items() if now_ns - at < longest_ns}


def _is_over(media_ns: int, last_ns: int) -> bool:
    return not 0 <= media_ns - last_ns < _OVER_AFTER_NS


def same_ones(camera: str, epoch: int, track: int, person: str | None) -> tuple[Who, ...]:
    """Under what a face is known to a rule's rest: as a track, and as a person once it is named."""
    followed: Who = ("track", camera, str(epoch), str(track))
    return (followed,) if person is None else (followed, ("person", camera, spelling(person)))
