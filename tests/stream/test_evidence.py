"""Evidence bundles: all that belongs to a sighting, untouched and signed, and nothing of anybody else's name."""

from __future__ import annotations

import hashlib
import io
import json
import re
import resource
import zipfile
from dataclasses import replace
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
from evidence_helpers import BEST, BYSTANDER, CAMERA, CANDIDATES, FIRST, LAST, PERSON, fill, make_clip
from footage_maker import Clip, media_ns, wall_ns

from engines.recognition.audit import Action
from engines.signing import SigningKey
from engines.unmasking.inspection import inspect
from stream.archive.archive import Archive, ArchiveError
from stream.archive.sightings import Query
from stream.evidence.bundle import BundleError, BundleWriter
from stream.evidence.bundling import Export, make_bundle
from stream.evidence.likelihood import in_words, likelihood_ratio, rounded, with_prior
from stream.messages import Candidate

PRODUCT = "unvizard 9.9"


@pytest.fixture(scope="module")
def clip() -> Clip:
    return make_clip()


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> SigningKey:
    return SigningKey.open(tmp_path_factory.mktemp("key") / "signing.key")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "recordings"


@pytest.fixture
def sighting(folder: Path, clip: Clip, key: SigningKey) -> int:
    return fill(folder, clip, key)


@pytest.fixture
def export(sighting: int) -> Export:
    return Export(sighting, "J. Doe", "request 2026-118", before_s=0.2, after_s=0.2)


def written(folder: Path, export: Export, key: SigningKey, path: Path) -> dict[str, bytes]:
    with Archive.open(folder, actor="warden") as archive:
        make_bundle(archive, export, path, key, PRODUCT)
    with zipfile.ZipFile(path) as bundle:
        return {name: bundle.read(name) for name in bundle.namelist()}


def test_the_footage_is_the_recorders_byte_for_byte_and_both_of_its_segments_are_there(
    folder: Path, export: Export, key: SigningKey, tmp_path: Path
) -> None:
    files = written(folder, export, key, tmp_path / "out.zip")
    for name in ("door/2026-09-21/one.mp4", "door/2026-09-21/two.mp4"):
        assert files[f"footage/{name}"] == (folder / name).read_bytes()
    footage = json.loads(files["annotation.json"])["footage"]
    assert [part["file"] for part in footage] == [n for n in files if n.startswith("footage/")]
    assert footage[0]["media_and_wall_ns"][:2] == [[media_ns(0), wall_ns(0)], [media_ns(1), wall_ns(1)]]


def test_only_the_segments_that_hold_the_sighting_and_its_surroundings_are_handed_over(
    folder: Path, sighting: int, key: SigningKey, tmp_path: Path
) -> None:
    with Archive.open(folder, write=True) as archive:
        found = archive.sighting(sighting)
        last = {"last_ns": wall_ns(FIRST + 2), "last_media_ns": media_ns(FIRST + 2)}
        other = archive.put_sighting(msgspec.structs.replace(found, track=99, **last))
    narrow = Export(other, "J. Doe", "x", before_s=0, after_s=0)
    files = written(folder, narrow, key, tmp_path / "out.zip")
    assert [name for name in files if name.startswith("footage/")] == ["footage/door/2026-09-21/one.mp4"]


def test_the_stills_are_the_frames_that_the_camera_sent(
    folder: Path, export: Export, key: SigningKey, clip: Clip, tmp_path: Path
) -> None:
    files = written(folder, export, key, tmp_path / "out.zip")
    stills = sorted(name for name in files if name.startswith("stills/"))
    assert stills == ["stills/1-first-seen.png", "stills/2-best-seen.png", "stills/3-last-seen.png"]
    for name, number in zip(stills, (FIRST, BEST, LAST), strict=True):
        shown = cv2.imdecode(np.frombuffer(files[name], np.uint8), cv2.IMREAD_COLOR)
        np.testing.assert_array_equal(shown, cv2.cvtColor(clip.pictures[number], cv2.COLOR_YUV2BGR_I420))


def test_every_frame_is_annotated_with_all_scores_and_nobody_else_is_named(
    folder: Path, export: Export, key: SigningKey, tmp_path: Path
) -> None:
    files = written(folder, export, key, tmp_path / "out.zip")
    said = json.loads(files["annotation.json"])
    numbers = [frame["sequence"] - 1 for frame in said["frames"]]
    assert numbers == list(range(FIRST - 4, LAST + 5))  # 0.2 s before, and after
    with_face = [frame for frame in said["frames"] if frame["face"]]
    assert [frame["sequence"] - 1 for frame in with_face] == list(range(FIRST, LAST + 1))
    assert with_face[0]["face"]["candidates"][0]["evidence"] == CANDIDATES[0].evidence
    assert said["sighting"]["probability"] == 0.97
    assert said["recognition"] == {
        "prior_enrolled": 0.5,
        "decide_at": 0.9,
        "people_enrolled": 2,
        "gallery_version": 3,
    }
    assert all(
        set(other) == {"track", "box", "score", "mask"} for f in said["frames"] for other in f["others"]
    )
    assert all(len(frame["others"]) == 1 for frame in said["frames"])
    assert not any(BYSTANDER.encode() in data for data in files.values())


def test_the_reconstruction_keeps_its_mark_and_its_own_signature(
    folder: Path, export: Export, key: SigningKey, tmp_path: Path
) -> None:
    files = written(folder, export, key, tmp_path / "out.zip")
    (tmp_path / "guess.png").write_bytes(files["pictures/reconstruction.png"])
    assert inspect(tmp_path / "guess.png").unaltered
    assert {"pictures/look.jpg", "pictures/original.png"} <= files.keys()


def test_the_log_says_who_handed_over_what_and_why_and_the_bundle_holds_its_mark(
    folder: Path, export: Export, key: SigningKey, tmp_path: Path
) -> None:
    custody = json.loads(written(folder, export, key, tmp_path / "out.zip")["custody.json"])
    with Archive.open(folder) as archive:
        archive.audit.verify(bytes.fromhex(custody["log_mark"]))
        (entry,) = [e for e in archive.audit.entries() if e.action == Action.BUNDLED]
    assert (entry.sequence, entry.actor) == (custody["log_line"], "warden")
    assert entry.detail == f"sighting {export.sighting}: request 2026-118"
    assert entry.person
    assert PERSON not in entry.person + entry.detail
    assert (custody["exported_by"], custody["account"], custody["reason"]) == (
        "J. Doe",
        "warden",
        "request 2026-118",
    )
    assert custody["installation"] == key.public.fingerprint


def test_the_report_is_readable_closed_and_says_what_is_a_guess(
    folder: Path, export: Export, key: SigningKey, tmp_path: Path
) -> None:
    page = written(folder, export, key, tmp_path / "out.zip")["report.html"].decode()
    assert "<script" not in page and "<b>Lovelace" not in page
    assert f"A face on camera “{CAMERA}”" in page
    assert "probably Ada &lt;b&gt;Lovelace&lt;/b&gt;, 97.0 %" in page
    assert "default-src 'none'" in page
    assert all(source.startswith("data:image/") for source in re.findall(r'(?:src|href)="([^"]*)"', page))
    for words in (
        "AI reconstruction, not evidence",
        "Nobody may be named, searched for or ruled out",
        "not an identification",
        "the clock of the machine that recorded",
        "request 2026-118",
        key.public.fingerprint,
        "1.0 % of the faces",
        "painted by a network, from 5 looks",
        "Grace Hopper",
        "0.610",
        "0.480",
    ):
        assert words in page, words
    assert page.count("<img ") == 6  # look, three stills, original, guess


def test_the_report_says_why_nothing_was_guessed(
    folder: Path, export: Export, key: SigningKey, tmp_path: Path
) -> None:
    with Archive.open(folder, write=True) as archive:
        (listed,) = archive.sightings(Query())
        covered = msgspec.structs.replace(
            archive.sighting(listed.id),
            track=6,
            reconstruction=b"",
            looks=0,
            no_reconstruction="eyes are covered",
        )
        sighting = archive.put_sighting(covered)
    page = written(folder, replace(export, sighting=sighting), key, tmp_path / "out.zip")[
        "report.html"
    ].decode()
    assert "None was made: eyes are covered." in page
    assert "AI reconstruction, not evidence" not in page


def test_a_sighting_without_footage_is_handed_over_with_what_is_left_and_says_so(
    folder: Path, export: Export, key: SigningKey, tmp_path: Path
) -> None:
    for path in (folder / "door").rglob("*.mp4"):
        path.unlink()
    files = written(folder, export, key, tmp_path / "out.zip")
    assert not any(name.startswith(("footage/", "stills/")) for name in files)
    notes = " ".join(json.loads(files["custody.json"])["notes"])
    assert "could not be read" in notes and "one.mp4" in notes
    assert "could not be read" in files["report.html"].decode()


def test_nothing_is_written_over_and_nothing_is_left_after_an_error(
    folder: Path, export: Export, key: SigningKey, tmp_path: Path
) -> None:
    out = tmp_path / "out" / "bundle.zip"
    with Archive.open(folder) as archive:
        with pytest.raises(BundleError, match="cannot be written: No such file or directory"):
            make_bundle(archive, export, out, key, PRODUCT)
        out.parent.mkdir()
        out.write_bytes(b"mine")
        with pytest.raises(BundleError, match="is there already; evidence is not written over"):
            make_bundle(archive, export, out, key, PRODUCT)
        with pytest.raises(ArchiveError, match="sighting 999"):
            make_bundle(archive, replace(export, sighting=999), out.with_name("b.zip"), key, PRODUCT)
        assert [path.name for path in out.parent.iterdir()] == ["bundle.zip"]
        assert out.read_bytes() == b"mine"
    for name, value in (("reason", "  "), ("exported_by", ""), ("before_s", -1.0), ("after_s", 1e9)):
        with pytest.raises(BundleError, match=f"{name}: must be"):
            replace(export, **{name: value})


def test_the_same_bundle_made_twice_differs_only_in_what_happened_in_between(
    folder: Path, export: Export, key: SigningKey, tmp_path: Path
) -> None:
    one = written(folder, export, key, tmp_path / "one.zip")
    two = written(folder, export, key, tmp_path / "two.zip")
    assert list(one) == list(two)
    different = {name for name in one if one[name] != two[name]}
    assert different == {"custody.json", "report.html", "manifest.json", "manifest.sig"}
    listed = {file["path"]: file["sha256"] for file in json.loads(one["manifest.json"])["files"]}
    assert listed == {
        name: hashlib.sha256(data).hexdigest()
        for name, data in one.items()
        if not name.startswith("manifest")
    }


def test_evidence_and_prior_come_apart_and_together_again() -> None:
    """By hand: two enrolled, prior 1/2, ratios 100 and 1 give weights 25, 1/4 and 1/2 for nobody."""
    total = 25 + 0.25 + 0.5
    candidates = [Candidate("A", 25 / total, {}), Candidate("B", 0.25 / total, {})]
    assert likelihood_ratio(candidates, "A", 0.5, 2) == pytest.approx(100)
    assert likelihood_ratio(candidates, "B", 0.5, 2) == pytest.approx(1)
    tenth = 0.1 / 2 * 100 / (0.1 / 2 * 100 + 0.1 / 2 + 0.9)
    assert with_prior(candidates, "A", 0.5, 0.1) == pytest.approx(tenth)
    assert with_prior(candidates, "A", 0.5, 0.5) == pytest.approx(25 / total)
    assert likelihood_ratio(candidates, "C", 0.5, 2) is None
    assert likelihood_ratio([Candidate("A", 1.0, {})], "A", 0.5, 1) is None
    assert [in_words(r) for r in (0.5, 1, 2, 99, 100, 5_000, 20_000, 2e6)] == [
        "support against it",
        "no support",
        "weak support",
        "moderate support",
        "moderately strong support",
        "strong support",
        "very strong support",
        "extremely strong support",
    ]
    assert [rounded(r) for r in (0.029, 1.84, 46.4, 3_449, 11_234)] == [
        "0.029",
        "1.8",
        "46",
        "3,400",
        "11,000",
    ]


def test_a_full_disk_is_told_in_a_sentence_and_leaves_nothing(key: SigningKey, tmp_path: Path) -> None:
    path = tmp_path / "out.zip"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with BundleWriter(path, key, PRODUCT, 0) as writer:
        writer.add("small.txt", b"x" * 1000)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
        try:
            with pytest.raises(BundleError, match=r"large\.mp4 cannot be copied: File too large"):
                writer.copy("large.mp4", io.BytesIO(bytes(1_000_000)), 1_000_000)
            with pytest.raises(BundleError, match="cannot be written"):
                writer.add("large.png", bytes(1_000_000))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []
