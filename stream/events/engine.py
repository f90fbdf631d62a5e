"""From what was seen to what is told: rules, events, and their deliveries, as the recorder's process uses them.

`see` and `look` only compute. Writing events and bringing them to receivers is done by threads of their own,
so that neither a slow disk nor a slow receiver holds up the recorder.
"""

from __future__ import annotations

import hashlib
import logging
import socket
import time
import uuid
from collections.abc import Callable
from datetime import tzinfo

import stream
from stream.archive.archive import Archive
from stream.config import Mqtt, Settings, WebHook
from stream.events.channel import Backoff, Channel
from stream.events.courier import Courier
from stream.events.document import Event, EventSighting, Snapshot, Versions, sentence
from stream.events.hours import local_time
from stream.events.keeper import PICTURE_WITHIN_S, Keeper
from stream.events.mqtt import MqttChannel
from stream.events.rules import is_masked
from stream.events.shelf import Shelf, ShelfError
from stream.events.watch import Met, Watch, same_ones
from stream.events.webhook import WebHookChannel
from stream.messages import EngineInfo, FaceLook, FrameResult, InferenceStatus
from stream.moments import iso
from stream.stills import veiled_picture

log = logging.getLogger(__name__)

Trigger = Callable[[str, int, str], None]
_LAST_S = 2.0  # for what can still be written and delivered when the run ends


class EventEngine:
    """The rules of one run. Its methods are for one thread.

    trigger: called as (camera, wall_ns of the frame, rule) for each event; event recording hangs on it.
    """

    def __init__(
        self,
        settings: Settings,
        archive: Archive,
        run: int = 0,
        trigger: Trigger | None = None,
        *,
        backoff: Backoff | None = None,
        clocks: tzinfo | None = None,
    ) -> None:
        """run: the archive's number of this run. clocks: the time zone that rules go by, by default this machine's.

        Deliveries that an earlier process has left in the archive are taken up at once.
        """
        self.trigger = trigger
        self._rules, self._clocks = settings.events.rules, clocks
        self._watch = Watch(settings, clocks)
        self._blind = _blind(settings)
        self._engines: dict[str, EngineInfo] = {}
        self._epoch = 0
        self._wanted: dict[tuple[str, int], tuple[list[Event], int]] = {}
        """Events that lack a picture, by camera and track, and until when (wall) they wait for it."""
        self._blur_others = settings.privacy.blur_others
        self._shelf = Shelf(archive, run, self._rules)
        self._remember()
        targets: list[WebHook | Mqtt] = [*settings.events.web_hooks, *settings.events.mqtt]
        self._couriers = [
            Courier(target.name, _channel(target, archive), self._shelf, backoff) for target in targets
        ]
        self._keeper = Keeper(self._shelf, self._wake)
        for thread in (self._keeper, *self._couriers):
            thread.start()

    def inference(self, status: InferenceStatus) -> None:
        """Which engines run: an event names them."""
        self._engines = status.engines

    def see(self, result: FrameResult) -> None:
        """Take in what was seen on a frame, and make events of it."""
        if result.epoch != self._epoch:  # its tracks are counted anew, and are other people
            self._epoch = result.epoch
            self._wanted.clear()
        for met in self._watch.see(result):
            event = self._event(met)
            wants_picture = met.rule.snapshot and event.snapshot is None
            if self._keeper.put(event, met.seen.wall_ns, wants_picture) and wants_picture:
                until_ns = time.time_ns() + int(PICTURE_WITHIN_S * 1e9)
                self._wanted.setdefault((event.camera, met.track.track), ([], until_ns))[0].append(event)
            log.info("event %s at camera %s", event.id, event.camera)
            if self.trigger is not None:
                self.trigger(event.camera, met.seen.wall_ns, event.rule)

    def look(self, look: FaceLook) -> None:
        """Take in a better picture of a track, for the snapshots of its events."""
        self._watch.look(look)
        for event in self._wanted.pop((look.camera, look.track), ((), 0))[0]:
            if snapshot := self._snapshot(look, event.sighting):
                self._keeper.add_picture(event.id, snapshot)

    def turn(self, now_wall_ns: int) -> None:
        """What has to be done whether anything comes or not; call it about once a second."""
        for key, (_, until_ns) in list(self._wanted.items()):
            if now_wall_ns >= until_ns:
                del self._wanted[key]

    @property
    def notes(self) -> tuple[str, ...]:
        """What people should know, a sentence each."""
        notes = list(self._blind)
        if self._keeper.trouble:
            notes.append(f"Events cannot be written: {self._keeper.trouble}.")
        if self._keeper.lost:
            notes.append(f"Events lost because they could not be written: {self._keeper.lost}.")
        for courier in self._couriers:
            if courier.trouble:
                notes.append(f"Events for {courier.target} wait: {courier.trouble}.")
            for word, by_rule in (("refused", courier.refused), ("expired", courier.expired)):
                for rule, count in sorted(by_rule.items()):
                    notes.append(
                        f"Events of rule {rule} that {courier.target} did not get ({word}): {count}."
                    )
        return tuple(notes)

    def close(self) -> None:
        """Write what waits, deliver what can be delivered at once, and end. The rest is left to the next process."""
        self._keeper.finish(_LAST_S)
        for courier in self._couriers:
            courier.finish()
        deadline = time.monotonic() + _LAST_S
        for courier in self._couriers:
            courier.join(max(0.0, deadline - time.monotonic()))
            courier.stop()

    def _event(self, met: Met) -> Event:
        face, track, frame = met.seen.face, met.track, met.result.frame
        seen = EventSighting(
            track=track.track,
            epoch=str(track.epoch),
            first_seen=iso(track.first_wall_ns),
            last_seen=iso(track.last_wall_ns),
            decision=face.decision,
            person=face.person,
            probability=face.probability,
            candidates=face.candidates,
            mask=face.mask,
            mask_probability=face.mask_probability,
            masked=is_masked(face),
            foot=met.seen.foot,
        )
        generator = self._engines.get("unmask")
        return Event(
            id=uuid.uuid4().hex,
            rule=met.rule.name,
            camera=frame.camera,
            time=iso(frame.wall_ns),
            text=sentence(met.rule.name, frame.camera, seen, local_time(frame.wall_ns, self._clocks)),
            sighting=seen,
            versions=Versions(
                unvizard=stream.__version__,
                gallery=met.result.gallery,
                generator=generator.model_sha256 if generator else "",
                engines=self._engines,
            ),
            snapshot=self._snapshot(track.look, seen) if met.rule.snapshot and track.look else None,
        )

    def _snapshot(self, look: FaceLook, sighting: EventSighting) -> Snapshot | None:
        """The picture, with strangers made unrecognisable where privacy.blur_others asks for it."""
        jpeg: bytes | None = look.picture_jpeg
        if self._blur_others:
            jpeg = veiled_picture("look", look.picture_jpeg, sighting.person is not None)
        return Snapshot(time=iso(look.wall_ns), jpeg=jpeg) if jpeg else None

    def _remember(self) -> None:
        """Of whom a process before this one has spoken, so that starting again repeats nothing."""
        now_ns, now_wall_ns = time.monotonic_ns(), time.time_ns()
        longest_s = max((rule.cooldown_s for rule in self._rules), default=0.0)
        try:
            lately = self._shelf.lately(now_wall_ns - int(longest_s * 1e9))
        except ShelfError as error:
            log.warning("events of before cannot be read: %s", error)
            return
        for at_ns, event in lately:
            whom = same_ones(
                event.camera, int(event.sighting.epoch), event.sighting.track, event.sighting.person
            )
            self._watch.spoke(event.rule, whom, now_ns - max(0, now_wall_ns - at_ns))

    def _wake(self) -> None:
        for courier in self._couriers:
            courier.wake()


def _blind(settings: Settings) -> list[str]:
    """Which rules can never be met."""
    there = {camera.name for camera in settings.cameras}
    zones = {zone.name: zone for zone in settings.events.zones}
    return [
        f"Rule {rule.name} looks at camera {name}, which there is not."
        for rule in settings.events.rules
        for name in (*rule.cameras, *([zones[rule.zone].camera] if rule.zone else []))
        if name not in there
    ]


def _channel(target: WebHook | Mqtt, archive: Archive) -> Channel:
    if isinstance(target, WebHook):
        return WebHookChannel(target)
    whose = f"{socket.gethostname()}:{archive.folder.resolve()}:{target.name}"
    return MqttChannel(target, f"unvizard-{hashlib.blake2b(whose.encode(), digest_size=6).hexdigest()}")
