"""Names that one person has confirmed and that wait for another: who proposed them, and when."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from stream.archive import sightings
from stream.archive.verdicts import Verdict
from stream.web.asking import account_of
from stream.web.footage import MS, cameras_seen, opened
from stream.web.review import confirmations, describe
from stream.web.review_values import clock

router = APIRouter()


@router.get("/api/review/awaiting")
def awaiting(
    request: Request,
    page: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
    size: Annotated[int, Query(ge=0, le=200)] = 48,
) -> dict[str, Any]:
    """Sightings whose name one person has confirmed and another has to, the longest waiting first, a page at a time.

    needed: by how many a name has to be confirmed; with 1 nothing ever waits. yours: how many of all wait for somebody
    other than who asks, because that is who proposed them. Size 0 asks for the numbers alone.
    """
    account, needed = account_of(request), confirmations(request)
    told: dict[str, Any] = {"needed": needed, "page": page, "size": size}
    with opened(request) as archive:
        cameras = cameras_seen(archive, account)
        waiting = archive.waiting(needed, cameras) if cameras and needed > 1 else {}
        shown = list(waiting)[page * size : (page + 1) * size]
        found = archive.sightings(sightings.Query(ids=tuple(shown), limit=size)) if shown else []
        found.sort(key=lambda each: shown.index(each.id))
        rows = describe(request, archive, found) if found else []
    told["total"] = len(waiting)
    told["yours"] = sum(proposal.account == account.name for proposal in waiting.values())
    told["sightings"] = [{**row, "proposed": _proposed(waiting[row["id"]], account.name)} for row in rows]
    return told


def _proposed(proposal: Verdict, account: str) -> dict[str, Any]:
    return {
        "account": proposal.account,
        "note": proposal.note,
        "at_ms": proposal.at_ns // MS,
        "when": clock(proposal.at_ns, "%Y-%m-%d %H:%M"),
        "yours": proposal.account == account,
    }
