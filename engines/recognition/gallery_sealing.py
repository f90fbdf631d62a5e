"""What of a person is sealed with the person's key, to which place it is bound, and how it is sealed anew."""

from __future__ import annotations

import sqlite3

from engines.recognition.vault import Cipher

OWN_KEYS = (
    "ALTER TABLE person ADD COLUMN key TEXT NOT NULL DEFAULT ''",
    """CREATE TABLE former_key (
        person TEXT NOT NULL REFERENCES person, key TEXT NOT NULL, UNIQUE (person, key)) STRICT""",
    "CREATE INDEX person_of_key ON person (key)",
)
"""person.key: the id of the key in the ring. former_key: under which older copies of the file hold the person too."""


def reseal_person(connection: sqlite3.Connection, person: str, old: Cipher, new: Cipher) -> None:
    """Seal everything of a person with another key. Raises VaultError."""
    (name,) = connection.execute("SELECT name FROM person WHERE id = ?", (person,)).fetchone()
    name = again(name, old, new, name_binding(person))
    connection.execute("UPDATE person SET name = ? WHERE id = ?", (name, person))
    binding = former_binding(person)
    for row, name in connection.execute(
        "SELECT rowid, name FROM former_name WHERE person = ?", (person,)
    ).fetchall():
        connection.execute(
            "UPDATE former_name SET name = ? WHERE rowid = ?", (again(name, old, new, binding), row)
        )
    for (template,) in connection.execute("SELECT id FROM template WHERE person = ?", (person,)).fetchall():
        reseal_template(connection, template, (person, old), (person, new))
    for refutation, sighting, space, sealed in connection.execute(
        "SELECT id, sighting, space, sealed FROM refutation WHERE person = ?", (person,)
    ).fetchall():
        values = (
            again(sighting, old, new, sighting_binding(refutation, person)),
            again(sealed, old, new, face_binding(refutation, person, space)),
        )
        connection.execute(
            "UPDATE refutation SET sighting = ?, sealed = ? WHERE id = ?", (*values, refutation)
        )


def reseal_template(
    connection: sqlite3.Connection, template: str, old: tuple[str, Cipher], new: tuple[str, Cipher]
) -> None:
    """Give a picture to another person (or another key): it is bound to whose it is. Raises VaultError."""
    meta = dict(connection.execute("SELECT key, value FROM meta WHERE key IN ('space', 'views_space')"))
    space, views_space = str(meta.get("space") or ""), str(meta.get("views_space") or "")
    columns = connection.execute(
        "SELECT sealed, ground, views, picture FROM template WHERE id = ?", (template,)
    ).fetchone()
    before, after = (
        (
            template_binding(template, person, space),
            ground_binding(template, person),
            template_binding(template, person, views_space),
            picture_binding(template, person),
        )
        for person in (old[0], new[0])
    )
    values = [
        None if data is None else new[1].seal(old[1].unseal(data, was), becomes)
        for data, was, becomes in zip(columns, before, after, strict=True)
    ]
    connection.execute(
        "UPDATE template SET person = ?, sealed = ?, ground = ?, views = ?, picture = ? WHERE id = ?",
        (new[0], *values, template),
    )


def again(sealed: bytes, old: Cipher, new: Cipher, binding: str) -> bytes:
    """The same in the same place under another key. Raises VaultError."""
    return new.seal(old.unseal(sealed, binding), binding)


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


def sighting_binding(refutation: str, person: str) -> str:
    """Where the sighting of a refutation belongs."""
    return f"sighting of refutation {refutation} of {person}"


def face_binding(refutation: str, person: str, space: str) -> str:
    """Where the face of a refutation belongs."""
    return f"face of refutation {refutation} of {person} in {space}"
