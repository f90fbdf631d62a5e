"""Who looks like this: sightings by their likeness to a face. A likeness is no identification, and the page says so."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, HTTPException, Query, Request, UploadFile

from engines.recognition.photo import Refused
from stream.archive import sightings
from stream.archive.archive import ArchiveError, NotInArchive
from stream.evidence.certainty import percent
from stream.likeness import Likeness
from stream.web.asking import account_of, office_of
from stream.web.footage import MS, cameras_seen, opened, require_seen
from stream.web.review import Cameras, describe
from stream.web.workshop import MOST_UPLOADED, WorkshopBusy, WorkshopError

router = APIRouter()

_WARNING = (
    "A likeness is no identification. Similarity is a cosine: 1 is the same picture, about 0 are two strangers, and"
    " relatives lie between. The more is searched, the more lookalikes are found."
)
From = Annotated[int | None, Query(alias="from_ms")]
To = Annotated[int | None, Query(alias="to_ms")]
Size = Annotated[int, Query(ge=1, le=100)]


@router.post("/api/review/like")
def like_photo(
    request: Request,
    picture: UploadFile,
    camera: Cameras = [],  # noqa: B006 - FastAPI copies it
    from_ms: From = None,
    to_ms: To = None,
    size: Size = 24,
) -> dict[str, Any]:
    """Who looks like the largest face on a photograph. It is not kept."""
    try:
        face = office_of(request).workshop.measure(picture.file.read(MOST_UPLOADED + 1))
    except Refused as refusal:
        raise HTTPException(422, f"the picture {refusal}") from None
    except WorkshopBusy as error:
        raise HTTPException(503, str(error)) from None
    except WorkshopError as error:
        raise HTTPException(500, str(error)) from None
    found = _search(request, face.embedding, face.space, face.masked, None, camera, from_ms, to_ms, size)
    return found | {"notes": face.notes}


@router.get("/api/review/sightings/{sighting}/like")
def like_sighting(
    request: Request,
    sighting: int,
    camera: Cameras = [],  # noqa: B006
    from_ms: From = None,
    to_ms: To = None,
    size: Size = 24,
) -> dict[str, Any]:
    """Who looks like the face of a sighting."""
    with opened(request) as archive:
        require_seen(archive, account_of(request), sighting)
        seen = archive.sighting(sighting)
    if not seen.embedding:
        raise HTTPException(409, "this face was not measured, so nothing can be compared with it")
    embedding = np.frombuffer(seen.embedding, "<f4").astype(np.float32)
    found = _search(request, embedding, seen.space, seen.masked, sighting, camera, from_ms, to_ms, size)
    return found | {"notes": []}


def _search(
    request: Request,
    embedding: np.ndarray[Any, np.dtype[np.float32]],
    space: str,
    masked: bool,
    itself: int | None,
    camera: list[str],
    from_ms: int | None,
    to_ms: int | None,
    size: int,
) -> dict[str, Any]:
    """itself: the sighting that is compared, which is left out."""
    account, office = account_of(request), office_of(request)
    with opened(request) as archive:
        cameras = cameras_seen(archive, account, camera)
        query = sightings.Query(
            from_ns=None if from_ms is None else from_ms * MS,
            to_ns=None if to_ms is None else to_ms * MS,
            cameras=cameras if camera or account.cameras is not None else (),
        )
        office.journal.write(account, "searched", "sightings by a face")
        if not cameras:
            found = []
        else:
            try:
                with office_of(request).desk.faces(account) as faces:
                    found = faces.like(embedding, space, query, size + 1)
            except NotInArchive as error:
                raise HTTPException(404, str(error)) from None
            except ArchiveError as error:
                raise HTTPException(503, str(error)) from None
        found = [pair for pair in found if pair[0].id != itself][:size]
        rows = describe(request, archive, [each for each, _ in found])
    prior = office.settings.recognition.prior_enrolled
    likeness = Likeness(space, office.settings.recognition)
    for row, (each, similarity) in zip(rows, found, strict=True):
        same = likeness.probability(similarity, each.masked or masked, each.masked and masked)
        row["similarity"] = round(similarity, 3)
        row["same"] = None if same is None else percent(same)
    return {
        "sightings": rows,
        "warning": _WARNING,
        "prior": f"“Same person” is calibrated, if before looking it was {percent(prior)} probable for each of them "
        "(recognition.prior_enrolled); it is left out where that was not measured, as of two masked faces.",
    }
