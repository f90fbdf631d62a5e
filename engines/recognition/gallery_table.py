"""The gallery's tables: opened, sealed and unsealed, and everyone in them listed."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from engines.recognition import audit, gallery_file
from engines.recognition.enrolled import Listed, Person, Template
from engines.recognition.evidence import VIEWS, WHOLE, Vector
from engines.recognition.gallery_file import GalleryError
from engines.recognition.names import same_name
from engines.recognition.vault import VaultError

_AT_ONCE = 500
_VACUUMED_UP_TO = 1 << 28
"""Bytes. A larger file is not written anew: what is erased is overwritten where it lay (secure_delete)."""
_PERSON = "SELECT id, name, since_wall_ns, revoked_wall_ns FROM person"


class GalleryTable:
    """An open gallery. One thread at a time may use it. All methods raise GalleryError."""

    def __init__(
        self, path: Path, key: Path | None = None, clock_ns: Callable[[], int] = time.time_ns
    ) -> None:
        """path: the database, made when it is not there. key: its key file, by default beside it as *.key."""
        self.path, self.key = path, key or path.with_suffix(".key")
        self._clock_ns = clock_ns
        self._known_names: dict[str, tuple[bytes, str]] = {}
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

    def close(self) -> None:
        """Done with it."""
        self._connection.close()

    @property
    def version(self) -> int:
        """Rises with every change made by any process; cheap enough to ask for each second."""
        with gallery_file.guarded(self.path):
            return int(self._meta("version") or 0)

    @property
    def space(self) -> str:
        """Of the embeddings of whole faces; empty while nobody was ever enrolled."""
        with gallery_file.guarded(self.path):
            return str(self._meta("space") or "")

    def people(self) -> tuple[Person, ...]:
        """Everyone enrolled, by name; those who are revoked too."""
        with gallery_file.guarded(self.path), self._vault_errors():
            found = self._people("", ())
        return tuple(sorted(found, key=lambda p: (p.name.casefold(), p.id)))

    def listed(self) -> list[Listed]:
        """The same in no order and without grounds: quick, also with many and again and again."""
        with gallery_file.guarded(self.path), self._vault_errors():
            rows = self._connection.execute(
                "SELECT person.id, name, since_wall_ns, revoked_wall_ns, count(*) FROM person"
                " JOIN template ON person = person.id GROUP BY person.id"
            ).fetchall()
            found = [
                Listed(person, self._unseal_name(person, name), pictures, since, revoked)
                for person, name, since, revoked, pictures in rows
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
                "SELECT rowid, name FROM former_name WHERE person = ? ORDER BY rowid", (person,)
            ).fetchall()
            return tuple(self._vault.unseal(sealed, former_binding(person)).decode() for _, sealed in rows)

    def owner_of_picture(self, digest: bytes) -> str | None:
        """The name of the person for whom the very same picture is enrolled already."""
        with gallery_file.guarded(self.path), self._vault_errors():
            row = self._connection.execute(
                "SELECT person.id, name FROM template JOIN person ON person = person.id WHERE picture_mark = ?",
                (self._vault.mark(digest, "picture"),),
            ).fetchone()
            return self._unseal_name(*row) if row else None

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
        """Of the whole faces, float32 [128], by template; those that are gone are left out."""
        found: dict[str, Vector] = {}
        with gallery_file.guarded(self.path), self._vault_errors():
            space = str(self._meta("space") or "")
            for start in range(0, len(templates), _AT_ONCE):
                part = templates[start : start + _AT_ONCE]
                rows = self._connection.execute(
                    f"SELECT id, person, sealed FROM template WHERE id IN ({', '.join('?' * len(part))})",
                    list(part),
                ).fetchall()
                for template, person, sealed in rows:
                    plain = self._vault.unseal(sealed, template_binding(template, person, space))
                    found[template] = np.frombuffer(plain, "<f4").astype(np.float32)
        return found

    def pictures(self) -> dict[str, bytes]:
        """The faces that were kept, by template: PNG files."""
        with gallery_file.guarded(self.path), self._vault_errors():
            rows = self._connection.execute(
                "SELECT id, person, picture FROM template WHERE picture IS NOT NULL"
            ).fetchall()
            return {t: self._vault.unseal(sealed, picture_binding(t, p)) for t, p, sealed in rows}

    def picture(self, person: str, template: str | None = None) -> bytes | None:
        """A person's best picture, or that of a template: a PNG file; None when none was kept."""
        with gallery_file.guarded(self.path), self._vault_errors():
            row = self._connection.execute(
                "SELECT id, picture FROM template WHERE person = ? AND (id = ? OR ? IS NULL)"
                " AND picture IS NOT NULL ORDER BY quality DESC, added_wall_ns LIMIT 1",
                (person, template, template),
            ).fetchone()
            return self._vault.unseal(row[1], picture_binding(row[0], person)) if row else None

    def log(self, action: audit.Action, actor: str, detail: str) -> None:
        """Write down in the log what is done to everybody who is seen."""
        with gallery_file.guarded(self.path), self._writing():
            self.audit.append(action, "everyone", actor, detail)

    # inside

    def _people(self, where: str, values: tuple[str | bytes, ...]) -> list[Person]:
        found = []
        for person, name, since, revoked in self._connection.execute(f"{_PERSON} {where}", values).fetchall():
            rows = self._connection.execute(
                "SELECT id, ground FROM template WHERE person = ? ORDER BY added_wall_ns", (person,)
            ).fetchall()
            grounds = dict.fromkeys(
                self._vault.unseal(ground, ground_binding(template, person)).decode()
                for template, ground in rows
            )
            if rows:
                found.append(
                    Person(
                        person,
                        self._unseal_name(person, name),
                        len(rows),
                        since,
                        "; ".join(grounds),
                        revoked,
                    )
                )
        return found

    def _sealed_whole(self, template: Template, identity: str, person: str) -> bytes:
        plain = template.embedding.astype("<f4").tobytes()
        return self._vault.seal(plain, template_binding(identity, person, template.space))

    def _sealed_views(self, template: Template, identity: str, person: str) -> bytes | None:
        others = [template.views.get(view) for view in VIEWS if view != WHOLE]
        if template.views_space != self._meta("views_space") or any(vector is None for vector in others):
            return None
        plain = b"".join(vector.astype("<f4").tobytes() for vector in others if vector is not None)
        return self._vault.seal(plain, template_binding(identity, person, template.views_space))

    def _unseal_name(self, person: str, sealed: bytes) -> str:
        known = self._known_names.get(person)
        if known is None or known[0] != sealed:
            known = self._known_names[person] = (
                sealed,
                self._vault.unseal(sealed, name_binding(person)).decode(),
            )
        return known[1]

    def _name_mark(self, name: str) -> bytes:
        return self._vault.mark(same_name(name).encode(), "name")

    def _meta(self, key: str) -> int | float | str | bytes | None:
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
            pages, size = (
                self._connection.execute(f"PRAGMA {what}").fetchone()[0]
                for what in ("page_count", "page_size")
            )
            if pages * size <= _VACUUMED_UP_TO:
                self._connection.execute("VACUUM")
            if not gallery_file.empty_journal(self._connection):
                return False
            self._connection.execute("DELETE FROM meta WHERE key = 'scrub'")
            return True
        except sqlite3.OperationalError:
            return False


def template_binding(template: str, person: str, space: str) -> str:
    """Where the sealed vectors of a template belong."""
    return f"template {template} of {person} in {space}"


def picture_binding(template: str, person: str) -> str:
    """Where a picture that was kept belongs."""
    return f"picture {template} of {person}"


def ground_binding(template: str, person: str) -> str:
    """Where the ground of a picture belongs."""
    return f"ground of {template} of {person}"


def name_binding(person: str) -> str:
    """Where a name belongs."""
    return f"name of {person}"


def former_binding(person: str) -> str:
    """Where a former name belongs."""
    return f"former name of {person}"
