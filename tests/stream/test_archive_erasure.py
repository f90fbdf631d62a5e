"""A person is erased everywhere, down to the bytes of the files."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from archive_helpers import (
    ADA,
    GRACE,
    SECOND,
    SPACE,
    T0,
    Clock,
    embedding,
    face,
    frame,
    put_segment,
    sighting,
)
from typer.testing import CliRunner

from engines.recognition.gallery import Gallery, Template
from engines.recognition.vault import Vault, VaultError
from stream.archive.archive import Archive
from stream.archive.database import FILE, KEY
from stream.archive.incidents import Event
from stream.archive.sightings import Query
from stream.messages import Candidate, annotation_hash
from tools.people import people

RULES = {
    "events": {"rules": [{"name": "door", "person": "ADA  lovelace"}, {"name": "yard", "person": GRACE}]}
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "recordings"


def fill(folder: Path) -> None:
    """Ada and Grace, as decision and as candidate, among hundreds of others that are rewritten now and then."""
    with Archive.open(folder, write=True) as archive:
        run = archive.begin_run(T0, "1.0", RULES, {})
        put_segment(archive, run)
        for second in range(24):
            with archive.transaction():
                faces = (face(1), face(2, None, (ADA, GRACE)), face(3, GRACE, ()))[second % 4 :]
                archive.add_frames(run, "door", [frame(second * 25 + n, faces) for n in range(25)])
        for track in range(300):
            person, other = ((ADA, GRACE), (GRACE, ADA), (None, "Alan Turing"))[track % 3]
            archive.put_sighting(
                sighting(
                    run,
                    track,
                    person=person,
                    decision="person" if person else "nobody",
                    candidates=tuple(Candidate(n, 0.4, {"raw": 0.1}) for n in (person, other) if n),
                    embedding=embedding(track).tobytes(),
                    space=SPACE,
                    look=bytes([track % 256]) * (100 + 37 * track),
                    original=b"original",
                    reconstruction=b"reconstruction",
                )
            )
        for track in range(0, 300, 7):
            archive.put_sighting(sighting(run, track, person=None, decision="nobody", look=b"new"))
            archive.put_sighting(
                sighting(run, track, person=ADA if track % 3 == 0 else None, look=b"newer" * 50)
            )
        for number in range(3):
            person = (ADA, GRACE, "Alan Turing")[number]
            archive.put_event(
                Event(
                    rule=("lovelace-at-the-door", "grace", "alan")[number],
                    camera="door",
                    run=run,
                    at_ns=T0 + number,
                    data=person.encode(),
                    people=(person, GRACE),
                ),
                ("hook",),
            )


def sealed_of(folder: Path) -> dict[str, list[bytes]]:
    """Every sealed field of the archive, by table."""
    raw = sqlite3.connect(f"file:{folder / FILE}?mode=ro", uri=True)
    columns = {
        "sightings": "sealed",
        "pictures": "sealed",
        "embeddings": "sealed",
        "chunks": "data",
        "events": "sealed",
        "runs": "settings",
    }
    found = {
        t: [row[0] for row in raw.execute(f"SELECT {c} FROM {t} ORDER BY rowid")] for t, c in columns.items()
    }
    raw.close()
    return found


def bytes_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.glob("archive.*")) if path.name != KEY)


def test_every_trace_of_a_person_is_gone_and_the_others_are_as_they_were(folder: Path) -> None:
    fill(folder)
    with Archive.open(folder, actor="guard") as archive:
        before = {s.id: archive.sighting(s.id) for s in archive.sightings(Query(limit=1000))}
        frames = list(archive.frames("door", 0, 2 * T0))
        receipt = archive.erase_person("ada lovelace")
        assert archive.sightings(Query(person=ADA)) == []
        after = {s.id: archive.sighting(s.id) for s in archive.sightings(Query(limit=1000))}
        assert after.keys() == before.keys()
        for identity, old in before.items():
            new = after[identity]
            assert ADA not in new.names
            if old.person == ADA:
                assert (new.person, new.decision, new.probability, new.candidates) == (
                    None,
                    "undecided",
                    None,
                    (),
                )
                assert (new.look, new.original, new.reconstruction, new.embedding) == (b"", b"", b"", b"")
            elif ADA in old.names:
                assert new.candidates == tuple(c for c in old.candidates if c.person != ADA)
                assert (new.look, new.embedding, new.person) == (old.look, old.embedding, old.person)
            else:
                assert new == old
        left = list(archive.frames("door", 0, 2 * T0))
        assert len(left) == len(frames) == 600
        for old, new in zip(frames, left, strict=True):
            names = {c.person for f in old.faces for c in f.candidates}
            assert new.erased == (ADA in names)
            assert (new == old) == (ADA not in names)
            assert ADA not in {c.person for f in new.faces for c in f.candidates} | {
                f.person for f in new.faces
            }
            assert [f.box for f in new.faces] == [f.box for f in old.faces]
            assert new.hash == annotation_hash(new.faces)
        events = archive.events()
        assert [(e.rule, e.data) for e in events] == [
            ("alan", b"Alan Turing"),
            ("grace", GRACE.encode()),
            ("erased", b""),
        ]
        assert [d.event for d in archive.deliveries(open_only=True)] == [2, 3]
        rules = archive.runs()[0].settings["events"]
        assert rules == {"rules": [{"name": "door", "person": "erased"}, {"name": "yard", "person": GRACE}]}
        assert all(
            s.id not in {i for i, o in before.items() if o.person == ADA}
            for s, _ in archive.like(embedding(0), SPACE)
        )
        assert receipt.scrubbed
        assert (receipt.name, receipt.frames, receipt.events) == (
            "ada lovelace",
            sum(f.erased for f in left),
            1,
        )
        assert receipt.sightings == sum(ADA in s.names for s in before.values())
        assert archive.audit.verify(receipt.mark) >= receipt.sequence
        entry = list(archive.audit.entries())[receipt.sequence - 1]
        assert (entry.action, entry.actor, entry.person) == ("erased", "guard", receipt.person)
        assert "Ada" not in str(entry)


def test_no_byte_that_was_sealed_of_the_person_is_left_in_any_file(folder: Path) -> None:
    fill(folder)
    with Archive.open(folder) as archive:
        mine = {s.id for s in archive.sightings(Query(person=ADA, limit=1000))}
        old = sealed_of(folder)
        archive.erase_person(ADA)
        new = sealed_of(folder)
        gone = {t: [b for b in old[t] if b not in set(new[t])] for t in old}
        assert len(mine) > 90
        assert len(gone["embeddings"]) == len(mine)
        assert min(len(blobs) for blobs in gone.values()) >= 1
        raw = bytes_of(folder)
        for table, blobs in gone.items():
            for blob in blobs:
                for start in range(0, len(blob) - 16, 500):
                    assert blob[start : start + 16] not in raw, f"{table}: {start} of {len(blob)}"
        assert (
            raw.count(archive._mark(ADA)) == 2
        )  # a row and its index: a running pipeline must not write it again
    raw = bytes_of(folder)
    assert not any(blob[:16] in raw for blobs in gone.values() for blob in blobs)
    vault = Vault.open(folder / KEY)
    for table, blobs in new.items():
        for number, blob in enumerate(blobs):
            for bound in (f"event {number + 1}", f"settings of run {number + 1}"):
                try:
                    assert b"ovelace" not in vault.unseal(blob, bound), table
                except VaultError:
                    continue


def test_what_a_running_pipeline_still_says_of_the_erased_is_not_written(folder: Path) -> None:
    clock = Clock()
    with (
        Archive.open(folder, write=True, clock_ns=clock) as recorder,
        Archive.open(folder, clock_ns=clock) as guard,
    ):
        run = recorder.begin_run(T0, "1.0", {}, {})
        identity = recorder.put_sighting(sighting(run, look=b"look"))
        guard.erase_person(ADA)
        recorder.add_frames(run, "door", [frame(0, (face(1), face(2, GRACE)))])
        recorder.put_sighting(
            sighting(run, look=b"look again", embedding=embedding(1).tobytes(), space=SPACE)
        )
        seen = recorder.sighting(identity)
        assert (seen.person, seen.names, seen.look, seen.embedding) == (None, set(), b"", b"")
        (kept,) = recorder.frames("door", 0, 2 * T0)
        assert [f.person for f in kept.faces] == [None, GRACE]
        assert kept.hash == annotation_hash(kept.faces)
        clock.now_ns += 61 * SECOND  # enrolled anew, with consent
        recorder.put_sighting(sighting(run, 2))
        assert [s.track for s in recorder.sightings(Query(person=ADA))] == [2]


def test_an_erasure_that_was_cut_off_can_be_done_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(folder)
    with Archive.open(folder) as archive:
        with monkeypatch.context() as patch:
            patch.setattr(archive, "_erase_from_chunks", _cut_off)
            with pytest.raises(KeyboardInterrupt):
                archive.erase_person(ADA)
        assert archive.sightings(Query(person=ADA)) == []
        receipt = archive.erase_person(ADA)
        assert receipt.frames > 0
        assert receipt.scrubbed
        assert bytes_of(folder).count(archive._mark(ADA)) == 2


def test_bytes_that_a_reader_held_back_are_overwritten_when_it_is_next_opened(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream.archive.erasure._SCRUB_MS", 200)
    fill(folder)
    old = sealed_of(folder)
    reader = sqlite3.connect(folder / FILE, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM sightings").fetchone()
    with Archive.open(folder) as archive:
        assert not archive.erase_person(ADA).scrubbed
    reader.execute("COMMIT")
    reader.close()
    with Archive.open(folder):
        raw = bytes_of(folder)
    gone = [b for b in old["sightings"] if b not in sealed_of(folder)["sightings"]]
    assert len(gone) > 100
    assert not any(blob[:24] in raw for blob in gone)


def test_a_damaged_copy_goes_as_a_whole_since_nobody_can_be_found_in_it(folder: Path) -> None:
    fill(folder)
    copy = folder / f"{FILE}.damaged-20260101T000000Z"
    copy.write_bytes((folder / FILE).read_bytes())
    with Archive.open(folder) as archive:
        assert archive.erase_person(ADA).copies == 1
    assert not copy.exists()


def test_who_is_not_in_the_archive_is_erased_with_a_receipt_too(folder: Path) -> None:
    fill(folder)
    old = sealed_of(folder)
    with Archive.open(folder) as archive:
        receipt = archive.erase_person("Niemand")
        assert (receipt.sightings, receipt.frames, receipt.events) == (0, 0, 0)
        assert archive.audit.verify(receipt.mark) == 1
        with pytest.raises(ValueError, match=r"name: must hold a letter"):
            archive.erase_person("...")
    assert sealed_of(folder) == old


def test_people_remove_erases_from_gallery_and_recordings(tmp_path: Path, folder: Path) -> None:
    fill(folder)
    book = tmp_path / "gallery.sqlite3"
    with Gallery(book) as gallery:
        gallery.add(ADA, Template({"whole": embedding(1)}, SPACE, 0.9, b"digest"), "consent", "tester")
    config = tmp_path / "site.yaml"
    config.write_text(f"recognition: {{gallery: {book}}}\nrecording: {{folder: {folder}}}\n")
    done = CliRunner().invoke(people, ["remove", "ada lovelace", "--config", str(config)])
    assert done.exit_code == 0, done.output
    assert "removed Ada Lovelace: 1 picture erased" in done.output
    assert "recordings: " in done.output
    assert "named Ada Lovelace and do no longer; the footage itself stays until it expires" in done.output
    with Archive.open(folder) as archive:
        assert archive.sightings(Query(person=ADA)) == []
        mark = done.output.rsplit("mark ", 1)[1].strip()
        assert archive.audit.verify(bytes.fromhex(mark)) >= 1


def test_people_remove_with_a_gallery_of_ones_own_leaves_other_recordings_alone(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(folder)
    book = tmp_path / "gallery.sqlite3"
    for expected in (True, False):
        with Gallery(book) as gallery:
            gallery.add(ADA, Template({"whole": embedding(1)}, SPACE, 0.9, b"digest"), "consent", "tester")
        options = ["--gallery", str(book)] + ([] if expected else ["--archive", str(folder)])
        done = CliRunner().invoke(people, ["remove", ADA, *options])
        assert done.exit_code == 0, done.output
        with Archive.open(folder) as archive:
            assert bool(archive.sightings(Query(person=ADA))) == expected


def test_people_remove_says_what_is_left_to_do_when_the_recordings_cannot_be_written(
    tmp_path: Path, folder: Path
) -> None:
    fill(folder)
    (folder / KEY).unlink()
    book = tmp_path / "gallery.sqlite3"
    with Gallery(book) as gallery:
        gallery.add(ADA, Template({"whole": embedding(1)}, SPACE, 0.9, b"digest"), "consent", "tester")
    done = CliRunner().invoke(people, ["remove", ADA, "--gallery", str(book), "--archive", str(folder)])
    assert done.exit_code == 1
    assert "removed Ada Lovelace" in done.output
    assert "the archive's key is missing" in done.output
    assert 'run unvizard footage erase-person "Ada Lovelace"' in done.output


def _cut_off(*_: object) -> int:
    raise KeyboardInterrupt
