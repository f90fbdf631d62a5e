"""Each person's own key: destroyed with the person, so that no copy of the gallery can be read for them any more."""

from __future__ import annotations

import multiprocessing
import multiprocessing.synchronize
import shutil
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from older_galleries import SPACE, template, write_older

from engines.recognition import gallery_file
from engines.recognition.gallery import Gallery, GalleryError, SightingName
from engines.recognition.keyring import KeyRing
from engines.recognition.vault import Vault, VaultError

SEEN = SightingName(3, 4, "gate", 17)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gallery.sqlite3"


@pytest.fixture
def gallery(path: Path) -> Iterator[Gallery]:
    with Gallery(path) as opened:
        opened.add("Ada", template(1), "consent", "t")
        opened.add("Ada", template(2), "contract", "t")
        opened.add("Grace", template(3), "court order", "t")
        yield opened


def named(gallery: Gallery, name: str) -> str:
    found = gallery.find(name)
    assert found is not None
    return found.id


def copied(path: Path, to: Path) -> Path:
    """A copy as a backup makes it: of the database alone."""
    with sqlite3.connect(path) as source, sqlite3.connect(to) as target:
        source.backup(target)
    source.close()
    target.close()
    to.chmod(0o600)
    return to


def put_back(copy: Path, path: Path) -> Path:
    """Into the place of the gallery, beside its key and its ring."""
    for suffix in ("-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    shutil.copyfile(copy, path)
    return path


def vectors(gallery: Gallery, name: str) -> set[bytes]:
    snapshot = gallery.load(SPACE, "twin")
    rows = snapshot.owner == snapshot.ids.index(named(gallery, name))
    return {row.tobytes() for row in snapshot.matrix[rows]}


def of(*seeds: int) -> set[bytes]:
    return {template(seed).embedding.tobytes() for seed in seeds}


def test_a_copy_of_the_database_made_before_an_erasure_cannot_be_read_for_the_person_any_more(
    gallery: Gallery, path: Path, tmp_path: Path
) -> None:
    ada = named(gallery, "Ada")
    gallery.rename(ada, "Augusta", "t")
    gallery.refute(ada, SEEN, template(9).embedding, SPACE, "t")
    old = copied(path, tmp_path / "old.sqlite3")
    own = gallery._cipher(ada)
    receipt = gallery.remove("Augusta", "t")
    assert receipt.keys_destroyed == 1 and receipt.scrubbed
    raw = sqlite3.connect(old)
    ((key, name),) = raw.execute("SELECT key, name FROM person WHERE id = ?", (ada,)).fetchall()
    ((former, face),) = raw.execute(
        "SELECT former_name.name, sealed FROM former_name JOIN refutation USING (person)"
    ).fetchall()
    raw.close()
    vault = Vault.open(path.with_suffix(".key"))
    for sealed, place in ((name, f"name of {ada}"), (former, f"former name of {ada}")):
        assert own.unseal(sealed, place) in (b"Augusta", b"Ada")  # there it is, for who had kept the key
        with pytest.raises(VaultError):
            vault.unseal(sealed, place)
    ring = path.with_suffix(".keyring")
    assert KeyRing(ring, vault).ciphers({ada: key}) == {}
    slot = ring.read_bytes().split(bytes.fromhex(key))[1]
    assert slot[:60] == bytes(60)
    gallery.close()
    with Gallery(put_back(old, path)) as back:  # a restored backup: Grace is there, Ada is taken out of it
        assert [p.name for p in back.people()] == ["Grace"] and vectors(back, "Grace") == of(3)
        assert [(e.action, e.actor) for e in back.audit.entries()][-1] == ("removed", "finishing an erasure")
        assert back.find("Ada") is None and back.find("Augusta") is None and back.refutations() == ()
    assert not any(sealed[:16] in path.read_bytes() for sealed in (name, former, face))


@pytest.mark.parametrize("before", ["joining", "splitting", "splitting again"])
def test_who_was_joined_or_split_is_erased_from_older_copies_too(
    gallery: Gallery, path: Path, tmp_path: Path, before: str
) -> None:
    ada, grace = named(gallery, "Ada"), named(gallery, "Grace")
    pictures = [t for t, _, _ in gallery.templates(grace)]
    if before == "joining":
        old = copied(path, tmp_path / "old.sqlite3")
    gallery.merge(ada, grace, "t")
    assert vectors(gallery, "Ada") == of(1, 2, 3)
    if before == "splitting":
        old = copied(path, tmp_path / "old.sqlite3")
    gallery.split(ada, pictures, "Grace", "t")
    if before == "splitting again":
        old = copied(path, tmp_path / "old.sqlite3")
    assert vectors(gallery, "Ada") == of(1, 2) and vectors(gallery, "Grace") == of(3)
    erased = "Ada" if before == "joining" else "Grace"
    assert (
        gallery.remove(erased, "t").keys_destroyed == 3
    )  # now; before the splitting; Grace's before the joining
    kept = {"Ada": "Grace", "Grace": "Ada"}[erased]
    assert vectors(gallery, kept) == (of(3) if kept == "Grace" else of(1, 2))
    gallery.close()
    with Gallery(put_back(old, path)) as back:
        assert back.find(erased) is None
        left = {row.tobytes() for row in back.load(SPACE, "twin").matrix}
        assert not left & (of(1, 2) if erased == "Ada" else of(3))


def test_nothing_that_is_undone_brings_back_who_was_erased(gallery: Gallery) -> None:
    ada, grace = named(gallery, "Ada"), named(gallery, "Grace")
    said = gallery.refute(ada, SEEN, template(9).embedding, SPACE, "t")
    gallery.revoke(ada, "t")
    pictures = [t for t, _, _ in gallery.templates(ada)]
    gallery.remove("Ada", "t")
    for undo in (
        lambda: gallery.restore(ada, "t"),
        lambda: gallery.rename(ada, "Ada", "t"),
        lambda: gallery.split(grace, pictures, "Ada", "t"),
        lambda: gallery.merge(grace, ada, "t"),
        lambda: gallery.undo_refutation(ada, said.id, "t"),
    ):
        with pytest.raises(GalleryError, match=r"nobody of this id|must be this person's|undone already"):
            undo()
    assert [p.name for p in gallery.people()] == ["Grace"]
    assert gallery.add("Ada", template(1), "consent", "t").pictures == 1  # anew, under a new key
    assert vectors(gallery, "Ada") == of(1) and named(gallery, "Ada") != ada


def test_keys_are_in_a_file_for_the_owner_alone_and_sealed(gallery: Gallery, path: Path) -> None:
    ring = path.with_suffix(".keyring")
    assert stat.S_IMODE(ring.stat().st_mode) == 0o600 and ring.stat().st_size == 3 * 128
    gallery.close()
    moved = ring.rename(ring.with_suffix(".away"))
    with pytest.raises(GalleryError, match=r"gallery\.keyring: the keys of the people are missing"):
        Gallery(path)
    assert not ring.exists()
    moved.rename(ring)
    ring.chmod(0o640)
    with pytest.raises(GalleryError, match=r"only its owner may read the keys .* found mode 640"):
        Gallery(path)
    ring.chmod(0o600)
    data = ring.read_bytes()
    ring.write_bytes(data[:200] + bytes([data[200] ^ 1]) + data[201:])
    with Gallery(path) as opened, pytest.raises(GalleryError, match="sealed with another key, moved, or"):
        opened.people()
    ring.write_bytes(b"something else" * 20)
    with pytest.raises(GalleryError, match="is not a file of keys"):
        Gallery(path)
    ring.write_bytes(data[:256])
    with Gallery(path) as opened, pytest.raises(GalleryError, match=r"the key .* of a person is missing"):
        opened.people()
    ring.write_bytes(data)
    with Gallery(path) as opened:
        assert [p.name for p in opened.people()] == ["Ada", "Grace"]


def test_half_a_slot_that_a_power_cut_left_is_written_over(gallery: Gallery, path: Path) -> None:
    with path.with_suffix(".keyring").open("ab") as ring:
        ring.write(b"\x07" * 50)
    gallery.add("Alan", template(4), "consent", "t")
    gallery.close()
    assert path.with_suffix(".keyring").stat().st_size == 4 * 128
    with Gallery(path) as opened:
        assert vectors(opened, "Alan") == of(4) and vectors(opened, "Ada") == of(1, 2)


def test_another_process_that_has_the_gallery_open_follows_new_and_destroyed_keys(
    gallery: Gallery, path: Path
) -> None:
    with Gallery(path) as other:
        assert vectors(other, "Ada") == of(1, 2)
        gallery.add("Alan", template(4), "consent", "t")
        assert vectors(other, "Alan") == of(4)
        gallery.split(named(gallery, "Ada"), [gallery.templates(named(gallery, "Ada"))[0][0]], "Anna", "t")
        assert vectors(other, "Ada") | vectors(other, "Anna") == of(1, 2)
        gallery.remove("Anna", "t")
        assert [p.name for p in other.people()] == ["Ada", "Alan", "Grace"]
        other.add("Anna", template(5), "consent", "t")
        assert vectors(gallery, "Anna") == of(5)


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_gallery_of_an_older_version_keeps_everything_and_everyone_gets_a_key(
    path: Path, version: int
) -> None:
    write_older(path, version, ("Ada", "Grace", "Alan"))
    raw = sqlite3.connect(path)
    before = [value for (value,) in raw.execute("SELECT sealed FROM template UNION SELECT name FROM person")]
    raw.close()
    with Gallery(path) as gallery:
        assert [(p.name, p.pictures, p.ground, p.since_wall_ns) for p in gallery.people()] == [
            ("Ada", 2, "consent; contract", 1000),
            ("Alan", 2, "consent; contract", 1002),
            ("Grace", 2, "consent; contract", 1001),
        ]
        assert vectors(gallery, "Ada") == of(1, 2) and vectors(gallery, "Alan") == of(5, 6)
        assert gallery.version == 2 and gallery.owner_of_picture(template(3).digest) == "Grace"
        snapshot, grace = gallery.load(SPACE, "twin"), named(gallery, "Grace")
        assert snapshot.complete == (version > 1)
        if version > 1:
            assert gallery.picture(grace) == template(4).picture
            assert all(np.array_equal(snapshot.views[v][0], row) for v, row in template(1).views.items())
        if version > 2:
            assert gallery.former_names(grace) == ("Grace before",)
            assert {(r.person, r.sighting) for r in gallery.refutations(grace)} == {(grace, SEEN)}
            assert len(snapshot.refuted) == 3
        assert gallery.audit.verify() == 6
        # What the vault's key sealed is nowhere in the files any more, so that the ring is what counts.
        files = path.read_bytes() + Path(f"{path}-wal").read_bytes()
        assert len(before) == 9 and not any(value[:16] in files for value in before)
        assert gallery.remove("Ada", "t").keys_destroyed == 1
        gallery.rename(grace, "Amazing Grace", "t")
    with Gallery(path) as gallery:
        assert [p.name for p in gallery.people()] == ["Alan", "Amazing Grace"]


def _stuck_in_migration(path: Path, reached: multiprocessing.synchronize.Event) -> None:
    real, done = gallery_file.reseal_person, []

    def slow(*values: object) -> None:
        if len(done) == 2:
            reached.set()
            time.sleep(600)
        real(*values)  # type: ignore[arg-type]
        done.append(1)

    gallery_file.reseal_person = slow
    Gallery(path)


def _stuck_in_erasure(path: Path, reached: multiprocessing.synchronize.Event) -> None:
    real = KeyRing.destroy

    def slow(ring: KeyRing, keys: list[str]) -> int:
        real(ring, keys)
        reached.set()
        time.sleep(600)
        return 0

    KeyRing.destroy = slow  # type: ignore[assignment,method-assign]
    with Gallery(path) as gallery:
        gallery.remove("Ada", "t")


def kill_in(
    work: Callable[[Path, multiprocessing.synchronize.Event], None], path: Path, watch: Callable[[], None]
) -> None:
    context = multiprocessing.get_context("spawn")
    reached = context.Event()
    process = context.Process(target=work, args=(path, reached))
    process.start()
    assert reached.wait(60)
    watch()
    process.kill()
    process.join()


def test_a_migration_that_is_killed_in_the_middle_changed_nothing_and_the_next_one_does_it(
    path: Path,
) -> None:
    write_older(path, 3, ("Ada", "Grace", "Alan"))

    def unchanged() -> None:
        raw = sqlite3.connect(path)
        assert raw.execute("PRAGMA user_version").fetchone() == (3,)
        raw.close()

    kill_in(_stuck_in_migration, path, unchanged)
    unchanged()
    with Gallery(path) as gallery:
        assert [p.name for p in gallery.people()] == ["Ada", "Alan", "Grace"]
        assert vectors(gallery, "Ada") == of(1, 2) and vectors(gallery, "Grace") == of(3, 4)
        assert gallery.former_names(named(gallery, "Alan")) == ("Alan before",)


def test_an_erasure_that_is_killed_after_the_key_is_gone_is_finished_by_the_next_command(
    path: Path,
) -> None:
    with Gallery(path) as gallery:
        gallery.add("Ada", template(1), "consent", "t")
        ada = gallery.add("Grace", template(3), "consent", "t") and named(gallery, "Ada")

        def gone_already() -> None:
            assert [p.name for p in gallery.people()] == ["Grace"] and len(gallery.listed()) == 1
            assert gallery.load(SPACE).names == ("Grace",) and gallery.picture(ada) is None
            assert gallery.find("Ada") is None and gallery.former_names(ada) == ()

        kill_in(_stuck_in_erasure, path, gone_already)
        gone_already()
        gallery.add("Ada", template(1), "consent", "t")  # the same name and photograph are free again
        assert vectors(gallery, "Ada") == of(1) and named(gallery, "Ada") != ada
        last = [(e.action, e.person == ada, e.actor, e.detail) for e in gallery.audit.entries()][-2:]
        assert last[0] == ("removed", True, "finishing an erasure", "1 pictures") and last[1][0] == "enrolled"
        gallery.audit.verify()


def test_an_erasure_whose_key_cannot_be_destroyed_changes_nothing(gallery: Gallery, path: Path) -> None:
    ring = path.with_suffix(".keyring")
    away = ring.rename(ring.with_suffix(".away"))
    with pytest.raises(GalleryError, match="the keys of the people are missing"):
        gallery.remove("Ada", "t")
    away.rename(ring)
    assert vectors(gallery, "Ada") == of(1, 2) and gallery.audit.verify() == 3
