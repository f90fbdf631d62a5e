"""Verdicts in the archive. Each belongs to a sighting and to the name it had then: another name is judged anew."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from stream.archive.database import ArchiveError, Database
from stream.archive.sightings import Sighting
from stream.archive.verdicts import Said, Verdict, standing

_LONGEST_NOTE = 500


class VerdictTable(Database):
    """What accounts have said."""

    def verdicts(self, sightings: Sequence[Sighting]) -> dict[int, tuple[Verdict, ...]]:
        """By the sightings' ids what was said of the names that they have now, oldest first."""
        marks = {each.id: self._mark(each.person) for each in sightings if each.person is not None}
        rows = self._rows(
            "SELECT sighting, person_mark, at_ns, sealed FROM verdicts"
            f" WHERE sighting IN ({', '.join('?' * len(marks))}) ORDER BY id",
            tuple(marks),
        )
        found: dict[int, tuple[Verdict, ...]] = {each.id: () for each in sightings}
        for identity, mark, at_ns, sealed in rows:
            if mark == marks[identity]:
                data = self._unseal(sealed, _bound(identity, at_ns))
                found[identity] += (msgspec.msgpack.decode(data, type=Verdict),)
        return found

    def waiting(self, needed: int, cameras: Sequence[str]) -> dict[int, Verdict]:
        """The sightings of some cameras that wait for another person to confirm the name that they have now: by their
        ids, the newest word of who proposed it; the longest waiting first. Not logged: to be called where they are
        listed or counted.
        """
        said: dict[int, list[Verdict]] = {}
        for identity, at_ns, sealed in self._rows(
            "SELECT sighting, at_ns, verdicts.sealed FROM verdicts JOIN sightings ON sightings.id = sighting"
            " AND sightings.person_mark = verdicts.person_mark"
            f" WHERE camera IN ({', '.join('?' * len(cameras))}) ORDER BY verdicts.id",
            tuple(cameras),
        ):
            data = self._unseal(sealed, _bound(identity, at_ns))
            said.setdefault(identity, []).append(msgspec.msgpack.decode(data, type=Verdict))
        found = {identity: standing(verdicts, needed) for identity, verdicts in said.items()}
        waiting = {identity: each.verdicts[0] for identity, each in found.items() if each.state == "waiting"}
        return dict(sorted(waiting.items(), key=lambda item: (item[1].at_ns, item[0])))

    def _judge(self, sighting: Sighting, account: str, said: Said, note: str) -> Verdict:
        if sighting.person is None:
            raise ArchiveError(
                f"sighting {sighting.id}: only a name can be confirmed or refused, and nobody was named"
            )
        if len(note) > _LONGEST_NOTE:
            raise ArchiveError(f"note: must have at most {_LONGEST_NOTE} characters, found {len(note)}")
        verdict = Verdict(account, said, note.strip(), self._clock_ns())
        self._write(
            "INSERT INTO verdicts (sighting, person_mark, at_ns, sealed) VALUES (?, ?, ?, ?)",
            (sighting.id, self._mark(sighting.person), verdict.at_ns)
            + (self._vault.seal(msgspec.msgpack.encode(verdict), _bound(sighting.id, verdict.at_ns)),),
        )
        return verdict


def _bound(sighting: int, at_ns: int) -> str:
    return f"verdict on sighting {sighting} at {at_ns}"
