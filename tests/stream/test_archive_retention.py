"""What expires: oldest first, all that belongs together, and never what is protected."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from archive_helpers import (
    DAY,
    HOUR,
    SECOND,
    SPACE,
    T0,
    Clock,
    embedding,
    face,
    frame,
    put_segment,
    record,
    sighting,
)

from stream.archive.archive import Archive, Retired
from stream.archive.footage import Span
from stream.archive.incidents import Event
from stream.archive.sightings import Query
from stream.config import Recording


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def archive(tmp_path: Path, clock: Clock) -> Iterator[Archive]:
    with Archive.open(tmp_path / "recordings", write=True, clock_ns=clock) as opened:
        opened.begin_run(T0, "1.0", {}, {})
        yield opened


def keep(**changed: float) -> Recording:
    return Recording(**{"keep_days": 3650.0, "keep_gb": 1000.0, "keep_free_gb": 0.0, **changed})


def put_minute(
    archive: Archive, clock: Clock, camera: str, at_ns: int, size: int = 1000
) -> tuple[int, int, int]:
    """A segment with a frame, a sighting with pictures and an event, all written when they were seen."""
    clock.now_ns = at_ns + 10 * SECOND
    segment = put_segment(archive, 1, camera=camera, at_ns=at_ns, size=size)
    archive.add_frames(1, camera, [frame(0, (face(),), at_ns=at_ns + SECOND)])
    seen = archive.put_sighting(
        sighting(
            1,
            at_ns // SECOND % 10**6,
            camera=camera,
            first_ns=at_ns + SECOND,
            last_ns=at_ns + 2 * SECOND,
            look=b"look",
            embedding=embedding(1).tobytes(),
            space=SPACE,
        )
    )
    event = archive.put_event(
        Event(rule="r", camera=camera, run=1, at_ns=at_ns + SECOND, sighting=seen), ("hook",)
    )
    archive.delivered(archive.deliveries(event)[0].id, at_ns + SECOND)
    return segment, seen, event


def left(archive: Archive) -> dict[str, int]:
    """How many rows there are of each kind, and how many files."""
    tables = ("segments", "clocks", "chunks", "sightings", "pictures", "embeddings", "events", "deliveries")
    counts = {table: archive._value(f"SELECT count(*) FROM {table}") for table in tables}
    return {**counts, "files": len(list(archive.folder.glob("*/*/*.mp4")))}


def test_what_is_too_old_goes_with_all_that_belongs_to_it(archive: Archive, clock: Clock) -> None:
    for hour in range(4):
        for camera in ("door", "yard"):
            put_minute(archive, clock, camera, T0 + hour * HOUR)
    now = T0 + 2 * DAY + HOUR + HOUR // 2
    done = archive.retire(now, keep(keep_days=2))
    assert done == Retired(4, 4000, 4, 4, 4, ())
    assert left(archive) == dict.fromkeys(left(archive), 4)
    assert {s.began_ns for s in archive.segments()} == {T0 + 2 * HOUR, T0 + 3 * HOUR}
    assert archive.retire(now, keep(keep_days=2)) == Retired(0, 0, 0, 0, 0, ())


def test_when_there_is_too_much_the_oldest_of_all_cameras_go(archive: Archive, clock: Clock) -> None:
    for number in range(6):
        put_minute(archive, clock, "door" if number % 2 else "yard", T0 + number * HOUR, size=1_000_000)
    rows = archive.room_taken() - 6_000_000
    done = archive.retire(T0 + 7 * HOUR, keep(keep_gb=(rows + 3_500_000) / 1e9))
    assert (done.segments, done.bytes, done.chunks, done.sightings, done.events) == (3, 3_000_000, 3, 3, 3)
    assert sorted(s.began_ns for s in archive.segments()) == [T0 + n * HOUR for n in (3, 4, 5)]
    assert left(archive)["files"] == 3


def test_when_the_disk_has_too_little_room_the_oldest_go(
    archive: Archive, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        put_minute(archive, clock, "door", T0 + number * HOUR, size=1_000_000)
    disk = os.statvfs(archive.folder)
    free_gb = disk.f_bavail * disk.f_frsize / 1e9
    done = archive.retire(T0 + 5 * HOUR, keep(keep_free_gb=free_gb + 1000))
    assert done.segments == 4
    assert left(archive)["files"] == 0
    again = archive.retire(T0 + 5 * HOUR, keep(keep_free_gb=free_gb + 1000))
    assert len(again.notes) == 1
    assert "all that is left is protected, new, or not of Unvizard" in again.notes[0]


@pytest.mark.parametrize("what", ["segment", "sighting", "span", "span of all cameras"])
def test_what_is_protected_stays_with_its_footage_until_it_is_released(
    archive: Archive, clock: Clock, what: str
) -> None:
    segment, seen, event = put_minute(archive, clock, "door", T0)
    put_minute(archive, clock, "yard", T0 + HOUR)
    protected = {
        "segment": archive.segment(segment),
        "sighting": archive.sighting(seen),
        "span": Span(T0 + SECOND, T0 + SECOND + 1, "door"),
        "span of all cameras": Span(T0, T0 + 11 * SECOND),
    }[what]
    archive.protect(protected)
    done = archive.retire(T0 + 10 * DAY, keep(keep_days=1))
    assert (done.segments, done.chunks, done.sightings, done.events) == (1, 1, 1, 1)
    assert [s.id for s in archive.segments()] == [segment]
    assert archive.sighting(seen).look == b"look"
    assert archive.event(event) is not None
    assert len(list(archive.frames("door", T0, T0 + HOUR))) == 1
    archive.protect(protected, on=False)
    assert archive.retire(T0 + 10 * DAY, keep(keep_days=1)).segments == 1
    assert set(left(archive).values()) == {0}


def test_the_segment_that_is_being_written_stays_and_one_that_was_cut_off_does_not(
    archive: Archive, clock: Clock
) -> None:
    clock.now_ns = T0
    put_segment(archive, 1, at_ns=T0 - HOUR, complete=False)
    clock.now_ns = T0 + 9 * DAY
    written = put_segment(archive, 1, at_ns=T0 + 9 * DAY, complete=False, size=10_000_000)
    done = archive.retire(T0 + 9 * DAY + SECOND, keep(keep_gb=0.001))
    assert done.segments == 1
    assert [s.id for s in archive.segments()] == [written]


def test_a_camera_whose_clock_is_years_off_keeps_its_footage_as_long_as_the_others(
    archive: Archive, clock: Clock
) -> None:
    for at_ns, camera in ((SECOND, "past"), (T0 + 3650 * DAY, "future"), (T0, "right")):
        put_minute(archive, clock, camera, at_ns)
    with archive.transaction():
        for table in ("segments", "chunks", "sightings", "events"):
            archive._write(f"UPDATE {table} SET written_ns = ?", (T0,))
    assert archive.retire(T0 + DAY, keep(keep_days=2)) == Retired(0, 0, 0, 0, 0, ())
    done = archive.retire(T0 + 3 * DAY, keep(keep_days=2))
    assert (done.segments, done.chunks, done.sightings, done.events) == (3, 3, 3, 3)


def test_an_event_that_somebody_has_still_to_be_told_of_stays_until_it_is_too_old(
    archive: Archive, clock: Clock
) -> None:
    put_minute(archive, clock, "door", T0, size=1_000_000)
    waiting = archive.put_event(Event(rule="r", camera="door", run=1, at_ns=T0), ("hook",))
    put_minute(archive, clock, "door", T0 + HOUR, size=1_000_000)
    done = archive.retire(T0 + 2 * HOUR, keep(keep_gb=0.0000001))
    assert done.segments == 2
    assert [e.id for e in archive.events()] == [waiting]
    archive.retire(T0 + 4 * DAY, keep(keep_days=2))
    assert archive.events() == []


def test_without_footage_the_oldest_of_what_was_seen_goes_when_there_is_too_much(
    archive: Archive, clock: Clock
) -> None:
    for hour in range(10):
        clock.now_ns = T0 + hour * HOUR
        archive.put_sighting(
            sighting(1, hour, first_ns=clock.now_ns, last_ns=clock.now_ns + SECOND, look=bytes(90_000))
        )
    for _ in range(20):
        archive.retire(T0 + 12 * HOUR, keep(keep_gb=0.0006))
    kept = [s.track for s in archive.sightings(Query(newest_first=False))]
    assert 2 <= len(kept) <= 6
    assert kept == list(range(10 - len(kept), 10))


def test_room_goes_back_to_the_disk(archive: Archive, clock: Clock) -> None:
    for number in range(100):
        archive.put_sighting(sighting(1, number, look=bytes(100_000)))
    archive._rows("PRAGMA wal_checkpoint(TRUNCATE)")
    before = (archive.folder / "archive.sqlite3").stat().st_size
    for _ in range(4):
        archive.retire(T0 + 9 * DAY, keep(keep_days=1))
    archive._rows("PRAGMA wal_checkpoint(TRUNCATE)")
    assert before > 10_000_000
    assert (archive.folder / "archive.sqlite3").stat().st_size < 1_000_000


def test_empty_folders_go_with_the_last_of_their_files(archive: Archive, clock: Clock) -> None:
    put_minute(archive, clock, "door", T0)
    archive.retire(T0 + 9 * DAY, keep(keep_days=1))
    assert not (archive.folder / "door").exists()


def test_a_row_whose_file_is_gone_goes_and_a_file_without_a_row_comes_in(
    archive: Archive, clock: Clock
) -> None:
    gone, _, _ = put_minute(archive, clock, "door", T0)
    kept, _, _ = put_minute(archive, clock, "door", T0 + HOUR)
    (archive.folder / archive.segment(gone).path).unlink()
    settled, begun = record(archive.folder, "yard", T0), record(archive.folder, "yard", T0 + 100 * SECOND)
    os.utime(settled, ns=(T0, T0))
    os.utime(begun, ns=(T0 + 2 * HOUR, T0 + 2 * HOUR))
    done = archive.retire(T0 + 2 * HOUR + SECOND, keep())
    assert done.notes == (
        "1 segment had no file any more and left the archive",
        "1 segment had no row in the archive and came into it",
    )
    assert [s.id for s in archive.segments("door")] == [kept]
    assert [archive.folder / s.path for s in archive.segments("yard")] == [settled]
    assert archive.retire(T0 + 2 * HOUR + 3 * SECOND, keep()).notes == ()
    assert archive.retire(T0 + 4 * HOUR, keep()).notes == (
        "1 segment had no row in the archive and came into it",
    )


def test_a_file_that_cannot_be_deleted_keeps_its_row_and_is_said(archive: Archive, clock: Clock) -> None:
    segment, _, _ = put_minute(archive, clock, "door", T0)
    path = archive.folder / archive.segment(segment).path
    path.unlink()
    path.mkdir()  # cannot be unlinked, by root neither
    archive.reconcile_hourly(T0 + 9 * DAY)
    with archive.transaction():
        archive._write(
            "UPDATE segments SET path = ? WHERE id = ?", (str(path.relative_to(archive.folder)), segment)
        )
    done = archive.retire(T0 + 9 * DAY, keep(keep_days=1))
    assert done.segments == 0
    assert len(done.notes) == 1
    assert "cannot be deleted: Is a directory" in done.notes[0]
    assert [s.id for s in archive.segments()] == [segment]
