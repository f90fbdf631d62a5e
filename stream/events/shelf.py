"""Events in the archive while they wait for their receivers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec
from msgspec.structs import replace

from stream.archive.archive import Archive, ArchiveError
from stream.archive.incidents import Event as KeptEvent
from stream.config import Rule
from stream.events.document import Event, Snapshot, from_json, readable, to_json

_DEFAULT_EXPIRES_H = Rule.model_fields["expires_h"].default


class ShelfError(RuntimeError):
    """The archive cannot be read or written now."""


class _Named(msgspec.Struct):
    """All that is to be known of a document in order to send it, whatever release wrote it."""

    id: str


@dataclass(frozen=True, slots=True)
class Parcel:
    """The oldest event that a receiver still lacks. delivery: its row. expires_ns: wall time."""

    delivery: int
    event: str
    rule: str
    expires_ns: int
    document: bytes


class Shelf:
    """Several threads may use it. Methods raise ShelfError, and leave everything as it was."""

    def __init__(self, archive: Archive, run: int, rules: tuple[Rule, ...]) -> None:
        """run: the archive's number of this run."""
        self._archive, self._run = archive, run
        self._rules = {rule.name: rule for rule in rules}
        self._rows: dict[str, int] = {}  # of events that wait for a picture
        self._held: dict[int, float] = {}  # of the same, by row: until when (monotonic seconds)

    def put(self, event: Event, at_ns: int, hold_s: float = 0.0) -> None:
        """Keep an event, to be delivered to its rule's receivers; in hold_s, or once it has got its picture.

        at_ns: wall time. Of somebody who was just erased nothing is kept.
        """
        with _guarded(), self._archive.transaction():
            forgotten = self._archive.forgotten(_people(event))
            if event.sighting.person in forgotten:
                return
            if forgotten:
                event = _without(event, forgotten)
            row = self._archive.put_event(
                KeptEvent(
                    rule=event.rule,
                    camera=event.camera,
                    run=self._run,
                    at_ns=at_ns,
                    data=to_json(event),
                    people=_people(event),
                ),
                self._rules[event.rule].send_to,
            )
        if hold_s > 0:
            self._let_go()
            self._rows[event.id], self._held[row] = row, time.monotonic() + hold_s

    def add_picture(self, event: str, snapshot: Snapshot) -> None:
        """Give a kept event the picture that it waits for; one that has gone out meanwhile stays as it was sent."""
        row = self._rows.pop(event, None)
        if row is None or self._held.get(row, 0.0) <= time.monotonic():
            return
        with _guarded(), self._archive.transaction():
            kept = self._archive.event(row)
            if kept is not None and kept.data:  # nobody has erased it meanwhile
                document = replace(from_json(kept.data), snapshot=snapshot)
                self._archive.update_event(row, to_json(document))
        self._held.pop(row, None)

    def oldest(self, target: str) -> Parcel | None:
        """The first that is open for a receiver; None when there is none, or when it still waits for its picture."""
        with _guarded():
            delivery = self._archive.open_delivery(target)
            kept = None if delivery is None else self._archive.event(delivery.event)
        if delivery is None or kept is None or not kept.data:
            return None
        if self._held.get(kept.id, 0.0) > time.monotonic():
            return None
        self._held.pop(kept.id, None)
        rule = self._rules.get(kept.rule)
        expires_h = rule.expires_h if rule else _DEFAULT_EXPIRES_H
        return Parcel(
            delivery.id,
            msgspec.json.decode(kept.data, type=_Named).id,
            kept.rule,
            kept.at_ns + int(expires_h * 3600e9),
            kept.data,
        )

    def delivered(self, parcel: Parcel) -> None:
        """Cross it off."""
        with _guarded():
            self._archive.delivered(parcel.delivery, time.time_ns())

    def failed(self, parcel: Parcel, reason: str, next_ns: int) -> None:
        """Count a try. next_ns: wall time of the next, for people."""
        with _guarded():
            self._archive.put_off(parcel.delivery, next_ns, reason)

    def given_up(self, parcel: Parcel, reason: str) -> None:
        """Cross it off as not delivered."""
        with _guarded():
            self._archive.give_up(parcel.delivery, time.time_ns(), reason)

    def lately(self, since_ns: int) -> list[tuple[int, Event]]:
        """Events with their wall times since a moment, newest first, a thousand at most."""
        with _guarded():
            kept = self._archive.events(from_ns=since_ns, limit=1000)
        read = [(each.at_ns, readable(each.data)) for each in kept]
        return [(at_ns, event) for at_ns, event in read if event is not None]

    def _let_go(self) -> None:
        """Of events that have waited in vain."""
        now = time.monotonic()
        self._held = {row: until for row, until in list(self._held.items()) if until > now}
        self._rows = {event: row for event, row in self._rows.items() if row in self._held}


def _people(event: Event) -> tuple[str, ...]:
    """Everyone named in an event."""
    named = (event.sighting.person, *(candidate.person for candidate in event.sighting.candidates))
    return tuple(dict.fromkeys(person for person in named if person is not None))


def _without(event: Event, people: set[str]) -> Event:
    """The event without some of its candidates."""
    kept = tuple(each for each in event.sighting.candidates if each.person not in people)
    return replace(event, sighting=replace(event.sighting, candidates=kept))


@contextmanager
def _guarded() -> Iterator[None]:
    try:
        yield
    except ArchiveError as error:
        raise ShelfError(str(error)) from None
