"""The log of who did what: the page, its filters, and the check whether anything was altered. Administrators only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from engines.recognition.gallery import GalleryError
from stream.archive.archive import ArchiveError
from stream.archive.database import FILE
from stream.web.account import Account
from stream.web.asking import account_of, office_of
from stream.web.journal import AuditError, Filter
from stream.web.office import Office
from stream.web.pages import respond
from stream.web.store import StoreError

router = APIRouter()

_UNKNOWN_TO_SQLITE = 1 << 62


@router.get("/journal")
def page(request: Request) -> Response:
    """The page."""
    return respond("journal", account_of(request))


@router.get("/api/journal")
def lines(
    request: Request,
    actor: str = "",
    action: str = "",
    text: str = "",
    from_ns: Annotated[int | None, Query(ge=0, lt=_UNKNOWN_TO_SQLITE)] = None,
    to_ns: Annotated[int | None, Query(ge=0, lt=_UNKNOWN_TO_SQLITE)] = None,
    before: Annotated[int | None, Query(ge=0, lt=_UNKNOWN_TO_SQLITE)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> dict[str, Any]:
    """The newest lines first. before: the sequence number of the last line that was seen, for the ones after it.

    from_ns, to_ns: UTC since 1970. person is a random id; name is that of who has it, while they are enrolled.
    """
    office = office_of(request)
    found = office.journal.entries(Filter(actor, action, text, from_ns, to_ns), before, limit + 1)
    names = _names(office) if any(line.person for line in found) else {}
    actors, actions = office.journal.words()
    return {
        "lines": [
            {
                "sequence": line.sequence,
                "wall_ns": line.wall_ns,
                "actor": line.actor,
                "action": line.action,
                "detail": line.detail,
                "person": line.person,
                "name": names.get(line.person),
                "mark": line.mark.hex(),
            }
            for line in found[:limit]
        ],
        "more": len(found) > limit,
        "actors": actors,
        "actions": actions,
    }


@router.post("/api/journal/verify")
def verify(request: Request) -> dict[str, Any]:
    """Whether the logs of the pages, of the gallery and of the archive are as they were written."""
    office, account = office_of(request), account_of(request)
    found = verified(office, account)
    broken = [each["log"] for each in found if each["problem"]]
    office.journal.write(account, "log verified", f"altered: {', '.join(broken)}" if broken else "sound")
    return {"logs": found}


def verified(office: Office, account: Account) -> list[dict[str, Any]]:
    """For each log: its name, how many lines it has when it is as it was written, else what is wrong with it."""

    def gallery() -> int:
        with office.gallery() as opened:
            return opened.audit.verify()

    def archive() -> int:
        with office.archive(account) as opened:
            return opened.audit.verify()

    logs: list[tuple[str, Callable[[], int]]] = [("pages", office.journal.verify)]
    if office.settings.recognition.gallery.is_file():
        logs.append(("gallery", gallery))
    if (office.settings.recording.folder / FILE).is_file():
        logs.append(("recordings", archive))
    return [_checked(name, check) for name, check in logs]


def _checked(name: str, check: Callable[[], int]) -> dict[str, Any]:
    try:
        return {"log": name, "lines": check(), "problem": ""}
    except (ArchiveError, AuditError, GalleryError, StoreError) as error:
        return {"log": name, "lines": None, "problem": str(error)}


def _names(office: Office) -> dict[str, str]:
    try:
        with office.gallery() as gallery:
            return {person.id: person.name for person in gallery.people()}
    except GalleryError:
        return {}  # the log can be read without the gallery
