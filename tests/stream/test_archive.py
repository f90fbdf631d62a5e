"""What is put into an archive comes out of it, exactly, and only for who has the key."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from archive_helpers import (
    ADA,
    DAY,
    EPOCH,
    GRACE,
    HOUR,
    SECOND,
    SPACE,
    STEP,
    T0,
    Clock,
    embedding,
    face,
    frame,
    put_segment,
    sighting,
)

from engines.masks.state import MaskState
from engines.recognition.audit import Action
from stream.archive.archive import Archive, ArchiveError
from stream.archive.footage import Span
from stream.archive.incidents import Event
from stream.archive.sightings import Query
from stream.messages import Candidate, annotation_hash


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "recordings"


@pytest.fixture
def archive(folder: Path) -> Iterator[Archive]:
    with Archive.open(folder, write=True, actor="tester", clock_ns=Clock()) as opened:
        opened.begin_run(T0, "1.0", {}, {})
        yield opened


def test_a_run_keeps_its_settings_without_passwords(archive: Archive) -> None:
    settings = {
        "cameras": [{"name": "door", "url": "rtsp://ada:hush@camera/stream"}],
        "events": {"mqtt": [{"host": "broker", "password": "hush"}], "web_hooks": [{"secret": "hush"}]},
        "recording": {"keep_days": 30.0},
    }
    run = archive.begin_run(T0 + 1, "1.1", settings, {"sface": {"backend": "openvino"}})
    archive.end_run(run, T0 + 9)
    kept = archive.runs()[-1]
    assert (kept.id, kept.began_ns, kept.ended_ns, kept.version) == (run, T0 + 1, T0 + 9, "1.1")
    assert kept.settings == {
        "cameras": [{"name": "door", "url": "rtsp://***@camera/stream"}],
        "events": {"mqtt": [{"host": "broker", "password": "***"}], "web_hooks": [{"secret": "***"}]},
        "recording": {"keep_days": 30.0},
    }
    assert kept.engines == {"sface": {"backend": "openvino"}}


def test_segments_are_found_by_the_time_they_hold(archive: Archive) -> None:
    first, second, other = (
        put_segment(archive, 1, at_ns=T0),
        put_segment(archive, 1, at_ns=T0 + 20 * SECOND, media_ns=20 * SECOND, complete=False),
        put_segment(archive, 1, camera="yard", at_ns=T0),
    )
    assert [s.id for s in archive.segments()] == [first, second, other]
    assert [s.id for s in archive.segments("door", T0 + 5 * SECOND, T0 + 6 * SECOND)] == [first]
    assert [s.id for s in archive.segments(None, T0 + 5 * SECOND, T0 + 25 * SECOND)] == [first, second, other]
    assert archive.segments("door", T0 + 12 * SECOND, T0 + 20 * SECOND) == []
    segment = archive.segment(second)
    assert (segment.began_ns, segment.ended_ns) == (T0 + 20 * SECOND, T0 + 30 * SECOND - STEP)
    assert (segment.began_media_ns, segment.ended_media_ns) == (20 * SECOND, 30 * SECOND - STEP)
    assert (segment.frames, segment.bytes, segment.complete, segment.protected) == (250, 1000, False, False)
    assert archive.segment(first).complete
    with pytest.raises(ArchiveError, match=r"segment 99: is not in the archive"):
        archive.segment(99)
    with pytest.raises(ArchiveError, match=r"is in the archive already"):
        put_segment(archive, 1, at_ns=T0)


@pytest.mark.parametrize("complete", [False, True])
def test_a_time_is_found_in_its_segment_to_the_packet(archive: Archive, complete: bool) -> None:
    first = put_segment(archive, 1, at_ns=T0, complete=complete)
    second = put_segment(archive, 1, at_ns=T0 + 20 * SECOND, media_ns=3 * SECOND, complete=complete)
    for at_ns, segment, offset in (
        (T0, first, 0),
        (T0 + 7 * STEP, first, 7 * STEP),
        (T0 + 8 * STEP - 1, first, 7 * STEP),
        (T0 + 10 * SECOND - STEP, first, 10 * SECOND - STEP),
        (T0 - SECOND, first, 0),
        (T0 + 15 * SECOND, second, 0),
        (T0 + 23 * SECOND + STEP // 2, second, 3 * SECOND),
    ):
        place = archive.seek("door", at_ns)
        assert place is not None
        assert (place.segment.id, place.offset_ns) == (segment, offset)
    assert archive.seek("door", T0 + HOUR) is None
    assert archive.seek("yard", T0) is None
    assert archive.clock(second)[:2] == [
        (3 * SECOND, T0 + 20 * SECOND),
        (3 * SECOND + STEP, T0 + 20 * SECOND + STEP),
    ]
    assert len(archive.clock(second)) == 250


def test_frames_come_out_as_they_went_in(archive: Archive) -> None:
    frames = [frame(n, (face(track=n),)) for n in range(60)]
    for start in range(0, 60, 17):
        archive.add_frames(1, "door", frames[start : start + 17])
    assert list(archive.frames("door", T0, T0 + HOUR)) == frames
    assert all(f.hash == annotation_hash(f.faces) for f in archive.frames("door", T0, T0 + HOUR))
    assert list(archive.frames("door", T0 + 5 * STEP, T0 + 40 * STEP)) == frames[5:40]
    assert list(archive.frames("yard", T0, T0 + HOUR)) == []


def test_the_frames_of_a_segment_are_its_own_although_the_clock_was_set_back(archive: Archive) -> None:
    early = put_segment(archive, 1, at_ns=T0, seconds=4)
    late = put_segment(archive, 1, at_ns=T0 + SECOND, seconds=2, media_ns=4 * SECOND)
    before = [frame(n) for n in range(100)]
    after = [frame(n, wall_ns=T0 + SECOND + (n - 100) * STEP) for n in range(100, 150)]
    archive.add_frames(1, "door", before + after)
    assert list(archive.frames_of(archive.segment(early))) == before
    assert list(archive.frames_of(archive.segment(late))) == after
    assert sorted(f.sequence for f in archive.frames("door", T0, T0 + HOUR)) == list(range(1, 151))


def test_steps_are_given_back_in_the_order_in_which_inference_took_them(archive: Archive) -> None:
    later = EPOCH - HOUR  # a process that was started after the clock had been set back
    seen = {
        ("door", EPOCH): [1, 2, 4, 70],
        ("yard", EPOCH): [2, 3, 4, 5],
        ("door", later): [1, 2],
    }
    for (camera, epoch), steps in seen.items():
        archive.add_frames(1, camera, [frame(step, epoch=epoch, step=step) for step in steps])
    archive.add_frames(2, "door", [frame(1)])
    told = [[(camera, f.epoch, f.step) for camera, f in batch] for batch in archive.steps(1)]
    assert told == [
        [("door", EPOCH, 1)],
        [("door", EPOCH, 2), ("yard", EPOCH, 2)],
        [("yard", EPOCH, 3)],
        [("door", EPOCH, 4), ("yard", EPOCH, 4)],
        [("yard", EPOCH, 5)],
        [("door", EPOCH, 70)],
        [("door", later, 1)],
        [("door", later, 2)],
    ]
    within = [f.step for batch in archive.steps(1, T0 + 4 * STEP, T0 + 60 * STEP) for _, f in batch]
    assert within == [4, 4, 5]


def test_a_sighting_is_kept_once_and_brought_up_to_date(archive: Archive) -> None:
    first = sighting(1, person=None, decision="undecided", candidates=(), probability=None, look=b"early")
    identity = archive.put_sighting(first)
    face_of = embedding(1).tobytes()
    again = archive.put_sighting(
        sighting(
            1,
            last_ns=T0 + 60 * SECOND,
            embedding=face_of,
            space=SPACE,
            original=b"png",
            reconstruction=b"marked",
        )
    )
    assert again == identity
    kept = archive.sighting(identity)
    assert (kept.first_ns, kept.last_ns, kept.person, kept.decision) == (
        T0 + SECOND,
        T0 + 60 * SECOND,
        ADA,
        "person",
    )
    assert (kept.look, kept.original, kept.reconstruction) == (b"early", b"png", b"marked")
    assert (kept.embedding, kept.space, kept.masked) == (face_of, SPACE, True)
    assert kept.candidates == sighting(1).candidates
    assert kept.versions == {"gallery": 3, "generator": "abc"}
    (light,) = archive.sightings(Query())
    assert (light.id, light.look, light.embedding, light.person) == (identity, b"", b"", ADA)
    assert [s.id for s in archive.changed_since(0)] == [identity]
    assert archive.changed_since(light.revision) == []
    with pytest.raises(ArchiveError, match=r"sighting 77: is not in the archive"):
        archive.sighting(77)


def test_sightings_are_found_by_person_mask_camera_decision_and_time(archive: Archive) -> None:
    ada = archive.put_sighting(sighting(1, 1))
    nobody = archive.put_sighting(
        sighting(
            1, 2, person=None, decision="nobody", mask=MaskState.NONE, candidates=(Candidate(ADA, 0.2, {}),)
        )
    )
    yard = archive.put_sighting(sighting(1, 3, camera="yard", person=GRACE, mask=MaskState.WORN_WRONGLY))
    long = archive.put_sighting(sighting(1, 4, first_ns=T0 - HOUR, last_ns=T0 + HOUR, mask=None))

    def found(query: Query) -> list[int]:
        return [s.id for s in archive.sightings(query)]

    assert found(Query()) == [yard, nobody, ada, long]
    assert found(Query(newest_first=False)) == [long, ada, nobody, yard]
    assert found(Query(limit=2, offset=1)) == [nobody, ada]
    assert found(Query(person="  ada LOVELACE")) == [ada, long]
    assert found(Query(decision="nobody")) == [nobody]
    assert found(Query(masks=(MaskState.WORN, MaskState.WORN_WRONGLY))) == [yard, ada]
    assert found(Query(cameras=("yard", "roof"))) == [yard]
    assert found(Query(from_ns=T0 + 8 * SECOND)) == [yard, long]
    assert found(Query(from_ns=T0 + 7 * SECOND, to_ns=T0 + 3 * SECOND)) == [nobody, long]
    assert found(Query(to_ns=T0 + SECOND)) == [long]


def test_a_face_finds_the_sightings_that_look_like_it_and_those_that_were_added_since(
    archive: Archive,
) -> None:
    ids = [
        archive.put_sighting(
            sighting(1, n, camera=f"c{n % 2}", embedding=embedding(n).tobytes(), space=SPACE)
        )
        for n in range(1, 31)
    ]
    archive.put_sighting(sighting(1, 40, embedding=embedding(5).tobytes(), space="another space"))
    found = archive.like(embedding(5) * 3, SPACE, limit=4)
    exact = sorted(((float(embedding(n) @ embedding(5)), ids[n - 1]) for n in range(1, 31)), reverse=True)[:4]
    assert [s.id for s, _ in found] == [identity for _, identity in exact]
    assert [score for _, score in found] == pytest.approx([score for score, _ in exact], abs=1e-5)
    assert {s.camera for s, _ in archive.like(embedding(5), SPACE, Query(cameras=("c0",)), 30)} == {"c0"}
    later = archive.put_sighting(sighting(1, 50, embedding=embedding(5).tobytes(), space=SPACE))
    archive.put_sighting(sighting(1, 5, camera="c1", embedding=embedding(99).tobytes(), space=SPACE))
    (best, similarity), *_ = archive.like(embedding(5), SPACE, limit=1)
    assert (best.id, similarity) == (later, pytest.approx(1.0))
    assert archive.like(embedding(99), SPACE, limit=1)[0][0].id == ids[4]
    with pytest.raises(
        ArchiveError, match=r"embedding: must have 128 dimensions, as those of its space .*, found 3"
    ):
        archive.like(embedding(1)[:3], SPACE)
    for bad in (embedding(1) * 0, embedding(1) * np.nan, embedding(1)[None]):
        with pytest.raises(ArchiveError, match=r"embedding: must be a finite vector that is not 0, found \["):
            archive.like(bad, SPACE)


def test_embedders_of_other_dimensions_are_searched_beside_each_other(archive: Archive) -> None:
    wide = np.concatenate([embedding(n) for n in (1, 2, 3, 4)])
    old = archive.put_sighting(sighting(1, 1, embedding=embedding(1).tobytes(), space=SPACE))
    new = archive.put_sighting(sighting(1, 2, embedding=wide.tobytes(), space="wide"))
    assert [(s.id, score) for s, score in archive.like(embedding(1), SPACE)] == [(old, pytest.approx(1))]
    assert [(s.id, score) for s, score in archive.like(wide, "wide")] == [(new, pytest.approx(1))]
    assert archive.like(wide, "nobody was seen in this one") == []
    archive.put_sighting(sighting(1, 3, embedding=embedding(1).tobytes(), space="wide"))
    with pytest.raises(
        ArchiveError,
        match="embeddings of wide: must all have the same number of dimensions, found 128 and 512",
    ):
        archive.like(wide, "wide")


def test_the_timeline_counts_every_sighting_once_in_the_bin_in_which_it_began(archive: Archive) -> None:
    for n in range(40):
        kind = {"person": None, "decision": "nobody", "mask": MaskState.NONE} if n % 4 else {}
        archive.put_sighting(
            sighting(1, n, camera="door" if n % 2 else "yard", first_ns=T0 + n * SECOND, **kind)
        )
    told = archive.timeline(T0, T0 + 40 * SECOND, bins=4)
    assert told.counts["yard"] == {
        "person": [3, 2, 3, 2],
        "nobody": [2, 3, 2, 3],
        "undecided": [0, 0, 0, 0],
        "masked": [3, 2, 3, 2],
    }
    assert told.counts["door"]["nobody"] == [5, 5, 5, 5]
    assert archive.timeline(T0 + 5 * SECOND, T0 + 6 * SECOND, ("door",), 1).counts == {
        "door": {"person": [0], "nobody": [1], "undecided": [0], "masked": [0]}
    }
    with pytest.raises(ArchiveError, match=r"timeline: must end after it begins"):
        archive.timeline(T0, T0)
    month = archive.timeline(T0 - 30 * DAY, T0 + 30 * DAY, bins=10_000)
    assert sum(map(sum, (month.counts[c][k] for c in ("door", "yard") for k in ("person", "nobody")))) == 40


def test_events_and_their_deliveries_are_kept_until_somebody_took_them(archive: Archive) -> None:
    event = Event(
        rule="door-at-night", camera="door", run=1, at_ns=T0, sighting=4, data=b"\0picture", people=(ADA,)
    )
    identity = archive.put_event(event, ("hook", "broker"))
    kept = archive.event(identity)
    assert kept is not None
    assert (kept.rule, kept.data, kept.people, kept.sighting) == ("door-at-night", b"\0picture", (ADA,), 4)
    assert [e.id for e in archive.events(rule="door-at-night", from_ns=T0, to_ns=T0 + 1)] == [identity]
    assert archive.events(rule="another") == archive.events(cameras=("yard",)) == []
    hook, broker = archive.open_delivery("hook"), archive.open_delivery("broker")
    assert hook is not None and broker is not None
    assert (hook.event, hook.attempts, hook.next_ns) == (identity, 0, T0)
    archive.put_off(hook.id, T0 + 5 * SECOND, "refused")
    archive.delivered(broker.id, T0 + 1)
    assert archive.open_delivery("broker") is None
    again = archive.open_delivery("hook")
    assert again is not None
    assert (again.next_ns, again.attempts, again.error) == (T0 + 5 * SECOND, 1, "refused")
    assert [d.target for d in archive.deliveries(identity, open_only=True)] == ["hook"]
    archive.update_event(identity, b"later")
    changed = archive.event(identity)
    assert changed is not None
    assert (changed.data, changed.people) == (b"later", (ADA,))


def test_who_was_seen_lies_nowhere_in_plain_text(folder: Path) -> None:
    with Archive.open(folder, write=True) as archive:
        run = archive.begin_run(T0, "1.0", {"events": {"rules": [{"person": ADA}]}}, {})
        archive.add_frames(run, "door", [frame(n, (face(),)) for n in range(30)])
        face_of = embedding(3).tobytes()
        archive.put_sighting(sighting(run, look=b"this-is-the-look", embedding=face_of, space=SPACE))
        archive.put_event(
            Event(rule="ada-is-here", camera="door", run=run, at_ns=T0, data=ADA.encode(), people=(ADA,))
        )
        archive.sightings(Query(person=ADA))
        files = [path for path in folder.iterdir() if path.is_file()]
        assert {"archive.sqlite3", "archive.sqlite3-wal", "archive.key"} <= {path.name for path in files}
        raw = b"".join(path.read_bytes() for path in files)
        assert b"door" in raw
        for secret in (b"Lovelace", b"ovelace", b"Hopper", b"ada-is", b"this-is-the-look", face_of):
            assert secret not in raw
        assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_searches_and_views_of_a_person_are_in_the_log_without_a_name(folder: Path, archive: Archive) -> None:
    identity = archive.put_sighting(sighting(1, embedding=embedding(1).tobytes(), space=SPACE))
    segment = put_segment(archive, 1)
    with Archive.open(folder, actor="guard") as reader:
        reader.sightings(Query(person=ADA, cameras=("door",)))
        reader.sighting(identity)
        reader.like(embedding(1), SPACE)
        reader.protect(reader.segment(segment))
        reader.protect(reader.segment(segment), on=False)
        reader.log(Action.EXPORTED, ADA, "door, ten seconds")
    entries = list(archive.audit.entries())
    assert [(e.actor, e.action, e.detail) for e in entries] == [
        ("guard", "searched", "cameras door"),
        ("guard", "viewed", f"sighting {identity}"),
        ("guard", "searched", "by a face"),
        ("guard", "protected", f"segment {segment}"),
        ("guard", "released", f"segment {segment}"),
        ("guard", "exported", "door, ten seconds"),
    ]
    assert len({e.person for e in entries if e.person}) == 1
    assert not any("Ada" in str(e) for e in entries)
    assert archive.audit.verify(entries[-1].mark) == 6


def test_what_is_protected_says_so_until_nothing_protects_it(archive: Archive) -> None:
    segment = put_segment(archive, 1)
    other = put_segment(archive, 1, at_ns=T0 + 20 * SECOND)
    identity = archive.put_sighting(sighting(1))
    archive.protect(archive.sighting(identity))
    archive.protect(Span(T0 + 5 * SECOND, T0 + 6 * SECOND))
    assert (archive.segment(segment).protected, archive.segment(other).protected) == (True, False)
    assert archive.sighting(identity).protected
    archive.protect(archive.sighting(identity), on=False)
    assert archive.segment(segment).protected
    assert [target for target, _ in archive.protections()] == [f"span {T0 + 5 * SECOND} {T0 + 6 * SECOND} *"]
    archive.protect(Span(T0 + 5 * SECOND, T0 + 6 * SECOND), on=False)
    assert not archive.segment(segment).protected
    assert not archive.sighting(identity).protected
    with pytest.raises(ArchiveError, match=r"span: must end after it begins"):
        archive.protect(Span(T0, T0))


def test_cameras_are_those_of_which_there_is_anything(archive: Archive) -> None:
    put_segment(archive, 1, camera="b")
    archive.put_sighting(sighting(1, camera="c"))
    archive.add_frames(1, "a", [frame(1)])
    assert archive.cameras() == ["a", "b", "c"]
