"""What was written is there again: after a kill, on a full disk, beside readers, and after damage."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from archive_helpers import (
    ADA,
    SECOND,
    SPACE,
    T0,
    embedding,
    face,
    frame,
    on_small_disk,
    put_segment,
    record,
    sighting,
)

from engines.recognition.audit import AuditError
from stream.archive import database_file
from stream.archive.archive import Archive, ArchiveDamaged, ArchiveError
from stream.archive.database import FILE, KEY
from stream.archive.sightings import Query

_WRITER = """
import sys
sys.path.insert(0, {tests!r})
from archive_helpers import *
archive = Archive.open(Path(sys.argv[1]), write=True)
run = archive.begin_run(T0, "1.0", {{}}, {{}})
second = 0
while True:
    with archive.transaction():
        archive.add_frames(run, "door", [frame(second * 25 + n, (face(),)) for n in range(25)])
        archive.put_sighting(sighting(run, second, look=bytes(20000)))
        if second == 5:
            print("in the middle", flush=True)
            sys.stdin.read()
        archive.add_frames(run, "yard", [frame(second * 25 + n) for n in range(25)])
    second += 1
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "recordings"


def fill(folder: Path) -> int:
    """An archive with a segment, frames and a sighting; the sighting's id."""
    with Archive.open(folder, write=True) as archive:
        run = archive.begin_run(T0, "1.0", {}, {})
        put_segment(archive, run)
        archive.add_frames(run, "door", [frame(n, (face(),)) for n in range(250)])
        return archive.put_sighting(
            sighting(run, embedding=embedding(1).tobytes(), space=SPACE, look=bytes(30000))
        )


def test_a_writer_killed_in_the_middle_of_a_transaction_leaves_all_that_was_before_and_no_half(
    folder: Path,
) -> None:
    script = _WRITER.format(tests=str(Path(__file__).parent))
    command = [sys.executable, "-c", script, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "in the middle\n"
        writer.send_signal(signal.SIGKILL)
        assert writer.wait(10) == -signal.SIGKILL
    with Archive.open(folder, write=True) as archive:
        assert archive.notes == ()
        assert archive._value("PRAGMA integrity_check") == "ok"
        for camera in ("door", "yard"):
            assert [f.sequence for f in archive.frames(camera, 0, T0 * 2)] == list(range(1, 126))
        assert [s.track for s in archive.sightings(Query(newest_first=False))] == [0, 1, 2, 3, 4]
        archive.put_sighting(sighting(1, 5))
        assert len(archive.sightings(Query())) == 6


def test_readers_beside_a_writer_see_whole_transactions_and_hold_nobody_up(folder: Path) -> None:
    with Archive.open(folder, write=True) as writer:
        run = writer.begin_run(T0, "1.0", {}, {})
        failures: list[BaseException] = []
        seen: list[int] = []
        over = threading.Event()

        def read() -> None:
            try:
                with Archive.open(folder) as reader:
                    while True:
                        last = over.is_set()
                        door = [f.sequence for f in reader.frames("door", 0, T0 * 2)]
                        yard = [f.sequence for f in reader.frames("yard", 0, T0 * 2)]
                        assert door == list(range(1, len(door) + 1))
                        assert len(door) % 25 == 0
                        assert len(yard) >= len(door)  # read later, and written in the same transactions
                        assert len(reader.sightings(Query(limit=1000))) * 25 >= len(yard)
                        seen.append(len(door))
                        if last:
                            return
            except BaseException as error:
                failures.append(error)

        readers = [threading.Thread(target=read) for _ in range(3)]
        for reader in readers:
            reader.start()
        half_read = Archive.open(folder)
        writer.add_frames(run, "roof", [frame(n * 25) for n in range(100)])
        frames = half_read.frames("roof", 0, T0 * 2)
        next(frames)  # and goes on at its leisure: no transaction is held open meanwhile
        for second in range(40):
            with writer.transaction():
                for camera in ("door", "yard"):
                    writer.add_frames(run, camera, [frame(second * 25 + n) for n in range(25)])
                writer.put_sighting(sighting(run, second))
        assert writer._rows("PRAGMA wal_checkpoint(PASSIVE)")[0][0] == 0
        assert len(list(frames)) == 99
        half_read.close()
        over.set()
        for reader in readers:
            reader.join(30)
        assert failures == []
        assert max(seen) == 1000


def test_an_error_within_a_transaction_takes_all_of_it_back(folder: Path) -> None:
    fill(folder)
    with Archive.open(folder, write=True) as archive:
        with pytest.raises(RuntimeError, match=r"of the caller"), archive.transaction():
            archive.put_sighting(sighting(1, 9))
            archive.add_frames(1, "yard", [frame(1)])
            raise RuntimeError("of the caller")
        assert len(archive.sightings(Query())) == 1
        assert list(archive.frames("yard", 0, T0 * 2)) == []
        archive.put_sighting(sighting(1, 9))
        assert len(archive.sightings(Query())) == 2


def test_a_full_disk_is_said_and_what_was_written_before_is_safe(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    said = on_small_disk(
        disk,
        f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from archive_helpers import *
from stream.archive.archive import ArchiveError
from stream.archive.sightings import Query
folder = Path(sys.argv[1]) / "recordings"
with Archive.open(folder, write=True, actor="t") as archive:
    run = archive.begin_run(T0, "1.0", {{}}, {{}})
    kept = 0
    try:
        while True:
            with archive.transaction():
                archive.put_sighting(sighting(run, kept, look=bytes(50000)))
            kept += 1
    except ArchiveError as error:
        print(error)
    print(archive._value("PRAGMA integrity_check"), archive._value("SELECT count(*) FROM sightings") == kept, kept > 3)
    (folder / "ballast").write_bytes(b"")
with Archive.open(folder, actor="t") as archive:
    print(len(archive.sighting(1).look))
""",
    )
    error, sound, look = said.splitlines()
    assert error.endswith(
        "no room left on the disk (database or disk is full), so this was not written; what was written before is safe"
    )
    assert (sound, look) == ("ok True True", "50000")


def test_after_a_full_disk_the_same_archive_goes_on_when_there_is_room(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    said = on_small_disk(
        disk,
        f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from archive_helpers import *
from stream.archive.archive import ArchiveError
folder = Path(sys.argv[1]) / "recordings"
with Archive.open(folder, write=True, actor="t") as archive:
    run = archive.begin_run(T0, "1.0", {{}}, {{}})
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            pass
    failed = 0
    for attempt in range(200):
        try:
            archive.put_sighting(sighting(run, attempt, look=bytes(20000)))
        except ArchiveError:
            failed += 1
            ballast.unlink(missing_ok=True)
        if failed and not ballast.exists():
            break
    archive.put_sighting(sighting(run, 500, look=bytes(20000)))
    print(failed, archive._value("PRAGMA integrity_check"), len(archive.changed_since(0)) >= 1)
""",
    )
    assert said.split() == ["1", "ok", "True"]


def test_on_a_disk_that_cannot_be_written_it_is_read_and_says_why_it_is_not_written(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    said = on_small_disk(
        disk,
        f"""
import subprocess, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from archive_helpers import *
from stream.archive.archive import ArchiveError
from stream.archive.sightings import Query
disk = sys.argv[1]
folder = Path(disk) / "recordings"
with Archive.open(folder, write=True, actor="t") as archive:
    run = archive.begin_run(T0, "1.0", {{}}, {{}})
    archive.add_frames(run, "door", [frame(n, (face(),)) for n in range(30)])
    archive.put_sighting(sighting(run, look=b"jpeg"))
subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
with Archive.open(folder, actor="t") as archive:
    print(archive.read_only, archive.sightings(Query())[0].person, archive.sighting(1).look,
          len(list(archive.frames("door", 0, 2 * T0))))
    try:
        archive.erase_person("Ada Lovelace")
    except ArchiveError as error:
        print(error)
try:
    Archive.open(folder, write=True)
except ArchiveError as error:
    print(error)
""",
    )
    read, erase, write = said.splitlines()
    assert read == "True Ada Lovelace b'jpeg' 30"
    assert erase.endswith("cannot be written here (read-only), so nothing was changed")
    assert "cannot be" in write


@pytest.mark.parametrize("harm", ["text", "truncated", "empty", "overwritten", "missing"])
def test_a_damaged_database_is_set_aside_and_the_footage_read_in_again(folder: Path, harm: str) -> None:
    fill(folder)
    real = [record(folder, at_ns=T0 + n * 100 * SECOND) for n in range(2)]
    path = folder / FILE
    data = path.read_bytes()
    harmed = {
        "text": b"this is no database at all " * 200,
        "truncated": data[: len(data) // 2],
        "empty": b"",
        "overwritten": data[:8192] + os.urandom(len(data) - 8192),
        "missing": None,
    }[harm]
    path.unlink() if harmed is None else path.write_bytes(harmed)
    with Archive.open(folder, write=True) as archive:
        damage, done, *_ = archive.notes
        assert "what was seen, searched and protected before is lost" in damage
        assert done == "2 segments had no row in the archive and came into it"
        segments = archive.segments("door")
        assert [archive.folder / s.path for s in segments] == real
        for number, segment in enumerate(segments):
            assert segment.began_ns == pytest.approx(T0 + number * 100 * SECOND, abs=1000)
            assert segment.ended_ns == pytest.approx(segment.began_ns + 59 * 40_000_000, abs=2000)
            assert (segment.codec, segment.width, segment.height) == ("h264", 160, 96)
            assert (segment.frames, segment.complete, segment.bytes) == (
                60,
                True,
                real[number].stat().st_size,
            )
        place = archive.seek("door", T0 + 101 * SECOND)
        assert place is not None
        assert place.wall_ns == pytest.approx(T0 + 101 * SECOND, abs=600_000_000)
        archive.put_sighting(sighting(1))
    aside = list(folder.glob(f"{FILE}.damaged-*"))
    assert [p.read_bytes() for p in aside] == ([harmed] if harmed else [])
    with Archive.open(folder, write=True) as archive:
        assert archive.notes == ()
        assert archive.sightings(Query())[0].person == ADA


def test_damage_that_shows_only_later_is_said_and_mended_when_it_is_next_opened(folder: Path) -> None:
    fill(folder)
    record(folder)
    with Archive.open(folder, write=True) as archive:
        for track in range(200):
            archive.put_sighting(sighting(1, track, look=os.urandom(9000)))
    path = folder / FILE
    data = bytearray(path.read_bytes())
    with sqlite3.connect(path) as raw:
        root = raw.execute("SELECT rootpage FROM sqlite_master WHERE name = 'chunks'").fetchone()[0]
        size = raw.execute("PRAGMA page_size").fetchone()[0]
    raw.close()
    with Archive.open(folder) as reader:
        data[(root - 1) * size : root * size] = os.urandom(size)
        path.write_bytes(data)
        with pytest.raises(
            ArchiveDamaged, match=r"is damaged or not an archive \(.*\); it was left as it is"
        ):
            list(reader.frames("door", 0, 2 * T0))
    with Archive.open(folder, write=True) as archive:
        assert len(archive.segments("door")) == 1
        assert "set aside" not in archive.notes[0]
        assert "damaged-" in archive.notes[0]


def test_a_recorder_that_loses_its_database_goes_on_with_the_file_it_is_writing(folder: Path) -> None:
    fill(folder)
    path = record(folder)
    (folder / FILE).write_bytes(b"this is no database at all " * 200)
    with Archive.open(folder, write=True) as archive:
        assert [s.run for s in archive.segments("door")] == [0]
        run = archive.begin_run(T0, "1.0", {}, {})
        segment = archive.begin_segment(
            camera="door",
            run=run,
            connection=T0,
            path=str(path.relative_to(folder)),
            codec="h264",
            width=160,
            height=96,
            began_ns=T0,
            began_media_ns=7 * SECOND,
        )
        assert [(s.id, s.run, s.connection) for s in archive.segments("door")] == [(segment, run, T0)]


def test_reindex_takes_in_every_file_and_removes_those_without_footage(folder: Path) -> None:
    with Archive.open(folder, write=True):
        pass
    kept = record(folder)
    cut = record(folder, at_ns=T0 + 100 * SECOND)
    cut.write_bytes(cut.read_bytes()[:-300])
    empty = kept.with_name("101010-000Z.mp4")
    empty.write_bytes(kept.read_bytes()[:400])
    foreign = folder / "door" / "holiday.mp4"
    foreign.write_bytes(b"not ours")
    torn = record(folder, at_ns=T0 + 200 * SECOND)
    torn.write_bytes(bytes(600) + torn.read_bytes()[600:])
    said = Archive.reindex(folder)
    assert said == (
        "3 segments had no row in the archive and came into it",
        "1 segment held no footage and were removed",
    )
    with Archive.open(folder) as archive:
        assert {folder / s.path: s.complete for s in archive.segments()} == {
            kept: True,
            cut: False,
            torn: False,
        }
        frames = {folder / s.path: s.frames for s in archive.segments()}
        assert frames[kept] == 60 > frames[cut] > 0
    assert foreign.exists()
    assert not empty.exists()
    assert Archive.reindex(folder) == ()


def test_without_its_key_nothing_is_read_and_nothing_changed(folder: Path) -> None:
    fill(folder)
    before = (folder / FILE).read_bytes()
    key = (folder / KEY).read_bytes()
    (folder / KEY).unlink()
    with pytest.raises(
        ArchiveError, match=r"archive\.key: the archive's key is missing; without it nobody in it"
    ):
        Archive.open(folder)
    (folder / KEY).write_bytes(os.urandom(32))
    (folder / KEY).chmod(0o600)
    with pytest.raises(ArchiveError, match=r"archive\.key: is not the key of .*; nothing was changed"):
        Archive.open(folder, write=True)
    (folder / KEY).write_bytes(key)
    assert (folder / FILE).read_bytes() == before
    with Archive.open(folder) as archive:
        assert archive.sighting(1).person == ADA


def test_a_folder_without_an_archive_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=r"there is no archive here \(archive\.sqlite3 is missing\)"):
        Archive.open(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_older_schema_is_brought_to_the_newest_with_everything_in_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = fill(folder)
    newer = (
        *database_file.MIGRATIONS,
        ("ALTER TABLE segments ADD COLUMN place TEXT NOT NULL DEFAULT 'here'",),
    )
    monkeypatch.setattr(database_file, "MIGRATIONS", newer)
    with Archive.open(folder) as archive:
        assert archive._value("PRAGMA user_version") == len(newer)
        assert archive._value("SELECT place FROM segments") == "here"
        assert archive.sighting(identity).person == ADA
    monkeypatch.undo()
    for write in (False, True):
        with pytest.raises(
            ArchiveError,
            match=rf"its schema has version {len(newer)}, this program reads 0 to {len(newer) - 1}; it was left",
        ):
            Archive.open(folder, write=write)
    assert list(folder.glob("*damaged*")) == []


def test_a_migration_that_fails_leaves_the_file_as_it_was(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = fill(folder)
    wrong = (
        "ALTER TABLE segments ADD COLUMN place TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE nowhere ADD COLUMN x",
    )
    with monkeypatch.context() as patch:
        patch.setattr(database_file, "MIGRATIONS", (*database_file.MIGRATIONS, wrong))
        with pytest.raises(ArchiveError, match=r"no such table: nowhere; nothing was changed"):
            Archive.open(folder, write=True)
    with Archive.open(folder, write=True) as archive:
        assert archive.sighting(identity).person == ADA


def test_an_altered_log_is_noticed(folder: Path) -> None:
    fill(folder)
    with Archive.open(folder) as archive:
        for _ in range(3):
            archive.sightings(Query())
        assert archive.audit.verify() == 3
    raw = sqlite3.connect(folder / FILE)
    raw.execute("DROP TRIGGER audit_stays")
    raw.execute("DELETE FROM audit WHERE sequence = 2")
    raw.commit()
    raw.close()
    with Archive.open(folder) as archive, pytest.raises(AuditError, match=r"line 2 is missing"):
        archive.audit.verify()


def test_a_sealed_field_that_was_moved_to_another_row_is_not_believed(folder: Path) -> None:
    fill(folder)
    with Archive.open(folder, write=True) as archive:
        archive.put_sighting(sighting(1, 8))
        with archive.transaction():
            archive._write(
                "UPDATE sightings SET sealed = (SELECT sealed FROM sightings WHERE id = 1) WHERE id = 2"
            )
        with pytest.raises(ArchiveError, match=r"sealed with another key, moved, or damaged"):
            archive.sighting(2)


def test_a_writer_that_finds_the_archive_taken_waits_its_turn(folder: Path) -> None:
    fill(folder)
    with Archive.open(folder, write=True) as one, Archive.open(folder, write=True) as other:
        began = threading.Event()

        def hold() -> None:
            with one.transaction():
                one.put_sighting(sighting(1, 20))
                began.set()
                time.sleep(0.3)  # how long the other must wait, not what the test waits for

        holder = threading.Thread(target=hold)
        holder.start()
        assert began.wait(5)
        other.put_sighting(sighting(1, 21))
        holder.join(5)
        assert {s.track for s in other.sightings(Query())} == {1, 20, 21}
