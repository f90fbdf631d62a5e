"""The folder of the recordings, on a disk that may fill up, turn read-only, or be pulled out."""

from __future__ import annotations

import errno
import os
from pathlib import Path

FULL, READ_ONLY, GONE, FAULTY = "disk full", "disk read-only", "disk gone", "disk faulty"
_REASONS = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), FULL),
    **dict.fromkeys((errno.EROFS, errno.EACCES, errno.EPERM), READ_ONLY),
    **dict.fromkeys((errno.ENOENT, errno.ENOTDIR, errno.ENODEV, errno.ENXIO, errno.ESTALE), GONE),
}
_SENTENCES = {
    FULL: "the disk is full",
    READ_ONLY: "the folder cannot be written",
    GONE: "the folder is not there any more",
    FAULTY: "the disk does not work",
}
_MOUNT_FILE = "recordings.mount"


def reason_of(error: OSError) -> str:
    """Why footage is dropped, in two words."""
    return _REASONS.get(error.errno or 0, FAULTY)


def sentence_of(error: OSError, folder: Path) -> str:
    """The same for people."""
    reason = reason_of(error)
    more = f" ({os.strerror(error.errno)})" if reason == FAULTY and error.errno else ""
    return f"{folder}: {_SENTENCES[reason]}{more}"


class RecordingsFolder:
    """The folder, on the disk on which it was when the run began.

    A disk that is pulled out leaves its mount point behind, an empty folder on another disk, which must not be filled
    in its place. A folder that was deleted is made anew.
    """

    def __init__(self, path: Path, run_directory: Path) -> None:
        """run_directory: remembers the disk for a recorder that is started again."""
        self.path = path
        note = run_directory / _MOUNT_FILE
        try:
            self._mount = Path(note.read_text())
        except OSError:
            self._mount = _mount_point(path)
            note.write_text(str(self._mount))

    def ensure(self) -> None:
        """Raises OSError when the folder is not there and cannot be made where it was."""
        if self._mount != _mount_point(self.path):
            raise OSError(errno.ENODEV, "the disk is not mounted", str(self._mount))
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)


def _mount_point(path: Path) -> Path:
    """The nearest folder above (or the path itself) on which a disk is mounted."""
    path = path.absolute()
    while not os.path.ismount(path) and path != path.parent:
        path = path.parent
    return path
