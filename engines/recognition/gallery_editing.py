"""What is done to the people enrolled: renaming, joining, splitting, revoking, saying who somebody is not."""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection
from typing import Any

import numpy as np

from engines.recognition import gallery_file
from engines.recognition.audit import Action
from engines.recognition.enrolled import Person, Refutation, SightingName, is_direction
from engines.recognition.evidence import Vector
from engines.recognition.gallery_file import GalleryConflict
from engines.recognition.gallery_listing import GalleryListing
from engines.recognition.gallery_sealing import (
    face_binding,
    former_binding,
    name_binding,
    reseal_person,
    reseal_template,
    sighting_binding,
)
from engines.recognition.names import clean_name, same_name


class GalleryEditing(GalleryListing):
    """Changes to people who are there. actor: who does it, for the log. All methods raise GalleryConflict."""

    def rename(self, person: str, name: str, actor: str) -> Person:
        """Give a person another name; the old one is remembered as a former one. Raises ValueError for what is no name.

        Recordings keep the name under which they were made; an erasure takes the former names too.
        """
        name = clean_name(name)
        with gallery_file.guarded(self.path), self._vault_errors(), self._writing():
            old = self._there(person)
            if same_name(old.name) != same_name(name):
                self._check_free(name)
                self._remember_name(person, old.name)
                self._forget_name(person, name)
            self._name(person, name)
            self._changed()
            self.audit.append(Action.RENAMED, person, actor)
            return self._there(person)

    def merge(self, person: str, other: str, actor: str) -> Person:
        """Join two who are one: the pictures, names and refutations of `other` become those of `person`.

        `split` with the pictures of `other` and its name undoes it.
        """
        with gallery_file.guarded(self.path), self._vault_errors(), self._writing():
            kept, gone = self._there(person), self._there(other)
            if person == other:
                raise GalleryConflict(f"{kept.name}: cannot be joined with the same person")
            for each in (kept, gone):
                if each.revoked_wall_ns is not None:
                    raise GalleryConflict(
                        f"{each.name}: is revoked, so nothing was joined: restore them first"
                    )
            theirs = [row[0] for row in self.templates(other)]
            self._move(theirs, other, person)
            for name in (*self.former_names(other), gone.name):
                if same_name(name) != same_name(kept.name):
                    self._remember_name(person, name)
            for refutation, vector, space in self._refutations("WHERE person = ?", (other,)):
                self._drop_refutation(refutation.id)
                self._put_refutation(person, refutation.sighting, vector, space, refutation.said_wall_ns)
            self._inherit_keys(other, person)
            self._delete(other)
            self._connection.execute(
                "UPDATE person SET since_wall_ns = min(since_wall_ns, ?) WHERE id = ?",
                (gone.since_wall_ns, person),
            )
            self.audit.append(Action.MERGED, person, actor, f"with {other}, {len(theirs)} pictures")
            return self._there(person)

    def split(self, person: str, templates: Collection[str], name: str, actor: str) -> Person:
        """Make a new person of some pictures of one. Raises ValueError for what is no name. `merge` undoes it.

        Both get a new key: the one of before goes when either is erased, so that no older copy tells of them.
        """
        name = clean_name(name)
        with gallery_file.guarded(self.path), self._vault_errors(), self._writing():
            old = self._there(person)
            theirs = {template: added for template, _, added in self.templates(person)}
            chosen = [template for template in theirs if template in templates]
            if not chosen or len(chosen) != len(set(templates)):
                raise GalleryConflict(
                    f"{old.name}: the pictures to split off must be this person's, at least one; found"
                    f" {len(chosen)} of {len(set(templates))}"
                )
            if len(chosen) == len(theirs):
                raise GalleryConflict(f"{old.name}: one picture must stay; found all {len(theirs)} chosen")
            if old.revoked_wall_ns is not None:
                raise GalleryConflict(f"{old.name}: is revoked, so nothing was split: restore them first")
            self._check_free(name)
            self._forget_name(person, name)
            new = secrets.token_hex(16)
            self._insert(new, name, min(theirs[template] for template in chosen))
            self._inherit_keys(person, new)
            self._move(chosen, person, new)
            self._new_key(person)
            self._changed()
            self.audit.append(Action.SPLIT, person, actor, f"{len(chosen)} pictures to {new}")
            return self._there(new)

    def revoke(self, person: str, actor: str) -> Person:
        """Keep a person, but recognise them no more. `restore` undoes it."""
        return self._set_revoked(person, True, actor)

    def restore(self, person: str, actor: str) -> Person:
        """Recognise a person again who was revoked."""
        return self._set_revoked(person, False, actor)

    def refute(
        self, person: str, sighting: SightingName, embedding: Vector, space: str, actor: str
    ) -> Refutation:
        """Remember that a face that was seen is not this person's: one that looks more like it than like the person's
        own pictures is not taken for them any more.

        embedding: float32 [D] of the face, of length 1, in `space`. `undo_refutation` undoes it.
        """
        if not is_direction(embedding):
            raise ValueError(f"embedding: must be a finite vector of length 1, found {list(embedding.shape)}")
        with gallery_file.guarded(self.path), self._vault_errors(), self._writing():
            self._there(person)
            if space == self._meta("space"):
                self._check_dimensions("embedding", embedding)
            now = self._clock_ns()
            identity = self._put_refutation(person, sighting, embedding, space, now)
            self._changed()
            self.audit.append(Action.REFUTED, person, actor, f"track {sighting.track} of run {sighting.run}")
        return Refutation(identity, person, sighting, now)

    def undo_refutation(self, person: str, refutation: str, actor: str) -> None:
        """Forget one."""
        with gallery_file.guarded(self.path), self._vault_errors(), self._writing():
            found = self._refutations("WHERE refutation.id = ? AND person = ?", (refutation, person))
            if not found:
                raise GalleryConflict("this was not said of the person, or it was undone already")
            self._drop_refutation(refutation)
            self._changed()
            name = found[0][0].sighting
            self.audit.append(
                Action.REFUTATION_UNDONE, person, actor, f"track {name.track} of run {name.run}"
            )

    def refutations(self, person: str | None = None) -> tuple[Refutation, ...]:
        """What was said of a person, or of everyone, oldest first."""
        with gallery_file.guarded(self.path), self._vault_errors():
            where, values = ("WHERE person = ?", (person,)) if person else ("", ())
            return tuple(each for each, _, _ in self._refutations(where, values))

    # inside

    def _there(self, identity: str) -> Person:
        person = self.person(identity)
        if person is None:
            raise GalleryConflict("nobody of this id is enrolled; they may have been erased just now")
        return person

    def _check_free(self, name: str) -> None:
        if owner := self.find(name):
            raise GalleryConflict(f"{owner.name}: somebody of this name is enrolled already")

    def _insert(self, person: str, name: str, since_wall_ns: int) -> None:
        ((key, cipher),) = self._ring.add(1)
        sealed = cipher.seal(name.encode(), name_binding(person))
        self._connection.execute(
            "INSERT INTO person (id, name, name_mark, since_wall_ns, key) VALUES (?, ?, ?, ?, ?)",
            (person, sealed, self._name_mark(name), since_wall_ns, key),
        )

    def _name(self, person: str, name: str) -> None:
        self._connection.execute(
            "UPDATE person SET name = ?, name_mark = ? WHERE id = ?",
            (self._cipher(person).seal(name.encode(), name_binding(person)), self._name_mark(name), person),
        )

    def _remember_name(self, person: str, name: str) -> None:
        self._connection.execute(
            "INSERT OR IGNORE INTO former_name VALUES (?, ?, ?)",
            (person, self._cipher(person).seal(name.encode(), former_binding(person)), self._name_mark(name)),
        )

    def _forget_name(self, person: str, name: str) -> None:
        self._connection.execute(
            "DELETE FROM former_name WHERE person = ? AND name_mark = ?", (person, self._name_mark(name))
        )

    def _move(self, templates: Collection[str], old: str, new: str) -> None:
        """Give pictures to another person."""
        ends = (old, self._cipher(old)), (new, self._cipher(new))
        for template in templates:
            reseal_template(self._connection, template, *ends)

    def _inherit_keys(self, old: str, new: str) -> None:
        """Remember for a person that older copies hold them under the keys of another."""
        self._connection.execute(
            "INSERT OR IGNORE INTO former_key SELECT ?, key FROM person WHERE id = ?"
            " UNION SELECT ?, key FROM former_key WHERE person = ?",
            (new, old, new, old),
        )

    def _new_key(self, person: str) -> None:
        """Seal a person with another key; the one of before is remembered as a former one."""
        self._inherit_keys(person, person)
        ((key, cipher),) = self._ring.add(1)
        reseal_person(self._connection, person, self._cipher(person), cipher)
        self._connection.execute("UPDATE person SET key = ? WHERE id = ?", (key, person))

    def _set_revoked(self, person: str, revoked: bool, actor: str) -> Person:
        with gallery_file.guarded(self.path), self._vault_errors(), self._writing():
            before = self._there(person)
            if (before.revoked_wall_ns is not None) != revoked:
                self._connection.execute(
                    "UPDATE person SET revoked_wall_ns = ? WHERE id = ?",
                    (self._clock_ns() if revoked else None, person),
                )
                self._changed()
                self.audit.append(Action.REVOKED if revoked else Action.RESTORED, person, actor)
            return self._there(person)

    def _put_refutation(
        self, person: str, sighting: SightingName, embedding: Vector, space: str, said_wall_ns: int
    ) -> str:
        name = json.dumps([sighting.run, sighting.epoch, sighting.camera, sighting.track])
        mark = self._vault.mark(f"{name} not {person}".encode(), "refutation")
        self._connection.execute("DELETE FROM refutation WHERE mark = ?", (mark,))
        identity, cipher = secrets.token_hex(16), self._cipher(person)
        sealed_name = cipher.seal(name.encode(), sighting_binding(identity, person))
        face = cipher.seal(embedding.astype("<f4").tobytes(), face_binding(identity, person, space))
        self._connection.execute(
            "INSERT INTO refutation VALUES (?, ?, ?, ?, ?, ?, ?)",
            (identity, person, mark, sealed_name, space, face, said_wall_ns),
        )
        return identity

    def _drop_refutation(self, identity: str) -> None:
        self._connection.execute("DELETE FROM refutation WHERE id = ?", (identity,))

    def _refutations(self, where: str, values: tuple[Any, ...]) -> list[tuple[Refutation, Vector, str]]:
        """What was said, of which face (float32 [D]) and in which space."""
        rows = self._connection.execute(
            "SELECT refutation.id, person, key, sighting, space, sealed, said_wall_ns FROM refutation"
            f" JOIN person ON person = person.id {where} ORDER BY refutation.rowid",
            values,
        ).fetchall()
        ciphers = self._ring.ciphers({row[1]: row[2] for row in rows}) if rows else {}
        found = []
        for identity, person, _, name, space, sealed, said in rows:
            if (cipher := ciphers.get(person)) is None:
                continue
            sighting = json.loads(cipher.unseal(name, sighting_binding(identity, person)))
            face = cipher.unseal(sealed, face_binding(identity, person, space))
            refutation = Refutation(identity, person, SightingName(*sighting), said)
            found.append((refutation, np.frombuffer(face, "<f4").astype(np.float32), space))
        return found
