"""The gallery on disk: real SQLite files, real corruption, and bytes searched for after erasure."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import stat
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from engines.recognition.audit import AuditError
from engines.recognition.embedder import unit
from engines.recognition.evidence import VIEWS, WHOLE
from engines.recognition.gallery import (
    Gallery,
    GalleryError,
    GallerySnapshot,
    Receipt,
    SightingName,
    Template,
)

SPACE = "sface:0123"


def template(seed: int, space: str = SPACE) -> Template:
    vector = np.random.default_rng(seed).normal(size=128).astype(np.float32)
    return Template({WHOLE: vector / np.linalg.norm(vector)}, space, 0.9, seed.to_bytes(32, "big"))


def with_views(
    seed: int, space: str = SPACE, views_space: str = "twin:1", picture: bytes = b"face"
) -> Template:
    """A template with all views, and a picture that tells its seed."""
    views = unit(np.random.default_rng(seed).normal(size=(len(VIEWS), 128)))
    by_name = dict(zip(VIEWS, views, strict=True))
    return Template(by_name, space, 0.9, seed.to_bytes(32, "big"), views_space, picture + str(seed).encode())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "people" / "gallery.sqlite3"


def fill(path: Path) -> None:
    with Gallery(path) as gallery:
        gallery.add("Ada Lovelace", template(1), "consent", "tester")
        gallery.add("Ada Lovelace", template(2), "consent", "tester")
        gallery.add("Grace Hopper", template(3), "contract", "tester")


def wide(seed: int, dimensions: int, space: str = SPACE) -> Template:
    views = unit(np.random.default_rng(seed).normal(size=(len(VIEWS), dimensions)))
    by_name = dict(zip(VIEWS, views, strict=True))
    return Template(by_name, space, 0.9, seed.to_bytes(32, "big"), "twin:1", b"face" + str(seed).encode())


def test_templates_may_have_any_number_of_dimensions_but_all_of_a_gallery_the_same(path: Path) -> None:
    with Gallery(path) as gallery:
        gallery.add("Ada", wide(1, 512), "consent", "tester")
        gallery.add("Grace", wide(2, 512), "consent", "tester")
        with pytest.raises(
            ValueError, match=r"template: must have 512 dimensions, as the others .*, found 128"
        ):
            gallery.add("Mary", wide(3, 128), "consent", "tester")
        (ada, grace), sighting = gallery.people(), SightingName(1, 2, "door", 3)
        gallery.refute(ada.id, sighting, wide(4, 512).embedding, SPACE, "tester")
        with pytest.raises(
            ValueError, match=r"embedding: must have 512 dimensions, as the others .*, found 128"
        ):
            gallery.refute(grace.id, sighting, wide(4, 128).embedding, SPACE, "tester")
        before = gallery.load(SPACE, "twin:1")
        assert before.complete and before.matrix.shape == (2, 512) and before.refuted.shape == (1, 512)
        first, second = gallery.pictures()
        mixed = {first: wide(5, 256, "other").views, second: wide(6, 128, "other").views}
        with pytest.raises(
            GalleryError, match="must have the same number of dimensions, found 2 different ones"
        ):
            gallery.renew(mixed, "other", "twin:2", "tester")
        after = gallery.load(SPACE, "twin:1")
        assert np.array_equal(after.matrix, before.matrix) and after.version == before.version
        gallery.renew({first: wide(5, 128).views, second: wide(6, 128).views}, "other", "twin:2", "tester")
        small = gallery.load("other", "twin:2")
        assert small.matrix.shape == (2, 128) and small.refuted.shape == (0, 128)
    views = dict(wide(7, 128).views) | {"upper": wide(7, 64).embedding}
    with (
        Gallery(path) as gallery,
        pytest.raises(ValueError, match=r"of as many numbers as whole \[128\], found \[64\]"),
    ):
        gallery.add("Odd", Template(views, "other", 0.9, b"odd", "twin:2"), "consent", "tester")


def test_what_was_enrolled_is_there_after_reopening(path: Path) -> None:
    fill(path)
    with Gallery(path) as gallery:
        ada, grace = gallery.people()
        snapshot = gallery.load(SPACE)
    assert (ada.name, ada.pictures, ada.ground) == ("Ada Lovelace", 2, "consent")
    assert (grace.name, grace.pictures, grace.ground) == ("Grace Hopper", 1, "contract")
    assert snapshot.names == ("Ada Lovelace", "Grace Hopper") and snapshot.owner.tolist() == [0, 0, 1]
    expected = np.stack([template(i).embedding for i in (1, 2, 3)])
    assert np.array_equal(snapshot.matrix, expected) and snapshot.matrix.dtype == np.float32


def test_all_views_and_pictures_are_there_after_reopening_and_sealed_in_the_file(path: Path) -> None:
    with Gallery(path) as gallery:
        ada = gallery.add("Ada", with_views(1), "consent", "tester")
        gallery.add("Ada", template(2), "consent", "tester")
    with Gallery(path) as gallery:
        snapshot = gallery.load(SPACE, "twin:1")
        assert not snapshot.complete  # the second picture has but its whole face
        for view in VIEWS:
            assert np.array_equal(snapshot.views[view][0], with_views(1).views[view])
            assert np.array_equal(snapshot.views[view][1], template(2).embedding)
        assert gallery.picture(ada.id) == b"face1" and list(gallery.pictures().values()) == [b"face1"]
        assert gallery.picture("nobody") is None
        foreign = gallery.load(SPACE, "twin:2")
        assert not foreign.complete and np.array_equal(foreign.views["upper"], foreign.matrix)
    data = path.read_bytes()
    assert b"face1" not in data and with_views(1).views["upper"].tobytes() not in data
    with Gallery(path) as gallery:
        gallery.remove("Ada", "tester")
        assert gallery.pictures() == {}


def test_a_gallery_is_renewed_for_other_embedders_in_one_step(path: Path) -> None:
    with Gallery(path) as gallery, Gallery(path) as watcher:
        for seed in (1, 2):
            gallery.add("Ada", with_views(seed), "consent", "tester")
        assert not gallery.stale(SPACE, "twin:1") and gallery.stale(SPACE, "twin:2")
        assert gallery.stale("sface:new", "twin:1") and gallery.keeps_pictures()
        before, pictures = watcher.version, gallery.pictures()
        made = {t: with_views(10 + int(p[4:]), "sface:new", "twin:2").views for t, p in pictures.items()}
        assert gallery.renew(made, "sface:new", "twin:2", "tester") == 2
        assert watcher.version > before
        snapshot = watcher.load("sface:new", "twin:2")
        assert snapshot.complete and snapshot.space == "sface:new"
        assert {v.tobytes() for v in snapshot.matrix} == {
            with_views(s, "sface:new", "twin:2").embedding.tobytes() for s in (11, 12)
        }
        with pytest.raises(GalleryError, match="were enrolled with the embedder sface:new"):
            gallery.load(SPACE, "twin:1")
        assert [entry.action for entry in gallery.audit.entries()][-1] == "templates renewed"
        gallery.audit.verify()


def test_a_renewal_that_misses_a_picture_changes_nothing_when_the_space_changes(path: Path) -> None:
    with Gallery(path) as gallery:
        gallery.add("Ada", with_views(1), "consent", "tester")
        made = {t: with_views(11, "new", "n").views for t in gallery.pictures()}
        gallery.add("Grace", template(2), "consent", "tester")  # enrolled meanwhile, without a picture
        version = gallery.version
        with pytest.raises(GalleryError, match="1 of its pictures were not kept, or came just now"):
            gallery.renew(made, "new", "n", "tester")
        assert gallery.version == version and gallery.load(SPACE, "twin:1").names == ("Ada", "Grace")
        # Other views of the same space are no obstacle: Grace goes on with what there is of her.
        made = {t: with_views(1, SPACE, "twin:2").views for t in made}
        assert gallery.renew(made, SPACE, "twin:2", "tester") == 1
        assert np.array_equal(gallery.load(SPACE, "twin:2").views["upper"][0], with_views(1).views["upper"])
        # A person removed while the templates were being made stays away.
        gallery.remove("Ada", "tester")
        assert gallery.renew(made, SPACE, "twin:3", "tester") == 0
        assert gallery.load(SPACE, "twin:3").names == ("Grace",)


def test_an_empty_gallery_loads_as_nobody(path: Path) -> None:
    with Gallery(path) as gallery:
        snapshot = gallery.load(SPACE)
    assert snapshot.matrix.shape == GallerySnapshot.empty().matrix.shape and snapshot.ids == ()


def test_files_and_their_folder_are_for_the_owner_alone(path: Path) -> None:
    fill(path)
    with Gallery(path) as gallery:
        gallery.add("Alan Turing", template(4), "consent", "tester")
        for file in path.parent.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_neither_names_nor_templates_can_be_read_from_the_files(path: Path) -> None:
    fill(path)
    data = path.read_bytes()
    for plain in (b"Ada", b"Lovelace", b"consent", template(1).embedding.tobytes(), template(1).digest):
        assert plain not in data


def test_no_byte_of_a_removed_person_is_left_in_any_file(path: Path) -> None:
    fill(path)
    bystander = Gallery(path)  # holds the journal open, as a running pipeline does
    bystander.load()
    columns = "person.id, name, name_mark, template.id, sealed, template.ground, picture_mark"
    raw = sqlite3.connect(path)
    ada, again, grace = raw.execute(
        f"SELECT {columns} FROM person JOIN template ON person = person.id ORDER BY since_wall_ns"
    ).fetchall()
    raw.close()
    assert ada[0] == again[0] != grace[0]  # the random id alone stays, in the log
    erased = [v if isinstance(v, bytes) else v.encode() for v in {*ada[1:], *again[1:]} - {*grace}]
    assert len(erased) == 2 + 2 * 4
    with Gallery(path) as gallery:
        receipt = gallery.remove("ada lovelace", "tester")
        assert receipt.scrubbed and receipt.pictures == 2
        for file in path.parent.iterdir():
            data = file.read_bytes()
            for value in erased:
                for piece in (value[:16], value[-16:]):
                    assert piece not in data, file
        assert [p.name for p in gallery.people()] == ["Grace Hopper"]
        assert gallery.load(SPACE).names == ("Grace Hopper",)
    bystander.close()


def test_erasure_that_a_reader_delays_is_finished_by_the_next_opening(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(path)
    monkeypatch.setattr("engines.recognition.gallery_file._SCRUB_S", 0.0)
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    sealed = reader.execute("SELECT sealed FROM template").fetchall()
    with Gallery(path) as gallery:
        gallery._connection.execute("PRAGMA busy_timeout = 50")
        receipt = gallery.remove("Ada Lovelace", "tester")
        assert not receipt.scrubbed and [p.name for p in gallery.people()] == ["Grace Hopper"]
        reader.execute("COMMIT")
        reader.close()
        with Gallery(path):
            left = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert sum(value[:32] in left for (value,) in sealed) == 1


def test_a_receipt_names_the_line_of_the_log(path: Path) -> None:
    fill(path)
    with Gallery(path) as gallery:
        receipt = gallery.remove("Ada Lovelace", "tester")
        last = list(gallery.audit.entries())[-1]
        assert (last.action, last.person, last.actor, last.detail) == (
            "removed",
            receipt.person,
            "tester",
            "2 pictures",
        )
        assert last.mark == receipt.mark and gallery.audit.verify(receipt.mark) == 4
        assert all("Ada" not in str(entry) for entry in gallery.audit.entries())


def test_removing_an_unknown_name_says_so(path: Path) -> None:
    fill(path)
    with (
        Gallery(path) as gallery,
        pytest.raises(GalleryError, match=r"^Nobody Known: nobody of this name is enrolled$"),
    ):
        gallery.remove("Nobody Known", "tester")


def test_another_process_sees_the_version_rise_and_reads_the_change(path: Path) -> None:
    fill(path)
    with Gallery(path) as watcher:
        before = watcher.version
        context = multiprocessing.get_context("spawn")
        process = context.Process(target=_add_elsewhere, args=(path,))
        process.start()
        process.join(30)
        assert process.exitcode == 0 and watcher.version > before
        assert len(watcher.load(SPACE).ids) == 3


def _add_elsewhere(path: Path) -> None:
    with Gallery(path) as gallery:
        gallery.add("Alan Turing", template(4), "consent", "tester")


def test_enrolling_and_removing_while_another_reads_loses_nothing(path: Path) -> None:
    fill(path)
    problems: list[BaseException] = []
    done = threading.Event()

    def read() -> None:
        try:
            with Gallery(path) as gallery:
                while not done.is_set():
                    snapshot = gallery.load(SPACE)
                    assert (
                        len(snapshot.owner) == len(snapshot.matrix)
                        and snapshot.owner.max() == len(snapshot.ids) - 1
                    )
        except BaseException as error:
            problems.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    try:
        with Gallery(path) as gallery:
            for i in range(10, 22):
                gallery.add(f"Person {i}", template(i), "consent", "tester")
            for i in range(10, 16):
                assert gallery.remove(f"Person {i}", "tester").pictures == 1
    finally:
        done.set()
        thread.join()
    assert not problems
    with Gallery(path) as gallery:
        assert len(gallery.people()) == 2 + 6 and gallery.audit.verify() == 3 + 12 + 6


def _enrol_for_ever(path: Path) -> None:
    with Gallery(path) as gallery:
        for i in range(100, 1_000_000):
            gallery.add(f"Person {i}", template(i), "consent", "tester")
            if i % 3 == 0:
                gallery.remove(f"Person {i}", "tester")


def test_a_process_killed_in_the_middle_of_enrolling_leaves_a_sound_gallery(path: Path) -> None:
    fill(path)
    process = multiprocessing.get_context("spawn").Process(target=_enrol_for_ever, args=(path,))
    process.start()
    with Gallery(path) as watcher:
        deadline = time.monotonic() + 30
        while watcher.version < 12:
            assert time.monotonic() < deadline and process.is_alive()
    process.kill()
    process.join()
    with Gallery(path) as gallery:
        snapshot, people = gallery.load(SPACE), gallery.people()
        actions = [entry.action for entry in gallery.audit.entries()]
        assert gallery.audit.verify() == len(actions) >= 10
        assert len(people) == actions.count("enrolled") - actions.count("removed") == len(snapshot.ids)
        gallery.add("Alan Turing", template(4), "consent", "tester")


def test_two_first_openings_at_once_agree_on_one_key(path: Path) -> None:
    barrier = threading.Barrier(4)
    problems: list[BaseException] = []

    def open_and_add(i: int) -> None:
        try:
            barrier.wait()
            with Gallery(path) as gallery:
                gallery.add(f"Person {i}", template(i), "consent", "tester")
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=open_and_add, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
    with Gallery(path) as gallery:
        assert len(gallery.load(SPACE).ids) == 4


def test_the_very_same_photograph_is_refused_and_says_for_whom_it_is_enrolled(path: Path) -> None:
    fill(path)
    with Gallery(path) as gallery:
        with pytest.raises(
            GalleryError, match=r"^the very same photograph is already enrolled as Ada Lovelace$"
        ):
            gallery.add("Grace Hopper", template(1), "consent", "tester")
        assert gallery.load(SPACE).owner.tolist() == [0, 0, 1] and gallery.audit.verify() == 3


def test_templates_of_another_embedder_are_refused(path: Path) -> None:
    fill(path)
    with Gallery(path) as gallery:
        with pytest.raises(
            GalleryError, match=r"were enrolled with the embedder sface:0123, this one is other:99"
        ):
            gallery.load("other:99")
        with pytest.raises(GalleryError, match=r"cannot be compared"):
            gallery.add("Alan Turing", template(4, "other:99"), "consent", "tester")
        gallery.remove("Ada Lovelace", "tester")
        gallery.remove("Grace Hopper", "tester")
        gallery.add("Alan Turing", template(4, "other:99"), "consent", "tester")  # empty, so free to change
        assert gallery.load("other:99").space == "other:99"


@pytest.mark.parametrize("ground", ["", "  ", "\n"])
def test_enrolment_without_a_ground_is_refused(path: Path, ground: str) -> None:
    with Gallery(path) as gallery, pytest.raises(ValueError, match=r"^ground: must be stated"):
        gallery.add("Ada", template(1), ground, "tester")


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("", "must have 1 to 80 characters, found 0"),
        ("x" * 81, "must have 1 to 80 characters, found 81"),
        ("Ada\x00", r"control characters, found U\+0000"),
        ("Ada\nRoot", r"control characters, found U\+000A"),
        ("Ada\x1b[31m", r"control characters, found U\+001B"),
        ("\u202egnitsuz", r"direction-changing characters, found U\+202E"),
        ("A\u200bda", r"invisible or direction-changing characters, found U\+200B"),
        ("\ud800", r"control characters, found U\+D800"),
        ("...", "must hold a letter or a digit"),
    ],
)
def test_a_name_that_could_deceive_is_refused(path: Path, name: str, rule: str) -> None:
    with Gallery(path) as gallery:
        with pytest.raises(ValueError, match=rule):
            gallery.add(name, template(1), "consent", "tester")
        assert gallery.people() == ()


def test_spellings_of_one_name_are_one_person(path: Path) -> None:
    with Gallery(path) as gallery:
        gallery.add("Jose\u0301  Nuñez", template(1), "consent", "tester")
        person = gallery.add("JOSÉ NUÑEZ", template(2), "consent", "tester")
        assert (person.name, person.pictures) == ("José Nuñez", 2)


def test_a_missing_key_is_not_replaced(path: Path) -> None:
    fill(path)
    path.with_suffix(".key").unlink()
    with pytest.raises(GalleryError, match=r"gallery\.key: the gallery's key is missing"):
        Gallery(path)
    assert not path.with_suffix(".key").exists()


def test_a_wrong_key_is_told_from_damage(path: Path, tmp_path: Path) -> None:
    fill(path)
    with Gallery(tmp_path / "other.sqlite3"):
        pass
    before = path.read_bytes()
    with pytest.raises(
        GalleryError, match=r"other\.key: is not the key of .*gallery\.sqlite3; nothing was changed"
    ):
        Gallery(path, tmp_path / "other.key")
    assert path.read_bytes() == before


def test_a_key_that_others_may_read_is_refused(path: Path) -> None:
    fill(path)
    path.with_suffix(".key").chmod(0o644)
    with pytest.raises(GalleryError, match=r"only its owner may read the key .* found mode 644"):
        Gallery(path)


@pytest.mark.parametrize("harm", ["text", "truncated", "empty", "overwritten", "another database"])
def test_a_damaged_file_is_named_and_left_as_it_is(path: Path, harm: str) -> None:
    with Gallery(path) as gallery:
        for i in range(20):
            gallery.add(f"Person {i}", template(i), "consent", "tester")
    data = path.read_bytes()
    if harm == "another database":
        path.unlink()
        other = sqlite3.connect(path)
        other.execute("CREATE TABLE bookmarks (url TEXT)")
        other.commit()
        other.close()
    else:
        path.write_bytes(
            {
                "text": b"hello, this is no database at all " * 100,
                "truncated": data[: len(data) // 2],
                "empty": b"",
                "overwritten": data[:4096] + os.urandom(len(data) - 4096),
            }[harm]
        )
    harmed = path.read_bytes()
    with pytest.raises(GalleryError, match=r"is damaged or not a gallery|is empty although its key"):
        Gallery(path)
    assert path.read_bytes() == harmed


def test_a_changed_or_swapped_template_is_noticed(path: Path) -> None:
    fill(path)
    raw = sqlite3.connect(path)
    rows = raw.execute("SELECT id, sealed FROM template").fetchall()
    raw.execute("UPDATE template SET sealed = ? WHERE id = ?", (rows[0][1], rows[1][0]))
    raw.commit()
    raw.close()
    with (
        Gallery(path) as gallery,
        pytest.raises(GalleryError, match=r"sealed with another key, moved, or damaged"),
    ):
        gallery.load(SPACE)


def test_a_file_of_a_newer_program_is_left_alone(path: Path) -> None:
    fill(path)
    raw = sqlite3.connect(path)
    raw.execute("PRAGMA user_version = 99")
    raw.close()
    with pytest.raises(
        GalleryError, match=r"its schema has version 99, this program reads 0 to 4; it was left as it is"
    ):
        Gallery(path)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="drops privileges in a forked child")
def test_a_gallery_on_a_read_only_disk_is_read_and_says_why_it_is_not_written(path: Path) -> None:
    fill(path)
    path.chmod(0o444)
    path.parent.chmod(0o555)
    report = path.parent.parent / "report.txt"
    report.write_text("")
    report.chmod(0o666)
    owner = 65534 if os.getuid() == 0 else os.getuid()
    if os.getuid() == 0:
        os.chown(path.with_suffix(".key"), owner, -1)
        os.chown(path.with_suffix(".keyring"), owner, -1)
        for folder in (
            path.parent.parent,
            *path.parent.parent.parents,
        ):  # pytest's folders are for root alone
            if folder.is_relative_to("/tmp") and folder != Path("/tmp"):
                folder.chmod(0o755)
    child = os.fork()
    if child == 0:
        try:
            if os.getuid() == 0:
                os.setuid(owner)
            with Gallery(path) as gallery:
                lines = [",".join(p.name for p in gallery.people()), str(len(gallery.load(SPACE).matrix))]
                for change in (
                    lambda: gallery.add("Alan Turing", template(4), "consent", "tester"),
                    lambda: gallery.remove("Ada Lovelace", "tester"),
                ):
                    try:
                        change()
                    except GalleryError as error:
                        lines.append(str(error))
            report.write_text("\n".join(lines))
        except BaseException as error:
            report.write_text(repr(error))
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    path.parent.chmod(0o755)
    people, rows, *refusals = report.read_text().split("\n")
    assert (people, rows) == ("Ada Lovelace,Grace Hopper", "3")
    assert len(refusals) == 2
    assert all(
        line.endswith("cannot be written here (read-only), so nothing was changed") for line in refusals
    )


@pytest.mark.parametrize("harm", ["changed", "left out", "cut off", "emptied"])
def test_an_altered_log_is_noticed(path: Path, harm: str) -> None:
    fill(path)
    raw = sqlite3.connect(path)
    with pytest.raises(sqlite3.IntegrityError, match=r"append-only"):
        raw.execute("DELETE FROM audit")
    raw.execute("DROP TRIGGER audit_stays")
    raw.execute("DROP TRIGGER audit_holds")
    raw.execute(
        {
            "changed": "UPDATE audit SET actor = 'someone else' WHERE sequence = 2",
            "left out": "DELETE FROM audit WHERE sequence = 2",
            "cut off": "DELETE FROM audit WHERE sequence = 3",
            "emptied": "DELETE FROM audit",
        }[harm]
    )
    raw.commit()
    raw.close()
    with Gallery(path) as gallery, pytest.raises(AuditError, match=r"altered|missing"):
        gallery.audit.verify()


def test_a_log_put_back_to_an_older_state_is_noticed_with_a_receipt(path: Path) -> None:
    fill(path)
    older = path.read_bytes()
    with Gallery(path) as gallery:
        receipt: Receipt = gallery.remove("Ada Lovelace", "tester")
    path.write_bytes(older)
    with Gallery(path) as gallery:
        gallery.audit.verify()
        with pytest.raises(AuditError, match=r"put back to an older state"):
            gallery.audit.verify(receipt.mark)


def test_ten_thousand_templates_load_quickly_enough_to_reload_while_running(path: Path) -> None:
    with Gallery(path) as gallery:
        rng = np.random.default_rng(0)
        vectors = rng.normal(size=(10_000, 128)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        connection = gallery._connection
        connection.execute("BEGIN")
        connection.execute("INSERT OR REPLACE INTO meta VALUES ('space', ?)", (SPACE,))
        for i, (vector, (key, own)) in enumerate(zip(vectors, gallery._ring.add(10_000), strict=True)):
            sealed = own.seal(vector.tobytes(), f"template t{i} of p{i} in {SPACE}")
            connection.execute(
                "INSERT INTO person (id, name, name_mark, since_wall_ns, key) VALUES (?, ?, ?, ?, ?)",
                (f"p{i}", own.seal(b"x", f"name of p{i}"), i.to_bytes(4, "big"), i, key),
            )
            connection.execute(
                "INSERT INTO template VALUES (?, ?, ?, ?, ?, 1.0, ?, NULL, NULL)",
                (f"t{i}", f"p{i}", sealed, b"", i.to_bytes(4, "big"), i),
            )
        connection.execute("COMMIT")
        snapshot = gallery.load(SPACE)
    assert np.array_equal(snapshot.matrix, vectors) and snapshot.owner[-1] == 9_999
