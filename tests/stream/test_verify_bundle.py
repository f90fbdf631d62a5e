"""Whatever is done to a bundle is found; how it is packed is not held against it; no trick is fallen for."""

from __future__ import annotations

import hashlib
import io
import json
import random
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest
from evidence_helpers import fill, make_clip

from engines.signing import Expected, SigningKey
from stream.archive.archive import Archive
from stream.evidence.bundling import Export, make_bundle
from stream.evidence.verification import Verdict, verify_bundle

Files = dict[str, bytes]


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> SigningKey:
    return SigningKey.open(tmp_path_factory.mktemp("key") / "signing.key")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, key: SigningKey) -> Path:
    base = tmp_path_factory.mktemp("evidence")
    sighting = fill(base / "recordings", make_clip(), key)
    with Archive.open(base / "recordings") as archive:
        make_bundle(archive, Export(sighting, "J. Doe", "request"), base / "b.zip", key, "unvizard 9.9")
    return base / "b.zip"


@pytest.fixture
def files(bundle: Path) -> Files:
    with zipfile.ZipFile(bundle) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(path: Path, files: Files, compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def verdict(tmp_path: Path, files: Files) -> Verdict:
    return verify_bundle(packed(tmp_path / "again.zip", files))


def test_a_bundle_is_unaltered_and_says_whose_it_is_and_what_cannot_be_said(
    bundle: Path, key: SigningKey
) -> None:
    found = verify_bundle(bundle, Expected.parse(key.public.fingerprint))
    assert found.unaltered
    said = " ".join(found.right)
    assert key.public.fingerprint in said
    assert "All 13 files are, byte for byte" in said
    assert "“J. Doe”, who gave as the reason “request”" in said
    assert any("own clock" in line for line in found.limits)
    assert any("--key" in line for line in verify_bundle(bundle).limits)


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_packing_it_anew_in_another_order_and_way_changes_nothing(
    tmp_path: Path, files: Files, compression: int
) -> None:
    again = packed(tmp_path / "again.zip", dict(reversed(files.items())), compression)
    assert verify_bundle(again).unaltered


def test_an_altered_pixel_of_a_picture_is_found(tmp_path: Path, files: Files) -> None:
    data = bytearray(files["stills/1-first-seen.png"])
    data[len(data) // 2] ^= 1
    found = verdict(tmp_path, files | {"stills/1-first-seen.png": bytes(data)})
    assert found.wrong == ["“stills/1-first-seen.png” was altered: its content is not what was signed."]
    assert "12 of 13 files" in " ".join(found.right)


def test_an_altered_score_is_found(tmp_path: Path, files: Files) -> None:
    assert b'"probability": 0.97' in files["annotation.json"]
    altered = files["annotation.json"].replace(b'"probability": 0.97', b'"probability": 0.99')
    found = verdict(tmp_path, files | {"annotation.json": altered})
    assert found.wrong == ["“annotation.json” was altered: its content is not what was signed."]


def test_a_file_that_was_swapped_made_longer_shorter_removed_or_added_is_found(
    tmp_path: Path, files: Files
) -> None:
    one, two = "footage/door/2026-09-21/one.mp4", "footage/door/2026-09-21/two.mp4"
    swapped = verdict(tmp_path, files | {one: files[two], two: files[one]})
    assert len(swapped.wrong) == 2 and not swapped.unaltered
    longer = verdict(tmp_path, files | {one: files[one] + b"x"})
    assert longer.wrong == [
        f"“{one}” was altered: it has more than the {len(files[one])} bytes that were signed."
    ]
    shorter = verdict(tmp_path, files | {one: files[one][:-1]})
    assert shorter.wrong == [
        f"“{one}” was altered: it has {len(files[one]) - 1} bytes, {len(files[one])} were signed."
    ]
    removed = verdict(tmp_path, {name: data for name, data in files.items() if name != "custody.json"})
    assert removed.wrong == ["“custody.json” is missing."]
    added = verdict(tmp_path, files | {"extra.txt": b"hello"})
    assert added.wrong == ["“extra.txt” was added: it is not among the files that were signed."]


def test_a_list_that_was_made_to_fit_is_found(tmp_path: Path, files: Files) -> None:
    """Who alters a file and its hash cannot sign the list; who signs with another key is not the one asked for."""
    altered = files["annotation.json"].replace(b"0.97", b"0.99")
    manifest = json.loads(files["manifest.json"])
    for file in manifest["files"]:
        if file["path"] == "annotation.json":
            file["sha256"] = hashlib.sha256(altered).hexdigest()
    forged = files | {"annotation.json": altered, "manifest.json": json.dumps(manifest).encode()}
    found = verdict(tmp_path, forged)
    assert not found.unaltered
    assert "signature is wrong" in found.wrong[0]

    own = SigningKey.open(tmp_path / "own.key")
    manifest |= {"installation": own.public.fingerprint, "public_key": own.public.raw.hex()}
    data = json.dumps(manifest).encode()
    forged |= {"manifest.json": data, "manifest.sig": own.sign(data)}
    path = packed(tmp_path / "own.zip", forged)
    assert verify_bundle(path).unaltered  # the stranger's own bundle: only its name tells
    expected = Expected.parse(json.loads(files["manifest.json"])["installation"])
    found = verify_bundle(path, expected)
    assert found.wrong == [
        f"It is from installation {own.public.fingerprint}, and that is NOT the one that was asked for."
    ]


def test_a_name_that_does_not_belong_to_the_key_and_another_format_are_found(
    tmp_path: Path, files: Files, key: SigningKey
) -> None:
    manifest = json.loads(files["manifest.json"])
    for change, said in (
        ({"installation": "0000 " * 7 + "0000"}, "names an installation that its key does not belong to"),
        ({"format": "unvizard picture claim 1"}, "must be of the format"),
        ({"public_key": "ab"}, "cannot be read: public key: must have 32 bytes, found 1"),
        ({"public_key": "xyz"}, "cannot be read"),
        ({"files": "none"}, "cannot be read"),
    ):
        data = json.dumps(manifest | change).encode()
        found = verdict(tmp_path, files | {"manifest.json": data, "manifest.sig": key.sign(data)})
        assert said in found.wrong[0]


def test_without_manifest_or_signature_nothing_is_said_of_the_rest(tmp_path: Path, files: Files) -> None:
    for name in ("manifest.json", "manifest.sig"):
        found = verdict(tmp_path, {each: data for each, data in files.items() if each != name})
        assert found.wrong == [f"{name} is missing: without it nothing can be said of the rest."]
        assert found.right == []


def test_a_bundle_that_was_cut_short_anywhere_is_found(tmp_path: Path, bundle: Path) -> None:
    whole = bundle.read_bytes()
    rng = random.Random(1)
    for end in [0, 1, 30, len(whole) - 1, *(rng.randrange(len(whole)) for _ in range(20))]:
        path = tmp_path / "short.zip"
        path.write_bytes(whole[:end])
        found = verify_bundle(path)
        assert not found.unaltered, end
        assert "cut short or damaged" in found.wrong[0]


def test_no_flipped_byte_of_the_content_passes_and_none_ends_in_an_error(
    tmp_path: Path, bundle: Path
) -> None:
    whole = bundle.read_bytes()
    with zipfile.ZipFile(bundle) as archive:
        inside = [(i.header_offset + 30 + len(i.filename), i.file_size) for i in archive.infolist()]
    rng, path = random.Random(2), tmp_path / "flipped.zip"
    for _ in range(150):
        at = rng.randrange(len(whole))
        flipped = bytearray(whole)
        flipped[at] ^= 1 << rng.randrange(8)
        path.write_bytes(flipped)
        found = verify_bundle(path)
        if any(start + 20 <= at < start + size for start, size in inside):
            assert not found.unaltered, at


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damage_to_what_is_compressed_is_found_too(tmp_path: Path, files: Files, compression: int) -> None:
    whole, path = packed(tmp_path / "whole.zip", files, compression).read_bytes(), tmp_path / "flipped.zip"
    assert verify_bundle(tmp_path / "whole.zip").unaltered
    rng, end = random.Random(3), whole.index(b"PK\x01\x02")
    for _ in range(8):
        flipped = bytearray(whole)
        for _ in range(20):
            flipped[rng.randrange(end)] ^= 1 << rng.randrange(8)
        path.write_bytes(flipped)
        assert not verify_bundle(path).unaltered


def with_entry(path: Path, files: Files, entry: zipfile.ZipInfo | str, data: bytes) -> Path:
    packed(path, files)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(entry, data)
    return path


def _link() -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo("link")
    entry.external_attr = 0o120777 << 16
    return entry


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (lambda: "annotation.json", "The name “annotation.json” is there 2 times"),
        (lambda: "ANNOTATION.json", "The name “annotation.json” is there 2 times"),
        (lambda: "../outside", "leads out of the bundle"),
        (lambda: "stills/../../outside", "leads out of the bundle"),
        (lambda: "/etc/passwd", "leads out of the bundle"),
        (lambda: "C:/windows", "leads out of the bundle"),
        (lambda: "stills\\..\\x", "leads out of the bundle"),
        (lambda: "report.html\u202etxt", "characters that cannot be seen"),
        (_link, "is a link to another file"),
    ],
)
def test_names_that_play_tricks_are_refused_before_anything_is_read(
    tmp_path: Path, files: Files, entry: Callable[[], zipfile.ZipInfo | str], said: str
) -> None:
    found = verify_bundle(with_entry(tmp_path / "trick.zip", files, entry(), b"x"))
    assert said in found.wrong[0]
    assert found.wrong[-1] == "Because of this nothing in it was read. Do not unpack it."
    assert found.right == []


def test_what_would_unpack_to_far_more_is_refused(tmp_path: Path, files: Files) -> None:
    bomb = zipfile.ZipInfo("stills/bomb.png")
    bomb.compress_type = zipfile.ZIP_DEFLATED
    found = verify_bundle(with_entry(tmp_path / "bomb.zip", files, bomb, bytes(50_000_000)))
    assert "would unpack to" in found.wrong[0]
    again = packed(tmp_path / "again.zip", files | {"manifest.json": bytes(30_000_000)}, zipfile.ZIP_DEFLATED)
    assert "would unpack to" in verify_bundle(again).wrong[0]


def test_a_size_that_lies_is_not_believed(tmp_path: Path, files: Files) -> None:
    """The directory says that a bomb is small: no more is read than the manifest allows."""
    path = packed(tmp_path / "liar.zip", files | {"custody.json": bytes(50_000_000)}, zipfile.ZIP_DEFLATED)
    data = bytearray(path.read_bytes())
    at = data.rindex(b"custody.json") - 46 + 24  # of the central directory: the size when unpacked
    assert struct.unpack("<I", data[at : at + 4]) == (50_000_000,)
    data[at : at + 4] = struct.pack("<I", len(files["custody.json"]))
    path.write_bytes(data)
    found = verify_bundle(path)
    assert not found.unaltered
    assert found.wrong[0].startswith("“custody.json” was altered")


def test_what_is_hidden_between_and_around_the_files_is_found(
    tmp_path: Path, bundle: Path, files: Files
) -> None:
    whole, path = bundle.read_bytes(), tmp_path / "hiding.zip"
    path.write_bytes(b"#!/bin/sh\n" + whole)
    assert "there is something that its directory does not list" in verify_bundle(path).wrong[0]
    path.write_bytes(whole + b"more")
    assert "There is something behind its end." in verify_bundle(path).wrong
    unlisted = {"unlisted.txt": b"hello"}
    for hiding in (unlisted | files, files | unlisted):
        packed(path, hiding)
        with zipfile.ZipFile(path, "a") as archive:
            archive.filelist.remove(archive.getinfo("unlisted.txt"))
            archive.comment = b""  # has the directory written anew
        found = verify_bundle(path)
        assert "there is something that its directory does not list" in found.wrong[0]
        assert found.right == []


def test_programs_that_write_sizes_behind_the_content_are_no_reason_for_doubt(
    tmp_path: Path, files: Files
) -> None:
    """A ZIP written into a pipe has them there."""
    path = tmp_path / "piped.zip"
    with path.open("wb") as plain, zipfile.ZipFile(_Pipe(plain), "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    with zipfile.ZipFile(path) as archive:
        assert archive.infolist()[0].flag_bits & 8
    assert verify_bundle(path).unaltered


class _Pipe(io.RawIOBase):
    """Can be written to and nothing else."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def writable(self) -> bool:
        return True

    def write(self, data: bytes, /) -> int:
        return self._file.write(data)

    def seekable(self) -> bool:
        return False


def test_an_encrypted_file_is_refused(tmp_path: Path, bundle: Path) -> None:
    data = bytearray(bundle.read_bytes())
    at = data.index(b"PK\x01\x02") + 8
    data[at] |= 1
    path = tmp_path / "locked.zip"
    path.write_bytes(data)
    assert "is encrypted" in verify_bundle(path).wrong[0]
