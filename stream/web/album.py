"""Many pictures of many people, from a ZIP file or a folder of this machine: whose each is, and its content.

`Anna Weber/1.jpg` is a picture of Anna Weber, and so is `Anna_Weber_02.jpg` beside no other folder. A ZIP is never
unpacked onto the disk, what its names say is never used as a path, and no more of it is read than the limits allow.
"""

from __future__ import annotations

import re
import stat
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from stream.web.workshop import MOST_UPLOADED

MOST_PICTURES = 20_000
_MOST_DIRECTORY = 8 << 20
_MOST_UNPACKED = 16 << 30
_END, _END_BYTES, _LONGEST_COMMENT = b"PK\x05\x06", 22, 65_535
_LARGE = b"PK\x06\x07"
_LARGE_BYTES = 20
_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".avif", ".tif", ".tiff", ".bmp"})


class AlbumError(ValueError):
    """The album cannot be read; the text says why."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """One picture. file: where it lay, to be shown only. person: whose it is. read: gives the file's content; raises
    AlbumError.
    """

    file: str
    person: str
    read: Callable[[], bytes]


def zip_leaves(file: BinaryIO) -> list[Leaf]:
    """The pictures in a ZIP file, in its order. Raises AlbumError."""
    _check_directory(file)
    try:
        archive = zipfile.ZipFile(file)
        entries = [entry for entry in archive.infolist() if _is_picture(entry.filename)]
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
        raise AlbumError(f"the ZIP file is damaged or cut short: {error}") from None
    _check_count(len(entries))
    left = [_MOST_UNPACKED]

    def reader(entry: zipfile.ZipInfo) -> Callable[[], bytes]:
        return lambda: _unpacked(archive, entry, left)

    return [Leaf(entry.filename, person_of(entry.filename), reader(entry)) for entry in entries]


def folder_leaves(folder: Path) -> list[Leaf]:
    """The pictures in a folder and the folders in it, by name. Links are passed over. Raises AlbumError."""
    if not folder.is_dir():
        raise AlbumError(f"{folder}: there is no such folder")
    found = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if _is_picture(name) and stat.S_ISREG(path.lstat().st_mode):
            found.append(Leaf(name, person_of(name), lambda path=path: _content(path)))  # type: ignore[misc]
    _check_count(len(found))
    return found


def person_of(name: str) -> str:
    """Whose picture this is, by its place: the folder it lies in, else its own name without a number at its end."""
    path = PurePosixPath(name)
    person = path.parent.name or re.sub(r"[\s_-]*(\(\d+\)|\d+)$", "", path.stem) or path.stem
    return person.replace("_", " ")


def _is_picture(name: str) -> bool:
    path = PurePosixPath(name)
    hidden = any((part.startswith(".") and part != "..") or part == "__MACOSX" for part in path.parts)
    return not hidden and path.suffix.lower() in _SUFFIXES


def _check_count(count: int) -> None:
    if not count:
        raise AlbumError(f"no pictures were found: their names must end in {', '.join(sorted(_SUFFIXES))}")
    if count > MOST_PICTURES:
        raise AlbumError(f"at most {MOST_PICTURES:,} pictures are taken at once, found {count:,}")


def _check_directory(file: BinaryIO) -> None:
    """Before anything else reads it: a directory of gigabytes must not get into memory. Raises AlbumError."""
    size = file.seek(0, 2)
    file.seek(max(0, size - _LONGEST_COMMENT - _END_BYTES - _LARGE_BYTES))
    tail = file.read()
    at = len(tail) - _END_BYTES
    if at < 0 or tail[at : at + 4] != _END or tail[-2:] != b"\0\0":
        at = tail.rfind(_END)
    if at < 0 or len(tail) - at < _END_BYTES:
        raise AlbumError("this is not a ZIP file, or it is cut short")
    if tail[max(0, at - _LARGE_BYTES) : at].startswith(_LARGE):
        raise AlbumError(
            "the ZIP file is of the kind for more than 65,535 files or 4 GiB: send several smaller ones"
        )
    directory = int.from_bytes(tail[at + 12 : at + 16], "little")
    if directory > _MOST_DIRECTORY:
        raise AlbumError(
            f"the ZIP file's directory must have at most {_MOST_DIRECTORY >> 20} MiB, found {directory >> 20}"
        )
    file.seek(0)


def _unpacked(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, left: list[int]) -> bytes:
    if entry.flag_bits & 1:
        raise AlbumError("is encrypted")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise AlbumError("is compressed in a way that is not read: only deflate is")
    try:
        with archive.open(entry) as file:
            data = file.read(min(MOST_UPLOADED, left[0]) + 1)
    except (zipfile.BadZipFile, ValueError, OSError, EOFError, NotImplementedError) as error:
        raise AlbumError(f"is damaged: {error}") from None
    except Exception as error:  # zlib.error
        raise AlbumError(f"is damaged: {type(error).__name__}") from None
    if len(data) > left[0]:
        raise AlbumError(f"the ZIP file holds more than {_MOST_UNPACKED >> 30} GiB, the rest is not read")
    left[0] -= len(data)
    return _checked(data)


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return _checked(file.read(MOST_UPLOADED + 1))
    except OSError as error:
        raise AlbumError(f"cannot be read: {error.strerror}") from None


def _checked(data: bytes) -> bytes:
    if len(data) > MOST_UPLOADED:
        raise AlbumError(f"is too large: at most {MOST_UPLOADED >> 20} MiB")
    return data
