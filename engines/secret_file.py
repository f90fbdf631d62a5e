"""Files that hold a key: made once, whole, for their owner alone, and never written over."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path


def write_once(path: Path, data: bytes) -> None:
    """Make the file (mode 0600) unless one is there, which then stays as it is. Raises OSError."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(handle, data)
        os.fsync(handle)
    finally:
        os.close(handle)
    try:
        os.link(part, path)  # whole or not at all, and never over a key that is there already
    except FileExistsError:
        pass  # another process was first
    finally:
        part.unlink()


def mode_for_others(path: Path) -> int:
    """The permission bits when anybody but the owner has any, else 0. Raises OSError."""
    mode = stat.S_IMODE(path.stat().st_mode)
    return mode if mode & 0o077 else 0
