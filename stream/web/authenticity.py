"""The page that says of a picture or a clip whether it looks photographed, painted, or like our own reconstruction. It
is a hint and no evidence, and every answer says so.
"""

from __future__ import annotations

import hashlib
import os
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any, BinaryIO, Literal

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response

from engines.recognition.photo import Refused
from stream.overlay import percent
from stream.web.asking import account_of, office_of
from stream.web.looking import FaceJudged, Judged
from stream.web.pages import respond
from stream.web.people import answering
from stream.web.uploads import content, content_on_disk
from stream.web.workshop import MOST_UPLOADED

router = APIRouter(tags=["authenticity"])

MOST_CLIP = 256 << 20
"""Bytes of one clip."""
HINT = (
    "A hint, and no evidence. A small network guesses, and it errs both ways: some real masks and retouched photographs"
    " are taken for painted, and a generator that it never met may pass."
)
_EVEN = 0.5
_HEADLINES = {
    "reconstruction": "A reconstruction made by Unvizard",
    "synthetic": "Looks painted or generated",
    "photographed": "Looks photographed",
    "no face": "No face that can be judged",
}
Watch = Annotated[str, Query(pattern="^[A-Za-z0-9_-]{0,64}$")]


async def _picture(request: Request) -> AsyncIterator[bytes]:
    with answering(), office_of(request).judging.uploading():
        yield await content(request, MOST_UPLOADED)


async def _clip(request: Request) -> AsyncIterator[BinaryIO]:
    office = office_of(request)
    with answering(), office.judging.uploading(clip=True):
        file = await content_on_disk(request, MOST_CLIP, office.settings.recognition.gallery.parent)
        with file:
            yield file


@router.get("/authenticity")
def page(request: Request) -> Response:
    """The page."""
    limits = {"most-picture": f"{MOST_UPLOADED >> 20}", "most-clip": f"{MOST_CLIP >> 20}", "hint": HINT}
    return respond("authenticity", account_of(request), more=limits)


@router.post("/api/authenticity/picture")
def judge_picture(request: Request, picture: Annotated[bytes, Depends(_picture)]) -> dict[str, Any]:
    """Judge a picture, the body of the request. It is not kept. Pictures in the answer are PNG in base64. 422 says why
    a file is no picture.
    """
    judging = office_of(request).judging
    return _answer(request, "picture", hashlib.sha256(picture).hexdigest(), lambda: judging.judge(picture))


@router.post("/api/authenticity/clip")
def judge_clip(
    request: Request, clip: Annotated[BinaryIO, Depends(_clip)], watch: Watch = ""
) -> dict[str, Any]:
    """Judge a clip, the body of the request, by frames that are evenly spread. It is not kept. watch: a word of your
    own by which its progress can be asked for meanwhile. 422 says why a file is no clip.
    """
    if not clip.seek(0, os.SEEK_END):
        raise HTTPException(422, "the body must be a file, found nothing")
    clip.seek(0)
    digest = hashlib.file_digest(clip, "sha256").hexdigest()  # type: ignore[arg-type]
    account, judging = account_of(request), office_of(request).judging
    return _answer(request, "clip", digest, lambda: judging.judge_clip(account, watch, clip))


@router.get("/api/authenticity/progress")
def progress(request: Request, watch: Watch) -> dict[str, float | None]:
    """The share of a clip that is judged, 0 to 1; null when it is still being sent, or done."""
    return {"share": office_of(request).judging.progress(account_of(request), watch)}


def _answer(
    request: Request, kind: Literal["picture", "clip"], digest: str, judge: Callable[[], Judged]
) -> dict[str, Any]:
    """Judge, write it into the journal, and tell it."""
    account, office = account_of(request), office_of(request)
    with answering():
        try:
            judged = judge()
        except Refused as refusal:
            office.journal.write(account, "judged", f"{kind}, sha256 {digest}: refused")
            raise HTTPException(422, f"the {kind} {refusal}") from None
    office.journal.write(account, "judged", f"{kind}, sha256 {digest}: {judged.conclusion}")
    flag_at = office.settings.authenticity.flag_at
    return {"kind": kind, "sha256": digest, "hint": HINT, "flag_at": flag_at, **_value(judged, flag_at)}


def _value(judged: Judged, flag_at: float) -> dict[str, Any]:
    with_face = [look for look in judged.looks if look.probability is not None]
    return {
        "conclusion": judged.conclusion,
        "headline": _headline(judged, flag_at),
        "probability": _rounded(judged.probability),
        "faces": [_face(face) for face in judged.faces],
        "own_mark": {
            "marked": judged.marked,
            "watermarked": judged.watermarked,
            "unaltered": judged.unaltered,
        },
        "said": judged.said,
        "heat_map": _base64(judged.heat_map),
        "frames": {
            "looked_at": len(judged.looks),
            "with_face": len(with_face),
            "synthetic": sum(look.synthetic for look in with_face),
        },
        "looks": [
            {
                "seconds": round(look.seconds, 2),
                "synthetic": look.synthetic,
                "probability": _rounded(look.probability),
            }
            for look in judged.looks
        ],
    }


def _headline(judged: Judged, flag_at: float) -> str:
    if judged.conclusion == "photographed" and (judged.probability or 0.0) >= _EVEN:
        return (
            f"Undecided: painted with a probability of {percent(judged.probability or 0.0)}, and only"
            f" {percent(flag_at)} or more count"
        )
    return _HEADLINES[judged.conclusion]


def _face(face: FaceJudged) -> dict[str, Any]:
    if face.unfit:
        verdict = "unfit"
    elif face.synthetic:
        verdict = "painted or generated"
    else:
        verdict = "undecided" if face.probability >= _EVEN else "photographed"
    return {
        "verdict": verdict,
        "probability": _rounded(face.probability),
        "masked": face.masked,
        "unfit": face.unfit,
        "picture": _base64(face.picture),
        "heat_map": _base64(face.heat_map),
    }


def _rounded(probability: float | None) -> float | None:
    return None if probability is None else round(probability, 4)


def _base64(picture: bytes) -> str | None:
    return b64encode(picture).decode() if picture else None
