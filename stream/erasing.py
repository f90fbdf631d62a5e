"""Erasing a person everywhere: from the gallery, and from what was recorded under each name they ever bore."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engines.recognition.enrolled import Receipt
from engines.recognition.gallery import Gallery
from stream.archive.archive import Archive, ArchiveError
from stream.archive.archive import Receipt as ArchiveReceipt
from stream.archive.database import FILE


@dataclass(frozen=True, slots=True)
class Erased:
    """What was done.

    recordings: a receipt for each name, empty where nothing was recorded. left: former names that somebody else bears
    now; recordings under these were left as they are. problem: why the recordings could not be searched; the gallery
    has forgotten the person all the same, and the erasure from the recordings must be done again.
    """

    gallery: Receipt
    recordings: tuple[ArchiveReceipt, ...] = ()
    left: tuple[str, ...] = ()
    problem: str = ""


def erase_person(gallery: Gallery, recordings: Path | None, name: str, actor: str) -> Erased:
    """Erase whoever bears a name. recordings: their folder; None leaves them alone.

    Raises ValueError for what is no name, GalleryError for an unknown one; then nothing was changed.
    """
    receipt = gallery.remove(name, actor)
    left = tuple(former for former in receipt.former_names if gallery.find(former))
    names = [receipt.name, *(former for former in receipt.former_names if former not in left)]
    if recordings is None or not (recordings / FILE).exists():
        return Erased(receipt, left=left)
    done: list[ArchiveReceipt] = []
    try:
        with Archive.open(recordings, actor=actor) as archive:
            done.extend(archive.erase_person(each) for each in names)
    except ArchiveError as error:
        return Erased(receipt, tuple(done), left, str(error))
    return Erased(receipt, tuple(done), left)
