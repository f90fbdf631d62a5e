"""Events in the archive, and their deliveries: both are on the disk before anybody is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from stream.archive.database import Database
from stream.archive.incidents import Delivery, Event

_DELIVERY = "id, event, target, attempts, next_ns, done_ns, error"
_EVENT = "id, sighting, camera, run, at_ns, sealed"


class _What(msgspec.Struct, array_like=True):
    rule: str
    data: bytes
    people: tuple[str, ...]


class IncidentTable(Database):
    """Which rules were met, and who has been told."""

    def put_event(self, event: Event, targets: Sequence[str] = ()) -> int:
        """Keep an event, with a delivery that is due at once for each target; its id."""
        with self.transaction():
            identity = int(
                self._write(
                    "INSERT INTO events (rule_mark, sighting, camera, run, at_ns, written_ns, people, sealed)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, x'')",
                    (self._rule_mark(event.rule), event.sighting, event.camera, event.run, event.at_ns)
                    + (self._clock_ns(), self._marks_of(event.people)),
                ).lastrowid
                or 0
            )
            self._seal_event(identity, event.rule, event.data, event.people)
            for target in targets:
                self._write(
                    "INSERT INTO deliveries (event, target, attempts, next_ns, error) VALUES (?, ?, 0, ?, '')",
                    (identity, target, event.at_ns),
                )
        return identity

    def update_event(self, identity: int, data: bytes) -> None:
        """Put other data in its place: a snapshot that came later."""
        with self.transaction():
            event = self.event(identity)
            if event is not None:
                self._seal_event(identity, event.rule, data, event.people)

    def forgotten(self, people: Sequence[str]) -> set[str]:
        """Those of some people who were just erased: nothing is to be written of them."""
        erased = self._lately_erased()
        return {person for person in people if self._mark(person) in erased} if erased else set()

    def event(self, identity: int) -> Event | None:
        """One event; None when it has expired."""
        rows = self._rows(f"SELECT {_EVENT} FROM events WHERE id = ?", (identity,))
        return self._event(rows[0]) if rows else None

    def events(
        self,
        from_ns: int | None = None,
        to_ns: int | None = None,
        cameras: Sequence[str] = (),
        rule: str | None = None,
        sighting: int | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> list[Event]:
        """Events of from_ns <= at_ns < to_ns, newest first."""
        where, values = ["1"], list[Any]()
        for column, value in (
            ("at_ns >=", from_ns),
            ("at_ns <", to_ns),
            ("sighting =", sighting),
            ("rule_mark =", None if rule is None else self._rule_mark(rule)),
        ):
            if value is not None:
                where, values = [*where, f"{column} ?"], [*values, value]
        if cameras:
            where, values = [*where, f"camera IN ({', '.join('?' * len(cameras))})"], [*values, *cameras]
        rows = self._rows(
            f"SELECT {_EVENT} FROM events WHERE {' AND '.join(where)} ORDER BY at_ns DESC, id DESC LIMIT ? OFFSET ?",
            (*values, limit, offset),
        )
        return [self._event(row) for row in rows]

    def deliveries(self, event: int | None = None, open_only: bool = False) -> list[Delivery]:
        """Deliveries of an event, or of all; open_only: those that were not taken yet."""
        rows = self._rows(
            f"SELECT {_DELIVERY} FROM deliveries WHERE (?1 IS NULL OR event = ?1) AND (NOT ?2 OR done_ns IS NULL)"
            " ORDER BY id",
            (event, open_only),
        )
        return [Delivery(*row) for row in rows]

    def open_delivery(self, target: str) -> Delivery | None:
        """The oldest delivery to a receiver that was neither taken nor given up."""
        rows = self._rows(
            f"SELECT {_DELIVERY} FROM deliveries WHERE done_ns IS NULL AND target = ? ORDER BY id LIMIT 1",
            (target,),
        )
        return Delivery(*rows[0]) if rows else None

    def delivered(self, delivery: int, done_ns: int) -> None:
        """The receiver has taken it."""
        with self.transaction():
            self._write(
                "UPDATE deliveries SET attempts = attempts + 1, done_ns = ?, error = '' WHERE id = ?",
                (done_ns, delivery),
            )

    def put_off(self, delivery: int, next_ns: int, error: str) -> None:
        """The receiver has not taken it; try again at next_ns. error: a sentence without names and passwords."""
        with self.transaction():
            self._write(
                "UPDATE deliveries SET attempts = attempts + 1, next_ns = ?, error = ? WHERE id = ?",
                (next_ns, error, delivery),
            )

    def give_up(self, delivery: int, done_ns: int, error: str) -> None:
        """It is not tried any more. error: why."""
        with self.transaction():
            self._write(
                "UPDATE deliveries SET done_ns = ?, error = ? WHERE id = ?", (done_ns, error, delivery)
            )

    def _event(self, row: tuple[Any, ...]) -> Event:
        identity, sighting, camera, run, at_ns, sealed = row
        what = msgspec.msgpack.decode(self._unseal(sealed, f"event {identity}"), type=_What)
        return Event(
            rule=what.rule,
            camera=camera,
            run=run,
            at_ns=at_ns,
            sighting=sighting,
            data=what.data,
            people=what.people,
            id=identity,
        )

    def _seal_event(self, identity: int, rule: str, data: bytes, people: Sequence[str]) -> None:
        what = msgspec.msgpack.encode(_What(rule, data, tuple(people)))
        self._write(
            "UPDATE events SET sealed = ? WHERE id = ?",
            (self._vault.seal(what, f"event {identity}"), identity),
        )

    def _rule_mark(self, rule: str) -> bytes:
        return self._vault.mark(rule.encode(), "rule")[:16]
