"""Files for others: the evidence bundle of a sighting, and a stretch of footage as MP4, made in the background."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Request, Response
from pydantic import BaseModel, Field
from starlette.responses import FileResponse

import stream
from engines.signing import SigningKey
from stream.capture.cover import Cover
from stream.evidence.bundling import Export, make_bundle
from stream.replay.export import Style, export
from stream.web.account import Account
from stream.web.asking import account_of, office_of
from stream.web.footage import MS, cameras_seen, opened, require_seen
from stream.web.jobs import Job, Progress, TooManyJobs, Work
from stream.web.review import confirmations
from stream.web.review_values import clock

router = APIRouter()

_LONGEST_MS = 6 * 3_600_000
_ENCODER_THREADS = 1


class WantedBundle(BaseModel):
    """Which sighting, why it is handed over, and so many seconds of footage around it.

    unblurred_footage: hand over the camera's own footage although privacy.blur_others is set; without it the bundle
    then has none, since footage is handed over as it was recorded and nobody in it can be made unrecognisable.
    """

    sighting: int
    reason: Annotated[str, Field(min_length=1, max_length=500, pattern=r"\S")]
    before_s: Annotated[float, Field(ge=0, le=3600)] = 5.0
    after_s: Annotated[float, Field(ge=0, le=3600)] = 10.0
    unblurred_footage: bool = False


class WantedClip(BaseModel):
    """Which stretch of which camera's footage (ms UTC), and what is done to its pictures."""

    camera: str
    from_ms: int
    to_ms: int
    style: Style = Style.BLUR_OTHERS


@router.post("/api/review/bundles", status_code=202)
def bundle(request: Request, wanted: WantedBundle) -> dict[str, Any]:
    """Have an evidence bundle made."""
    account, office, needed = account_of(request), office_of(request), confirmations(request)
    with opened(request) as archive:
        require_seen(archive, account, wanted.sighting)

    def work(path: Path, progress: Progress) -> str:
        wish = Export(
            wanted.sighting,
            account.name,
            wanted.reason,
            wanted.before_s,
            wanted.after_s,
            needed,
            office.settings.privacy.blur_others,
            wanted.unblurred_footage,
        )
        with office.archive(account) as archive:
            key = SigningKey.open(office.settings.signing.key)
            made = make_bundle(archive, wish, path, key, f"unvizard {stream.__version__}", watch=progress)
        return f"{len(made.files)} files, signed by {made.installation}"

    unblurred = office.settings.privacy.blur_others and wanted.unblurred_footage
    footage = ", with footage in which nobody is blurred" if unblurred else ""
    office.journal.write(account, "bundled", f"sighting {wanted.sighting}{footage}: {wanted.reason}")
    title = f"Evidence bundle of sighting {wanted.sighting}"
    return _started(request, title, f"sighting-{wanted.sighting}.zip", work)


@router.post("/api/review/clips", status_code=202)
def clip(request: Request, wanted: WantedClip) -> dict[str, Any]:
    """Have a stretch of footage made into an MP4."""
    account, office = account_of(request), office_of(request)
    if office.settings.privacy.blur_others and wanted.style is not Style.BLUR_OTHERS:
        raise HTTPException(
            409,
            f"style: must be {Style.BLUR_OTHERS} while privacy.blur_others is set, found {wanted.style}",
        )
    length = wanted.to_ms - wanted.from_ms
    if not 0 < length <= _LONGEST_MS:
        raise HTTPException(422, f"to_ms: must lie 1 to {_LONGEST_MS} after from_ms, found {length}")
    with opened(request) as archive:
        cameras_seen(archive, account, [wanted.camera])
        if not archive.recorded(wanted.camera, wanted.from_ms * MS, wanted.to_ms * MS):
            raise HTTPException(404, f"{wanted.camera}: nothing was recorded then, or it has expired")

    def work(path: Path, progress: Progress) -> str:
        def watch(wall_ns: int) -> None:
            progress((wall_ns / MS - wanted.from_ms) / length)

        with office.archive(account) as archive:
            made = export(
                archive,
                wanted.camera,
                wanted.from_ms * MS,
                wanted.to_ms * MS,
                path,
                wanted.style,
                _ENCODER_THREADS,
                watch,
                Cover.of(office.settings, wanted.camera),
            )
        return " ".join([f"{made.frames} pictures.", *made.notes])

    office.journal.write(
        account, "exported", f"{wanted.camera}, {wanted.from_ms} to {wanted.to_ms} ms, {wanted.style}"
    )
    began = clock(wanted.from_ms * MS, "%Y-%m-%d %H:%M:%S")
    file = re.sub(r"[^\w.-]+", "-", f"{wanted.camera}-{began}-{wanted.style}.mp4")
    return _started(request, f"{wanted.camera}, {began}, {length / 1000:.0f} s, {wanted.style}", file, work)


@router.get("/api/review/files")
def files(request: Request) -> list[dict[str, Any]]:
    """The files that are being made or were made for this account, newest first; an administrator sees everybody's."""
    account = account_of(request)
    return [_described(job, account) for job in office_of(request).desk.jobs.of(account)]


@router.get("/api/review/files/{file}")
def fetch(request: Request, file: str) -> Response:
    """A file that is done."""
    account, job = account_of(request), _job(request, file)
    if job.state != "done" or job.path is None:
        raise HTTPException(409, f"{job.title}: is {job.state}, so there is nothing to fetch")
    office_of(request).journal.write(account, "fetched", job.title)
    return FileResponse(job.path, filename=job.file, content_disposition_type="attachment")


@router.delete("/api/review/files/{file}")
def cancel(request: Request, file: str) -> dict[str, Any]:
    """Stop making a file; delete one that is over."""
    account, job = account_of(request), _job(request, file)
    office_of(request).desk.jobs.cancel(job)
    return _described(job, account)


def _started(request: Request, title: str, file: str, work: Work) -> dict[str, Any]:
    account = account_of(request)
    try:
        return _described(office_of(request).desk.jobs.start(account, title, file, work), account)
    except TooManyJobs as error:
        raise HTTPException(429, str(error)) from None


def _job(request: Request, identity: str) -> Job:
    job = office_of(request).desk.jobs.get(account_of(request), identity)
    if job is None:
        raise HTTPException(404, "no such file: files are deleted an hour after they were made")
    return job


def _described(job: Job, account: Account) -> dict[str, Any]:
    return {
        "id": job.id,
        "title": job.title,
        "file": job.file,
        "state": job.state,
        "share": round(job.share, 3),
        "sentence": job.sentence,
        "size": job.size,
        "for": None if job.account == account.name else job.account,
    }
