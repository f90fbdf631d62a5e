"""How the run does: for people on a page, for programs as `/readyz` and `/metrics`."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from stream import engine_list, log_lines
from stream.heartbeat import living_stages, silence_s
from stream.web.asking import account_of, office_of
from stream.web.live import for_account
from stream.web.metrics import exposition
from stream.web.overlay import Overlay
from stream.web.pages import respond

router = APIRouter(tags=["health"])

_SPEAKS_S = 5.0
_MOST_LINES = 1000


@router.get("/readyz")
async def ready(request: Request) -> Response:
    """Whether every camera's capture, inference and the overlay speak: 200 when they do, else 503.

    Nobody has to sign in for it, so it names no camera.
    """
    report = await _report(request)
    silent = await run_in_threadpool(_silent, request, report)
    body = {"ready": not silent, "waiting_for": sorted({stage.partition("-")[0] for stage in silent})}
    return Response(json.dumps(body), 503 if silent else 200, media_type="application/json")


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """Frames, latencies, engines, memory and sightings in Prometheus' text format, of the cameras one may see."""
    report, account = await _report(request), account_of(request)
    if report and account.cameras is not None:
        report = json.loads(for_account(json.dumps(report), account))
    silences = _silences(request) if account.cameras is None else {}
    return Response(exposition(report, silences), media_type=CONTENT_TYPE_LATEST)


@router.get("/health")
def page(request: Request) -> Response:
    """The page."""
    return respond("health", account_of(request))


@router.get("/api/health")
async def health(request: Request) -> dict[str, Any]:
    """The stages, whether each speaks, its memory and its restarts; None in `run` while the overlay is silent."""
    report, account = await _report(request), account_of(request)
    silent = await run_in_threadpool(_silent, request, report)
    stages = await run_in_threadpool(_silences, request)
    processes = report["processes"] if report else {}
    restarts = report["restarts"] if report else {}
    seen = [
        {
            "name": name,
            "silent_s": round(silence, 1),
            "speaks": name not in silent,
            "memory": processes.get(name, {}).get("rss_mb"),
            "restarts": restarts.get(name, 0),
        }
        for name, silence in sorted(stages.items())
        if account.sees(name.removeprefix("capture-")) or not name.startswith("capture-")
    ]
    if report and account.cameras is not None:
        report = json.loads(for_account(json.dumps(report), account))
    if report:
        for camera in report["cameras"].values():
            del camera["sightings"]  # who was seen is on the page of reviews
    return {"ready": not silent, "waiting_for": sorted(silent), "stages": seen, "run": report}


@router.get("/api/health/engines")
def engines(request: Request) -> list[dict[str, Any]]:
    """The engines that are compiled, and what was found when each was tried, as `unvizard engines list` says."""
    try:
        return engine_list.ask(office_of(request).settings)
    except engine_list.EngineListError as error:
        raise HTTPException(503, str(error)) from None


@router.get("/api/health/log")
def log(
    request: Request,
    lines: Annotated[int, Query(ge=1, le=_MOST_LINES)] = 200,
    level: Annotated[str, Query(pattern="^(INFO|WARNING|ERROR)$")] = "INFO",
) -> list[log_lines.LogLine]:
    """The newest lines that the stages have logged, without passwords. They speak of all cameras."""
    if account_of(request).cameras is not None:
        raise HTTPException(403, "the log speaks of all cameras, and this account may see some only")
    return log_lines.newest(office_of(request).directory, lines, level)


async def _report(request: Request) -> dict[str, Any] | None:
    overlay = request.app.state.overlay
    assert isinstance(overlay, Overlay)
    try:
        answer = await overlay.answer("/api/report")
    except HTTPException:
        return None
    report: dict[str, Any] | None = json.loads(bytes(answer.body)) if answer.status_code == 200 else None
    return report


def _silences(request: Request) -> dict[str, float]:
    directory = office_of(request).directory
    return {stage: silence_s(directory, stage) for stage in living_stages(directory)}


def _silent(request: Request, report: dict[str, Any] | None) -> set[str]:
    """The stages that should speak and do not; nobody knows of the cameras while the overlay is silent."""
    if report is None:
        return {"overlay"}
    silences = _silences(request)
    wanted = {"overlay", *(stage for stage in silences if not stage.startswith("capture-"))}
    if "playback" not in silences:
        wanted |= {"inference", *(f"capture-{camera}" for camera in _expected(report))}
    silent = {stage for stage in wanted if silences.get(stage, _SPEAKS_S) >= _SPEAKS_S}
    return silent if report["engines"] or "playback" in silences else silent | {"inference"}


def _expected(report: dict[str, Any]) -> list[str]:
    """The cameras that should send; a recording that has ended, or a camera that was removed, sends no more."""
    silent = ("ended", "removed")
    return [name for name, camera in report["cameras"].items() if camera["state"] not in silent]
