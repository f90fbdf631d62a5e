"""The people page: who is enrolled, and what is done to them. How they get there: stream/web/enrolment.py."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Annotated, Any

import cv2
import numpy as np
from fastapi import APIRouter, HTTPException, Query, Request, Response
from pydantic import BaseModel, Field

from engines.recognition.enrolled import Person, SightingName
from engines.recognition.enrolment import Refused
from engines.recognition.gallery import Gallery, GalleryConflict
from engines.recognition.names import clean_name, same_name
from stream.archive.archive import ArchiveError
from stream.erasing import erase_person
from stream.web.asking import account_of, office_of
from stream.web.footage import opened, require_seen
from stream.web.pages import respond
from stream.web.people_values import erased_value, person_value
from stream.web.roster import Show, Sort
from stream.web.workshop import WorkshopError

router = APIRouter()

_MS = 1_000_000
_FACE_QUALITY = 85
NameText = Annotated[str, Field(max_length=400)]


class Named(BaseModel):
    """A name."""

    name: NameText


class Joined(BaseModel):
    """Who else it is; the id."""

    other: str


class Parted(BaseModel):
    """Which pictures are somebody else's, and whose."""

    pictures: Annotated[list[str], Field(max_length=1000)]
    name: NameText


@router.get("/people")
def page(request: Request) -> Response:
    """The page."""
    account = account_of(request)
    return respond("people", account, more={"role": account.role})


@router.get("/api/people")
def people(
    request: Request,
    text: Annotated[str, Query(max_length=200)] = "",
    show: Show = "all",
    sort: Sort = "name",
    page: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
    size: Annotated[int, Query(ge=1, le=200)] = 60,
) -> dict[str, Any]:
    """Who is enrolled, a page at a time. text: part of a name, without regard to case and accents."""
    office = office_of(request)
    with answering():
        found, total = office.people.roster.page(text, show, sort, page * size, size)
        everyone, revoked = office.people.roster.counts()
    office.journal.write(
        account_of(request), "searched" if text else "viewed", f"people: {len(found)} were listed"
    )
    return {
        "people": [person_value(person) for person in found],
        "total": total,
        "page": page,
        "size": size,
        "everyone": everyone,
        "revoked": revoked,
    }


@router.get("/api/people/renewal")
def renewal(request: Request) -> dict[str, Any]:
    """Whether templates are being made anew for another embedder, and how far that is."""
    with gallery_of(request) as gallery:
        share = gallery.renewal_share()
    return {"running": share is not None, "share": share}


@router.get("/api/people/not-in/{sighting}")
def refuted_in(request: Request, sighting: int) -> dict[str, Any]:
    """Whom somebody has said that a sighting is not."""
    name = _sighting_name(request, sighting)
    with gallery_of(request) as gallery:
        said = [
            {"id": each.id, "person": each.person, "said_ms": each.said_wall_ns // _MS, "name": person.name}
            for each in gallery.refutations()
            if each.sighting == name and (person := gallery.person(each.person))
        ]
    return {"sighting": sighting, "not": said}


@router.get("/api/people/{person}")
def person_of(request: Request, person: str) -> dict[str, Any]:
    """Somebody, with the pictures and with what was said of sightings."""
    account = account_of(request)
    with gallery_of(request) as gallery:
        found = _found(gallery, person)
        pictures = [
            {"id": template, "quality": round(quality, 3), "added_ms": added // _MS}
            for template, quality, added in gallery.templates(person)
        ]
        former, said = gallery.former_names(person), gallery.refutations(person)
    refuted = [
        {"id": each.id, "camera": each.sighting.camera, "said_ms": each.said_wall_ns // _MS}
        | {"sighting": _sighting_id(request, each.sighting)}
        for each in said
        if account.sees(each.sighting.camera)
    ]
    office_of(request).journal.write(account, "viewed", "a person", person)
    return {**person_value(found), "images": pictures, "former_names": list(former), "refuted": refuted}


@router.get("/api/people/{person}/face")
def face(request: Request, person: str) -> Response:
    """The best picture, a JPEG."""
    with gallery_of(request) as gallery:
        return _jpeg(gallery.picture(person))


@router.get("/api/people/{person}/pictures/{picture}")
def picture_of(request: Request, person: str, picture: str) -> Response:
    """One picture, a JPEG."""
    with gallery_of(request) as gallery:
        return _jpeg(gallery.picture(person, picture))


@router.delete("/api/people/{person}/pictures/{picture}")
def remove_picture(request: Request, person: str, picture: str) -> dict[str, Any]:
    """Erase one picture of several."""
    with changing(request, "erased", "a picture", person) as gallery:
        return person_value(gallery.remove_picture(person, picture, account_of(request).name))


@router.post("/api/people/{person}/name")
def rename(request: Request, person: str, named: Named) -> dict[str, Any]:
    """Give another name."""
    with changing(request, "renamed", "a person", person) as gallery:
        return person_value(gallery.rename(person, named.name, account_of(request).name))


@router.post("/api/people/{person}/merge")
def merge(request: Request, person: str, joined: Joined) -> dict[str, Any]:
    """Join with somebody who is the same. The answer says what a split needs that undoes it."""
    with changing(request, "merged", f"a person with {joined.other[:32]}", person) as gallery:
        gone = _found(gallery, joined.other)
        pictures = [template for template, _, _ in gallery.templates(joined.other)]
        merged = gallery.merge(person, joined.other, account_of(request).name)
        return {**person_value(merged), "undo": {"pictures": pictures, "name": gone.name}}


@router.post("/api/people/{person}/split")
def split(request: Request, person: str, parted: Parted) -> dict[str, Any]:
    """Make somebody new of some pictures. A merge undoes it."""
    with changing(request, "split", f"{len(parted.pictures)} pictures off a person", person) as gallery:
        return person_value(gallery.split(person, parted.pictures, parted.name, account_of(request).name))


@router.post("/api/people/{person}/revoke")
def revoke(request: Request, person: str) -> dict[str, Any]:
    """Keep, but recognise no more."""
    with changing(request, "revoked", "a person", person) as gallery:
        return person_value(gallery.revoke(person, account_of(request).name))


@router.post("/api/people/{person}/restore")
def restore(request: Request, person: str) -> dict[str, Any]:
    """Recognise again."""
    with changing(request, "restored", "a person", person) as gallery:
        return person_value(gallery.restore(person, account_of(request).name))


@router.post("/api/people/{person}/erase")
def erase(request: Request, person: str, named: Named) -> dict[str, Any]:
    """Erase from the gallery and from what was recorded, for good. name: the person's, so that it is not done by
    mistake. The answer holds both receipts.
    """
    office = office_of(request)
    with changing(request, "erased", "a person", person) as gallery:
        found = _found(gallery, person)
        if same_name(named.name) != same_name(found.name):
            raise HTTPException(422, f"name: must be that of the person to be erased, found {named.name!r}")
        recordings = office.settings.recording.folder
        return erased_value(erase_person(gallery, recordings, found.name, account_of(request).name))


@router.post("/api/people/{person}/not/{sighting}")
def refute(request: Request, person: str, sighting: int) -> dict[str, Any]:
    """Say of a sighting that it is not this person: a face more like it than like the person's own pictures is not
    taken for them any more.
    """
    account = account_of(request)
    with opened(request) as archive:
        require_seen(archive, account, sighting)
        found = archive.sighting(sighting)
    if not found.embedding:
        raise HTTPException(
            409,
            "this sighting keeps no face (recording.keep_faces is off, or it was erased): nothing to go by",
        )
    embedding = np.frombuffer(found.embedding, "<f4").astype(np.float32)
    name = SightingName(found.run, found.epoch, found.camera, found.track)
    with changing(request, "refuted", f"sighting {sighting} is not this person", person) as gallery:
        said = gallery.refute(person, name, embedding, found.space, account.name)
    return {"id": said.id, "person": person, "sighting": sighting}


@router.delete("/api/people/{person}/not/{refutation}")
def undo_refutation(request: Request, person: str, refutation: str) -> dict[str, Any]:
    """Take that back."""
    with changing(request, "undone", "a refutation", person) as gallery:
        gallery.undo_refutation(person, refutation, account_of(request).name)
    return {"id": refutation}


@contextmanager
def answering() -> Iterator[None]:
    """Errors as answers, each with its own sentence."""
    try:
        yield
    except WorkshopError as error:
        raise HTTPException(503, str(error), {"retry-after": "3"}) from None
    except GalleryConflict as error:
        raise HTTPException(409, str(error)) from None
    except (Refused, ValueError) as error:
        raise HTTPException(422, str(error)) from None


@contextmanager
def gallery_of(request: Request) -> Iterator[Gallery]:
    """The gallery, for this request alone meanwhile."""
    with answering(), office_of(request).people.roster.gallery() as gallery:
        yield gallery


@contextmanager
def changing(request: Request, verb: str, detail: str, person: str) -> Iterator[Gallery]:
    """The same, to change somebody who must be there; a line of the journal once it is done."""
    with gallery_of(request) as gallery:
        _found(gallery, person)
        yield gallery
    office_of(request).journal.write(account_of(request), verb, detail, person)


def known_name(text: str) -> str:
    """A name in the form in which it is kept. Raises HTTPException."""
    with answering():
        return clean_name(text)


def _found(gallery: Gallery, person: str) -> Person:
    found = gallery.person(person)
    if found is None:
        raise HTTPException(404, "nobody of this id is enrolled; they may have been erased just now")
    return found


def _jpeg(png: bytes | None) -> Response:
    """Smaller than the file that is kept for later embedders."""
    if png is None:
        raise HTTPException(404, "no picture was kept")
    picture = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _FACE_QUALITY])[1]
    return Response(data.tobytes(), media_type="image/jpeg")


def _sighting_name(request: Request, sighting: int) -> SightingName:
    with opened(request) as archive:
        require_seen(archive, account_of(request), sighting)
        return archive.name_of(sighting)


def _sighting_id(request: Request, name: SightingName) -> int | None:
    """The sighting that was spoken of, while it is in the archive."""
    with suppress(ArchiveError), office_of(request).archive(account_of(request)) as archive:
        return archive.identity_of(name)
    return None
