"""The form of an evidence bundle: a ZIP with a manifest of all its files, signed by the installation.

manifest.json names every other file with size and sha256; manifest.sig is the Ed25519 signature over the bytes of
manifest.json. Nothing else is needed to check it: openssl, sha256sum and a look into the JSON will do.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import zipfile
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Self

import msgspec

from engines.signing import SigningKey

FORMAT = "unvizard evidence bundle 1"
MANIFEST, SIGNATURE, PUBLIC_KEY = "manifest.json", "manifest.sig", "signing.pub"
REPORT, ANNOTATION, VERSIONS, CUSTODY = "report.html", "annotation.json", "versions.json", "custody.json"
_BLOCK = 1 << 20
_LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the same files make the same ZIP, whenever it is made


class BundledFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file. sha256: hexadecimal."""

    path: str
    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is signed. installation: the fingerprint of public_key (hexadecimal). made: UTC by that machine's clock."""

    format: str
    installation: str
    public_key: str
    made: str
    product: str
    files: tuple[BundledFile, ...]


class BundleError(RuntimeError):
    """The bundle cannot be made; the text says why. Nothing is left behind."""


class BundleWriter:
    """Writes a bundle beside its place and puts it there when it is whole and signed. A context manager.

    files: what has been added so far.
    """

    def __init__(
        self,
        path: Path,
        key: SigningKey,
        product: str,
        made_ns: int,
        watch: Callable[[int], None] = lambda size: None,
    ) -> None:
        """watch: told how many bytes were just copied; when it raises, nothing is left behind. Raises BundleError when
        the path is taken or cannot be written.
        """
        self._watch = watch
        if path.exists():
            raise BundleError(f"{path}: is there already; evidence is not written over")
        self._path, self._key, self._product, self._made_ns = path, key, product, made_ns
        self._part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        self.files: list[BundledFile] = []
        try:
            self._file = os.fdopen(os.open(self._part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "w+b")
        except OSError as error:
            raise BundleError(f"{path}: cannot be written: {error.strerror}") from None
        self._zip = zipfile.ZipFile(self._file, "w", zipfile.ZIP_STORED)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError, ValueError):  # a full disk, or a file that was being copied: it is thrown away
            self._zip.close()
        with suppress(OSError):
            self._file.close()
        self._part.unlink(missing_ok=True)

    def add(self, name: str, data: bytes) -> BundledFile:
        """A file from its content. Raises BundleError."""
        try:
            self._zip.writestr(_entry(name), data)
        except OSError as error:
            raise BundleError(f"{self._path}: cannot be written: {error.strerror}") from None
        return self._note(name, len(data), hashlib.sha256(data).hexdigest())

    def copy(self, name: str, source: BinaryIO, most: int) -> BundledFile:
        """A file, byte for byte: at most so many bytes of one that may still grow. Raises BundleError."""
        digest, left = hashlib.sha256(), most
        try:
            with self._zip.open(_entry(name), "w", force_zip64=True) as target:
                while left and (block := source.read(min(_BLOCK, left))):
                    digest.update(block)
                    target.write(block)
                    left -= len(block)
                    self._watch(len(block))
        except OSError as error:
            raise BundleError(f"{self._path}: {name} cannot be copied: {error.strerror}") from None
        return self._note(name, most - left, digest.hexdigest())

    def finish(self) -> Manifest:
        """Sign it, and put it in its place. Raises BundleError."""
        self.add(PUBLIC_KEY, self._key.public.pem)
        manifest = Manifest(
            FORMAT,
            self._key.public.fingerprint,
            self._key.public.raw.hex(),
            datetime.fromtimestamp(self._made_ns / 1e9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            self._product,
            tuple(sorted(self.files, key=lambda file: file.path)),
        )
        data = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
        try:
            self._zip.writestr(_entry(MANIFEST), data)
            self._zip.writestr(_entry(SIGNATURE), self._key.sign(data))
            self._zip.close()
            self._file.flush()
            os.fsync(self._file.fileno())
            os.link(self._part, self._path)  # fails, and leaves it alone, when something is there by now
        except OSError as error:
            raise BundleError(f"{self._path}: cannot be written: {error.strerror}") from None
        return manifest

    def _note(self, name: str, size: int, sha256: str) -> BundledFile:
        self.files.append(BundledFile(name, size, sha256))
        return self.files[-1]


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _LONG_AGO)
    entry.external_attr = 0o644 << 16
    return entry
