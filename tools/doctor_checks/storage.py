"""The folders that are written to: whether they can be, how much room they have, how fast they are."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from stream.config import Settings
from tools.doctor_checks.finding import Finding, fault, ok, warning

_CAMERA_MB_S = 1.0  # 8 Mbit/s: a 4K camera at full quality
_SAMPLE = 16_000_000
_NETWORK = ("nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "fuse.glusterfs", "ceph")
_LITTLE_GB = {"engines": 1.0, "gallery": 0.2, "signing key": 0.01, "recordings": 1.0}


def storage(settings: Settings) -> Iterator[Finding]:
    """Each folder of the settings, and the disk under it."""
    folders = {
        "engines": settings.engines.cache,
        "gallery": settings.recognition.gallery.parent,
        "signing key": settings.signing.key.parent,
    }
    if settings.recording_active:
        folders["recordings"] = settings.recording.folder
    for name, folder in folders.items():
        yield from _folder(name, folder, settings)


def _folder(name: str, folder: Path, settings: Settings) -> Iterator[Finding]:
    there = next((each for each in (folder, *folder.parents) if each.exists()), Path("/"))
    if not there.is_dir():
        yield fault(name, f"{there} is a file", "name a folder in the settings, or move that file away")
        return
    try:
        rate = _written_mb_s(there)
    except OSError as error:
        advice = f"make it writable for this user: mkdir -p {folder} && chown {os.getuid()} {folder}"
        if error.errno == 28:
            advice = "make room on this disk"
        yield fault(name, f"{folder}: nothing can be written: {error.strerror}", advice)
        return
    kind = _filesystem(there)
    free_gb = shutil.disk_usage(there).free / 1e9
    found = f"{folder}: {free_gb:.1f} GB free on {kind or 'an unknown file system'}, {rate:.0f} MB/s"
    if free_gb < _LITTLE_GB[name]:
        yield warning(name, found, f"make room: at least {_LITTLE_GB[name]:g} GB")
    elif name == "gallery" and kind in _NETWORK:
        yield warning(name, found, "keep the gallery on a disk of this machine: SQLite's locks need one")
    elif name == "recordings":
        yield _recordings(found, free_gb, rate, settings)
    else:
        yield ok(name, found)


def _recordings(found: str, free_gb: float, rate: float, settings: Settings) -> Finding:
    recorded = [c for c in settings.cameras if settings.recording_mode(c.name) != "off"]
    needed = _CAMERA_MB_S * max(1, len(recorded))
    limits = settings.recording
    if rate < 2 * needed:
        advice = f"a faster disk: {max(1, len(recorded))} recorded cameras may write {needed:.0f} MB/s"
        return warning("recordings", found, advice)
    if free_gb < limits.keep_free_gb:
        advice = f"recording.keep_free_gb is {limits.keep_free_gb:g}: the oldest footage is deleted to keep it free"
        return warning("recordings", found, advice)
    room = _size_gb(limits.folder) + free_gb - limits.keep_free_gb
    if room < limits.keep_gb:
        advice = (
            f"recording.keep_gb is {limits.keep_gb:g} and there is room for {room:.0f}: the oldest footage will be "
            "deleted before that; lower it, or use a larger disk"
        )
        return warning("recordings", found, advice)
    return ok("recordings", found)


def _written_mb_s(folder: Path) -> float:
    """Megabytes a second that reach the disk there. Raises OSError."""
    data = os.urandom(1_000_000)  # some file systems and disks write nothing for zeros
    with tempfile.TemporaryFile(dir=folder) as file:
        began = time.perf_counter()
        for _ in range(_SAMPLE // len(data)):
            file.write(data)
        file.flush()
        os.fsync(file.fileno())
        return _SAMPLE / 1e6 / (time.perf_counter() - began)


def _filesystem(folder: Path) -> str:
    """The type of the file system under a folder, as the kernel names it."""
    resolved = folder.resolve()
    mounts = [m for m in psutil.disk_partitions(all=True) if resolved.is_relative_to(m.mountpoint)]
    return max(mounts, key=lambda m: len(m.mountpoint)).fstype if mounts else ""


def _size_gb(folder: Path) -> float:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.lstat().st_size
        except OSError:
            continue  # deleted meanwhile
    return total / 1e9
