"""Whether an evidence bundle is what its installation has signed. Needs nothing but the bundle.

A bundle comes from anywhere, so nothing in it is trusted before its signature and hash are checked, nothing is
unpacked to the disk, and no more is read than the manifest says there is.
"""

from __future__ import annotations

import hashlib
import lzma
import os
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import msgspec

from engines.signing import SIGNATURE_BYTES, Expected, PublicKey
from stream.evidence.bundle import CUSTODY, FORMAT, MANIFEST, SIGNATURE, BundledFile, Manifest

_MOST_MANIFEST_BYTES = 8 << 20
_MOST_CUSTODY_BYTES = 1 << 20
_MOST_FILES = 10_000
_MOST_RATIO = 200  # of size to compressed size; video and pictures hardly shrink at all
_SMALL = 1 << 20  # a file below this may be all blanks
_BLOCK = 1 << 20
_SYMLINK = 0o120000
_LOCAL_LENGTHS = 26  # in a local file header: where the lengths of name and extra field stand
_MOST_DESCRIPTOR = 24  # bytes that may stand behind a file's content
_END, _END_BYTES = b"PK\x05\x06", 22
_ENCRYPTED = 0x1
_READING = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, OSError, OverflowError, RuntimeError, ValueError),
)
"""What zipfile and its decoders raise for damaged or hostile files."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found, a sentence an entry. limits: what can not be said."""

    right: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    limits: list[str] = field(default_factory=list)

    @property
    def unaltered(self) -> bool:
        """Whether nothing is wrong."""
        return not self.wrong


def verify_bundle(path: Path, expected: Expected | None = None) -> Verdict:
    """Check a bundle. expected: the installation to insist on. Raises OSError when the file cannot be opened."""
    verdict = Verdict()
    with path.open("rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                if _safe(archive, file, verdict):
                    _check(archive, expected, verdict)
        except _READING as error:
            verdict.wrong.append(
                f"The file is no whole ZIP: it was cut short or damaged ({_one_line(error)})."
            )
    return verdict


def _safe(archive: zipfile.ZipFile, file: BinaryIO, verdict: Verdict) -> bool:
    """Whether the ZIP's directory is free of tricks; only then is anything in it read."""
    entries = archive.infolist()
    if len(entries) > _MOST_FILES:
        verdict.wrong.append(f"It lists {len(entries)} files; no bundle has more than {_MOST_FILES}.")
        return False
    tricks = [f"The name {_shown(name)} is there {n} times." for name, n in _counts(entries) if n > 1]
    for entry in entries:
        tricks += [f"{_shown(entry.orig_filename)}: {trick}." for trick in _tricks(entry)]
    tricks += _hidden(archive, file)
    verdict.wrong.extend(tricks[:20])
    if len(tricks) > 20:
        verdict.wrong.append(f"There are {len(tricks) - 20} more of these.")
    if tricks:
        verdict.wrong.append("Because of this nothing in it was read. Do not unpack it.")
    return not tricks


def _counts(entries: list[zipfile.ZipInfo]) -> Iterator[tuple[str, int]]:
    # Two names that some systems take for one are a trick too.
    yield from Counter(entry.filename.casefold() for entry in entries).items()


def _tricks(entry: zipfile.ZipInfo) -> Iterator[str]:
    name = entry.orig_filename
    parts = PurePosixPath(name).parts
    if name.startswith("/") or ".." in parts or "\\" in name or ":" in name or not parts:
        yield "the name leads out of the bundle"
    if any(not c.isprintable() for c in name):
        yield "the name has characters that cannot be seen"
    if entry.flag_bits & _ENCRYPTED:
        yield "is encrypted"
    if (entry.external_attr >> 16) & 0o170000 == _SYMLINK:
        yield "is a link to another file"
    if entry.file_size > _SMALL and entry.file_size > _MOST_RATIO * max(entry.compress_size, 1):
        yield f"would unpack to {entry.file_size // max(entry.compress_size, 1)} times its size"


def _hidden(archive: zipfile.ZipFile, file: BinaryIO) -> Iterator[str]:
    """What lies in the file outside of its directory: some programs unpack that, and show another bundle than this."""
    end = 0
    for entry in sorted(archive.infolist(), key=lambda entry: entry.header_offset):
        if not 0 <= entry.header_offset - end <= (_MOST_DESCRIPTOR if end else 0):
            yield f"Before {_shown(entry.filename)} there is something that its directory does not list."
        file.seek(entry.header_offset + _LOCAL_LENGTHS)
        name, extra = struct.unpack("<HH", file.read(4))
        end = entry.header_offset + _LOCAL_LENGTHS + 4 + name + extra + entry.compress_size
    if not 0 <= archive.start_dir - end <= (_MOST_DESCRIPTOR if end else 0):
        yield "Behind the last file there is something that its directory does not list."
    file.seek(-_END_BYTES, os.SEEK_END)
    if file.read(4) != _END:
        yield "There is something behind its end."


def _check(archive: zipfile.ZipFile, expected: Expected | None, verdict: Verdict) -> None:
    names = {entry.filename for entry in archive.infolist() if not entry.is_dir()}
    for needed in (MANIFEST, SIGNATURE):
        if needed not in names:
            verdict.wrong.append(f"{needed} is missing: without it nothing can be said of the rest.")
            return
    manifest_bytes = _small(archive, MANIFEST, _MOST_MANIFEST_BYTES)
    signature = _small(archive, SIGNATURE, SIGNATURE_BYTES)
    try:
        manifest = msgspec.json.decode(manifest_bytes, type=Manifest)
        key = PublicKey(bytes.fromhex(manifest.public_key))
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as error:
        verdict.wrong.append(f"{MANIFEST} cannot be read: {_one_line(error)}.")
        return
    if not _check_signature(manifest, key, manifest_bytes, signature, verdict):
        return
    _check_installation(key, expected, verdict)
    _check_files(archive, manifest, names - {MANIFEST, SIGNATURE}, verdict)
    _say_limits(archive, manifest, expected, verdict)


def _check_signature(
    manifest: Manifest, key: PublicKey, data: bytes, signature: bytes, verdict: Verdict
) -> bool:
    if manifest.format != FORMAT:
        verdict.wrong.append(f"{MANIFEST} must be of the format {FORMAT!r}, found {_shown(manifest.format)}.")
    elif key.fingerprint != manifest.installation:
        verdict.wrong.append(f"{MANIFEST} names an installation that its key does not belong to.")
    elif not key.signed(data, signature):
        verdict.wrong.append(
            f"The signature is wrong: {MANIFEST} was altered, or is not from installation {key.fingerprint}."
        )
    else:
        verdict.right.append(
            f"The signature fits: the list of files was signed by installation {key.fingerprint}."
        )
        return True
    return False


def _check_installation(key: PublicKey, expected: Expected | None, verdict: Verdict) -> None:
    if expected is None:
        return
    if expected.fits(key):
        verdict.right.append("That is the installation that was asked for.")
    else:
        verdict.wrong.append(
            f"It is from installation {key.fingerprint}, and that is NOT the one that was asked for."
        )


def _check_files(archive: zipfile.ZipFile, manifest: Manifest, names: set[str], verdict: Verdict) -> None:
    listed = {file.path: file for file in manifest.files}
    intact = 0
    for path, file in listed.items():
        if path not in names:
            verdict.wrong.append(f"{_shown(path)} is missing.")
        elif fault := _fault(archive, file):
            verdict.wrong.append(f"{_shown(path)} {fault}.")
        else:
            intact += 1
    for path in sorted(names - listed.keys()):
        verdict.wrong.append(f"{_shown(path)} was added: it is not among the files that were signed.")
    if intact == len(listed):
        verdict.right.append(f"All {intact} files are, byte for byte, those that were signed.")
    else:
        verdict.right.append(f"{intact} of {len(listed)} files are, byte for byte, those that were signed.")


def _fault(archive: zipfile.ZipFile, file: BundledFile) -> str | None:
    """What is wrong with a file; reads at most one block more than it may have."""
    digest, size = hashlib.sha256(), 0
    try:
        with archive.open(file.path) as content:
            while block := content.read(_BLOCK):
                size += len(block)
                if size > file.size:
                    return f"was altered: it has more than the {file.size} bytes that were signed"
                digest.update(block)
    except _READING as error:
        return f"was altered or damaged: it cannot be read ({_one_line(error)})"
    if size != file.size:
        return f"was altered: it has {size} bytes, {file.size} were signed"
    return None if digest.hexdigest() == file.sha256 else "was altered: its content is not what was signed"


def _say_limits(
    archive: zipfile.ZipFile, manifest: Manifest, expected: Expected | None, verdict: Verdict
) -> None:
    if expected is None:
        verdict.limits.append(
            "Anybody can make a key. That the installation is the one you think of, you know only when its owner has "
            "told you this name; --key checks it."
        )
    verdict.limits.append(
        f"It was made {manifest.made} by that machine's own clock. Nobody else has confirmed the time."
    )
    verdict.limits.append(
        "A signature proves that nothing was changed since, not that camera, clock and people at that machine told "
        "the truth."
    )
    if not verdict.wrong and CUSTODY in archive.namelist():
        custody = msgspec.json.decode(_small(archive, CUSTODY, _MOST_CUSTODY_BYTES))
        if isinstance(custody, dict):
            who, why = (_shown(str(custody.get(name, "?"))) for name in ("exported_by", "reason"))
            verdict.right.append(f"It was exported by {who}, who gave as the reason {why}.")


def _small(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    """The content of a file, or its beginning: whatever is longer will not fit its signature."""
    with archive.open(name) as content:
        return content.read(most)


def _shown(text: str) -> str:
    """A text of unknown origin for a terminal: quoted, and not long."""
    return ascii(text[:120]) if not text.isprintable() else f"“{text[:120]}”"


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__
