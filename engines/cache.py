"""Compiled engines on disk, each with what it was made for in readable form.

A file is a line `unvizard engine 1 <sha256 of all that follows>`, a line of JSON (its key, and when and why it was
made), and what the runtime compiled. Runtimes load damaged engines without a word and compute nonsense (OpenVINO does),
and a compiled engine is a program: one that is damaged, made for something else, or that another user could have
written is refused with the reason and compiled anew. The hash finds damage and mix-ups; it is no defence against
somebody who may write as this user.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

SUFFIX = ".engine"
_MAGIC = b"unvizard engine 1 "
_LONGEST_HEADER = 1 << 16
_STILL_TOLD_S = 600
"""The command line makes engines ready before the stages start; the stages' report tells what it had to mend."""
_TEMPORARY = re.compile(r"\..+\.(\d+)\.[a-z0-9_]{8}")


class Refused(ValueError):
    """A file that is not used as an engine; the text is the reason."""


@dataclass(frozen=True, slots=True)
class EngineKey:
    """What a compiled engine was made for; any difference means another engine.

    runtime: backend and version. device: with its architecture. shapes: the shape profile, or "dynamic".
    """

    model_name: str
    model_sha256: str
    runtime: str
    device: str
    precision: str
    shapes: str

    @property
    def filename(self) -> str:
        """Readable in front, unique through the digest of the whole key."""
        return f"{self.stem}{SUFFIX}"

    @property
    def stem(self) -> str:
        """The file's name without its ending."""
        text = "\n".join((self.model_sha256, self.runtime, self.device, self.precision, self.shapes))
        runtime = re.sub(r"[^A-Za-z0-9.]+", "-", self.runtime.split("-")[0])
        return f"{self.model_name}-{runtime}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


class Header(msgspec.Struct, frozen=True):
    """What is written in front of a compiled engine.

    made_s: wall time, seconds since 1970. instead_of: why the one that was there before was refused; "" without.
    """

    key: EngineKey
    size: int
    made_s: float
    instead_of: str = ""


@dataclass(slots=True)
class Dealings:
    """What the cache did while somebody watched. notes: sentences for people. compiled: an engine was made anew."""

    notes: list[str] = field(default_factory=list)
    compiled: bool = False


_watched: ContextVar[Dealings | None] = ContextVar("dealings", default=None)


@contextmanager
def watching() -> Iterator[Dealings]:
    """What load() and save() do within, in this thread: runtimes call them deep inside, and people want the reasons."""
    outer = _watched.get()
    token = _watched.set(dealings := Dealings())
    try:
        yield dealings
    finally:
        _watched.reset(token)
        if outer:
            outer.notes += dealings.notes
            outer.compiled |= dealings.compiled


def load(folder: Path | None, key: EngineKey) -> bytes | None:
    """The compiled engine, or None when there is none, no folder, or the file is refused; watching() has the reason."""
    if folder is None:
        return None
    try:
        header, content = read(folder / key.filename)
        if header.key != key:
            raise Refused(differences(header.key, key))
    except FileNotFoundError:
        return None
    except Refused as reason:
        _note(_anew(key, str(reason)))
        return None
    if header.instead_of and 0 <= time.time() - header.made_s < _STILL_TOLD_S:
        _note(_anew(key, header.instead_of))
    return content


def save(folder: Path | None, key: EngineKey, content: bytes) -> None:
    """Keeps a compiled engine; does nothing without a folder. Other processes see all of it or nothing.

    A disk that is full or read-only is a note, not an error: the engine runs all the same.
    """
    dealings = _watched.get()
    if dealings:
        dealings.compiled = True
    if folder is None:
        return
    try:
        header = Header(key, len(content), time.time(), _passed_over(folder, key))
        said = msgspec.json.encode(header) + b"\n"
        digest = hashlib.sha256(said)
        digest.update(content)
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / key.filename, _MAGIC + digest.hexdigest().encode() + b"\n" + said + content)
    except OSError as error:
        _note(
            f"{key.model_name}: what was compiled cannot be kept, and will be compiled at each start: {error}"
        )
        return
    if header.instead_of and not (dealings and _anew(key, header.instead_of) in dealings.notes):
        _note(_anew(key, header.instead_of))


def read(path: Path) -> tuple[Header, bytes]:
    """A file's header and engine, checked as a whole. Raises Refused, FileNotFoundError."""
    try:
        with path.open("rb") as file:
            _check_owner(os.fstat(file.fileno()))
            data = file.read()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise Refused(f"cannot be read: {error.strerror}") from error
    first, _, rest = data.partition(b"\n")
    said, _, content = rest.partition(b"\n")
    header = _header(first, said)
    if len(content) != header.size:
        raise Refused(f"truncated: {len(content)} of {header.size} bytes")
    if hashlib.sha256(rest).hexdigest().encode() != first.removeprefix(_MAGIC):
        raise Refused("damaged or changed: its content does not have the sha256 written in it")
    return header, content


def read_header(path: Path) -> Header:
    """What a file says of itself; only its form and length are checked. Raises Refused, FileNotFoundError."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            _check_owner(status)
            first, said = file.readline(_LONGEST_HEADER), file.readline(_LONGEST_HEADER)
            header, size = _header(first.rstrip(b"\n"), said), status.st_size - file.tell()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise Refused(f"cannot be read: {error.strerror}") from error
    if size != header.size:
        raise Refused(f"truncated: {size} of {header.size} bytes")
    return header


def differences(found: EngineKey, wanted: EngineKey) -> str:
    """In what an engine is not the one that is wanted; "" when it is."""
    said = []
    if found.model_name != wanted.model_name:
        said.append(f"made of the network {found.model_name}")
    if found.model_sha256 != wanted.model_sha256:
        said.append("made of other weights")
    for what, a, b in (
        ("made by", found.runtime, wanted.runtime),
        ("made for", found.device, wanted.device),
        ("made in", found.precision, wanted.precision),
        ("made for the shapes", found.shapes, wanted.shapes),
    ):
        if a != b:
            said.append(f"{what} {a}, here is {b}")
    return "; ".join(said)


def engines(folder: Path) -> list[Path]:
    """The files of compiled engines in a folder, by name; none when there is no folder."""
    return sorted(folder.glob(f"*{SUFFIX}"))


def holds(folder: Path | None, model_name: str, model_sha256: str, backend: str, precision: str) -> bool:
    """Whether some engine of these weights lies there for a backend, of whatever version or device."""
    for path in folder.glob(f"{model_name}-{backend}*{SUFFIX}") if folder else ():
        try:
            key = read_header(path).key
        except (Refused, FileNotFoundError):
            continue
        if (key.model_sha256, key.precision) == (model_sha256, precision):
            return True
    return False


def leftovers(folder: Path, of: int | None = None) -> list[Path]:
    """Half-written files that a process left behind when it was killed: process `of`, or all that live no more."""
    found = []
    for path in folder.glob(".*"):
        if match := _TEMPORARY.fullmatch(path.name):
            process = int(match[1])
            if process == of or (of is None and not Path(f"/proc/{process}").exists()):
                found.append(path)
    return found


def write_atomically(path: Path, data: bytes) -> None:
    """Written beside and renamed, so that nobody ever reads half a file."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.{os.getpid()}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _header(first: bytes, said: bytes) -> Header:
    if not first.startswith(_MAGIC):
        raise Refused("truncated: empty" if not first else "not an engine of this version's format")
    try:
        return msgspec.json.decode(said, type=Header)
    except msgspec.MsgspecError as error:
        raise Refused(f"damaged: what it was made for cannot be read ({error})") from error


def _check_owner(status: os.stat_result) -> None:
    if status.st_uid not in (0, os.geteuid()):
        raise Refused(f"it belongs to another user (uid {status.st_uid})")
    if status.st_mode & 0o022:
        raise Refused(f"others may write to it (mode {status.st_mode & 0o777:o})")


def _passed_over(folder: Path, key: EngineKey) -> str:
    """Why what lies in the cache for the same network and backend does not do; "" when nothing does."""
    try:
        header, _ = read(folder / key.filename)
        return differences(header.key, key)
    except Refused as reason:
        return str(reason)
    except FileNotFoundError:
        pass
    backend, found = key.runtime.split(" ")[0], ""
    for path in folder.glob(f"{key.model_name}-*{SUFFIX}"):
        try:
            other = read_header(path).key
        except (Refused, FileNotFoundError):
            continue
        alike = (other.model_sha256, other.precision, other.shapes)
        if alike == (key.model_sha256, key.precision, key.shapes) and other.runtime.startswith(backend + " "):
            found = differences(other, key)
    return found


def _anew(key: EngineKey, reason: str) -> str:
    return f"{key.model_name}: the engine in the cache was not used ({reason}), and was compiled anew"


def _note(sentence: str) -> None:
    if dealings := _watched.get():
        dealings.notes.append(sentence)
