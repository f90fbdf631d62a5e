"""Galleries as earlier versions of the program wrote them, everything sealed with the vault's one key."""

from __future__ import annotations

import secrets
import sqlite3
from pathlib import Path

import numpy as np

from engines.recognition import audit
from engines.recognition.audit import Audit
from engines.recognition.calibration import Calibration
from engines.recognition.embedder import unit
from engines.recognition.enrolled import Template
from engines.recognition.evidence import VIEWS, WHOLE
from engines.recognition.vault import Vault

SPACE = Calibration.load().space
SEEN = '[3, 4, "gate", 17]'

_VERSIONS = (
    (
        "CREATE TABLE meta (key TEXT PRIMARY KEY, value ANY) STRICT",
        """CREATE TABLE person (id TEXT PRIMARY KEY, name BLOB NOT NULL, name_mark BLOB NOT NULL UNIQUE,
            since_wall_ns INTEGER NOT NULL) STRICT""",
        """CREATE TABLE template (id TEXT PRIMARY KEY, person TEXT NOT NULL REFERENCES person, sealed BLOB NOT NULL,
            ground BLOB NOT NULL, picture_mark BLOB NOT NULL UNIQUE, quality REAL NOT NULL,
            added_wall_ns INTEGER NOT NULL) STRICT""",
        "CREATE INDEX template_of ON template (person)",
        *audit.SCHEMA,
    ),
    (
        "ALTER TABLE template ADD COLUMN views BLOB",
        "ALTER TABLE template ADD COLUMN picture BLOB",
    ),
    (
        "ALTER TABLE person ADD COLUMN revoked_wall_ns INTEGER",
        """CREATE TABLE former_name (
            person TEXT NOT NULL REFERENCES person, name BLOB NOT NULL, name_mark BLOB NOT NULL,
            UNIQUE (person, name_mark)) STRICT""",
        """CREATE TABLE refutation (
            id TEXT PRIMARY KEY, person TEXT NOT NULL REFERENCES person, mark BLOB NOT NULL UNIQUE,
            sighting BLOB NOT NULL, space TEXT NOT NULL, sealed BLOB NOT NULL, said_wall_ns INTEGER NOT NULL) STRICT""",
        "CREATE INDEX refutation_of ON refutation (person)",
    ),
)


def template(seed: int) -> Template:
    """A template with all views, and a picture that tells its seed."""
    views = dict(zip(VIEWS, unit(np.random.default_rng(seed).normal(size=(len(VIEWS), 128))), strict=True))
    return Template(views, SPACE, 0.5 + seed / 100, seed.to_bytes(32, "big"), "twin", b"face %d" % seed)


def write_older(path: Path, version: int, names: tuple[str, ...] = ("Ada",)) -> None:
    """People with two pictures each, of the seeds 1 and 2, 3 and 4, …; in version 3 also with a former name and a
    refutation each.
    """
    vault = Vault.create(path.with_suffix(".key"))
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    for statements in _VERSIONS[:version]:
        for statement in statements:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {version}")
    connection.execute(f"PRAGMA application_id = {0x554E565A}")
    meta = {"key_check": vault.seal(b"", "key check"), "space": SPACE, "version": 2}
    for key, value in (meta | ({"views_space": "twin"} if version > 1 else {})).items():
        connection.execute("INSERT INTO meta VALUES (?, ?)", (key, value))
    log = Audit(connection, vault, lambda: 1000)
    connection.execute("BEGIN")
    for number, name in enumerate(names):
        person = secrets.token_hex(16)
        mark = vault.mark(name.casefold().encode(), "name")
        connection.execute(
            "INSERT INTO person (id, name, name_mark, since_wall_ns) VALUES (?, ?, ?, ?)",
            (person, vault.seal(name.encode(), f"name of {person}"), mark, 1000 + number),
        )
        for seed, ground in ((2 * number + 1, b"consent"), (2 * number + 2, b"contract")):
            _write_template(connection, vault, person, seed, ground, version)
            log.append("enrolled", person, "t")
        if version > 2:
            former = f"{name} before"
            connection.execute(
                "INSERT INTO former_name VALUES (?, ?, ?)",
                (
                    person,
                    vault.seal(former.encode(), f"former name of {person}"),
                    vault.mark(former.casefold().encode(), "name"),
                ),
            )
            said = secrets.token_hex(16)
            face = template(100 + number).embedding.astype("<f4").tobytes()
            connection.execute(
                "INSERT INTO refutation VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    said,
                    person,
                    vault.mark(f"{SEEN} not {person}".encode(), "refutation"),
                    vault.seal(SEEN.encode(), f"sighting of refutation {said} of {person}"),
                    SPACE,
                    vault.seal(face, f"face of refutation {said} of {person} in {SPACE}"),
                    2000,
                ),
            )
    connection.execute("COMMIT")
    connection.close()
    path.chmod(0o600)


def _write_template(
    connection: sqlite3.Connection, vault: Vault, person: str, seed: int, ground: bytes, version: int
) -> None:
    made, identity = template(seed), secrets.token_hex(16)
    whole = vault.seal(made.embedding.tobytes(), f"template {identity} of {person} in {SPACE}")
    sealed_ground = vault.seal(ground, f"ground of {identity} of {person}")
    mark = vault.mark(made.digest, "picture")
    values: list[object] = [identity, person, whole, sealed_ground, mark, made.quality, 1000 + seed]
    if version > 1:
        others = b"".join(made.views[view].tobytes() for view in VIEWS if view != WHOLE)
        values += [
            vault.seal(others, f"template {identity} of {person} in twin"),
            vault.seal(made.picture, f"picture {identity} of {person}"),
        ]
    connection.execute(f"INSERT INTO template VALUES ({', '.join('?' * len(values))})", values)
