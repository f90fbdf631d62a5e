"""What was recorded, as far as an account may see it: the archive opened for one request, its errors as answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from fastapi import HTTPException, Request

from stream.archive.archive import Archive, ArchiveError, NotInArchive
from stream.web.account import Account
from stream.web.asking import account_of, office_of

MS = 1_000_000
"""Nanoseconds in one; the pages count in these, because JavaScript's numbers do not hold nanoseconds since 1970."""


@contextmanager
def opened(request: Request) -> Iterator[Archive]:
    """The archive. What is not there becomes 404, what cannot be done now 503, each with the archive's sentence."""
    try:
        with office_of(request).archive(account_of(request)) as archive:
            yield archive
    except NotInArchive as error:
        raise HTTPException(404, str(error)) from None
    except ArchiveError as error:
        raise HTTPException(503, str(error)) from None


def cameras_seen(archive: Archive, account: Account, wanted: Sequence[str] = ()) -> tuple[str, ...]:
    """The cameras of the archive that the account may see; of those wanted, if any are. Raises 404 for others."""
    seen = tuple(name for name in archive.cameras() if account.sees(name))
    for name in wanted:
        if name not in seen:
            raise HTTPException(404, f"camera: there is nothing of {name!r} that this account may see")
    return tuple(dict.fromkeys(wanted)) or seen


def require_seen(archive: Archive, account: Account, sighting: int) -> None:
    """Raises 404 for a sighting that the account may not see, as for one that is not there."""
    if not account.sees(archive.camera_of(sighting)):
        raise NotInArchive(f"sighting {sighting}: is not in the archive (it may have expired)")
