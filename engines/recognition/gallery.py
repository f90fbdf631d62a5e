"""The people enrolled, on disk: one SQLite file with sealed templates and names, and its key beside it.

Several processes may have it open: writers take turns, readers never wait. Without the key file the database
tells how many people and pictures there are and when they came, and no more. `remove` leaves no byte of a person in
the files; copies made of them elsewhere (backups, the free blocks of a disk) are beyond its reach, so keep the
key apart from the backups.
"""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from engines.recognition import audit, gallery_file
from engines.recognition.embedder import DIMENSIONS
from engines.recognition.enrolled import GallerySnapshot, Person, Receipt, Template, check
from engines.recognition.evidence import VIEWS, WHOLE, Vector
from engines.recognition.gallery_file import GalleryError
from engines.recognition.names import clean_ground, clean_name, same_name
from engines.recognition.vault import VaultError

__all__ = ["Gallery", "GalleryError", "GallerySnapshot", "Person", "Receipt", "Template"]


class Gallery:
    """An open gallery; a context manager. One thread at a time may use it. All methods raise GalleryError."""

    def __init__(
        self, path: Path, key: Path | None = None, clock_ns: Callable[[], int] = time.time_ns
    ) -> None:
        """path: the database, made when it is not there. key: its key file, by default beside it as *.key."""
        self.path, self.key = path, key or path.with_suffix(".key")
        self._clock_ns = clock_ns
        self._connection, self.read_only = gallery_file.open_file(path, self.key)
        try:
            self._vault = gallery_file.open_vault(self._connection, path, self.key, self.read_only)
            self.audit = audit.Audit(self._connection, self._vault, clock_ns)
            with gallery_file.guarded(path):
                if not self.read_only and self._meta("scrub"):
                    self._scrub()
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> Gallery:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Done with it."""
        self._connection.close()

    @property
    def version(self) -> int:
        """Rises with every change made by any process; cheap enough to ask for each second."""
        with gallery_file.guarded(self.path):
            return int(self._meta("version") or 0)

    def people(self) -> tuple[Person, ...]:
        """Everyone enrolled, by name."""
        with gallery_file.guarded(self.path), self._vault_errors():
            rows = self._connection.execute(
                "SELECT person.id, name, since_wall_ns, template.id, ground FROM person"
                " JOIN template ON person = person.id ORDER BY template.added_wall_ns"
            ).fetchall()
            found: dict[str, Person] = {}
            for person, name, since, template, ground in rows:
                ground = self._vault.unseal(ground, f"ground of {template} of {person}").decode()
                if old := found.get(person):
                    grounds = old.ground if ground in old.ground.split("; ") else f"{old.ground}; {ground}"
                    found[person] = Person(person, old.name, old.pictures + 1, since, grounds)
                else:
                    found[person] = Person(person, self._unseal_name(person, name), 1, since, ground)
        return tuple(sorted(found.values(), key=lambda p: (p.name.casefold(), p.id)))

    def find(self, name: str) -> Person | None:
        """The person of this name, in any spelling that counts as the same, or None. Raises ValueError too."""
        wanted = same_name(name)
        return next((p for p in self.people() if same_name(p.name) == wanted), None)

    def owner_of_picture(self, digest: bytes) -> str | None:
        """The name of the person for whom the very same picture is enrolled already."""
        with gallery_file.guarded(self.path), self._vault_errors():
            row = self._connection.execute(
                "SELECT person.id, name FROM template JOIN person ON person = person.id WHERE picture_mark = ?",
                (self._vault.mark(digest, "picture"),),
            ).fetchone()
            return self._unseal_name(*row) if row else None

    def add(self, name: str, template: Template, ground: str, actor: str) -> Person:
        """Enrol a picture: of a new person, or one more of the person of this name.

        ground: why this may be done ("consent", …), stored with it. actor: who does it, for the log.
        Raises ValueError for a name, ground or template that cannot be used; GalleryError when the picture is
        enrolled already or the gallery lives in another space.
        """
        name, ground, mark = (
            clean_name(name),
            clean_ground(ground),
            self._vault.mark(template.digest, "picture"),
        )
        check(template)
        with gallery_file.guarded(self.path), self._writing():
            space = self._meta("space")
            if space and space != template.space and self._count("template"):
                raise _foreign(self.path, str(space), template.space)
            if owner := self.owner_of_picture(template.digest):
                raise GalleryError(f"the very same photograph is already enrolled as {owner}")
            if not self._meta("views_space"):
                self._set("views_space", template.views_space)
            now, name_mark = self._clock_ns(), self._vault.mark(same_name(name).encode(), "name")
            row = self._connection.execute(
                "SELECT id FROM person WHERE name_mark = ?", (name_mark,)
            ).fetchone()
            person = row[0] if row else secrets.token_hex(16)
            if not row:
                sealed = self._vault.seal(name.encode(), f"name of {person}")
                self._connection.execute(
                    "INSERT INTO person VALUES (?, ?, ?, ?)", (person, sealed, name_mark, now)
                )
            identity = secrets.token_hex(16)
            self._connection.execute(
                "INSERT INTO template VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    identity,
                    person,
                    self._sealed_whole(template, identity, person),
                    self._vault.seal(ground.encode(), f"ground of {identity} of {person}"),
                    mark,
                    template.quality,
                    now,
                    self._sealed_views(template, identity, person),
                    self._vault.seal(template.picture, _picture_binding(identity, person))
                    if template.picture
                    else None,
                ),
            )
            self._set("space", template.space)
            self._changed()
            action = audit.Action.PICTURE_ADDED if row else audit.Action.ENROLLED
            self.audit.append(action, person, actor)
        return next(p for p in self.people() if p.id == person)

    def remove(self, name: str, actor: str) -> Receipt:
        """Erase a person: templates, name, ground, all of it, also from the free pages and the journal.

        The audit log keeps the random id. Raises ValueError for what is no name, GalleryError for an unknown one.
        """
        person = self.find(name)
        if person is None:
            raise GalleryError(f"{clean_name(name)}: nobody of this name is enrolled")
        with gallery_file.guarded(self.path), self._writing():
            pictures = self._connection.execute(
                "DELETE FROM template WHERE person = ?", (person.id,)
            ).rowcount
            if not self._connection.execute("DELETE FROM person WHERE id = ?", (person.id,)).rowcount:
                raise GalleryError(f"{person.name}: was removed by another command just now")
            self._set("scrub", 1)
            self._changed()
            entry = self.audit.append(audit.Action.REMOVED, person.id, actor, f"{pictures} pictures")
        scrubbed = self._scrub()
        return Receipt(person.id, person.name, pictures, entry.wall_ns, entry.sequence, entry.mark, scrubbed)

    def load(self, space: str | None = None, views_space: str = "") -> GallerySnapshot:
        """Everything needed to search. space, views_space: the embedders'; GalleryError when the gallery lives in
        another space; views of another space are left out, and the snapshot is not complete.
        """
        with gallery_file.guarded(self.path), self._vault_errors():
            self._connection.execute("BEGIN")
            try:
                version, stored = int(self._meta("version") or 0), str(self._meta("space") or "")
                people = self._connection.execute(
                    "SELECT id, name FROM person ORDER BY since_wall_ns, id"
                ).fetchall()
                rows = self._connection.execute(
                    "SELECT person, id, sealed, views FROM template ORDER BY added_wall_ns, id"
                ).fetchall()
            finally:
                self._connection.execute("COMMIT")
            if not rows:
                empty = GallerySnapshot.empty()
                return GallerySnapshot(version, "", (), (), empty.views, empty.owner)
            if space is not None and space != stored:
                raise _foreign(self.path, stored, space)
            place = {person: i for i, (person, _) in enumerate(people)}
            rows.sort(key=lambda row: place[row[0]])
            wholes = [self._vault.unseal(sealed, _binding(t, p, stored)) for p, t, sealed, _ in rows]
            others = [self._views(t, p, sealed, views_space) for p, t, _, sealed in rows]
            names = tuple(self._unseal_name(*person) for person in people)
        data = [
            np.frombuffer(whole + (other or whole * (len(VIEWS) - 1)), "<f4")
            for whole, other in zip(wholes, others, strict=True)
        ]
        table = np.stack(data).reshape(len(rows), len(VIEWS), DIMENSIONS).astype(np.float32)
        views = {view: np.ascontiguousarray(table[:, i]) for i, view in enumerate(VIEWS)}
        owner = np.array([place[row[0]] for row in rows], np.intp)
        return GallerySnapshot(
            version, stored, tuple(p for p, _ in people), names, views, owner, all(other for other in others)
        )

    def pictures(self) -> dict[str, bytes]:
        """The faces that were kept, by template: PNG files."""
        with gallery_file.guarded(self.path), self._vault_errors():
            rows = self._connection.execute(
                "SELECT id, person, picture FROM template WHERE picture IS NOT NULL"
            ).fetchall()
            return {t: self._vault.unseal(sealed, _picture_binding(t, p)) for t, p, sealed in rows}

    def picture(self, person: str) -> bytes | None:
        """A person's best picture, a PNG file; None when none was kept."""
        with gallery_file.guarded(self.path), self._vault_errors():
            row = self._connection.execute(
                "SELECT id, picture FROM template WHERE person = ? AND picture IS NOT NULL"
                " ORDER BY quality DESC, added_wall_ns LIMIT 1",
                (person,),
            ).fetchone()
            return self._vault.unseal(row[1], _picture_binding(row[0], person)) if row else None

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

    def renew(
        self, made: Mapping[str, Mapping[str, Vector]], space: str, views_space: str, actor: str
    ) -> int:
        """Replace templates, by id, with the views that other embedders made of the same pictures: all at once.

        Templates that came or went since `pictures` was asked are no obstacle, unless the space changes and one is
        not among those made: then nothing is changed. Returns how many were replaced. Raises GalleryError.
        """
        with gallery_file.guarded(self.path), self._writing():
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
            self._changed()
            self.audit.append(audit.Action.RENEWED, "everyone", actor, f"{replaced} pictures")
            return replaced

    # inside

    def _sealed_whole(self, template: Template, identity: str, person: str) -> bytes:
        plain = template.embedding.astype("<f4").tobytes()
        return self._vault.seal(plain, _binding(identity, person, template.space))

    def _sealed_views(self, template: Template, identity: str, person: str) -> bytes | None:
        others = [template.views.get(view) for view in VIEWS if view != WHOLE]
        if template.views_space != self._meta("views_space") or any(vector is None for vector in others):
            return None
        plain = b"".join(vector.astype("<f4").tobytes() for vector in others if vector is not None)
        return self._vault.seal(plain, _binding(identity, person, template.views_space))

    def _views(self, template: str, person: str, sealed: bytes | None, views_space: str) -> bytes | None:
        """All views but WHOLE, or None where they are missing or of another space."""
        if sealed is None or views_space != self._meta("views_space"):
            return None
        return self._vault.unseal(sealed, _binding(template, person, views_space))

    def _unseal_name(self, person: str, sealed: bytes) -> str:
        return self._vault.unseal(sealed, f"name of {person}").decode()

    def _meta(self, key: str) -> int | str | bytes | None:
        row = self._connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    def _set(self, key: str, value: int | str) -> None:
        self._connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def _changed(self) -> None:
        self._set("version", int(self._meta("version") or 0) + 1)

    def _count(self, table: str) -> int:
        return int(self._connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One transaction: all of it or nothing."""
        if self.read_only:
            raise GalleryError(f"{self.path}: cannot be written here (read-only), so nothing was changed")
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    @contextmanager
    def _vault_errors(self) -> Iterator[None]:
        try:
            yield
        except VaultError as error:
            raise GalleryError(
                f"{self.path}: {error}; it was left as it is: restore the file and its key from one copy"
            ) from None

    def _scrub(self) -> bool:
        """Overwrite what was erased. False when another process keeps on reading; the mark then stays set."""
        try:
            self._connection.execute("VACUUM")
            if not gallery_file.empty_journal(self._connection):
                return False
            self._connection.execute("DELETE FROM meta WHERE key = 'scrub'")
            return True
        except sqlite3.OperationalError:
            return False


def _binding(template: str, person: str, space: str) -> str:
    return f"template {template} of {person} in {space}"


def _picture_binding(template: str, person: str) -> str:
    return f"picture {template} of {person}"


def _foreign(path: Path, stored: str, found: str) -> GalleryError:
    return GalleryError(
        f"{path}: its people were enrolled with the embedder {stored[:24]}, this one is {found[:24]}; their templates "
        "cannot be compared: enrol them again from photographs in another gallery, or go back to that embedder"
    )
