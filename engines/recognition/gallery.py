"""The people enrolled, on disk: one SQLite file with sealed templates and names, and beside it its key and the ring of
the people's own keys.

Several processes may have it open: writers take turns, readers never wait. Without the key file the database
tells how many people and pictures there are and when they came, and no more. `remove` destroys the person's key and
leaves no byte of the person in the files: copies of the database made elsewhere (backups, the free blocks of a disk)
cannot be read for them any more, and lose them when they are opened. So keep the ring out of what is copied, or where
it is overwritten soon. What a copy still tells who holds the vault's key: whether a name or photograph that they have
already was enrolled.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from engines.recognition import audit, gallery_file
from engines.recognition.enrolled import (
    GallerySnapshot,
    Listed,
    Person,
    Receipt,
    Refutation,
    SightingName,
    Template,
    check,
)
from engines.recognition.evidence import VIEWS, Vector
from engines.recognition.gallery_editing import GalleryEditing
from engines.recognition.gallery_file import GalleryConflict, GalleryError
from engines.recognition.gallery_sealing import ground_binding, picture_binding, template_binding
from engines.recognition.names import clean_ground, clean_name
from engines.recognition.vault import Cipher

_RENEWAL_SILENT_NS = 30_000_000_000
"""A renewal that has said nothing for so long was killed."""

__all__ = [
    "Gallery",
    "GalleryConflict",
    "GalleryError",
    "GallerySnapshot",
    "Listed",
    "Person",
    "Receipt",
    "Refutation",
    "SightingName",
    "Template",
]


class Gallery(GalleryEditing):
    """An open gallery; a context manager. One thread at a time may use it. All methods raise GalleryError."""

    def __enter__(self) -> Gallery:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(self, name: str, template: Template, ground: str, actor: str) -> Person:
        """Enrol a picture: of a new person, or one more of the person of this name.

        ground: why this may be done ("consent", …), stored with it. actor: who does it, for the log.
        Raises ValueError for a name, ground or template that cannot be used, such as one of other dimensions
        than those there; GalleryError when the picture is enrolled already, the person is revoked, or the gallery lives
        in another space.
        """
        name, ground, mark = (
            clean_name(name),
            clean_ground(ground),
            self._vault.mark(template.digest, "picture"),
        )
        check(template)
        with gallery_file.guarded(self.path), self._vault_errors(), self._writing():
            space = self._meta("space")
            if space and space != template.space and self._count("template"):
                raise _foreign(self.path, str(space), template.space)
            self._check_dimensions("template", template.embedding)
            if owner := self.owner_of_picture(template.digest):
                raise GalleryConflict(f"the very same photograph is already enrolled as {owner}")
            if not self._meta("views_space"):
                self._set("views_space", template.views_space)
            now, known = self._clock_ns(), self.find(name)
            if known and known.revoked_wall_ns is not None:
                raise GalleryConflict(f"{known.name}: is revoked: restore them before adding pictures")
            person = known.id if known else secrets.token_hex(16)
            if not known:
                self._insert(person, name, now)
            identity, cipher = secrets.token_hex(16), self._cipher(person)
            self._connection.execute(
                "INSERT INTO template VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    identity,
                    person,
                    self._sealed_whole(template, identity, person),
                    cipher.seal(ground.encode(), ground_binding(identity, person)),
                    mark,
                    template.quality,
                    now,
                    self._sealed_views(template, identity, person),
                    cipher.seal(template.picture, picture_binding(identity, person))
                    if template.picture
                    else None,
                ),
            )
            self._set("space", template.space)
            self._changed()
            action = audit.Action.PICTURE_ADDED if known else audit.Action.ENROLLED
            self.audit.append(action, person, actor)
        return self._there(person)

    def remove(self, name: str, actor: str) -> Receipt:
        """Erase a person: first the key, then templates, name, ground, all of it, also from the free pages and the
        journal.

        The audit log keeps the random id. Raises ValueError for what is no name, GalleryError for an unknown one. What
        is killed after the key is gone is finished by the next command.
        """
        destroyed = 0
        try:
            with gallery_file.guarded(self.path), self._vault_errors(), self._writing():
                person = self.find(name)
                if person is None:
                    raise GalleryConflict(f"{clean_name(name)}: nobody of this name is enrolled")
                former, keys = self.former_names(person.id), self._all_keys(person.id)
                pictures = self._delete(person.id)
                self._set("scrub", 1)
                entry = self.audit.append(audit.Action.REMOVED, person.id, actor, f"{pictures} pictures")
                destroyed = self._ring.destroy(keys)  # the last step before the rows are gone for good
        except GalleryError as error:
            if destroyed:
                raise GalleryError(
                    f"{error}: the key was destroyed all the same, so that nothing of the person can be read, and the "
                    "next command that can write removes what is left"
                ) from None
            raise
        scrubbed = self._scrub()
        proof = (entry.wall_ns, entry.sequence, entry.mark)
        return Receipt(person.id, person.name, pictures, *proof, scrubbed, destroyed, former)

    def remove_picture(self, person: str, template: str, actor: str) -> Person:
        """Erase one picture of a person who has others."""
        with gallery_file.guarded(self.path), self._vault_errors(), self._writing():
            before = self._there(person)
            if template not in [row[0] for row in self.templates(person)]:
                raise GalleryConflict(f"{before.name}: has no such picture")
            if before.pictures == 1:
                raise GalleryConflict(
                    f"{before.name}: this is the only picture: erase the person, or add another first"
                )
            self._connection.execute("DELETE FROM template WHERE id = ?", (template,))
            self._set("scrub", 1)
            self._changed()
            self.audit.append(audit.Action.PICTURE_REMOVED, person, actor)
        self._scrub()
        return self._there(person)

    def load(self, space: str | None = None, views_space: str = "") -> GallerySnapshot:
        """Everything needed to search; those who are revoked are left out. space, views_space: the embedders';
        GalleryError when the gallery lives in another space; views of another space are left out, and the snapshot is
        not complete.
        """
        with gallery_file.guarded(self.path), self._vault_errors():
            with self._moment():
                version, stored = int(self._meta("version") or 0), str(self._meta("space") or "")
                people = self._connection.execute(
                    "SELECT id, name, key FROM person WHERE revoked_wall_ns IS NULL ORDER BY since_wall_ns, id"
                ).fetchall()
                rows = self._connection.execute(
                    "SELECT person, template.id, sealed, views FROM template JOIN person ON person = person.id"
                    " WHERE revoked_wall_ns IS NULL ORDER BY added_wall_ns, template.id"
                ).fetchall()
                said = self._refutations("WHERE space = ?", (stored,))
            ciphers = self._ring.ciphers({person: key for person, _, key in people}) if people else {}
            people = [(person, name) for person, name, _ in people if person in ciphers]
            rows = [row for row in rows if row[0] in ciphers]
            if not rows:
                empty = GallerySnapshot.empty()
                return GallerySnapshot(version, "", (), (), empty.views, empty.owner)
            if space is not None and space != stored:
                raise _foreign(self.path, stored, space)
            place = {person: i for i, (person, _) in enumerate(people)}
            rows.sort(key=lambda row: place[row[0]])
            wholes = [ciphers[p].unseal(sealed, template_binding(t, p, stored)) for p, t, sealed, _ in rows]
            others = [self._views(t, p, sealed, views_space, ciphers[p]) for p, t, _, sealed in rows]
            names = tuple(self._unseal_name(person, name, ciphers[person]) for person, name in people)
        data = [
            np.frombuffer(whole + (other or whole * (len(VIEWS) - 1)), "<f4")
            for whole, other in zip(wholes, others, strict=True)
        ]
        table = np.stack(data).reshape(len(rows), len(VIEWS), -1).astype(np.float32)
        refuted = [(vector, place[each.person]) for each, vector, _ in said if each.person in place]
        return GallerySnapshot(
            version=version,
            space=stored,
            ids=tuple(person for person, _ in people),
            names=names,
            views={view: np.ascontiguousarray(table[:, i]) for i, view in enumerate(VIEWS)},
            owner=np.array([place[row[0]] for row in rows], np.intp),
            complete=all(other for other in others),
            refuted=np.array([vector for vector, _ in refuted], np.float32).reshape(-1, table.shape[2]),
            refuted_owner=np.array([owner for _, owner in refuted], np.intp),
        )

    def keeps_pictures(self) -> bool:
        """Whether there is any picture that other embedders could make templates of."""
        with gallery_file.guarded(self.path):
            query = "SELECT EXISTS (SELECT 1 FROM template WHERE picture IS NOT NULL)"
            return bool(self._connection.execute(query).fetchone()[0])

    def stale(self, space: str, views_space: str) -> bool:
        """Whether some template was made by other embedders than those of these spaces."""
        with gallery_file.guarded(self.path):
            if not self._count("template"):
                return False
            if self._meta("space") != space or self._meta("views_space") != views_space:
                return True
            query = "SELECT count(*) FROM template WHERE views IS NULL AND picture IS NOT NULL"
            return bool(self._connection.execute(query).fetchone()[0])

    def tell_renewal(self, share: float | None) -> None:
        """Say for other processes how far a renewal is, 0 to 1; None when it is over."""
        with gallery_file.guarded(self.path), self._writing():
            self._connection.execute("DELETE FROM meta WHERE key IN ('renewal', 'renewal_ns')")
            if share is not None:
                self._connection.execute("INSERT INTO meta VALUES ('renewal', ?)", (share,))
                self._set("renewal_ns", self._clock_ns())

    def renewal_share(self) -> float | None:
        """How far a renewal is that goes on in some process; None when there is none."""
        with gallery_file.guarded(self.path):
            told_ns, share = self._meta("renewal_ns"), self._meta("renewal")
        if told_ns is None or share is None or self._clock_ns() - int(told_ns) > _RENEWAL_SILENT_NS:
            return None
        return float(share)

    def renew(
        self, made: Mapping[str, Mapping[str, Vector]], space: str, views_space: str, actor: str
    ) -> int:
        """Replace templates, by id, with the views that other embedders made of the same pictures: all at once.

        Templates that came or went since `pictures` was asked are no obstacle, unless the space changes and one is
        not among those made: then nothing is changed. Returns how many were replaced. Raises GalleryError.
        """
        with gallery_file.guarded(self.path), self._vault_errors(), self._writing():
            rows = self._connection.execute("SELECT id, person FROM template").fetchall()
            left = sum(template not in made for template, _ in rows)
            if left and space != self._meta("space"):
                raise GalleryError(
                    f"{self.path}: {left} of its pictures were not kept, or came just now, and cannot be made "
                    "into templates of another embedder; nothing was changed"
                )
            self._set("space", space)
            self._set("views_space", views_space)
            replaced = 0
            for identity, person in rows:
                if identity not in made:
                    continue
                template = Template(made[identity], space, 0.0, b"", views_space)
                check(template)
                sealed = (
                    self._sealed_whole(template, identity, person),
                    self._sealed_views(template, identity, person),
                )
                self._connection.execute(
                    "UPDATE template SET sealed = ?, views = ? WHERE id = ?", (*sealed, identity)
                )
                replaced += 1
            lengths = self._connection.execute("SELECT count(DISTINCT length(sealed)) FROM template")
            if (kinds := lengths.fetchone()[0]) > 1:
                raise GalleryError(
                    f"{self.path}: its templates must have the same number of dimensions, found {kinds} different "
                    "ones; nothing was changed"
                )
            self._changed()
            self.audit.append(audit.Action.RENEWED, "everyone", actor, f"{replaced} pictures")
            return replaced

    # inside

    def _views(
        self, template: str, person: str, sealed: bytes | None, views_space: str, cipher: Cipher
    ) -> bytes | None:
        """All views but WHOLE, or None where they are missing or of another space."""
        if sealed is None or views_space != self._meta("views_space"):
            return None
        return cipher.unseal(sealed, template_binding(template, person, views_space))


def _foreign(path: Path, stored: str, found: str) -> GalleryError:
    return GalleryError(
        f"{path}: its people were enrolled with the embedder {stored[:24]}, this one is {found[:24]}; their templates "
        "cannot be compared: a pipeline that runs with this one makes them anew where their pictures were kept; else "
        "enrol them again from photographs in another gallery, or go back to that embedder"
    )
