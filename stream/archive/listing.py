"""What lists of sightings are made of: how many there are, whose they are, and which pictures there are of them."""

from __future__ import annotations

from collections.abc import Sequence

from engines.recognition.enrolled import SightingName
from stream.archive.database import NotInArchive
from stream.archive.sighting_table import SightingTable, bound, gone
from stream.archive.sightings import Query


class Listing(SightingTable):
    """Asked beside a search or a look that is logged; nothing of it is logged by itself."""

    def count(self, query: Query) -> int:
        """How many sightings meet a query, whatever its limit and offset."""
        where, values = self._conditions(query)
        return int(self._value(f"SELECT count(*) FROM sightings WHERE {where}", values))

    def identity_of(self, name: SightingName) -> int | None:
        """The id of a sighting; None when it is not in the archive any more."""
        found = self._value(
            "SELECT id FROM sightings WHERE run = ? AND epoch = ? AND camera = ? AND track = ?",
            (name.run, name.epoch, name.camera, name.track),
        )
        return None if found is None else int(found)

    def name_of(self, identity: int) -> SightingName:
        """What names a sighting. Raises NotInArchive."""
        rows = self._rows("SELECT run, epoch, camera, track FROM sightings WHERE id = ?", (identity,))
        if not rows:
            raise NotInArchive(gone(identity))
        return SightingName(*rows[0])

    def camera_of(self, identity: int) -> str:
        """The camera of a sighting. Raises NotInArchive."""
        camera = self._value("SELECT camera FROM sightings WHERE id = ?", (identity,))
        if camera is None:
            raise NotInArchive(gone(identity))
        return str(camera)

    def is_named(self, identity: int) -> bool:
        """Whether a sighting was decided to be of somebody enrolled. Raises NotInArchive."""
        rows = self._rows("SELECT decision FROM sightings WHERE id = ?", (identity,))
        if not rows:
            raise NotInArchive(gone(identity))
        return bool(rows[0][0] == "person")

    def pictures_of(self, identities: Sequence[int]) -> dict[int, tuple[str, ...]]:
        """Which pictures there are of each of these sightings, by the names in PICTURES."""
        rows = self._rows(
            f"SELECT sighting, kind FROM pictures WHERE sighting IN ({', '.join('?' * len(identities))})",
            identities,
        )
        found: dict[int, tuple[str, ...]] = dict.fromkeys(identities, ())
        for identity, kind in rows:
            found[identity] += (kind,)
        return found

    def picture(self, identity: int, kind: str) -> bytes | None:
        """One picture of a sighting; None when there is none. Not logged: to be called where the sighting was listed
        or viewed.
        """
        rows = self._rows(
            "SELECT run, epoch, camera, track, pictures.sealed FROM pictures JOIN sightings ON id = sighting"
            " WHERE sighting = ? AND kind = ?",
            (identity, kind),
        )
        if not rows:
            return None
        run, epoch, camera, track, sealed = rows[0]
        return self._unseal(sealed, bound(run, epoch, camera, track, kind))
