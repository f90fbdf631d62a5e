"""The review page: what was seen by camera and day, as a timeline and a list, and each sighting with its evidence."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Query, Request, Response
from pydantic import BaseModel, Field

from engines.masks.state import MaskState
from stream.archive import sightings
from stream.archive.archive import Archive
from stream.archive.sightings import Decision, Sighting
from stream.archive.verdicts import Said
from stream.calibration import calibration_file
from stream.events.document import readable
from stream.stills import shown_kinds, veiled_picture
from stream.web.asking import account_of, office_of
from stream.web.footage import MS, cameras_seen, opened, require_seen
from stream.web.pages import respond
from stream.web.review_values import clock, listed, whole

router = APIRouter()

_BIN_NS = 300 * 1_000_000_000
_TICK_HOURS = 3
_VEILED = "is of nobody enrolled, so this picture is not shown while privacy.blur_others is set"
_NEXT_PAGE_AT_MOST = 1_000_000
Cameras = Annotated[list[str], Query(alias="camera", max_length=1000)]


class Protection(BaseModel):
    """Whether a sighting is to be kept whatever its age."""

    on: bool


class Judgement(BaseModel):
    """What one person says of the name that a sighting was given, and perhaps why."""

    said: Said
    note: Annotated[str, Field(max_length=500)] = ""


@router.get("/review")
def page(request: Request) -> Response:
    """The page."""
    return respond("review", account_of(request))


@router.get("/api/review/timeline")
def timeline(request: Request, day: date | None = None) -> dict[str, Any]:
    """A day by the clocks of this machine: how many faces began in each five minutes, by camera and decision, and where
    there is footage. Without a day: the newest one of which there is anything.
    """
    account, keep = account_of(request), office_of(request).settings.recording
    with opened(request) as archive:
        cameras = cameras_seen(archive, account)
        earliest, newest = archive.reach(cameras)
        chosen = day or (date.today() if newest is None else datetime.fromtimestamp(newest / 1e9).date())
        if not date(1971, 1, 1) <= chosen <= date(2200, 1, 1):
            raise HTTPException(422, f"day: must lie between 1971 and 2200, found {chosen}")
        from_ns, to_ns = _midnight(chosen), _midnight(chosen + timedelta(days=1))
        bins = (to_ns - from_ns) // _BIN_NS
        counts = archive.timeline(from_ns, to_ns, cameras, bins).counts if cameras else {}
        rows = [
            {
                "name": name,
                "counts": counts[name],
                "recorded": [
                    (span.from_ns // MS, span.to_ns // MS) for span in archive.recorded(name, from_ns, to_ns)
                ],
            }
            for name in cameras
        ]
        protected = [
            {"camera": span.camera, "from_ms": span.from_ns // MS, "to_ms": span.to_ns // MS}
            for _, span in archive.protections()
            if span.from_ns < to_ns
            and span.to_ns > from_ns
            and (not span.camera or account.sees(span.camera))
        ]
    return {
        "day": chosen.isoformat(),
        "zone": clock(from_ns, "%Z"),
        "from_ms": from_ns // MS,
        "to_ms": to_ns // MS,
        "bin_ms": _BIN_NS // MS,
        "ticks": _ticks(from_ns, to_ns),
        "cameras": rows,
        "protected": protected,
        "earliest": None if earliest is None else clock(earliest, "%Y-%m-%d"),
        "newest": None if newest is None else clock(newest, "%Y-%m-%d"),
        "kept": f"Footage and sightings are kept for {keep.keep_days:g} days and up to {keep.keep_gb:g} GB; what is"
        " protected stays.",
    }


@router.get("/api/review/sightings")
def sightings_of(
    request: Request,
    camera: Cameras = [],  # noqa: B006 - FastAPI copies it
    from_ms: int | None = None,
    to_ms: int | None = None,
    person: Annotated[str | None, Query(max_length=200)] = None,
    decision: Decision | None = None,
    mask: Annotated[list[MaskState], Query(max_length=3)] = [],  # noqa: B006
    glimpses: bool = True,
    page: Annotated[int, Query(ge=0, le=_NEXT_PAGE_AT_MOST)] = 0,
    size: Annotated[int, Query(ge=1, le=200)] = 48,
) -> dict[str, Any]:
    """Who was seen, newest first, a page at a time. Times: ms UTC.

    person: the name that was decided on. glimpses: also faces of which nothing was decided and that were soon gone.
    """
    account = account_of(request)
    with opened(request) as archive:
        cameras = cameras_seen(archive, account, camera)
        if not cameras:
            return {"total": 0, "page": page, "size": size, "sightings": []}
        query = sightings.Query(
            from_ns=None if from_ms is None else from_ms * MS,
            to_ns=None if to_ms is None else to_ms * MS,
            cameras=cameras if camera or account.cameras is not None else (),
            person=person or None,
            decision=decision,
            masks=tuple(dict.fromkeys(mask)),
            glimpses=glimpses,
            limit=size,
            offset=page * size,
        )
        found = archive.sightings(query)
        rows = describe(request, archive, found)
        total = archive.count(query)
    return {"total": total, "page": page, "size": size, "sightings": rows}


@router.get("/api/review/sightings/{sighting}")
def sighting_of(request: Request, sighting: int) -> dict[str, Any]:
    """Everything about one sighting but its pictures."""
    account = account_of(request)
    with opened(request) as archive:
        require_seen(archive, account, sighting)
        found = archive.sighting(sighting)
        office_of(request).desk.noted.add(account, [sighting])
        office_of(request).journal.write(account, "viewed", f"sighting {sighting} of {found.camera}")
        return _described(request, archive, found)


@router.get("/api/review/sightings/{sighting}/{picture}.image")
def picture_of(
    request: Request, sighting: int, picture: Literal["look", "original", "reconstruction"]
) -> Response:
    """A picture of a sighting; a line of the logs, unless it was just listed or viewed.

    While privacy.blur_others is set, whoever was not recognised as somebody enrolled is unrecognisable on it; 409 for a
    picture that is of nothing else.
    """
    account, desk = account_of(request), office_of(request).desk
    with opened(request) as archive:
        require_seen(archive, account, sighting)
        if not desk.noted.holds(account, sighting):
            office_of(request).journal.write(account, "viewed", f"a picture of sighting {sighting}")
            archive.sighting(sighting)
            desk.noted.add(account, [sighting])
        data = archive.picture(sighting, picture)
        if data is not None and _blurred(request):
            data = veiled_picture(picture, data, archive.is_named(sighting))
            if data is None:
                raise HTTPException(409, f"sighting {sighting}: {_VEILED}")
    if data is None:
        raise HTTPException(404, f"sighting {sighting}: has no picture of this kind")
    return Response(data, media_type="image/jpeg" if picture == "look" else "image/png")


@router.post("/api/review/sightings/{sighting}/protection")
def protect(request: Request, sighting: int, wanted: Protection) -> dict[str, Any]:
    """Keep a sighting and its footage whatever their age, or no longer."""
    account = account_of(request)
    with opened(request) as archive:
        require_seen(archive, account, sighting)
        found = archive.sighting(sighting)
        archive.protect(found, wanted.on)
        office_of(request).journal.write(
            account, "protected" if wanted.on else "released", f"sighting {sighting}"
        )
        return _described(request, archive, archive.sighting(sighting))


@router.post("/api/review/sightings/{sighting}/verdict")
def judge(request: Request, sighting: int, judgement: Judgement) -> dict[str, Any]:
    """Confirm or refuse, as one person, the name that a sighting was given."""
    account = account_of(request)
    with opened(request) as archive:
        require_seen(archive, account, sighting)
        if archive.sighting(sighting).person is None:
            raise HTTPException(409, "only a name can be confirmed or refused, and nobody was named here")
        archive.judge(sighting, judgement.said, judgement.note)
        office_of(request).journal.write(account, judgement.said, f"the name of sighting {sighting}")
        return _described(request, archive, archive.sighting(sighting))


def confirmations(request: Request) -> int:
    """By how many people a name has to be confirmed."""
    return 2 if office_of(request).settings.accounts.two_persons else 1


def describe(request: Request, archive: Archive, found: list[Sighting]) -> list[dict[str, Any]]:
    """Sightings of a list, which is noted in the journal; their pictures may then be fetched."""
    account = account_of(request)
    office_of(request).journal.write(account, "searched", f"sightings: {len(found)} were listed")
    office_of(request).desk.noted.add(account, [each.id for each in found])
    verdicts = archive.verdicts(found)
    pictures = archive.pictures_of([each.id for each in found])
    needed = confirmations(request)
    blurred = _blurred(request)
    return [
        listed(each, verdicts[each.id], _kinds(each, pictures[each.id], blurred), needed) for each in found
    ]


def _blurred(request: Request) -> bool:
    return office_of(request).settings.privacy.blur_others


def _kinds(sighting: Sighting, kinds: Sequence[str], blurred: bool) -> Sequence[str]:
    return shown_kinds(sighting.decision == "person", kinds) if blurred else kinds


def _described(request: Request, archive: Archive, found: Sighting) -> dict[str, Any]:
    verdicts, blurred = archive.verdicts([found])[found.id], _blurred(request)
    file = calibration_file(office_of(request).settings.recognition)
    told = whole(
        found, archive.run(found.run), verdicts, confirmations(request), account_of(request).name, file
    )
    return {
        **told,
        "pictures": _kinds(found, told["pictures"], blurred),
        "blurred": blurred,
        "recorded": bool(archive.recorded(found.camera, found.first_ns, found.last_ns + 1)),
        "events": _events(archive, found),
    }


def _events(archive: Archive, found: Sighting) -> list[str]:
    texts = []
    for kept in archive.events(found.first_ns, found.last_ns + 1, (found.camera,), limit=1000):
        event = readable(kept.data) if kept.run == found.run else None
        if event and (int(event.sighting.epoch), event.sighting.track) == (found.epoch, found.track):
            texts.append(event.text)
    return texts


def _midnight(day: date) -> int:
    return int(datetime.combine(day, time.min).timestamp()) * 1_000_000_000


def _ticks(from_ns: int, to_ns: int) -> list[dict[str, Any]]:
    """Full hours of the day, as its clocks show them; a day on which they are changed has more or fewer."""
    hours = range(0, (to_ns - from_ns) // 3_600_000_000_000, _TICK_HOURS)
    moments = [from_ns + hour * 3_600_000_000_000 for hour in hours]
    return [{"ms": moment // MS, "text": clock(moment, "%H:%M")} for moment in moments]
