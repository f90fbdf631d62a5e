"""The archive's tables. Everything that says who is sealed; people are found by keyed marks of their names.

written_ns is this machine's clock when a row was last written: what decides how old it is, because a camera's clock may
be years away.
"""

from __future__ import annotations

from engines.recognition import audit

APPLICATION = 0x554E5646
"""In the file's header: "UNVF", for footage."""

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE meta (key TEXT PRIMARY KEY, value ANY) STRICT",
        """CREATE TABLE runs (
            id INTEGER PRIMARY KEY, began_ns INTEGER NOT NULL, ended_ns INTEGER, version TEXT NOT NULL,
            settings BLOB NOT NULL, engines TEXT NOT NULL) STRICT""",
        """CREATE TABLE segments (
            id INTEGER PRIMARY KEY AUTOINCREMENT, camera TEXT NOT NULL, run INTEGER NOT NULL,
            connection INTEGER NOT NULL, path TEXT NOT NULL UNIQUE, codec TEXT NOT NULL, width INTEGER NOT NULL,
            height INTEGER NOT NULL, began_ns INTEGER NOT NULL, ended_ns INTEGER NOT NULL,
            began_media_ns INTEGER NOT NULL, ended_media_ns INTEGER NOT NULL, bytes INTEGER NOT NULL,
            frames INTEGER NOT NULL, complete INTEGER NOT NULL, reason TEXT NOT NULL, clock TEXT NOT NULL,
            written_ns INTEGER NOT NULL) STRICT""",
        "CREATE INDEX segments_at ON segments (camera, began_ns)",
        "CREATE INDEX segments_written ON segments (written_ns)",
        """CREATE TABLE clocks (
            segment INTEGER NOT NULL REFERENCES segments ON DELETE CASCADE, began_ns INTEGER NOT NULL,
            data BLOB NOT NULL) STRICT""",
        "CREATE INDEX clocks_of ON clocks (segment, began_ns)",
        """CREATE TABLE chunks (
            id INTEGER PRIMARY KEY AUTOINCREMENT, camera TEXT NOT NULL, run INTEGER NOT NULL, epoch INTEGER NOT NULL,
            began_ns INTEGER NOT NULL, ended_ns INTEGER NOT NULL, began_media_ns INTEGER NOT NULL,
            ended_media_ns INTEGER NOT NULL, written_ns INTEGER NOT NULL, people BLOB NOT NULL,
            data BLOB NOT NULL) STRICT""",
        "CREATE INDEX chunks_at ON chunks (camera, began_ns)",
        "CREATE INDEX chunks_written ON chunks (written_ns)",
        "CREATE INDEX chunks_in_order ON chunks (run, epoch, camera)",
        "CREATE INDEX chunks_naming ON chunks (people) WHERE people != x''",
        """CREATE TABLE sightings (
            id INTEGER PRIMARY KEY AUTOINCREMENT, camera TEXT NOT NULL, run INTEGER NOT NULL, epoch INTEGER NOT NULL,
            track INTEGER NOT NULL, first_ns INTEGER NOT NULL, last_ns INTEGER NOT NULL,
            first_media_ns INTEGER NOT NULL, last_media_ns INTEGER NOT NULL, decision TEXT NOT NULL,
            person_mark BLOB, probability REAL, mask TEXT, masked INTEGER NOT NULL, revision INTEGER NOT NULL,
            written_ns INTEGER NOT NULL, versions TEXT NOT NULL, people BLOB NOT NULL, sealed BLOB NOT NULL,
            UNIQUE (run, epoch, camera, track)) STRICT""",
        "CREATE INDEX sightings_at ON sightings (first_ns)",
        "CREATE INDEX sightings_of_camera ON sightings (camera, decision, masked, first_ns)",
        "CREATE INDEX sightings_of_person ON sightings (person_mark, first_ns) WHERE person_mark IS NOT NULL",
        "CREATE INDEX sightings_written ON sightings (written_ns)",
        "CREATE INDEX sightings_revised ON sightings (revision)",
        "CREATE INDEX sightings_naming ON sightings (people) WHERE people != x''",
        """CREATE TABLE pictures (
            sighting INTEGER NOT NULL REFERENCES sightings ON DELETE CASCADE, kind TEXT NOT NULL, sealed BLOB NOT NULL,
            PRIMARY KEY (sighting, kind)) STRICT""",
        """CREATE TABLE embeddings (
            sighting INTEGER PRIMARY KEY REFERENCES sightings ON DELETE CASCADE, space TEXT NOT NULL,
            revision INTEGER NOT NULL, sealed BLOB NOT NULL) STRICT""",
        "CREATE INDEX embeddings_revised ON embeddings (revision)",
        """CREATE TABLE events (
            id INTEGER PRIMARY KEY AUTOINCREMENT, rule_mark BLOB NOT NULL, sighting INTEGER, camera TEXT NOT NULL,
            run INTEGER NOT NULL, at_ns INTEGER NOT NULL, written_ns INTEGER NOT NULL, people BLOB NOT NULL,
            sealed BLOB NOT NULL) STRICT""",
        "CREATE INDEX events_at ON events (at_ns)",
        "CREATE INDEX events_written ON events (written_ns)",
        "CREATE INDEX events_of_sighting ON events (sighting)",
        """CREATE TABLE deliveries (
            id INTEGER PRIMARY KEY AUTOINCREMENT, event INTEGER NOT NULL REFERENCES events ON DELETE CASCADE,
            target TEXT NOT NULL, attempts INTEGER NOT NULL, next_ns INTEGER NOT NULL, done_ns INTEGER,
            error TEXT NOT NULL) STRICT""",
        "CREATE INDEX deliveries_of ON deliveries (event)",
        "CREATE INDEX deliveries_open ON deliveries (target, id) WHERE done_ns IS NULL",
        """CREATE TABLE protections (
            id INTEGER PRIMARY KEY AUTOINCREMENT, target TEXT NOT NULL UNIQUE, camera TEXT, from_ns INTEGER NOT NULL,
            to_ns INTEGER NOT NULL) STRICT""",
        """CREATE TABLE erased (mark BLOB PRIMARY KEY, until_ns INTEGER NOT NULL) STRICT""",
        *audit.SCHEMA,
    ),
    (
        """CREATE TABLE verdicts (
            id INTEGER PRIMARY KEY AUTOINCREMENT, sighting INTEGER NOT NULL REFERENCES sightings ON DELETE CASCADE,
            person_mark BLOB NOT NULL, at_ns INTEGER NOT NULL, sealed BLOB NOT NULL) STRICT""",
        "CREATE INDEX verdicts_of ON verdicts (sighting)",
        # Everything that sightings are searched by, so that they are counted and paged through without their rows.
        "CREATE INDEX sightings_found ON sightings (first_ns, last_ns, camera, decision, mask, person_mark)",
        "DROP INDEX sightings_at",
    ),
)
"""What brings the file from version i to i + 1. Never change one that was released: add the next."""
