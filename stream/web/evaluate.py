"""The page that evaluates recognition on the installation's own faces, its report, and a threshold to set from it."""

from __future__ import annotations

import math
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request, Response

from stream.web.asking import account_of, office_of
from stream.web.evaluate_report import CONDITIONS, LIMITS, report, verdict
from stream.web.evaluation import Busy
from stream.web.pages import respond

router = APIRouter(tags=["evaluate"])

_RAREST, _MOST_OFTEN = 1e-7, 0.1


@router.get("/evaluate")
def page(request: Request) -> Response:
    """The page."""
    return respond("evaluate", account_of(request))


@router.get("/api/evaluate")
def evaluations(request: Request) -> dict[str, Any]:
    """How far the evaluation is that goes on, and what those before have found, the newest first."""
    _for_all_cameras(request)
    office = office_of(request)
    chosen = office.settings.recognition
    return {
        **office.evaluations.state(),
        "false_alarms": chosen.false_alarms,
        "limits": LIMITS,
        "results": [_worded(result) for result in office.evaluations.results()],
    }


@router.post("/api/evaluate", status_code=202)
def start(request: Request) -> dict[str, Any]:
    """Evaluate now, in the background."""
    _for_all_cameras(request)
    office = office_of(request)
    try:
        office.evaluations.start(office.settings)
    except Busy as error:
        raise HTTPException(409, str(error)) from None
    office.journal.write(account_of(request), "evaluated", "recognition on the pictures of the gallery")
    return office.evaluations.state()


@router.delete("/api/evaluate")
def cancel(request: Request) -> dict[str, Any]:
    """End the evaluation that goes on."""
    office = office_of(request)
    office.evaluations.cancel()
    return office.evaluations.state()


@router.get("/api/evaluate/threshold")
def threshold(request: Request, a_day: Annotated[float, Query(gt=0, le=10_000)]) -> dict[str, Any]:
    """recognition.false_alarms for a wanted number of false alarms a day, by how many strangers pass here."""
    _for_all_cameras(request)
    results = office_of(request).evaluations.results()
    strangers = results[0]["strangers_a_day"] if results else None
    if not strangers:
        raise HTTPException(
            409, "not enough data: it takes a whole day of recordings to count the strangers of a day"
        )
    wanted = a_day / strangers
    allowed = min(max(wanted, _RAREST), _MOST_OFTEN)
    rounded = float(f"{allowed:.2g}")
    return {
        "strangers_a_day": round(strangers, 1),
        "false_alarms": rounded,
        "a_day": rounded * strangers,
        "limited": not math.isclose(allowed, wanted),
    }


@router.get("/api/evaluate/report.html")
def download(request: Request) -> Response:
    """The newest evaluation as a page that stands by itself, to print or hand over."""
    _for_all_cameras(request)
    office = office_of(request)
    results = office.evaluations.results()
    if not results:
        raise HTTPException(404, "nothing was evaluated yet")
    office.journal.write(account_of(request), "exported", "the report of an evaluation")
    return Response(
        report(results),
        media_type="text/html; charset=utf-8",
        headers={"content-disposition": 'attachment; filename="unvizard-evaluation.html"'},
    )


def _worded(result: dict[str, Any]) -> dict[str, Any]:
    """A result with what may be said of its rates of false alarms."""
    faces = result["faces"]
    return {
        **result,
        "verdicts": {name: verdict(faces[name]["false_alarms"], faces["wanted"]) for name, _ in CONDITIONS},
    }


def _for_all_cameras(request: Request) -> None:
    if account_of(request).cameras is not None:
        raise HTTPException(
            403, "an evaluation counts what all cameras saw, and this account may see some only"
        )
