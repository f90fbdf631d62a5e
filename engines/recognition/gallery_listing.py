"""Who is enrolled, and what the gallery keeps of them. Who is being erased is left out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engines.recognition import gallery_file
from engines.recognition.enrolled import Listed, Person
from engines.recognition.evidence import Vector
from engines.recognition.gallery_sealing import (
    former_binding,
    ground_binding,
    name_binding,
    picture_binding,
    template_binding,
)
from engines.recognition.gallery_table import GalleryTable
from engines.recognition.vault import Cipher

_AT_ONCE = 500
_PERSON = "SELECT id, name, key, since_wall_ns, revoked_wall_ns FROM person"


class GalleryListing(GalleryTable):
    """Questions to an open gallery. All methods raise GalleryError."""

    def people(self) -> tuple[Person, ...]:
        """Everyone enrolled, by name; those who are revoked too."""
        with gallery_file.guarded(self.path), self._vault_errors():
            found = self._people("", ())
        return tuple(sorted(found, key=lambda p: (p.name.casefold(), p.id)))

    def listed(self) -> list[Listed]:
        """The same in no order and without grounds: quick, also with many and again and again."""
        with gallery_file.guarded(self.path), self._vault_errors():
            rows = self._connection.execute(
                "SELECT person.id, name, key, since_wall_ns, revoked_wall_ns, count(*) FROM person"
                " JOIN template ON person = person.id GROUP BY person.id"
            ).fetchall()
            ciphers = self._ring.ciphers({row[0]: row[2] for row in rows}) if rows else {}
            found = [
                Listed(person, self._unseal_name(person, name, ciphers[person]), pictures, since, revoked)
                for person, name, _, since, revoked, pictures in rows
                if person in ciphers
            ]
        if len(self._known_names) > len(found):  # somebody is gone: their names are not kept in memory either
            there = {each.id for each in found}
            self._known_names = {i: name for i, name in self._known_names.items() if i in there}
        return found

    def person(self, identity: str) -> Person | None:
        """The person of an id, or None."""
        with gallery_file.guarded(self.path), self._vault_errors():
            return next(iter(self._people("WHERE id = ?", (identity,))), None)

    def find(self, name: str) -> Person | None:
        """The person of this name, in any spelling that counts as the same, or None. Raises ValueError too."""
        with gallery_file.guarded(self.path), self._vault_errors():
            return next(iter(self._people("WHERE name_mark = ?", (self._name_mark(name),))), None)

    def former_names(self, person: str) -> tuple[str, ...]:
        """Names that the person bore before, or that somebody bore who was joined to the person."""
        with gallery_file.guarded(self.path), self._vault_errors():
            rows = self._connection.execute(
                "SELECT former_name.name, key FROM former_name JOIN person ON person = person.id WHERE person = ?"
                " ORDER BY former_name.rowid",
                (person,),
            ).fetchall()
            return tuple(
                cipher.unseal(sealed, former_binding(person)).decode()
                for sealed, key in rows
                for cipher in self._ring.ciphers({person: key}).values()
            )

    def owner_of_picture(self, digest: bytes) -> str | None:
        """The name of the person for whom the very same picture is enrolled already."""
        with gallery_file.guarded(self.path), self._vault_errors():
            row = self._connection.execute(
                "SELECT person.id FROM template JOIN person ON person = person.id WHERE picture_mark = ?",
                (self._vault.mark(digest, "picture"),),
            ).fetchone()
            owner = self.person(row[0]) if row else None
            return owner.name if owner else None

    def templates(self, person: str) -> list[tuple[str, float, int]]:
        """(id, quality, added_wall_ns) of each of a person's pictures, the best first."""
        with gallery_file.guarded(self.path):
            return self._connection.execute(
                "SELECT id, quality, added_wall_ns FROM template WHERE person = ?"
                " ORDER BY quality DESC, added_wall_ns",
                (person,),
            ).fetchall()

    def owners(self) -> dict[str, str]:
        """Whose each template is: the person's id by the template's."""
        with gallery_file.guarded(self.path):
            return dict(self._connection.execute("SELECT id, person FROM template").fetchall())

    def embeddings(self, templates: Sequence[str]) -> dict[str, Vector]:
        """Of the whole faces, float32 [D], by template; those that are gone are left out."""
        found: dict[str, Vector] = {}
        with gallery_file.guarded(self.path), self._vault_errors():
            space = str(self._meta("space") or "")
            for start in range(0, len(templates), _AT_ONCE):
                part = templates[start : start + _AT_ONCE]
                rows = self._connection.execute(
                    "SELECT template.id, person, key, sealed FROM template JOIN person ON person = person.id"
                    f" WHERE template.id IN ({', '.join('?' * len(part))})",
                    list(part),
                ).fetchall()
                ciphers = self._ring.ciphers({person: key for _, person, key, _ in rows})
                for template, person, _, sealed in rows:
                    if person in ciphers:
                        plain = ciphers[person].unseal(sealed, template_binding(template, person, space))
                        found[template] = np.frombuffer(plain, "<f4").astype(np.float32)
        return found

    def pictures(self) -> dict[str, bytes]:
        """The faces that were kept, by template: PNG files."""
        with gallery_file.guarded(self.path), self._vault_errors():
            rows = self._connection.execute(
                "SELECT template.id, person, key, picture FROM template JOIN person ON person = person.id"
                " WHERE picture IS NOT NULL"
            ).fetchall()
            ciphers = self._ring.ciphers({person: key for _, person, key, _ in rows}) if rows else {}
            return {
                t: ciphers[p].unseal(sealed, picture_binding(t, p))
                for t, p, _, sealed in rows
                if p in ciphers
            }

    def picture(self, person: str, template: str | None = None) -> bytes | None:
        """A person's best picture, or that of a template: a PNG file; None when none was kept."""
        with gallery_file.guarded(self.path), self._vault_errors():
            row = self._connection.execute(
                "SELECT template.id, picture, key FROM template JOIN person ON person = person.id"
                " WHERE person = ? AND (template.id = ? OR ? IS NULL)"
                " AND picture IS NOT NULL ORDER BY quality DESC, added_wall_ns LIMIT 1",
                (person, template, template),
            ).fetchone()
            cipher = self._ring.ciphers({person: row[2]}).get(person) if row else None
            return cipher.unseal(row[1], picture_binding(row[0], person)) if cipher else None

    # inside

    def _people(self, where: str, values: tuple[str | bytes, ...]) -> list[Person]:
        found = []
        with self._moment():
            people = self._connection.execute(f"{_PERSON} {where}", values).fetchall()
            ciphers = self._ring.ciphers({row[0]: row[2] for row in people}) if people else {}
            for person, name, _, since, revoked in people:
                rows = self._connection.execute(
                    "SELECT id, ground FROM template WHERE person = ? ORDER BY added_wall_ns", (person,)
                ).fetchall()
                cipher = ciphers.get(person)
                if not rows or cipher is None:
                    continue
                grounds = "; ".join(
                    dict.fromkeys(cipher.unseal(g, ground_binding(t, person)).decode() for t, g in rows)
                )
                named = self._unseal_name(person, name, cipher)
                found.append(Person(person, named, len(rows), since, grounds, revoked))
        return found

    def _unseal_name(self, person: str, sealed: bytes, cipher: Cipher) -> str:
        known = self._known_names.get(person)
        if known is None or known[0] != sealed:
            known = self._known_names[person] = (
                sealed,
                cipher.unseal(sealed, name_binding(person)).decode(),
            )
        return known[1]
