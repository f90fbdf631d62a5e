"""How people get into the gallery: pictures are looked at, with advice, and then enrolled; or an album of many."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import PurePosixPath
from typing import Annotated, Any, BinaryIO

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from pydantic import BaseModel, Field

from engines.recognition.enrolment import Refused
from engines.recognition.gallery import GalleryConflict
from engines.recognition.names import clean_ground, clean_name
from stream.web.account import Account
from stream.web.album import Leaf, folder_leaves, zip_leaves
from stream.web.asking import account_of, office_of
from stream.web.bulk import BulkError, Progress
from stream.web.footage import opened, require_seen
from stream.web.people import NameText, answering
from stream.web.people_values import advice_value, person_value, progress_value, waiting_value
from stream.web.tray import Waiting
from stream.web.uploads import content, content_on_disk
from stream.web.workshop import MOST_UPLOADED

router = APIRouter()

MOST_ALBUM = 1 << 30
_FILE_LENGTH = 120
Ground = Annotated[str, Field(max_length=1000)]
Tokens = Annotated[list[str], Field(max_length=100)]


class Wanted(BaseModel):
    """Pictures of the tray and for whom they are to be enrolled; the name may be empty yet."""

    pictures: Tokens
    name: NameText = ""


class Enrolment(BaseModel):
    """Pictures of the tray to be enrolled. although_like: names of people who do look so much alike."""

    pictures: Annotated[Tokens, Field(min_length=1)]
    name: NameText
    ground: Ground
    although_like: Annotated[list[NameText], Field(max_length=10)] = []


class Grounded(BaseModel):
    """Why people may be enrolled."""

    ground: Ground


async def _picture(request: Request) -> AsyncIterator[bytes]:
    with answering(), office_of(request).people.uploading():
        yield await content(request, MOST_UPLOADED)


async def _album(request: Request) -> AsyncIterator[BinaryIO]:
    office = office_of(request)
    if office.people.bulk.progress and office.people.bulk.progress.running:
        raise HTTPException(409, "an album is being enrolled already: wait for its end, or stop it")
    with answering(), office.people.uploading(album=True):
        yield await content_on_disk(request, MOST_ALBUM, office.settings.recognition.gallery.parent)


@router.post("/api/people/pictures")
def look(
    request: Request,
    picture: Annotated[bytes, Depends(_picture)],
    file: Annotated[str, Query(max_length=1000)] = "",
) -> dict[str, Any]:
    """Look at a photograph, the body of the request: which faces are on it, and whether it will do. It is kept for half
    an hour, to be enrolled by its token; nothing is stored. 422 says why a file is no photograph.
    """
    with answering():
        waiting = office_of(request).people.look(account_of(request), _shown(file), picture)
    return waiting_value(waiting)


@router.post("/api/people/pictures/sighting/{sighting}")
def look_at_sighting(request: Request, sighting: int) -> dict[str, Any]:
    """The same for the picture of somebody who was seen: what the camera saw, never a reconstruction."""
    account, office = account_of(request), office_of(request)
    with opened(request) as archive:
        require_seen(archive, account, sighting)
        if office.settings.privacy.blur_others and not archive.is_named(sighting):
            raise HTTPException(
                409,
                "this sighting is of nobody enrolled, and its face is not shown while privacy.blur_others is set:"
                " enrol from photographs",
            )
        found = archive.sighting(sighting)
    if not found.look:
        raise HTTPException(409, "this sighting keeps no picture")
    office.journal.write(account, "viewed", f"sighting {sighting}, to enrol from it")
    with answering():
        waiting = office.people.look(account, f"sighting {sighting} on {found.camera}", found.look)
    return waiting_value(waiting)


@router.get("/api/people/pictures/{token}")
def preview(request: Request, token: str) -> Response:
    """A picture of the tray, made small: a JPEG."""
    return Response(_of_tray(request, token).looked.preview, media_type="image/jpeg")


@router.delete("/api/people/pictures/{token}")
def drop(request: Request, token: str) -> dict[str, Any]:
    """Forget a picture of the tray."""
    office_of(request).people.tray.drop(account_of(request), token)
    return {"token": token}


@router.post("/api/people/advice")
def advise(request: Request, wanted: Wanted) -> list[dict[str, Any]]:
    """What speaks against enrolling pictures for a name: the same picture or person is enrolled, or they show somebody
    else.
    """
    with answering():
        name = clean_name(wanted.name) if wanted.name.strip() else ""
        waiting = [_of_tray(request, token) for token in wanted.pictures]
        advice = office_of(request).people.advise(waiting, name)
    return [advice_value(each.token, said) for each, said in zip(waiting, advice, strict=True)]


@router.post("/api/people")
def enrol(request: Request, wanted: Enrolment) -> dict[str, Any]:
    """Enrol pictures of the tray. Those that are enrolled leave it; of the others the answer says why not. 409 when
    none was enrolled.
    """
    account, office = account_of(request), office_of(request)
    with answering():
        name, ground = clean_name(wanted.name), clean_ground(wanted.ground)
    person, enrolled, refused = None, [], []
    for waiting in [_of_tray(request, token) for token in dict.fromkeys(wanted.pictures)]:
        try:
            if waiting.looked.template is None:
                raise Refused(waiting.looked.refusal)
            person = office.people.enrol(
                name, ground, waiting.looked.template.template(), wanted.although_like, account.name
            )
            office.journal.write(account, "enrolled", "a picture", person.id)
            office.people.tray.drop(account, waiting.token)
            enrolled.append(waiting.token)
        except (Refused, GalleryConflict, ValueError) as refusal:
            refused.append({"token": waiting.token, "file": waiting.file, "reason": str(refusal)})
    if person is None:
        raise HTTPException(
            409, "nothing was enrolled: " + "; ".join(f"{r['file']} {r['reason']}" for r in refused)
        )
    return {"person": person_value(person), "enrolled": enrolled, "refused": refused}


@router.get("/api/people/album")
def album_progress(request: Request) -> dict[str, Any]:
    """How far the album is that is being enrolled, or was last; and from which folder of this machine one may be."""
    desk = office_of(request).people
    return {**progress_value(desk.bulk.progress), "folder": str(desk.inbox)}


@router.post("/api/people/album")
def enrol_zip(
    request: Request,
    file: Annotated[BinaryIO, Depends(_album)],
    ground: Annotated[str, Query(max_length=1000)],
) -> dict[str, Any]:
    """Enrol many: the body is a ZIP file with a folder for each person. It goes on in the background."""
    try:
        with answering():
            leaves = zip_leaves(file)
            return _start(request, leaves, ground, file.close)
    except BaseException:
        file.close()
        raise


@router.post("/api/people/album/folder")
def enrol_folder(request: Request, grounded: Grounded) -> dict[str, Any]:
    """The same from the folder `import` beside the gallery on this machine, with a folder for each person."""
    with answering():
        return _start(
            request,
            folder_leaves(office_of(request).people.inbox),
            grounded.ground,
            lambda: None,
        )


@router.delete("/api/people/album")
def stop_album(request: Request) -> dict[str, Any]:
    """Stop after the picture at hand; what is enrolled stays."""
    desk = office_of(request).people
    desk.bulk.cancel()
    return progress_value(desk.bulk.progress)


def _start(request: Request, leaves: list[Leaf], ground: str, close: Callable[[], None]) -> dict[str, Any]:
    office, account = office_of(request), account_of(request)
    ground = clean_ground(ground)

    def enrol_one(name: str, picture: bytes) -> str:
        person = office.people.enrol_picture(clean_name(name), ground, picture, account.name)
        office.journal.write(account, "enrolled", "a picture of an album", person.id)
        return person.name

    def end(progress: Progress) -> None:
        close()
        office.journal.write(
            account, "enrolled", f"an album: {progress.enrolled} of {progress.total} pictures"
        )

    try:
        office.people.bulk.start(leaves, enrol_one, end)
    except BulkError as error:
        raise HTTPException(409, str(error)) from None
    return progress_value(office.people.bulk.progress)


def _of_tray(request: Request, token: str) -> Waiting:
    account: Account = account_of(request)
    waiting = office_of(request).people.tray.get(account, token)
    if waiting is None:
        raise HTTPException(
            404, "this picture is not there any more (it is kept for half an hour): add it again"
        )
    return waiting


def _shown(file: str) -> str:
    """The name under which a picture came, to be shown: without folders and without what cannot be seen."""
    name = PurePosixPath(file.replace("\\", "/")).name
    return "".join(c for c in name if c.isprintable())[:_FILE_LENGTH] or "a picture"
