"""What is done to the people enrolled, each with its way back; and a gallery of the version before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engines.recognition.calibration import Calibration
from engines.recognition.embedder import unit
from engines.recognition.enrolled import Template
from engines.recognition.evidence import RAW, VIEWS
from engines.recognition.gallery import Gallery, GalleryError, SightingName
from engines.recognition.matcher import Matcher

SPACE = Calibration.load().space
SEEN = SightingName(run=3, epoch=4, camera="gate", track=17)


def vector(*seed: int) -> np.ndarray:
    return unit(np.random.default_rng(seed).normal(size=128))


def template(seed: int, near: np.ndarray | None = None) -> Template:
    views = dict(zip(VIEWS, unit(np.random.default_rng(seed).normal(size=(len(VIEWS), 128))), strict=True))
    if near is not None:
        views = dict.fromkeys(VIEWS, unit(near + 0.05 * vector(seed)))
    return Template(views, SPACE, 0.5 + seed / 100, seed.to_bytes(32, "big"), "twin", b"face %d" % seed)


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


def actions(gallery: Gallery) -> list[str]:
    gallery.audit.verify()
    return [entry.action for entry in gallery.audit.entries()]


def holds(gallery: Gallery, name: str, seeds: set[int]) -> bool:
    """Whether somebody has just these templates, all of each of them, and it can be searched for."""
    person, snapshot = named(gallery, name), gallery.load(SPACE, "twin")
    rows = np.flatnonzero(snapshot.owner == snapshot.ids.index(person))
    wanted = {seed: template(seed) for seed in seeds}
    pictures = {gallery.picture(person, t) for t, _, _ in gallery.templates(person)}
    return pictures == {each.picture for each in wanted.values()} and all(
        {snapshot.views[view][row].tobytes() for row in rows}
        == {each.views[view].tobytes() for each in wanted.values()}
        for view in VIEWS
    )


def test_a_new_name_keeps_everything_and_the_old_one_is_remembered_until_it_is_taken_back(
    gallery: Gallery,
) -> None:
    ada, version = named(gallery, "Ada"), gallery.version
    assert gallery.rename(ada, "Augusta", "t").name == "Augusta" and gallery.version > version
    assert gallery.find("Ada") is None and gallery.former_names(ada) == ("Ada",)
    assert holds(gallery, "Augusta", {1, 2}) and "Augusta" in gallery.load(SPACE).names
    gallery.rename(ada, "Ada", "t")
    assert gallery.former_names(ada) == ("Augusta",)
    gallery.rename(ada, "ADA", "t")  # the same name in another spelling was never another name
    assert gallery.person(ada).name == "ADA" and gallery.former_names(ada) == ("Augusta",)  # type: ignore[union-attr]
    with pytest.raises(GalleryError, match="Grace: somebody of this name is enrolled already"):
        gallery.rename(ada, "grace", "t")
    with pytest.raises(ValueError, match="name: must hold a letter or a digit"):
        gallery.rename(ada, "!", "t")
    assert actions(gallery)[3:] == ["renamed"] * 3
    assert not any("Ada" in e.detail or "Augusta" in e.detail for e in gallery.audit.entries())


def test_two_who_are_one_are_joined_and_splitting_the_same_pictures_off_undoes_it(gallery: Gallery) -> None:
    ada, grace = named(gallery, "Ada"), named(gallery, "Grace")
    pictures = [t for t, _, _ in gallery.templates(grace)]
    gallery.refute(grace, SEEN, vector(9), SPACE, "t")
    joined = gallery.merge(ada, grace, "t")
    assert joined.pictures == 3 and joined.ground == "consent; contract; court order"
    assert [p.name for p in gallery.people()] == ["Ada"] and gallery.former_names(ada) == ("Grace",)
    assert holds(gallery, "Ada", {1, 2, 3})
    assert [(r.person, r.sighting) for r in gallery.refutations()] == [(ada, SEEN)]
    apart = gallery.split(ada, pictures, "Grace", "t")
    assert holds(gallery, "Ada", {1, 2}) and holds(gallery, "Grace", {3}) and apart.ground == "court order"
    assert gallery.former_names(ada) == ()
    assert actions(gallery)[-2:] == ["merged", "split"]


def test_what_cannot_be_split_or_joined_is_left_as_it_was(gallery: Gallery) -> None:
    ada, grace = named(gallery, "Ada"), named(gallery, "Grace")
    theirs, version = [t for t, _, _ in gallery.templates(ada)], gallery.version
    foreign = gallery.templates(grace)[0][0]
    for chosen, name, reason in (
        (theirs, "Anna", "one picture must stay"),
        ([], "Anna", "at least one"),
        ([theirs[0], foreign], "Anna", "must be this person's"),
        ([theirs[0]], "Grace", "somebody of this name"),
    ):
        with pytest.raises(GalleryError, match=reason):
            gallery.split(ada, chosen, name, "t")
    with pytest.raises(GalleryError, match="the same person"):
        gallery.merge(ada, ada, "t")
    with pytest.raises(GalleryError, match="nobody of this id"):
        gallery.merge(ada, "0" * 32, "t")
    gallery.revoke(grace, "t")
    with pytest.raises(GalleryError, match="Grace: is revoked"):
        gallery.merge(ada, grace, "t")
    assert gallery.version == version + 1 and holds(gallery, "Ada", {1, 2})


def test_who_is_revoked_is_kept_and_not_matched_until_restored(gallery: Gallery) -> None:
    ada = named(gallery, "Ada")
    assert gallery.revoke(ada, "t").revoked_wall_ns is not None
    snapshot = gallery.load(SPACE, "twin")
    assert snapshot.names == ("Grace",) and np.array_equal(snapshot.matrix, [template(3).embedding])
    matched = Matcher(snapshot, Calibration.load()).match({RAW: template(1).embedding}, False)
    assert [c.person for c in matched.candidates] == ["Grace"]
    assert [(p.name, p.pictures, p.revoked_wall_ns is None) for p in gallery.people()] == [
        ("Ada", 2, False),
        ("Grace", 1, True),
    ]
    with pytest.raises(GalleryError, match="Ada: is revoked: restore them before adding pictures"):
        gallery.add("Ada", template(5), "consent", "t")
    assert gallery.restore(ada, "t").revoked_wall_ns is None and holds(gallery, "Ada", {1, 2})
    gallery.restore(ada, "t")  # nothing to do, nothing in the log
    assert actions(gallery)[3:] == ["revoked", "restored"]
    gallery.revoke(ada, "t")
    gallery.revoke(named(gallery, "Grace"), "t")
    assert gallery.load(SPACE).ids == ()


def test_a_face_that_was_said_to_be_somebody_else_gets_the_name_no_more_and_the_person_still_does(
    path: Path,
) -> None:
    face = vector(1)
    stranger = unit(0.62 * face + 0.55 * vector(2))
    with Gallery(path) as gallery:
        ada = gallery.add("Ada", template(1, face), "consent", "t").id

        def of(seen: np.ndarray) -> tuple[str, float]:
            matcher = Matcher(gallery.load(SPACE, "twin"), Calibration.load())
            first = matcher.match({RAW: unit(seen)}, False).candidates[0]
            return first.person, first.probability

        again = stranger + 0.05 * vector(3)
        assert of(again) == ("Ada", pytest.approx(1, abs=0.1))
        said = gallery.refute(ada, SEEN, stranger, SPACE, "t")
        assert of(again) == ("Ada", 0.0)  # shown with what speaks for it, and never decided
        assert of(face + 0.05 * vector(4))[1] > 0.9
        assert gallery.refute(ada, SEEN, stranger, SPACE, "t").sighting == SEEN  # once more: still one
        (said,) = gallery.refutations(ada)
        gallery.undo_refutation(ada, said.id, "t")
        assert of(again)[1] > 0.9 and gallery.refutations() == ()
        with pytest.raises(GalleryError, match="undone already"):
            gallery.undo_refutation(ada, said.id, "t")
        assert actions(gallery)[1:] == ["refuted", "refuted", "refutation undone"]


def test_a_refuted_face_of_another_embedder_is_not_compared(gallery: Gallery) -> None:
    ada = named(gallery, "Ada")
    gallery.refute(ada, SEEN, vector(9), "another", "t")
    assert gallery.load(SPACE).refuted.shape == (0, 128)
    gallery.refute(ada, SightingName(3, 4, "yard", 1), vector(8), SPACE, "t")
    snapshot = gallery.load(SPACE)
    assert np.array_equal(snapshot.refuted, [vector(8)]) and snapshot.ids[snapshot.refuted_owner[0]] == ada
    with pytest.raises(ValueError, match="of length 1"):
        gallery.refute(ada, SEEN, 2 * vector(8), SPACE, "t")


def test_one_picture_of_several_can_be_erased_and_the_last_cannot(gallery: Gallery, path: Path) -> None:
    ada = named(gallery, "Ada")
    best, other = (t for t, _, _ in gallery.templates(ada))
    sealed = gallery._connection.execute("SELECT picture FROM template WHERE id = ?", (best,)).fetchone()[0]
    assert sealed in path.read_bytes() + Path(f"{path}-wal").read_bytes()
    assert gallery.remove_picture(ada, best, "t").pictures == 1
    assert sealed not in path.read_bytes() + Path(f"{path}-wal").read_bytes()
    with pytest.raises(GalleryError, match="the only picture"):
        gallery.remove_picture(ada, other, "t")
    with pytest.raises(GalleryError, match="has no such picture"):
        gallery.remove_picture(ada, best, "t")
    assert actions(gallery)[-1] == "picture removed"


def test_erasing_takes_former_names_and_refuted_faces_with_it(gallery: Gallery, path: Path) -> None:
    ada = named(gallery, "Ada")
    gallery.rename(ada, "Augusta", "t")
    gallery.refute(ada, SEEN, vector(9), SPACE, "t")
    rows = gallery._connection.execute("SELECT sighting, sealed FROM refutation").fetchone()
    (former,) = gallery._connection.execute("SELECT name FROM former_name").fetchone()
    receipt = gallery.remove("Augusta", "t")
    assert receipt.former_names == ("Ada",) and receipt.scrubbed
    content = path.read_bytes() + Path(f"{path}-wal").read_bytes()
    assert not any(sealed in content for sealed in (*rows, former))
    assert [p.name for p in gallery.people()] == ["Grace"] and gallery.refutations() == ()
